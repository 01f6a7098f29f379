//! Histories by which a review of the choice among hosts showed defects, each as the rule that was broken.

use std::{collections::BTreeMap, time::Duration};

use remuda_mail::{Blame, Failure, Scope, SessionId, Source};

use super::{
    paced::{Kind, Paced},
    world::*,
};
use crate::{
    command::Command,
    event::{Answer, DialStep, Event, Undecided},
    settings::Settings,
};

#[test]
fn a_recovered_host_is_used_again_when_dials_take_time() {
    let mut paced = Paced::new(settings(), &[(1, 50), (2, 2000)], 60);
    paced.run(60_000);
    paced.takes.insert(2, 50);
    let before = paced.went.len();
    paced.run(180_000);
    let to_two = paced.went[before..]
        .iter()
        .filter(|(_, host, _)| *host == 2)
        .count();
    assert!(to_two > 100, "{to_two}");
}

#[test]
fn a_sleeper_is_woken_by_the_outcome_of_anothers_trial_after_its_site_was_reviewed() {
    let mut world = World::new(settings());
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.settle_down();
    // The pause is over: a.test's dial is the trial, b.test sleeps for what becomes of it.
    world.wait(1500);
    world.tell(Event::Tick);
    world.accept("a.test");
    while world.count(is_dial) < 2 {
        let command = world.next(|c| !is_dial(c)).expect("more");
        let event = world.good_answer(&command);
        world.tell(event);
    }
    world.accept("b.test");
    while let Some(command) = world.next(|c| !is_dial(c)) {
        let event = world.good_answer(&command);
        world.tell(event);
    }
    assert_eq!(world.count(is_dial), 2);
    // The greeting takes 25 seconds.
    for _ in 0..25 {
        world.wait(1000);
        world.tell(Event::Tick);
        while let Some(command) = world.next(|c| !is_dial(c)) {
            let event = world.good_answer(&command);
            world.tell(event);
        }
    }
    world.answer(is_dial);
    world.settle_down();
    assert_eq!(world.done.len(), 2);
}

#[test]
fn an_operators_wish_wakes_after_half_a_minute() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    // Long pause.
    for _ in 0..8 {
        world.fail_dial();
        world.settle_down();
        world.accept("a.test");
        for _ in 0..400 {
            if world.todo.iter().any(is_dial) {
                break;
            }
            world.wait(1000);
            world.tell(Event::Tick);
            while let Some(command) = world.next(|c| !is_dial(c)) {
                let event = world.good_answer(&command);
                world.tell(event);
            }
        }
    }
    world.fail_dial();
    world.settle_down();
    world.accept("a.test");
    world.settle_down();
    for _ in 0..60 {
        world.wait(1000);
        world.tell(Event::Tick);
        world.settle_down();
    }
    let before = world.count(is_dial);
    world.tell(Event::Wakened {
        destination: to("a.test"),
        due: world.now.wall,
        added: 0,
        from_held: 0,
        thaw: true,
    });
    world.settle_down();
    assert!(world.count(is_dial) > before);
}

#[test]
fn in_a_pause_nothing_is_dialled_beside_open_sessions() {
    let mut tight = settings();
    tight.sessions_per_endpoint = 2;
    let mut world = World::new(tight);
    for n in 0..50 {
        let name = format!("d{n}.test");
        world.serve(&name, &[1]);
        world.accept(&name);
        while let Some(command) = world.next(is_resolve) {
            let event = world.good_answer(&command);
            world.tell(event);
        }
    }
    assert_eq!(world.count(is_dial), 2);
    while world.todo.iter().any(is_dial) {
        world.fail_dial();
    }
    assert_eq!(world.count(is_dial), 2);
}

#[test]
fn a_refused_dial_holds_back_dials_only() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..15 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    for _ in 0..4 {
        world.answer(is_dial);
    }
    assert_eq!(world.count(is_transact), 4);
    world.fail_dial();
    // The four go through, one after the other; their sessions are in order.
    for _ in 0..200 {
        let Some(command) = world.next(|c| !is_dial(c)) else {
            break;
        };
        let event = world.good_answer(&command);
        world.tell(event);
    }
    assert!(world.done.len() >= 14, "{}", world.done.len());
}

#[test]
fn a_trial_that_fails_through_us_wakes_the_others() {
    let mut world = World::new(settings());
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.settle_down();
    world.wait(1500);
    world.tell(Event::Tick);
    world.accept("a.test");
    while world.count(is_dial) < 2 {
        let command = world.next(|c| !is_dial(c)).expect("more");
        let event = world.good_answer(&command);
        world.tell(event);
    }
    world.accept("b.test");
    while let Some(command) = world.next(|c| !is_dial(c)) {
        let event = world.good_answer(&command);
        world.tell(event);
    }
    let ours = Failure {
        blame: Blame::Us,
        ..failure(Scope::Endpoint)
    };
    world.fail_dial_with(DialStep::Connect, ours);
    world.settle_down();
    for _ in 0..60 {
        world.wait(1000);
        world.tell(Event::Tick);
        world.settle_down();
    }
    assert_eq!(world.done.len(), 1, "b.test's within a minute");
}

#[test]
fn one_transaction_that_hangs_does_not_take_a_host_out() {
    let mut paced = Paced::new(settings(), &[(1, 50), (2, 50)], 0);
    paced.run(5_000);
    let is_at_two = |c: &Command, at: &BTreeMap<SessionId, u8>| matches!(c, Command::Transact { session, .. } if at[session] == 2);
    let hung = paced.world.todo.iter().find(|c| is_at_two(c, &paced.at)).cloned();
    let Some(Command::Transact { delivery, .. }) = hung else {
        panic!("one at 2")
    };
    paced.hang.push(delivery);
    let before = paced.went.len();
    paced.run(120_000);
    assert!(paced.share(2, before) > 0.1);
}

#[test]
fn a_host_that_breaks_off_behind_the_content_attracts_nothing() {
    let mut paced = Paced::new(settings(), &[(1, 50), (2, 5)], 1);
    paced.kind.insert(2, Kind::Lost);
    paced.run(30_000);
    assert!(paced.share(2, 100) < 0.1);
}

#[test]
fn a_host_that_rejects_all_quickly() {
    let mut paced = Paced::new(settings(), &[(1, 50), (2, 5)], 1);
    paced.kind.insert(2, Kind::Reject);
    paced.run(30_000);
    assert!(paced.share(2, 100) < 0.02);
}

#[test]
fn who_needs_another_session_gets_the_place_of_one_that_is_open() {
    let mut world = World::new(Settings {
        initial_concurrency: 1,
        concurrency: 1,
        pipeline_depth: 1,
        ..settings()
    });
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    for _ in 0..10 {
        world.accept("a.test");
    }
    // a.test has the only connection that the host allows.
    world.settle_down_until(is_transact);
    world
        .dispatch
        .hosts
        .met_room(endpoint(1).into(), world.now.monotonic);
    // b.test needs what that lacks.
    let mut entry = world.entry("b.test");
    entry.smtputf8 = true;
    world.accept_entry(entry.clone());
    for _ in 0..2000 {
        // The host never lets in a second.
        if world.todo.iter().any(is_dial) {
            let open = world.dispatch.hosts.open(endpoint(1).into());
            if open > 0 {
                let full = Failure {
                    scope: Scope::Endpoint,
                    blame: Blame::Peer,
                    refusal: remuda_mail::Refusal {
                        reply: Some(remuda_mail::Reply {
                            code: 421,
                            enhanced: None,
                            text: "too many".into(),
                        }),
                        ..refusal(4, "")
                    },
                };
                world.fail_dial_with(DialStep::Greeting, full);
                continue;
            }
        }
        let Some(command) = world.todo.pop_front() else {
            break;
        };
        if is_transact(&command) {
            world.wait(100);
            world.accept("a.test");
        }
        let event = world.good_answer(&command);
        world.tell(event);
    }
    assert!(world.done.contains(&entry.id));
}

#[test]
fn destinations_move_on_from_a_source_that_a_host_refuses() {
    let source = |address: &str| {
        std::sync::Arc::new(Source {
            address: address.parse().unwrap(),
            helo_name: format!("out-{address}.test").into(),
        })
    };
    let mut set = settings();
    set.sources = ["192.0.2.101", "192.0.2.102"].iter().map(|a| source(a)).collect();
    let bad: std::net::IpAddr = "192.0.2.101".parse().unwrap();
    let mut world = World::new(set);
    world.checks = false;
    for n in 0..40 {
        let name = format!("d{n}.test");
        world.serve(&name, &[1]);
    }
    let mut dials = 0;
    for hour in 0..4 {
        for second in 0..3600 {
            if second % 60 == 0 {
                for n in 0..40 {
                    world.accept(&format!("d{n}.test"));
                }
            }
            world.wait(1000);
            world.tell(Event::Tick);
            while let Some(command) = world.todo.front().cloned() {
                if let Command::Dial {
                    source: Some(from), ..
                } = &command
                    && *from == bad
                {
                    dials += 1;
                    world.fail_dial_that(|c| *c == command);
                    continue;
                }
                world.todo.pop_front();
                let event = world.good_answer(&command);
                world.tell(event);
            }
        }
        let stuck = world
            .spool
            .values()
            .map(|(e, _)| e.destination.clone())
            .collect::<std::collections::BTreeSet<_>>();
        assert!(stuck.is_empty() && dials < 60, "hour {hour}: {stuck:?} {dials}");
    }
}

#[test]
fn a_dial_that_began_before_a_host_recovered_does_not_pause_it() {
    let mut world = World::new(settings());
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    world.accept("a.test");
    world.answer(is_resolve);
    world.accept("b.test");
    world.answer(is_resolve);
    assert_eq!(world.count(is_dial), 2);
    // b.test's opens, a.test's was lost on the way.
    world
        .answer(|c: &Command| matches!(c, Command::Dial { destination, .. } if *destination == to("b.test")));
    world.wait(30_000);
    world.tell(Event::Tick);
    world.fail_dial();
    let paused = world
        .dispatch
        .hosts
        .is_paused(endpoint(1).into(), world.now.monotonic);
    assert!(!paused);
}

#[test]
fn a_hold_ends() {
    // How long one holds out where the other defers quickly.
    let mut tight = settings();
    tight.sessions_per_endpoint = 1;
    let mut world = World::new(tight);
    world.serve("x.test", &[1]);
    world.serve("y.test", &[2]);
    world.serve("a.test", &[1, 2]);
    let mut large = world.entry("x.test");
    large.size = 10 << 20;
    for (name, wait) in [("x.test", 3000), ("y.test", 3000)] {
        world.accept(name);
        world.settle_down_until(is_transact);
        world.answer_transaction(|world, session| Answer {
            waited: Duration::from_millis(wait),
            ..answer(1, 0, 0, Undecided::NextTransaction, world.free(session))
        });
        world.settle_down();
    }
    // Host 2 defers for a while.
    for _ in 0..70 {
        world.accept("y.test");
        world.settle_down_until(is_transact);
        world.answer_transaction(|world, session| Answer {
            accepted: false,
            ..answer(0, 1, 0, Undecided::NextTransaction, world.free(session))
        });
        world.settle_down();
    }
    world.accept_entry(large);
    while let Some(command) = world.next(|c| !is_transact(c)) {
        let e = world.good_answer(&command);
        world.tell(e);
    }
    world.accept("a.test");
    while let Some(command) = world.next(|c| !is_transact(c)) {
        let e = world.good_answer(&command);
        world.tell(e);
    }
    let hold = world
        .dispatch
        .holds
        .first()
        .map(|(at, _)| *at - world.now.monotonic);
    assert_eq!(hold, Some(Duration::from_secs(30)));
}

#[test]
fn ghosts_outlive_the_recovery() {
    let mut world = World::new(settings());
    let now = world.now.monotonic;
    let hosts = &mut world.dispatch.hosts;
    let way: remuda_mail::Way = endpoint(2).into();
    // Ten deferrals a second for ten minutes, the slowest sibling takes half a second.
    for n in 0..6000u64 {
        hosts.deferred(
            way,
            Duration::from_millis(500),
            now + Duration::from_millis(n * 100),
        );
    }
    let end = now + Duration::from_secs(600);
    for _ in 0..20 {
        hosts.accepted(way, Some(Duration::from_millis(20)), world.now.monotonic);
    }
    for after in [1u64, 60, 120, 300, 500] {
        let cost = hosts.expected(
            way,
            remuda_hosts::Question {
                now: end + Duration::from_secs(after),
                unknown: Duration::from_millis(1),
                unknown_opening: Duration::ZERO,
                is_warm: true,
                is_own: false,
            },
        );
        assert_eq!(cost, Duration::from_millis(20));
    }
}

#[test]
fn room_that_a_given_up_dial_leaves_is_not_forgotten() {
    let mut tight = settings();
    tight.sessions = 3;
    tight.initial_concurrency = 1;
    tight.sessions_per_endpoint = 1;
    let mut world = World::new(tight);
    for (name, id) in ["a", "d", "o", "b", "c", "e"].into_iter().zip([1, 1, 2, 2, 3, 4]) {
        world.serve(&format!("{name}.test"), &[id]);
    }
    let work = |world: &mut World| {
        while let Some(c) = world.next(|c| !is_dial(c) && !is_transact(c) && !is_retire(c)) {
            let e = world.good_answer(&c);
            world.tell(e);
        }
    };
    world.accept("a.test");
    world.accept("a.test");
    world.settle_down();
    let parked = world.dispatch.cache.parked().next().map(|(id, _)| id).unwrap();
    world
        .dispatch
        .hosts
        .met_room(endpoint(1).into(), world.now.monotonic);
    // d.test wants what the parked one lacks: it waits for room at host 1.
    let mut entry = world.entry("d.test");
    entry.smtputf8 = true;
    world.accept_entry(entry);
    work(&mut world);
    // c.test has one session, o.test dials with the second to host 2, which takes one at a time, b.test waits for that.
    world.accept("c.test");
    work(&mut world);
    world.answer(is_dial);
    world.accept("o.test");
    work(&mut world);
    let of_o = world
        .spool
        .iter()
        .find(|(_, (e, _))| e.destination == to("o.test"))
        .map(|(id, _)| *id)
        .unwrap();
    world.accept("b.test");
    work(&mut world);
    // e.test has the last.
    world.accept("e.test");
    work(&mut world);
    // o.test's message is withdrawn; its dial goes on for nobody but b.test.
    world.withdraw(of_o, true);
    work(&mut world);
    // The parked session ends: d.test may dial, and the orphan gives way.
    world.die(parked, None);
    work(&mut world);
    // c.test's is over: b.test could dial.
    world.checks = false;
    world.answer(is_transact);
    for _ in 0..50 {
        let Some(c) = world.next(|c| matches!(c, Command::Retire { .. } | Command::Settle { .. })) else {
            break;
        };
        let e = world.good_answer(&c);
        world.tell(e);
    }
    for _ in 0..30 {
        world.wait(1000);
        world.tell(Event::Tick);
        work(&mut world);
    }
    world.dispatch.assert_consistent();
}
