"""The people of the directory's benchmark: about ten thousand addresses of every kind, and the reply that each gets.

Nobody of these is changed while it runs; who is, is in changes.py.
"""

import json
import random

OK, UNKNOWN, DISABLED, FORBIDDEN, ELSEWHERE = "250 2.1.5", "550 5.1.1", "550 5.2.1", "550 5.7.1", "554 5.7.1"
DOMAINS, ALIASED, CATCHING = 50, 20, 10


def account(address, **more):
    return {"type": "account", "address": address, **more}


def alias(address, *targets, **more):
    return {"type": "alias", "address": address, "targets": list(targets), **more}


def mailing_list(address, *members, **more):
    return {"type": "list", "address": address, "members": list(members), **more}


class People:
    """`objects` for an import; `replies`: what each address is answered."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.objects = [{"type": "domain", "name": f"d{n}.test"} for n in range(DOMAINS)]
        self.objects += [{"type": "domain", "name": f"c{n}.test", "catch_all": f"box@c{n}.test"} for n in range(CATCHING)]
        self.objects += [{"type": "domain_alias", "name": f"x{n}.test", "domain": f"d{n}.test"} for n in range(ALIASED)]
        self.replies = {}
        self.accounts = [f"u{n}@d{n % DOMAINS}.test" for n in range(4000)]
        self._accounts()
        self._aliases()
        self._lists()
        self._other_names()

    def _add(self, objects, reply=OK):
        for one in objects:
            self.objects.append(one)
            self.replies[one["address"]] = reply

    def some(self, of, least, most):
        return self.random.sample(of, self.random.randint(least, most))

    def _accounts(self):
        self._add(map(account, self.accounts))
        self._add((account(f"off{n}@d{n % DOMAINS}.test", active=False) for n in range(300)), DISABLED)
        boxes = [account(f"box@c{n}.test") for n in range(CATCHING)]
        self._add(boxes)
        to = lambda n: self.random.choice(self.accounts) if n % 2 else f"w{n}@away.test"  # noqa: E731
        self._add(account(f"w{n}@d{n % DOMAINS}.test", forward=to(n), forward_keep=n % 3 == 0) for n in range(300))

    def _aliases(self):
        known = list(self.accounts)
        for n in range(2000):
            targets = self.some(known, 1, 4)
            if n % 5 == 0:
                targets.append(f"a{n}@away.test")
            one = alias(f"a{n}@d{n % DOMAINS}.test", *targets)
            self._add([one])
            if n % 10 == 0:
                known.append(one["address"])

    def _lists(self):
        lists = [mailing_list(f"l{n}@d{n % DOMAINS}.test", *self.some(self.accounts, 2, 10)) for n in range(700)]
        names = [one["address"] for one in lists]
        nested = (mailing_list(f"n{n}@d{n % DOMAINS}.test", *self.some(names, 2, 3)) for n in range(200))
        self._add(lists)
        self._add(nested)

    def _other_names(self):
        """What is no object of its own."""
        self.replies |= {f"u{n}@x{n % DOMAINS}.test": OK for n in range(4000) if n % DOMAINS < ALIASED and n % 2}
        self.replies |= {f"u{n}+tag{n}@d{n % DOMAINS}.test": OK for n in range(800)}
        self.replies |= {f"any{n}@c{n % CATCHING}.test": OK for n in range(300)}
        self.replies |= {f"nobody{n}@d{n % DOMAINS}.test": UNKNOWN for n in range(400)}
        self.replies |= {f"e{n}@away.test": OK for n in range(200)}
        self.replies |= {f"f{n}@foreign{n}.test": ELSEWHERE for n in range(100)}

    def in_turn(self, seed):
        """All addresses in some order, with no more than ten refusals after one another: a client that is refused
        twenty times in a row is shown the door."""
        order = list(self.replies)
        random.Random(seed).shuffle(order)
        refused, told = 0, []
        for address in order:
            refused = 0 if self.replies[address] == OK else refused + 1
            if refused > 10:
                told.append(self.accounts[0])
                refused = 1
            told.append(address)
        return told


def write(path, objects):
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
