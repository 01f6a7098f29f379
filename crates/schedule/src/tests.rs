//! The schedule's rules, one test each.

use std::time::Duration;

use remuda_mail::MessageId;

use super::*;

pub(crate) fn entry(id: u64, name: &str) -> Entry {
    Entry {
        id: EntryId(id),
        message: MessageId(id),
        destination: Destination::from_key(name),
        recipients: 1,
        recipient_domain: "d.test".parse().expect("a domain"),
        size: 1000,
        smtputf8: false,
        arrived: Wall(0),
        expires: Wall(5 * 86_400_000),
        due: Wall(0),
    }
}

fn to(name: &str) -> Destination {
    Destination::from_key(name)
}

fn at(seconds: u64) -> Now {
    Now::default().later(Duration::from_secs(seconds))
}

fn schedule() -> Schedule {
    let limits = Limits {
        initial_concurrency: 5,
        concurrency_max: 20,
        active_max: 100,
        minimal_backoff: Duration::from_secs(300),
        maximal_backoff: Duration::from_secs(4000),
        seed: 7,
    };
    Schedule::new(limits, at(0))
}

fn backlog(name: &str, waiting: u64, due: i64) -> Backlog {
    Backlog {
        destination: to(name),
        waiting,
        held: 0,
        due: Some(Wall(due)),
    }
}

fn start(schedule: &mut Schedule) -> Option<u64> {
    let destination = schedule.next_ready()?;
    let entry = schedule.start(&destination);
    schedule.assert_consistent();
    entry.map(|entry| entry.id.0)
}

#[test]
fn destinations_take_turns_one_delivery_at_a_time() {
    let mut schedule = schedule();
    for id in 1..=3 {
        schedule.accepted(entry(id, "a.test"));
    }
    schedule.accepted(entry(4, "b.test"));
    let order: Vec<_> = std::iter::from_fn(|| start(&mut schedule)).collect();
    assert_eq!(order, [1, 4, 2, 3]);
}

#[test]
fn a_window_bounds_the_deliveries_of_a_destination() {
    let mut schedule = schedule();
    for id in 1..=10 {
        schedule.accepted(entry(id, "a.test"));
    }
    assert_eq!(std::iter::from_fn(|| start(&mut schedule)).count(), 5);
    schedule.release(&to("a.test"));
    assert_eq!(start(&mut schedule), Some(6));
    assert_eq!(start(&mut schedule), None);
}

#[test]
fn a_queue_has_at_most_twenty_heads_in_memory_at_first() {
    let mut schedule = schedule();
    let taken = (1..=30)
        .filter(|id| schedule.accepted(entry(*id, "a.test")))
        .count();
    assert_eq!(taken, 20);
    let view = schedule
        .view(&to("a.test"))
        .map(|view| (view.waiting, view.active));
    assert_eq!(view, Some((30, 20)));
}

#[test]
fn a_load_is_asked_for_what_is_there_and_fits() {
    let mut schedule = schedule();
    schedule.started(backlog("few.test", 3, 0));
    schedule.started(backlog("many.test", 1000, 0));
    let orders: Vec<_> = std::iter::from_fn(|| schedule.next_load())
        .map(|order| (order.destination.to_string(), order.limit))
        .collect();
    assert_eq!(orders, [("few.test".into(), 3), ("many.test".into(), 20)]);
    schedule.assert_consistent();
}

#[test]
fn loads_under_way_count_as_memory() {
    let mut schedule = schedule();
    for n in 0..10 {
        schedule.started(backlog(&format!("d{n}.test"), 1000, 0));
    }
    let orders: Vec<_> = std::iter::from_fn(|| schedule.next_load()).collect();
    assert_eq!(orders.len(), 5, "five times twenty is all that fits");
    assert!(
        !schedule.accepted(entry(1, "other.test")),
        "and there is no room for new mail"
    );
    schedule.load_failed(&orders[0].destination);
    assert!(schedule.next_load().is_some());
    schedule.assert_consistent();
}

#[test]
fn a_load_counts_what_is_in_memory_already() {
    let mut schedule = schedule();
    for id in 1..=30 {
        schedule.accepted(entry(id, "a.test"));
    }
    while start(&mut schedule).is_some() {}
    for _ in 0..5 {
        schedule.release(&to("a.test"));
    }
    while start(&mut schedule).is_some() {}
    for _ in 0..5 {
        schedule.release(&to("a.test"));
    }
    while start(&mut schedule).is_some() {}
    let order = schedule.next_load().expect("it runs low");
    assert_eq!(
        order.limit,
        20 + 10,
        "twenty that are there or settle, and ten more"
    );
}

#[test]
fn what_a_load_brings_twice_is_taken_once() {
    let mut schedule = schedule();
    schedule.started(backlog("a.test", 3, 0));
    schedule.next_load();
    schedule.accepted(entry(9, "a.test"));
    let brought = vec![entry(1, "a.test"), entry(2, "a.test"), entry(1, "a.test")];
    schedule.loaded(&to("a.test"), brought, None);
    let order: Vec<_> = std::iter::from_fn(|| start(&mut schedule)).collect();
    assert_eq!(order, [1, 2]);
}

#[test]
fn what_is_gone_is_not_taken_from_a_load_under_way() {
    let mut schedule = schedule();
    schedule.started(backlog("a.test", 2, 0));
    schedule.next_load();
    schedule.withdrawn(&to("a.test"), EntryId(1), false);
    schedule.loaded(&to("a.test"), vec![entry(1, "a.test"), entry(2, "a.test")], None);
    let order: Vec<_> = std::iter::from_fn(|| start(&mut schedule)).collect();
    assert_eq!(order, [2]);
    schedule.assert_consistent();
}

#[test]
fn a_load_says_what_it_brought_in_vain() {
    let mut schedule = schedule();
    schedule.started(backlog("a.test", 3, 0));
    schedule.next_load();
    schedule.withdrawn(&to("a.test"), EntryId(1), false);
    schedule.suspend(&to("a.test"), at(300).monotonic, "down".into());
    let brought = vec![entry(1, "a.test"), entry(2, "a.test")];
    let not_taken = schedule.loaded(&to("a.test"), brought, None);
    assert_eq!(not_taken, [EntryId(1), EntryId(2)]);
    schedule.assert_consistent();
}

#[test]
fn a_hold_and_a_release_in_flight_leave_no_trace() {
    for left in [None, Some(Wall(5000))] {
        let mut schedule = schedule();
        schedule.accepted(entry(1, "a.test"));
        start(&mut schedule);
        schedule.withdrawn(&to("a.test"), EntryId(1), true);
        assert!(schedule.restored(&to("a.test"), EntryId(1)));
        assert!(!schedule.restored(&to("a.test"), EntryId(1)), "once");
        schedule.release(&to("a.test"));
        schedule.settled(&to("a.test"), EntryId(1), left);
        let view = schedule.view(&to("a.test")).expect("its window is remembered");
        assert_eq!((view.waiting, view.held), (u64::from(left.is_some()), 0));
        assert_eq!(view.due, left);
        schedule.assert_consistent();
    }
}

#[test]
fn suspension_unloads_and_thaws_by_one() {
    let mut schedule = schedule();
    for id in 1..=8 {
        schedule.accepted(entry(id, "a.test"));
    }
    let until = at(300).monotonic;
    let unloaded = schedule.suspend(&to("a.test"), until, "down".into());
    assert_eq!(unloaded.len(), 8);
    assert_eq!(schedule.next_deadline(), Some(until));
    schedule.advance(at(299));
    assert_eq!((start(&mut schedule), schedule.next_load()), (None, None));
    schedule.advance(at(300));
    let order = schedule.next_load().expect("one may try");
    assert_eq!(order.limit, 1);
    schedule.loaded(&to("a.test"), vec![entry(1, "a.test")], Some(Wall(0)));
    assert_eq!(start(&mut schedule), Some(1));
    assert_eq!(schedule.next_load(), None, "the others wait for what it finds");
    schedule.feedback(&to("a.test"), Feedback::Positive);
    assert_eq!(schedule.next_load().map(|order| order.limit), Some(1 + 7));
    schedule.assert_consistent();
}

#[test]
fn a_destination_dies_of_failures_and_says_why() {
    let mut schedule = schedule();
    for id in 1..=5 {
        schedule.accepted(entry(id, "a.test"));
    }
    while start(&mut schedule).is_some() {}
    for _ in 0..3 {
        schedule.feedback(&to("a.test"), Feedback::Negative("refused".into()));
        schedule.release(&to("a.test"));
    }
    let view = schedule.view(&to("a.test")).expect("it has mail");
    let (until, reason) = view.suspended.expect("dead");
    assert_eq!((reason, view.window), ("refused", 0));
    let pause = until.since_start().as_secs_f64();
    assert!((270.0..=330.0).contains(&pause));
}

#[test]
fn nothing_happens_by_time_alone_before_the_next_due_time() {
    let mut schedule = schedule();
    schedule.started(backlog("a.test", 1, 60_000));
    schedule.started(backlog("b.test", 1, 30_000));
    assert_eq!(schedule.next_load(), None);
    assert_eq!(schedule.next_deadline(), Some(at(30).monotonic));
    schedule.advance(at(30));
    assert_eq!(
        schedule.next_load().map(|order| order.destination),
        Some(to("b.test"))
    );
    assert_eq!(schedule.next_load(), None);
    assert_eq!(schedule.next_deadline(), Some(at(60).monotonic));
}

#[test]
fn held_entries_are_counted_apart() {
    let mut schedule = schedule();
    schedule.accepted(entry(1, "a.test"));
    schedule.withdrawn(&to("a.test"), EntryId(1), true);
    let sums = (
        schedule.totals().waiting,
        schedule.totals().held,
        schedule.totals().destinations,
    );
    assert_eq!(sums, (0, 1, 1));
    assert!(!schedule.is_empty(&to("a.test")));
    let release = Wakening {
        due: Wall(0),
        added: 1,
        from_held: 1,
        thaw: false,
    };
    schedule.wakened(&to("a.test"), &release);
    assert_eq!((schedule.totals().waiting, schedule.totals().held), (1, 0));
    assert!(schedule.next_load().is_some());
}

#[test]
fn only_an_empty_destination_is_forgotten() {
    let mut schedule = schedule();
    schedule.accepted(entry(1, "a.test"));
    schedule.forget(&to("a.test"));
    assert!(schedule.view(&to("a.test")).is_some());
    assert_eq!(start(&mut schedule), Some(1));
    schedule.release(&to("a.test"));
    schedule.settled(&to("a.test"), EntryId(1), None);
    assert!(schedule.is_empty(&to("a.test")));
    schedule.forget(&to("a.test"));
    assert_eq!(schedule.view(&to("a.test")), None);
    schedule.assert_consistent();
}

#[test]
fn what_is_given_back_is_loaded_again() {
    let mut schedule = schedule();
    schedule.accepted(entry(1, "a.test"));
    let destination = schedule.next_ready().expect("it is ready");
    let entry = schedule.start(&destination).expect("it is ready");
    schedule.give_back(&entry);
    assert_eq!(schedule.totals().active, 0);
    assert!(schedule.next_load().is_some());
    schedule.assert_consistent();
}

#[test]
fn an_acceptance_that_a_load_has_overtaken_is_counted_once() {
    let mut schedule = schedule();
    schedule.started(backlog("a.test", 2, 0));
    schedule.next_load();
    // 7 was committed after the count, and its acceptance has not been reported.
    schedule.loaded(
        &to("a.test"),
        vec![entry(1, "a.test"), entry(7, "a.test")],
        Some(Wall(0)),
    );
    assert!(schedule.accepted(entry(7, "a.test")));
    let view = schedule
        .view(&to("a.test"))
        .map(|view| (view.waiting, view.active));
    assert_eq!(view, Some((3, 2)));
    let order: Vec<_> = std::iter::from_fn(|| start(&mut schedule)).collect();
    assert_eq!(order, [1, 7]);
}

#[test]
fn a_count_that_ended_before_it_began_comes_right() {
    let mut schedule = schedule();
    schedule.started(backlog("a.test", 2, 0));
    schedule.next_load();
    schedule.loaded(
        &to("a.test"),
        vec![entry(1, "a.test"), entry(7, "a.test")],
        Some(Wall(0)),
    );
    schedule.withdrawn(&to("a.test"), EntryId(2), false);
    for id in [1, 7] {
        assert_eq!(start(&mut schedule), Some(id));
        schedule.release(&to("a.test"));
        schedule.settled(&to("a.test"), EntryId(id), None);
    }
    schedule.forget(&to("a.test"));
    let late = Wakening {
        due: Wall::NEVER,
        added: 1,
        from_held: 0,
        thaw: false,
    };
    schedule.wakened(&to("a.test"), &late);
    assert_eq!(
        (schedule.totals().waiting, schedule.totals().destinations),
        (0, 0)
    );
    assert!(schedule.is_empty(&to("a.test")));
    schedule.assert_consistent();
}

#[test]
fn riders_take_no_slot_and_wait_for_one_when_they_lose_their_session() {
    let mut schedule = schedule();
    for id in 1..=10 {
        schedule.accepted(entry(id, "a.test"));
    }
    let destination = to("a.test");
    assert!(
        schedule.ride(&destination).is_none(),
        "there is nothing to ride on"
    );
    assert_eq!(std::iter::from_fn(|| start(&mut schedule)).count(), 5);
    assert!(schedule.is_full(&destination));
    let rider = schedule.ride(&destination).map(|entry| entry.id.0);
    assert_eq!(rider, Some(6));
    schedule.bench(&destination);
    schedule.assert_consistent();
    assert_eq!(schedule.next_ready(), None, "all slots are taken");
    assert!(schedule.ride(&destination).is_none(), "who waits comes first");
    schedule.release(&destination);
    assert_eq!(schedule.next_ready(), Some(destination.clone()));
    schedule.sit(&destination);
    schedule.assert_consistent();
    assert!(schedule.is_full(&destination));
    assert_eq!(schedule.ride(&destination).map(|entry| entry.id.0), Some(7));
}
