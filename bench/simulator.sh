#!/usr/bin/env bash
# The simulator's own speed: ten thousand hosts and a million messages under each policy, on one core.
# Each has to take less than 30 s.
set -euo pipefail
cd "$(dirname "$0")/.."
for policy in count time adaptive; do
    began=$(date +%s%N)
    taskset -c 0 target/release/remuda simulate scenarios/ten-thousand-hosts.toml --policy "$policy"
    ms=$((($(date +%s%N) - began) / 1000000))
    echo "$policy: 10000 hosts, 1000000 messages: ${ms} ms"
    if ((ms >= 30000)); then
        echo "$policy: slower than 30 s" >&2
        exit 1
    fi
done
