//! The contract of time: TTL, expiry, refresh-ahead, and the rates.

use super::*;

fn ttl(seconds: u64) -> Limits {
    Limits {
        ttl: Duration::from_secs(seconds),
        ..Limits::default()
    }
}

/// A1.
#[test]
fn an_object_is_loaded_once_within_its_ttl() {
    let bed = Bed::with_row();
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(1));
    assert_eq!(bed.get(name("a@d"), ms(47_999)), Got::Found(1));
    assert_eq!(bed.queries.get(), 1);
    let since = bed.statistics().since_reset;
    assert_eq!((since.hits, since.misses, since.hit_rate()), (1, 1, 50));
}

/// A2: strictly younger than the TTL.
#[test]
fn at_its_ttl_an_object_is_loaded_again() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let LookUp::Hit { refresh, .. } = bed.cache.look_up(name("a@d"), ms(59_999), || 0) else {
        panic!("a hit to the last millisecond");
    };
    drop(refresh);
    bed.end(bed.begin(name("a@d"), s(60), 0), s(60));
    assert_eq!(bed.statistics().since_reset.misses, 2);
}

/// A3.
#[test]
fn an_object_is_one_entry_under_both_its_keys() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    assert_eq!(bed.get(id(1), s(1)), Got::Found(1));
    bed.put(row(2, "b@d", 1));
    bed.get(id(2), s(1));
    assert_eq!(bed.get(name("b@d"), s(2)), Got::Found(1));
    assert_eq!(bed.queries.get(), 2);
    assert_eq!(bed.statistics().gauges.entries, 2);
}

/// A4: a direct edit at 10 s is seen from 70 s on, however long the load took.
#[test]
fn time_counts_from_before_the_load() {
    let bed = Bed::with_row();
    let ticket = bed.begin(name("a@d"), s(0), 0);
    let read = bed.query(ticket.key());
    bed.put(row(1, "a@d", 2));
    bed.hand_in(ticket, read, s(20));
    let LookUp::Hit { value, refresh } = bed.cache.look_up(name("a@d"), ms(59_999), || 0) else {
        panic!("a hit");
    };
    assert_eq!(value.version, 1);
    drop(refresh);
    assert_eq!(bed.get(name("a@d"), s(60)), Got::Found(2));
}

/// A9.
#[test]
fn a_shorter_ttl_holds_at_once_and_starts_the_rates_anew() {
    let (bed, other) = (Bed::with_row(), Bed::with_row());
    for bed in [&bed, &other] {
        bed.get(name("a@d"), s(0));
        bed.get(name("a@d"), s(1));
    }
    bed.cache.set_limits(ttl(30), s(40));
    assert_eq!(bed.statistics().since_reset, SinceReset::default());
    bed.get(name("a@d"), s(40));
    assert_eq!(bed.queries.get(), 2);
    assert_eq!(
        other.statistics().since_reset.hits,
        1,
        "another type is not touched"
    );
}

#[test]
fn the_same_ttl_again_resets_no_rate() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let size = 1 << 20;
    bed.cache.set_limits(Limits { size, ..ttl(60) }, s(1));
    assert_eq!(bed.statistics().since_reset.misses, 1);
    assert_eq!(bed.cache.limits().size, size);
}

/// A10, and what lies in its spirit: a life that was shortened stays short.
#[test]
fn a_longer_ttl_revives_nothing() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.cache.set_limits(ttl(300), s(70));
    bed.get(name("a@d"), s(70));
    assert_eq!(bed.queries.get(), 2, "it was past its 60 s");
    bed.cache.set_limits(ttl(30), s(80));
    bed.cache.set_limits(ttl(300), s(115));
    bed.get(name("a@d"), s(115));
    assert_eq!(bed.queries.get(), 3, "45 s old, and 30 s were promised");
}

/// A14.
#[test]
fn a_ttl_of_zero_keeps_nothing() {
    let bed = Bed::with(ttl(0));
    bed.put(row(1, "a@d", 1));
    for _ in 0..10 {
        bed.get(name("a@d"), s(0));
        bed.get(name("nobody@d"), s(0));
    }
    assert_eq!(bed.queries.get(), 20);
    let gauges = bed.statistics().gauges;
    assert_eq!(
        (gauges.entries, gauges.absences),
        (0, 0),
        "an absence lives no longer than a value"
    );
}

#[test]
fn a_refresh_begins_once_after_four_fifths_of_the_life() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let refresh = |at| match bed.cache.look_up(name("a@d"), at, || 0) {
        LookUp::Hit { refresh, .. } => refresh,
        other => panic!("{other:?}"),
    };
    assert!(refresh(ms(47_999)).is_none());
    let ticket = refresh(s(48)).expect("the first one after 80 %");
    assert!(ticket.is_refresh());
    assert!(refresh(s(49)).is_none(), "once");
    bed.end(ticket, s(50));
    assert!(refresh(s(60)).is_none(), "fresh again");
    assert!(bed.cache.peek(name("a@d"), s(60)).unwrap().is_refreshed);
    assert!(refresh(s(96)).is_some(), "its time counts from 48 s");
    let statistics = bed.statistics();
    assert_eq!((statistics.loads, statistics.refreshes), (3, 2));
    assert_eq!(statistics.lookups.miss, 1, "nobody waited for a refresh");
    assert_eq!(statistics.since_reset.misses, 2, "a load that found a row");
}

/// C17, beside a refresh.
#[test]
fn a_refresh_that_is_late_is_joined_and_stretches_no_life() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let LookUp::Hit { refresh, .. } = bed.cache.look_up(name("a@d"), s(50), || 0) else {
        panic!("a hit");
    };
    let refresh = refresh.unwrap();
    assert!(matches!(
        bed.cache.look_up(name("a@d"), s(60), || 7),
        LookUp::Joined
    ));
    bed.put(row(1, "a@d", 2));
    let finished = bed.end(refresh, s(61));
    assert_eq!(
        (finished.waiters, got(&finished.answer)),
        (vec![7], Got::Found(2))
    );
    assert_eq!(bed.statistics().lookups.coalesced, 1);
    let peeked = bed.cache.peek(name("a@d"), s(61)).unwrap();
    assert_eq!(peeked.age, Duration::from_secs(11), "from the refresh's begin");
}

/// A8.
#[test]
fn the_hit_rate_is_truncated() {
    let rate = |hits, misses| {
        let since = SinceReset {
            hits,
            misses,
            ..SinceReset::default()
        };
        since.hit_rate()
    };
    assert_eq!([rate(7, 3), rate(2, 1), rate(0, 5), rate(0, 0)], [70, 66, 0, 0]);
}

/// Counts of several shards are read one after the other.
#[test]
fn the_share_without_a_query_is_between_nothing_and_all() {
    let share = |lookups, loads| {
        let since = SinceReset {
            lookups,
            loads,
            ..SinceReset::default()
        };
        since.without_query()
    };
    assert_eq!(
        [share(0, 0), share(4, 1), share(4, 0), share(4, 5)],
        [0.0, 0.75, 1.0, 0.0]
    );
}

/// F12.
#[test]
fn the_hit_rate_outlives_thirty_one_bits() {
    let hits = (1 << 31) + 10;
    let since = SinceReset {
        hits,
        misses: hits,
        coalesced_found: 0,
        lookups: 2 * hits,
        loads: hits,
    };
    assert_eq!(since.hit_rate(), 50);
    assert!((since.without_query() - 0.5).abs() < 1e-9);
    let full = SinceReset {
        hits: u64::MAX,
        ..since
    };
    assert_eq!(full.hit_rate(), 99);
}

/// F11: monotonic time is all there is; an old reading does no harm.
#[test]
fn a_reading_of_time_from_before_the_load_is_a_hit() {
    let bed = Bed::with_row();
    let start = s(60 * 24 * 3600);
    bed.get(name("a@d"), start);
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(1));
    assert_eq!(bed.queries.get(), 1);
    bed.get(name("a@d"), start + Duration::from_secs(60));
    assert_eq!(bed.queries.get(), 2);
}

/// F13.
#[test]
fn looking_changes_nothing() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("x@d"), s(0));
    let before = bed.statistics();
    for _ in 0..100 {
        let peeked = bed.cache.peek(name("a@d"), s(50)).unwrap();
        assert_eq!(
            (peeked.version, peeked.expires_in),
            (Some(1), Duration::from_secs(10))
        );
        assert!(bed.cache.peek(name("x@d"), s(5)).unwrap().value.is_none());
        assert!(bed.cache.peek(name("y@d"), s(5)).is_none());
        assert_eq!(bed.statistics(), before);
    }
    assert_eq!(
        bed.cache.index.entry(name("a@d")).unwrap().frequency(),
        0,
        "no use"
    );
    bed.cache.reset_statistics();
    let after = bed.statistics();
    assert_eq!(after.since_reset, SinceReset::default());
    assert_eq!(
        Statistics {
            since_reset: before.since_reset,
            ..after
        },
        before,
        "counts never go back"
    );
}
