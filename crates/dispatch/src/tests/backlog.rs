//! Turns, windows and memory, with backlogs of any length.

use std::time::Duration;

use remuda_clock::Wall;
use remuda_mail::EntryId;

use super::world::*;
use crate::{command::Command, event::Event};

/// Issue 2, Schedule: a single message to another destination is dispatched next, behind 100,000.
#[test]
fn one_huge_backlog_delays_nobody_else() {
    let mut settings = settings();
    settings.sessions = 4;
    let mut world = World::new(settings);
    world.checks = false;
    world.serve("huge.test", &[1]);
    world.serve("small.test", &[2]);
    for _ in 0..100_000 {
        let entry = world.entry("huge.test");
        world.store(entry);
    }
    let backlogs = world.backlogs();
    world.tell(Event::Started(backlogs));
    for _ in 0..2000 {
        let command = world.todo.pop_front().expect("the backlog keeps it busy");
        let event = world.good_answer(&command);
        world.tell(event);
    }
    let before = world.done.len();
    assert!(before > 100);
    let entry = world.entry("small.test");
    let id = entry.id;
    world.accept_entry(entry);
    while !world.done.contains(&id) {
        let command = world.todo.pop_front().expect("it is under way");
        let event = world.good_answer(&command);
        world.tell(event);
    }
    let passed = world.done.len() - before;
    assert!(
        passed <= 4 * 6,
        "it waited for what was in flight, not for {passed}"
    );
    assert!(
        world.dispatch.totals().active <= 60,
        "the backlog does not fill memory"
    );
    world.dispatch.assert_consistent();
}

/// All of a backlog is delivered, each once, and memory holds its heads only.
#[test]
fn a_backlog_is_loaded_head_by_head() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..500 {
        let entry = world.entry("a.test");
        world.store(entry);
    }
    let backlogs = world.backlogs();
    world.tell(Event::Started(backlogs));
    let mut most = 0;
    while let Some(command) = world.todo.pop_front() {
        let event = world.good_answer(&command);
        world.tell(event);
        most = most.max(world.dispatch.totals().active);
    }
    assert_eq!(world.done.len(), 500);
    assert!(
        most <= 80,
        "{most} in memory: twice the window, and what waits for its commit"
    );
    assert!(world.count(is_load) < 60, "{} loads", world.count(is_load));
    let in_order = world.done.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(in_order > 450, "oldest first");
}

#[test]
fn destinations_take_turns_for_the_last_session() {
    let mut settings = settings();
    settings.sessions = 1;
    let mut world = World::new(settings);
    for (name, n) in [("a.test", 1), ("b.test", 2), ("c.test", 3)] {
        world.serve(name, &[n]);
    }
    for name in ["a.test", "b.test", "c.test"] {
        for _ in 0..4 {
            world.accept(name);
        }
    }
    world.settle_down();
    let turns: Vec<u64> = world.done.iter().map(|id| (id.0 - 1) / 4).collect();
    // a knew its servers first, so that its second message was in line before the others' first.
    assert_eq!(turns, [0, 0, 1, 2, 0, 1, 2, 0, 1, 2, 1, 2]);
}

#[test]
fn active_messages_bounds_memory_over_all_destinations() {
    let mut settings = settings();
    settings.active_messages = 50;
    let mut world = World::new(settings);
    for n in 0..20 {
        let name = format!("d{n}.test");
        world.serve(&name, &[1]);
        for _ in 0..20 {
            let entry = world.entry(&name);
            world.store(entry);
        }
    }
    let backlogs = world.backlogs();
    world.tell(Event::Started(backlogs));
    while let Some(command) = world.todo.pop_front() {
        let event = world.good_answer(&command);
        world.tell(event);
        assert!(world.dispatch.totals().active <= 50);
    }
    assert_eq!(world.done.len(), 400);
}

/// New mail does not pass for ever what waits in the spool.
#[test]
fn new_mail_waits_behind_what_is_due_in_the_spool() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..200 {
        world.accept("a.test");
    }
    assert_eq!(world.count(is_unload), 180, "20 are in memory");
    for _ in 0..200 {
        if let Some(command) = world.todo.pop_front() {
            let event = world.good_answer(&command);
            world.tell(event);
        }
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(world.done.len(), 400);
    let place = |id: u64| world.done.iter().position(|done| *done == EntryId(id));
    assert!(place(190) < place(350), "in the order in which they came");
}

/// Exact wake-ups: the next due time, not a poll.
#[test]
fn a_deferred_entry_is_loaded_when_it_is_due() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    let mut entry = world.entry("a.test");
    entry.due = Wall(world.now.wall.0 + 3_600_000);
    world.store(entry);
    let backlogs = world.backlogs();
    assert_eq!(world.tell(Event::Started(backlogs)), []);
    let due = world.now.monotonic + Duration::from_secs(3600);
    assert_eq!(world.dispatch.next_deadline(), Some(due));
    world.wait(3_599_999);
    assert_eq!(world.tell(Event::Tick), []);
    world.wait(1);
    assert!(is_load(&world.tell(Event::Tick)[0]));
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

#[test]
fn a_load_that_failed_is_made_again_later_and_not_at_once() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    let entry = world.entry("a.test");
    world.store(entry);
    let backlogs = world.backlogs();
    world.tell(Event::Started(backlogs));
    world.next(is_load);
    let failed = Event::LoadFailed {
        destination: to("a.test"),
    };
    assert_eq!(world.tell(failed), []);
    world.wait(5000);
    world.tell(Event::Tick);
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

/// A load that was under way brings back neither what was settled nor what is in memory.
#[test]
fn an_entry_is_delivered_once_whatever_a_load_brings() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..30 {
        world.accept("a.test");
    }
    world.settle_down_until(is_load);
    let load = world.next(is_load).expect("there is one");
    let stale = world.good_answer(&load);
    world.settle_down();
    let done = world.done.len();
    world.tell(stale);
    world.settle_down();
    assert!(done >= 15);
    assert_eq!(world.done.len(), 30, "{:?}", world.done);
}

/// The window counts sessions: 5 at the start, 20 in the end.
#[test]
fn the_window_opens_with_success_up_to_its_limit() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..20 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    assert_eq!(world.dispatch.totals().busy_sessions, 5);
    for _ in 0..100 {
        world.accept("a.test");
    }
    let mut most = 0;
    while let Some(command) = world.todo.pop_front() {
        let event = world.good_answer(&command);
        world.tell(event);
        most = most.max(world.dispatch.totals().busy_sessions);
    }
    assert_eq!(world.done.len(), 120);
    assert!(most <= 20, "{most} sessions");
}

#[test]
fn sessions_per_endpoint_hold_for_all_destinations_together() {
    let mut settings = settings();
    settings.sessions_per_endpoint = 3;
    let mut world = World::new(settings);
    for n in 0..10 {
        world.serve(&format!("d{n}.test"), &[1]);
    }
    for n in 0..10 {
        world.accept(&format!("d{n}.test"));
    }
    let mut most = 0;
    while let Some(command) = world.todo.pop_front() {
        let event = world.good_answer(&command);
        world.tell(event);
        most = most.max(world.dispatch.totals().busy_sessions);
    }
    assert_eq!((most, world.done.len()), (3, 10));
}

#[test]
fn a_destination_without_mail_and_memory_is_forgotten() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    assert_eq!(
        world.dispatch.destinations(world.now).count(),
        1,
        "the next message may come"
    );
    world.wait(10_000);
    world.tell(Event::Tick);
    world.settle_down();
    assert_eq!(world.dispatch.destinations(world.now).count(), 0);
    assert_eq!(
        world.dispatch.next_deadline(),
        None,
        "nothing is left to wake up for"
    );
}

/// Many destinations due at once are asked for a few at a time.
#[test]
fn resolutions_and_loads_are_bounded_at_once() {
    let mut world = World::new(settings());
    world.checks = false;
    for n in 0..1000 {
        let name = format!("d{n}.test");
        world.serve(&name, &[1]);
        let entry = world.entry(&name);
        world.store(entry);
    }
    let backlogs = world.backlogs();
    let out = world.tell(Event::Started(backlogs));
    assert_eq!(out.iter().filter(|command| is_load(command)).count(), 32);
    let mut asked: usize = 0;
    while let Some(command) = world.todo.pop_front() {
        asked = asked.max(world.todo.iter().filter(|command| is_resolve(command)).count());
        let is_last_resort = matches!(command, Command::Resolve { .. }) && world.todo.iter().any(is_load);
        if is_last_resort {
            world.todo.push_back(command);
            continue;
        }
        let event = world.good_answer(&command);
        world.tell(event);
    }
    assert!(asked <= 200, "{asked}");
    assert_eq!(world.done.len(), 1000);
    world.dispatch.assert_consistent();
}
