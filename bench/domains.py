#!/usr/bin/env python3
"""Many domains on one TLS host, in random order: handshakes, rate and fairness, Remuda beside Postfix.

Each of --domains domains has --messages messages; all of them are served by one host, `remuda sink` with
STARTTLS. What the host counts is printed: handshakes, connections, transactions a connection; and how late the
last domain got its first message, as a share of the run. Postfix runs with its defaults (no reuse of TLS
sessions) and with smtp_tls_connection_reuse.

usage: domains.py [--domains N] [--messages N] [--rtt MS] [--scratch DIR]
"""

import argparse
import json
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from dns import Dns  # noqa: E402
from relay import ROOT, Postfix, Remuda, free_port, wait_for  # noqa: E402

BINARY = ROOT / "target/release/remuda"
#: Of the host: not one that Postfix listens on, or it sees a loop.
ADDRESS = "127.0.0.2"


class Host:
    """The receiver of all domains."""

    def __init__(self, scratch, args):
        self.port = free_port()
        self.report = scratch / f"sink-{self.port}.json"
        command = [BINARY, "sink", "--listen", f"{ADDRESS}:{self.port}", "--rtt", f"{args.rtt}ms"]
        command += ["--tls", "self-signed", "--keep-digests", "--report", self.report]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self.process, ADDRESS)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        report = json.loads(self.report.read_text())["listeners"][0]
        self.report.unlink()
        return report


def remuda(port, dns):
    class Configured(Remuda):
        name = "Remuda"
        #: Domains resolve to the host by DNS, so that each is a destination of its own.
        routes = ""
        extra = (
            f'[dns]\nservers = ["127.0.0.1:{dns}"]\n'
            f"[delivery]\nsmtp_port = {port}\nallow_loopback = true\n"
        )

    return Configured


def postfix(port, args, reuse):
    class Configured(Postfix):
        name = f"Postfix, TLS reuse {'on' if reuse else 'off (default)'}"
        extra = "\n".join(
            [
                "relayhost =",
                "transport_maps = texthash:$config_directory/transport",
                "smtp_tls_security_level = may",
                f"smtp_tls_connection_reuse = {'yes' if reuse else 'no'}",
                "smtp_host_lookup = native",
                "smtp_dns_support_level = disabled",
            ]
        )
        #: One nexthop a domain, all with one address.
        files = {"transport": "".join(f"d{n}.test smtp:[d{n}.test]:{port}\n" for n in range(args.domains))}
        hosts = "".join(f"{ADDRESS} d{n}.test\n" for n in range(args.domains))

    return Configured


def send(port, recipients):
    """Over twenty connections, in the order given."""

    def one(mine):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            lines = connection.makefile("rb")

            def read():
                while (line := lines.readline())[3:4] == b"-":
                    pass
                if line[:1] not in b"23":
                    sys.exit(f"refused: {line}")

            read()
            connection.sendall(b"EHLO source.test\r\n")
            read()
            for recipient in mine:
                for command in (b"MAIL FROM:<a@source.test>", b"RCPT TO:<%s>" % recipient.encode(), b"DATA"):
                    connection.sendall(command + b"\r\n")
                    read()
                connection.sendall(b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n.\r\n")
                read()
            connection.sendall(b"QUIT\r\n")

    threads = [threading.Thread(target=one, args=(recipients[n::20],)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(make, scratch, args, recipients):
    host = Host(scratch, args)
    mta = make(host.port)(scratch, host.port)
    began = time.monotonic()
    try:
        send(mta.port, recipients)
        mta.drained()
        seconds = time.monotonic() - began
    finally:
        mta.stop()
        shutil.rmtree(mta.dir, ignore_errors=True)
        report = host.stop()
    first = {}
    for place, message in enumerate(report["received"]):
        domain = message["recipients"][0]["address"].rsplit("@", 1)[1]
        first.setdefault(domain, place)
    latest = max(first.values()) / max(1, len(report["received"]))
    print(
        f"{mta.name:<32} {report['messages']:>8} {report['tls_handshakes']:>10} {report['connections']:>11}"
        f" {report['messages'] / max(1, report['connections']):>9.1f} {report['messages'] / seconds:>7.0f}"
        f" {latest:>12.2f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=10, help="a domain")
    parser.add_argument("--rtt", type=int, default=5, help="milliseconds")
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    recipients = [f"u{m}@d{n}.test" for n in range(args.domains) for m in range(args.messages)]
    random.Random(7).shuffle(recipients)
    dns = Dns(lambda name: ADDRESS)
    dns.start()
    print(f"{args.domains} domains, {args.messages} messages each, one TLS host {args.rtt} ms away")
    print(f"{'MTA':<32} {'messages':>8} {'handshakes':>10} {'connections':>11} {'msg/conn':>9} {'msg/s':>7} {'latest first':>12}")
    measure(lambda port: postfix(port, args, False), scratch, args, recipients)
    measure(lambda port: postfix(port, args, True), scratch, args, recipients)
    measure(lambda port: remuda(port, dns.port), scratch, args, recipients)


if __name__ == "__main__":
    main()
