//! What is known not to exist.

use super::*;

/// A7.
#[test]
fn an_absence_is_asked_for_once_and_is_neither_hit_nor_miss() {
    let bed = Bed::new();
    for _ in 0..1000 {
        assert_eq!(bed.get(name("x@d"), s(1)), Got::NotFound);
    }
    assert_eq!(bed.queries.get(), 1);
    let statistics = bed.statistics();
    assert_eq!(
        (statistics.lookups.negative_hit, statistics.lookups.not_found),
        (999, 1)
    );
    let since = statistics.since_reset;
    assert_eq!((since.hits, since.misses, since.hit_rate()), (0, 0, 0));
    assert!((since.without_query() - 0.999).abs() < 1e-9);
}

/// B6: a row that appears without a word is seen within the absences' own TTL.
#[test]
fn an_absence_ends_at_its_own_ttl() {
    let bed = Bed::new();
    bed.get(name("a@d"), s(0));
    bed.put(row(1, "a@d", 1));
    assert_eq!(bed.get(name("a@d"), ms(9_999)), Got::NotFound);
    assert_eq!(bed.get(name("a@d"), s(10)), Got::Found(1));
}

#[test]
fn an_absence_lives_no_longer_than_a_value() {
    let ttl = Duration::from_secs(5);
    let bed = Bed::with(Limits {
        ttl,
        ..Limits::default()
    });
    bed.get(name("a@d"), s(0));
    bed.get(name("a@d"), s(5));
    assert_eq!(bed.queries.get(), 2);
}

/// B5.
#[test]
fn a_creation_ends_the_absence_of_its_name() {
    let bed = Bed::new();
    bed.get(name("a@d"), s(0));
    bed.get(id(1), s(0));
    bed.put(row(1, "a@d", 1));
    bed.tell(change(1, "", "a@d"));
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(1));
    assert_eq!(bed.get(id(1), s(1)), Got::Found(1));
    assert_eq!(bed.statistics().gauges.absences, 0);
}

/// A6.
#[test]
fn a_deleted_object_is_absent_at_the_next_look_up() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.delete(1);
    bed.tell(change(1, "a@d", ""));
    assert_eq!(bed.get(name("a@d"), s(1)), Got::NotFound);
    assert_eq!(bed.get(name("a@d"), s(2)), Got::NotFound);
    assert_eq!(bed.queries.get(), 2, "one definite answer");
}

#[test]
fn an_object_that_is_found_to_be_gone_is_gone_under_both_keys() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.delete(1);
    bed.get(id(1), s(60));
    assert!(bed.cache.peek(name("a@d"), s(60)).is_none());
    assert_eq!(bed.statistics().gauges.entries, 0);
}

/// A change by id alone may be the creation of any name.
#[test]
fn a_change_that_tells_no_name_ends_every_absence_of_a_name() {
    let bed = Bed::new();
    bed.get(name("a@d"), s(0));
    bed.get(id(9), s(0));
    bed.put(row(1, "a@d", 1));
    bed.tell(change(1, "", ""));
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(1));
    assert!(
        bed.cache.peek(id(9), s(1)).is_some(),
        "an id that it does not tell"
    );
}

#[test]
fn a_change_that_tells_no_id_ends_every_absence_of_an_id() {
    let bed = Bed::new();
    bed.get(name("x@d"), s(0));
    bed.get(id(1), s(0));
    bed.put(row(1, "a@d", 1));
    bed.tell(change(None, "", "a@d"));
    assert_eq!(bed.get(id(1), s(1)), Got::Found(1));
    assert!(
        bed.cache.peek(name("x@d"), s(1)).is_some(),
        "a name that it does not tell"
    );
}
