"""What is changed while the directory's benchmark runs, what is right at every instant, and who saw something else.

A plot is a generator: first what is to be imported and the reply of each address it watches; then, for ever, a
change and the replies after it. A change is a request of the HTTP API, or SQL.

A look-up reads object after object. One that goes on while a domain and its accounts change together may see the
domain before and the account after the change: such a reply is the third of what is given, and right for look-ups that
the change falls into, and for no other.
"""

import bisect
import dataclasses

from people import DISABLED, ELSEWHERE, FORBIDDEN, OK, UNKNOWN, account, alias, mailing_list

#: Who never changes: in use, out of use, not there.
GOOD, OFF, NOBODY = "good@m.test", "off@m.test", "nobody@m.test"
STAGE = [
    {"type": "domain", "name": "m.test"},
    {"type": "domain", "name": "empty.test"},
    account(GOOD),
    account(OFF, active=False),
]


def patch(kind, name, /, **fields):
    return "PATCH", f"/api/v1/{kind}/{name}", fields


def post(kind, /, **fields):
    return "POST", f"/api/v1/{kind}", fields


def delete(kind, name):
    return "DELETE", f"/api/v1/{kind}/{name}", None


def an_account(n):
    it = f"account{n}@m.test"
    yield [account(it)], {it: OK}
    while True:
        yield patch("accounts", it, active=False), {it: DISABLED}
        yield patch("accounts", it, active=True), {it: OK}
        yield delete("accounts", it), {it: UNKNOWN}
        yield post("accounts", address=it), {it: OK}
        yield patch("accounts", it, forward=OFF, forward_keep=False), {it: DISABLED}
        yield patch("accounts", it, forward=None), {it: OK}


def a_renamed_account(n):
    here, there = f"here{n}@m.test", f"there{n}@m.test"
    yield [account(here)], {here: OK, there: UNKNOWN}
    while True:
        yield patch("accounts", here, address=there), {here: UNKNOWN, there: OK}
        yield patch("accounts", there, address=here), {here: OK, there: UNKNOWN}


def an_alias(n):
    it = f"alias{n}@m.test"
    yield [alias(it, GOOD)], {it: OK}
    while True:
        for target, reply in ((OFF, DISABLED), (GOOD, OK), (NOBODY, UNKNOWN), ("x@away.test", OK)):
            yield patch("aliases", it, targets=[target]), {it: reply}
        yield patch("aliases", it, active=False), {it: DISABLED}
        yield delete("aliases", it), {it: UNKNOWN}
        yield post("aliases", address=it, targets=[GOOD, OFF]), {it: OK}


def an_alias_by_target(n):
    """Watched by /api/v1/resolve, which says which target it is: no two states are alike."""
    it, number = f"exact{n}@m.test", 0
    yield [alias(it, "v0@away.test")], {"=" + it: "v0@away.test"}
    while True:
        number += 1
        target = f"v{number}@away.test"
        yield patch("aliases", it, targets=[target]), {"=" + it: target}


def a_list(n):
    it = f"list{n}@m.test"
    yield [mailing_list(it, GOOD, owner="boss@away.test")], {it: OK}
    while True:
        yield patch("lists", it, mode="announcement"), {it: FORBIDDEN}
        yield patch("lists", it, mode="public"), {it: OK}
        yield patch("lists", it, members=[OFF]), {it: DISABLED}
        yield ("POST", f"/api/v1/lists/{it}/members", {"members": [GOOD]}), {it: OK}
        yield ("DELETE", f"/api/v1/lists/{it}/members", {"members": [GOOD]}), {it: DISABLED}
        yield delete("lists", it), {it: UNKNOWN}
        yield post("lists", address=it, members=[GOOD], owner="boss@away.test"), {it: OK}


def a_domain(n):
    old, new = f"old{n}.test", f"new{n}.test"
    before, after = f"bob@{old}", f"bob@{new}"
    yield [{"type": "domain", "name": old}, account(before)], {before: OK, after: ELSEWHERE}
    while True:
        yield patch("domains", old, active=False), {before: DISABLED}
        yield patch("domains", old, active=True), {before: OK}
        yield patch("domains", old, name=new), {before: ELSEWHERE, after: OK}, UNKNOWN
        yield patch("domains", new, name=old), {before: OK, after: ELSEWHERE}, UNKNOWN
        yield delete("domains", f"{old}?all=true"), {before: ELSEWHERE}, UNKNOWN
        yield post("domains", name=old), {before: UNKNOWN}
        yield post("accounts", address=before), {before: OK}


def a_domain_alias(n):
    name = f"other{n}.test"
    it = f"good@{name}"
    yield [], {it: ELSEWHERE}
    while True:
        yield post("domain-aliases", name=name, domain="m.test"), {it: OK}
        yield patch("domain-aliases", name, domain="empty.test"), {it: UNKNOWN}
        yield patch("domain-aliases", name, active=False), {it: DISABLED}
        yield delete("domain-aliases", name), {it: ELSEWHERE}


def a_catch_all(n):
    name = f"catch{n}.test"
    it, box = f"any@{name}", f"box@{name}"
    yield [{"type": "domain", "name": name}, account(box)], {it: UNKNOWN, box: OK}
    while True:
        yield patch("domains", name, catch_all=box), {it: OK}
        yield patch("accounts", box, active=False), {it: DISABLED, box: DISABLED}
        yield patch("domains", name, catch_all=None), {it: UNKNOWN}
        yield patch("accounts", box, active=True), {it: UNKNOWN, box: OK}, OK


def a_separator(n):
    name = f"plus{n}.test"
    plus, minus = f"bob+x@{name}", f"bob-x@{name}"
    yield [{"type": "domain", "name": name}, account(f"bob@{name}")], {plus: OK, minus: UNKNOWN}
    while True:
        yield patch("domains", name, plus_separator="-"), {plus: UNKNOWN, minus: OK}
        yield patch("domains", name, plus_addressing=False), {minus: UNKNOWN}
        yield patch("domains", name, plus_addressing=True, plus_separator="+"), {plus: OK}


def one_address_after_the_other(n):
    """An account, then an alias, then a list of one address: three caches."""
    it = f"turn{n}@m.test"
    yield [account(it)], {it: OK}
    while True:
        yield delete("accounts", it), {it: UNKNOWN}
        yield post("aliases", address=it, targets=[OFF]), {it: DISABLED}
        yield delete("aliases", it), {it: UNKNOWN}
        yield post("lists", address=it, members=[GOOD], mode="announcement"), {it: FORBIDDEN}
        yield delete("lists", it), {it: UNKNOWN}
        yield post("accounts", address=it), {it: OK}


def an_account_by_sql(n):
    it = f"sql-account{n}@m.test"
    local = it.split("@")[0]
    yield [account(it)], {it: OK}
    while True:
        yield f"UPDATE account SET active = false WHERE address = '{it}';", {it: DISABLED}
        yield f"UPDATE account SET active = true WHERE address = '{it}';", {it: OK}
        yield f"DELETE FROM account WHERE address = '{it}';", {it: UNKNOWN}
        yield f"INSERT INTO account (local_part, domain) VALUES ('{local}', 'm.test');", {it: OK}


def an_alias_by_sql(n):
    it = f"sql-alias{n}@m.test"
    ids = f"SELECT id FROM alias WHERE address = '{it}'"
    yield [alias(it, GOOD)], {it: OK}
    while True:
        yield f"UPDATE alias_target SET address = '{OFF}' WHERE alias_id = ({ids});", {it: DISABLED}
        yield f"UPDATE alias_target SET address = '{NOBODY}' WHERE alias_id = ({ids});", {it: UNKNOWN}
        yield f"UPDATE alias_target SET address = '{GOOD}' WHERE alias_id = ({ids});", {it: OK}


def a_list_by_sql(n):
    it = f"sql-list{n}@m.test"
    ids = f"SELECT id FROM list WHERE address = '{it}'"
    yield [mailing_list(it, OFF)], {it: DISABLED}
    while True:
        yield f"INSERT INTO list_member (list_id, address) SELECT id, '{GOOD}' FROM list WHERE address = '{it}';", {it: OK}
        yield f"UPDATE list SET mode = 'announcement' WHERE address = '{it}';", {it: FORBIDDEN}
        yield f"UPDATE list SET mode = 'public' WHERE address = '{it}';", {it: OK}
        yield f"DELETE FROM list_member WHERE address = '{GOOD}' AND list_id = ({ids});", {it: DISABLED}


def a_domain_by_sql(n):
    old, new = f"sql-old{n}.test", f"sql-new{n}.test"
    before, after = f"bob@{old}", f"bob@{new}"
    yield [{"type": "domain", "name": old}, account(before)], {before: OK, after: ELSEWHERE}
    while True:
        yield f"UPDATE domain SET active = false WHERE name = '{old}';", {before: DISABLED}
        yield f"UPDATE domain SET active = true WHERE name = '{old}';", {before: OK}
        yield f"UPDATE domain SET name = '{new}' WHERE name = '{old}';", {before: ELSEWHERE, after: OK}, UNKNOWN
        yield f"UPDATE domain SET name = '{old}' WHERE name = '{new}';", {before: OK, after: ELSEWHERE}, UNKNOWN


def a_domain_alias_by_sql(n):
    name = f"sql-other{n}.test"
    it = f"good@{name}"
    yield [], {it: ELSEWHERE}
    while True:
        yield f"INSERT INTO domain_alias (name, domain) VALUES ('{name}', 'm.test');", {it: OK}
        yield f"UPDATE domain_alias SET domain = 'empty.test' WHERE name = '{name}';", {it: UNKNOWN}
        yield f"DELETE FROM domain_alias WHERE name = '{name}';", {it: ELSEWHERE}


BY_ADMIN = [
    an_account, a_renamed_account, an_alias, an_alias_by_target, a_list, a_domain, a_domain_alias, a_catch_all,
    a_separator, one_address_after_the_other,
]  # fmt: skip
BY_SQL = [an_account_by_sql, an_alias_by_sql, a_list_by_sql, a_domain_by_sql, a_domain_alias_by_sql]


class Plots:
    """Each plot some times over: what is imported for them, and the first state of what they watch."""

    def __init__(self, plots, times):
        self.running, self.objects, self.first = [], [], {}
        for n in range(times):
            for plot in plots:
                running = plot(n)
                objects, states = next(running)
                self.running.append(running)
                self.objects += objects
                self.first |= states


@dataclasses.dataclass
class Change:
    """One that was made: when it began and ended, the replies after it, the one that may be seen meanwhile."""

    began: float
    ended: float
    states: dict
    between: str | None
    by: str


def following(plot):
    """A plot's next change: how, the replies after it, the one that may be seen meanwhile."""
    how, states, *between = next(plot)
    return how, states, *(between or [None])


class History:
    """What one address was, in order: each change with when it began and ended."""

    def __init__(self, state):
        self.began, self.ended, self.states, self.by = [float("-inf")], [float("-inf")], [state], ["import"]
        self.between = [None]

    def add(self, change, state):
        self.began.append(change.began)
        self.ended.append(change.ended)
        self.states.append(state)
        self.by.append(change.by)
        self.between.append(change.between)

    def right(self, begun, done, grace):
        """The states that a look-up may show which began and ended then: none that a change had ended by its
        reply (and `grace` seconds) before it began, and none from after its end."""
        last = bisect.bisect_right(self.began, done) - 1
        first = max(0, bisect.bisect_left(self.ended, begun - grace) - 1)
        return self.states[first : last + 1] + self.between[first + 1 : last + 1]

    def told(self, at):
        """The changes around an instant, for people."""
        lines = []
        for began, ended, state, by in zip(self.began, self.ended, self.states, self.by):
            if at - 2 < ended < at + 0.5 or ended == float("-inf"):
                lines.append(f"    {began - at:+9.4f} .. {ended - at:+9.4f} s  {state}  {by}")
        return "\n".join(lines[-12:])


def violations(histories, seen, grace):
    """Of look-ups (address, begun, done, state): those that show what they must not."""
    return [
        (address, begun, done, state)
        for address, begun, done, state in seen
        if state not in histories[address].right(begun, done, grace)
    ]
