//! What became of the messages: one outcome each, and the sums.
//!
//! # Contract
//! * **Latency is of accepted messages**, from the moment a session begins with the message, connecting
//!   included if it must, to its final reply.
//! * **Percentiles are exact**: every latency is kept, four octets each.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The message.
    pub index: u64,
    /// What happened.
    pub result: Result,
    /// Recipients that were refused while others were accepted, or all.
    pub refused_recipients: u64,
    /// From the beginning to the result.
    pub latency: Duration,
}

impl Outcome {
    /// Whether the server has taken the message.
    pub fn is_accepted(&self) -> bool {
        matches!(self.result, Result::Replied { code, .. } if (200..300).contains(&code))
    }
}

/// How a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    /// With a reply: the final one, or the one that refused greeting, EHLO, MAIL, every RCPT, or DATA.
    Replied {
        /// The reply code.
        code: u16,
        /// The last line of the reply.
        text: String,
    },
    /// The connection could not be made.
    NotConnected,
    /// The connection ended before the content was sent completely: it cannot have been accepted.
    Lost,
    /// No final reply came to the content, in time or at all: it may have been accepted.
    LostFinalReply,
    /// No reply in time, before the content was sent completely.
    TimedOut,
    /// Something that is no reply, before the content was sent completely.
    NoReply,
}

impl Result {
    /// The word that the report counts it under.
    fn name(&self) -> String {
        match self {
            Result::Replied { code, .. } => code.to_string(),
            Result::NotConnected => "not connected".to_owned(),
            Result::Lost => "connection lost".to_owned(),
            Result::LostFinalReply => "final reply lost".to_owned(),
            Result::TimedOut => "timed out".to_owned(),
            Result::NoReply => "no SMTP reply".to_owned(),
        }
    }
}

/// The sums of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Messages accepted.
    pub messages: u64,
    /// Messages not accepted.
    pub failed: u64,
    /// Recipients refused, of accepted messages too.
    pub refused_recipients: u64,
    /// Connections made.
    pub connections: u64,
    /// How long the run took.
    pub seconds: f64,
    /// Accepted messages a second.
    pub messages_per_second: f64,
    /// How long accepted messages took.
    pub latency: Latency,
    /// How many messages ended with which reply code, or which other end.
    pub replies: BTreeMap<String, u64>,
}

/// Latencies in milliseconds; all 0 when nothing was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the messages took at most this.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = &self.latency;
        writeln!(
            f,
            "{} messages in {:.2} s: {:.0} messages/s, {} failed, {} connections",
            self.messages, self.seconds, self.messages_per_second, self.failed, self.connections
        )?;
        write!(
            f,
            "latency ms: p50 {:.1}, p90 {:.1}, p99 {:.1}, max {:.1}",
            latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms
        )?;
        for (reply, count) in self.replies.iter().filter(|(reply, _)| *reply != "250") {
            write!(f, "\n{count:>8} × {reply}")?;
        }
        Ok(())
    }
}

/// The sums in the making, of one session or of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    accepted: u64,
    failed: u64,
    refused_recipients: u64,
    pub connections: u64,
    latencies_us: Vec<u32>,
    replies: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts an outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        if outcome.is_accepted() {
            self.accepted += 1;
            self.latencies_us
                .push(u32::try_from(outcome.latency.as_micros()).unwrap_or(u32::MAX));
        } else {
            self.failed += 1;
        }
        self.refused_recipients += outcome.refused_recipients;
        *self.replies.entry(outcome.result.name()).or_default() += 1;
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: Tally) {
        self.accepted += other.accepted;
        self.failed += other.failed;
        self.refused_recipients += other.refused_recipients;
        self.connections += other.connections;
        self.latencies_us.extend(other.latencies_us);
        for (reply, count) in other.replies {
            *self.replies.entry(reply).or_default() += count;
        }
    }

    /// The report of a run that took so long.
    pub fn finish(mut self, took: Duration) -> Report {
        self.latencies_us.sort_unstable();
        let seconds = took.as_secs_f64();
        let rate = self.accepted as f64 / seconds;
        Report {
            messages: self.accepted,
            failed: self.failed,
            refused_recipients: self.refused_recipients,
            connections: self.connections,
            seconds,
            messages_per_second: if rate.is_finite() { rate } else { 0.0 },
            latency: Latency {
                p50_ms: percentile(&self.latencies_us, 50),
                p90_ms: percentile(&self.latencies_us, 90),
                p99_ms: percentile(&self.latencies_us, 99),
                max_ms: percentile(&self.latencies_us, 100),
            },
            replies: self.replies,
        }
    }
}

/// The smallest latency that so many of a hundred do not exceed, in milliseconds.
fn percentile(sorted_us: &[u32], of_hundred: usize) -> f64 {
    let rank = (sorted_us.len() * of_hundred).div_ceil(100);
    let latency = rank.checked_sub(1).and_then(|at| sorted_us.get(at)).copied();
    f64::from(latency.unwrap_or_default()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: u16, millis: u64) -> Outcome {
        let text = String::new();
        Outcome {
            index: 0,
            result: Result::Replied { code, text },
            refused_recipients: 0,
            latency: Duration::from_millis(millis),
        }
    }

    #[test]
    fn percentiles_are_exact() {
        let mut tally = Tally::default();
        for millis in (1..=200).rev() {
            tally.add(&outcome(250, millis));
        }
        let latency = tally.finish(Duration::from_secs(2)).latency;
        let all = [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms];
        assert_eq!(all, [100.0, 180.0, 198.0, 200.0]);
    }

    #[test]
    fn sessions_add_up_and_failures_have_no_latency() {
        let (mut first, mut second) = (Tally::default(), Tally::default());
        first.add(&outcome(250, 10));
        second.add(&outcome(451, 99));
        second.add(&outcome(250, 20));
        first.merge(second);
        let report = first.finish(Duration::from_secs(2));
        assert_eq!(
            (report.messages, report.failed, report.messages_per_second),
            (2, 1, 1.0)
        );
        assert_eq!(report.latency.max_ms, 20.0);
        assert_eq!(
            report.replies,
            BTreeMap::from([("250".to_owned(), 2), ("451".to_owned(), 1)])
        );
    }

    #[test]
    fn an_empty_run_has_a_report() {
        let report = Tally::default().finish(Duration::ZERO);
        assert_eq!(report, Report::default());
        assert!(report.to_string().starts_with("0 messages"));
    }
}
