#!/usr/bin/env python3
"""The simulator beside the clock: the rates of two hosts of 50 ms and 2 s a message over ten sessions, as the
server really delivers them to sinks on loopback, and as `remuda simulate` says. They have to agree within 10 %.

Hosts that are chosen at random are a matter of chance: with a count of reuses it evens out over the minutes
that are measured, with a limit of time it would take hours, so that is left out.

usage: simulated.py [--seconds N] [--scratch DIR]
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import ROOT, Remuda, free_port, wait_for  # noqa: E402

BINARY = ROOT / "target/release/remuda"
SESSIONS = 10

#: Policy, keys of [delivery], keys of [connection_cache], messages a second that are enough, times the seconds.
POLICIES = [
    ("count", 'endpoint_choice = "random"', 'reuse_count_limit = 10\nreuse_time_limit = "1d"', 30, 5),
    ("adaptive", "", "", 300, 1),
]


def sink(delay):
    port = free_port()
    command = [BINARY, "sink", "--listen", f"127.0.0.1:{port}", "--delay", f"bdat={delay}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port, process)
    return port, process


def really(scratch, delivery, cache, messages, seconds):
    """Deliveries a second between two moments at which there is plenty to deliver."""
    (fast, fast_sink), (slow, slow_sink) = sink("50ms"), sink("2s")

    class Configured(Remuda):
        routes = f'[[route]]\ndomain = "*"\nhosts = ["127.0.0.1:{fast}", "127.0.0.1:{slow}"]\n'
        extra = (
            f"[delivery]\nsessions = {SESSIONS}\nsessions_per_endpoint = {SESSIONS}\nconcurrency = {SESSIONS}\n"
            f"initial_concurrency = {SESSIONS}\n{delivery}\n[connection_cache]\n{cache}\n"
        )

    server = Configured(scratch, fast)
    sent = lambda: (server.dir / "log").read_text(errors="replace").count("status=sent")  # noqa: E731
    try:
        load = [BINARY, "load", "--to", f"127.0.0.1:{server.port}", "--messages", str(messages), "--sessions", "10"]
        subprocess.run([*load, "--size", "512"], check=True, stdout=subprocess.DEVNULL)
        time.sleep(5)
        before, began = sent(), time.monotonic()
        time.sleep(seconds)
        after, ended = sent(), time.monotonic()
        if after + 100 > messages:
            sys.exit(f"{messages} messages were too few")
    finally:
        server.stop()
        shutil.rmtree(server.dir, ignore_errors=True)
        for process in (fast_sink, slow_sink):
            process.terminate()
            process.wait(30)
    return (after - before) / (ended - began)


def simulated(policy):
    command = [BINARY, "simulate", "--hosts", "2", "--slow", "1", "--service", "50ms", "--slow-service", "2s"]
    command += ["--connect", "0ms", "--sessions", str(SESSIONS), "--messages", "20000", "--policy", policy, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]["steady_rate"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    agrees = True
    print(f"{'policy':<10} {'server/s':>9} {'simulated/s':>12} {'ratio':>6}")
    for policy, delivery, cache, enough, times in POLICIES:
        seconds = args.seconds * times
        server = really(scratch, delivery, cache, enough * (seconds + 30), seconds)
        model = simulated(policy)
        agrees &= abs(server / model - 1) <= 0.1
        print(f"{policy:<10} {server:>9.1f} {model:>12.1f} {server / model:>6.2f}", flush=True)
    if not agrees:
        sys.exit("they differ by more than 10 %")


if __name__ == "__main__":
    main()
