#!/usr/bin/env python3
"""Receivers that end a session after N messages, silently, by 421 or by 452: how much is deferred, Remuda beside
Postfix, and how long all mail takes.

usage: limits.py [--messages N] [--after N,N] [--scratch DIR]
"""

import argparse
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from flights import FarSink, postfix, remuda  # noqa: E402
from relay import ROOT, load  # noqa: E402


def deferrals(mta):
    log = mta.dir / ("maillog" if mta.name == "Postfix" else "log")
    return log.read_text(errors="replace").count("status=deferred")


def measure(kind, scratch, args, arguments):
    sink = FarSink(scratch, 5, arguments)
    mta = kind(scratch, sink.port)
    began = time.monotonic()
    try:
        load(mta.port, args.messages, 20, 4096).wait()
        while mta.waiting() and not deferrals(mta):
            time.sleep(0.05)
        # Deferred mail would come minutes later; what can arrive now has a moment.
        time.sleep(1)
        seconds, deferred, left = time.monotonic() - began - 1, deferrals(mta), mta.waiting()
    finally:
        mta.stop()
        shutil.rmtree(mta.dir, ignore_errors=True)
        report = sink.stop()
    return deferred, left, report["connections"], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--after", default="1,20,100")
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    print(f"{args.messages} messages, 2 connections at a time")
    print(f"{'session ends':<14} {'MTA':<8} {'deferred':>8} {'left':>6} {'connections':>11} {'seconds':>8}")
    for after in args.after.split(","):
        for manner in ("silent", "421", "452"):
            for kind in (postfix(False), remuda()):
                row = measure(kind, scratch, args, ["--close-after", f"{after}:{manner}"])
                print(f"{after + ':' + manner:<14} {kind.name:<8} {row[0]:>8} {row[1]:>6} {row[2]:>11} {row[3]:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
