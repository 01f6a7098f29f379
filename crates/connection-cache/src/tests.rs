//! The cache's rules, one test each, with the scenario of the reference that asks for it.

use std::{net::SocketAddr, time::Duration};

use remuda_mail::{Capabilities, Clear, Protocol, Sources, Tls, TlsLevel, TlsPolicy};

use super::*;

pub(crate) fn endpoint(n: u8) -> Endpoint {
    Endpoint::Tcp(SocketAddr::from(([192, 0, 2, n], 25)))
}

pub(crate) fn at(millis: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_millis(millis)
}

pub(crate) fn limits() -> Limits {
    Limits {
        sessions_max: 4,
        sessions_per_endpoint_max: 3,
        idle_max: Duration::from_secs(2),
        reuse_max: Duration::from_secs(300),
        reuse_count_max: 0,
        seed: 7,
    }
}

pub(crate) fn facts(n: u8) -> Facts {
    Facts {
        endpoint: endpoint(n),
        protocol: Protocol::Smtp,
        source: None,
        host: "mx.test".into(),
        helo_name: "us.test".into(),
        is_tls_implicit: false,
        tls: Tls::Clear(Clear::ByPolicy),
        credentials: None,
        capabilities: Capabilities::default(),
        opened: Monotonic::ZERO,
        uses: 1,
        last_used: Monotonic::ZERO,
        refused_in_a_row: 0,
        recipient_domains: Vec::new(),
    }
}

pub(crate) fn destination(name: &str) -> Destination {
    Destination::from_key(name)
}

pub(crate) fn requirements(name: &str, endpoints: &[u8]) -> Requirements {
    Requirements {
        protocol: Protocol::Smtp,
        destination: destination(name),
        endpoints: endpoints.iter().copied().map(endpoint).collect(),
        hosts: endpoints.iter().map(|_| "mx.test".into()).collect(),
        sources: Sources::default(),
        helo_name: "us.test".into(),
        tls: TlsPolicy {
            level: TlsLevel::None,
            ..TlsPolicy::default()
        },
        credentials: None,
        smtputf8: false,
        size: 1000,
        recipient_domain: name.parse().unwrap(),
        fresh: false,
        reuse_count_max: 0,
    }
}

/// T22: a limit of the destination's own replaces the general one, upwards too.
#[test]
fn a_destination_bears_as_many_reuses_as_it_says() {
    for (own, uses, stays) in [
        (None, 6, false),
        (Some(9), 6, true),
        (Some(0), 99, true),
        (Some(2), 3, false),
    ] {
        let mut limits = limits();
        limits.reuse_count_max = 5;
        let mut cache = ConnectionCache::new(limits);
        let parked = Parked {
            facts: Facts { uses, ..facts(1) },
            destination: destination("a.test"),
            since: at(0),
            reuse_count_max: own,
        };
        assert_eq!(
            cache.park_as(SessionId(1), parked).is_none(),
            stays,
            "{own:?} {uses}"
        );
    }
}

fn cache() -> ConnectionCache {
    ConnectionCache::new(limits())
}

fn park(cache: &mut ConnectionCache, id: u64, n: u8, now: Monotonic) -> Option<(SessionId, Leaving)> {
    let gone = cache.park(SessionId(id), facts(n), destination("a.test"), now);
    cache.assert_consistent();
    gone
}

fn take(cache: &mut ConnectionCache, n: u8, now: Monotonic) -> Option<u64> {
    let taken = cache.take_by_endpoint(endpoint(n), &requirements("a.test", &[n]), now);
    cache.assert_consistent();
    taken.map(|(session, _)| session.0)
}

fn take_bound(cache: &mut ConnectionCache, name: &str, endpoints: &[u8], now: Monotonic) -> Option<u64> {
    let taken = cache.take_by_destination(&requirements(name, endpoints), |_| true, now);
    cache.assert_consistent();
    taken.map(|(session, _)| session.0)
}

/// T04, newest first on purpose: the warmest is used, and surplus ages out.
#[test]
fn the_newest_session_is_taken_first_and_each_once() {
    let mut cache = cache();
    for id in 1..=3 {
        assert_eq!(park(&mut cache, id, 1, at(id)), None);
    }
    let taken: Vec<_> = (0..4).map(|_| take(&mut cache, 1, at(10))).collect();
    assert_eq!(taken, [Some(3), Some(2), Some(1), None]);
}

/// T03.
#[test]
fn an_idle_session_leaves_at_its_limit_and_not_before() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(100));
    assert_eq!(cache.next_deadline(), Some(at(2100)));
    assert_eq!(cache.expire(at(2099)), []);
    assert_eq!(cache.expire(at(2100)), [(SessionId(1), Leaving::Idle)]);
    assert!(cache.is_empty());
}

#[test]
fn nothing_expired_is_handed_out_even_if_expire_is_late() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(0));
    cache.bind(&destination("a.test"), endpoint(1), at(1900));
    assert_eq!(take(&mut cache, 1, at(2000)), None);
    assert_eq!(take_bound(&mut cache, "a.test", &[1], at(2000)), None);
    assert_eq!(cache.expire(at(9000)), [(SessionId(1), Leaving::Idle)]);
}

/// T06.
#[test]
fn a_binding_without_sessions_gives_way_to_one_that_has() {
    let mut cache = cache();
    cache.bind(&destination("a.test"), endpoint(1), at(0));
    cache.bind(&destination("a.test"), endpoint(2), at(0));
    park(&mut cache, 5, 2, at(0));
    assert_eq!(take_bound(&mut cache, "a.test", &[1, 2], at(1)), Some(5));
}

/// T07.
#[test]
fn binding_again_restarts_its_time_only() {
    let mut cache = cache();
    cache.bind(&destination("a.test"), endpoint(1), at(0));
    cache.bind(&destination("a.test"), endpoint(1), at(1000));
    assert!(cache.is_bound(&destination("a.test"), endpoint(1), at(2999)));
    assert!(!cache.is_bound(&destination("a.test"), endpoint(1), at(3000)));
    cache.expire(at(3000));
    assert_eq!(cache.next_deadline(), None);
    cache.assert_consistent();
}

/// T20, T21: the clock starts before connect, and the end of life clips the idle time.
#[test]
fn a_session_past_its_life_is_neither_kept_nor_handed_out() {
    let mut cache = cache();
    let ends = limits().life_ends(SessionId(1), Monotonic::ZERO);
    let half_a_second = Duration::from_millis(500);
    let before = Monotonic::ZERO + (ends.since_start() - half_a_second);
    assert_eq!(park(&mut cache, 1, 1, before), None);
    assert_eq!(cache.next_deadline(), Some(ends));
    assert_eq!(take(&mut cache, 1, ends), None);
    assert_eq!(cache.expire(ends), [(SessionId(1), Leaving::Age)]);
    let late = cache.park(SessionId(1), facts(1), destination("a.test"), ends);
    assert_eq!(late, Some((SessionId(1), Leaving::Age)));
}

/// T24.
#[test]
fn at_a_bound_the_session_idle_longest_gives_way() {
    let mut cache = cache();
    for id in 1..=3 {
        park(&mut cache, id, 1, at(id));
    }
    let gone = park(&mut cache, 4, 1, at(4));
    assert_eq!(gone, Some((SessionId(1), Leaving::Evicted)), "per endpoint");
    assert_eq!(park(&mut cache, 5, 2, at(5)), None);
    let gone = park(&mut cache, 6, 3, at(6));
    assert_eq!(gone, Some((SessionId(2), Leaving::Evicted)), "in all");
    assert_eq!(cache.len(), 4);
}

#[test]
fn a_cache_without_room_returns_what_is_parked() {
    let mut none = limits();
    none.sessions_max = 0;
    let mut cache = ConnectionCache::new(none);
    let gone = cache.park(SessionId(1), facts(1), destination("a.test"), at(0));
    assert_eq!(gone, Some((SessionId(1), Leaving::Evicted)));
}

/// T50: one miss by destination, one hit by address; bound, it is found by destination too.
#[test]
fn another_destination_finds_the_session_by_its_address() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(0));
    cache.bind(&destination("a.test"), endpoint(1), at(0));
    assert_eq!(take_bound(&mut cache, "b.test", &[1], at(1)), None);
    let wanted = requirements("b.test", &[1]);
    assert!(cache.take_by_endpoint(endpoint(1), &wanted, at(1)).is_some());
    cache.park(SessionId(1), facts(1), destination("b.test"), at(2));
    cache.bind(&destination("b.test"), endpoint(1), at(2));
    assert_eq!(take_bound(&mut cache, "b.test", &[1], at(3)), Some(1));
    let counts = cache.statistics();
    assert_eq!((counts.destination_hits, counts.destination_misses), (1, 1));
    assert_eq!((counts.address_hits, counts.address_misses), (1, 0));
}

/// T58: both addresses of one host are endpoints of their own under one destination.
#[test]
fn a_destination_finds_the_newest_over_all_its_endpoints() {
    let mut cache = cache();
    for n in [1, 2] {
        cache.bind(&destination("a.test"), endpoint(n), at(0));
    }
    park(&mut cache, 1, 1, at(0));
    park(&mut cache, 2, 2, at(1));
    park(&mut cache, 3, 1, at(2));
    let taken: Vec<_> = (0..3)
        .map(|_| take_bound(&mut cache, "a.test", &[1, 2], at(3)))
        .collect();
    assert_eq!(taken, [Some(3), Some(2), Some(1)]);
}

/// T74.
#[test]
fn a_bound_endpoint_outside_the_address_set_is_not_used() {
    let mut cache = cache();
    cache.bind(&destination("a.test"), endpoint(1), at(0));
    park(&mut cache, 1, 1, at(0));
    assert_eq!(take_bound(&mut cache, "a.test", &[2], at(1)), None);
    assert_eq!(cache.statistics().unfit.get("endpoint"), Some(&1));
    assert_eq!(cache.len(), 1, "it stays for others");
}

/// Design §5, Limits: idle time is at most what the endpoint is known to tolerate.
#[test]
fn an_endpoint_that_tolerates_less_idle_time_is_left_sooner() {
    let mut cache = cache();
    for (id, idle_max) in [(1, 500), (2, 9000)] {
        park(&mut cache, id, 1, at(0));
        cache.shorten_idle(SessionId(id), Duration::from_millis(idle_max));
        cache.assert_consistent();
    }
    assert_eq!(cache.next_deadline(), Some(at(500)));
    let mut longer = limits();
    longer.idle_max = Duration::from_secs(5);
    assert_eq!(
        cache.set_limits(longer, at(100)),
        [],
        "a reload keeps what was learned"
    );
    cache.assert_consistent();
    assert_eq!(cache.expire(at(500)), [(SessionId(1), Leaving::Idle)]);
    assert_eq!(
        cache.expire(at(5000)),
        [(SessionId(2), Leaving::Idle)],
        "ours still holds"
    );
}

#[test]
fn a_dead_session_is_removed_once() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(0));
    assert!(cache.remove(SessionId(1)).is_some());
    assert!(cache.remove(SessionId(1)).is_none());
    cache.assert_consistent();
}

/// T80: everything comes out, to be told QUIT.
#[test]
fn draining_returns_what_is_named_and_keeps_the_rest() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(0));
    park(&mut cache, 2, 2, at(1));
    let gone = cache.drain(|parked| parked.facts.endpoint == endpoint(1));
    assert_eq!(gone, [(SessionId(1), Leaving::Drained)]);
    assert_eq!(cache.drain(|_| true), [(SessionId(2), Leaving::Drained)]);
    assert!(cache.is_empty());
}

#[test]
fn new_limits_keep_what_they_still_allow() {
    let mut cache = cache();
    cache.bind(&destination("a.test"), endpoint(1), at(0));
    park(&mut cache, 1, 1, at(0));
    park(&mut cache, 2, 1, at(1000));
    let mut tighter = limits();
    tighter.idle_max = Duration::from_secs(1);
    assert_eq!(
        cache.set_limits(tighter, at(1500)),
        [(SessionId(1), Leaving::Idle)]
    );
    cache.assert_consistent();
    assert_eq!(take_bound(&mut cache, "a.test", &[1], at(1600)), Some(2));
}

/// T83: an interval is part of the whole, and its peaks start again.
#[test]
fn taking_an_interval_loses_nothing() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(0));
    take(&mut cache, 1, at(1));
    cache.count_end(End::Left(Leaving::Idle), 2, &destination("a.test"), endpoint(1));
    let first = cache.take_interval();
    assert_eq!(
        (first.address_hits, first.max_connections, first.closed_idle),
        (1, 1, 1)
    );
    assert!(cache.take_interval().is_idle());
    take(&mut cache, 1, at(2));
    let all = cache.statistics();
    assert_eq!(
        (all.address_hits, all.address_misses, all.max_connections),
        (1, 1, 1)
    );
    assert_eq!((all.usage.uses.sum(), all.usage.idle_ms.count()), (2, 1));
}

#[test]
fn peaks_start_again_with_an_interval() {
    let mut cache = cache();
    for (id, host) in [(1, 1), (2, 2), (3, 2)] {
        park(&mut cache, id, host, at(0));
        cache.bind(&destination(&format!("d{id}.test")), endpoint(host), at(0));
    }
    let peaks = |counts: &Statistics| {
        (
            counts.max_destinations,
            counts.max_addresses,
            counts.max_connections,
        )
    };
    assert_eq!(peaks(&cache.take_interval()), (3, 2, 3));
    take(&mut cache, 1, at(1));
    take(&mut cache, 2, at(1));
    cache.take_interval();
    park(&mut cache, 4, 1, at(2));
    assert_eq!(cache.interval().max_connections, 2, "of this interval");
    assert_eq!(cache.statistics().max_connections, 3, "since start");
}

#[test]
fn a_tolerance_only_shortens() {
    let mut cache = cache();
    park(&mut cache, 1, 1, at(0));
    cache.shorten_idle(SessionId(1), limits().idle_max * 10);
    cache.assert_consistent();
    let limit = at(limits().idle_max.as_millis() as u64);
    assert_eq!(cache.next_deadline(), Some(limit));
    assert_eq!(cache.expire(limit), [(SessionId(1), Leaving::Idle)]);
}

/// T84: what ended and why, how idle it was when taken, and what reuse has saved.
#[test]
fn ends_idle_times_and_savings_are_counted() {
    let mut cache = cache();
    let (a, saves) = (destination("a.test"), Opening::of(&facts(1)));
    park(&mut cache, 1, 1, at(0));
    take(&mut cache, 1, at(700));
    for taken in [Taken::Parked, Taken::HandedOver, Taken::Fresh] {
        cache.count_taken(taken, &a, endpoint(1));
    }
    cache.count_saved(saves);
    cache.count_saved(saves);
    // What is counted in several intervals adds up.
    cache.take_interval();
    for death in Death::ALL {
        cache.count_end(End::Dead(death), 1, &a, endpoint(1));
    }
    cache.count_end(End::Left(Leaving::Worn), 8, &a, endpoint(1));
    let counts = cache.statistics();
    assert_eq!(counts.usage.idle_ms.counts(&[300, 1000]), [0, 1, 0]);
    assert_eq!(
        (counts.usage.idle_ms.sum(), counts.usage.round_trips_saved),
        (700, 2 * 4)
    );
    assert_eq!((counts.closed_dead, counts.usage.worn), (4, 1));
    assert_eq!(counts.usage.deaths.values().sum::<u64>(), 4);
    assert_eq!(counts.closed().iter().map(|(_, count)| count).sum::<u64>(), 5);
    let figures = cache.accounts().destinations.total();
    assert_eq!((figures.uses(), figures.hits, figures.deaths), (3, 1, 4));
}

#[test]
fn refused_sessions_are_named_up_to_a_bound() {
    let mut limits = limits();
    (limits.sessions_max, limits.sessions_per_endpoint_max) = (20, 20);
    let mut cache = ConnectionCache::new(limits);
    for id in 0..10 {
        park(&mut cache, id, 1, at(0));
    }
    let mut wanted = requirements("a.test", &[1]);
    wanted.smtputf8 = true;
    assert_eq!(cache.take_by_endpoint(endpoint(1), &wanted, at(1)), None);
    let refused = cache.take_refused();
    assert_eq!((refused.sessions.len(), refused.more), (REFUSED_MAX, 2));
    assert_eq!(refused.sessions[0], (SessionId(9), endpoint(1), Unfit::Smtputf8));
    assert_eq!(refused.last, Some(Unfit::Smtputf8));
    assert_eq!(cache.take_refused(), Refused::default());
    assert_eq!(cache.accounts().endpoints.total().unfit, 10);
}
