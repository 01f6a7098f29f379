#!/usr/bin/env python3
"""The directory under change and under an import: is what is answered right, how soon, and at what price?

A server over SQLite, then one over PostgreSQL, each filled by `remuda import` with ten thousand addresses of every
kind (people.py) and with what is changed (changes.py). Nobody may relay, so each RCPT says what its address means.

  coherence  8 senders at full rate ask for all addresses and, most of all, for those that are just being changed; an
             admin changes, renames, disables, creates and deletes by the HTTP API, in bursts; somebody edits by SQL.
             `violations` are look-ups begun after the reply to a change that show what was before it; by SQL, those
             begun later than 500 ms (SQLite) or 100 ms (PostgreSQL) after the commit: each is printed with the
             history of its address, and any ends the benchmark with an error. `wrong` are replies to addresses that
             nobody changes. `edits` is how long after its commit each direct edit was first seen. `hit` and `miss`
             are round trips of one RCPT, answered from memory and by one query, in an idle server and in this one;
             `loads` what queries took by the server's own histogram (the bounds that p50 and p99 are within).
  import     100,000 accounts by `remuda import` into the running server, while 8 clients ask for one address after
             the other, 2 ms apart: their round trips before, meanwhile and after, and how often the cache was flushed.

usage: directory.py [--store sqlite,postgres] [--seconds N] [--parts coherence,import] [--accounts N]
                    [--changes N] [--whole N] [--scratch DIR]
"""

import argparse
import contextlib
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from changes import BY_ADMIN, BY_SQL, STAGE, Change, History, Plots, following, violations  # noqa: E402
from lookups import MAIL, Board, Http, Smtp, Worker, now, probe, rcpt, resolve, send  # noqa: E402
from people import People, account, write  # noqa: E402
from postgres import Postgres  # noqa: E402
from relay import ROOT, Remuda, Sink  # noqa: E402

BINARY = ROOT / "target/release/remuda"
SENDERS, LOOKERS = 8, 8
#: Until a direct edit must be seen, in seconds.
EDIT_MAX = {"sqlite": 0.5, "postgres": 0.1}
#: Of accounts that are asked for once.
COLD = 20_000
COLD_DOMAIN = {"type": "domain", "name": "cold.test"}


class Sqlite:
    """The store in a file, and the tool that people edit it with."""

    name = "sqlite"
    server = None

    def begin(self, _):
        return 'url = "sqlite:directory.db"'

    def tool(self, mta):
        return ["stdbuf", "-oL", "sqlite3", "-batch", "-bail", "-cmd", ".timeout 5000", mta.dir / "data/directory.db"], ".print"

    def transactions(self):
        return None


class Postgresql:
    name = "postgres"

    def begin(self, stack):
        self.server = Postgres()
        stack.callback(self.server.stop)
        self.database = self.server.database()
        return f'url = "{self.server.url(self.database)}"'

    def tool(self, _):
        return ["stdbuf", "-oL", *self.server.psql(self.database)], "\\echo"

    def transactions(self):
        return self.server.transactions(self.database)


STORES = {"sqlite": Sqlite, "postgres": Postgresql}


class Sql:
    """The database's own tool, kept open: each statement is committed when `run` returns."""

    def __init__(self, command, say):
        pipe = subprocess.PIPE
        self.tool = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.say = say

    def run(self, statement):
        self.tool.stdin.write(f"{statement}\n{self.say} done\n")
        self.tool.stdin.flush()
        said = []
        while (line := self.tool.stdout.readline()) != "done\n":
            said.append(line)
            if not line or "rror" in line:
                raise OSError(f"{statement}: {said}")


class Server:
    """Remuda over a store, with what is imported, the admin API, and the port for mail."""

    def __init__(self, stack, store, scratch, objects):
        sink = Sink(scratch)
        stack.callback(sink.stop)
        directory = store.begin(stack)

        class Configured(Remuda):
            routes = f'[[route]]\ndomain = "away.test"\nhosts = ["127.0.0.1:{sink.port}"]\naccept = true\n'
            extra = f"[relay]\nnetworks = []\n[directory]\n{directory}\n"

        self.mta = Configured(scratch, 0)
        stack.callback(self.mta.stop)
        self.port, self.scratch = self.mta.port, scratch
        self.admin = int(re.search(r'\[admin\]\naddress = "127.0.0.1:(\d+)"', self.mta.config.read_text()).group(1))
        # It takes connections before it is ready; the token is the last that it makes.
        token = self.mta.dir / "data/admin.token"
        while not token.exists() or not token.read_text():
            time.sleep(0.02)
        self.token = token.read_text().strip()
        self.api = Http(self.admin, self.token)
        self.load(objects)

    def load(self, objects):
        """Imports objects; gives when that began and ended."""
        with tempfile.NamedTemporaryFile(suffix=".json", dir=self.scratch) as file:
            write(pathlib.Path(file.name), objects)
            began = now()
            command = [BINARY, "import", file.name, "--config", self.mta.config]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"the import failed: {done.stderr}")
            return began, now()

    def flushes(self):
        types = self.api.json("GET", "/api/v1/object-cache")["types"]
        return {kind: sum(types[kind]["flushes"].values()) for kind in types}


def administrate(port, token, plots, board, until, rate):
    """Changes by the API, in bursts on one thing, `rate` a second; gives each with when it began and ended."""
    api, generator, made = Http(port, token), random.Random(3), []
    due = now()
    while now() < until:
        plot = generator.choice(plots.running)
        burst = generator.randint(1, 6)
        for _ in range(burst):
            (method, path, body), states, between = following(plot)
            board.announce(states)
            began = now()
            api.ask(method, path, body)
            ended = now()
            made.append(Change(began, ended, states, between, f"{method} {path} {body or ''}"))
        due += burst / rate
        time.sleep(max(0, due - now()))
    return made


def edit(port, command, plots, board, until, longest):
    """Changes by SQL, each watched until it is seen; gives them, and how long each took to be seen."""
    sql, smtp, generator, made, seen_after = Sql(*command), Smtp(port), random.Random(5), [], []
    while now() < until:
        plot = generator.choice(plots.running)
        statement, states, between = following(plot)
        board.announce(states)
        began = now()
        sql.run(statement)
        ended = now()
        made.append(Change(began, ended, states, between, statement))
        address, state = next(iter(states.items()))
        while True:
            asked = now()
            smtp.ask(MAIL, 1)
            reply = smtp.ask(rcpt(address), 1)[:9].decode()
            smtp.ask(rcpt("good@m.test") + b"RSET\r\n", 2)
            if reply == state or asked > ended + 20 * longest:
                break
        seen_after.append(max(0.0, asked - ended))
        time.sleep(generator.random() * 0.1)
    return {"made": made, "seen_after": seen_after}


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def millis(values, shares=(0.5, 0.99)):
    return "/".join(f"{percentile(values, share) * 1000:.2f}" for share in shares) + " ms"


def took(told):
    return [duration for _, duration in told]


class Coherence:
    """One store's run."""

    def __init__(self, store, scratch, args):
        self.store, self.args, self.longest = store, args, EDIT_MAX[store.name]
        self.people = People()
        self.by_admin, self.by_sql = Plots(BY_ADMIN, 4), Plots(BY_SQL, 3)
        self.first = self.by_admin.first | self.by_sql.first
        self.board = Board(key for key in self.first if not key.startswith("="))
        with contextlib.ExitStack() as stack:
            self._run(stack, scratch)

    def _run(self, stack, scratch):
        args, store, people, board = self.args, self.store, self.people, self.board
        cold = [f"k{n}@cold.test" for n in range(COLD)]
        objects = [*people.objects, *STAGE, *self.by_admin.objects, *self.by_sql.objects]
        server = Server(stack, store, scratch, [*objects, COLD_DOMAIN, *map(account, cold)])
        port, api = server.port, server.api
        self.quiet = Worker(probe, port, people, cold[: COLD // 2], now() + 3, 0).result()
        until = now() + args.warm + args.seconds
        exact = [key for key in self.first if key.startswith("=")]
        senders = [Worker(send, no, port, people, board, until, args.whole) for no in range(SENDERS)]
        resolving = Worker(resolve, server.admin, server.token, exact, until)
        time.sleep(args.warm)
        probing = Worker(probe, port, people, cold[COLD // 2 :], until, 0.01)
        changing = Worker(administrate, server.admin, server.token, self.by_admin, board, until, args.changes)
        editing = Worker(edit, port, store.tool(server.mta), self.by_sql, board, until, self.longest)
        api.ask("POST", "/api/v1/object-cache/reset-stats")
        before, counted, began = api.metrics(), store.transactions(), now()
        time.sleep(until - now() - 0.2)
        after, self.status = api.metrics(), api.json("GET", "/api/v1/object-cache")["types"]
        self.seconds = now() - began
        self.metrics = {name: value - before.get(name, 0) for name, value in after.items()}
        self.sent = [sender.result() for sender in senders]
        self.resolved, self.probed = resolving.result(), probing.result()
        self.made, self.edited = changing.result(), editing.result()
        self.transactions = None
        if counted is not None:
            # The database publishes what it counts a second later.
            time.sleep(1.5)
            self.transactions = (store.transactions() - counted) / (self.seconds + 1.7)

    def judge(self):
        """Finds who saw what was not right; gives how many."""
        self.wrong = [one for each in self.sent for one in each["wrong"]]
        keys = self.board.keys
        seen = [(keys[key], *rest) for each in self.sent for key, *rest in each["seen"]] + self.resolved["seen"]
        self.watched = len(seen)
        self.histories = {key: History(state) for key, state in self.first.items()}
        for change in sorted(self.made + self.edited["made"], key=lambda change: change.began):
            for key, state in change.states.items():
                self.histories[key].add(change, state)
        self.stale = violations(self.histories, [one for one in seen if one[0] in self.by_admin.first], 0)
        self.late = violations(self.histories, [one for one in seen if one[0] in self.by_sql.first], self.longest)
        self.unseen = [took for took in self.edited["seen_after"] if took > self.longest]
        return len(self.wrong) + len(self.stale) + len(self.late) + len(self.unseen)

    def sum(self, name):
        return sum(value for sample, value in self.metrics.items() if sample.startswith(name))

    def within(self, share):
        """The bound that a share of the loads was within, in milliseconds, by the server's histogram."""
        sums = {}
        for sample, value in self.metrics.items():
            if bound := re.match(r'remuda_object_cache_load_seconds_bucket.*le="([^"]+)"', sample):
                sums[float(bound.group(1))] = sums.get(float(bound.group(1)), 0) + value
        whole = sums.get(float("inf"), 0)
        return 1000 * next((bound for bound in sorted(sums) if sums[bound] >= whole * share), float("nan"))

    def report(self):
        args, edits, hits = self.args, self.edited["seen_after"], self.resolved["hits"]
        rcpts, messages = (sum(one[what] for one in self.sent) for what in ("sent", "messages"))
        replies = [change.ended - change.began for change in self.made]
        counted = "" if self.transactions is None else f", {self.transactions:.0f} transactions/s by the server's count"
        rates = (f"{kind} {of['hit_rate']}/{of['without_query'] * 100:.2f}" for kind, of in self.status.items() if of["loads"])
        lookups = self.sum("remuda_object_cache_lookups_total")
        loads = self.sum("remuda_object_cache_loads_total")
        rows = {
            "look-ups": f"{rcpts / (args.warm + args.seconds):.0f} RCPT/s, {lookups / self.seconds:.0f}/s in the cache; {self.watched} of watched addresses; {messages} whole messages",
            "changes": f"{len(self.made)} by the API, replies {millis(replies)}; {len(edits)} by SQL",
            "violations": f"{len(self.stale)} after a reply, {len(self.late) + len(self.unseen)} after an edit; {len(self.wrong)} wrong",
            "edits": f"p50/p90/p99 {millis(edits, (0.5, 0.9, 0.99))}, at most {max(edits) * 1000:.1f} ms (limit {self.longest * 1000:.0f})",
            "database": f"{loads / self.seconds:.0f} queries/s{counted}; without a query {100 - 100 * loads / lookups:.2f} %",
            "rates": f"hMailServer's/without a query, %: {', '.join(rates)}",
            "hit": f"p50/p99 {millis(took(self.quiet['hits']))} idle, {millis(took(self.probed['hits']))} loaded; {percentile(hits, 0.5)}/{percentile(hits, 0.99)} us a look-up by resolve",
            "miss": f"p50/p99 {millis(took(self.quiet['misses']))} idle, {millis(took(self.probed['misses']))} loaded; loads within {self.within(0.5):g}/{self.within(0.99):g} ms",
        }
        print(f"{self.store.name}: {args.seconds:.0f} s, {len(self.people.replies)} addresses, {len(self.first)} watched beside them")
        for name, text in rows.items():
            print(f"  {name:<12} {text}")
        self._complain()

    def _complain(self):
        for address, reply, right in self.wrong[:5]:
            print(f"    WRONG {address}: {reply}, right is {right}")
        for address, begun, done, state in (self.stale + self.late)[:5]:
            print(f"    VIOLATION {address}: {state}, asked for {(done - begun) * 1000:.2f} ms")
            print(self.histories[address].told(begun))
        for took_ in self.unseen[:5]:
            print(f"    VIOLATION an edit was seen after {took_ * 1000:.1f} ms")
        sys.stdout.flush()


def coherence(store, scratch, args):
    """One store's run; gives how many violations there were."""
    run = Coherence(store, scratch, args)
    faults = run.judge()
    run.report()
    return faults


def importing(store, scratch, args):
    """100,000 accounts at once; gives how many flushes of the cache there were too many or too few."""
    people = People()
    cold = [f"k{n}@cold.test" for n in range(COLD * 2)]
    objects = [*people.objects, COLD_DOMAIN, *map(account, cold), {"type": "domain", "name": "big.test"}]
    with contextlib.ExitStack() as stack:
        server = Server(stack, store, scratch, objects)
        stop = stack.enter_context(tempfile.NamedTemporaryFile(dir=scratch))
        shares = [cold[no::LOOKERS] for no in range(LOOKERS)]
        lookers = [Worker(look, server.port, people, share, stop.name) for share in shares]
        time.sleep(args.around)
        before = server.flushes()
        began, ended = server.load([account(f"b{n}@big.test") for n in range(args.accounts)])
        time.sleep(args.around)
        after = server.flushes()
        pathlib.Path(stop.name).write_text("stop")
        told = [looker.result() for looker in lookers]
    flushes = {kind: after[kind] - before[kind] for kind in after}
    seconds = ended - began
    print(f"{store.name}: {args.accounts} accounts imported in {seconds:.2f} s ({args.accounts / seconds:.0f}/s); flushes: {flushes}")
    for of in ("hits", "misses"):
        for when, start, end in (("before", 0, began), ("meanwhile", began, ended), ("after", ended, float("inf"))):
            waits = [wait for one in told for at, wait in one[of] if start <= at < end]
            longest = max(waits, default=float("nan"))
            print(f"  {of:<7} {when:<10} {len(waits):>7} p50/p99/p99.9 {millis(waits, (0.5, 0.99, 0.999))}, longest {longest * 1000:.1f} ms")
    sys.stdout.flush()
    return sum(abs(count - (kind == "account")) for kind, count in flushes.items())


def look(port, people, cold, stop):
    """A client that asks for one address after the other, 2 ms apart; one in ten is one whom nobody has asked for."""
    smtp, told = Smtp(port), {"hits": [], "misses": []}
    smtp.good = rcpt(people.accounts[1])
    hot = [people.accounts[n] for n in range(500)]
    for address in hot:
        smtp.one(address)
    turn = 0
    while not pathlib.Path(stop).read_text():
        turn += 1
        is_cold = turn % 10 == 0 and cold
        address = cold.pop() if is_cold else random.choice(hot)
        reply, begun, done = smtp.one(address)
        if reply[:3] != "250":
            raise OSError(f"{address} was answered {reply}")
        told["misses" if is_cold else "hits"].append((begun, done - begun))
        time.sleep(0.002)
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="sqlite,postgres")
    parser.add_argument("--parts", default="coherence,import")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=5, help="seconds before what is measured")
    parser.add_argument("--changes", type=float, default=100, help="by the API, a second")
    parser.add_argument("--whole", type=int, default=50, help="one message in so many transactions; 0: none")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--around", type=float, default=5, help="seconds before and after the import")
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    parts = {"coherence": coherence, "import": importing}
    faults = 0
    for part in args.parts.split(","):
        for name in args.store.split(","):
            faults += parts[part](STORES[name](), scratch, args)
    if faults:
        sys.exit(f"{faults} faults")


if __name__ == "__main__":
    main()
