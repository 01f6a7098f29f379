#!/usr/bin/env bash
# All benchmarks against peers. Each prints the peer's figure beside ours.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 bench/relay.py "$@"
