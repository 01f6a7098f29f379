//! Messages behind messages.

use remuda_mail::{CredentialsId, DeliveryId, HopLogin, HopPolicy, SessionId, TlsLevel};

use super::world::*;
use crate::{
    command::{Command, Flight},
    event::{Conduct, Undecided},
    settings::Settings,
};

/// One destination with one session at a time, on servers that have shown that they answer in order.
fn narrow() -> World {
    let mut world = World::new(Settings {
        initial_concurrency: 1,
        concurrency: 1,
        ..settings()
    });
    world.trust_all();
    world.serve("a.test", &[1]);
    world
}

/// Transactions that are unanswered: on which session, whose, and how they went out.
fn under_way(world: &World) -> Vec<(SessionId, DeliveryId, Flight)> {
    let transacts = world.todo.iter().filter_map(|command| match command {
        Command::Transact {
            session,
            delivery,
            flight,
            ..
        } => Some((*session, *delivery, *flight)),
        _ => None,
    });
    transacts.collect()
}

fn flights(world: &World) -> Vec<Flight> {
    under_way(world).iter().map(|(_, _, flight)| *flight).collect()
}

fn accept(world: &mut World, name: &str, count: usize) {
    for _ in 0..count {
        world.accept(name);
    }
}

#[test]
fn messages_follow_up_to_the_depth_while_no_session_may_be_opened() {
    let mut world = narrow();
    accept(&mut world, "a.test", 10);
    world.settle_down_until(is_transact);
    assert_eq!(
        flights(&world),
        [Flight::Whole, Flight::Behind, Flight::Behind, Flight::Behind]
    );
    assert_eq!(world.count(is_dial), 1);
    // One is answered and one more follows.
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(1, 0, 0, Undecided::NextTransaction, after)
    });
    assert_eq!(flights(&world), [Flight::Behind; 4]);
    world.settle_down();
    assert_eq!((world.done.len(), world.count(is_dial)), (10, 1));
}

#[test]
fn with_room_for_another_session_none_follows() {
    let mut world = narrow();
    world.tell(crate::event::Event::Reconfigured(Box::new(Settings {
        initial_concurrency: 5,
        concurrency: 20,
        ..settings()
    })));
    accept(&mut world, "b.test", 1);
    world.serve("b.test", &[2]);
    accept(&mut world, "b.test", 4);
    world.settle_down_until(is_transact);
    assert!(
        !flights(&world).contains(&Flight::Behind),
        "{:?}",
        flights(&world)
    );
}

#[test]
fn depth_is_earned_by_the_endpoint() {
    let mut world = World::new(Settings {
        initial_concurrency: 1,
        concurrency: 1,
        ..settings()
    });
    world.offers.pipelining = true;
    world.offers.chunking = true;
    world.serve("a.test", &[1]);
    let mut deepest = Vec::new();
    accept(&mut world, "a.test", 60);
    while world.done.len() < 60 {
        deepest.push(under_way(&world).len());
        let command = world.todo.pop_front().expect("mail waits");
        let event = world.good_answer(&command);
        world.tell(event);
    }
    let reached = |depth| deepest.iter().position(|found| *found == depth);
    assert!(reached(1) < reached(2) && reached(2) < reached(4), "{deepest:?}");
    assert_eq!(deepest.iter().max(), Some(&4));
}

/// A surprise ends it: the next message waits for the one before, content and all.
#[test]
fn a_surprise_bars_flights() {
    let mut world = narrow();
    accept(&mut world, "a.test", 3);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world).len(), 3);
    for _ in 0..3 {
        world.answer_transaction(|world, session| {
            let after = world.free(session);
            let mut answer = answer(1, 0, 0, Undecided::NextTransaction, after);
            answer.conduct = Conduct {
                is_disorderly: true,
                ..Conduct::default()
            };
            answer
        });
    }
    accept(&mut world, "a.test", 3);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world), [Flight::Split]);
}

#[test]
fn who_waits_at_the_endpoint_goes_before_the_destinations_next() {
    let mut world = World::new(Settings {
        initial_concurrency: 1,
        concurrency: 1,
        sessions_per_endpoint: 1,
        ..settings()
    });
    world.trust_all();
    world.serve("a.test", &[1]);
    world.serve("b.test", &[1]);
    accept(&mut world, "a.test", 2);
    world.settle_down_until(is_transact);
    accept(&mut world, "b.test", 1);
    world.answer(is_resolve);
    accept(&mut world, "a.test", 3);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(1, 0, 0, Undecided::NextTransaction, after)
    });
    let entries = world.log.iter().filter_map(|command| match command {
        Command::Transact { entry, .. } => Some(entry),
        _ => None,
    });
    let order: Vec<_> = entries.map(|entry| entry.0).collect();
    assert_eq!(order, [1, 2, 3], "the third is the other destination's");
    assert_eq!(world.count(is_dial), 1);
}

/// The window counts sessions: riders that lose theirs do not open one each.
#[test]
fn riders_that_lose_their_session_wait_for_a_slot() {
    let mut world = narrow();
    accept(&mut world, "a.test", 4);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world).len(), 4);
    for _ in 0..4 {
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::LostEarly, after)
        });
        let dialling = world.todo.iter().filter(|command| is_dial(command)).count();
        assert!(dialling <= 1, "one slot, one session");
    }
    let view = world
        .dispatch
        .destination(&to("a.test"), world.now)
        .expect("it has mail");
    assert_eq!(view.busy, 1);
    world.settle_down();
    assert_eq!((world.done.len(), world.bounced.len()), (4, 0));
}

#[test]
fn what_is_sent_a_second_time_is_alone_in_its_flight() {
    let mut world = narrow();
    accept(&mut world, "a.test", 2);
    world.settle_down_until(is_transact);
    let second = under_way(&world)[1].1;
    for _ in 0..2 {
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::LostEarly, after)
        });
    }
    accept(&mut world, "a.test", 5);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world), [Flight::Whole], "nothing behind it");
    world.settle_down_until(
        |command| matches!(command, Command::Transact { delivery, .. } if *delivery == second),
    );
    assert_eq!(flights(&world), [Flight::Whole]);
    world.settle_down();
    assert_eq!(world.done.len(), 7);
}

#[test]
fn a_large_message_asks_first_and_nothing_follows_it() {
    let mut world = narrow();
    let mut large = world.entry("a.test");
    large.size = 64 * 1024 + 1;
    world.accept_entry(large);
    accept(&mut world, "a.test", 3);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world), [Flight::Split]);
    let mut world = narrow();
    accept(&mut world, "a.test", 1);
    let mut large = world.entry("a.test");
    large.size = 64 * 1024 + 1;
    world.accept_entry(large);
    accept(&mut world, "a.test", 1);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world), [Flight::Whole], "and it does not follow");
}

/// A session that has been idle for more than a second may be dead: the content waits for a reply.
#[test]
fn after_a_second_of_idleness_the_content_waits() {
    for (idle, flight) in [(900, Flight::Whole), (1100, Flight::Split)] {
        let mut world = narrow();
        accept(&mut world, "a.test", 2);
        world.settle_down();
        world.wait(idle);
        accept(&mut world, "a.test", 1);
        assert_eq!(flights(&world), [flight], "{idle} ms");
    }
}

#[test]
fn a_transaction_limit_is_not_passed() {
    let mut world = narrow();
    world.offers.limits.mail_max = Some(2);
    accept(&mut world, "a.test", 5);
    world.settle_down_until(is_transact);
    assert_eq!(flights(&world).len(), 2);
}

/// The slot that is free with a session is that of the last delivery on it, whosever came between.
#[test]
fn a_delivery_that_goes_again_behind_another_destinations_has_its_slot_to_the_end() {
    let mut one = settings();
    one.sessions_per_endpoint = 1;
    let mut world = World::new(one);
    world.trust_all();
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
        let mut entry = world.entry(name);
        entry.recipients = 2;
        world.accept_entry(entry);
        world.answer(is_resolve);
    }
    world.answer(is_dial);
    assert_eq!(world.count(is_transact), 2, "one behind the other");
    world.answer_transaction(|world, session| {
        answer(1, 0, 1, Undecided::NextTransaction, world.free(session))
    });
    assert_eq!(world.count(is_transact), 3, "and the first again behind that");
    world.settle_down();
    let busy = |name| {
        world
            .dispatch
            .destination(&to(name), world.now)
            .map_or(0, |view| view.busy)
    };
    assert_eq!((busy("a.test"), busy("b.test"), world.done.len()), (0, 0, 2));
}

/// Design §5, flights: its content must not go to whom a server refuses.
#[test]
fn with_credentials_content_waits_until_a_recipient_was_refused_in_order() {
    let mut world = narrow();
    let login = HopLogin {
        username: "me".into(),
        credentials: CredentialsId(1),
        in_clear: true,
        route: None,
    };
    let policy = HopPolicy {
        login: Some(login),
        ..HopPolicy::default()
    };
    world.policies.insert(to("a.test"), policy);
    accept(&mut world, "a.test", 5);
    world.settle_down_until(is_transact);
    for (has_refused_recipient, next) in [
        (false, &[Flight::Split][..]),
        (true, &[Flight::Whole, Flight::Behind, Flight::Behind]),
    ] {
        assert_eq!(flights(&world), [Flight::Split]);
        world.answer_transaction(|world, session| {
            let after = world.free(session);
            let mut answer = answer(1, 0, 0, Undecided::NextTransaction, after);
            answer.conduct.has_refused_recipient = has_refused_recipient;
            answer
        });
        assert_eq!(flights(&world), next);
    }
    world.settle_down();
    assert_eq!(world.done.len(), 5);
}

/// Fitness decides behind others as it does for a free session.
#[test]
fn only_whom_the_session_serves_goes_behind() {
    let policy = |tls, user: Option<u64>| HopPolicy {
        tls: Some(tls),
        login: user.map(|id| HopLogin {
            username: "me".into(),
            credentials: CredentialsId(id),
            in_clear: true,
            route: None,
        }),
        ..HopPolicy::default()
    };
    for (first, second, transactions) in [
        (policy(TlsLevel::None, None), policy(TlsLevel::Encrypt, None), 1),
        (policy(TlsLevel::Encrypt, None), policy(TlsLevel::None, None), 2),
        (policy(TlsLevel::Encrypt, None), policy(TlsLevel::Verify, None), 1),
        (policy(TlsLevel::Verify, None), policy(TlsLevel::May, None), 2),
        (policy(TlsLevel::May, None), policy(TlsLevel::May, Some(1)), 1),
    ] {
        let mut one = settings();
        one.sessions_per_endpoint = 1;
        let mut world = World::new(one);
        world.trust_all();
        for (name, policy) in [("a.test", &first), ("b.test", &second)] {
            world.serve(name, &[1]);
            world.policies.insert(to(name), policy.clone());
            world.accept(name);
            world.answer(is_resolve);
        }
        world.answer(is_dial);
        assert_eq!(world.count(is_transact), transactions, "{first:?} {second:?}");
        world.settle_down();
        assert_eq!(world.done.len(), 2);
    }
}

/// "Once, at once": who has lost its session does not wait behind its own destination's backlog.
#[test]
fn riders_that_lose_their_session_go_before_the_backlog() {
    let mut world = narrow();
    accept(&mut world, "a.test", 12);
    world.settle_down_until(is_transact);
    let lost: Vec<_> = under_way(&world)
        .iter()
        .map(|(_, delivery, _)| *delivery)
        .collect();
    assert_eq!(lost.len(), 4);
    for _ in 0..4 {
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::LostEarly, after)
        });
    }
    let before = world.log.len();
    world.settle_down();
    let again = world.log[before..].iter().filter_map(|command| match command {
        Command::Transact { delivery, .. } => Some(*delivery),
        _ => None,
    });
    let order: Vec<_> = again.take(lost.len()).collect();
    assert_eq!(order, lost, "in their order, and before what is new");
    assert_eq!(world.done.len(), 12);
}
