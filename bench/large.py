#!/usr/bin/env python3
"""Latency of the 250 for 4 KiB messages, alone and while four senders stream 50 MiB messages; and what the
large ones cost in memory.

usage: large.py [--messages N] [--rounds N] [--scratch DIR]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import ROOT, Remuda, Sink, pss  # noqa: E402

BINARY = ROOT / "target/release/remuda"


def load_command(port, messages, sessions, size):
    return [
        BINARY, "load", "--to", f"127.0.0.1:{port}", "--messages", str(messages), "--sessions", str(sessions),
        "--size", str(size), "--from", "sender@source.test", "--rcpt", "rcpt@sink.test", "--json",
    ]  # fmt: skip


def latency(port, messages):
    out = subprocess.run(load_command(port, messages, 4, 4096), check=True, capture_output=True, text=True).stdout
    return json.loads(out)["latency"]["p50_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    alone, beside, memory = [], [], []
    for _ in range(args.rounds):
        sink = Sink(scratch)
        mta = Remuda(scratch, sink.port)
        try:
            latency(mta.port, 200)
            alone.append(latency(mta.port, args.messages))
            stream = subprocess.Popen(
                load_command(mta.port, 100000, 4, 49 << 20), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                latency(mta.port, 100)
                beside.append(latency(mta.port, args.messages))
                memory.append(pss([mta.pid]) / 2**20)
            finally:
                stream.kill()
                stream.wait()
        finally:
            mta.stop()
            sink.stop()
    alone_ms, beside_ms = statistics.median(alone), statistics.median(beside)
    print(f"250 for 4 KiB, median of medians: alone {alone_ms:.2f} ms, beside four 49 MiB streams {beside_ms:.2f} ms")
    print(f"ratio {beside_ms / alone_ms:.2f}; resident memory meanwhile {statistics.median(memory):.1f} MiB")


if __name__ == "__main__":
    main()
