//! Destinations whose hosts are all paused: nothing is tried for them until one of them may be used.
//!
//! A destination is dead when all its endpoints are, and not before (design §6; this replaces the reference's rule
//! of failed cohorts): what one delivery learned of a host keeps all destinations that need it from trying in vain,
//! and a destination of which one host works goes on with that.
//!
//! ```text
//!   all paused ─▶ asleep ── the first pause is over ──▶ one delivery tries ─┬─ it answers ─▶ all awake
//!                   ▲                                                      └─ it fails ──▶ a longer pause
//!                   └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Contract
//! * **Asleep only while every endpoint is paused** or on trial, and no session to one is open: that goes on.
//! * **Woken at the end of the first pause, and by what becomes of a trial**, whosever it was.
//! * **An operator's wish wakes**: the pauses of its endpoints end with it.
//!
//! # Not here
//! How long a pause is: `remuda_hosts`. Destinations that fail by what they demand: the schedule's window.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use remuda_clock::Monotonic;
use remuda_mail::{Destination, Way};

use crate::{Dispatch, candidates::Servers, sites::Resolved};

/// Who sleeps for want of a way.
pub(crate) type Asleep = HashMap<Way, BTreeSet<Destination>>;

impl Dispatch {
    /// Puts a destination to sleep if all its endpoints are paused; answers whether it is.
    pub(crate) fn sleep_if_dead(&mut self, destination: &Destination, servers: &Servers) -> bool {
        let Some((until, way)) = self.rest_until(destination, servers) else {
            return false;
        };
        let from = self.sources_of(destination);
        let reason = self
            .hosts
            .get(way)
            .map(|record| record.health.last_failure.clone());
        let ways: Vec<Way> = servers.endpoints.iter().map(|to| from.way_to(*to)).collect();
        self.forget_sleeper(destination);
        for way in &ways {
            self.asleep.entry(*way).or_default().insert(destination.clone());
        }
        self.site(destination).asleep_at = ways;
        let unloaded = self
            .schedule
            .suspend(destination, until, reason.unwrap_or_default());
        self.unload(unloaded);
        self.abandon_starved(destination);
        true
    }

    /// When the first pause ends, and of which way, if all hosts are paused from each of our addresses in turn.
    fn rest_until(&mut self, destination: &Destination, servers: &Servers) -> Option<(Monotonic, Way)> {
        let mut rest = None;
        for _ in 0..=self.settings.sources.len() {
            let from = self.sources_of(destination);
            let this = servers.rest_until(&self.hosts, &from, self.now.monotonic)?;
            rest = Some(this);
            let (source, failures) = match this.1.source {
                Some(source) => (source, self.hosts.failures(this.1)),
                None => return rest,
            };
            let all = &self.settings.sources;
            let Some(site) = self
                .sites
                .get_mut(destination)
                .filter(|_| failures >= SOURCE_FAILURES)
            else {
                return rest;
            };
            // Others have found that it is refused from there.
            site.whence.unusable(source, destination, all);
        }
        rest
    }

    /// As [`sleep_if_dead`](Self::sleep_if_dead), by the servers last known.
    pub(crate) fn sleep_if_known_dead(&mut self, destination: &Destination) -> bool {
        let servers = match self.sites.get(destination).map(|site| &site.servers) {
            Some(Resolved::Known(servers, _)) => servers.clone(),
            _ => return false,
        };
        self.sleep_if_dead(destination, &servers)
    }

    /// A way may be used again, or its trial has failed: who sleeps for want of it looks again.
    pub(crate) fn rouse(&mut self, way: Way) {
        // Who waits there for a session that is open may dial.
        self.freed.push(way);
        for destination in self.asleep.remove(&way).unwrap_or_default() {
            self.forget_sleeper(&destination);
            self.schedule.thaw(&destination);
        }
    }

    /// A pause has become longer: who sleeps for want of the way sleeps on.
    pub(crate) fn sleep_on(&mut self, way: Way) {
        let sleepers = self.asleep.get(&way).cloned().unwrap_or_default();
        for destination in sleepers {
            if !self.sleep_if_known_dead(&destination) {
                self.forget_sleeper(&destination);
                self.schedule.thaw(&destination);
            }
        }
    }

    /// An operator wants a destination tried: no pause of its endpoints keeps it.
    pub(crate) fn rouse_for(&mut self, destination: &Destination) {
        let from = self.sources_of(destination);
        let Some(site) = self.sites.get(destination) else {
            return;
        };
        for endpoint in site.endpoints.clone().iter() {
            let way = from.way_to(*endpoint);
            if self.hosts.is_paused(way, self.now.monotonic) {
                self.hosts.answers(way, self.now.monotonic);
                self.rouse(way);
            }
        }
    }

    /// Strikes a destination from among the sleepers.
    pub(crate) fn forget_sleeper(&mut self, destination: &Destination) {
        let Some(site) = self.sites.get_mut(destination) else {
            return;
        };
        for way in std::mem::take(&mut site.asleep_at) {
            if let Some(sleepers) = self.asleep.get_mut(&way) {
                sleepers.remove(destination);
                if sleepers.is_empty() {
                    self.asleep.remove(&way);
                }
            }
        }
    }
}

impl Servers {
    /// When the first pause ends, and of which way, if all are paused; a trial under way ends by its outcome.
    fn rest_until(
        &self,
        hosts: &remuda_hosts::Hosts,
        from: &remuda_mail::Sources,
        now: Monotonic,
    ) -> Option<(Monotonic, Way)> {
        let mut first: Option<(Monotonic, Way)> = None;
        for endpoint in self.endpoints.iter() {
            let way = from.way_to(*endpoint);
            if !hosts.is_paused(way, now) || hosts.open(way) > 0 {
                return None;
            }
            let until = hosts.paused_until(way, now).unwrap_or(now + TRIAL_LONGEST);
            if first.is_none_or(|(earliest, _)| until < earliest) {
                first = Some((until, way));
            }
        }
        first
    }
}

/// Dials from one of our addresses that failed in a row, whosever they were, after which another is taken.
const SOURCE_FAILURES: u32 = 3;

/// A trial takes no longer: connect, greeting, EHLO, TLS.
const TRIAL_LONGEST: std::time::Duration = std::time::Duration::from_secs(1200);
