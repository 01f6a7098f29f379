//! SIGTERM and SIGHUP under load.

use std::{collections::BTreeMap, thread};

use remuda_load::{Config, Message, Plan};
use remuda_sink::Listener;
use remuda_testing::wait::wait_until;

use crate::{home::Home, letters::load, sink::Sink};

fn message(index: u64) -> Message {
    let content = format!(
        "X-Remuda-Test: {index}\r\nMessage-ID: <{index}@home.test>\r\n\
         Date: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\n{}\r\n",
        "x".repeat((index % 900) as usize)
    );
    Message {
        content: content.into_bytes(),
        sender: "writer@home.test".to_owned(),
        recipients: vec![format!("reader@d{}.test", index % 5)],
        ..Message::default()
    }
}

/// A sink that takes long enough for deliveries to be in hand at any time.
fn slow_sink() -> Sink {
    Sink::with(Listener {
        delay: vec!["dot=5ms".parse().expect("a rule")],
        ..Listener::default()
    })
}

/// How often each message has come to the sink; its ids are the indices.
fn came(report: &remuda_sink::Report) -> BTreeMap<u64, usize> {
    let mut came = BTreeMap::new();
    for received in report.received() {
        let id = received.id.as_deref().unwrap_or_default();
        *came.entry(id.parse().expect("an index")).or_default() += 1;
    }
    came
}

#[test]
fn sigterm_finishes_what_is_in_hand_and_says_quit_everywhere() {
    let sink = slow_sink();
    let home = Home::new(&sink.route("*"));
    let mut remuda = home.start();
    let mut config = Config::to(remuda.smtp.to_string());
    config.messages = 20_000;
    config.sessions = 10;
    let senders = thread::spawn(move || load(config, Plan::new(message)));
    sink.wait_for(100);
    assert_eq!(remuda.stop().code(), Some(0), "{}", remuda.log());
    let sent = senders.join().expect("the senders end");
    assert!(sent.messages > 0 && sent.failed > 0, "{sent}");
    let unanswered = sent.replies.get("final reply lost").copied().unwrap_or_default();
    assert_eq!(unanswered, 0, "{sent}");
    assert_eq!(sink.report().listeners[0].closed_without_quit, 0);

    // What was accepted and not yet delivered goes with the next start; nothing goes twice.
    let mut remuda = home.start();
    sink.wait_for(sent.messages);
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let report = sink.stop();
    let came = came(&report);
    assert_eq!(came.len() as u64, sent.messages);
    assert!(came.values().all(|times| *times == 1), "{came:?}");
    assert_eq!(
        (
            report.listeners[0].closed_without_quit,
            report.violations().next()
        ),
        (0, None)
    );
}

#[test]
fn sighup_under_load_drops_no_connection_and_loses_nothing() {
    const MESSAGES: u64 = 3000;
    const SESSIONS: usize = 10;
    let sink = slow_sink();
    let sections = |window: usize| format!("[delivery]\nconcurrency = {window}\n{}", sink.route("*"));
    let home = Home::new(&sections(20));
    let mut remuda = home.start();
    let mut config = Config::to(remuda.smtp.to_string());
    config.messages = MESSAGES;
    config.sessions = SESSIONS;
    let senders = thread::spawn(move || load(config, Plan::new(message)));
    for (count, window) in [(1, 8), (2, 20), (3, 9), (4, 19)] {
        let seen = sink.report().messages();
        wait_until("deliveries go on", || {
            sink.report().messages() >= (seen + 50).min(MESSAGES)
        });
        home.configure(&Home::text(&sections(window)));
        remuda.reload(count);
    }
    // A wrong one changes nothing.
    home.configure("concurency = 3\n");
    remuda.process.signal(remuda_testing::process::Signal::HUP);
    remuda.process.wait_for_line("configuration kept");
    let sent = senders.join().expect("the senders end");
    assert_eq!((sent.failed, sent.connections), (0, SESSIONS as u64), "{sent}");
    sink.wait_for(MESSAGES);
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let report = sink.stop();
    let came = came(&report);
    assert_eq!(came.len() as u64, MESSAGES);
    assert!(came.values().all(|times| *times == 1), "{came:?}");
    assert_eq!(
        (
            report.listeners[0].closed_without_quit,
            report.violations().next()
        ),
        (0, None)
    );
}
