//! A database that does not answer.

use super::*;

fn down_after_load() -> Bed {
    let bed = Bed::with_row();
    bed.get(name("a@d"), s(0));
    bed.get(name("x@d"), s(0));
    bed.is_down.set(true);
    bed
}

/// D1, D2.
#[test]
fn a_value_past_its_time_answers_for_a_failed_load() {
    let bed = down_after_load();
    assert_eq!(bed.get(name("a@d"), s(30)), Got::Found(1), "fresh");
    assert_eq!(bed.get(name("a@d"), s(70)), Got::Stale(1));
    assert_eq!(
        bed.get(name("a@d"), s(70)),
        Got::Stale(1),
        "and in the pause after it"
    );
    assert_eq!(bed.queries.get(), 3);
    assert_eq!(bed.statistics().lookups.stale, 2);
}

/// D3: strictly within the window.
#[test]
fn after_the_window_a_failed_load_has_no_answer() {
    let bed = down_after_load();
    assert_eq!(bed.get(name("a@d"), ms(359_999)), Got::Stale(1));
    assert_eq!(
        bed.get(name("a@d"), ms(360_000)),
        Got::Unavailable,
        "in the pause"
    );
    assert_eq!(bed.get(name("a@d"), ms(361_000)), Got::Unavailable, "by a load");
}

/// D4, D6.
#[test]
fn an_absence_past_its_time_refuses_nobody() {
    let bed = down_after_load();
    assert_eq!(bed.get(name("x@d"), s(10)), Got::Unavailable);
    assert_eq!(bed.get(name("new@d"), s(10)), Got::Unavailable);
    assert_eq!(bed.statistics().lookups.error, 2);
}

/// D2, D3, D6: as for a load that failed, and nothing is counted.
#[test]
fn what_is_remembered_stands_in_for_a_load_within_the_window() {
    let bed = down_after_load();
    let before = format!("{:?}", bed.statistics());
    let version = |at| {
        let found = bed.cache.remembered(name("a@d"), at);
        found.map(|(row, is_fresh)| (row.version, is_fresh))
    };
    assert_eq!(version(ms(59_999)), Some((1, true)));
    assert_eq!(version(s(60)), Some((1, false)));
    assert_eq!(version(ms(359_999)), Some((1, false)));
    assert_eq!(version(s(360)), None);
    assert!(bed.cache.remembered(name("x@d"), s(0)).is_none(), "an absence");
    assert_eq!(format!("{:?}", bed.statistics()), before);
    bed.cache.clear(Cause::Admin);
    assert_eq!(version(s(1)), None);
}

#[test]
fn a_failure_is_not_kept() {
    let bed = down_after_load();
    bed.get(name("a@d"), s(70));
    bed.is_down.set(false);
    bed.put(row(1, "a@d", 2));
    assert_eq!(bed.get(name("a@d"), ms(70_200)), Got::Found(2));
}

#[test]
fn only_the_databases_word_makes_an_absence() {
    let bed = Bed::new();
    bed.is_down.set(true);
    assert_eq!(bed.get(name("x@d"), s(0)), Got::Unavailable);
    assert_eq!(bed.statistics().gauges.absences, 0);
    bed.is_down.set(false);
    assert_eq!(bed.get(name("x@d"), s(1)), Got::NotFound);
    assert_eq!(bed.statistics().gauges.absences, 1);
}

#[test]
fn who_waits_gets_the_failure() {
    let bed = Bed::new();
    bed.is_down.set(true);
    let ticket = bed.begin(name("a@d"), s(0), 1);
    assert!(matches!(
        bed.cache.look_up(name("a@d"), s(0), || 2),
        LookUp::Joined
    ));
    let finished = bed.end(ticket, s(5));
    assert_eq!(
        (finished.waiters, got(&finished.answer)),
        (vec![1, 2], Got::Unavailable)
    );
    assert_eq!(bed.statistics().lookups.error, 2);
}

/// 200 ms, doubling to 2 s, over with the first success.
#[test]
fn a_key_whose_load_fails_is_tried_after_growing_pauses() {
    let bed = Bed::new();
    bed.is_down.set(true);
    let mut now = 0;
    for pause in [200, 400, 800, 1600, 2000, 2000] {
        bed.end(bed.begin(name("a@d"), ms(now), 0), ms(now));
        let held = bed.cache.look_up(name("a@d"), ms(now + pause - 1), || 0);
        assert!(matches!(held, LookUp::Failing(None)), "{pause}");
        now += pause;
    }
    bed.is_down.set(false);
    bed.get(name("a@d"), ms(now));
    bed.is_down.set(true);
    now += 10_000;
    bed.end(bed.begin(name("a@d"), ms(now), 0), ms(now));
    drop(bed.begin(name("a@d"), ms(now + 200), 0));
}

#[test]
fn failing_keys_are_bounded_and_forgotten() {
    let bed = Bed::new();
    bed.is_down.set(true);
    for n in 0..10_001 {
        bed.get(id(n), s(0));
    }
    bed.cache.assert_consistent();
    drop(bed.begin(id(0), s(0), 0));
    assert!(matches!(
        bed.cache.look_up(id(1), s(0), || 0),
        LookUp::Failing(None)
    ));
    bed.cache.sweep(ms(2_200), 20_000);
    bed.end(bed.begin(id(1), ms(2_200), 0), ms(2_200));
    drop(bed.begin(id(1), ms(2_400), 0));
}

#[test]
fn a_refresh_that_fails_takes_nothing_away() {
    let bed = down_after_load();
    assert_eq!(bed.get(name("a@d"), s(50)), Got::Found(1));
    assert_eq!(bed.get(name("a@d"), s(55)), Got::Found(1));
    assert_eq!(bed.queries.get(), 3, "one refresh");
    assert_eq!(bed.get(name("a@d"), s(61)), Got::Stale(1));
}

/// What a change has made unusable answers for nobody.
#[test]
fn a_value_from_before_a_change_answers_for_no_failed_load() {
    let bed = down_after_load();
    bed.tell(change(1, "a@d", "a@d"));
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Unavailable);
}

/// D13.
#[test]
fn a_cache_that_is_off_has_no_answer_for_a_failed_load() {
    let bed = down_after_load();
    bed.cache.disable();
    assert_eq!(bed.get(name("a@d"), s(1)), Got::Unavailable);
}
