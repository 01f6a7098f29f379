"""Clients of the directory's benchmark, each a process: they ask by RCPT and by /api/v1/resolve, and keep what they
saw with the time before they asked and after the answer. All clocks are one: the system's monotonic one.
"""

import http.client
import json
import multiprocessing
import random
import socket
import time
from collections import deque

from people import OK

now = time.monotonic
ANNOUNCED = 16
#: Addresses in one transaction that nobody changes; that somebody changes.
BLOCK, WATCHED = 100, 5


class Smtp:
    """A client that has said EHLO; replies are single lines."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines(1)
        self.socket.sendall(b"EHLO bench.test\r\n")
        while self.lines(1)[-1][3:4] == b"-":
            pass

    def lines(self, count):
        """So many lines, read octet by octet where there may be more: for the start."""
        text = b""
        while text.count(b"\r\n") < count:
            text += self.socket.recv(1) or self._gone(text)
        return text.split(b"\r\n")[:-1]

    def ask(self, commands, count):
        """Sends commands in one flight; gives the text of their `count` replies."""
        self.socket.sendall(commands)
        text = self.socket.recv(65536) or self._gone(b"")
        while text.count(b"\r\n") < count:
            text += self.socket.recv(65536) or self._gone(text)
        return text

    def _gone(self, text):
        raise OSError(f"the server has closed the connection after {text[-80:]!r}")

    def one(self, address):
        """One RCPT in a transaction of its own: the reply's code, and when it was asked and answered."""
        self.ask(MAIL, 1)
        begun = now()
        reply = self.ask(rcpt(address), 1)
        done = now()
        # One who is good beside it: twenty refusals in a row end a session.
        self.ask(self.good + b"RSET\r\n", 2)
        return reply[:9].decode(), begun, done

    good = b""


MAIL = b"MAIL FROM:<writer@source.test>\r\n"


def rcpt(address):
    return f"RCPT TO:<{address}>\r\n".encode()


class Board:
    """What is being changed just now, for those who want to look there. Shared by all processes."""

    def __init__(self, keys):
        self.keys = list(keys)
        self.place = {key: n for n, key in enumerate(self.keys)}
        self.recent = multiprocessing.RawArray("i", ANNOUNCED)
        self.count = 0

    def announce(self, keys):
        for key in keys:
            if key in self.place:
                self.recent[self.count % ANNOUNCED] = self.place[key]
                self.count += 1

    def some(self, generator):
        """Mostly what is being changed."""
        return [
            self.recent[generator.randrange(ANNOUNCED)] if generator.random() < 0.8 else generator.randrange(len(self.keys))
            for _ in range(WATCHED)
        ]


def blocks(people, seed):
    """Whole transactions of addresses that nobody changes: addresses, commands, replies."""
    order = people.in_turn(seed)
    made = []
    for at in range(0, len(order), BLOCK):
        part = order[at : at + BLOCK]
        # A block ends with somebody good, so that refusals do not add up over two.
        part.append(people.accounts[at % len(people.accounts)])
        commands = MAIL + b"".join(map(rcpt, part)) + b"RSET\r\n"
        made.append((part, commands, [people.replies[one] for one in part]))
    return made


def send(no, port, people, board, until, whole):
    """A sender at full rate: a block, then some that are being changed, again and again, now and then a message."""
    generator, made = random.Random(no), blocks(people, no)
    smtp, sent, messages, wrong, seen = Smtp(port), 0, 0, [], []
    good = rcpt(people.accounts[no])
    turn = 0
    while now() < until:
        part, commands, replies = made[turn % len(made)]
        turn += 1
        told = [line[:9].decode() for line in smtp.ask(commands, len(part) + 2).split(b"\r\n")[1:-2]]
        sent += len(part)
        if told != replies:
            wrong += [(a, t, r) for a, t, r in zip(part, told, replies) if t != r]
        keys = board.some(generator)
        commands = MAIL + good + b"".join(rcpt(board.keys[key]) for key in keys) + b"RSET\r\n"
        begun = now()
        text = smtp.ask(commands, len(keys) + 3)
        done = now()
        sent += len(keys) + 1
        seen += [(key, begun, done, line[:9].decode()) for key, line in zip(keys, text.split(b"\r\n")[2:-2])]
        if whole and turn % whole == 0:
            messages += message(smtp, generator, people)
    return {"sent": sent, "messages": messages, "wrong": wrong, "seen": seen}


def message(smtp, generator, people):
    """A whole message to one here and one elsewhere."""
    commands = MAIL + rcpt(generator.choice(people.accounts)) + rcpt(f"e{generator.randrange(200)}@away.test")
    smtp.ask(commands + b"DATA\r\n", 4)
    reply = smtp.ask(b"Subject: bench\r\n\r\n" + b"x" * 1000 + b"\r\n.\r\n", 1)
    if not reply.startswith(b"250"):
        raise OSError(f"a message was answered {reply!r}")
    return 1


class Http:
    """The admin API."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.head)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise OSError(f"{method} {path} {body}: {response.status} {text.decode()}")
        return text

    def json(self, method, path, body=None):
        return json.loads(self.ask(method, path, body))

    def metrics(self):
        """Samples by name with labels."""
        text = self.ask("GET", "/metrics").decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        return {name: float(value) for name, value in samples}


def resolve(port, token, keys, until):
    """Asks /api/v1/resolve for aliases whose target says which state it is; and what a hit takes the server."""
    api, generator, seen, hits = Http(port, token), random.Random(7), [], []
    while now() < until:
        key = generator.choice(keys)
        begun = now()
        told = api.json("POST", "/api/v1/resolve", {"address": key[1:]})
        seen.append((key, begun, now(), told["recipients"][0]["address"]))
        hits += [step["microseconds"] for step in told["steps"] if step["origin"] == "cache"]
    return {"seen": seen, "hits": hits}


def probe(port, people, cold, until, pause):
    """One RCPT at a time: of somebody asked for just before, and of somebody whom nobody has asked for."""
    smtp, hits, misses = Smtp(port), [], []
    smtp.good = rcpt(people.accounts[1])
    hot = [people.accounts[n] for n in range(100)]
    for address in hot:
        smtp.one(address)
    cold = deque(cold)
    while now() < until and cold:
        for of, address in ((hits, random.choice(hot)), (misses, cold.popleft())):
            reply, begun, done = smtp.one(address)
            if reply != OK:
                raise OSError(f"{address} was answered {reply}")
            of.append((begun, done - begun))
        time.sleep(pause)
    return {"hits": hits, "misses": misses}


class Worker:
    """A process that runs one of these and gives what that returns."""

    def __init__(self, work, *arguments):
        self.here, there = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self._run, args=(there, work, arguments), daemon=True)
        self.process.start()

    @staticmethod
    def _run(there, work, arguments):
        try:
            there.send(work(*arguments))
        except Exception as error:  # noqa: BLE001 whatever it is, the benchmark is over
            there.send(f"{work.__name__}: {type(error).__name__}: {error}")

    def result(self):
        result = self.here.recv()
        self.process.join()
        if isinstance(result, str):
            raise SystemExit(result)
        return result
