//! Many messages to real servers over few sessions, at full depth: each arrives once, unchanged.
//!
//! 300 each in `make test`; 10,000 each with `REMUDA_SOAK` set.

use std::collections::BTreeMap;

use remuda_load::{Config, Message, Plan};
use remuda_testing::{
    exim::Exim,
    opensmtpd::OpenSmtpd,
    peer::{Mode, Peer},
    postfix::Postfix,
    wait::wait_until,
};

use crate::{
    home::Home,
    letters::{Letter, load},
    sink::route,
};

fn messages() -> u64 {
    if std::env::var_os("REMUDA_SOAK").is_some() {
        10_000
    } else {
        300
    }
}

/// The letter of this number: some with dots, some longer than a packet.
fn letter(number: u64) -> Letter {
    let body = format!(".{number}\r\n").repeat(1 + (number % 50) as usize * 8);
    let mut letter = Letter::new(&format!("deep-{number}"), "example.test", body.as_bytes());
    letter.recipients.truncate(1);
    letter
}

/// One session at a time carries what it can, so that messages follow messages where the server lets them.
fn takes_many(peer: &dyn Peer, is_deep: bool) {
    let count = messages();
    let limits = "[delivery]\ninitial_concurrency = 1\nconcurrency = 1\n";
    let home = Home::new(&[&route("example.test", peer.address()), limits].concat());
    let mut remuda = home.start();
    let mut config = Config::to(remuda.smtp.to_string());
    (config.messages, config.sessions) = (count, 20);
    let sent = load(
        config,
        Plan::new(|number| {
            let letter = letter(number);
            Message {
                content: letter.content,
                sender: letter.sender,
                recipients: letter.recipients,
                parameters: letter.parameters.to_owned(),
                recipient_parameters: String::new(),
            }
        }),
    );
    assert_eq!(sent.failed, 0, "{sent}");
    // Thousands take a peer that forks for each more than anybody's patience: one by one they go.
    arrive(count, "is delivered", || {
        metric(&remuda.metrics(), "remuda_deliveries_total{status=\"sent\"}")
    });
    remuda.wait_until_empty();
    let flights = metric(&remuda.metrics(), "remuda_transaction_flights_total");
    assert!(remuda.stop().success());
    arrive(count, "is kept", || peer.messages().len() as u64);
    let mut kept: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for message in peer.kept() {
        *kept.entry(message.content).or_default() += 1;
    }
    for number in 0..count {
        let content = letter(number).content;
        assert_eq!(
            kept.remove(&content),
            Some(1),
            "letter {number} at {}",
            peer.name()
        );
    }
    assert!(kept.is_empty(), "{} messages were never sent", kept.len());
    if is_deep {
        assert!(flights < count, "{flights} flights for {count} messages");
    }
}

/// Waits for so many, and with patience for each.
fn arrive(count: u64, what: &str, mut arrived: impl FnMut() -> u64) {
    let mut seen = arrived();
    while seen < count {
        wait_until(&format!("another of {count} {what} ({seen} so far)"), || {
            arrived() > seen
        });
        seen = arrived();
    }
}

fn metric(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{name} is not in\n{text}"))
}

#[test]
fn a_real_postfix_takes_messages_behind_messages() {
    takes_many(&Postfix::start(Mode::Keep, &[]).expect("the peer is there"), true);
}

#[test]
fn a_real_exim_takes_messages_behind_messages() {
    takes_many(&Exim::start(Mode::Keep).expect("the peer is there"), true);
}

/// It offers no CHUNKING, so each message waits for its go-ahead.
#[test]
fn a_real_opensmtpd_takes_many_messages() {
    takes_many(&OpenSmtpd::start(Mode::Keep).expect("the peer is there"), false);
}
