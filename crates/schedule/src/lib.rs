//! The schedule: which destination's mail goes next.
//!
//! Every destination with mail has a summary here, however long its backlog; the active queue in memory
//! holds the head of each. Destinations take turns, one delivery at a time, so that one huge backlog delays
//! nobody else.
//!
//! ```text
//!   spool ──Load──▶ ready entries ──turn──▶ delivery (a slot of the window) ──▶ settled | due again
//! ```
//!
//! # Contract
//! * **Round-robin.** A destination with something ready and a slot free stands in one ring, once; after a
//!   start it goes to the end.
//! * **A backlog never fills memory.** A destination has at most twice its window, and at least 20, in
//!   memory, and besides these what rides on its sessions; all together have at most `active_max`.
//! * **Suspension rewrites nothing.** It is a field of the summary; entries in memory go back unsettled.
//! * **Wake-ups are exact.** [`Schedule::next_deadline`] is the earliest due time or end of a suspension;
//!   between those nothing happens by time alone.
//! * **No work by event is proportional to the number of destinations.**
//! * **Callers [`advance`](Schedule::advance) first**: everything else happens at that moment.
//! * **Callers give back every slot**: each [`start`](Schedule::start) is followed by one
//!   [`release`](Schedule::release) or [`give_back`](Schedule::give_back), and a released entry by one
//!   [`settled`](Schedule::settled). What [rides](Schedule::ride) along has no slot and is settled alike.
//!
//! # Not here
//! Sessions, servers and the connection cache: `dispatch`. Reading and writing: the spool.
//!
//! # Limits
//! `active_max` entries in memory, [`LOADS_MAX`] loads at once.

mod entry;
mod gates;
mod limits;
mod queue;
mod retry;
mod suspension;
mod turns;
mod view;
mod window;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use hashbrown::HashMap;

use rand::{SeedableRng, rngs::StdRng};
use remuda_clock::{Monotonic, Now, Wall};
use remuda_mail::{Destination, EntryId};

pub use crate::{
    entry::{Backlog, Entry, Wakening},
    gates::{GateKey, GateLimits, Terms},
    limits::Limits,
    retry::Retry,
    turns::LoadOrder,
    view::{QueueView, Totals},
    window::Feedback,
};
use crate::{gates::Gates, queue::Queue, retry::Backoff, window::Window};

/// All destinations with mail.
#[derive(Debug)]
pub struct Schedule {
    limits: Limits,
    now: Now,
    rng: StdRng,
    queues: HashMap<Destination, Queue>,
    /// May start, in turn.
    ready_ring: VecDeque<Destination>,
    /// Want a load, in turn.
    load_ring: VecDeque<Destination>,
    loads: usize,
    /// Entries that loads under way may bring.
    reserved: usize,
    timers: BTreeSet<(Wall, Destination)>,
    suspensions: BTreeSet<(Monotonic, Destination)>,
    totals: Totals,
    gates: Gates,
}

impl Schedule {
    /// A schedule without mail.
    pub fn new(limits: Limits, now: Now) -> Self {
        Schedule {
            rng: StdRng::seed_from_u64(limits.seed),
            limits,
            now,
            queues: HashMap::new(),
            ready_ring: VecDeque::new(),
            load_ring: VecDeque::new(),
            loads: 0,
            reserved: 0,
            timers: BTreeSet::new(),
            suspensions: BTreeSet::new(),
            totals: Totals::default(),
            gates: Gates::default(),
        }
    }

    /// Time has come to `now`: what is due is to be loaded, what was suspended until now may be tried.
    pub fn advance(&mut self, now: Now) {
        self.now = now;
        self.advance_gates();
        while self.timers.first().is_some_and(|(due, _)| *due <= now.wall) {
            let Some((_, destination)) = self.timers.pop_first() else {
                break;
            };
            if let Some(queue) = self.queues.get_mut(&destination) {
                queue.noted.timer = None;
            }
            self.note(&destination);
        }
        while self
            .suspensions
            .first()
            .is_some_and(|(until, _)| *until <= now.monotonic)
        {
            let Some((_, destination)) = self.suspensions.pop_first() else {
                break;
            };
            if let Some(queue) = self.queues.get_mut(&destination) {
                queue.suspension = None;
                queue.window.thaw();
                if queue.is_empty() {
                    self.queues.remove(&destination);
                }
            }
            self.note(&destination);
        }
    }

    /// When [`advance`](Self::advance) next has something to do. Wall time is converted as of the last
    /// `advance`.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let due = self
            .timers
            .first()
            .map(|(due, _)| self.now.monotonic + due.since(self.now.wall));
        let thaw = self.suspensions.first().map(|(until, _)| *until);
        due.into_iter().chain(thaw).chain(self.gates_deadline()).min()
    }

    /// At start: what the spool holds for a destination.
    pub fn started(&mut self, backlog: Backlog) {
        let queue = self.queue(&backlog.destination);
        queue.counted += signed(backlog.waiting);
        queue.held += backlog.held;
        if let Some(due) = backlog.due {
            queue.note_due(due);
        }
        self.note(&backlog.destination);
    }

    /// A new entry is committed and due. Answers whether it came into memory; if not it is loaded later.
    pub fn accepted(&mut self, entry: Entry) -> bool {
        let (now, is_full) = (self.now.wall, self.room() == 0);
        let destination = entry.destination.clone();
        let queue = self.queue(&destination);
        queue.counted += 1;
        // What lies due in the spool is older: a stream of new mail must not pass it for ever.
        let has_older = queue.in_spool_only() > 1 && queue.spool_due.is_some_and(|due| due <= now);
        let is_in = if queue.in_memory.contains(&entry.id) {
            true
        } else if is_full || has_older || queue.room() == 0 || queue.suspension.is_some() {
            queue.note_due(entry.due);
            false
        } else {
            queue.take_in(entry)
        };
        self.note(&destination);
        is_in
    }

    /// An entry is no longer to be delivered. Returns it if it was ready in memory; one in flight goes on
    /// to its settlement.
    pub fn withdrawn(&mut self, destination: &Destination, entry: EntryId, is_held: bool) -> Option<Entry> {
        let entry = self.queues.get_mut(destination)?.withdraw(entry, is_held);
        self.note(destination);
        entry
    }

    /// Entries in the spool were added, released, or are due earlier than they were.
    pub fn wakened(&mut self, destination: &Destination, wakening: &Wakening) {
        let queue = self.queue(destination);
        queue.counted += signed(wakening.added);
        queue.held = queue.held.saturating_sub(wakening.from_held);
        if wakening.due != Wall::NEVER {
            queue.note_due(wakening.due);
        }
        if wakening.thaw && queue.suspension.is_some() {
            queue.window.thaw();
            self.end_suspension(destination);
        }
        self.note(destination);
    }

    /// An entry that was put on hold is released before its delivery has been settled. Answers whether it
    /// was in flight: else it waits in the spool, and is [wakened](Self::wakened).
    pub fn restored(&mut self, destination: &Destination, entry: EntryId) -> bool {
        let is_restored = self
            .queues
            .get_mut(destination)
            .is_some_and(|queue| queue.restore(entry));
        self.note(destination);
        is_restored
    }

    /// What a delivery, still holding its slot, says about its destination. Returns the entries that leave
    /// memory if it is dead now.
    pub fn feedback(&mut self, destination: &Destination, feedback: Feedback) -> Vec<EntryId> {
        let bounds = self.bounds_of(destination);
        let Some(queue) = self.queues.get_mut(destination) else {
            return Vec::new();
        };
        match feedback {
            Feedback::Neutral => {}
            Feedback::Positive if queue.suspension.is_some() => {
                queue.window.revive(queue.busy, bounds);
                self.end_suspension(destination);
            }
            Feedback::Positive => queue.window.succeed(queue.busy, bounds),
            Feedback::Failing => queue.window.narrow(),
            Feedback::Negative(reason) => {
                if queue.suspension.is_none() && queue.window.fail() {
                    let pause = retry::jittered(self.limits.minimal_backoff, &mut self.rng);
                    return self.suspend(destination, self.now.monotonic + pause, reason);
                }
            }
        }
        self.note(destination);
        Vec::new()
    }

    /// Decides when an entry that could not be delivered is tried again.
    pub fn retry(&mut self, entry: &Entry) -> Retry {
        self.limits.backoff().retry(entry, self.now.wall, &mut self.rng)
    }

    /// As [`retry`](Self::retry) for one with which nothing was tried: it waits the shortest time.
    pub fn retry_soon(&mut self, entry: &Entry) -> Retry {
        let soon = Backoff {
            max: Duration::ZERO,
            ..self.limits.backoff()
        };
        soon.retry(entry, self.now.wall, &mut self.rng)
    }

    /// Answers whether the destination has no mail and no delivery: only the memory of its window is left.
    pub fn is_empty(&self, destination: &Destination) -> bool {
        self.queues.get(destination).is_none_or(Queue::is_empty)
    }

    /// Forgets a destination that [is empty](Self::is_empty).
    pub fn forget(&mut self, destination: &Destination) {
        if self.is_empty(destination) && self.queues.contains_key(destination) {
            self.note(destination);
            self.queues.remove(destination);
        }
    }

    /// Puts other limits in force.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        let all: BTreeSet<Destination> = self.queues.keys().cloned().collect();
        for destination in all {
            let bounds = self.bounds_of(&destination);
            self.queue(&destination).window.clip(bounds);
            self.note(&destination);
        }
    }

    fn queue(&mut self, destination: &Destination) -> &mut Queue {
        let bounds = self.bounds_of(destination);
        let gate = self.gate_of(destination);
        self.queues
            .entry(destination.clone())
            .or_insert_with(|| Queue::new(Window::new(bounds), gate))
    }

    /// Entries that may still come into memory, what loads may bring counted as there.
    fn room(&self) -> usize {
        let here = usize::try_from(self.totals.active).unwrap_or(usize::MAX);
        self.limits.active_max.saturating_sub(here + self.reserved)
    }

    /// Puts a queue that has changed where it belongs now: rings, timer, totals.
    fn note(&mut self, destination: &Destination) {
        let Some(queue) = self.queues.get_mut(destination) else {
            return;
        };
        self.totals.note(queue);
        let may_start = self.note_at_gate(destination);
        let Some(queue) = self.queues.get_mut(destination) else {
            return;
        };
        if may_start && !queue.noted.in_ready_ring {
            queue.noted.in_ready_ring = true;
            self.ready_ring.push_back(destination.clone());
        }
        let wanted = queue.load_wanted();
        if wanted.is_some_and(|due| due <= self.now.wall) && !queue.noted.in_load_ring {
            queue.noted.in_load_ring = true;
            self.load_ring.push_back(destination.clone());
        }
        let timer = wanted.filter(|due| *due > self.now.wall && *due != Wall::NEVER);
        if timer != queue.noted.timer {
            if let Some(old) = queue.noted.timer.take() {
                self.timers.remove(&(old, destination.clone()));
            }
            if let Some(due) = timer {
                self.timers.insert((due, destination.clone()));
            }
            queue.noted.timer = timer;
        }
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Loads under way at once: enough to keep the spool's readers busy.
pub const LOADS_MAX: usize = 32;

#[cfg(test)]
mod tests;
