//! Local mail: to Maildirs, or over sessions by LMTP.

use remuda_mail::{Destination, HopPolicy, NextHop, Protocol, Source};

use super::world::*;
use crate::{
    command::{Command, Rest},
    event::{After, Answer, Event, Undecided},
    settings::{CacheSettings, Settings},
};

fn local() -> Destination {
    NextHop::Local.destination()
}

fn by_lmtp() -> Settings {
    Settings {
        is_local_by_lmtp: true,
        ..settings()
    }
}

/// A world whose LMTP server is at this endpoint.
fn lmtp_world(settings: Settings, n: u8) -> World {
    let mut world = World::new(settings);
    world.serve("local", &[n]);
    let policy = HopPolicy {
        protocol: Protocol::Lmtp,
        ..HopPolicy::default()
    };
    world.policies.insert(local(), policy);
    world
}

fn is_local(command: &Command) -> bool {
    matches!(command, Command::DeliverLocally { .. })
}

#[test]
fn local_mail_goes_to_maildirs_unless_there_is_an_lmtp_server() {
    let mut world = World::new(settings());
    assert!(world.accept("local").iter().any(is_local));
    let mut world = lmtp_world(by_lmtp(), 1);
    assert!(!world.accept("local").iter().any(is_local));
    world.answer(is_resolve);
    let dials = |command: &Command| {
        matches!(
            command,
            Command::Dial {
                protocol: Protocol::Lmtp,
                ..
            }
        )
    };
    assert!(world.next(dials).is_some());
    let mut world = lmtp_world(by_lmtp(), 1);
    let mut entry = world.entry("local");
    entry.destination = NextHop::Postmaster.destination();
    assert!(
        world.accept_entry(entry).iter().any(is_local),
        "the postmaster's stays"
    );
}

/// T51.
#[test]
fn a_session_by_lmtp_never_carries_other_mail_though_it_is_the_same_endpoint() {
    let settings = Settings {
        cache: CacheSettings {
            destinations: ["*".to_owned()].into(),
            ..CacheSettings::default()
        },
        ..by_lmtp()
    };
    let mut world = lmtp_world(settings, 1);
    world.serve("a.test", &[1]);
    for name in ["local", "a.test", "local", "a.test"] {
        world.accept(name);
        world.settle_down();
    }
    // One dial for each protocol, and then the parked ones.
    let mut uses = sessions_used(&world);
    uses.dedup();
    assert_eq!(uses.len(), 4, "never twice the same in a row: {uses:?}");
    assert_eq!((uses[0], uses[1]), (uses[2], uses[3]));
}

#[test]
fn local_mail_does_not_leave_by_a_source() {
    let source = Source {
        address: [192, 0, 2, 200].into(),
        helo_name: "out.test".into(),
    };
    let settings = Settings {
        sources: vec![std::sync::Arc::new(source)],
        ..by_lmtp()
    };
    let mut world = lmtp_world(settings, 1);
    world.serve("a.test", &[2]);
    for (name, has_source) in [("local", false), ("a.test", true)] {
        world.accept(name);
        world.answer(is_resolve);
        let Some(Command::Dial { source, .. }) = world.next(is_dial) else {
            panic!("no dial for {name}");
        };
        assert_eq!(source.is_some(), has_source, "{name}");
    }
}

/// D7: what could not be asked for waits the shortest time, however old it is.
#[test]
fn who_could_not_be_asked_for_waits_the_shortest_time() {
    for (cause, wait) in [(Undecided::Unasked, 300), (Undecided::NextTransaction, 3600)] {
        let mut world = World::new(settings());
        let mut entry = world.entry("local");
        world.wait(3600 * 1000);
        entry.due = world.now.wall;
        world.store(entry.clone());
        let commands = world.accept_entry(entry);
        let Some(Command::DeliverLocally { delivery, .. }) = commands.into_iter().find(is_local) else {
            panic!("not delivered");
        };
        let told = world.tell(Event::Answered {
            session: None,
            delivery,
            answer: Answer {
                begun: true,
                ..answer(0, 1, 0, cause, After::Gone)
            },
        });
        let until = told.iter().find_map(|command| match command {
            Command::Settle {
                rest: Rest::Defer { until, .. },
                ..
            } => Some(*until),
            _ => None,
        });
        let waits = until.unwrap().since(world.now.wall).as_secs();
        assert!((wait * 9 / 10..=wait * 11 / 10).contains(&waits), "{waits}");
    }
}
