//! What a run has shown: rates, delays, and how hosts shared sessions and messages.
//!
//! # Contract
//! * **Every message is accounted for**: delivered, bounced or left, together what was accepted.
//! * **Shares add up to one** where there is anything to share.
//! * **Delays are of delivered messages**, from their arrival to the reply that takes them.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::{scenario::Policy, series::Series};

/// The figures of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Under which policy; None: settings of the caller's own.
    pub policy: Option<Policy>,
    /// Seconds of modelled time.
    pub seconds: f64,
    /// Messages that came.
    pub accepted: u64,
    /// Of these, those taken by a host.
    pub delivered: u64,
    /// Given up.
    pub bounced: u64,
    /// Still waiting at the end.
    pub left: u64,
    /// Times that a message was put off.
    pub deferrals: u64,
    /// Deliveries a second until the last one.
    pub rate: f64,
    /// The same from a tenth to nine tenths of the deliveries: begin and end do not count.
    pub steady_rate: f64,
    /// Seconds from arrival to delivery.
    pub delay: Delay,
    /// Sessions tried.
    pub dials: u64,
    /// Sessions that were not had.
    pub dials_failed: u64,
    /// Transactions of a session that was had.
    pub reuse: f64,
    /// Each host.
    pub hosts: Vec<HostFigures>,
    /// Hosts of a group together.
    pub groups: Vec<HostFigures>,
    /// Sessions over time of the hosts or groups in `lines`.
    pub series: Series,
    /// Their names.
    pub lines: Vec<Arc<str>>,
}

/// Delays in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Delay {
    /// Half are shorter.
    pub p50: f64,
    /// Nine of ten are shorter.
    pub p90: f64,
    /// Ninety-nine of a hundred are shorter.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// One host's part, or a group's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HostFigures {
    /// Of the host or group.
    pub name: Arc<str>,
    /// Messages taken.
    pub messages: u64,
    /// Of all messages taken.
    pub message_share: f64,
    /// Sessions at once, on average over the run.
    pub sessions_mean: f64,
    /// Sessions at once, at most; of a group: of one of its hosts.
    pub sessions_peak: u32,
    /// Of all session time.
    pub session_share: f64,
    /// Sessions tried.
    pub dials: u64,
    /// Sessions that were not had.
    pub dials_failed: u64,
    /// Transactions, refused ones too.
    pub transactions: u64,
    /// Transactions of a session that was had.
    pub reuse: f64,
    /// Mean seconds that a transaction was waited for.
    pub wait: f64,
}

/// What is counted of a host while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    pub(crate) dials: u64,
    pub(crate) dials_failed: u64,
    pub(crate) transactions: u64,
    pub(crate) waited: Duration,
    pub(crate) open: u32,
    pub(crate) peak: u32,
    pub(crate) session_time: Duration,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.messages += other.messages;
        self.dials += other.dials;
        self.dials_failed += other.dials_failed;
        self.transactions += other.transactions;
        self.waited += other.waited;
        self.peak = self.peak.max(other.peak);
        self.session_time += other.session_time;
    }

    fn figures(&self, name: &Arc<str>, whole: &Tally, seconds: f64) -> HostFigures {
        HostFigures {
            name: name.clone(),
            messages: self.messages,
            message_share: ratio(self.messages as f64, whole.messages as f64),
            sessions_mean: ratio(self.session_time.as_secs_f64(), seconds),
            sessions_peak: self.peak,
            session_share: ratio(self.session_time.as_secs_f64(), whole.session_time.as_secs_f64()),
            dials: self.dials,
            dials_failed: self.dials_failed,
            transactions: self.transactions,
            reuse: ratio(self.transactions as f64, (self.dials - self.dials_failed) as f64),
            wait: ratio(self.waited.as_secs_f64(), self.transactions as f64),
        }
    }
}

/// Figures of each host and of each group, and all hosts together.
pub(crate) fn shares(
    tallies: &[Tally],
    hosts: impl Iterator<Item = (Arc<str>, usize)>,
    groups: &[Arc<str>],
    seconds: f64,
) -> (Vec<HostFigures>, Vec<HostFigures>, Tally) {
    let mut whole = Tally::default();
    let mut sums = vec![Tally::default(); groups.len()];
    tallies.iter().for_each(|tally| whole.add(tally));
    let mut each = Vec::with_capacity(tallies.len());
    for (tally, (name, group)) in tallies.iter().zip(hosts) {
        sums[group].add(tally);
        each.push(tally.figures(&name, &whole, seconds));
    }
    let groups = groups
        .iter()
        .zip(&sums)
        .map(|(name, sum)| sum.figures(name, &whole, seconds));
    (each, groups.collect(), whole)
}

/// What is counted of deliveries, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries {
    /// Milliseconds from arrival.
    delays: Vec<u32>,
    /// Milliseconds since the start.
    times: Vec<u32>,
}

impl Deliveries {
    pub(crate) fn add(&mut self, delay: Duration, since_start: Duration) {
        self.delays.push(millis(delay));
        self.times.push(millis(since_start));
    }

    pub(crate) fn count(&self) -> u64 {
        self.times.len() as u64
    }

    /// Deliveries a second until the last one.
    pub(crate) fn rate(&self) -> f64 {
        let last = self.times.last().copied().unwrap_or_default();
        ratio(self.times.len() as f64, seconds(last))
    }

    /// Deliveries a second between a tenth and nine tenths of them.
    pub(crate) fn steady_rate(&self) -> f64 {
        let (from, to) = (self.times.len() / 10, self.times.len() * 9 / 10);
        let time = |place: usize| self.times.get(place).copied().unwrap_or_default();
        ratio((to - from) as f64, seconds(time(to)) - seconds(time(from)))
    }

    pub(crate) fn delay(mut self) -> Delay {
        self.delays.sort_unstable();
        let last = self.delays.len().saturating_sub(1);
        let at = |share: f64| {
            let place = (share * last as f64).ceil() as usize;
            seconds(self.delays.get(place).copied().unwrap_or_default())
        };
        Delay {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn seconds(millis: u32) -> f64 {
    f64::from(millis) / 1000.0
}

/// Zero where there is nothing to divide by.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one() {
        let tally = |messages, session_secs| Tally {
            messages,
            session_time: Duration::from_secs(session_secs),
            dials: 2,
            dials_failed: 1,
            transactions: messages,
            waited: Duration::from_secs(messages),
            peak: 3,
            ..Tally::default()
        };
        let tallies = [tally(1, 10), tally(3, 20), tally(4, 10)];
        let hosts = [("a-1", 0), ("a-2", 0), ("b", 1)].map(|(name, group)| (Arc::from(name), group));
        let (each, groups, whole) = shares(&tallies, hosts.into_iter(), &["a".into(), "b".into()], 20.0);
        let sum = |figures: &[HostFigures]| -> f64 { figures.iter().map(|one| one.message_share).sum() };
        assert_eq!((sum(&each), sum(&groups)), (1.0, 1.0));
        let a = &groups[0];
        assert_eq!((a.messages, a.session_share, a.sessions_mean), (4, 0.75, 1.5));
        assert_eq!((a.sessions_peak, a.reuse, a.wait), (3, 2.0, 1.0));
        assert_eq!((whole.messages, whole.dials), (8, 6));
    }

    #[test]
    fn delays_and_rates_are_of_delivered_messages() {
        let mut deliveries = Deliveries::default();
        for place in 0..=100 {
            deliveries.add(
                Duration::from_millis(place * 10),
                Duration::from_millis(1000 + place * 100),
            );
        }
        assert_eq!(deliveries.count(), 101);
        assert!((deliveries.rate() - 101.0 / 11.0).abs() < 1e-9);
        assert!(
            (deliveries.steady_rate() - 10.0).abs() < 1e-9,
            "{}",
            deliveries.steady_rate()
        );
        let delay = deliveries.delay();
        assert_eq!(
            (delay.p50, delay.p90, delay.p99, delay.max),
            (0.5, 0.9, 0.99, 1.0)
        );
    }

    #[test]
    fn nothing_delivered_is_no_number_out_of_bounds() {
        let none = Deliveries::default();
        assert_eq!(
            (none.rate(), none.steady_rate(), none.clone().delay()),
            (0.0, 0.0, Delay::default())
        );
    }
}
