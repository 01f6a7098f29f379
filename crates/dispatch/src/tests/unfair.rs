//! Slow, dead and limiting hosts (design §6).

use std::{collections::BTreeMap, time::Duration};

use remuda_mail::{Blame, Failure, Refusal, Reply, Scope, SessionId};

use super::{
    paced::{Kind, Paced, number},
    world::*,
};
use crate::{
    choice::Choice,
    command::Command,
    event::{Answer, DialStep, Event, Undecided},
    settings::{EndpointChoice, Settings},
    view::HostState,
};

/// Where each session was dialled to.
fn dialled(world: &World) -> BTreeMap<SessionId, u8> {
    let dialled = |command: &Command| match command {
        Command::Dial {
            session, endpoint, ..
        } => Some((*session, number(*endpoint))),
        _ => None,
    };
    world.log.iter().filter_map(dialled).collect()
}

/// Where each transaction went, and why.
fn went(world: &World) -> Vec<(u8, Choice)> {
    let dialled = dialled(world);
    let went = |command: &Command| match command {
        Command::Transact { session, choice, .. } => Some((dialled[session], *choice)),
        _ => None,
    };
    world.log.iter().filter_map(went).collect()
}

fn hosts(world: &World) -> Vec<u8> {
    went(world).into_iter().map(|(host, _)| host).collect()
}

/// Answers everything but transactions.
fn settle(world: &mut World) {
    settle_but(world, |_| false);
}

/// Answers everything but transactions and these.
fn settle_but(world: &mut World, these: impl Fn(&Command) -> bool) {
    while let Some(command) = world.next(|command| !is_transact(command) && !these(command)) {
        let event = world.good_answer(&command);
        world.tell(event);
    }
}

#[test]
fn a_slow_host_gets_only_the_trial() {
    let mut timed = Paced::new(settings(), &[(1, 50), (2, 2000)], 0);
    timed.run(60_000);
    let all = went(&timed.world);
    // Ten sessions at 50 ms make 200 a second.
    assert!(all.len() as f64 > 0.95 * 200.0 * 60.0, "{}", all.len());
    let to_slow: Vec<_> = all[20..].iter().filter(|(host, _)| *host == 2).collect();
    assert!(
        to_slow.iter().all(|(_, choice)| *choice == Choice::Trial),
        "{to_slow:?}"
    );
    assert!(
        (2..=6).contains(&to_slow.len()),
        "after 2, 4, 8, 16 and 30 s: {to_slow:?}"
    );
}

/// The reference's attractor, for comparison: the slow host holds its share of the sessions and more.
#[test]
fn at_random_the_slow_host_keeps_its_sessions() {
    let random = Settings {
        endpoint_choice: EndpointChoice::Random,
        ..settings()
    };
    let mut timed = Paced::new(random, &[(1, 50), (2, 2000)], 0);
    timed.run(60_000);
    let all = went(&timed.world);
    assert!((all.len() as f64) < 0.8 * 200.0 * 60.0, "{}", all.len());
    assert!(all.iter().all(|(_, choice)| *choice == Choice::Random));
}

#[test]
fn equal_hosts_share_the_mail() {
    let mut timed = Paced::new(settings(), &[(1, 50), (2, 50), (3, 50), (4, 50)], 0);
    timed.run(10_000);
    for host in 1..=4 {
        let share = timed.share(host, 0);
        assert!((0.15..0.35).contains(&share), "{host}: {share}");
    }
}

#[test]
fn a_host_that_recovers_is_used_again_within_half_a_minute() {
    let mut timed = Paced::new(settings(), &[(1, 50), (2, 2000)], 0);
    timed.run(40_000);
    timed.takes.insert(2, 50);
    timed.run(32_000);
    let before = timed.world.count(is_transact);
    timed.run(10_000);
    let share = timed.share(2, before);
    assert!(share > 0.25, "{share}");
}

#[test]
fn a_host_that_becomes_slow_is_left_before_it_has_answered() {
    let mut timed = Paced::new(settings(), &[(1, 50), (2, 50)], 0);
    timed.run(5_000);
    timed.takes.insert(2, 60_000);
    timed.run(1_000);
    let before = timed.world.count(is_transact);
    timed.run(5_000);
    assert!(timed.share(2, before) < 0.01);
}

#[test]
fn a_host_that_defers_quickly_attracts_nothing() {
    let mut timed = Paced::new(settings(), &[(1, 50), (2, 1)], 0);
    timed.kind.insert(2, Kind::Defer);
    timed.run(30_000);
    let share = timed.share(2, 100);
    assert!(share < 0.02, "{share}");
}

#[test]
fn what_one_destination_measured_serves_all() {
    let mut world = World::new(settings());
    for (name, ids) in [("a.test", &[1][..]), ("b.test", &[2]), ("c.test", &[1, 2])] {
        world.serve(name, ids);
    }
    for (name, wait) in [("a.test", 2000), ("b.test", 50)] {
        world.accept(name);
        world.settle_down_until(is_transact);
        world.answer_transaction(|world, session| Answer {
            waited: Duration::from_millis(wait),
            ..answer(1, 0, 0, Undecided::NextTransaction, world.free(session))
        });
        world.settle_down();
    }
    for _ in 0..5 {
        world.accept("c.test");
        world.settle_down();
    }
    assert_eq!(hosts(&world)[2..], [2; 5]);
}

#[test]
fn preference_is_absolute() {
    let mut world = World::new(settings());
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    for _ in 0..5 {
        world.accept("a.test");
        world.settle_down_until(is_transact);
        world.answer_transaction(|world, session| Answer {
            waited: Duration::from_secs(60),
            ..answer(1, 0, 0, Undecided::NextTransaction, world.free(session))
        });
        world.settle_down();
    }
    assert_eq!(went(&world), [(1, Choice::Only); 5]);
}

#[test]
fn a_delivery_waits_for_the_better_host_half_as_long_as_the_other_would_take() {
    let mut tight = settings();
    tight.sessions_per_endpoint = 1;
    let mut world = World::new(tight);
    world.serve("x.test", &[1]);
    world.serve("y.test", &[2]);
    world.serve("a.test", &[1, 2]);
    for (name, wait) in [("x.test", 100), ("y.test", 4000)] {
        world.accept(name);
        world.settle_down_until(is_transact);
        world.answer_transaction(|world, session| Answer {
            waited: Duration::from_millis(wait),
            ..answer(1, 0, 0, Undecided::NextTransaction, world.free(session))
        });
        world.settle_down();
    }
    world.wait(10_000);
    world.tell(Event::Tick);
    world.settle_down();
    // x.test's has the only place at the better host; a large one, so that its age says nothing.
    let mut large = world.entry("x.test");
    large.size = 10 << 20;
    world.accept_entry(large);
    settle(&mut world);
    world.accept("a.test");
    settle(&mut world);
    assert_eq!(hosts(&world).len(), 3, "it waits");
    let deadline = world.dispatch.next_deadline().unwrap();
    assert_eq!((deadline - world.now.monotonic).as_millis(), 2000);
    world.wait(2001);
    world.tell(Event::Tick);
    settle(&mut world);
    assert_eq!(went(&world).last(), Some(&(2, Choice::Fallback)));
}

/// What a server says that has as many connections as it allows.
fn too_many() -> Failure {
    Failure {
        scope: Scope::Endpoint,
        blame: Blame::Peer,
        refusal: Refusal {
            reply: Some(Reply {
                code: 421,
                enhanced: Some(remuda_mail::EnhancedStatus::new(4, 7, 0)),
                text: "too many connections".into(),
            }),
            ..refusal(4, "")
        },
    }
}

#[test]
fn who_is_turned_away_by_421_while_others_are_open_waits_for_one_of_those() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.answer(is_dial);
    for _ in 0..2 {
        world.fail_dial_with(DialStep::Greeting, too_many());
    }
    let limit = |world: &World| {
        world
            .dispatch
            .hosts
            .connections_max(endpoint(1).into(), world.now.monotonic)
    };
    assert_eq!(limit(&world), Some(1));
    assert_eq!(world.count(is_settle), 0, "no failure of theirs");
    world.settle_down();
    assert_eq!((world.done.len(), world.count(is_dial)), (3, 3));
    let view = world.dispatch.destination(&to("a.test"), world.now);
    assert!(view.is_none_or(|view| view.suspended.is_none() && view.window >= 5));
}

#[test]
fn a_421_with_none_open_is_a_failure() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial_with(DialStep::Greeting, too_many());
    assert_eq!(world.count(is_settle), 1);
    assert!(
        world
            .dispatch
            .hosts
            .is_paused(endpoint(1).into(), world.now.monotonic)
    );
}

#[test]
fn who_waits_to_dial_may_once_a_parked_session_has_ended() {
    let mut world = World::new(Settings {
        initial_concurrency: 1,
        ..settings()
    });
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    // b.test needs what the session lacks.
    world.accept("a.test");
    world.accept("a.test");
    world.settle_down();
    assert_eq!(world.dispatch.cache.len(), 1);
    world
        .dispatch
        .hosts
        .met_room(endpoint(1).into(), world.now.monotonic);
    let mut entry = world.entry("b.test");
    entry.smtputf8 = true;
    world.accept_entry(entry);
    settle(&mut world);
    assert_eq!(world.count(is_dial), 1, "no room for another");
    world.wait(2100);
    world.tell(Event::Tick);
    world.settle_down();
    assert_eq!(world.count(is_dial), 2);
}

#[test]
fn a_destination_is_dead_while_all_its_hosts_are_and_no_longer() {
    let mut world = World::new(settings());
    for (name, ids) in [("a.test", &[1][..]), ("b.test", &[1]), ("c.test", &[1, 2])] {
        world.serve(name, ids);
    }
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    let is_suspended = |world: &World, name| {
        let view = world.dispatch.destination(&to(name), world.now);
        view.is_some_and(|view| view.suspended.is_some())
    };
    assert!(is_suspended(&world, "a.test"));
    world.accept("b.test");
    world.accept("c.test");
    world.settle_down();
    assert!(is_suspended(&world, "b.test"), "it learned from the other");
    assert!(!is_suspended(&world, "c.test") && hosts(&world) == [2]);
    // The pause is over: one tries, the others wait for what becomes of it.
    world.wait(1500);
    world.tell(Event::Tick);
    world.accept("a.test");
    while let Some(load) = world.next(is_load) {
        let loaded = world.good_answer(&load);
        world.tell(loaded);
    }
    assert_eq!(world.count(is_dial), 3);
    world.answer(is_dial);
    world.settle_down();
    assert!(!is_suspended(&world, "a.test") && !is_suspended(&world, "b.test"));
    world.settle_down();
    assert_eq!(world.done.len(), 3);
    assert!(world.dispatch.asleep.is_empty());
}

#[test]
fn an_operators_wish_wakes() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.settle_down();
    world.accept("a.test");
    world.tell(Event::Wakened {
        destination: to("a.test"),
        due: world.now.wall,
        added: 0,
        from_held: 0,
        thaw: true,
    });
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

#[test]
fn what_a_policy_refuses_pauses_nobody_else() {
    let mut world = World::new(settings());
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    for _ in 0..3 {
        let blamed = Failure {
            blame: Blame::Policy,
            ..failure(Scope::Endpoint)
        };
        world.fail_dial_with(DialStep::Tls, blamed);
    }
    let view = world.dispatch.destination(&to("a.test"), world.now).unwrap();
    assert!(view.suspended.is_some(), "by the reference's rule");
    world.accept("b.test");
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

#[test]
fn the_state_of_a_host_is_shown_with_its_reason_and_the_next_trial() {
    let mut timed = Paced::new(settings(), &[(1, 50), (2, 2000)], 0);
    timed.world.serve("b.test", &[3]);
    timed.run(10_000);
    timed.world.accept("b.test");
    settle_but(&mut timed.world, is_dial);
    timed.world.fail_dial();
    let now = timed.world.now;
    let shown: Vec<_> = timed
        .world
        .dispatch
        .hosts(now)
        .into_iter()
        .map(|host| {
            let next = host.next_trial.map(|at| at.since(now.wall) > Duration::ZERO);
            (host.state, host.reason, next)
        })
        .collect();
    let slow = "others of its preference are more than twice as fast";
    assert_eq!(
        shown,
        [
            (HostState::Used, String::new(), None),
            (HostState::Slow, slow.to_owned(), Some(true)),
            (HostState::Paused, "connection refused".to_owned(), Some(true)),
        ]
    );
}

#[test]
fn what_is_forgotten_is_tried_at_once() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.accept("a.test");
    world.settle_down();
    assert_eq!(world.done.len(), 0);
    world.tell(Event::HostForgotten {
        endpoint: endpoint(1),
    });
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}
