#!/usr/bin/env python3
"""What parked sessions cost: as many destinations as asked for, each with a host and one parked session of its
own. Resident memory a session in clear and over TLS, descriptors, and how long a delivery to one of them takes
while all are parked.

usage: parked.py [--destinations N] [--scratch DIR]
"""

import argparse
import json
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from dns import Dns  # noqa: E402
from relay import ROOT, Remuda, pss, wait_for  # noqa: E402

BINARY = ROOT / "target/release/remuda"
PORT = 25026
#: Processes that are the hosts together: each host costs a listener and a connection.
SINKS = 3


def address(number):
    """127.64.0.0/10, in order."""
    return f"127.{64 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def server(args, dns):
    class Configured(Remuda):
        routes = ""
        extra = (
            f'[dns]\nservers = ["127.0.0.1:{dns}"]\n'
            f"[delivery]\nsmtp_port = {PORT}\nallow_loopback = true\n"
            f'[connection_cache]\ndestinations = ["*"]\nidle_time_limit = "600s"\nreuse_time_limit = "1200s"\n'
            f"connections = {args.destinations}\n"
        )

    return Configured


def parked(mta):
    command = [BINARY, "connections", "--stats", "--json", "--config", mta.config]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return text


def measure(args, scratch, dns, tls):
    sinks = [hosts(scratch, range(first, args.destinations, SINKS), tls) for first in range(SINKS)]
    mta = None
    try:
        mta = server(args, dns.port)(scratch, 0)
        recipients = scratch / "recipients"
        recipients.write_text("".join(f"u@d{n}.test\n" for n in range(args.destinations)))
        load(mta, args.destinations // 20, scratch)
        before = pss([mta.pid])
        load(mta, args.destinations, scratch)
        mta.drained()
        time.sleep(3)
        after, held = pss([mta.pid]), len(list(pathlib.Path(f"/proc/{mta.pid}/fd").iterdir()))
        connections = json.loads(parked(mta))
        began = time.monotonic()
        load(mta, args.destinations, scratch)
        mta.drained()
        again = time.monotonic() - began
        text = json.dumps(json.loads(parked(mta)))
        hits = re.search(r'"destination_hits": (\d+)', text)
        count = args.destinations - args.destinations // 20
        print(
            f"{'TLS' if tls else 'clear':<6} {args.destinations:>7} {(after - before) / count / 1024:>11.1f} {held:>11}"
            f" {args.destinations / again:>12.0f} {hits.group(1) if hits else '?':>10}",
            flush=True,
        )
        return connections
    finally:
        if mta:
            mta.stop()
            shutil.rmtree(mta.dir, ignore_errors=True)
        for sink in sinks:
            sink.send_signal(signal.SIGKILL)
            sink.wait()


def hosts(scratch, numbers, tls):
    """A process that is these hosts."""
    config = scratch / f"hosts-{numbers[0]}.toml"
    line = 'tls = "self-signed"\n' if tls else ""
    config.write_text("".join(f'[[listener]]\nlisten = "{address(n)}:{PORT}"\n{line}' for n in numbers))
    sink = subprocess.Popen([BINARY, "sink", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(address(numbers[-1]), sink)
    return sink


def load(mta, messages, scratch):
    command = [BINARY, "load", "--to", f"127.0.0.1:{mta.port}", "--messages", str(messages), "--sessions", "20"]
    command += ["--size", "1000", "--rcpt", f"@{scratch}/recipients"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def wait_for_port(host, process):
    for _ in range(600):
        try:
            socket.create_connection((host, PORT), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit("the hosts have ended")
            time.sleep(0.1)
    sys.exit("the hosts do not listen")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--destinations", type=int, default=10000)
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The server wants descriptors for other things too.
    args.destinations = min(args.destinations, hard - 5000)
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    dns = Dns(lambda name: address(int(name.split(".")[0][1:])))
    dns.start()
    print(f"{'':<6} {'parked':>7} {'KiB/session':>11} {'descriptors':>11} {'reused msg/s':>12} {'dest. hits':>10}")
    for tls in (False, True):
        measure(args, scratch, dns, tls)


if __name__ == "__main__":
    main()
