//! Hosts, sessions and destinations that fail.

use std::time::Duration;

use remuda_clock::Wall;
use remuda_mail::{Blame, Scope};

use super::world::*;
use crate::{
    command::{Command, Rest},
    event::{Event, Undecided, Unresolved},
};

fn dialled(world: &World) -> Vec<u8> {
    let dialled = |command: &Command| match command {
        Command::Dial { endpoint, .. } => match endpoint.ip() {
            Some(std::net::IpAddr::V4(ip)) => Some(ip.octets()[3]),
            _ => None,
        },
        _ => None,
    };
    world.log.iter().filter_map(dialled).collect()
}

fn next_hosts(world: &World) -> Vec<bool> {
    let next_host = |command: &Command| match command {
        Command::Transact { next_host, .. } => Some(*next_host),
        _ => None,
    };
    world.log.iter().filter_map(next_host).collect()
}

fn window(world: &World, name: &str) -> Option<u32> {
    world
        .dispatch
        .destination(&to(name), world.now)
        .map(|view| view.window)
}

/// Two servers of different preference, and a message on its way to the first.
fn with_backup() -> World {
    let mut world = World::new(settings());
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    let mut entry = world.entry("a.test");
    entry.recipients = 3;
    world.accept_entry(entry);
    world.answer(is_resolve);
    world
}

#[test]
fn a_dial_that_fails_is_followed_by_the_next_host_and_at_last_by_a_deferral() {
    let mut world = with_backup();
    world.fail_dial();
    world.fail_dial();
    assert_eq!(dialled(&world), [1, 2]);
    let rests = rests(&world);
    assert!(
        matches!(&rests[..], [Rest::Defer { until, refusal: Some(refusal) }]
            if until.since(world.now.wall) >= Duration::from_secs(270) && refusal.words() == "connection refused"),
        "{rests:?}"
    );
    assert_eq!(window(&world, "a.test"), Some(0), "all its hosts are paused");
}

/// T71, T33: what one host defers the next one gets; an answer is no failure of the site.
#[test]
fn recipients_that_a_host_deferred_are_tried_at_the_next() {
    let mut world = with_backup();
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(1, 2, 0, Undecided::NextTransaction, after)
    });
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 2, 0, Undecided::NextTransaction, after)
    });
    assert_eq!(
        (dialled(&world), next_hosts(&world)),
        (vec![1, 2], vec![true, true])
    );
    assert!(matches!(&rests(&world)[..], [Rest::Defer { refusal: None, .. }]));
    assert_eq!(window(&world, "a.test"), Some(6));
}

/// Issue 2, Deliver: 452 to a later RCPT: the rest form the next transaction, on the same session.
#[test]
fn what_did_not_fit_goes_into_the_next_transaction_of_the_session() {
    let mut world = with_backup();
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(2, 0, 1, Undecided::NextTransaction, after)
    });
    assert_eq!(next_hosts(&world), [true, false]);
    world.settle_down();
    assert_eq!((dialled(&world), rests(&world)), (vec![1], vec![Rest::Nobody]));
}

#[test]
fn what_did_not_fit_goes_to_the_same_host_on_another_session_if_this_one_ended() {
    let mut world = with_backup();
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.lose(session);
        answer(2, 0, 1, Undecided::NextTransaction, after)
    });
    world.settle_down();
    assert_eq!(
        (dialled(&world), next_hosts(&world)),
        (vec![1, 1], vec![true, false])
    );
    assert_eq!(rests(&world), [Rest::Nobody]);
}

#[test]
fn a_host_that_takes_nobody_twice_is_left() {
    let mut world = with_backup();
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 0, 3, Undecided::NextTransaction, after)
    });
    assert_eq!(dialled(&world), [1, 2]);
    world.settle_down();
    assert_eq!(rests(&world), [Rest::Nobody]);
}

/// T34: sent once more at once, to the same host, and not a second time.
#[test]
fn a_session_lost_early_allows_one_more_try() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    for _ in 0..2 {
        world.answer(is_dial);
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::LostEarly, after)
        });
    }
    assert_eq!(dialled(&world), [1, 1]);
    assert!(matches!(
        &rests(&world)[..],
        [Rest::Defer { refusal: Some(_), .. }]
    ));
}

/// T30, T31: dead before the first octet: another is taken, nothing is counted.
#[test]
fn a_session_dead_before_use_costs_nothing() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.settle_down();
    world.accept("a.test");
    for _ in 0..3 {
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::Unsent, after)
        });
    }
    assert_eq!(world.count(is_dial), 4, "at last a fresh one");
    world.settle_down();
    assert_eq!(world.done.len(), 4);
    assert_eq!(world.dispatch.statistics().closed_dead, 3);
    assert_eq!(window(&world, "a.test"), Some(7), "no negative feedback");
}

#[test]
fn a_fresh_session_dead_before_use_is_not_dialled_for_ever() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    for _ in 0..2 {
        world.answer(is_dial);
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::Unsent, after)
        });
    }
    assert!(matches!(&rests(&world)[..], [Rest::Defer { .. }]));
}

#[test]
fn a_failure_of_the_whole_destination_tries_no_other_host() {
    let mut world = with_backup();
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.lose(session);
        answer(0, 0, 3, Undecided::Failed(failure(Scope::Destination)), after)
    });
    assert_eq!(dialled(&world), [1]);
    assert!(matches!(&rests(&world)[..], [Rest::Defer { .. }]));
}

#[test]
fn a_fault_of_ours_is_nobodys() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let mut failure = failure(Scope::Session);
        failure.blame = Blame::Us;
        let after = world.lose(session);
        answer(0, 0, 1, Undecided::Failed(failure), after)
    });
    assert!(matches!(&rests(&world)[..], [Rest::Defer { .. }]));
    assert_eq!(window(&world, "a.test"), Some(5));
}

/// Reference §10.4: window 5, dead on the third failure; what is in memory goes back as it is.
#[test]
fn a_dead_destination_is_suspended_without_rewriting_and_thaws_by_one() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..30 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    for _ in 0..3 {
        world.fail_dial();
    }
    let view = world
        .dispatch
        .destination(&to("a.test"), world.now)
        .expect("it has mail");
    assert!(
        view.suspended
            .is_some_and(|(_, reason)| reason == "connection refused")
    );
    assert_eq!(rests(&world).len(), 3, "only what was tried is deferred");
    world.fail_dial();
    world.fail_dial();
    world.settle_down();
    assert_eq!(world.dispatch.totals().active, 0);
    world.wait(331_000);
    world.tell(Event::Tick);
    world.settle_down_until(is_dial);
    assert_eq!(world.dispatch.totals().busy_sessions, 1, "one tries");
    assert_eq!(window(&world, "a.test"), Some(1));
    world.settle_down();
    assert_eq!(
        window(&world, "a.test").filter(|window| *window >= 5),
        window(&world, "a.test")
    );
    assert_eq!(world.done.len(), 30, "the deferred ones are due by now too");
}

/// In place of reference §10.4: what goes on over an open session is not suspended.
#[test]
fn an_open_session_keeps_its_destination_alive() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..5 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.answer(is_dial);
    for _ in 0..3 {
        world.fail_dial();
    }
    assert_eq!(window(&world, "a.test"), Some(1), "narrowed");
    world.answer(is_transact);
    assert!(window(&world, "a.test") > Some(1));
}

/// The next candidate is tried first while an endpoint's last dials failed, by all destinations.
#[test]
fn a_host_that_failed_lately_is_tried_last() {
    let mut world = World::new(settings());
    for name in ["a.test", "b.test"] {
        world
            .dns
            .insert(to(name), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    }
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.accept("b.test");
    world.answer(is_resolve);
    assert_eq!(dialled(&world), [1, 2, 2]);
    world.settle_down();
    // And the sessions to the other have gone (T70).
    world.wait(2500);
    world.tell(Event::Tick);
    world.settle_down();
    world.accept("b.test");
    assert_eq!(
        dialled(&world).last(),
        Some(&1),
        "one trial when the pause is over"
    );
}

/// A paused host is tried all the same before a delivery that has begun gives up.
#[test]
fn a_delivery_under_way_tries_a_paused_host_before_it_gives_up() {
    let mut world = with_backup();
    world.accept("b.test");
    world.dns.insert(to("b.test"), vec![(endpoint(2), 10)]);
    world.answer(is_resolve);
    let to_second =
        |command: &Command| matches!(command, Command::Dial { endpoint: to, .. } if *to == endpoint(2));
    world.fail_dial_that(to_second);
    world.fail_dial();
    assert_eq!(dialled(&world), [1, 2, 2]);
}

#[test]
fn no_more_addresses_are_tried_than_allowed() {
    let mut settings = settings();
    settings.addresses_per_delivery = 2;
    let mut world = World::new(settings);
    world.serve("a.test", &[1, 2, 3, 4]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.fail_dial();
    assert_eq!(dialled(&world).len(), 2);
    assert!(matches!(&rests(&world)[..], [Rest::Defer { .. }]));
}

/// Reference §2.8: equal preferences are shuffled.
#[test]
fn equal_hosts_share_the_first_tries() {
    let mut world = World::new(settings());
    world.checks = false;
    for n in 0..200 {
        world.serve(&format!("d{n}.test"), &[1, 2, 3, 4]);
        world.accept(&format!("d{n}.test"));
    }
    while world
        .next(is_resolve)
        .map(|command| world.good_answer(&command))
        .map(|event| world.tell(event))
        .is_some()
    {}
    for n in 1..=4 {
        let share = dialled(&world).iter().filter(|dialled| **dialled == n).count();
        assert!((10..=20).contains(&share), "{share} of 80 dials go to host {n}");
    }
}

/// T75: NXDOMAIN bounces without a session.
#[test]
fn a_destination_without_servers_bounces_every_entry() {
    let mut world = World::new(settings());
    for _ in 0..30 {
        world.accept("nowhere.test");
    }
    world.settle_down();
    assert_eq!(world.bounced.len(), 30);
    assert_eq!((world.count(is_resolve), world.count(is_dial)), (1, 0));
}

#[test]
fn an_unreachable_name_server_defers_one_entry_and_suspends_the_others() {
    let mut world = World::new(settings());
    for _ in 0..10 {
        world.accept("a.test");
    }
    world.next(is_resolve);
    world.tell(Event::Resolved {
        destination: to("a.test"),
        answer: Err(Unresolved {
            refusal: refusal(4, "SERVFAIL"),
            valid_until: world.now.monotonic + Duration::from_secs(5),
        }),
    });
    assert_eq!((world.count(is_settle), world.count(is_unload)), (1, 9));
    let view = world
        .dispatch
        .destination(&to("a.test"), world.now)
        .expect("it has mail");
    assert!(view.suspended.is_some_and(|(_, reason)| reason == "SERVFAIL"));
    world.serve("a.test", &[1]);
    world.settle_down();
    world.wait(300_000);
    world.tell(Event::Tick);
    world.settle_down();
    assert!(world.done.len() >= 9, "all but perhaps the deferred one");
}

#[test]
fn an_entry_past_its_expiry_bounces_when_it_fails() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    let mut entry = world.entry("a.test");
    entry.expires = Wall(world.now.wall.0 + 1000);
    world.accept_entry(entry);
    world.answer(is_resolve);
    world.wait(1000);
    world.fail_dial();
    assert!(matches!(&rests(&world)[..], [Rest::Bounce { expired: true, .. }]));
}

#[test]
fn local_mail_needs_no_session_and_keeps_its_window() {
    let mut world = World::new(settings());
    for _ in 0..8 {
        world.accept("local");
    }
    assert_eq!(
        world.count(|command| matches!(command, Command::DeliverLocally { .. })),
        5
    );
    world.settle_down();
    assert_eq!(world.done.len(), 8);
    assert_eq!(world.count(is_resolve) + world.count(is_dial), 0);
}

/// Giving up one that has been answered may suspend the destination, which gives up the others.
#[test]
fn what_is_given_up_with_others_is_settled_once() {
    let mut tight = settings();
    tight.sessions_per_endpoint = 3;
    let mut world = World::new(tight);
    world.serve("b.test", &[2]);
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    for name in ["b.test", "a.test"] {
        for _ in 0..3 {
            world.accept(name);
        }
        world.answer(is_resolve);
    }
    let to_first =
        |command: &Command| matches!(command, Command::Dial { endpoint: to, .. } if *to == endpoint(1));
    for _ in 0..3 {
        world.answer(to_first);
        world.answer_transaction(|world, session| {
            let cause = Undecided::Failed(failure(Scope::Session));
            answer(0, 0, 1, cause, world.lose(session))
        });
    }
    // One of b.test's dials fails, and leaves its place to the first of a.test's, whose dial fails too: now all
    // hosts of a.test are paused.
    world.fail_dial();
    world.fail_dial_that(
        |command| matches!(command, Command::Dial { destination, .. } if *destination == to("a.test")),
    );
    assert_eq!(window(&world, "a.test"), Some(0));
    assert_eq!(world.count(is_settle), 4);
}
