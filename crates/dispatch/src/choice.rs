//! Which of several equally preferred endpoints a message goes to, and why.
//!
//! The attractor: where hosts are chosen at random and sessions are reused, a host that is N times slower holds N
//! times the sessions, because it gives none back. A limit of uses makes it worse (the fast sessions are used up
//! first), a limit of time leaves every host its share. Here each message goes where it is expected to be done
//! first, on every message and not only on every connect:
//!
//! ```text
//!   equal, not paused ─▶ a trial due? ─▶ that one
//!                        else of two random ones, each within twice the best: the better
//!                        else (the good ones are full): wait, at most half as long as the others would take
//! ```
//!
//! # Contract
//! * **Preference is absolute**: the choice is among the best that are not paused.
//! * **A free session at a host that takes more than twice the best carries nothing but the trial**: it is parked
//!   or retired.
//! * **Nobody starves**: who is passed over gets a trial (`remuda_hosts`, trial), so a recovery is seen.
//! * **A delivery does not wait long for a better host**: half of what the next one would take, and at most
//!   [`HOLD_MAX`] in all.
//! * **Measures are shared** by all destinations that use an endpoint.
//!
//! # Rejected
//! * The best of all: every destination that asks in the same moment would go to the same host. Two random ones
//!   are nearly as good and do not herd (Mitzenmacher, "The power of two choices", 2001).
//! * Weights by rate: they follow slowly, and a host that stalls keeps its weight until it has answered.
//! * Moving a waiting message from one session to another: it may be sent twice.

use std::time::Duration;

use rand::RngExt;
use remuda_clock::Monotonic;
use remuda_hosts::Question;
use remuda_mail::{DeliveryId, SessionId, Way};

use crate::{Dispatch, search::Considered, settings::EndpointChoice};

/// Why a message went to its endpoint: `choice=` of the delivery log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// There was no other of its preference.
    Only,
    /// It was expected to be done first.
    Better,
    /// Others are better; it is tried from time to time, or for the first time after a pause.
    Trial,
    /// Another was expected to be a little better; a session was at hand here, or there was room for one.
    Parked,
    /// Better ones had failed, were paused, or were full for too long.
    Fallback,
    /// `endpoint_choice = "random"`.
    Random,
}

impl Choice {
    /// All there are.
    pub const ALL: [Choice; 6] = [
        Choice::Only,
        Choice::Better,
        Choice::Trial,
        Choice::Parked,
        Choice::Fallback,
        Choice::Random,
    ];

    /// The word for the log and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Choice::Only => "only",
            Choice::Better => "better",
            Choice::Trial => "trial",
            Choice::Parked => "parked",
            Choice::Fallback => "fallback",
            Choice::Random => "random",
        }
    }
}

/// Where a delivery turns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// To these, in this order; the first is tried before all.
    To(Vec<Way>),
    /// To this one, because its trial is due.
    Try(Way),
    /// Nowhere for so long: the good ones are full and the others too slow.
    Hold(Duration),
}

/// What is expected of equal endpoints, in their order.
struct Scales {
    costs: Vec<Duration>,
    best: Duration,
}

impl Scales {
    fn cheapest_first(&self, at: &[Way]) -> Vec<Way> {
        let mut places: Vec<usize> = (0..at.len()).collect();
        places.sort_by_key(|place| self.costs[*place]);
        places.into_iter().map(|place| at[place]).collect()
    }

    fn is_worth(&self, place: usize) -> bool {
        self.costs[place] <= self.best.saturating_mul(WORTH_TIMES)
    }
}

impl Dispatch {
    /// Decides where a delivery turns among equal endpoints; `is_patient`: it has not waited yet.
    pub(crate) fn turn_among(&mut self, at: &[Way], is_patient: bool) -> Turn {
        if !self.weighs(at) {
            return Turn::To(at.to_vec());
        }
        if let Some(way) = self.due_trial(at) {
            self.hosts.tried(way);
            return Turn::Try(way);
        }
        let scales = self.weigh(at, None);
        let open = |place: &usize| self.may_use(at[*place]);
        let mut good: Vec<usize> = (0..at.len())
            .filter(|place| scales.is_worth(*place))
            .filter(open)
            .collect();
        if good.is_empty() {
            let slow = (0..at.len()).filter(open).map(|place| scales.costs[place]).min();
            return match slow {
                Some(slow) if is_patient => Turn::Hold((slow / WORTH_TIMES).min(HOLD_MAX)),
                _ => Turn::To(scales.cheapest_first(at)),
            };
        }
        self.pick_two(&mut good);
        let cost = |place: &usize| scales.costs[*place];
        if good.len() > 1 && cost(&good[1]) < cost(&good[0]) {
            good.swap(0, 1);
        }
        good[1..].sort_by_key(cost);
        let first = at[good[0]];
        if self.cache.parked_at(first.endpoint) == 0 {
            // It is the better one also with a dial.
            good.truncate(1);
        }
        Turn::To(good.into_iter().map(|place| at[place]).collect())
    }

    /// Puts two random ones first.
    fn pick_two(&mut self, places: &mut [usize]) {
        if places.len() > 2 {
            for to in 0..2 {
                let from = self.rng.random_range(to..places.len());
                places.swap(to, from);
            }
        }
    }

    /// An endpoint among equals that is to be tried, though others are better.
    fn due_trial(&self, at: &[Way]) -> Option<Way> {
        let now = self.now.monotonic;
        let is_due = |way: &Way| {
            let is_back = self.hosts.is_failing(*way) && self.hosts.sessions(*way) == 0;
            (is_back || self.hosts.is_trial_due(*way, now)) && self.may_dial(*way)
        };
        at.iter().copied().find(is_due)
    }

    /// Answers whether a free session by a way is good enough for mail that may go to any of these.
    pub(crate) fn is_worth(&self, way: Way, at: &[Way]) -> bool {
        if !self.weighs(at) {
            return true;
        }
        let place = at.iter().position(|one| *one == way);
        place.is_none_or(|place| self.weigh(at, Some(way)).is_worth(place))
    }

    /// As [`is_worth`](Self::is_worth), of mail that is not under way yet: an endpoint that is to be tried comes
    /// first.
    pub(crate) fn is_next_here(&self, way: Way, at: &[Way]) -> bool {
        self.is_worth(way, at) && !(self.weighs(at) && self.due_trial(at).is_some())
    }

    /// Answers whether there is anything to weigh.
    pub(crate) fn weighs(&self, at: &[Way]) -> bool {
        let is_adaptive = self.settings.endpoint_choice == EndpointChoice::Adaptive;
        // Of several that are all paused none is better.
        is_adaptive && at.len() > 1 && !self.hosts.is_paused(at[0], self.now.monotonic)
    }

    /// Weighs equal endpoints; `own`: where the asker has a session.
    fn weigh(&self, at: &[Way], own: Option<Way>) -> Scales {
        let known = |time: fn(&remuda_hosts::Hosts, Way) -> Option<Duration>| {
            at.iter().filter_map(|way| time(&self.hosts, *way)).min()
        };
        let unknown = known(remuda_hosts::Hosts::wait).unwrap_or(UNKNOWN);
        let unknown_opening = known(remuda_hosts::Hosts::opening).unwrap_or_default();
        let costs: Vec<Duration> = at
            .iter()
            .map(|way| {
                let is_own = own == Some(*way);
                let question = Question {
                    now: self.now.monotonic,
                    unknown,
                    unknown_opening,
                    is_warm: is_own || self.cache.parked_at(way.endpoint) > 0,
                    is_own,
                };
                self.hosts.expected(*way, question)
            })
            .collect();
        let best = costs.iter().min().copied().unwrap_or_default();
        Scales { costs, best }
    }

    /// Says why a delivery's message goes by a way, and notes at the others that they were passed over.
    pub(crate) fn say_choice(&mut self, id: DeliveryId, way: Way) -> Choice {
        let (choice, weighed) = self.judge(id, way, Some(way));
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.trial = None;
        }
        if !matches!(choice, Choice::Trial | Choice::Fallback) {
            self.hosts.used(way);
        }
        if let Some((equals, scales)) = weighed {
            for (place, other) in equals.iter().enumerate().filter(|(_, other)| **other != way) {
                self.hosts.passed_over(*other, !scales.is_worth(place));
            }
        }
        choice
    }

    /// Dials for a delivery, and notes in its record why there.
    pub(crate) fn dial_for(&mut self, id: DeliveryId, way: Way) -> SessionId {
        let (choice, _) = self.judge(id, way, None);
        let dial = self.dial(way, id);
        self.note(id, Considered::Dialled(dial, way.endpoint, choice));
        dial
    }

    /// Why a delivery's message goes, or is to go, by a way, and what was weighed for it; `own`: where it has a
    /// session.
    fn judge(&self, id: DeliveryId, way: Way, own: Option<Way>) -> (Choice, Option<(Vec<Way>, Scales)>) {
        let Some(delivery) = self.deliveries.get(&id) else {
            return (Choice::Only, None);
        };
        if delivery.trial == Some(way) {
            return (Choice::Trial, None);
        }
        let (equals, is_best) = self.equals_of(id, way);
        if delivery.itinerary.is_begun() || !is_best || delivery.has_waited {
            return (Choice::Fallback, None);
        }
        if equals.len() < 2 {
            return (Choice::Only, None);
        }
        if self.settings.endpoint_choice == EndpointChoice::Random {
            return (Choice::Random, None);
        }
        let scales = self.weigh(&equals, own);
        let place = equals.iter().position(|one| *one == way);
        let choice = match place.is_some_and(|place| scales.costs[place] > scales.best) {
            true => Choice::Parked,
            false => Choice::Better,
        };
        (choice, Some((equals, scales)))
    }

    /// A transaction ended, and nothing was accepted.
    pub(crate) fn note_deferral(&mut self, id: DeliveryId, way: Way) {
        let (equals, _) = self.equals_of(id, way);
        let slowest = equals.iter().filter_map(|way| self.hosts.wait(*way)).max();
        self.hosts
            .deferred(way, slowest.unwrap_or(UNKNOWN), self.now.monotonic);
    }

    /// The endpoints among which a delivery's way was, or might have been, chosen; and whether none is preferred
    /// to them.
    fn equals_of(&self, id: DeliveryId, way: Way) -> (Vec<Way>, bool) {
        let Some(delivery) = self.deliveries.get(&id) else {
            return (vec![way], true);
        };
        let from = self.sources_of(&delivery.entry.destination);
        let servers = delivery.itinerary.servers();
        servers.equals(way.endpoint, &self.hosts, &from, self.now.monotonic)
    }

    /// A delivery has waited long enough for a better host.
    pub(crate) fn end_holds(&mut self, now: Monotonic) {
        while let Some((until, id)) = self.holds.first().copied() {
            if until > now {
                break;
            }
            self.holds.remove(&(until, id));
            if let Some(delivery) = self.deliveries.get_mut(&id)
                && delivery.wait().is_some_and(|wait| wait.hold == Some(until))
            {
                delivery.has_waited = true;
                self.seek(id);
            }
        }
    }
}

/// No delivery waits longer for a better host.
const HOLD_MAX: Duration = Duration::from_secs(30);

/// More than so many times the best is not worth a message.
const WORTH_TIMES: u32 = 2;

/// A transaction's time where no equal endpoint has been measured: sessions in use still count.
const UNKNOWN: Duration = Duration::from_millis(1);
