#!/usr/bin/env python3
"""Full rate for half an hour at receivers that misbehave, each in its own way: what was sent is delivered,
bounced or queued, and neither memory nor descriptors of the server grow.

The server, the receivers and the senders are processes of their own, so that what is measured is the server's.

usage: soak.py [--minutes N] [--scratch DIR]
"""

import argparse
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import ROOT, Remuda, free_port, pss, wait_for  # noqa: E402

BINARY = ROOT / "target/release/remuda"

#: What each receiver does.
RECEIVERS = {
    "friendly": "",
    "second": "",
    "silent": 'close_after = "7:silent"',
    "farewell": 'close_after = "5:421"',
    "enough": 'close_after = "3:452"',
    "full": 'reply = ["rcpt#1=452 4.2.2 mailbox full"]',
    "unknown": 'reply = ["rcpt=550 5.1.1 no such user"]',
    "picky": 'reply = ["dot#1=554 5.7.1 not this"]',
    "crowded": "max_connections = 2",
    "limited": 'limits = "MAILMAX=4 RCPTMAX=1"',
    "deaf": 'drop = ["mail##50", "rcpt##110", "dot##170", "mail##2300", "dot##5000=reset", "connect##90"]',
    "terse": "pipelining = false\nchunking = false",
    "far": 'rtt = "20ms"',
}


def start_receivers(scratch):
    ports = {name: free_port() for name in RECEIVERS}
    listeners = [
        f'[[listener]]\nlisten = "127.0.0.1:{ports[name]}"\n{behaviour}\n' for name, behaviour in RECEIVERS.items()
    ]
    config = scratch / "receivers.toml"
    config.write_text("\n".join(listeners))
    process = subprocess.Popen([BINARY, "sink", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for port in ports.values():
        wait_for(port, process)
    return process, ports


def server(ports):
    class Configured(Remuda):
        routes = "".join(f'[[route]]\ndomain = "{name}.test"\nhosts = ["127.0.0.1:{port}"]\n' for name, port in ports.items())
        routes += f'[[route]]\ndomain = "*"\nhosts = ["127.0.0.1:{ports["friendly"]}"]\n'
        extra = (
            '[delivery]\nminimal_backoff = "200ms"\nmaximal_backoff = "1s"\nqueue_lifetime = "10s"\n'
            'bounce_lifetime = "60s"\ndelay_warning = "0s"\n'
        )

    return Configured


def metrics(mta):
    token = (mta.dir / "data/admin.token").read_text().strip()
    address = re.search(r'\[admin\]\naddress = "(.*?)"', mta.config.read_text()).group(1)
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Authorization": f"Bearer {token}"})
    text = urllib.request.urlopen(request).read().decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[:1] != "#"}


def descriptors(pid):
    return sum(1 for _ in pathlib.Path(f"/proc/{pid}/fd").iterdir())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    receivers, ports = start_receivers(scratch)
    mta = server(ports)(scratch, 0)
    recipients = scratch / "recipients"
    recipients.write_text("".join(f"u{n}@{name}.test\n" for n in range(100) for name in RECEIVERS))
    sent, samples, began = 0, [], time.monotonic()
    batch = len(RECEIVERS) * 1000
    try:
        while time.monotonic() - began < args.minutes * 60:
            command = [BINARY, "load", "--to", f"127.0.0.1:{mta.port}", "--messages", str(batch), "--sessions", "20"]
            command += ["--from", "writer@home.test", "--rcpt", f"@{recipients}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            sent += batch
            samples.append((pss([mta.pid]) / 2**20, descriptors(mta.pid)))
            minutes = (time.monotonic() - began) / 60
            print(f"{minutes:5.1f} min {sent:>9} sent {samples[-1][0]:7.1f} MiB {samples[-1][1]:>5} descriptors", flush=True)
        mta.drained()
        time.sleep(3)
        after = metrics(mta)
        final = (pss([mta.pid]) / 2**20, descriptors(mta.pid))
    finally:
        mta.stop()
        receivers.send_signal(signal.SIGTERM)
        receivers.wait(30)
    log = (mta.dir / "log").read_text(errors="replace")
    shutil.rmtree(mta.dir, ignore_errors=True)
    # Reports are messages of the server's own; their recipient is at home.
    own = re.compile(r" from=<> ")
    lines = [line for line in log.splitlines() if " delivery " in line and not own.search(line)]
    delivered = sum("status=sent" in line for line in lines)
    bounced = sum("status=bounced" in line for line in lines)
    print(f"sent {sent}, delivered {delivered}, bounced {bounced}, queued 0, in {time.monotonic() - began:.0f} s")
    print(f"after the end: {final[0]:.1f} MiB, {final[1]} descriptors; errors in the log: {log.count(' ERROR ')}")
    flights = after["remuda_transaction_flights_total"]
    print(f"flights {flights:.0f}, connections cached now {after['remuda_connection_cache_connections']:.0f}")
    half = len(samples) // 2
    early = max(memory for memory, _ in samples[: max(1, half)])
    late = max(memory for memory, _ in samples[half:])
    print(f"peak memory of the first half {early:.1f} MiB, of the second {late:.1f} MiB")
    if sent != delivered + bounced:
        sys.exit("messages are missing")


if __name__ == "__main__":
    main()
