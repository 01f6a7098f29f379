//! What an endpoint bears of reuse: how many transactions a session, how long an idle time, any at all.
//!
//! Receivers end sessions after a number of transactions, or after some idle time, and few say so
//! beforehand. What one session met is noted here, so that the next is ended by us before that point.
//!
//! ```text
//!   met a limit at n ─▶ suspected n ─ met at n again ─▶ in force for an hour
//!                          ▲   └ another number, or a session that went further: forgotten
//! ```
//!
//! # Contract
//! * **A limit is believed after the second agreeing event**, is never less than 1, and is kept for
//!   [`KEPT`]; what is suspected is remembered twice as long, so that one event renews it. Sessions that were
//!   open together and end together, as when a server restarts, are one event.
//! * **What contradicts a limit ends it**: a session that went further.
//! * **Reuse is barred for [`BARRED`]** after [`DEATHS_MAX`] deaths in a row; deaths of one moment
//!   are one. One reuse that goes well ends the row.
//! * **A death after a longer idle time than was borne teaches the idle time**, and is no death in a row; one
//!   after less is, and ends the belief in what was borne.
//!
//! # Not here
//! Which events count as a limit: `dispatch` and the client machine.

use std::time::Duration;

use remuda_clock::Monotonic;
use remuda_mail::Way;

use crate::Hosts;

/// What one endpoint bears.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reuse {
    suspected: Option<Noted<u32>>,
    limit: Option<Noted<u32>>,
    idle_max: Option<Noted<Duration>>,
    /// The longest idle time after which a session went on.
    idle_borne: Duration,
    deaths: u32,
    last_death: Option<Monotonic>,
    barred_until: Monotonic,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Noted<T> {
    value: T,
    at: Monotonic,
}

impl<T: Copy> Noted<T> {
    fn within(&self, time: Duration, now: Monotonic) -> Option<T> {
        (now - self.at < time).then_some(self.value)
    }
}

/// What a limit that was met turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The first of its number: not believed yet.
    First,
    /// What is in force or suspected says so already.
    Known,
    /// The second that agrees: it is in force from now on.
    Learned(u32),
}

impl Reuse {
    fn limit(&self, now: Monotonic) -> Option<u32> {
        self.limit.and_then(|limit| limit.within(KEPT, now))
    }

    fn met(&mut self, transactions: u32, opened: Monotonic, now: Monotonic) -> Met {
        let noted = Some(Noted {
            value: transactions,
            at: now,
        });
        let in_force = self.limit(now);
        let suspected = self
            .suspected
            .filter(|limit| limit.within(KEPT * 2, now) == Some(transactions));
        let Some(first) = suspected else {
            self.suspected = noted;
            return Met::First;
        };
        if opened < first.at && now - first.at < SAME_MOMENT {
            return Met::Known;
        }
        self.suspected = noted;
        if in_force.is_some_and(|limit| limit < transactions) {
            // Its session was under way before the lower limit was learned.
            return Met::Known;
        }
        self.limit = noted;
        match in_force {
            Some(limit) if limit == transactions => Met::Known,
            _ => Met::Learned(transactions),
        }
    }

    fn went_well(&mut self, transactions: u32, idle: Duration) {
        self.deaths = 0;
        self.idle_borne = self.idle_borne.max(idle);
        let is_contradicted = |limit: &Noted<u32>| transactions > limit.value;
        if self.limit.as_ref().is_some_and(is_contradicted) {
            self.limit = None;
        }
        if self.suspected.as_ref().is_some_and(is_contradicted) {
            self.suspected = None;
        }
        if self.idle_max.is_some_and(|max| idle > max.value) {
            self.idle_max = None;
        }
    }

    fn died(&mut self, now: Monotonic) {
        let is_same = self.last_death.is_some_and(|last| now - last < SAME_MOMENT);
        self.last_death = Some(now);
        if is_same {
            return;
        }
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths >= DEATHS_MAX {
            self.barred_until = now + BARRED;
        }
    }

    /// Answers whether the idle time explains the death.
    fn died_idle(&mut self, idle: Duration, now: Monotonic) -> bool {
        if idle < IDLE_TAUGHT_MIN {
            return false;
        }
        if idle <= self.idle_borne {
            self.idle_borne = Duration::ZERO;
            return false;
        }
        // The server's clock began a little before ours, and its end has to reach us.
        let value = idle * 3 / 4;
        let old = self.idle_max.and_then(|max| max.within(KEPT, now));
        let value = old.map_or(value, |old| old.min(value));
        self.idle_max = Some(Noted { value, at: now });
        true
    }
}

impl Hosts {
    /// A session that was `opened` then ended, or was refused MAIL, after so many transactions, in a way that
    /// may be a limit.
    pub fn met_limit(&mut self, way: Way, transactions: u32, opened: Monotonic, now: Monotonic) -> Met {
        let mut met = Met::First;
        self.change(way, |record| {
            met = record.reuse.met(transactions.max(1), opened, now);
        });
        met
    }

    /// The limit of transactions a session that is in force.
    pub fn transactions_max(&self, way: Way, now: Monotonic) -> Option<u32> {
        self.get(way).and_then(|record| record.reuse.limit(now))
    }

    /// A session that had been idle for `idle` went through with its transaction, the `transactions`th.
    pub fn bore_reuse(&mut self, way: Way, transactions: u32, idle: Duration) {
        self.change(way, |record| record.reuse.went_well(transactions, idle));
    }

    /// A session was found dead when it was to be used again, or before.
    pub fn died(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| record.reuse.died(now));
    }

    /// A session ended by itself after an idle time; answers whether that time explains it.
    pub fn died_idle(&mut self, way: Way, idle: Duration, now: Monotonic) -> bool {
        let mut is_explained = false;
        self.change(way, |record| {
            is_explained = record.reuse.died_idle(idle, now);
        });
        is_explained
    }

    /// Answers whether sessions to the endpoint may be used again.
    pub fn bears_reuse(&self, way: Way, now: Monotonic) -> bool {
        self.get(way)
            .is_none_or(|record| record.reuse.barred_until <= now)
    }

    /// How long a session may lie idle, as far as the endpoint's own sessions have taught.
    pub fn idle_max(&self, way: Way, now: Monotonic) -> Option<Duration> {
        self.get(way)
            .and_then(|record| record.reuse.idle_max.and_then(|max| max.within(KEPT, now)))
    }
}

/// How long what was learned is in force.
pub const KEPT: Duration = Duration::from_secs(3600);

/// Deaths in a row after which an endpoint's sessions are not used again.
pub const DEATHS_MAX: u32 = 3;

/// For how long they are not.
pub const BARRED: Duration = Duration::from_secs(600);

/// A shorter idle time is no reason for a server to end a session.
pub const IDLE_TAUGHT_MIN: Duration = Duration::from_secs(1);

/// Ends that come so close together have one cause.
const SAME_MOMENT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way {
            endpoint: remuda_mail::Endpoint::Tcp(std::net::SocketAddr::from(([192, 0, 2, 1], 25))),
            source: None,
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    /// A session of its own that met a limit.
    fn meet(hosts: &mut Hosts, transactions: u32, second: u64) -> Met {
        hosts.met_limit(way(), transactions, at(second), at(second))
    }

    #[test]
    fn sessions_that_end_together_are_one_event() {
        let mut hosts = Hosts::default();
        let end = |hosts: &mut Hosts, opened, millis| {
            let now = at(100) + Duration::from_millis(millis);
            hosts.met_limit(way(), 1, at(opened), now)
        };
        assert_eq!(end(&mut hosts, 10, 0), Met::First);
        for opened in 20..30 {
            assert_eq!(end(&mut hosts, opened, 50), Met::Known, "they were open then");
        }
        assert_eq!(hosts.transactions_max(way(), at(101)), None);
        assert_eq!(end(&mut hosts, 40, 100), Met::Learned(1), "no longer together");
    }

    #[test]
    fn a_limit_is_believed_after_the_second_agreeing_event_for_an_hour() {
        let mut hosts = Hosts::default();
        for (second, transactions, met, limit) in [
            (0, 3, Met::First, None),
            (1, 5, Met::First, None),
            (2, 3, Met::First, None),
            (3, 3, Met::Learned(3), Some(3)),
            (4, 3, Met::Known, Some(3)),
            (5, 20, Met::First, Some(3)),
            (6, 20, Met::Known, Some(3)),
        ] {
            assert_eq!(meet(&mut hosts, transactions, second), met, "{second}");
            assert_eq!(hosts.transactions_max(way(), at(second)), limit, "{second}");
        }
        assert_eq!(hosts.transactions_max(way(), at(3603)), Some(3));
        assert_eq!(hosts.transactions_max(way(), at(3604)), None);
    }

    #[test]
    fn a_limit_is_lowered_by_two_events_and_renewed_by_one() {
        let mut hosts = Hosts::default();
        for second in 0..2 {
            meet(&mut hosts, 5, second);
        }
        assert_eq!(meet(&mut hosts, 2, 10), Met::First);
        assert_eq!(meet(&mut hosts, 2, 11), Met::Learned(2));
        assert_eq!(meet(&mut hosts, 2, 4000), Met::Learned(2));
        assert_eq!(meet(&mut hosts, 2, 20_000), Met::First);
    }

    #[test]
    fn a_limit_is_never_less_than_one() {
        let mut hosts = Hosts::default();
        meet(&mut hosts, 0, 0);
        assert_eq!(meet(&mut hosts, 0, 1), Met::Learned(1));
    }

    #[test]
    fn a_session_that_goes_further_contradicts_a_limit() {
        let mut hosts = Hosts::default();
        for second in 0..2 {
            meet(&mut hosts, 3, second);
        }
        hosts.bore_reuse(way(), 3, Duration::ZERO);
        assert_eq!(hosts.transactions_max(way(), at(2)), Some(3));
        hosts.bore_reuse(way(), 4, Duration::ZERO);
        assert_eq!(hosts.transactions_max(way(), at(2)), None);
        assert_eq!(meet(&mut hosts, 3, 3), Met::First, "not suspected either");
    }

    #[test]
    fn three_deaths_in_a_row_bar_reuse_for_a_while() {
        let mut hosts = Hosts::default();
        for second in [0, 10] {
            hosts.died(way(), at(second));
        }
        hosts.bore_reuse(way(), 2, Duration::ZERO);
        for second in [20, 30] {
            hosts.died(way(), at(second));
        }
        assert!(hosts.bears_reuse(way(), at(30)), "one went well between");
        hosts.died(way(), at(40));
        assert!(!hosts.bears_reuse(way(), at(40)));
        assert!(hosts.bears_reuse(way(), at(640)));
        hosts.died(way(), at(641));
        assert!(!hosts.bears_reuse(way(), at(641)), "nothing has gone well since");
    }

    #[test]
    fn deaths_of_one_moment_count_once() {
        let mut hosts = Hosts::default();
        for _ in 0..20 {
            hosts.died(way(), at(5));
        }
        assert!(hosts.bears_reuse(way(), at(6)));
    }

    #[test]
    fn a_death_after_a_longer_idle_time_than_was_borne_teaches_the_idle_time() {
        let mut hosts = Hosts::default();
        let idle = Duration::from_millis;
        assert!(
            !hosts.died_idle(way(), idle(999), at(0)),
            "too short to be a reason"
        );
        assert!(hosts.died_idle(way(), idle(2000), at(0)));
        assert_eq!(hosts.idle_max(way(), at(0)), Some(idle(1500)));
        assert!(hosts.died_idle(way(), idle(4000), at(1)));
        assert_eq!(hosts.idle_max(way(), at(1)), Some(idle(1500)), "it only shortens");
        assert_eq!(hosts.idle_max(way(), at(3601)), None, "for an hour");
        hosts.bore_reuse(way(), 2, idle(3000));
        assert!(!hosts.died_idle(way(), idle(2500), at(2)), "longer was borne");
        assert_eq!(hosts.idle_max(way(), at(2)), None);
        assert!(hosts.died_idle(way(), idle(2500), at(3)), "but no longer");
    }

    #[test]
    fn an_operator_makes_all_of_it_forgotten() {
        let mut hosts = Hosts::default();
        for second in 0..2 {
            meet(&mut hosts, 3, second);
        }
        hosts.forgive(way());
        assert_eq!(hosts.transactions_max(way(), at(2)), None);
    }
}
