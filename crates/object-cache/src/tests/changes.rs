//! Changes while things are known and while they are being read.

use super::*;

/// A5.
#[test]
fn a_change_is_seen_by_the_next_look_up() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.put(row(1, "a@d", 2));
    bed.tell(change(1, "a@d", "a@d"));
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(2));
}

/// B1, F10: names come normalised, so one object is one entry and its weight counts once.
#[test]
fn one_object_is_counted_once() {
    let bed = Bed::with_row();
    for _ in 0..10 {
        bed.get(name("a@d"), s(0));
        bed.get(id(1), s(0));
    }
    let gauges = bed.statistics().gauges;
    assert_eq!((bed.queries.get(), gauges.entries), (1, 1));
    assert_eq!(gauges.bytes, bed.cache.peek(id(1), s(0)).unwrap().weight);
}

/// B2.
#[test]
fn a_rename_ends_the_old_name_and_opens_the_new_one() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("b@d"), s(0));
    bed.put(row(1, "b@d", 2));
    bed.tell(change(1, "a@d", "b@d"));
    assert_eq!(bed.get(name("a@d"), s(0)), Got::NotFound);
    assert_eq!(bed.get(name("b@d"), s(0)), Got::Found(2));
}

/// B4.
#[test]
fn a_change_by_one_key_removes_the_other() {
    for told in [change(None, "a@d", "a@d"), change(1, "", "")] {
        let bed = Bed::with_row();
        bed.get(id(1), s(0));
        bed.tell(told);
        assert_eq!(bed.statistics().gauges.entries, 0);
        assert!(bed.cache.peek(id(1), s(0)).is_none());
        assert!(bed.cache.peek(name("a@d"), s(0)).is_none());
    }
}

/// A direct rename that nobody told: what is read later takes the older's place, whichever key was asked for.
#[test]
fn an_object_that_is_read_anew_leaves_its_old_name() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.put(row(1, "b@d", 2));
    assert_eq!(bed.get(name("b@d"), s(1)), Got::Found(2));
    assert!(bed.cache.peek(name("a@d"), s(1)).is_none());
    assert_eq!(bed.statistics().gauges.entries, 1);
}

/// Something read, and a change before it is handed in.
fn overtaken(key: KeyRef<'_>, told: &Change) -> Bed {
    let bed = Bed::with_row();
    let ticket = bed.begin(key, s(0), 0);
    let read = bed.query(ticket.key());
    bed.put(row(1, "a@d", 2));
    bed.tell(told.clone());
    let finished = bed.hand_in(ticket, read, s(1));
    assert_eq!(
        got(&finished.answer),
        Got::Found(1),
        "who asked before may get it"
    );
    bed
}

/// C1, C6: whichever key was read by and whichever the change names.
#[test]
fn a_value_read_before_a_change_is_never_kept_after_it() {
    for told in [
        change(1, "a@d", "a@d"),
        change(1, "", ""),
        change(None, "a@d", ""),
    ] {
        for key in [name("a@d"), id(1)] {
            let bed = overtaken(key, &told);
            assert_eq!(bed.statistics().rejected.generation, 1, "{key:?} {told:?}");
            assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(2));
            assert_eq!(bed.get(id(1), s(1)), Got::Found(2));
        }
    }
}

/// C2, C3; also where the change names a key that the load was not asked for.
#[test]
fn who_asks_after_a_change_does_not_join_a_load_from_before() {
    for told in [
        change(1, "a@d", "a@d"),
        change(1, "", ""),
        change(None, "a@d", ""),
    ] {
        for key in [name("a@d"), id(1)] {
            let bed = Bed::with_row();
            let first = bed.begin(key, s(0), 1);
            let read = bed.query(first.key());
            assert!(matches!(bed.cache.look_up(key, s(0), || 2), LookUp::Joined));
            bed.put(row(1, "a@d", 2));
            bed.tell(told.clone());
            let second = bed.begin(key, s(0), 3);
            let old = bed.hand_in(first, read, s(0));
            assert_eq!((old.waiters, got(&old.answer)), (vec![1, 2], Got::Found(1)));
            let new = bed.end(second, s(0));
            assert_eq!((new.waiters, got(&new.answer)), (vec![3], Got::Found(2)));
            assert_eq!(bed.get(key, s(0)), Got::Found(2));
            assert_eq!(bed.queries.get(), 2);
        }
    }
}

/// C5.
#[test]
fn an_absence_read_before_a_creation_is_never_kept_after_it() {
    for told in [change(1, "", "a@d"), change(1, "", ""), change(None, "", "a@d")] {
        for key in [name("a@d"), id(1)] {
            let bed = Bed::new();
            let ticket = bed.begin(key, s(0), 0);
            let read = bed.query(ticket.key());
            bed.put(row(1, "a@d", 1));
            bed.tell(told.clone());
            let finished = bed.hand_in(ticket, read, s(0));
            assert_eq!(got(&finished.answer), Got::NotFound);
            assert_eq!(bed.get(key, s(0)), Got::Found(1), "{key:?} {told:?}");
        }
    }
}

/// C7.
#[test]
fn a_change_of_another_object_costs_a_load_nothing() {
    let bed = Bed::with_row();
    let ticket = bed.begin(name("a@d"), s(0), 0);
    bed.tell(change(2, "b@d", "b@d"));
    assert!(matches!(
        bed.cache.look_up(name("a@d"), s(0), || 1),
        LookUp::Joined
    ));
    bed.end(ticket, s(0));
    assert_eq!(bed.get(name("a@d"), s(0)), Got::Found(1));
    assert_eq!(bed.queries.get(), 1);
}

/// C13.
#[test]
fn nothing_read_before_a_clear_is_kept() {
    let bed = Bed::with_row();
    bed.put(row(2, "b@d", 1));
    bed.get(name("b@d"), s(0));
    bed.get(name("x@d"), s(0));
    let ticket = bed.begin(name("a@d"), s(0), 0);
    assert_eq!(bed.cache.clear(Cause::Reconnect), 2);
    let later = bed.begin(name("a@d"), s(0), 0);
    bed.end(ticket, s(0));
    assert_eq!(bed.statistics().gauges.entries, 0);
    bed.end(later, s(0));
    assert_eq!(bed.statistics().gauges.entries, 1);
    let statistics = bed.statistics();
    assert_eq!((statistics.flushes.reconnect, statistics.evictions.flush), (1, 2));
    assert_eq!(statistics.rejected.generation, 1);
}

/// C16.
#[test]
fn a_refresh_overtaken_by_a_change_brings_nothing_back() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let LookUp::Hit { refresh, .. } = bed.cache.look_up(name("a@d"), s(50), || 0) else {
        panic!("a hit");
    };
    let refresh = refresh.unwrap();
    let read = bed.query(refresh.key());
    bed.put(row(1, "a@d", 2));
    bed.tell(change(1, "a@d", "a@d"));
    bed.hand_in(refresh, read, s(51));
    assert!(bed.cache.peek(name("a@d"), s(51)).is_none());
    assert_eq!(bed.get(name("a@d"), s(51)), Got::Found(2));
}

/// Two loads of one row by its two keys, without a word of the change between them.
#[test]
fn a_later_version_is_not_replaced_by_an_earlier_one() {
    for (first, second) in [(name("a@d"), id(1)), (id(1), name("a@d"))] {
        let bed = Bed::with_row();
        let slow = bed.begin(first, s(0), 0);
        let read = bed.query(slow.key());
        bed.put(row(1, "a@d", 2));
        bed.end(bed.begin(second, s(1), 0), s(1));
        bed.hand_in(slow, read, s(2));
        assert_eq!(bed.get(first, s(3)), Got::Found(2));
        assert_eq!(bed.statistics().rejected.superseded, 1);
    }
}

/// A direct creation between the reads of two loads that overlap, whichever began or ended first: who has got
/// the object is followed by nobody who gets the absence, also not from a third load of that time.
#[test]
fn of_two_loads_that_overlap_and_contradict_each_other_neither_is_kept() {
    for is_first_old in [true, false] {
        for old_ends_first in [true, false] {
            let bed = Bed::new();
            let third = bed.begin(id(9), s(0), 0);
            let (first, second) = (bed.begin(name("a@d"), s(0), 0), bed.begin(id(1), s(0), 0));
            let (old, new) = if is_first_old {
                (first, second)
            } else {
                (second, first)
            };
            let read_old = bed.query(old.key());
            bed.put(row(1, "a@d", 1));
            let read_new = bed.query(new.key());
            let key = old.key().clone();
            if old_ends_first {
                bed.hand_in(old, read_old, s(1));
                bed.hand_in(new, read_new, s(1));
            } else {
                bed.hand_in(new, read_new, s(1));
                bed.hand_in(old, read_old, s(1));
            }
            bed.end(third, s(1));
            assert_eq!(bed.statistics().rejected.superseded, 1);
            assert_eq!(bed.get(key.by_ref(), s(1)), Got::Found(1));
        }
    }
}

/// The same row, told by the version.
#[test]
fn an_object_read_later_replaces_an_absence() {
    let bed = Bed::new();
    bed.get(name("a@d"), s(0));
    bed.put(row(1, "a@d", 1));
    assert_eq!(bed.get(id(1), s(1)), Got::Found(1));
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Found(1));
    assert_eq!(bed.queries.get(), 2);
}

#[test]
fn a_change_that_names_nothing_clears_everything() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    let ticket = bed.begin(name("x@d"), s(0), 0);
    bed.tell(Change::default());
    bed.end(ticket, s(0));
    let gauges = bed.statistics().gauges;
    assert_eq!((gauges.entries, gauges.absences), (0, 0));
}

#[test]
fn changes_are_counted_by_their_source() {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    for source in [Source::Push, Source::Poll, Source::Push] {
        bed.cache
            .invalidate(&[change(1, "a@d", "a@d"), change(2, "", "b@d")], source);
    }
    let statistics = bed.statistics();
    let invalidations = statistics.invalidations;
    assert_eq!(
        (invalidations.admin, invalidations.push, invalidations.poll),
        (0, 4, 2)
    );
    assert_eq!(statistics.evictions.invalidate, 1);
}
