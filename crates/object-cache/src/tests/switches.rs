//! On, off and empty.

use super::*;

/// A11.
#[test]
fn a_cache_that_is_off_does_nothing() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("a@d"), s(0));
    bed.cache.disable();
    assert!(!bed.cache.is_enabled());
    for _ in 0..5 {
        assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(1));
    }
    let statistics = bed.statistics();
    assert_eq!(
        (statistics.gauges, statistics.lookups.bypass),
        (Gauges::default(), 5)
    );
    assert_eq!(bed.queries.get(), 6);
    let since = statistics.since_reset;
    assert_eq!(
        (since.hits, since.misses, since.hit_rate(), since.loads),
        (0, 0, 0, 5)
    );
    assert_eq!(statistics.lookups.hit, 1, "exported counts stay");
}

#[test]
fn a_cache_that_is_off_shares_no_load() {
    let bed = Bed::with_row();
    bed.cache.disable();
    let look_up = || bed.cache.look_up(name("a@d"), s(0), || 0);
    let (LookUp::Bypass(first), LookUp::Bypass(second)) = (look_up(), look_up()) else {
        panic!("each for itself");
    };
    assert!(bed.end(first, s(0)).waiters.is_empty());
    drop(second);
}

/// A12.
#[test]
fn off_edit_on_shows_the_edit() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.cache.disable();
    bed.put(row(1, "a@d", 2));
    bed.get(name("a@d"), s(1));
    bed.cache.enable();
    assert_eq!(bed.statistics().since_reset, SinceReset::default());
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(2));
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(2));
    assert_eq!(bed.statistics().since_reset.hit_rate(), 50);
}

/// C4: from before, and from between.
#[test]
fn nothing_read_before_off_and_on_is_kept() {
    let bed = Bed::with_row();
    let before = bed.begin(name("a@d"), s(0), 1);
    let read = bed.query(before.key());
    bed.cache.disable();
    let LookUp::Bypass(between) = bed.cache.look_up(name("a@d"), s(0), || 2) else {
        panic!("off");
    };
    let read_between = bed.query(between.key());
    bed.put(row(1, "a@d", 2));
    bed.cache.enable();
    let after = bed.begin(name("a@d"), s(0), 3);
    assert_eq!(bed.hand_in(before, read, s(0)).waiters, [1]);
    assert!(bed.hand_in(between, read_between, s(0)).waiters.is_empty());
    assert_eq!(bed.statistics().gauges.entries, 0);
    assert_eq!(bed.statistics().rejected.generation, 1);
    bed.end(after, s(0));
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(2));
}

#[test]
fn a_load_that_ends_while_the_cache_is_off_is_not_kept() {
    let bed = Bed::with_row();
    let ticket = bed.begin(name("a@d"), s(0), 1);
    bed.cache.disable();
    assert_eq!(bed.end(ticket, s(0)).waiters, [1]);
    assert_eq!(bed.statistics().rejected.disabled, 1);
    assert_eq!(bed.statistics().since_reset.hits, 0);
}

/// On when it is on, off when it is off: as hMailServer, whose equal writes do nothing.
#[test]
fn the_same_switch_again_changes_nothing() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.cache.enable();
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(1));
    assert_eq!(bed.queries.get(), 1);
}

/// The operator's clear starts the rates anew; a flush for coherence does not.
#[test]
fn clearing_starts_the_rates_anew() {
    let bed = Bed::with_row();
    for (cause, misses) in [(Cause::Push, 1), (Cause::Poll, 2), (Cause::Admin, 0)] {
        bed.get(name("a@d"), s(0));
        bed.cache.clear(cause);
        assert_eq!(bed.statistics().since_reset.misses, misses);
    }
    let flushes = bed.statistics().flushes;
    assert_eq!(
        (flushes.admin, flushes.push, flushes.poll, flushes.reconnect),
        (1, 1, 1, 0)
    );
}
