#!/usr/bin/env bash
# All benchmarks against peers. Each prints the peer's figure beside ours.
#   relay.py    CPU, rate, syncs and memory of relaying, beside Postfix
#   flights.py  round trips per message, beside Postfix
#   domains.py  many domains on one TLS host, beside Postfix with and without TLS reuse
#   slow_host.py  one of several equal hosts is slow, beside Postfix (make bench-slow-host: dead and small ones too)
#   limits.py   receivers that end sessions after N messages: what is deferred, beside Postfix
#   parked.py   what parked sessions cost
#   large.py    250 for small mail while large messages stream
#   backlog.py  a million deferred messages: start, memory, queue commands
#   simulated.py  the simulator's rates beside the server's
#   simulator.sh  ten thousand hosts and a million messages, simulated
#   directory.py  is what the directory answers right while it changes, how soon, at what price; 100,000 accounts at once
#   directory_import  100,000 accounts into the directory at once, and look-ups beside it
# Arguments go to relay.py.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 bench/relay.py "$@"
python3 bench/flights.py
python3 bench/flights.py --tls
python3 bench/domains.py
python3 bench/slow_host.py --seconds 10 --parts slow --mta postfix-time,remuda-adaptive
python3 bench/limits.py
python3 bench/parked.py
python3 bench/large.py
python3 bench/backlog.py
python3 bench/simulated.py
bench/simulator.sh
python3 bench/directory.py
cargo run --release --locked --quiet -p remuda-directory --example directory_import
