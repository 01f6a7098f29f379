#!/usr/bin/env python3
"""Round trips per message at a receiver far away, Remuda beside Postfix, counted by the receiver.

`remuda sink --rtt` answers each flight one round trip late and counts the flights: all that the client sends
between two replies. One row a receiver (what it offers), for each MTA: fresh (a connection a message) and
warm (reused); Remuda at depth 1 and at its default. With --tls the receiver offers STARTTLS, and Postfix
runs with smtp_tls_connection_reuse.

usage: flights.py [--messages N] [--rtt MS] [--tls] [--scratch DIR]
"""

import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import ROOT, Postfix, Remuda, free_port, load, wait_for  # noqa: E402

BINARY = ROOT / "target/release/remuda"

#: What the receiver offers, and the arguments that make it so.
RECEIVERS = [
    ("CHUNKING, PIPELINING", []),
    ("PIPELINING", ["--no-chunking"]),
    ("neither", ["--no-chunking", "--no-pipelining"]),
]


class FarSink:
    """`remuda sink` behind a long line."""

    def __init__(self, scratch, rtt, arguments):
        self.port = free_port()
        self.report = scratch / f"sink-{self.port}.json"
        command = [BINARY, "sink", "--listen", f"127.0.0.1:{self.port}", "--rtt", f"{rtt}ms"]
        command += ["--report", self.report, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self.process)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        report = json.loads(self.report.read_text())["listeners"][0]
        self.report.unlink()
        return report


def remuda(delivery="", cache=""):
    """A Remuda with these keys; concurrency 2, so that reuse and not parallel connections is measured."""

    class Configured(Remuda):
        extra = f"[delivery]\ninitial_concurrency = 2\nconcurrency = 2\n{delivery}\n[connection_cache]\n{cache}\n"

    return Configured


def postfix(tls, settings=()):
    class Configured(Postfix):
        extra = "\n".join(
            [
                "default_destination_concurrency_limit = 2",
                f"smtp_tls_security_level = {'may' if tls else 'none'}",
                f"smtp_tls_connection_reuse = {'yes' if tls else 'no'}",
                *settings,
            ]
        )

    return Configured


def measure(kind, scratch, args, arguments):
    sink = FarSink(scratch, args.rtt, arguments)
    mta = kind(scratch, sink.port)
    began = time.monotonic()
    try:
        load(mta.port, args.messages, 10, 4096).wait()
        mta.drained()
        seconds = time.monotonic() - began
    finally:
        mta.stop()
        shutil.rmtree(mta.dir, ignore_errors=True)
        report = sink.stop()
    if report["messages"] != args.messages:
        sys.exit(f"{kind.name}: {report['messages']} of {args.messages} arrived")
    return report["flights_per_message"], report["connections"], args.messages / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--rtt", type=int, default=50, help="milliseconds")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    tls = ["--tls", "self-signed"] if args.tls else []
    kinds = [
        ("Postfix fresh", postfix(args.tls, ["smtp_connection_cache_on_demand = no"])),
        ("Postfix warm", postfix(args.tls)),
        ("Remuda fresh", remuda(cache="on_demand = false")),
        ("Remuda warm, depth 1", remuda("pipeline_depth = 1")),
        ("Remuda warm, depth 4", remuda()),
    ]
    print(f"{args.messages} messages of 4 KiB, round trip {args.rtt} ms, 2 connections, TLS {'on' if args.tls else 'off'}")
    print(f"{'receiver offers':<22} {'MTA':<22} {'flights/msg':>11} {'connections':>12} {'msg/s':>7}")
    for offers, arguments in RECEIVERS:
        for name, kind in kinds:
            flights, connections, rate = measure(kind, scratch, args, [*arguments, *tls])
            print(f"{offers:<22} {name:<22} {flights:>11.2f} {connections:>12} {rate:>7.0f}", flush=True)


if __name__ == "__main__":
    main()
