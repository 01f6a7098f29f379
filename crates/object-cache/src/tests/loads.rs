//! One load for all who ask.

use super::*;

/// C8.
#[test]
fn a_thousand_cold_look_ups_are_one_query() {
    let bed = Bed::with_row();
    let ticket = bed.begin(name("a@d"), s(0), 0);
    for waiter in 1..1000 {
        assert!(matches!(
            bed.cache.look_up(name("a@d"), s(0), || waiter),
            LookUp::Joined
        ));
    }
    let finished = bed.end(ticket, ms(50));
    assert_eq!(
        finished.waiters,
        (0..1000).collect::<Vec<_>>(),
        "in turn, who began it first"
    );
    let statistics = bed.statistics();
    assert_eq!(
        (
            statistics.loads,
            statistics.lookups.miss,
            statistics.lookups.coalesced
        ),
        (1, 1, 999)
    );
    assert_eq!(statistics.since_reset.hit_rate(), 99);
}

/// C17.
#[test]
fn at_the_instant_of_expiry_one_look_up_loads_and_none_gets_what_expired() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let ticket = bed.begin(name("a@d"), s(60), 0);
    for waiter in 1..1000 {
        assert!(matches!(
            bed.cache.look_up(name("a@d"), s(60), || waiter),
            LookUp::Joined
        ));
    }
    assert_eq!(bed.end(ticket, s(60)).waiters.len(), 1000);
}

/// C10.
#[test]
fn a_ticket_that_is_dropped_is_a_failed_load() {
    let cache: Cache<Row, Arc<()>> = Cache::new(true, Limits::default());
    let waiter = Arc::new(());
    let look_up = || cache.look_up(name("a@d"), s(0), || Arc::clone(&waiter));
    let LookUp::Load(ticket) = look_up() else {
        panic!("cold");
    };
    assert!(matches!(look_up(), LookUp::Joined));
    assert_eq!(Arc::strong_count(&waiter), 3);
    drop(ticket);
    assert_eq!(Arc::strong_count(&waiter), 1, "who waits learns of it");
    assert_eq!(cache.statistics().gauges.in_flight, 0);
    assert_eq!(cache.statistics().lookups.error, 2);
    assert!(matches!(look_up(), LookUp::Load(_)), "the next one loads");
    cache.assert_consistent();
}

#[test]
fn a_ticket_that_is_dropped_leaves_a_later_load_alone() {
    let bed = Bed::with_row();
    let first = bed.begin(name("a@d"), s(0), 1);
    bed.tell(change(1, "a@d", "a@d"));
    let second = bed.begin(name("a@d"), s(0), 2);
    drop(first);
    assert!(matches!(
        bed.cache.look_up(name("a@d"), s(0), || 3),
        LookUp::Joined
    ));
    assert_eq!(bed.end(second, s(0)).waiters, [2, 3]);
}

#[test]
fn a_ticket_outlives_its_cache() {
    let bed = Bed::with_row();
    let ticket = bed.begin(name("a@d"), s(0), 0);
    drop(bed);
    drop(ticket);
}

#[test]
fn beyond_so_many_loads_at_once_there_is_a_crowd() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let number = |n: usize| i64::try_from(n + 10).unwrap();
    let tickets: Vec<_> = (0..WAITING_MAX)
        .map(|n| bed.begin(id(number(n)), s(50), 0))
        .collect();
    assert!(matches!(
        bed.cache.look_up(name("b@d"), s(50), || 0),
        LookUp::Crowded
    ));
    assert!(
        matches!(bed.cache.look_up(id(10), s(50), || 0), LookUp::Joined),
        "no further load"
    );
    let hit = bed.cache.look_up(name("a@d"), s(50), || 0);
    assert!(
        matches!(hit, LookUp::Hit { refresh: None, .. }),
        "a refresh can wait"
    );
    let statistics = bed.statistics();
    assert_eq!(
        (statistics.gauges.in_flight, statistics.lookups.error),
        (WAITING_MAX as u64, 1)
    );
    drop(tickets);
    let hit = bed.cache.look_up(name("a@d"), s(50), || 0);
    assert!(matches!(hit, LookUp::Hit { refresh: Some(_), .. }));
}

#[test]
fn every_look_up_has_one_result() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("a@d"), s(1));
    bed.get(name("x@d"), s(1));
    bed.get(name("x@d"), s(2));
    bed.is_down.set(true);
    bed.get(name("a@d"), s(61));
    bed.get(name("y@d"), s(61));
    bed.get(name("y@d"), s(61));
    let lookups = bed.statistics().lookups;
    let expected = Lookups {
        hit: 1,
        miss: 1,
        negative_hit: 1,
        not_found: 1,
        stale: 1,
        error: 2,
        ..lookups
    };
    assert_eq!(lookups, expected);
    assert_eq!((lookups.coalesced, lookups.bypass), (0, 0));
    assert_eq!(bed.statistics().since_reset.lookups, 7);
}

/// What waits is made only for who waits.
#[test]
fn a_waiter_is_made_only_where_somebody_waits() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("x@d"), s(0));
    let nobody = || panic!("nobody waits");
    assert!(matches!(
        bed.cache.look_up(name("a@d"), s(0), nobody),
        LookUp::Hit { .. }
    ));
    assert!(matches!(
        bed.cache.look_up(name("x@d"), s(0), nobody),
        LookUp::Absent
    ));
    bed.cache.disable();
    assert!(matches!(
        bed.cache.look_up(name("a@d"), s(0), nobody),
        LookUp::Bypass(_)
    ));
}

/// While somebody else changes something.
#[test]
fn a_hit_takes_no_lock_of_the_type() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("x@d"), s(0));
    let held = bed.cache.state.lock();
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(1));
    assert_eq!(bed.get(name("x@d"), s(1)), Got::NotFound);
    drop(held);
}

#[test]
fn a_panic_of_a_caller_does_not_spread() {
    let bed = Bed::with_row();
    let panics = || -> u32 { panic!("in the caller's code, under the lock") };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bed.cache.look_up(name("a@d"), s(0), panics)
    }));
    assert!(caught.is_err());
    bed.cache.assert_consistent();
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(1));
}

#[test]
fn a_key_and_its_borrowed_form_hash_alike() {
    let hash = |key: KeyRef<'_>| hash_of(key) == hash_of(key.to_key());
    assert!(hash(name("a@d")) && hash(id(1)));
    assert_ne!(hash_of(name("a@d")), hash_of(name("b@d")));
}

fn hash_of(key: impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}

/// Only what can be used at once is a look-up.
#[test]
fn a_look_for_a_hit_loads_and_counts_nothing_else() {
    let bed = Bed::with_row();
    let asked = |key, at| {
        bed.cache
            .hit(key, at)
            .map(|(value, due)| (value.version, due.is_some()))
    };
    assert_eq!(asked(name("a@d"), s(0)), None);
    bed.get(name("a@d"), s(0));
    bed.get(name("b@d"), s(0));
    let before = bed.statistics();
    assert_eq!(asked(name("b@d"), s(1)), None, "an absence is no hit");
    assert_eq!(asked(name("a@d"), s(60)), None, "it is too old");
    assert_eq!(bed.statistics(), before);
    assert_eq!(asked(name("a@d"), s(1)), Some((1, false)));
    assert_eq!(
        asked(id(1), s(50)),
        Some((1, true)),
        "who comes late loads it anew"
    );
    assert_eq!(bed.statistics().lookups.hit, before.lookups.hit + 2);
    bed.cache.disable();
    assert_eq!(asked(name("a@d"), s(1)), None);
    assert_eq!(bed.statistics().lookups.bypass, 0);
}
