#!/usr/bin/env python3
"""Remuda with a million deferred messages: start to first delivery, resident memory, queue commands.

The spool is filled directly (crates/spool/examples/fill.rs); every message is deferred and due now, to a
sink on loopback.

usage: backlog.py [--messages N] [--destinations N] [--scratch DIR]
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import ROOT, Sink, free_port, pss, wait_for  # noqa: E402

BINARY = ROOT / "target/release/remuda"


def timed(directory, *arguments):
    """Seconds of a command that finds its server by the remuda.toml of `directory`."""
    began = time.monotonic()
    subprocess.run([BINARY, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=directory)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--destinations", type=int, default=1000)
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="backlog-", dir=scratch))
    sink = Sink(scratch)
    fill = ["cargo", "run", "-q", "--release", "-p", "remuda-spool", "--example", "fill", "--"]
    fill += [str(directory / "data"), str(args.messages), str(args.destinations)]
    (directory / "data").mkdir()
    subprocess.run(fill, check=True, cwd=ROOT)
    port, admin = free_port(), free_port()
    config = directory / "remuda.toml"
    config.write_text(
        f'hostname = "relay.test"\ndata_dir = "{directory}/data"\n[[listener]]\naddress = "127.0.0.1:{port}"\n'
        f'[[route]]\ndomain = "fresh.test"\nhosts = ["127.0.0.1:{sink.port}"]\n'
        f'[admin]\naddress = "127.0.0.1:{admin}"\n[dns]\nservers = ["127.0.0.1:9"]\n'
    )
    try:
        began = time.monotonic()
        log = (directory / "log").open("wb")
        server = subprocess.Popen([BINARY, "serve", "--config", config], stdout=log, stderr=log)
        wait_for(port, server)
        ready = time.monotonic() - began
        before = sink.messages()
        subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", "--from", "a@source.test", "--to", "b@fresh.test",
                        "--silent", "2"], check=True)  # fmt: skip
        while sink.messages() == before:
            time.sleep(0.01)
        first = time.monotonic() - began
        time.sleep(5)
        print(f"{args.messages} deferred messages, {args.destinations} destinations")
        print(f"start to ready {ready:.2f} s, to the first delivery {first:.2f} s")
        print(f"resident after 5 s: {pss([server.pid]) / 2**20:.1f} MiB")
        summary = timed(directory, "queue", "summary")
        print(f"queue summary {summary:.2f} s")
        one = timed(directory, "queue", "list", "--destination", "domain7.example.test")
        print(f"queue list --destination domain7.example.test {one:.2f} s")
    finally:
        server.terminate()
        server.wait(60)
        sink.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
