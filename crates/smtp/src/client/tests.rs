//! Tests of the client machine, by theme.

mod begin;
mod flights;
mod group;
mod invariants;
mod limits;
mod lmtp;
mod opening;
mod table;

use remuda_mail::{Endpoint, Envelope, Outcome, Recipient, Sender};

use super::*;

const PLAIN: &str = "250 mx.test\r\n";
const PIPELINING: &str = "250-mx.test\r\n250 PIPELINING\r\n";

/// A machine before its greeting.
fn new() -> Client {
    let endpoint = Endpoint::Tcp("192.0.2.1:25".parse().unwrap());
    Client::new(Peer::new("mx.test", endpoint), "us.test".into())
}

/// An open session whose server answered EHLO so.
fn open(ehlo: &str) -> Client {
    let mut client = new();
    client.receive(b"220 mx.test\r\n");
    assert_eq!(sent(&mut client), "EHLO us.test\r\n");
    client.receive(ehlo.as_bytes());
    assert!(matches!(client.opening(), Some(Ok(_))));
    client
}

/// Takes what is to be written.
fn sent(client: &mut Client) -> String {
    let output = String::from_utf8(client.output().to_vec()).unwrap();
    client.wrote(output.len());
    output
}

fn envelope() -> Envelope {
    Envelope {
        sender: Sender(Some("a@b.test".parse().unwrap())),
        ..Envelope::default()
    }
}

fn recipients(addresses: &[&str]) -> Vec<Recipient> {
    addresses
        .iter()
        .map(|address| Recipient::plain(address.parse().unwrap()))
        .collect()
}

fn begin(client: &mut Client, addresses: &[&str]) {
    begin_sized(client, addresses, 3);
}

fn begin_sized(client: &mut Client, addresses: &[&str], size: u64) {
    client.begin(Order {
        envelope: &envelope(),
        recipients: &recipients(addresses),
        size,
        smtputf8: false,
        eight_bit: false,
        whole: None,
    });
}

/// Runs to the end of the transaction: writes, gives content, reads `replies` one by one, and then finds
/// the connection closed. Answers the result and what was sent.
fn run(client: &mut Client, replies: &[&str]) -> (Finished, String) {
    let (mut replies, mut wire) = (replies.iter(), String::new());
    loop {
        wire.push_str(&sent(client));
        if let Some(finished) = client.finished() {
            return (finished, wire);
        }
        match client.want() {
            Want::Content => {
                client.content(b"x\r\n");
                client.end_content();
            }
            _ => match replies.next() {
                Some(reply) => client.receive(format!("{reply}\r\n").as_bytes()),
                None => client.lost(&Loss::Closed),
            },
        }
    }
}

/// A transaction that succeeds.
fn succeed(client: &mut Client) {
    begin(client, &["c@d.test"]);
    let (finished, _) = run(client, &["250 m", "250 r", "354 d", "250 ok"]);
    assert!(finished.accepted && finished.health == Health::Sound);
}

/// One word for an outcome.
fn word(outcome: &Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Delivered(_)) => "delivered",
        Some(Outcome::Deferred(_)) => "deferred",
        Some(Outcome::Bounced(_)) => "bounced",
        None => "open",
    }
}

fn words(finished: &Finished) -> String {
    finished.outcomes.iter().map(word).collect::<Vec<_>>().join(" ")
}
