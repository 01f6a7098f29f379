//! Receivers that limit what a session carries, and what is learned of it.

use std::time::Duration;

use remuda_connection_cache::Unfit;
use remuda_mail::{Scope, SessionId};

use super::world::*;
use crate::{
    command::{Command, Rest, RetireCause},
    event::{After, Answer, Event, Undecided},
    settings::Settings,
};

/// How a receiver ends a session that has had its number of transactions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// It closes at once: found before the next first octet, or while parked.
    Silent,
    /// It closes when the next MAIL comes.
    AtMail,
    /// It refuses the next MAIL by 421 or 452.
    Refused,
}

fn listed() -> Settings {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    settings
}

/// A transaction that meets a limit after `met` others.
fn limited(world: &mut World, session: SessionId, cause: Undecided, met: u32) -> Answer {
    let after = world.lose(session);
    Answer {
        limit_met: Some(met),
        ..answer(0, 0, 1, cause, after)
    }
}

/// Answers everything as a receiver does that takes `max` transactions a session; returns how many sessions
/// met that limit.
fn serve_at_most(world: &mut World, max: u32, manner: Manner) -> u32 {
    let mut met = 0;
    loop {
        if manner == Manner::Silent {
            let ended: Vec<SessionId> = world
                .sessions
                .iter()
                .filter(|(_, peer)| peer.state == PeerState::Watched && peer.facts.uses >= max)
                .map(|(session, _)| *session)
                .collect();
            for session in ended {
                met += 1;
                world.die(session, Some(max));
            }
        }
        let Some(command) = world.todo.pop_front() else {
            return met;
        };
        let event = match &command {
            Command::Transact {
                session, delivery, ..
            } if world.sessions[session].facts.uses >= max => {
                met += 1;
                let cause = match manner {
                    Manner::Silent => Undecided::Unsent,
                    Manner::AtMail => Undecided::LostEarly,
                    Manner::Refused => Undecided::Limited(failure(Scope::Session)),
                };
                let answer = limited(world, *session, cause, max);
                answered(*session, *delivery, answer)
            }
            command => world.good_answer(command),
        };
        world.tell(event);
    }
}

/// Issue 3, "What must be seen" 3: nothing deferred, and the number learned within three connections.
#[test]
fn a_limit_of_transactions_defers_nothing_and_is_learned_within_three_sessions() {
    for max in [1, 3, 20] {
        for manner in [Manner::Silent, Manner::AtMail, Manner::Refused] {
            let mut settings = listed();
            settings.concurrency = 1;
            let mut world = World::new(settings);
            world.serve("a.test", &[1]);
            for _ in 0..5 * max {
                world.accept("a.test");
            }
            let met = serve_at_most(&mut world, max, manner);
            assert_eq!(met, 2, "{max} {manner:?}");
            assert_eq!(world.done.len(), 5 * max as usize, "{max} {manner:?}");
            let ways = rests(&world);
            assert!(ways.iter().all(|rest| *rest == Rest::Nobody), "{max} {manner:?}");
            let dials = world.count(is_dial);
            assert!(dials <= 6, "{max} {manner:?}: {dials} sessions");
            let view = world.dispatch.connections(world.now).next();
            let learned = view.and_then(|view| view.transactions_max);
            assert!(learned.is_none_or(|learned| learned == max), "{learned:?}");
        }
    }
}

/// The same with many sessions at once: each may meet the limit before it is known, and nobody is deferred.
#[test]
fn many_sessions_that_meet_a_limit_at_once_defer_nothing() {
    for max in [1, 3] {
        for manner in [Manner::Silent, Manner::AtMail, Manner::Refused] {
            let mut world = World::new(settings());
            world.serve("a.test", &[1]);
            for _ in 0..200 {
                world.accept("a.test");
            }
            serve_at_most(&mut world, max, manner);
            assert_eq!(world.done.len(), 200, "{max} {manner:?}");
            let window = world.dispatch.destination(&to("a.test"), world.now);
            assert_eq!(window.map(|view| view.window), Some(20), "no negative feedback");
        }
    }
}

/// One message delivered on session 1, and another about to be sent on it.
fn with_a_used_session(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    world.accept("a.test");
    world
}

fn refused(world: &mut World, session: SessionId) -> Answer {
    limited(world, session, Undecided::Limited(failure(Scope::Session)), 1)
}

#[test]
fn who_meets_a_limit_goes_to_a_session_that_has_carried_nothing() {
    let mut world = World::new(listed());
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.settle_down();
    let parked = world.dispatch.totals().parked_sessions;
    world.accept("a.test");
    world.answer_transaction(refused);
    assert_eq!(world.dispatch.totals().parked_sessions, parked - 1);
    assert_eq!(world.count(is_dial), 4, "the parked ones may be at it too");
    world.settle_down();
    assert_eq!(world.done.len(), 4);
    assert_eq!(world.dispatch.statistics().unfit.get("used"), Some(&2));
}

#[test]
fn who_is_refused_there_too_is_deferred_with_feedback() {
    let mut world = with_a_used_session(listed());
    world.answer_transaction(refused);
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.lose(session);
        answer(0, 0, 1, Undecided::Failed(failure(Scope::Session)), after)
    });
    assert!(matches!(
        &rests(&world)[..],
        [Rest::Nobody, Rest::Defer { refusal: Some(_), .. }]
    ));
    let window = world.dispatch.destination(&to("a.test"), world.now);
    assert!(window.is_some_and(|view| view.window < 6));
}

/// A delivery of several transactions may meet the limit at each of them.
#[test]
fn every_part_of_a_delivery_may_meet_a_limit_once() {
    let mut world = World::new(listed());
    world.serve("a.test", &[1]);
    let mut entry = world.entry("a.test");
    entry.recipients = 4;
    world.accept_entry(entry);
    world.answer(is_resolve);
    for left in (0..4).rev() {
        world.answer(is_dial);
        world.answer_transaction(|world, session| {
            let after = world.free(session);
            answer(1, 0, left, Undecided::NextTransaction, after)
        });
        if left > 1 {
            // At the third it is known.
            world.answer_transaction(|world, session| Answer {
                undecided: left,
                ..refused(world, session)
            });
        }
    }
    world.settle_down();
    assert_eq!(rests(&world), [Rest::Nobody]);
}

#[test]
fn a_limit_that_is_learned_retires_what_is_parked_at_it() {
    let mut world = World::new(listed());
    world.serve("a.test", &[1]);
    for _ in 0..5 {
        world.accept("a.test");
    }
    world.settle_down();
    for session in [1, 2] {
        let session = SessionId(session);
        world.die(session, Some(1));
    }
    assert_eq!(retire_causes(&world), [RetireCause::Count; 3]);
    assert_eq!(world.dispatch.totals().parked_sessions, 0);
    assert_eq!(world.dispatch.statistics().closed_count, 3);
}

#[test]
fn a_limit_is_kept_for_an_hour() {
    let mut world = with_a_used_session(listed());
    world.answer_transaction(refused);
    world.settle_down();
    world.accept("a.test");
    world.answer_transaction(refused);
    world.settle_down();
    world.accept("a.test");
    world.settle_down();
    assert_eq!(
        sessions_used(&world),
        [1, 1, 2, 2, 3, 4],
        "each used once from now on"
    );
    world.wait(3_600_000);
    for _ in 0..2 {
        world.accept("a.test");
        world.settle_down();
    }
    assert_eq!(sessions_used(&world)[6..], [5, 5]);
}

/// An end after some idle time is no limit of transactions.
#[test]
fn an_end_after_idle_time_teaches_the_idle_time() {
    let mut world = World::new(listed());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    world.wait(1200);
    for _ in 0..2 {
        world.die(SessionId(1), Some(1));
    }
    world.accept("a.test");
    world.settle_down();
    let ends = world.now.monotonic + Duration::from_millis(900);
    assert_eq!(world.dispatch.next_deadline(), Some(ends), "three quarters of it");
    world.accept("a.test");
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 2, 2], "it is reused all the same");
    world.wait(900);
    world.tell(Event::Tick);
    assert_eq!(retire_causes(&world), [RetireCause::Idle]);
}

/// RFC 9422 §4.1: MAILMAX counts MAIL commands, refused ones too; a session at it is not parked.
#[test]
fn a_session_at_its_announced_mail_limit_is_neither_handed_over_nor_parked() {
    let mut settings = listed();
    settings.concurrency = 1;
    let mut world = World::new(settings);
    world.offers.limits.mail_max = Some(2);
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 1, 2]);
    assert_eq!(retire_causes(&world), [RetireCause::Count]);
    world.accept("a.test");
    world.settle_down();
    assert_eq!(sessions_used(&world)[3..], [2]);
    assert_eq!(retire_causes(&world), [RetireCause::Count; 2]);
}

/// RFC 9422 §4.3: RCPTDOMAINMAX is the whole session's.
#[test]
fn a_session_that_has_had_its_domains_is_not_taken_for_another() {
    let mut world = World::new(listed());
    world.offers.limits.rcpt_domain_max = Some(1);
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
        world.accept(name);
        world.settle_down();
    }
    world.accept("a.test");
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 2, 1]);
    let unfit = |command: &Command| match command {
        Command::Transact { unfit, .. } => Some(*unfit),
        _ => None,
    };
    let unfits: Vec<_> = world.log.iter().filter_map(unfit).collect();
    assert_eq!(unfits[1], Some(Unfit::RecipientDomain));
}

/// A message for several domains may find that out only when it begins.
#[test]
fn a_session_without_room_for_the_domain_is_left_silently() {
    let mut world = with_a_used_session(listed());
    world.answer_transaction(|world, session| {
        let after = world.lose(session);
        answer(0, 0, 1, Undecided::NoRoom, after)
    });
    world.settle_down();
    assert_eq!(rests(&world), [Rest::Nobody, Rest::Nobody]);
    assert_eq!(world.dispatch.statistics().closed_dead, 0);
}

/// Design §5, Limits: Postfix hangs up at 20 errors, Exim after 10 RSETs without mail.
#[test]
fn a_session_that_refused_eight_transactions_in_a_row_is_retired() {
    let mut settings = listed();
    settings.concurrency = 1;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..9 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.answer(is_dial);
    for refused in 1..=8 {
        world.answer_transaction(|world, session| {
            let After::Free(mut facts) = world.free(session) else {
                panic!("it goes on");
            };
            facts.refused_in_a_row = refused;
            answer(0, 1, 0, Undecided::NextTransaction, After::Free(facts))
        });
        if refused < 8 {
            world.answer(is_settle);
        }
    }
    assert_eq!(retire_causes(&world), [RetireCause::Worn]);
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 1, 1, 1, 1, 1, 1, 1, 2]);
}

/// Who waits for room at an endpoint and does not fit its session does not wait for the session's end of life.
#[test]
fn who_does_not_fit_a_busy_session_gets_its_place_in_turn() {
    let mut settings = listed();
    settings.sessions_per_endpoint = 1;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.serve("b.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    let mut foreign = world.entry("b.test");
    foreign.smtputf8 = true;
    world.accept_entry(foreign);
    world.answer(is_resolve);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.settle_down();
    let order: Vec<_> = world.done.iter().map(|id| id.0).collect();
    assert_eq!(order[..2], [1, 2], "it is not passed over: {order:?}");
    assert_eq!(world.done.len(), 5);
}

/// The end of an idle session is not taken for a limit, whether it is seen while it is parked or at its use.
#[test]
fn an_end_found_at_use_after_idle_time_is_no_limit() {
    for cause in [Undecided::Unsent, Undecided::LostEarly] {
        let mut world = with_a_used_session(listed());
        for _ in 0..2 {
            world.settle_down();
            world.wait(1500);
            world.accept("a.test");
            let cause = cause.clone();
            world.answer_transaction(move |world, session| {
                let uses = world.sessions[&session].facts.uses;
                limited(world, session, cause.clone(), uses)
            });
            let now = world.now.monotonic;
            assert_eq!(
                world.dispatch.hosts.transactions_max(endpoint(1).into(), now),
                None
            );
            // Long enough for what was learned of the idle time to be forgotten.
            world.settle_down();
            world.wait(3_600_000);
            world.tell(Event::Tick);
            for _ in 0..2 {
                world.settle_down();
                world.accept("a.test");
            }
        }
        world.settle_down();
    }
}

/// What a known limit explains is no sign that an endpoint does not bear reuse.
#[test]
fn ends_at_a_known_limit_do_not_bar_reuse() {
    let mut world = World::new(listed());
    world.serve("a.test", &[1]);
    for _ in 0..2 {
        for _ in 0..4 {
            world.accept("a.test");
        }
        world.settle_down();
    }
    for _ in 0..4 {
        world.accept("a.test");
    }
    for _ in 0..4 {
        world.wait(1100);
        world.answer_transaction(|world, session| limited(world, session, Undecided::LostEarly, 2));
    }
    world.settle_down();
    let now = world.now.monotonic;
    assert_eq!(
        world.dispatch.hosts.transactions_max(endpoint(1).into(), now),
        Some(2)
    );
    assert!(world.dispatch.hosts.bears_reuse(endpoint(1).into(), now));
}
