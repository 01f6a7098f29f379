"""A pool of receivers for benchmarks, mail at a given rate, and what came of each message.

The same instruments measure every MTA: when a message was accepted from us is the sender's time of its 250, when
it arrived is the receiver's (`remuda sink --keep-digests`), connections are counted in /proc/net/tcp.
"""

import contextlib
import itertools
import json
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import ROOT, Postfix, free_port  # noqa: E402

BINARY = ROOT / "target/release/remuda"
#: Connections that mail comes over.
SENDERS = 8
#: Between two looks at the connections, in seconds.
LOOK = 0.25


def address(number):
    """Of the n-th host: not one that Postfix listens on, or it sees a loop."""
    return f"127.0.0.{11 + number}"


class Hosts:
    """Receivers on one port of several addresses; each behaviour is lines for its [[listener]], or None: nothing
    listens there."""

    def __init__(self, scratch, port, behaviours):
        self.port, self.count = port, len(behaviours)
        self.report = scratch / f"pool-{port}.json"
        config = scratch / f"pool-{port}.toml"
        there = [(n, lines) for n, lines in enumerate(behaviours) if lines is not None]
        config.write_text("".join(f'[[listener]]\nlisten = "{address(n)}:{port}"\n{lines}\n' for n, lines in there))
        command = [BINARY, "sink", "--config", config, "--keep-digests", "--report", self.report]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        if "sink ready" not in self.process.stderr.readline():
            sys.exit("the receivers do not start")
        self.config = config

    def connections(self):
        """How many are open to each."""
        open_to = [0] * self.count
        places = {f"{n:02X}00007F:{self.port:04X}": n - 11 for n in range(11, 11 + self.count)}
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, state = line.split()[:4]
            if state == "01" and remote in places:
                open_to[places[remote]] += 1
        return open_to

    def stop(self):
        """Ends them; what each has seen."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stderr.close()
        listeners = json.loads(self.report.read_text())["listeners"]
        self.report.unlink()
        self.config.unlink()
        return {int(seen["address"].split(":")[0].rsplit(".", 1)[1]) - 11: seen for seen in listeners}


class Deaf:
    """A host whose accept backlog is full: a further connect never completes."""

    def __init__(self, number, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address(number), port))
        self.listener.listen(0)
        self.fillers = []
        while self.connects():
            if len(self.fillers) > 100:
                sys.exit("the backlog does not fill")

    def connects(self):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(self.listener.getsockname())
        self.fillers.append(filler)
        return bool(select.select([], [filler], [], 0.5)[1])

    def stop(self):
        for one in [*self.fillers, self.listener]:
            one.close()


class Mail:
    """Mail at a rate, after a burst; each message has a number, which its recipient says."""

    def __init__(self, port, rate, burst, domains=("pool.test",)):
        self.port, self.rate, self.burst, self.domains = port, rate, burst, domains
        self.accepted, self.refused = {}, None
        self.numbers, self.lock, self.is_over = itertools.count(), threading.Lock(), threading.Event()
        self.began, self.start = time.time(), time.monotonic()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        if self.refused is not None:
            sys.exit(f"refused: {self.refused}")

    def next(self):
        """The number of the next message, when it is due; None at the end."""
        with self.lock:
            number = next(self.numbers)
        due = self.start + max(0, number - self.burst) / self.rate
        return None if self.is_over.wait(max(0, due - time.monotonic())) else number

    def send(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            lines = connection.makefile("rb")

            def say(octets):
                connection.sendall(octets)
                while (line := lines.readline())[3:4] == b"-":
                    pass
                if not line or line[:1] not in b"23":
                    self.refused = line
                    raise ConnectionError(line)

            say(b"")
            say(b"EHLO source.test\r\n")
            while (number := self.next()) is not None:
                # Neighbours differ, so that no domain comes in a row.
                domain = self.domains[number * 7 % len(self.domains)]
                say(b"MAIL FROM:<a@source.test>\r\n")
                say(f"RCPT TO:<u{number}@{domain}>\r\n".encode())
                say(b"DATA\r\n")
                say(b"Subject: x\r\n\r\n" + b"y" * 1000 + b"\r\n.\r\n")
                self.accepted[number] = time.time() - self.began
            say(b"QUIT\r\n")


class Course:
    """What came of a run: all times are seconds since its mail began."""

    def __init__(self, mail, seen, samples, log, end):
        self.accepted, self.samples, self.end, self.seen = mail.accepted, samples, end, seen
        self.began = mail.began
        #: When and where each message arrived.
        self.arrived = {}
        for host, report in seen.items():
            for message in report.get("received", []):
                number = int(re.match(r"u(\d+)@", message["recipients"][0]["address"])[1])
                self.arrived.setdefault(number, (message["received_at"] / 1000 - mail.began, host))
        found = re.findall(r"to=<u(\d+)@.*? delays=[\d.]+/[\d.]+/([\d.]+)/([\d.]+),? .*?status=(\w+)", log)
        #: How long its delivery took, by the MTA's log: getting a session and the transaction.
        self.took = {int(number): float(c) + float(d) for number, c, d, status in found if status == "sent"}
        self.deferred = sum(status == "deferred" for *_, status in found)

    def rate(self, begin, end):
        """Messages that arrived, a second."""
        return sum(begin <= at < end for at, _ in self.arrived.values()) / (end - begin)

    def deliveries(self, begin, end):
        """How long the deliveries that ended then took."""
        return [self.took[n] for n, (at, _) in self.arrived.items() if begin <= at < end and n in self.took]

    def delays(self, begin, end, without=None):
        """How long the messages accepted then took to arrive, or wait still; `without` those of a host."""
        waiting = (self.end, None)
        pairs = ((at, self.arrived.get(number, waiting)) for number, at in self.accepted.items() if begin <= at < end)
        return [there - at for at, (there, host) in pairs if without is None or host != without]

    def longest_wait(self, since):
        """The longest that any message waited after `since`, whenever it came; or waits still."""
        waiting = (self.end, None)
        pairs = ((at, self.arrived.get(number, waiting)[0]) for number, at in self.accepted.items())
        return max(there - max(at, since) for at, there in pairs)

    def connections(self, begin, end):
        """Open to each host, mean."""
        looks = [counts for at, counts in self.samples if begin <= at < end]
        return [sum(column) / len(looks) for column in zip(*looks)]

    def taken_again(self, host, since, hosts, window=2.0):
        """How long after `since` the host has half of its fair share of the arrivals of two seconds; or None."""
        times = sorted((at, where) for at, where in self.arrived.values() if at >= since)
        for step in range(int((self.end - since - window) * 10)):
            begin = since + step / 10
            there = [where for at, where in times if begin <= at < begin + window]
            if there and there.count(host) / len(there) >= 0.5 / hosts:
                return step / 10
        return None


def log_of(mta):
    return (mta.dir / ("maillog" if isinstance(mta, Postfix) else "log")).read_text(errors="replace")


def run(kind, scratch, behaviours, rate, burst, seconds, grace=0.0, deaf=None, domains=("pool.test",)):
    """One MTA and its hosts: mail for so long, then `grace` for what is under way. `kind` makes the class for a
    port; `deaf` is the host whose backlog is full. The hosts end first: what the log says is read before."""
    port, seen, samples = free_port(), {}, []
    with contextlib.ExitStack() as stack:
        mta = kind(port)(scratch, port)
        stack.callback(shutil.rmtree, mta.dir, ignore_errors=True)
        stack.callback(mta.stop)
        if deaf is not None:
            stack.callback(Deaf(deaf, port).stop)
        # Last, since what they do for a while is counted from their start.
        hosts = Hosts(scratch, port, behaviours)
        stack.callback(lambda: seen.update(hosts.stop()))
        mail = Mail(mta.port, rate, burst, domains)
        while (at := time.time() - mail.began) < seconds:
            samples.append((at, hosts.connections()))
            time.sleep(LOOK)
        mail.stop()
        time.sleep(grace)
        end, log = time.time() - mail.began, log_of(mta)
    return Course(mail, seen, samples, log, end)
