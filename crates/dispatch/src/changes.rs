//! What time, the operator and a new configuration change.
//!
//! # Contract
//! * **What leaves the cache is retired**, whatever the reason, so that the shell says QUIT (T80).
//! * **A reload keeps what still fits**: sessions from a source with its HELO name within the new limits.
//! * **A destination that is rerouted starts nothing** before its servers are known anew.
//! * **After `Stopping` nothing starts**; what waits goes back to the spool, what is or becomes free is
//!   retired (T86).
//! * **Memory of a destination without mail goes** once it is of no more use.

use std::time::Duration;

use remuda_clock::{Now, Wall};
use remuda_mail::{DeliveryId, Destination, Endpoint, EntryId, SessionId};
use remuda_schedule::{Entry, Wakening};

use crate::{
    Dispatch,
    command::RetireCause,
    rules::Rules,
    settings::Settings,
    sites::{Resolved, is_listed},
};

impl Dispatch {
    /// Time has come to `now`.
    pub(crate) fn advance(&mut self, now: Now) {
        self.now = now;
        self.schedule.advance(now);
        if self.cache.next_deadline().is_some_and(|at| at <= now.monotonic) {
            let gone = self.cache.expire(now.monotonic);
            self.retire_all(gone);
        }
        while let Some((until, session)) = self.lingering.first().copied() {
            if until > now.monotonic {
                break;
            }
            self.end_lingering(session, RetireCause::Idle);
        }
        self.end_holds(now.monotonic);
        self.look_after_late(now.monotonic);
        while self.reviews.first().is_some_and(|(at, _)| *at <= now.monotonic) {
            let Some((_, destination)) = self.reviews.pop_first() else {
                break;
            };
            self.review(destination);
        }
    }

    /// Forgets a destination if it is at rest and nothing happened lately, else looks again later.
    fn review(&mut self, destination: Destination) {
        let (now, keep) = (self.now.monotonic, self.keep());
        let Some(site) = self.sites.get_mut(&destination) else {
            return;
        };
        let is_of_use = site.is_asked
            || !site.starved.is_empty()
            || !site.benched.is_empty()
            || site.is_fresh(now, keep)
            || !self.schedule.is_at_rest(&destination)
            || (!site.asleep_at.is_empty() && self.schedule.is_suspended(&destination));
        let has_mail = !self.schedule.is_empty(&destination);
        let is_told = site.whence.is_telling() && (has_mail || site.is_fresh(now, SOURCE_KEEP));
        if is_of_use || is_told {
            site.review = now + if is_of_use { keep } else { SOURCE_KEEP };
            self.reviews.insert((site.review, destination));
        } else {
            self.forget_sleeper(&destination);
            if let Some(site) = self.sites.remove(&destination) {
                self.release_rule(&destination, site.ceiling);
            }
            self.schedule.forget(&destination);
        }
    }

    /// How long a destination is remembered after its last message.
    pub(crate) fn keep(&self) -> Duration {
        KEEP_MIN.max(self.settings.cache.idle_time_limit * 2)
    }

    /// Forgets a destination that has neither mail nor memory.
    pub(crate) fn tidy(&mut self, destination: &Destination) {
        if !self.sites.contains_key(destination) {
            self.schedule.forget(destination);
        }
    }

    /// Entries were added, released or are due earlier. If the operator wants the destination tried, what
    /// is believed of its servers is asked for again.
    pub(crate) fn wakened(&mut self, destination: &Destination, wakening: &Wakening) {
        self.schedule.wakened(destination, wakening);
        if wakening.thaw {
            self.rouse_for(destination);
        }
        if let Some(site) = self.sites.get_mut(destination).filter(|_| wakening.thaw) {
            site.servers = Resolved::Unknown;
        }
        self.tidy(destination);
    }

    /// Entries have been read; what there is no room for leaves memory.
    pub(crate) fn loaded(&mut self, destination: &Destination, entries: Vec<Entry>, next_due: Option<Wall>) {
        let not_taken = self.schedule.loaded(destination, entries, next_due);
        self.unload(not_taken);
    }

    /// An entry that was put on hold in flight is released: its delivery goes on as if nothing had been.
    pub(crate) fn restored(&mut self, destination: &Destination, entry: EntryId, due: Wall) {
        let is_restored = self.schedule.restored(destination, entry);
        if is_restored
            && let Some(id) = self.in_hand.get(&entry)
            && let Some(delivery) = self.deliveries.get_mut(id)
        {
            delivery.is_withdrawn = false;
        }
        let count = u64::from(!is_restored);
        let wakening = Wakening {
            due,
            added: count,
            from_held: count,
            thaw: true,
        };
        self.wakened(destination, &wakening);
    }

    /// What is believed of a destination's servers is asked for again, and an answer under way is not believed.
    pub(crate) fn rerouted(&mut self, destination: &Destination) {
        if let Some(site) = self.sites.get_mut(destination) {
            site.servers = Resolved::Unknown;
            site.epoch = NO_EPOCH;
        }
    }

    /// Retires parked sessions, all or those named.
    pub(crate) fn retire_parked(&mut self, destination: Option<&Destination>, endpoint: Option<Endpoint>) {
        let gone = self.cache.drain(|parked| {
            destination.is_none_or(|wanted| parked.destination == *wanted)
                && endpoint.is_none_or(|wanted| parked.facts.endpoint == wanted)
        });
        self.retire_all(gone);
    }

    /// Puts another configuration in force.
    pub(crate) fn reconfigure(&mut self, settings: Settings) {
        self.schedule.set_limits(settings.schedule_limits());
        let gone = self.cache.set_limits(settings.cache_limits(), self.now.monotonic);
        self.retire_all(gone);
        let gone = self.cache.drain(|parked| !settings.is_ours(&parked.facts));
        self.retire_all(gone);
        for (destination, site) in &mut self.sites {
            site.is_listed = is_listed(destination, &settings.cache);
            site.whence.reconfigure(destination, &settings.sources);
        }
        let asleep: std::collections::BTreeSet<_> = self.asleep.keys().copied().collect();
        for way in asleep {
            self.rouse(way);
        }
        self.rules = Rules::new(&settings.rules);
        self.settings = settings;
        self.epoch += 1;
        let mut all: Vec<Destination> = self.sites.keys().cloned().collect();
        all.sort_unstable();
        for destination in all {
            self.apply_rule(&destination);
        }
        // Higher limits are room for those who wait.
        self.freed.extend(self.lines.ways());
    }

    /// Stops: what is free is retired, what waits goes back.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
        self.retire_parked(None, None);
        let lingering: Vec<SessionId> = self.lingering.iter().map(|(_, session)| *session).collect();
        for session in lingering {
            self.end_lingering(session, RetireCause::Drained);
        }
        let mut waiting: Vec<DeliveryId> = self
            .deliveries
            .iter()
            .filter(|(_, delivery)| delivery.is_waiting())
            .map(|(id, _)| *id)
            .collect();
        waiting.sort_unstable();
        for delivery in waiting {
            self.abandon(delivery);
        }
    }

    fn end_lingering(&mut self, session: SessionId, cause: RetireCause) {
        if self.stop_lingering(session).is_some() {
            self.retire(session, cause);
        }
    }
}

/// The configuration of no answer.
const NO_EPOCH: u64 = u64::MAX;

/// A destination whose first source does not work is remembered while it has mail, and so long after.
const SOURCE_KEEP: Duration = Duration::from_secs(3600);

/// A destination is remembered for at least so long after its last message: its servers, its window.
const KEEP_MIN: Duration = Duration::from_secs(10);
