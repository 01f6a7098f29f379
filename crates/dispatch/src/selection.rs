//! Whose turn it is: capacity that became free goes to who waits for it, then destinations with mail start
//! one delivery each in turn, then their queues are filled again.
//!
//! # Contract
//! * **Nothing starts while the disk is stalled or the server stops.**
//! * **A destination whose delivery lacks a session waits with it**: no further one of it starts, and the
//!   others go on in turn.
//! * **Servers are asked for before a delivery starts**, [`RESOLVES_MAX`] destinations at once; an entry whose
//!   destination has none bounces or is deferred without holding a session.

use std::sync::Arc;

use remuda_clock::Monotonic;
use remuda_mail::{Destination, Refusal, Way};
use remuda_schedule::Retry;

use crate::{
    Dispatch,
    candidates::{Itinerary, Servers},
    command::{Command, Rest},
    deliveries::Stage,
    event::{Resolution, Unresolved},
    offers::LOOK_AT_MAX,
    sites::{Resolved, Site},
};

impl Dispatch {
    /// Starts whatever may start.
    pub(crate) fn pump(&mut self) {
        if self.is_stopping {
            return;
        }
        if !self.is_stalled() {
            self.serve_starved();
            while let Some(destination) = self.schedule.next_ready() {
                self.turn(&destination);
            }
        }
        while let Some(order) = self.schedule.next_load() {
            self.out.push(Command::Load {
                destination: order.destination,
                limit: order.limit,
            });
        }
    }

    /// Gives what became free to the deliveries that wait longest for it.
    fn serve_starved(&mut self) {
        // A late dial that nobody waits for gives way to them.
        let mut last = None;
        while (self.has_session_left() || !self.late_orphans.is_empty())
            && let Some((ticket, id)) = self.lines.starved_after(last)
        {
            self.seek(id);
            last = Some(ticket);
        }
        while !self.freed.is_empty() {
            for way in std::mem::take(&mut self.freed) {
                self.serve_starved_at(way);
            }
        }
    }

    /// Gives the room by one way to those who wait longest for it.
    fn serve_starved_at(&mut self, way: Way) {
        // Without a session left in all, it waits for that from now on. Who is still not served, because
        // what lies parked does not fit and no further connection is let in, is passed by.
        let (mut last, mut unserved) = (None, 0);
        while self.may_use(way)
            && unserved < LOOK_AT_MAX
            && let Some((ticket, id)) = self.lines.starved_behind(way, last)
        {
            self.seek(id);
            last = Some(ticket);
            unserved += usize::from(self.lines.is_starved_at(way, ticket));
        }
    }

    /// A destination's turn: it starts one delivery, or asks for its servers first.
    fn turn(&mut self, destination: &Destination) {
        if self.is_delivered_here(destination) {
            if let Some(entry) = self.schedule.start(destination) {
                let entry_id = entry.id;
                let delivery = self.begin(entry, Itinerary::default());
                if let Some(delivery) = self.deliveries.get_mut(&delivery) {
                    delivery.stage = Stage::Local;
                }
                self.out.push(Command::DeliverLocally {
                    delivery,
                    entry: entry_id,
                });
            }
            return;
        }
        let (epoch, now) = (self.epoch, self.now.monotonic);
        if let Some(id) = self.next_benched(destination) {
            return self.seek(id);
        }
        match self.site(destination).resolved(epoch, now) {
            Resolved::Unknown => self.ask(destination),
            Resolved::Known(servers, _) => self.start(destination, servers),
            Resolved::Never(refusal, _) => self.bounce(destination, *refusal),
        }
    }

    /// Answers whether mail for it goes to Maildirs.
    fn is_delivered_here(&self, destination: &Destination) -> bool {
        *destination == self.postmaster || (*destination == self.local && !self.settings.is_local_by_lmtp)
    }

    fn start(&mut self, destination: &Destination, servers: Arc<Servers>) {
        let now = self.now.monotonic;
        if self.sleep_if_dead(destination, &servers) {
            return;
        }
        let Some(entry) = self.schedule.start(destination) else {
            return;
        };
        self.site(destination).note_start(now);
        let tries_max = self.settings.addresses_per_delivery;
        let itinerary = Itinerary::new(servers, tries_max, &mut self.rng);
        let delivery = self.begin(entry, itinerary);
        self.seek(delivery);
    }

    /// Ends an entry whose destination can never take it.
    fn bounce(&mut self, destination: &Destination, refusal: Refusal) {
        let Some(entry) = self.schedule.start(destination) else {
            return;
        };
        let delivery = self.begin(entry, Itinerary::default());
        let rest = Rest::Bounce {
            refusal: Some(refusal),
            expired: false,
        };
        self.settle(delivery, None, rest);
        self.schedule.release(destination);
    }

    /// Asks for a destination's servers; until they are known nothing of it starts.
    fn ask(&mut self, destination: &Destination) {
        self.site(destination).is_asked = true;
        self.schedule.set_blocked(destination, true);
        self.to_resolve.push_back(destination.clone());
        self.resolve_next();
    }

    fn resolve_next(&mut self) {
        while self.resolving < RESOLVES_MAX
            && let Some(destination) = self.to_resolve.pop_front()
        {
            if !self.schedule.has_ready(&destination) {
                let site = self.site(&destination);
                site.is_asked = false;
                let is_starved = !site.starved.is_empty();
                self.schedule.set_blocked(&destination, is_starved);
                continue;
            }
            self.resolving += 1;
            let epoch = self.epoch;
            self.site(&destination).epoch = epoch;
            self.out.push(Command::Resolve { destination });
        }
    }

    /// A destination's servers are known, or why there are none.
    pub(crate) fn resolved(&mut self, destination: &Destination, answer: Result<Resolution, Unresolved>) {
        let epoch = self.epoch;
        let site = self.site(destination);
        if !site.is_asked {
            return;
        }
        site.is_asked = false;
        let is_starved = !site.starved.is_empty();
        let is_stale = site.epoch != epoch;
        self.resolving -= 1;
        self.schedule.set_blocked(destination, is_starved);
        match answer {
            _ if is_stale => {}
            Ok(Resolution {
                candidates,
                policy,
                valid_until,
            }) => {
                // Valid for the start at hand even if it says "now", or nothing would ever start.
                let until = valid_until.max(self.now.monotonic + VALID_MIN);
                let level = |hosts: &[Arc<str>]| self.tls_level(destination, hosts);
                let servers = Arc::new(Servers::new(candidates, policy, level));
                let site = self.site(destination);
                site.endpoints = servers.endpoints.clone();
                site.best_hosts = servers.best_hosts();
                site.servers = Resolved::Known(servers, until);
                self.apply_rule(destination);
            }
            Err(Unresolved { refusal, valid_until }) if refusal.is_permanent() => {
                let until = valid_until.max(self.now.monotonic + VALID_MIN);
                self.site(destination).servers = Resolved::Never(Box::new(refusal), until);
                self.apply_rule(destination);
            }
            Err(Unresolved { refusal, valid_until }) => {
                self.defer_unresolved(destination, refusal, valid_until);
            }
        }
        self.resolve_next();
    }

    /// One entry bears the deferral, so that its sender hears of it in the end; the others stay as they are
    /// while the destination is suspended.
    fn defer_unresolved(&mut self, destination: &Destination, refusal: Refusal, valid_until: Monotonic) {
        let reason = refusal.words();
        if !self.schedule.has_ready(destination) {
            return;
        }
        if let Some(entry) = self.schedule.start(destination) {
            let rest = match self.schedule.retry(&entry) {
                Retry::At(until) => Rest::Defer {
                    until,
                    refusal: Some(refusal),
                },
                Retry::Expired => Rest::Bounce {
                    refusal: Some(refusal),
                    expired: true,
                },
            };
            let delivery = self.begin(entry, Itinerary::default());
            self.settle(delivery, None, rest);
            self.schedule.release(destination);
        }
        let until = valid_until.max(self.now.monotonic + self.settings.minimal_backoff);
        self.forget_sleeper(destination);
        let unloaded = self.schedule.suspend(destination, until, reason);
        self.unload(unloaded);
        self.abandon_starved(destination);
    }

    /// What is known of a destination beyond its queue.
    pub(crate) fn site(&mut self, destination: &Destination) -> &mut Site {
        if !self.sites.contains_key(destination) {
            let review = self.now.monotonic + self.keep();
            self.reviews.insert((review, destination.clone()));
            let site = Site::new(destination, &self.settings, review);
            self.sites.insert(destination.clone(), site);
        }
        self.sites
            .get_mut(destination)
            .expect("a site that was there or has just been made")
    }
}

/// Destinations whose servers are asked for at once.
const RESOLVES_MAX: usize = 200;

/// An answer serves the deliveries that waited for it, however short it is valid.
const VALID_MIN: std::time::Duration = std::time::Duration::from_millis(100);
