//! A session answers in order, and ends as its host wants it.

use std::net::SocketAddr;

use remuda_mail::{Clear, Endpoint, Protocol, Tls};

use super::*;

fn session(close_after: Option<u32>) -> Session {
    let facts = Facts {
        endpoint: Endpoint::Tcp(SocketAddr::from(([10, 0, 0, 1], 25))),
        protocol: Protocol::Smtp,
        source: None,
        host: "a".into(),
        helo_name: "us.test".into(),
        is_tls_implicit: false,
        tls: Tls::Clear(Clear::NotOffered),
        credentials: None,
        capabilities: offers(),
        opened: Monotonic::ZERO,
        uses: 0,
        last_used: Monotonic::ZERO,
        refused_in_a_row: 0,
        recipient_domains: Vec::new(),
    };
    Session::dialled(0, close_after, facts)
}

fn at(millis: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_millis(millis)
}

/// Begins a transaction of 50 ms.
fn begin(session: &mut Session, number: u64, now: Monotonic, verdict: Verdict) -> Monotonic {
    let reply = Reply::new(now, Duration::from_millis(10), Flight::Split);
    session.begin(
        (DeliveryId(number), EntryId(number)),
        (Duration::from_millis(50), verdict),
        reply,
    )
}

fn answer(session: &mut Session) -> Answer {
    let now = session.busy_until;
    session.answer(now).unwrap().answer
}

#[test]
fn answers_come_in_the_order_of_the_orders() {
    let mut session = session(None);
    assert_eq!(begin(&mut session, 1, at(100), Verdict::Takes), at(150));
    assert_eq!(begin(&mut session, 2, at(110), Verdict::Takes), at(200));
    let first = session.answer(at(150)).unwrap();
    assert_eq!(
        (first.job.delivery, first.answer.session),
        (DeliveryId(1), After::Going)
    );
    let second = session.answer(at(200)).unwrap();
    assert_eq!(
        (second.job.delivery, second.answer.waited),
        (DeliveryId(2), Duration::from_millis(50))
    );
    let After::Free(facts) = second.answer.session else {
        panic!("free")
    };
    assert_eq!(
        (facts.uses, facts.last_used, facts.refused_in_a_row),
        (2, at(200), 0)
    );
}

#[test]
fn a_host_that_closes_after_n_transactions_has_taken_n() {
    let mut session = session(Some(1));
    for number in 1..=2 {
        begin(&mut session, number, at(0), Verdict::Takes);
    }
    assert!(answer(&mut session).accepted && session.is_closed());
    let behind = answer(&mut session);
    assert_eq!((behind.cause, behind.undecided), (Undecided::PerhapsAccepted, 1));
    assert_eq!(behind.session, After::Gone);
}

#[test]
fn what_was_not_sent_on_a_closed_session_is_unsent() {
    let mut session = session(Some(1));
    begin(&mut session, 1, at(0), Verdict::Takes);
    assert!(matches!(answer(&mut session).session, After::Free(_)));
    assert_eq!(begin(&mut session, 2, at(60), Verdict::Takes), at(60));
    let unsent = answer(&mut session);
    assert_eq!((unsent.cause, unsent.begun), (Undecided::Unsent, false));
    assert_eq!((unsent.death, unsent.limit_met), (Some(Death::Fin), Some(1)));
}

#[test]
fn a_refused_mail_defers_and_leaves_the_session() {
    let mut session = session(None);
    begin(&mut session, 1, at(0), Verdict::Defers);
    let deferred = answer(&mut session);
    assert_eq!((deferred.deferred, deferred.accepted), (1, false));
    let After::Free(facts) = deferred.session else {
        panic!("free")
    };
    assert_eq!(facts.refused_in_a_row, 1);
}

#[test]
fn a_used_session_that_says_nothing_is_dead() {
    let mut session = session(None);
    begin(&mut session, 1, at(0), Verdict::Defers);
    assert_eq!(
        answer(&mut session).cause,
        Undecided::NextTransaction,
        "not used before"
    );
    assert_eq!(begin(&mut session, 2, at(100), Verdict::Defers), at(110));
    let dead = answer(&mut session);
    assert_eq!(
        (dead.cause, dead.death),
        (Undecided::LostEarly, Some(Death::NoReply))
    );
}

#[test]
fn a_final_reply_that_does_not_come_defers() {
    let mut session = session(None);
    begin(&mut session, 1, at(0), Verdict::Silence);
    let silent = answer(&mut session);
    assert_eq!((silent.cause, silent.deferred), (Undecided::PerhapsAccepted, 1));
    assert_eq!((silent.undecided, silent.session), (0, After::Gone));
}
