#!/usr/bin/env python3
"""Equal hosts of which one is slow, dead or small: what it costs, Remuda beside Postfix.

The hosts are `remuda sink`, on addresses of their own. A healthy one answers the end of a message after 50 ms; a
destination has 10 sessions, so that 200 messages a second are all there can be. Both MTAs wait for each reply
(pipeline_depth = 1): the hosts answer one after the other. Three parts:

  slow  2 hosts, one of them 2 s; 4 hosts, one 10 and one 100 times slower; 2 hosts, one 2 s from 15 s to 40 s
  dead  2 hosts, one accepts and never greets; refuses; never completes a connect
  small 50 domains on one host that allows 5 sessions

Each case of slow and dead runs twice for each MTA, after 5 s of warm-up:
  * full: mail comes faster than it can go. `msg/s` is what arrived at the hosts a second, `of healthy` against the
    same MTA with all hosts at 50 ms, `took` p50/p99 of delivery times by the MTA's log (c+d of delays=: getting a
    session, and the transaction), `open` the mean number of connections to each host, the slow one last.
  * 70 %: 140 messages a second. `delay` p50/p99 of all from our 250 to the host's, `others` p99 of those that did
    not go to the slow host, and `ratio` of that to the healthy p99 of all; `longest` the longest wait of any after
    the first 5 s. Mail still waiting at the end counts with its age, some seconds later, so that what is under way
    at a slow host has ended.
For a host that is slow for a while the figures are of that while (delays from 5 s on: what is under way at a host
that becomes slow holds its sessions, and mail waits behind it), and `again` is how long after it the host first had
half of its fair share of two seconds' mail (full/70 %).
small: `refused` is how many of the connects after the first minute got 421, `of 5` the rate after it against what
five sessions can do (100 a second), `open` the mean number of connections; mail comes 10 % faster than they can
take it. The limit that was learned is not shown yet.
A busy disk or machine shows in all rows: --scratch on a tmpfs takes the disk out of it.

usage: slow_host.py [--seconds N] [--parts slow,dead,small] [--mta NAME,NAME] [--scratch DIR]
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from dns import Dns  # noqa: E402
from pool import address, run  # noqa: E402
from relay import ROOT, Postfix, Remuda  # noqa: E402

SERVICE, SESSIONS = 0.05, 10
CAPACITY = SESSIONS / SERVICE
WARM = 5
#: The host that is slow for a while, and how long it is watched afterwards.
SLOW_FROM, SLOW_UNTIL, WATCHED = 15, 40, 60
DOMAINS, ALLOWED, SMALL_SECONDS, LEARNT = 50, 5, 150, 60


def takes(time, window=""):
    return f'delay = ["dot={time}ms{window}"]'


FAST = takes(50)
WHILE = f'delay = ["dot=50ms", "dot=1950ms@{SLOW_FROM}s..{SLOW_UNTIL}s"]'
#: Name, behaviours (the one in question last), whether it is slow for a while only.
SLOW = [
    ("2 hosts, one 2 s", [FAST, takes(2000)], False),
    ("2 hosts, one 2 s for 25 s", [FAST, WHILE], True),
    ("4 hosts, one 10 times", [FAST, FAST, FAST, takes(500)], False),
    ("4 hosts, one 100 times", [FAST, FAST, FAST, takes(5000)], False),
]
#: Name, behaviours, whether the last host's backlog is full.
DEAD = [
    ("2 hosts, one never greets", [FAST, 'stall = ["connect"]'], False),
    ("2 hosts, one refuses", [FAST, None], False),
    ("2 hosts, one never connects", [FAST, None], True),
]


def remuda(choice):
    def make(port, count):
        class Configured(Remuda):
            name = f"Remuda {choice}"
            routes = '[[route]]\ndomain = "*"\nhosts = [{}]\n'.format(
                ", ".join(f'"{address(n)}:{port}"' for n in range(count))
            )
            extra = (
                f"[delivery]\nconcurrency = {SESSIONS}\ninitial_concurrency = {SESSIONS}\n"
                f'pipeline_depth = 1\nendpoint_choice = "{choice}"\n'
            )

        return Configured

    return make


def postfix(limit):
    def make(port, count):
        class Configured(Postfix):
            name = f"Postfix {limit}"
            extra = "\n".join(
                [
                    f"relayhost = [pool.test]:{port}",
                    "smtp_host_lookup = native",
                    "smtp_dns_support_level = disabled",
                    "smtp_connection_cache_destinations = pool.test",
                    f"default_destination_concurrency_limit = {SESSIONS}",
                    f"initial_destination_concurrency = {SESSIONS}",
                    "smtp_connection_reuse_time_limit = 300s",
                    f"smtp_connection_reuse_count_limit = {10 if limit == 'count' else 0}",
                ]
            )
            hosts = "".join(f"{address(n)} pool.test\n" for n in range(count))

        return Configured

    return make


MTAS = {
    "postfix-time": postfix("time"),
    "postfix-count": postfix("count"),
    "remuda-random": remuda("random"),
    "remuda-adaptive": remuda("adaptive"),
}


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


class Measured:
    """The figures of one MTA at one pool."""

    def __init__(self, mta, scratch, seconds, behaviours, is_for_a_while=False, has_deaf=False):
        count = len(behaviours)
        kind = lambda port: MTAS[mta](port, count)  # noqa: E731
        deaf = count - 1 if has_deaf else None
        slow = SLOW_UNTIL + WATCHED if is_for_a_while else WARM + seconds
        begin, end = (SLOW_FROM, SLOW_UNTIL) if is_for_a_while else (WARM, WARM + seconds)
        last = count - 1
        full = run(kind, scratch, behaviours, CAPACITY * 1.15, 200, slow, deaf=deaf)
        steady = run(kind, scratch, behaviours, CAPACITY * 0.7, 0, slow, grace=8, deaf=deaf)
        self.rate = full.rate(begin, end)
        self.took = full.deliveries(begin, end)
        self.open = full.connections(begin, end)
        settled = begin + WARM if is_for_a_while else begin
        self.delays = steady.delays(settled, end)
        self.others = steady.delays(settled, end, without=last)
        self.longest = steady.longest_wait(WARM)
        self.deferred = full.deferred + steady.deferred
        self.again = None
        if is_for_a_while:
            self.again = [course.taken_again(last, SLOW_UNTIL, count) for course in (full, steady)]


def pair(values, unit=1000, digits=0):
    return "/".join(f"{percentile(values, share) * unit:.{digits}f}" for share in (0.5, 0.99))


def show(case, mta, it, healthy, verdict=""):
    opened = " ".join(f"{mean:.1f}" for mean in it.open)
    others = percentile(it.others, 0.99)
    ratio = others / percentile(healthy.delays, 0.99)
    again = "" if it.again is None else "/".join("never" if after is None else f"{after:.1f}" for after in it.again)
    print(
        f"{case:<27} {mta:<15} {it.rate:>6.1f} {it.rate / healthy.rate:>10.2f} {pair(it.took):>10} {opened:>17}"
        f" {pair(it.delays):>12} {others * 1000:>6.0f} {ratio:>5.1f} {it.longest * 1000:>8.0f} {it.deferred:>8}"
        f" {again:>11} {verdict}",
        flush=True,
    )


def judge(targets):
    """What is met, of names and whether each is."""
    missed = [name for name, is_met in targets if not is_met]
    return "met" if not missed else "MISSED: " + ", ".join(missed)


def judge_slow(it, healthy):
    targets = [
        ("0.85 of healthy", it.rate >= 0.85 * healthy.rate),
        ("others 1.5", percentile(it.others, 0.99) <= 1.5 * percentile(healthy.delays, 0.99)),
    ]
    if it.again is not None:
        targets.append(("again in 60 s", all(after is not None and after <= 60 for after in it.again)))
    return judge(targets)


def judge_dead(it, healthy):
    return judge(
        [
            ("0.9 of healthy", it.rate >= 0.9 * healthy.rate),
            ("longest 1 s", it.longest <= 1),
            ("none deferred", it.deferred == 0),
        ]
    )


def pools(args, scratch, parts):
    """The cases of slow and dead hosts."""
    print(
        f"{'case':<27} {'MTA':<15} {'msg/s':>6} {'of healthy':>10} {'took ms':>10} {'open':>17}"
        f" {'delay ms':>12} {'others':>6} {'ratio':>5} {'longest':>8} {'deferred':>8} {'again s':>11}"
    )
    cases = [(*case, False, judge_slow) for case in SLOW if "slow" in parts]
    cases += [(name, hosts, False, is_deaf, judge_dead) for name, hosts, is_deaf in DEAD if "dead" in parts]
    healthy = {}
    for case, behaviours, is_for_a_while, has_deaf, verdict in cases:
        for mta in args.mta.split(","):
            count = len(behaviours)
            if (mta, count) not in healthy:
                healthy[mta, count] = Measured(mta, scratch, args.seconds, [FAST] * count)
                show(f"{count} hosts, healthy", mta, healthy[mta, count], healthy[mta, count])
            it = Measured(mta, scratch, args.seconds, behaviours, is_for_a_while, has_deaf)
            is_judged = mta == "remuda-adaptive"
            show(case, mta, it, healthy[mta, count], verdict(it, healthy[mta, count]) if is_judged else "")


def small_remuda(dns):
    def make(port):
        class Configured(Remuda):
            routes = ""
            extra = (
                f'[dns]\nservers = ["127.0.0.1:{dns}"]\n'
                f"[delivery]\nsmtp_port = {port}\nallow_loopback = true\npipeline_depth = 1\n"
            )

        return Configured

    return make


def small_postfix(port):
    class Configured(Postfix):
        extra = "\n".join(
            [
                "relayhost =",
                "transport_maps = texthash:$config_directory/transport",
                "smtp_host_lookup = native",
                "smtp_dns_support_level = disabled",
            ]
        )
        files = {"transport": "".join(f"d{n}.test smtp:[d{n}.test]:{port}\n" for n in range(DOMAINS))}
        hosts = "".join(f"{address(0)} d{n}.test\n" for n in range(DOMAINS))

    return Configured


def small(args, scratch):
    """Many domains on a host that allows few sessions."""
    dns = Dns(lambda name: address(0))
    dns.start()
    best = ALLOWED / SERVICE
    print(f"\n{DOMAINS} domains, one host that allows {ALLOWED} sessions; after {LEARNT} s of {SMALL_SECONDS}")
    titles = f"{'MTA':<15} {'msg/s':>6} {'of 5':>6} {'open':>5} {'connects':>8} {'refused':>8} {'share':>7}"
    print(f"{titles} {'deferred':>8}")
    for name, kind in [("postfix", small_postfix), ("remuda", small_remuda(dns.port))]:
        if name not in args.mta:
            continue
        behaviour = f"max_connections = {ALLOWED}\n{FAST}"
        domains = [f"d{n}.test" for n in range(DOMAINS)]
        course = run(kind, scratch, [behaviour], best * 1.1, 200, SMALL_SECONDS, domains=domains)
        rate = course.rate(LEARNT, SMALL_SECONDS)
        came = [c["refused"] for c in course.seen[0]["arrivals"] if c["at"] / 1000 - course.began >= LEARNT]
        share = sum(came) / max(1, len(came))
        (opened,) = course.connections(LEARNT, SMALL_SECONDS)
        verdict = judge([("1 % refused", share <= 0.01), ("0.95 of 5", rate >= 0.95 * best)])
        print(
            f"{name:<15} {rate:>6.1f} {rate / best:>6.2f} {opened:>5.1f} {len(came):>8} {sum(came):>8} {share:>7.1%}"
            f" {course.deferred:>8} {verdict if name == 'remuda' else ''}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="of each run, after the warm-up")
    parser.add_argument("--parts", default="slow,dead,small")
    parser.add_argument("--mta", default=",".join(MTAS))
    parser.add_argument("--scratch", default=str(ROOT / "target/bench"))
    args = parser.parse_args()
    scratch = pathlib.Path(args.scratch).resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    parts = args.parts.split(",")
    if {"slow", "dead"} & set(parts):
        pools(args, scratch, parts)
    if "small" in parts:
        small(args, scratch)


if __name__ == "__main__":
    main()
