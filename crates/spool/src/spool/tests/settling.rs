//! Settlements, notices, reroutes.

use super::*;
use crate::{Readdressed, Reroute, Selection};

fn with_report(fixture: &Fixture, settlement: Settlement) -> (MessageId, Settlement) {
    let report = fixture.message_with(&[("sender.test", &["a"])], Bytes::from_static(b"report"));
    let id = report.id;
    let reports = vec![report];
    (
        id,
        Settlement {
            reports,
            ..settlement
        },
    )
}

#[tokio::test]
async fn the_message_goes_with_its_last_entry() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"]), ("b.test", &["y"])]).await;
    let message = stored[0].message;
    fixture.spool.settle(done(&stored[0])).await.unwrap();
    assert_eq!(fixture.heads("b.test", 1000).await, stored[1..]);
    fixture.read(message).await.unwrap();
    fixture.spool.settle(done(&stored[1])).await.unwrap();
    assert!(matches!(fixture.read(message).await, Err(Error::Missing { .. })));
    assert_eq!(fixture.spool.show(message).await.unwrap(), None);
    assert_eq!(fixture.spool.backlog().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_left_waits_for_its_due_time_with_its_attempts() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x", "y"])]).await;
    let mut settlement = deferred(&stored[0], 5000);
    settlement.left.remove(0);
    fixture.spool.settle(settlement).await.unwrap();
    let destination = stored[0].destination.clone();
    let heads = fixture.spool.heads(&destination, Wall(4999), 10).await.unwrap();
    assert_eq!((heads.entries, heads.next_due), (Vec::new(), Some(Wall(5000))));
    let due = fixture.heads("a.test", 5000).await;
    assert_eq!((due[0].attempts, due[0].recipients.len()), (1, 1));
    for attempt in 1..=7 {
        fixture
            .spool
            .settle(deferred(&due[0], 5000 + attempt))
            .await
            .unwrap();
    }
    let shown = fixture.spool.show(stored[0].message).await.unwrap().unwrap();
    let at: Vec<i64> = shown.entries[0]
        .attempts
        .iter()
        .map(|attempt| attempt.at)
        .collect();
    assert_eq!(at, [5002, 5003, 5004, 5005, 5006]);
    assert_eq!(shown.entries[0].queued.attempts, 8);
}

#[tokio::test]
async fn reports_are_stored_in_the_same_commit() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    let (report, settlement) = with_report(&fixture, done(&stored[0]));
    let before = fixture.spool.metrics().commits.get();
    let queued = fixture.spool.settle(settlement).await.unwrap();
    assert_eq!(fixture.spool.metrics().commits.get(), before + 1);
    assert_eq!(queued, fixture.heads("sender.test", 1000).await);
    assert_eq!(fixture.read(report).await.unwrap(), b"report");
}

#[tokio::test]
async fn an_entry_that_is_gone_stays_gone_without_its_reports() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    let selection = Selection::Message(stored[0].message);
    fixture.spool.delete(selection, Wall(1000)).await.unwrap();
    for settlement in [done(&stored[0]), deferred(&stored[0], 5000)] {
        let (_, settlement) = with_report(&fixture, settlement);
        assert_eq!(fixture.spool.settle(settlement).await.unwrap(), []);
    }
    assert_eq!(fixture.spool.backlog().await.unwrap(), []);
}

#[tokio::test]
async fn a_held_entry_stays_held() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    fixture.spool.hold(Selection::All, Wall(1000)).await.unwrap();
    fixture.spool.settle(deferred(&stored[0], 2000)).await.unwrap();
    assert_eq!(fixture.heads("a.test", 9000).await, []);
    let backlog = fixture.spool.backlog().await.unwrap();
    assert_eq!(
        (backlog[0].waiting, backlog[0].held, backlog[0].due),
        (0, 1, None)
    );
}

#[tokio::test]
async fn a_settlement_is_queued_when_it_is_made() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    // Never polled.
    drop(fixture.spool.settle(done(&stored[0])));
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.spool.backlog().await.unwrap(), []);
}

#[tokio::test]
async fn applied_twice_is_applied_once() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    let (_, settlement) = with_report(&fixture, done(&stored[0]));
    let (reports, queued) = fixture.spool.shared.encode_reports(settlement.reports).unwrap();
    let row = SettleRow {
        entry: stored[0].id,
        message: stored[0].message,
        left: None,
        due: Wall::NEVER,
        attempt: None,
        reports,
    };
    let apply = move |db: &Connection, effects: &mut Effects| {
        Ok((
            settle::settle(db, &row, effects)?,
            settle::settle(db, &row, effects)?,
        ))
    };
    let submission = Submission::kept(1);
    let twice = fixture.spool.shared.submit(submission, apply).await.unwrap();
    assert_eq!(twice, (true, true));
    assert_eq!(fixture.heads("sender.test", 1000).await, queued);
}

#[tokio::test]
async fn notices_come_in_order_and_move() {
    let fixture = Fixture::new();
    let mut first = fixture.message(&[("a.test", &["x"])]);
    first.notice = Wall(40_000);
    let first = fixture.spool.store(first).await.unwrap();
    let second = fixture.store(&[("b.test", &["x"])]).await;
    let notices = fixture.spool.notices(Wall(45_000), 10).await.unwrap();
    assert_eq!((&notices.due, notices.next), (&first, Some(Wall(50_000))));
    let (_, settlement) = with_report(&fixture, done(&first[0]));
    let moved = fixture
        .spool
        .set_notice(first[0].id, Wall(100_000), settlement.reports);
    assert_eq!(moved.await.unwrap(), fixture.heads("sender.test", 1000).await);
    let notices = fixture.spool.notices(Wall(60_000), 1).await.unwrap();
    assert_eq!((notices.due, notices.next), (second.clone(), Some(Wall(50_000))));
    // Held ones are left out; the report has a notice of its own.
    let selection = Selection::Message(second[0].message);
    fixture.spool.hold(selection, Wall(1)).await.unwrap();
    let notices = fixture.spool.notices(Wall(45_000), 10).await.unwrap();
    assert_eq!((notices.due, notices.next), (Vec::new(), Some(Wall(50_000))));
}

#[tokio::test]
async fn heads_come_by_due_time_and_age_and_say_what_is_next() {
    let fixture = Fixture::new();
    let mut stored = Vec::new();
    for _ in 0..4 {
        stored.extend(fixture.store(&[("a.test", &["x"])]).await);
    }
    fixture.spool.settle(deferred(&stored[0], 3000)).await.unwrap();
    let destination = &stored[0].destination;
    let heads = fixture.spool.heads(destination, Wall(9000), 2).await.unwrap();
    assert_eq!(
        (heads.entries, heads.next_due),
        (stored[1..3].to_vec(), Some(Wall(1000)))
    );
    let heads = fixture.spool.heads(destination, Wall(2000), 3).await.unwrap();
    assert_eq!(
        (heads.entries, heads.next_due),
        (stored[1..].to_vec(), Some(Wall(3000)))
    );
    let all = fixture.heads("a.test", 3000).await;
    assert_eq!(all.last().map(|last| last.id), Some(stored[0].id));
}

#[tokio::test]
async fn no_recipient_is_lost_by_a_reroute() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x", "y", "z"])]).await;
    fixture.spool.settle(deferred(&stored[0], 5000)).await.unwrap();
    let to = |user: &str, destination: &str| Reroute {
        destination: Destination::from_key(destination),
        recipients: vec![same(recipient(user, "a.test"))],
    };
    let targets = vec![to("x", "b.test"), to("y", "c.test")];
    let moved = fixture.spool.reroute(stored[0].id, targets).await.unwrap();
    let facts = |q: &Queued| (q.destination.to_string(), q.recipients.len(), q.due, q.attempts);
    let expected = ["b.test", "c.test"].map(|name| (name.to_owned(), 1, Wall(5000), 1));
    assert_eq!(moved.iter().map(facts).collect::<Vec<_>>(), expected);
    let left = fixture.heads("a.test", 5000).await;
    assert_eq!(left[0].recipients, [Pending::new(recipient("z", "a.test"))]);
    // The last one out removes the old entry; the message stays until all are done.
    let last = fixture
        .spool
        .reroute(left[0].id, vec![to("z", "b.test")])
        .await
        .unwrap();
    assert_eq!(fixture.heads("a.test", 5000).await, []);
    for queued in moved.iter().chain(&last) {
        fixture.read(queued.message).await.unwrap();
        fixture.spool.settle(done(queued)).await.unwrap();
    }
    assert_eq!(fixture.spool.show(stored[0].message).await.unwrap(), None);
    let gone = fixture.spool.reroute(left[0].id, vec![to("z", "b.test")]).await;
    assert_eq!(gone.unwrap(), []);
}

fn same(recipient: Recipient) -> Readdressed {
    Readdressed {
        was: recipient.clone(),
        now: recipient,
    }
}

#[tokio::test]
async fn a_recipient_may_go_as_several_and_several_as_one() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x", "y", "z"])]).await;
    let to = |was: &str, now: &str| Readdressed {
        was: recipient(was, "a.test"),
        now: recipient(now, "d.test"),
    };
    let target = Reroute {
        destination: Destination::from_key("local"),
        recipients: vec![to("x", "bob"), to("x", "eve"), to("y", "bob"), to("gone", "sue")],
    };
    let moved = fixture.spool.reroute(stored[0].id, vec![target]).await.unwrap();
    let names = |queued: &Queued| -> Vec<String> {
        let all = queued.recipients.iter();
        all.map(|pending| pending.recipient.address.to_string()).collect()
    };
    assert_eq!(
        moved.iter().map(names).collect::<Vec<_>>(),
        [["bob@d.test", "eve@d.test"]]
    );
    assert_eq!(names(&fixture.heads("a.test", 5000).await[0]), ["z@a.test"]);
}
