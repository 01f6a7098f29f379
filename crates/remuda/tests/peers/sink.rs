//! The end of the way: a sink in this process, and the proof that everything came once and unchanged.

use std::{collections::BTreeMap, net::SocketAddr};

use remuda_clock::SystemClock;
use remuda_sink::{Config, Listener, Received, Report, Running, start};
use remuda_testing::wait::wait_until;
use tokio::runtime::Runtime;

use crate::letters::Letter;

/// A sink and the runtime that it lives in.
pub struct Sink {
    runtime: Runtime,
    running: Running,
}

impl Sink {
    /// A friendly one.
    pub fn new() -> Sink {
        Sink::with(Listener::default())
    }

    /// One that behaves so.
    pub fn with(listener: Listener) -> Sink {
        let runtime = Runtime::new().expect("a runtime");
        let mut config = Config::single(listener);
        config.keep_digests = true;
        config.keep_contents = true;
        let running = runtime
            .block_on(start(config, SystemClock::shared()))
            .expect("a port");
        Sink { runtime, running }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// A `[[route]]` for `domain` to here.
    pub fn route(&self, domain: &str) -> String {
        route(domain, self.address())
    }

    pub fn report(&self) -> Report {
        self.running.report()
    }

    /// Waits for so many messages.
    pub fn wait_for(&self, messages: u64) -> Vec<Received> {
        wait_until(&format!("{messages} messages are at the sink"), || {
            self.running.report().messages() >= messages
        });
        self.report().received().cloned().collect()
    }

    /// Waits until messages have come for so many recipients, in however many transactions.
    pub fn wait_for_recipients(&self, recipients: u64) {
        wait_until(
            &format!("messages for {recipients} recipients are at the sink"),
            || self.running.report().listeners[0].recipients >= recipients,
        );
    }

    /// Closes listeners and connections.
    pub fn stop(self) -> Report {
        self.runtime.block_on(self.running.stop())
    }
}

/// A `[[route]]` for `domain` to `address`.
pub fn route(domain: &str, address: SocketAddr) -> String {
    format!("[[route]]\ndomain = \"{domain}\"\nhosts = [\"{address}\"]\n")
}

/// The content of a message that the sink has kept.
pub fn text(received: &Received) -> String {
    String::from_utf8_lossy(received.content.as_deref().unwrap_or_default()).into_owned()
}

/// Checks that each letter is there for each of its recipients exactly once, from its sender, unchanged, and
/// nothing else.
pub fn assert_once_and_unchanged(letters: &[Letter], received: &[Received]) {
    let mut came: BTreeMap<(String, String), usize> = BTreeMap::new();
    for message in received {
        let id = message.id.clone().unwrap_or_default();
        let letter = letters.iter().find(|letter| letter.id == id);
        let letter = letter.unwrap_or_else(|| panic!("{id:?} was never sent: {}", text(message)));
        assert_eq!(message.sender, letter.sender, "sender of {id}");
        assert_eq!(
            message.sha256_without_trace,
            remuda_sink::sha256(&letter.content),
            "{id} has changed:\n{}",
            text(message)
        );
        for recipient in &message.recipients {
            *came.entry((id.clone(), recipient.address.clone())).or_default() += 1;
        }
    }
    let sent = letters.iter().flat_map(|letter| {
        letter
            .recipients
            .iter()
            .map(|recipient| ((letter.id.clone(), recipient.clone()), 1))
    });
    assert_eq!(came, sent.collect());
}
