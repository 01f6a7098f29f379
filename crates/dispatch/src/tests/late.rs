//! Dials that are late (design §6, staggered connects).

use std::time::Duration;

use remuda_mail::{Scope, SessionId};

use super::world::*;
use crate::{
    command::Command,
    event::{DialStep, Event},
    settings::{EndpointChoice, Settings},
    stagger::GREETING_UNKNOWN,
};

/// A message whose dial is under way to one of two equal hosts.
fn dialling(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.serve("a.test", &[1, 2]);
    world.accept("a.test");
    world.answer(is_resolve);
    assert_eq!(world.count(is_dial), 1);
    world
}

fn dials(world: &World) -> Vec<(SessionId, u8)> {
    let dial = |command: &Command| match command {
        Command::Dial {
            session, endpoint, ..
        } => match endpoint.ip() {
            Some(std::net::IpAddr::V4(ip)) => Some((*session, ip.octets()[3])),
            _ => None,
        },
        _ => None,
    };
    world.log.iter().filter_map(dial).collect()
}

/// Time goes on to the next deadline.
fn tick(world: &mut World) -> u128 {
    let deadline = world.dispatch.next_deadline().expect("something is awaited");
    let wait = deadline - world.now.monotonic;
    world.wait(wait.as_millis() as u64);
    world.tell(Event::Tick);
    wait.as_millis()
}

fn connect(world: &mut World, place: usize) {
    let session = dials(world)[place].0;
    world.tell(Event::Connected { session });
}

#[test]
fn late_is_relative() {
    // Not connected.
    let mut world = dialling(settings());
    assert_eq!(tick(&mut world), 250);
    let both = dials(&world);
    assert_eq!(both.len(), 2);
    assert_ne!(both[0].1, both[1].1);
    // Connected, not greeted.
    let mut world = dialling(settings());
    world.wait(100);
    connect(&mut world, 0);
    assert_eq!(tick(&mut world), GREETING_UNKNOWN.as_millis());
    assert_eq!(dials(&world).len(), 2);
}

#[test]
fn a_trial_is_late_sooner() {
    let mut world = dialling(settings());
    world.wait(100);
    let host = dials(&world)[0].1;
    for delivery in world.dispatch.deliveries.values_mut() {
        delivery.trial = Some(endpoint(host).into());
    }
    connect(&mut world, 0);
    let waited = tick(&mut world);
    assert!(waited < GREETING_UNKNOWN.as_millis(), "{waited}");
    assert_eq!(dials(&world).len(), 2);
}

#[test]
fn a_greeting_delayed_on_purpose_sees_no_second_dial_once_that_is_known() {
    let mut world = dialling(settings());
    connect(&mut world, 0);
    world.wait(2900);
    world.settle_down();
    for way in [endpoint(1), endpoint(2)] {
        world.dispatch.hosts.greeted(way.into(), Duration::from_secs(6));
    }
    world.wait(60_000);
    world.tell(Event::Tick);
    world.settle_down();
    world.accept("a.test");
    let at = dials(&world).len() - 1;
    connect(&mut world, at);
    world.wait(6000);
    world.tell(Event::Tick);
    assert_eq!(dials(&world).len(), at + 1);
}

#[test]
fn whichever_opens_first_carries_the_message_and_the_other_waits_for_mail() {
    for first in [0, 1] {
        let mut world = dialling(settings());
        tick(&mut world);
        let both = dials(&world);
        let opens = |session: SessionId| move |command: &Command| matches!(command, Command::Dial { session: of, .. } if *of == session);
        world.answer(opens(both[first].0));
        assert_eq!(world.count(is_transact), 1);
        world.answer(opens(both[1 - first].0));
        assert_eq!(world.count(is_watch), 1, "parked");
        world.settle_down();
        assert_eq!((world.done.len(), world.count(is_settle)), (1, 1));
    }
}

#[test]
fn a_second_dial_that_fails_leaves_the_first_to_wait_for() {
    let mut world = dialling(settings());
    tick(&mut world);
    let first = dials(&world)[0];
    let second = dials(&world)[1];
    world.fail_dial_that(|command| matches!(command, Command::Dial { session, .. } if *session == second.0));
    assert_eq!(world.count(is_settle), 0);
    world.answer(|command: &Command| matches!(command, Command::Dial { session, .. } if *session == first.0));
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

#[test]
fn second_dials_are_at_most_one_in_ten_after_the_first_few_and_one_to_each_endpoint() {
    let wide = Settings {
        initial_concurrency: 1,
        concurrency: 1,
        ..settings()
    };
    let mut world = World::new(wide);
    for n in 0..60 {
        let name = format!("d{n}.test");
        world.serve(&name, &[2 * n + 1, 2 * n + 2]);
        world.accept(&name);
        while let Some(command) = world.next(is_resolve) {
            let event = world.good_answer(&command);
            world.tell(event);
        }
    }
    assert_eq!(world.count(is_dial), 60);
    world.wait(250);
    world.tell(Event::Tick);
    assert_eq!(world.count(is_dial), 60 + 10, "the credit saved up");
    // Of several that are late to one host only one is dialled to the other.
    let mut world = World::new(settings());
    for name in ["a.test", "b.test", "c.test"] {
        world.serve(name, &[1, 2]);
        world.accept(name);
        world.answer(is_resolve);
    }
    let at_first = dials(&world).iter().filter(|(_, host)| *host == 1).count();
    world.wait(250);
    world.tell(Event::Tick);
    let seconds = dials(&world).len() - 3;
    let at_most = usize::from(at_first > 0) + usize::from(at_first < 3);
    assert_eq!(seconds, at_most);
}

#[test]
fn the_classical_rule_waits() {
    let random = Settings {
        endpoint_choice: EndpointChoice::Random,
        ..settings()
    };
    let mut world = dialling(random);
    world.wait(10_000);
    world.tell(Event::Tick);
    assert_eq!(world.count(is_dial), 1);
}

/// Six dials that hang, and no more sessions than that.
fn all_hanging() -> World {
    let mut world = World::new(Settings {
        sessions: 6,
        sessions_per_endpoint: 6,
        initial_concurrency: 6,
        ..settings()
    });
    world.serve("dead.test", &[1]);
    world.serve("a.test", &[2]);
    for _ in 0..6 {
        world.accept("dead.test");
    }
    world.answer(is_resolve);
    assert_eq!(world.count(is_dial), 6);
    world
}

#[test]
fn a_dial_that_nobody_waits_for_gives_way() {
    let mut world = all_hanging();
    world.accept("a.test");
    world.answer(is_resolve);
    assert_eq!(world.count(is_dial), 6, "somebody waits for each");
    for entry in world.spool.keys().copied().take(2).collect::<Vec<_>>() {
        world.withdraw(entry, true);
    }
    world.accept("a.test");
    assert_eq!(world.count(is_retire), 0, "they may open any moment");
    tick(&mut world);
    assert_eq!((world.count(is_dial), world.count(is_retire)), (8, 2));
    while let Some(command) = world.next(|command| !is_dial_to(command, 1)) {
        let event = world.good_answer(&command);
        world.tell(event);
    }
    assert_eq!(world.done.len(), 2);
}

/// It fails before it has heard that it was given up.
#[test]
fn a_dial_that_was_given_up_may_fail_all_the_same() {
    let mut world = all_hanging();
    let first = world.spool.keys().next().copied().unwrap();
    world.withdraw(first, true);
    world.accept("a.test");
    world.answer(is_resolve);
    tick(&mut world);
    let given_up = world.next(is_retire).expect("it gave way");
    let Command::Retire { session, .. } = given_up else {
        return;
    };
    world.sessions.remove(&session);
    world.tell(Event::DialFailed {
        session,
        step: DialStep::Connect,
        failure: failure(Scope::Endpoint),
    });
    assert!(!world.dispatch.sessions.contains_key(&session));
}

fn is_dial_to(command: &Command, host: u8) -> bool {
    matches!(command, Command::Dial { endpoint: to, .. } if *to == endpoint(host))
}
