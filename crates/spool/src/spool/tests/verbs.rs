//! The operator's verbs and views.

use super::*;
use crate::{Filter, Selection, admin::STEP, browse};

async fn list(fixture: &Fixture, filter: &Filter) -> Vec<EntryId> {
    let page = fixture.spool.list(filter.clone()).await.unwrap();
    page.iter().map(|listed| listed.queued.id).collect()
}

fn any() -> Filter {
    Filter {
        limit: 10,
        ..Filter::default()
    }
}

#[tokio::test]
async fn hold_and_release_change_what_is_offered() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"]), ("b.test", &["y"])]).await;
    let selection = Selection::Destination(stored[0].destination.clone());
    let held = fixture.spool.hold(selection.clone(), Wall(1000)).await.unwrap();
    assert_eq!(held.len(), 1);
    let facts = (held[0].entry, held[0].was, held[0].state);
    assert_eq!(facts, (stored[0].id, State::Waiting, State::Held));
    assert_eq!(
        fixture.spool.hold(selection.clone(), Wall(1000)).await.unwrap(),
        []
    );
    assert_eq!(fixture.heads("a.test", 9000).await, []);
    assert_eq!(fixture.heads("b.test", 9000).await.len(), 1);
    let released = fixture.spool.release(selection, Wall(900)).await.unwrap();
    assert_eq!((released[0].was, released[0].due), (State::Held, Wall(900)));
    assert_eq!(fixture.heads("a.test", 900).await.len(), 1);
}

#[tokio::test]
async fn retry_makes_due_now_and_leaves_held_entries_held() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"]), ("a.test", &["y"])]).await;
    for queued in &stored {
        fixture.spool.settle(deferred(queued, 50_000)).await.unwrap();
    }
    let selection = Selection::Message(stored[0].message);
    let changed = fixture.spool.retry(selection.clone(), Wall(2000)).await.unwrap();
    assert_eq!(
        changed.iter().map(|c| c.due).collect::<Vec<_>>(),
        [Wall(2000), Wall(2000)]
    );
    assert_eq!(fixture.heads("a.test", 2000).await.len(), 2);
    fixture.spool.hold(Selection::All, Wall(2000)).await.unwrap();
    assert_eq!(fixture.spool.retry(selection, Wall(1)).await.unwrap(), []);
}

#[tokio::test]
async fn a_verb_over_many_goes_in_steps_and_reaches_all() {
    let fixture = Fixture::new();
    let to: Vec<String> = (0..STEP * 2 + 7).map(|n| format!("d{}.test", n % 3)).collect();
    let to: Vec<(&str, &[&str])> = to.iter().map(|to| (to.as_str(), &["x"][..])).collect();
    let count = fixture.store(&to).await.len();
    let spool = &fixture.spool;
    let first = Selection::Destination(Destination::from_key("d0.test"));
    assert_eq!(spool.hold(Selection::All, Wall(1)).await.unwrap().len(), count);
    let released = spool.release(first.clone(), Wall(1)).await.unwrap().len();
    assert_eq!(released, count.div_ceil(3));
    assert_eq!(spool.delete(first, Wall(1)).await.unwrap().len(), released);
    assert_eq!(
        spool.delete(Selection::All, Wall(1)).await.unwrap().len(),
        count - released
    );
    assert_eq!(spool.backlog().await.unwrap(), []);
}

#[tokio::test]
async fn deleting_removes_the_content_file() {
    let fixture = Fixture::new();
    let id = fixture.spool.allocate_id();
    let mut writer = fixture.spool.writer(id, None);
    writer.write(&vec![b'x'; 300_000]).await.unwrap();
    let content = writer.finish().await.unwrap();
    let message = NewMessage {
        id,
        ..fixture.message_with(&[("a.test", &["x"]), ("b.test", &["x"])], content)
    };
    fixture.spool.store(message).await.unwrap();
    assert_eq!(fixture.content_files(), 1);
    let deleted = fixture
        .spool
        .delete(Selection::Message(id), Wall(1))
        .await
        .unwrap();
    assert_eq!(deleted.len(), 2);
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.content_files(), 0);
}

#[tokio::test]
async fn a_page_is_bounded_and_goes_on_behind_the_one_before() {
    let fixture = Fixture::new();
    let mut ids = Vec::new();
    for n in 0..10 {
        let to = if n % 2 == 0 { "a.test" } else { "b.test" };
        ids.extend(fixture.store(&[(to, &["x"])]).await.iter().map(|q| q.id));
    }
    let mut filter = Filter { limit: 4, ..any() };
    let mut seen = Vec::new();
    loop {
        let page = list(&fixture, &filter).await;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        filter.after = Some(*last);
        seen.extend(page);
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_list_shows_what_its_filter_asks_for() {
    let fixture = Fixture::new();
    let first = fixture.store(&[("a.test", &["x"]), ("b.test", &["y"])]).await;
    let second = fixture.store(&[("a.test", &["x"])]).await;
    let mut null = fixture.message(&[("a.test", &["x"])]);
    null.envelope.sender = remuda_mail::Sender::NULL;
    let null = fixture.spool.store(null).await.unwrap();
    fixture.spool.settle(deferred(&first[1], 5000)).await.unwrap();
    let selection = Selection::Message(second[0].message);
    fixture.spool.hold(selection, Wall(1)).await.unwrap();
    let [one, two, three, four] = [first[0].id, first[1].id, second[0].id, null[0].id];

    let of = |filter: Filter| Filter {
        destination: Some(first[0].destination.clone()),
        ..filter
    };
    let from = |sender: &str, filter: Filter| Filter {
        sender: Some(sender.to_owned()),
        ..filter
    };
    let is = |state, filter: Filter| Filter {
        state: Some(state),
        ..filter
    };
    let tried = |deferred, filter: Filter| Filter {
        deferred: Some(deferred),
        ..filter
    };
    let behind = |entry, filter: Filter| Filter {
        after: Some(entry),
        ..filter
    };
    let cases = [
        (any(), vec![one, two, three, four]),
        (of(any()), vec![one, three, four]),
        (from("", any()), vec![four]),
        (from("a@sender.test", any()), vec![one, two, three]),
        (is(State::Held, any()), vec![three]),
        (is(State::Waiting, of(any())), vec![one, four]),
        (tried(true, any()), vec![two]),
        (tried(false, is(State::Waiting, any())), vec![one, four]),
        (tried(true, is(State::Held, any())), vec![]),
        (tried(false, of(from("a@sender.test", any()))), vec![one, three]),
        (behind(one, of(any())), vec![three, four]),
        (behind(one, from("a@sender.test", any())), vec![two, three]),
    ];
    for (filter, expected) in cases {
        assert_eq!(list(&fixture, &filter).await, expected, "{filter:?}");
    }
    let page = fixture.spool.list(tried(true, any())).await.unwrap();
    assert_eq!(page[0].last.as_ref().map(|last| last.at), Some(4999));
}

#[tokio::test]
async fn a_message_is_shown_with_all_its_entries() {
    let fixture = Fixture::new();
    let mut message = fixture.message(&[("a.test", &["x"]), ("b.test", &["y"])]);
    message.origin.client = "192.0.2.7".into();
    let stored = fixture.spool.store(message).await.unwrap();
    let shown = fixture.spool.show(stored[0].message).await.unwrap().unwrap();
    assert_eq!(shown.origin.client, "192.0.2.7");
    assert_eq!(
        (shown.arrived, shown.expires, shown.size),
        (Wall(1000), Wall(100_000), 17)
    );
    let entries: Vec<_> = shown.entries.into_iter().map(|entry| entry.queued).collect();
    assert_eq!(entries, stored);
}

#[tokio::test]
async fn the_summary_counts_by_age() {
    let fixture = Fixture::new();
    let minute = 60_000;
    for age in [0, 4, 5, 19, 1279, 1280, 9999] {
        let mut message = fixture.message(&[("a.test", &["x"])]);
        message.arrived = Wall(10_000 * minute - age * minute);
        fixture.spool.store(message).await.unwrap();
    }
    fixture.store(&[("b.test", &["x"])]).await;
    let summary = fixture.spool.summary(Wall(10_000 * minute)).await.unwrap();
    assert_eq!(summary.len(), 2);
    assert_eq!((summary[0].destination.as_str(), summary[0].total), ("a.test", 7));
    assert_eq!(summary[0].counts, [2, 1, 1, 0, 0, 0, 0, 0, 1, 2]);
}

#[tokio::test]
async fn each_view_finds_its_rows_by_an_index() {
    let fixture = Fixture::new();
    let path = &fixture.spool.shared.paths.database;
    let db = schema::connect(path, schema::Role::Reader).unwrap();
    let destination = Some(Destination::from_key("a.test"));
    let of = || Filter {
        destination: destination.clone(),
        ..any()
    };
    let held = |filter| Filter {
        state: Some(State::Held),
        ..filter
    };
    let sender = Some("a".to_owned());
    let deferred = Some(true);
    for (filter, index) in [
        (of(), "entry_due"),
        (held(of()), "entry_due"),
        (Filter { sender, ..any() }, "message_sender"),
        (held(any()), "entry_held"),
        (Filter { deferred, ..any() }, "entry_deferred"),
        (any(), "INTEGER PRIMARY KEY (rowid>?)"),
    ] {
        let plan = browse::plan(&db, &filter).join("\n");
        assert!(plan.contains(index), "{filter:?}\n{plan}");
        let scans = plan
            .lines()
            .filter(|line| line.starts_with("SCAN") && !line.contains("CONSTANT"));
        assert_eq!(scans.count(), 0, "{filter:?}\n{plan}");
    }
}
