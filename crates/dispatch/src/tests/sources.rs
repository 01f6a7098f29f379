//! Where mail comes from: each destination from its own source, and what separates sources.

use std::{net::IpAddr, sync::Arc};

use remuda_connection_cache::Unfit;
use remuda_mail::{Blame, Failure, Scope, SessionId, Source};

use super::world::*;
use crate::{
    command::{Command, Rest},
    event::{DialStep, Event},
    settings::Settings,
};

fn source(n: u8) -> Arc<Source> {
    Arc::new(Source {
        address: address(n),
        helo_name: format!("out{n}.test").into(),
    })
}

fn address(n: u8) -> IpAddr {
    [198, 51, 100, n].into()
}

fn from(sources: &[u8]) -> Settings {
    Settings {
        sources: sources.iter().map(|n| source(*n)).collect(),
        ..settings()
    }
}

/// Source and HELO name of every dial so far.
fn dials(world: &World) -> Vec<(Option<IpAddr>, String)> {
    let dial = |command: &Command| match command {
        Command::Dial {
            source, helo_name, ..
        } => Some((*source, helo_name.to_string())),
        _ => None,
    };
    world.log.iter().filter_map(dial).collect()
}

/// Two destinations on one endpoint, the first from source 1 and the second from source 2.
fn two_names(world: &mut World) -> [String; 2] {
    let choice = |n| crate::sources::Whence::new(&to(&format!("d{n}.test")), &[source(1), source(2)]);
    let uses = |n, of: u8| choice(n).sources().v4 == Some(source(of));
    let name = |of| format!("d{}.test", (0..100).find(|n| uses(*n, of)).unwrap());
    let names = [name(1), name(2)];
    for name in &names {
        world.serve(name, &[1]);
    }
    names
}

fn deliver(world: &mut World, name: &str) {
    world.accept(name);
    world.settle_down();
}

fn fail(world: &mut World, step: DialStep, blame: Blame) -> SessionId {
    let Some(Command::Dial { session, .. }) = world.next(is_dial) else {
        panic!("a dial was ordered");
    };
    world.sessions.remove(&session);
    let failure = Failure {
        scope: Scope::Endpoint,
        blame,
        refusal: refusal(4, "no"),
    };
    world.tell(Event::DialFailed {
        session,
        step,
        failure,
    });
    session
}

#[test]
fn a_destination_dials_from_its_own_source_under_its_name() {
    let mut world = World::new(from(&[1, 2]));
    let names = two_names(&mut world);
    for name in &names {
        world.accept(name);
        world.answer(is_resolve);
    }
    let expected = [
        (Some(address(1)), "out1.test".into()),
        (Some(address(2)), "out2.test".into()),
    ];
    assert_eq!(dials(&world), expected);
    let view = world.dispatch.connections(world.now).next().unwrap();
    assert_eq!(view.source, Some(address(1)));
}

/// "What must be seen" 4: neither serves the other, in the cache or from hand to hand.
#[test]
fn a_session_from_another_source_is_not_taken() {
    for swap in [false, true] {
        let mut settings = from(&[1, 2]);
        settings.cache.destinations = ["*".to_owned()].into();
        let mut world = World::new(settings);
        let mut names = two_names(&mut world);
        if swap {
            names.reverse();
        }
        for name in names.iter().chain(&names) {
            deliver(&mut world, name);
        }
        assert_eq!(world.count(is_dial), 2, "each on its own, and again");
        let unfit: Vec<_> = world
            .log
            .iter()
            .filter_map(|command| match command {
                Command::Transact { unfit, .. } => Some(*unfit),
                _ => None,
            })
            .collect();
        assert_eq!(unfit[..2], [None, Some(Unfit::Source)]);
        assert_eq!(world.done.len(), 4);
    }
}

#[test]
fn sessions_are_limited_for_each_source_by_itself() {
    let mut settings = from(&[1, 2]);
    settings.sessions_per_endpoint = 1;
    let mut world = World::new(settings);
    let names = two_names(&mut world);
    for name in names.iter().chain(&names) {
        world.accept(name);
        if let Some(command) = world.next(is_resolve) {
            let event = world.good_answer(&command);
            world.tell(event);
        }
    }
    assert_eq!(dials(&world).len(), 2);
    world.settle_down();
    assert_eq!(world.done.len(), 4);
}

#[test]
fn a_source_that_this_machine_lacks_is_left_at_once_and_silently() {
    let mut world = World::new(from(&[1, 2]));
    let [first, _] = two_names(&mut world);
    world.accept(&first);
    world.answer(is_resolve);
    fail(&mut world, DialStep::Source, Blame::Us);
    assert_eq!(dials(&world)[1].0, Some(address(2)), "to the same host");
    world.settle_down();
    assert_eq!((world.done.len(), world.count(is_dial)), (1, 2));
    deliver(&mut world, &first);
    assert_eq!(
        dials(&world).last().unwrap().0,
        Some(address(2)),
        "and stays there"
    );
}

#[test]
fn without_any_usable_source_mail_waits_and_no_host_is_blamed() {
    let mut world = World::new(from(&[1, 2]));
    let [first, _] = two_names(&mut world);
    world.accept(&first);
    world.answer(is_resolve);
    fail(&mut world, DialStep::Source, Blame::Us);
    fail(&mut world, DialStep::Source, Blame::Us);
    assert_eq!(world.count(is_dial), 2);
    let deferred = |command: &Command| {
        matches!(
            command,
            Command::Settle {
                rest: Rest::Defer { .. },
                ..
            }
        )
    };
    assert_eq!(world.count(deferred), 1);
    let view = world.dispatch.destination(&to(&first), world.now).unwrap();
    assert_eq!(view.suspended, None);
}

#[test]
fn a_source_that_is_refused_three_times_in_a_row_gives_way() {
    for step in [DialStep::Connect, DialStep::Greeting] {
        let mut world = World::new(from(&[1, 2]));
        let [first, _] = two_names(&mut world);
        for _ in 0..3 {
            world.accept(&first);
            world.settle_down_until(is_dial);
        }
        for _ in 0..3 {
            fail(&mut world, step, Blame::Peer);
        }
        world.settle_down();
        world.wait(3_600_000);
        world.tell(Event::Tick);
        world.settle_down();
        assert_eq!(
            dials(&world)[..3],
            [(); 3].map(|()| (Some(address(1)), "out1.test".into()))
        );
        assert_eq!(dials(&world).last().unwrap().0, Some(address(2)), "{step:?}");
        assert_eq!(world.done.len(), 3);
    }
}

#[test]
fn a_reload_keeps_sessions_from_sources_that_stay() {
    let mut settings = from(&[1, 2]);
    settings.cache.destinations = ["*".to_owned()].into();
    let mut world = World::new(settings.clone());
    for name in two_names(&mut world) {
        deliver(&mut world, &name);
    }
    assert_eq!(world.dispatch.totals().parked_sessions, 2);
    settings.sources = vec![source(2)];
    world.tell(Event::Reconfigured(Box::new(settings.clone())));
    let left: Vec<_> = world
        .dispatch
        .connections(world.now)
        .map(|one| (one.source, one.state))
        .collect();
    assert_eq!(left[1], (Some(address(2)), crate::view::SessionState::Parked));
    assert_eq!(world.dispatch.totals().parked_sessions, 1);
    settings.sources = Vec::new();
    world.tell(Event::Reconfigured(Box::new(settings)));
    assert_eq!(world.dispatch.totals().parked_sessions, 0);
}
