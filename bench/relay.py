#!/usr/bin/env python3
"""Relays the same mail through Postfix and through Remuda: smtp-source -> MTA -> smtp-sink.

For each size: CPU per message of the MTA alone (all its processes), messages/s end to end, syncs per
message, peak memory; then the ratios. Everything runs on loopback in a scratch directory, in alternating
rounds, and the medians are printed. Syncs and memory have runs of their own: to look at the memory of all
processes five times a second costs the machine a tenth of its rate.

usage: relay.py [--messages N] [--rounds N] [--sizes 4096,51200] [--senders N] [--scratch DIR] [--only remuda|postfix]
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process=None, host="127.0.0.1"):
    for _ in range(600):
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if process and process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}")
            time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


def stat(pid):
    """utime+stime of a process and of its reaped children in seconds, its parent, its resident bytes."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rsplit(")", 1)[1].split()
    cpu = sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK
    return cpu, int(fields[1]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def tree(root):
    """Figures of a process and all that descends from it."""
    everything = {int(p.name): stat(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()}
    everything = {pid: s for pid, s in everything.items() if s}
    members, grew = {root}, True
    while grew:
        more = {pid for pid, s in everything.items() if s[1] in members} - members
        members |= more
        grew = bool(more)
    return {pid: everything[pid] for pid in members if pid in everything}


def pss(pids):
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


class Sink:
    """smtp-sink, with its running counter read back."""

    def __init__(self, scratch):
        self.port = free_port()
        self.log = scratch / f"sink-{self.port}.out"
        command = ["smtp-sink", "-c", f"127.0.0.1:{self.port}", "1000"]
        if os.getuid() == 0:
            command[1:1] = ["-u", "nobody"]
        self.process = subprocess.Popen(command, stdout=self.log.open("wb"))
        wait_for(self.port)

    def messages(self):
        with self.log.open("rb") as f:
            f.seek(max(0, self.log.stat().st_size - 400))
            counts = re.findall(rb"mesg=(\d+)", f.read())
        return int(counts[-1]) if counts else 0

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Remuda:
    name = "Remuda"
    #: More of the configuration.
    extra = ""
    #: Where mail goes; None: all to the sink.
    routes = None

    def __init__(self, scratch, sink_port, trace=()):
        self.port, admin = free_port(), free_port()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="remuda-", dir=scratch))
        config = self.dir / "remuda.toml"
        all_to_sink = f'[[route]]\ndomain = "*"\nhosts = ["127.0.0.1:{sink_port}"]\n'
        routes = all_to_sink if self.routes is None else self.routes
        config.write_text(
            f'hostname = "relay.test"\ndata_dir = "{self.dir}/data"\n'
            f'[[listener]]\naddress = "127.0.0.1:{self.port}"\n'
            f'{routes}'
            f'[admin]\naddress = "127.0.0.1:{admin}"\n{self.extra}'
        )
        self.config = config
        self.log = (self.dir / "log").open("wb")
        binary = ROOT / "target/release/remuda"
        command = [*trace, binary, "serve", "--config", config]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for(self.port, self.process)
        self.pid = self.process.pid

    def waiting(self):
        """How much is in the queue, up to a page."""
        command = [ROOT / "target/release/remuda", "queue", "list", "--json", "--config", self.config]
        return len(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["entries"])

    def drained(self):
        """Waits until the queue is empty."""
        while self.waiting():
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)


class Postfix:
    name = "Postfix"
    #: More of main.cf.
    extra = ""
    #: Files beside main.cf, and what /etc/hosts is for this instance.
    files = {}
    hosts = ""

    def __init__(self, scratch, sink_port, trace=()):
        self.port = free_port()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postfix-", dir=scratch))
        os.chmod(self.dir, 0o755)
        etc, queue, data = self.dir / "etc", self.dir / "queue", self.dir / "data"
        for d in (etc, queue, data):
            d.mkdir()
        shutil.chown(data, "postfix", "postfix")
        defaults = pathlib.Path("/etc/postfix/postfix-files")
        if defaults.exists():
            shutil.copy(defaults, etc)
        for extra in ("postfix-files.d", "dynamicmaps.cf", "post-install", "postfix-script"):
            source = pathlib.Path("/etc/postfix") / extra
            if source.is_dir():
                shutil.copytree(source, etc / extra)
            elif source.exists():
                shutil.copy(source, etc)
        (etc / "main.cf").write_text(
            "compatibility_level = 3.6\nmyhostname = relay.test\nmydestination =\ninet_interfaces = 127.0.0.1\n"
            f"queue_directory = {queue}\ndata_directory = {data}\nmynetworks = 127.0.0.0/8\n"
            f"relayhost = [127.0.0.1]:{sink_port}\nmaillog_file = {self.dir}/maillog\n"
            f"maillog_file_prefixes = {self.dir}\nsmtputf8_enable = no\n{self.extra}\n"
        )
        master = pathlib.Path("/usr/share/postfix/master.cf.dist")
        lines = (master if master.exists() else pathlib.Path("/etc/postfix/master.cf")).read_text().splitlines()
        kept = [line for line in lines if not re.match(r"smtp\s+inet", line)]
        kept = [re.sub(r"^(\w+\s+\w+\s+\S+\s+\S+\s+)y(\s)", r"\1n\2", line) for line in kept]
        kept.append(f"127.0.0.1:{self.port} inet n - n - - smtpd")
        if not any(line.startswith("tlsproxy") for line in kept):
            # Debian leaves it out; smtp_tls_connection_reuse needs it.
            kept.append("tlsproxy unix - - n - 0 tlsproxy")
        (etc / "master.cf").write_text("\n".join(kept) + "\n")
        self.etc = etc
        for file, text in self.files.items():
            (etc / file).write_text(text)
        if self.hosts:
            # A mount namespace of its own: nobody else sees these names.
            (etc / "hosts").write_text("127.0.0.1 localhost\n" + self.hosts)
            mount = f"mount --bind {etc}/hosts /etc/hosts && exec \"$@\""
            trace = ["unshare", "-m", "sh", "-c", mount, "sh", *trace]
        # Traced, it stays in the foreground, so that the tracer sees the daemons to their end.
        subprocess.Popen([*trace, "postfix", "-c", etc, "start-fg" if trace else "start"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port)
        self.pid = int((queue / "pid/master.pid").read_text())

    def waiting(self):
        """How much is in the queue."""
        return len(subprocess.run(["postqueue", "-c", self.etc, "-j"], check=True, capture_output=True).stdout.splitlines())

    def drained(self):
        """Waits until the queue is empty."""
        while self.waiting():
            time.sleep(0.05)

    def stop(self):
        subprocess.run(["postfix", "-c", self.etc, "stop"], check=False, capture_output=True)


def run_once(kind, scratch, args, size, what):
    """One MTA, started, loaded, measured, stopped."""
    sink = Sink(scratch)
    mta = kind(scratch, sink.port)
    try:
        return what(mta, sink, args, size)
    finally:
        mta.stop()
        sink.stop()
        shutil.rmtree(mta.dir, ignore_errors=True)


def load(port, messages, senders, size):
    command = ["smtp-source", "-s", str(senders), "-l", str(size), "-m", str(messages)]
    command += ["-f", "sender@source.test", "-t", "rcpt@sink.test", f"127.0.0.1:{port}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def warm_up(mta, sink, args, size):
    load(mta.port, args.senders * 10, args.senders, size).wait()
    until(sink, args.senders * 10, [])


def measure(mta, sink, args, size):
    """CPU per message and rate."""
    warm_up(mta, sink, args, size)
    cpu_before = tree(mta.pid)
    began = time.monotonic()
    source = load(mta.port, args.messages, args.senders, size)
    until(sink, args.senders * 10 + args.messages, [])
    seconds = time.monotonic() - began
    source.wait()
    cpu = sum(s[0] for s in tree(mta.pid).values()) - sum(s[0] for s in cpu_before.values())
    return {"cpu": cpu / args.messages * 1e6, "rate": args.messages / seconds}


def memory(mta, sink, args, size):
    """Resident memory after the first messages, and at most."""
    warm_up(mta, sink, args, size)
    idle, peak = pss(tree(mta.pid)), []
    source = load(mta.port, args.messages, args.senders, size)
    until(sink, args.senders * 10 + args.messages, peak, mta.pid)
    source.wait()
    return {"memory": max(peak + [idle]) / 2**20, "idle": idle / 2**20}


def until(sink, messages, peak, pid=None):
    quiet, last = time.monotonic(), -1
    while (count := sink.messages()) < messages:
        if count != last:
            quiet, last = time.monotonic(), count
        if time.monotonic() - quiet > 60:
            sys.exit(f"only {count} of {messages} arrived")
        if pid:
            peak.append(pss(tree(pid)))
            time.sleep(0.2)
        else:
            time.sleep(0.02)


SYNCS = ("fsync", "fdatasync")


def counter(out):
    """What counts the sync calls of a command: perf, which stops nothing; else strace, which makes it slower."""
    events = ",".join(f"syscalls:sys_enter_{call}" for call in SYNCS)
    perf = ["perf", "stat", "-x", ",", "-e", events, "-o", str(out), "--"]
    if shutil.which("perf") and subprocess.run([*perf, "true"], capture_output=True).returncode == 0:
        return perf
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=" + ",".join(SYNCS), "-o", str(out)]


def syncs(kind, scratch, args, size):
    """fsync and fdatasync calls per message, in a run of its own."""
    sink, out = Sink(scratch), scratch / "syncs.out"
    trace = counter(out)
    mta = kind(scratch, sink.port, trace)
    try:
        source = load(mta.port, args.messages, args.senders, size)
        until(sink, args.messages, [])
        source.wait()
    finally:
        if kind is Remuda:
            for child in tree(mta.pid).keys() - {mta.pid}:
                os.kill(child, signal.SIGTERM)
            mta.process.wait(60)
        else:
            mta.stop()
        sink.stop()
    time.sleep(1)
    text = out.read_text()
    if trace[0] == "perf":
        calls = sum(int(count) for count in re.findall(r"^(\d+),.*sys_enter_f", text, re.M))
    else:
        calls = len(re.findall(r"f(?:data)?sync\(", text))
    shutil.rmtree(mta.dir, ignore_errors=True)
    return calls / args.messages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--senders", type=int, default=20)
    parser.add_argument("--sizes", default="4096,51200")
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    parser.add_argument("--only", choices=["remuda", "postfix"])
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    kinds = [k for k in (Postfix, Remuda) if args.only in (None, k.name.lower())]
    print(f"{'size':>6} {'MTA':<8} {'CPU us/msg':>11} {'msg/s':>8} {'syncs/msg':>10} {'idle MiB':>9} {'peak MiB':>9}")
    for size in map(int, args.sizes.split(",")):
        rounds = {kind.name: [] for kind in kinds}
        for _ in range(args.rounds):
            for kind in kinds:
                rounds[kind.name].append(run_once(kind, scratch, args, size, measure))
        rows = {}
        for kind in kinds:
            median = {key: statistics.median(r[key] for r in rounds[kind.name]) for key in rounds[kind.name][0]}
            median["syncs"] = syncs(kind, scratch, args, size)
            median |= run_once(kind, scratch, args, size, memory)
            rows[kind.name] = median
            print(
                f"{size:>6} {kind.name:<8} {median['cpu']:>11.0f} {median['rate']:>8.0f} {median['syncs']:>10.3f}"
                f" {median['idle']:>9.1f} {median['memory']:>9.1f}",
                flush=True,
            )
        if len(rows) == 2:
            postfix, remuda = rows["Postfix"], rows["Remuda"]
            print(
                f"{size:>6} ratio: CPU Postfix/Remuda {postfix['cpu'] / remuda['cpu']:.1f},"
                f" rate Remuda/Postfix {remuda['rate'] / postfix['rate']:.1f}"
            )


if __name__ == "__main__":
    main()
