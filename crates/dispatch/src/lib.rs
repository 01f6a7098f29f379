//! The decisions: which message goes next, on which session, whether to dial, what becomes of a session that
//! is free, whether and when to retry.
//!
//! One machine over the [schedule](remuda_schedule), the [connection cache](remuda_connection_cache) and what
//! is remembered of [hosts](remuda_hosts). It is fed with [events](event::Event) and answers with
//! [commands](command::Command); a shell executes them and reports.
//!
//! ```text
//!   Accepted, Loaded ─▶ schedule ──turn──▶ delivery ──seek──▶ session: parked, freed, dialled
//!                          ▲                  │                   │
//!                          └──── Settled ◀────┴── Answered ◀──────┴─▶ offered: next in line, next message,
//!                                                                               parked, retired
//! ```
//!
//! # Contract
//! * **Pure.** The same settings, events and times give the same commands; no clock, no socket, no lock.
//! * **No entry is lost.** Each that came in ends settled, unloaded, or waits.
//! * **No session leaks**: see `sessions`. Limits of sessions in all, of an endpoint's and of a
//!   destination's are never exceeded, nor those of the operator's [rules](settings::Rule).
//! * **In turn.** Destinations take turns, whatever their backlogs; a freed session goes to the next in line.
//! * **Wake-ups are exact.** The shell sends [`Tick`](event::Event::Tick) at
//!   [`next_deadline`](Dispatch::next_deadline), asked for after each event; nothing polls.
//! * **The shell answers** each command as [`event`] says, and reports an entry as accepted before anything
//!   can be read of it from the spool.
//! * **No event costs more with more destinations**, but for `Started`, `Reconfigured` and `Stopping`.
//!
//! # Not here
//! Sockets, replies, DNS, the spool, reports: the engine. What is sent within a transaction: `smtp`.
//!
//! # Limits
//! [`Settings`], `remuda_schedule::LOADS_MAX` loads and 200 resolutions at once, `pipeline_depth` + 1
//! deliveries of a session under way or uncommitted.

mod answers;
mod asleep;
mod breakdown;
mod candidates;
mod ceilings;
mod changes;
pub mod choice;
pub mod command;
#[cfg(test)]
mod consistency;
mod counting;
mod deliveries;
mod dials;
pub mod event;
mod following;
mod hosts;
mod lessons;
mod lines;
mod offers;
mod openings;
mod retries;
mod room;
mod rules;
pub mod search;
mod seeking;
mod selection;
mod sessions;
pub mod settings;
mod sites;
mod sources;
mod stagger;
mod verdicts;
pub mod view;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;

use rand::{SeedableRng, rngs::StdRng};
use remuda_clock::{Monotonic, Now};
use remuda_connection_cache::ConnectionCache;
use remuda_hosts::Hosts;
use remuda_mail::{DeliveryId, Destination, EntryId, NextHop, SessionId, Way};
use remuda_schedule::{Schedule, Wakening};

use crate::{
    asleep::Asleep, ceilings::Ceilings, command::Command, deliveries::Delivery, dials::Orphans, event::Event,
    lines::Lines, rules::Rules, sessions::Session, settings::Settings, sites::Site, stagger::Credit,
};

/// The decision machine.
#[derive(Debug)]
pub struct Dispatch {
    settings: Settings,
    /// Counts configurations: what was resolved under another is asked for again.
    epoch: u64,
    now: Now,
    rng: StdRng,
    /// Commands of the event at hand.
    out: Vec<Command>,
    is_stopping: bool,
    local: Destination,
    postmaster: Destination,

    schedule: Schedule,
    sites: HashMap<Destination, Site>,
    /// When to look whether a site is of use no more, once each.
    reviews: BTreeSet<(Monotonic, Destination)>,
    to_resolve: VecDeque<Destination>,
    resolving: usize,

    deliveries: HashMap<DeliveryId, Delivery>,
    delivery_next: u64,
    /// The delivery of each entry that has one.
    in_hand: HashMap<EntryId, DeliveryId>,
    lines: Lines,
    /// Deliveries whose outcomes are not committed, oldest first.
    unsettled: BTreeSet<(Monotonic, DeliveryId)>,

    rules: Rules,
    ceilings: Ceilings,
    asleep: Asleep,
    cache: ConnectionCache,
    hosts: Hosts,
    sessions: BTreeMap<SessionId, Session>,
    session_next: u64,
    orphans: Orphans,
    /// Dials, and when they are late.
    late: BTreeSet<(Monotonic, SessionId)>,
    stagger_credit: Credit,
    /// Dials that are late and that nobody waits for.
    late_orphans: BTreeSet<SessionId>,
    /// Deliveries that wait for a better host, and until when.
    holds: BTreeSet<(Monotonic, DeliveryId)>,
    /// Free sessions that wait for a commit, and until when.
    lingering: BTreeSet<(Monotonic, SessionId)>,
    /// Sessions that count against `settings.sessions`.
    busy: u32,
    /// Ways where a session has stopped to count, during the event at hand.
    freed: Vec<Way>,
}

impl Dispatch {
    /// A machine without mail and sessions.
    pub fn new(settings: Settings, now: Now) -> Self {
        Dispatch {
            epoch: 1,
            now,
            rng: StdRng::seed_from_u64(settings.seed),
            out: Vec::new(),
            is_stopping: false,
            local: NextHop::Local.destination(),
            postmaster: NextHop::Postmaster.destination(),
            schedule: Schedule::new(settings.schedule_limits(), now),
            sites: HashMap::new(),
            reviews: BTreeSet::new(),
            to_resolve: VecDeque::new(),
            resolving: 0,
            deliveries: HashMap::new(),
            delivery_next: 1,
            in_hand: HashMap::new(),
            lines: Lines::default(),
            unsettled: BTreeSet::new(),
            rules: Rules::new(&settings.rules),
            ceilings: Ceilings::default(),
            asleep: Asleep::new(),
            cache: ConnectionCache::new(settings.cache_limits()),
            hosts: Hosts::default(),
            sessions: BTreeMap::new(),
            session_next: 1,
            orphans: Orphans::new(),
            late: BTreeSet::new(),
            stagger_credit: Credit::new(),
            late_orphans: BTreeSet::new(),
            holds: BTreeSet::new(),
            lingering: BTreeSet::new(),
            busy: 0,
            freed: Vec::new(),
            settings,
        }
    }

    /// Takes note of an event at `now` and appends to `out` what is to be done, in this order.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Command>) {
        std::mem::swap(&mut self.out, out);
        self.advance(now);
        self.take_note(event);
        self.pump();
        std::mem::swap(&mut self.out, out);
    }

    /// When the next `Tick` is due, if nothing else happens before. Ask after each event.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let lingering = self.lingering.first().map(|(at, _)| *at);
        let hold = self.holds.first().map(|(at, _)| *at);
        let review = self.reviews.first().map(|(at, _)| *at);
        [
            self.schedule.next_deadline(),
            self.cache.next_deadline(),
            hold,
            self.late.first().map(|(at, _)| *at),
            lingering,
            review,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn take_note(&mut self, event: Event) {
        match event {
            Event::Started(backlogs) => backlogs
                .into_iter()
                .for_each(|backlog| self.schedule.started(backlog)),
            Event::Accepted(entry) => self.accepted(entry),
            Event::Loaded {
                destination,
                entries,
                next_due,
            } => self.loaded(&destination, entries, next_due),
            Event::LoadFailed { destination } => self.schedule.load_failed(&destination),
            Event::Resolved { destination, answer } => self.resolved(&destination, answer),
            Event::Connected { session } => self.connected(session),
            Event::Opened { session, facts } => self.opened(session, facts),
            Event::DialFailed {
                session,
                step,
                failure,
            } => self.dial_failed(session, step, failure),
            Event::Answered {
                session,
                delivery,
                answer,
            } => self.answered(session, delivery, answer),
            Event::Died {
                session,
                cause,
                limit_met,
            } => self.died(session, cause, limit_met),
            Event::Ended { session } => self.ended(session),
            Event::Settled { delivery, left } => self.settled(delivery, left.as_ref()),
            Event::Withdrawn {
                destination,
                entry,
                held,
            } => self.withdrawn(&destination, entry, held),
            Event::Restored {
                destination,
                entry,
                due,
            } => self.restored(&destination, entry, due),
            Event::Wakened {
                destination,
                due,
                added,
                from_held,
                thaw,
            } => {
                let wakening = Wakening {
                    due,
                    added,
                    from_held,
                    thaw,
                };
                self.wakened(&destination, &wakening);
            }
            Event::Rerouted { destination } => self.rerouted(&destination),
            Event::RetireParked {
                destination,
                endpoint,
            } => self.retire_parked(destination.as_ref(), endpoint),
            Event::HostForgotten { endpoint } => self.forget_host(endpoint),
            Event::Reconfigured(settings) => self.reconfigure(*settings),
            Event::Stopping => self.stop(),
            Event::Tick => {}
        }
    }
}

#[cfg(test)]
mod tests;
