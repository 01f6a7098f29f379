//! `remuda demo`, in process: everything arrives, the cache is what makes the difference, and a change is seen.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

use remuda::demo::{Options, Shown, run};
use remuda_clock::SystemClock;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mail_needs_fewer_connections_with_reuse() {
    let options = Options {
        messages: 400,
        ..Options::default()
    };
    let mut out = Vec::new();
    let shown = run(options, &mut out, SystemClock::shared(), std::future::pending()).await;
    let text = String::from_utf8(out).unwrap();
    println!("{text}");
    let shown = shown.unwrap().expect("nothing ends it early");
    let (with, without) = (&shown.with_reuse, &shown.without_reuse);
    assert_eq!((with.messages, without.messages), (400, 400));
    assert_eq!(with.latencies_ms.len(), 400);
    // A machine with much to do dials a second time for some, and leaves that connection unused.
    assert_eq!(without.used_connections, 400);
    assert!(with.connections < 400, "{} connections", with.connections);
    assert!(with.trips_per_message() < without.trips_per_message());
    assert_eq!((with.violations, without.violations), (0, 0));
    assert_eq!((with.closed_without_quit, without.closed_without_quit), (0, 0));
    let found = with.cache.by_destination + with.cache.by_address + with.cache.handed_on;
    assert!(found > 0, "{:?}", with.cache);
    assert!(with.cache.round_trips_saved > 0 && without.cache.round_trips_saved == 0);
    assert!(text.contains("round trips saved"), "{text}");
    // All sessions are alike here: none is ever refused, and a row of zeros would say nothing.
    assert!(!text.contains("unfit"), "{text}");
    assert!(text.contains("admin API   http://127.0.0.1:"), "{text}");
    assert!(text.contains("without reuse"), "{text}");
    assert!(!text.contains('\u{1b}'));
    hosted_side_was_shown(&shown, &text);
}

/// 50 messages for the hosted domain: 5 to the team of four, 10 to the office of two, 35 to people.
fn hosted_side_was_shown(shown: &Shown, text: &str) {
    assert_eq!((shown.with_reuse.kept, shown.without_reuse.kept), (75, 75));
    for kind in ["domain", "account", "alias", "list"] {
        let found = shown
            .with_reuse
            .objects
            .iter()
            .find(|one| one.kind == kind)
            .unwrap();
        assert!(found.look_ups > found.queries && found.queries > 0, "{found:?}");
        assert!(found.from_memory_percent > 0.0, "{found:?}");
        assert!(
            text.contains(&format!("{kind:<26}{:>10}{:>10}", found.look_ups, found.queries)),
            "{text}"
        );
    }
    assert_eq!((shown.change.before, shown.change.behind), ((1, 0), (1, 1)));
    assert!(
        text.contains("the next message to desk@home.test is in bob's Maildir"),
        "{text}"
    );
    assert!(text.contains("in Maildirs here; from memory: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_it_is_told_to() {
    let mut out = Vec::new();
    let shown = run(
        Options::default(),
        &mut out,
        SystemClock::shared(),
        std::future::ready(()),
    )
    .await;
    assert_eq!(shown.unwrap(), None);
    assert!(!String::from_utf8(out).unwrap().contains("without reuse"));
}
