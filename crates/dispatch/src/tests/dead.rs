//! Sessions that are dead when they are to be used, or die of it.

use std::time::Duration;

use remuda_mail::{EntryId, Scope, SessionId};

use super::world::*;
use crate::{
    command::{Command, Found, Rest, RetireCause},
    event::{After, Answer, Event, Undecided},
    settings::Settings,
};

fn listed() -> Settings {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    settings
}

fn transactions(world: &World) -> Vec<(u64, Found)> {
    let transaction = |command: &Command| match command {
        Command::Transact { session, found, .. } => Some((session.0, *found)),
        _ => None,
    };
    world.log.iter().filter_map(transaction).collect()
}

fn window(world: &World, name: &str) -> Option<u32> {
    let view = world.dispatch.destination(&to(name), world.now);
    view.map(|view| view.window)
}

fn lost(world: &mut World, session: SessionId, cause: Undecided) -> Answer {
    let after = world.lose(session);
    answer(0, 0, 1, cause, after)
}

/// Delivers `count` messages at once and leaves their sessions parked.
fn parked(settings: Settings, endpoints: &[u8], count: u32) -> World {
    let mut world = World::new(settings);
    world.serve("a.test", endpoints);
    for _ in 0..count {
        world.accept("a.test");
    }
    world.settle_down();
    world
}

/// T30, T31: any other session will do, whichever of the best hosts has it.
#[test]
fn a_session_dead_before_use_is_replaced_by_one_of_another_host() {
    let mut world = parked(listed(), &[1, 2], 4);
    let before = window(&world, "a.test");
    world.accept("a.test");
    let mut endpoints = Vec::new();
    for _ in 0..4 {
        world.answer_transaction(|world, session| lost(world, session, Undecided::Unsent));
    }
    for command in &world.log {
        if let Command::Dial { endpoint, .. } = command {
            endpoints.push(*endpoint);
        }
    }
    assert!(endpoints[..4].contains(&endpoint(1)) && endpoints[..4].contains(&endpoint(2)));
    assert_eq!(
        endpoints.len(),
        5,
        "all four were looked at, and then one dialled"
    );
    world.settle_down();
    assert_eq!(world.done.len(), 5);
    assert!(window(&world, "a.test") >= before, "no negative feedback");
}

/// It is not repeated for ever, however many sessions others keep parking.
#[test]
fn after_twenty_dead_sessions_an_unused_one_is_dialled() {
    let mut settings = listed();
    (settings.initial_concurrency, settings.concurrency) = (30, 30);
    settings.sessions_per_endpoint = 30;
    let mut world = parked(settings, &[1], 25);
    world.accept("a.test");
    for _ in 0..20 {
        world.answer_transaction(|world, session| lost(world, session, Undecided::Unsent));
    }
    assert_eq!(world.count(is_dial), 26);
    assert_eq!(world.dispatch.totals().parked_sessions, 5);
}

/// A session that was dialled, not needed and parked is no failing host's when it is found dead.
#[test]
fn an_unused_session_that_died_while_parked_is_replaced_silently() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.accept("a.test");
    world.answer(is_transact);
    world.settle_down();
    let unused = world.sessions.iter().find(|(_, peer)| peer.facts.uses == 0);
    assert!(unused.is_some(), "the second dial was not needed");
    for _ in 0..2 {
        world.accept("a.test");
    }
    for _ in 0..2 {
        world.answer_transaction(|world, session| lost(world, session, Undecided::Unsent));
    }
    assert_eq!(
        world.dispatch.statistics().closed_dead,
        2,
        "both were in the cache"
    );
    world.settle_down();
    assert_eq!(world.done.len(), 4);
    assert!(window(&world, "a.test") > Some(5));
}

/// T34 as design §5 has it, T32: once more at once, on a session that has carried nothing.
#[test]
fn a_message_lost_early_goes_to_an_unused_session_of_the_same_host() {
    let mut world = parked(listed(), &[1], 3);
    world.accept("a.test");
    world.answer_transaction(|world, session| lost(world, session, Undecided::LostEarly));
    world.settle_down();
    let last = transactions(&world)[4];
    assert_eq!(last, (4, Found::Miss), "not another that may be as dead");
    assert_eq!(
        rests(&world),
        [Rest::Nobody, Rest::Nobody, Rest::Nobody, Rest::Nobody]
    );
}

/// T33: an answer is no failure: the session is kept, and nobody is blamed.
#[test]
fn a_deferred_mail_leaves_the_session_in_the_cache() {
    let mut world = parked(listed(), &[1], 1);
    let before = window(&world, "a.test");
    world.accept("a.test");
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
    assert!(matches!(rests(&world)[1], Rest::Defer { .. }));
    assert_eq!(world.dispatch.totals().parked_sessions, 1);
    assert!(window(&world, "a.test") >= before);
}

/// T40: all recipients refused, the session is stored and carries the next message.
#[test]
fn a_session_that_refused_everybody_carries_the_next_message() {
    let mut world = parked(listed(), &[1], 1);
    world.accept("a.test");
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        Answer {
            accepted: false,
            ..answer(1, 0, 0, Undecided::NextTransaction, after)
        }
    });
    world.settle_down();
    world.accept("a.test");
    world.settle_down();
    let sessions: Vec<_> = transactions(&world).iter().map(|(session, _)| *session).collect();
    assert_eq!(sessions, [1, 1, 1]);
}

/// T36: 421 to the end of the content: the next host, or a deferral; the session is not stored.
#[test]
fn a_session_that_said_421_is_not_parked() {
    let mut world = World::new(listed());
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.answer(is_resolve);
    for _ in 0..2 {
        world.answer(is_dial);
        world.answer_transaction(|world, session| {
            lost(world, session, Undecided::Failed(failure(Scope::Session)))
        });
    }
    assert!(matches!(&rests(&world)[..], [Rest::Defer { .. }]));
    assert_eq!(
        (world.count(is_watch), world.dispatch.totals().parked_sessions),
        (0, 0)
    );
}

/// The final reply was lost; the shell says whether the message may be sent again.
fn perhaps(world: &mut World, session: SessionId, again: bool) -> Answer {
    let after = world.lose(session);
    let (deferred, undecided) = if again { (0, 1) } else { (1, 0) };
    answer(0, deferred, undecided, Undecided::PerhapsAccepted, after)
}

/// T35.
#[test]
fn what_may_have_been_accepted_is_sent_again_once_a_delivery() {
    let mut world = parked(listed(), &[1, 2], 2);
    world.accept("a.test");
    world.answer_transaction(|world, session| perhaps(world, session, true));
    assert_eq!(world.count(is_dial), 3, "an unused session, to the same host");
    world.answer(is_dial);
    assert!(
        matches!(world.log.last(), Some(Command::Transact { next_host: false, .. })),
        "for nobody else"
    );
    world.answer_transaction(|world, session| perhaps(world, session, true));
    assert!(
        matches!(rests(&world)[2], Rest::Defer { .. }),
        "not a second time"
    );
    assert_eq!(world.count(is_dial), 3, "and not to the other host");
    world.settle_down();
    world.wait(400_000);
    world.tell(Event::Tick);
    world.settle_down();
    assert!(world.done.contains(&EntryId(3)), "the next attempt sends it");
}

/// T35.
#[test]
fn what_may_have_been_accepted_late_is_deferred() {
    let mut world = parked(listed(), &[1, 2], 2);
    world.accept("a.test");
    world.answer_transaction(|world, session| perhaps(world, session, false));
    assert!(matches!(rests(&world)[2], Rest::Defer { .. }));
    assert_eq!(world.count(is_dial), 2);
}

/// T43, and design §5, "Receivers' limits": dead k times in a row, k = 3.
#[test]
fn an_endpoint_that_does_not_bear_reuse_is_not_cached_for_a_while() {
    let mut world = parked(listed(), &[1], 1);
    for _ in 0..3 {
        world.wait(500);
        world.accept("a.test");
        world.answer_transaction(|world, session| lost(world, session, Undecided::LostEarly));
        world.settle_down();
    }
    let dead = world.dispatch.totals().parked_sessions;
    assert_eq!(dead, 0, "the last one is not parked any more");
    for _ in 0..5 {
        world.accept("a.test");
        world.settle_down();
    }
    let last = transactions(&world).split_off(7);
    assert!(last.iter().all(|(_, found)| *found == Found::Miss), "{last:?}");
    assert_eq!(world.done.len(), 9, "and every message was sent");
    world.wait(600_000);
    for _ in 0..2 {
        world.accept("a.test");
        world.settle_down();
    }
    assert_eq!(
        transactions(&world).last().map(|last| last.1),
        Some(Found::Destination)
    );
}

/// A server that restarts has not shown that it does not bear reuse, or only one message a session.
#[test]
fn sessions_that_die_together_count_as_one_death() {
    let mut world = parked(listed(), &[1], 5);
    world.wait(500);
    for session in 1..=5 {
        let session = SessionId(session);
        world.die(session, Some(1));
    }
    for _ in 0..2 {
        world.accept("a.test");
        world.settle_down();
    }
    assert_eq!(
        transactions(&world).last().map(|last| last.1),
        Some(Found::Destination)
    );
}

/// Design §5: 5 s, and at least four times the endpoint's usual.
#[test]
fn a_used_session_is_granted_four_times_its_endpoints_usual() {
    let within = |world: &World| {
        let within = |command: &Command| match command {
            Command::Transact { reply_within, .. } => Some(*reply_within),
            _ => None,
        };
        world.log.iter().filter_map(within).next_back()
    };
    let mut world = parked(listed(), &[1], 1);
    world.accept("a.test");
    assert_eq!(within(&world), Some(Duration::from_secs(5)));
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        Answer {
            waited: Duration::from_secs(80),
            ..answer(1, 0, 0, Undecided::NextTransaction, after)
        }
    });
    world.accept("a.test");
    let usual = Duration::from_millis(20) * 7 / 8 + Duration::from_secs(10);
    assert_eq!(within(&world), Some(usual * 4));
}

/// T24: at a bound the one idle longest gives way, with QUIT, and no delivery suffers.
#[test]
fn a_full_cache_retires_the_session_idle_longest() {
    let mut settings = listed();
    settings.cache.connections_per_endpoint = 3;
    let world = parked(settings, &[1], 5);
    let evicted: Vec<_> = world
        .log
        .iter()
        .filter(|command| {
            matches!(
                command,
                Command::Retire {
                    cause: RetireCause::Evicted,
                    ..
                }
            )
        })
        .collect();
    assert_eq!(evicted.len(), 2);
    assert_eq!(world.dispatch.statistics().closed_evicted, 2);
    assert_eq!((world.done.len(), world.sessions.len()), (5, 3));
}

/// T11: what is dispatched after the first completion rides on sessions that are there.
#[test]
fn forty_messages_at_once_open_no_more_sessions_than_the_window_allows() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..40 {
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(world.done.len(), 40);
    assert!(world.count(is_dial) <= 20, "{} dials", world.count(is_dial));
}

/// T13 as design §5 has it: after a lull one message says nothing about the next.
#[test]
fn after_a_lull_a_new_session_is_closed_with_quit() {
    let mut world = parked(settings(), &[1], 5);
    world.wait(2000);
    world.tell(Event::Tick);
    world.settle_down();
    assert!(world.sessions.is_empty());
    world.wait(10_000);
    world.accept("a.test");
    world.settle_down();
    assert!(world.sessions.is_empty(), "not parked");
}

/// T15: neither does the first one after a suspension.
#[test]
fn after_a_suspension_the_first_session_is_not_parked() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    for _ in 0..3 {
        world.fail_dial();
    }
    world.settle_down();
    assert_eq!(window(&world, "a.test"), Some(0), "dead");
    for id in 1..=2 {
        world.withdraw(EntryId(id), false);
    }
    world.wait(400_000);
    world.tell(Event::Tick);
    world.settle_down();
    assert_eq!(world.done, [EntryId(3)]);
    assert!(world.sessions.is_empty(), "not parked");
}

/// T06, T07: a binding without sessions gives way, and binding again restarts its time only.
#[test]
fn a_destination_finds_whichever_of_its_hosts_has_a_session() {
    let mut world = parked(listed(), &[1, 2], 4);
    let first: Vec<SessionId> = world
        .sessions
        .iter()
        .filter(|(_, peer)| peer.facts.endpoint == endpoint(1))
        .map(|(session, _)| *session)
        .collect();
    for session in first {
        world.die(session, None);
    }
    world.accept("a.test");
    let (session, found) = transactions(&world)[4];
    assert_eq!(found, Found::Destination);
    assert_eq!(world.sessions[&SessionId(session)].facts.endpoint, endpoint(2));
}

/// T02 as design §5 has it: the uses of a session are counted through the cache.
#[test]
fn uses_are_counted_over_every_way_of_reuse() {
    let mut world = parked(listed(), &[1], 1);
    for _ in 0..3 {
        world.accept("a.test");
        world.settle_down();
    }
    let uses: Vec<_> = world
        .dispatch
        .connections(world.now)
        .map(|connection| connection.uses)
        .collect();
    assert_eq!(uses, [4]);
    assert!(matches!(world.free(SessionId(1)), After::Free(facts) if facts.uses == 5));
}
