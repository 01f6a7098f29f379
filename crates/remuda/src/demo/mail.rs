//! The mail of the demo: what is sent, to whom, and how fast.
//!
//! # Contract
//! * **A message depends on its index only**, the time of its sending apart: both passes send the same.
//! * **It comes in waves**, so that the pace is that of the senders and not of the server; a wave that takes
//!   longer than its time delays the next.
//! * **Some of it is for the domain that is hosted**, beside what goes to the receivers.
//! * **Each message says when it was sent**, in the field that the receivers report.

use std::{net::SocketAddr, time::Duration};

use remuda_clock::{SharedClock, Wall};
use remuda_load::{Config, Message, Plan};

use super::{home, world::SITES};

/// What the server has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Messages for the receivers.
    pub away: u64,
    /// Maildirs that get a message, each counted once for each.
    pub home: u64,
}

/// So many messages for the receivers, and some for the hosted domain beside them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail {
    messages: u64,
}

impl Mail {
    /// So many messages.
    pub fn new(messages: u64) -> Self {
        Mail { messages }
    }

    /// Sends all of them to the server; answers what it has taken.
    pub async fn send(self, to: SocketAddr, clock: &SharedClock) -> anyhow::Result<Sent> {
        let mut next = clock.now().monotonic;
        let (mut sent, mut at_home) = (0, 0);
        let mut accepted = Sent::default();
        while sent < self.messages {
            clock.sleep_until(next).await;
            next = (next + WAVE_INTERVAL).max(clock.now().monotonic);
            let wave = WAVE_MESSAGES.min(self.messages - sent);
            let (first, first_at_home) = (sent, at_home);
            let away = move |index| recipient(first + index);
            let home = move |index| home::recipient(first_at_home + index);
            let (away, home) = tokio::try_join!(
                send_wave((to, wave, first), away, clock),
                send_wave((to, HOME_MESSAGES, first_at_home), home, clock),
            )?;
            accepted.away += away;
            accepted.home += (at_home..at_home + home).map(home::copies).sum::<u64>();
            sent += wave;
            at_home += HOME_MESSAGES;
        }
        Ok(accepted)
    }
}

/// Sends so many messages at once, from the `first` one on; answers how many were taken.
async fn send_wave(
    (to, messages, first): (SocketAddr, u64, u64),
    recipient: impl Fn(u64) -> String + Send + Sync + 'static,
    clock: &SharedClock,
) -> Result<u64, remuda_load::Error> {
    let config = Config {
        messages,
        sessions: SENDERS,
        helo_name: "sender.demo.test".to_owned(),
        ..Config::to(to.to_string())
    };
    let at = clock.clone();
    let plan = Plan::new(move |index| message(first + index, recipient(index), at.now().wall));
    let report = remuda_load::run_with(config, plan, clock.clone()).await?;
    Ok(report.messages)
}

/// Who at the receivers gets the `index`-th message.
fn recipient(index: u64) -> String {
    format!("user{index}@{}", domain(index))
}

/// The `index`-th message, to `recipient`, sent at `at`.
fn message(index: u64, recipient: String, at: Wall) -> Message {
    let header = format!(
        "X-Remuda-Test: {index} {at}\r\nFrom: <news@sender.demo.test>\r\nTo: <{recipient}>\r\n\
         Message-ID: <{index}@sender.demo.test>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n\
         Subject: message {index}\r\n\r\n"
    );
    let mut content = header.into_bytes();
    for _ in 0..scatter(index) % LINES_MAX {
        content.extend_from_slice(LINE);
    }
    Message {
        content,
        sender: "news@sender.demo.test".to_owned(),
        recipients: vec![recipient],
        ..Message::default()
    }
}

/// When a message was sent, by what the receiver reports as its id.
pub(super) fn sent_at(id: &str) -> Option<Wall> {
    id.split_once(' ')?.1.parse().ok().map(Wall)
}

/// The domain of a message: by weight, without a pattern.
fn domain(index: u64) -> &'static str {
    let weights: u64 = SITES.iter().map(|site| site.weight).sum();
    let mut place = (scatter(index) >> 32) % weights;
    for site in SITES {
        if place < site.weight {
            return site.domain;
        }
        place -= site.weight;
    }
    SITES[0].domain
}

/// Numbers without a pattern, the same in every run (the finalizer of SplitMix64).
fn scatter(index: u64) -> u64 {
    let mut value = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Sessions that send at the same time.
const SENDERS: usize = 4;
/// Messages that come together, and how often they do: 400 a second for the receivers, 50 for the hosted domain.
const WAVE_MESSAGES: u64 = 40;
const HOME_MESSAGES: u64 = 5;
const WAVE_INTERVAL: Duration = Duration::from_millis(100);
/// Contents have fewer lines than this.
const LINES_MAX: u64 = 60;
const LINE: &[u8] = b"The herd of saddle horses that all riders of a ranch share.\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_passes_send_the_same() {
        let message = |index| message(index, recipient(index), Wall(1));
        assert_eq!(message(7), message(7));
        assert_ne!(message(7).content, message(8).content);
    }

    #[test]
    fn every_domain_gets_mail_by_its_weight() {
        let count = |name: &str| (0..4000).filter(|index| domain(*index) == name).count();
        let counts: Vec<_> = SITES.iter().map(|site| count(site.domain)).collect();
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
        assert!(counts[0] > 3 * counts[11], "{counts:?}");
    }

    #[test]
    fn a_message_says_when_it_was_sent() {
        let message = message(3, recipient(3), Wall(1_795_000_000_123));
        let text = String::from_utf8(message.content).unwrap();
        let field = text
            .lines()
            .next()
            .and_then(|line| line.split_once(": "))
            .unwrap()
            .1;
        assert_eq!(sent_at(field), Some(Wall(1_795_000_000_123)));
        assert_eq!(sent_at("<3@elsewhere>"), None);
    }
}
