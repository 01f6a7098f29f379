//! Gates: what one or several destinations together may have in hand, and how fast they may start.
//!
//! A window belongs to one destination. An operator's rule for a receiver (`match = "mx:.example.com"`) is
//! for all destinations that it serves: they go through one gate, besides the window of each.
//!
//! ```text
//!   ready ─▶ waiting, in the order of coming ─▶ called (a start is promised) ─▶ started
//! ```
//!
//! # Contract
//! * **No start exceeds a limit**: of deliveries in hand of all members, or of starts in any span of time.
//! * **Starts are evenly spaced**: `n` per `t` means `t / n` between two of them, without jitter and without
//!   credit for idle time. A receiver counts over spans that we do not know; this keeps the rate in each of
//!   them, where a bucket of `n` would let twice as many pass in an unlucky one.
//! * **In turn.** What a gate has room for goes to the member that waits longest; a member that ends a
//!   delivery does not pass those who wait.
//! * **A promise is kept or returned**: a member that is called and does not start makes room for the next.
//! * **A rate is remembered** when the last member goes, until it has no more effect.
//!
//! # Not here
//! Which destination goes through which gate: the owner, by [`Schedule::set_terms`].
//!
//! # Known faults
//! A wake-up that comes late is not made up for: spaces near the grain of the timer (a millisecond) come out
//! longer than allowed. What is paced is the start of a delivery; two that then wait for a connection may
//! reach the server closer together.

mod gate;

use std::collections::BTreeSet;

use hashbrown::HashMap;
use remuda_clock::Monotonic;
use remuda_mail::Destination;

use self::gate::Gate;
pub use self::gate::{GateKey, GateLimits};
use crate::{Queue, Schedule, window::Bounds};

/// What is different for one destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Where its window ends; `None`: as for all.
    pub concurrency_max: Option<u32>,
    /// What it goes through.
    pub gate: Option<(GateKey, GateLimits)>,
}

/// All gates.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    terms: HashMap<Destination, Terms>,
    gates: HashMap<GateKey, Gate>,
    timers: BTreeSet<(Monotonic, GateKey)>,
    ticket_next: u64,
}

/// Where a queue stands at its gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Slots that the gate counts for it.
    busy: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Has nothing to start.
    #[default]
    Away,
    Waiting(u64),
    Called(u64),
}

impl Schedule {
    /// Puts a destination under other terms than the general ones.
    pub fn set_terms(&mut self, destination: &Destination, terms: Terms) {
        let old = self.gates.terms.get(destination).cloned().unwrap_or_default();
        if old == terms {
            return;
        }
        let old = old.gate.map(|(key, _)| key);
        let key = terms.gate.as_ref().map(|(key, _)| key.clone());
        if old != key {
            self.leave_gate(destination, old.as_ref());
        }
        if let Some((key, limits)) = &terms.gate {
            let gate = self.gates.gates.entry(key.clone()).or_default();
            gate.members += usize::from(old.as_ref() != Some(key));
            gate.limits = *limits;
        }
        let bounds = self.limits.bounds_within(terms.concurrency_max);
        if terms == Terms::default() {
            self.gates.terms.remove(destination);
        } else {
            self.gates.terms.insert(destination.clone(), terms);
        }
        if let Some(queue) = self.queues.get_mut(destination) {
            queue.window.clip(bounds);
            queue.gate = key.clone();
        }
        self.note(destination);
        if let Some(key) = key {
            self.settle_gate(&key);
        }
    }

    /// The bounds of a destination's window.
    pub(crate) fn bounds_of(&self, destination: &Destination) -> Bounds {
        let terms = self.gates.terms.get(destination);
        self.limits
            .bounds_within(terms.and_then(|terms| terms.concurrency_max))
    }

    /// What a destination goes through.
    pub(crate) fn gate_of(&self, destination: &Destination) -> Option<GateKey> {
        let (key, _) = self.gates.terms.get(destination)?.gate.as_ref()?;
        Some(key.clone())
    }

    /// Answers whether a queue that is ready may start now.
    pub(crate) fn is_admitted(queue: &Queue) -> bool {
        queue.gate.is_none() || matches!(queue.noted.standing.place, Place::Called(_))
    }

    /// Answers whether another start waits at the destination's gate, its own or another's.
    pub fn is_gate_waited_at(&self, destination: &Destination) -> bool {
        let gate = self
            .gate_of(destination)
            .and_then(|key| self.gates.gates.get(&key));
        gate.is_some_and(|gate| !gate.waiting.is_empty() || !gate.called.is_empty())
    }

    /// A queue has changed: counts its slots at the gate and puts it in line, or out. Answers whether it
    /// belongs in the ring of those who may start.
    pub(crate) fn note_at_gate(&mut self, destination: &Destination) -> bool {
        let Some(queue) = self.queues.get_mut(destination) else {
            return false;
        };
        let is_ready = queue.is_ready();
        let Some(key) = queue.gate.clone() else {
            return is_ready;
        };
        let Some(gate) = self.gates.gates.get_mut(&key) else {
            return is_ready;
        };
        let standing = &mut queue.noted.standing;
        gate.busy = gate.busy + queue.busy - standing.busy;
        standing.busy = queue.busy;
        match (standing.place, is_ready) {
            (Place::Away, true) => {
                self.gates.ticket_next += 1;
                gate.waiting.insert(self.gates.ticket_next, destination.clone());
                standing.place = Place::Waiting(self.gates.ticket_next);
            }
            (Place::Waiting(ticket), false) => {
                gate.waiting.remove(&ticket);
                standing.place = Place::Away;
            }
            (Place::Called(ticket), false) => {
                gate.called.remove(&ticket);
                standing.place = Place::Away;
            }
            (Place::Away, false) | (Place::Waiting(_) | Place::Called(_), true) => {}
        }
        self.settle_gate(&key);
        self.queues
            .get(destination)
            .is_some_and(|queue| queue.is_ready() && Self::is_admitted(queue))
    }

    /// Answers whether a delivery may start that takes no slot: its pace allows it, and nobody else waits, who
    /// would otherwise see the session that it rides on never come free.
    pub(crate) fn is_gate_open_to_riders(&self, destination: &Destination) -> bool {
        let Some(gate) = self
            .gate_of(destination)
            .and_then(|key| self.gates.gates.get(&key))
        else {
            return true;
        };
        let mut waiting = gate.waiting.values().chain(gate.called.values());
        waiting.all(|one| one == destination) && !gate.is_paced(self.now.monotonic)
    }

    /// Answers whether all slots of a destination's gate are taken.
    pub(crate) fn is_gate_full(&self, destination: &Destination) -> bool {
        let gate = self
            .gate_of(destination)
            .and_then(|key| self.gates.gates.get(&key));
        gate.is_some_and(|gate| !gate.has_slot())
    }

    /// A delivery starts: the promise, if it had one, is kept.
    pub(crate) fn pass_gate(&mut self, destination: &Destination) {
        self.keep_promise(destination);
        if let Some(key) = self.gate_of(destination)
            && let Some(gate) = self.gates.gates.get_mut(&key)
        {
            gate.last_start = Some(self.now.monotonic);
        }
    }

    /// A slot that was promised is taken.
    pub(crate) fn keep_promise(&mut self, destination: &Destination) {
        let Some(queue) = self.queues.get_mut(destination) else {
            return;
        };
        if let Some(gate) = queue.gate.as_ref().and_then(|key| self.gates.gates.get_mut(key))
            && let Place::Called(ticket) = queue.noted.standing.place
        {
            gate.called.remove(&ticket);
            queue.noted.standing.place = Place::Away;
        }
    }

    /// Time has come to `now`: gates open, and those of no use are forgotten.
    pub(crate) fn advance_gates(&mut self) {
        let now = self.now.monotonic;
        while self.gates.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.gates.timers.pop_first() else {
                break;
            };
            if let Some(gate) = self.gates.gates.get_mut(&key) {
                gate.timer = None;
            }
            self.settle_gate(&key);
        }
    }

    /// When the next gate opens.
    pub(crate) fn gates_deadline(&self) -> Option<Monotonic> {
        self.gates.timers.first().map(|(at, _)| *at)
    }

    /// Calls those for whom there is room, and sets the timer for the next.
    fn settle_gate(&mut self, key: &GateKey) {
        let now = self.now.monotonic;
        let Some(gate) = self.gates.gates.get_mut(key) else {
            return;
        };
        while gate.is_over(now)
            && let Some((ticket, last)) = gate.called.pop_last()
        {
            if let Some(queue) = self.queues.get_mut(&last) {
                queue.noted.standing.place = Place::Waiting(ticket);
                gate.waiting.insert(ticket, last);
            }
        }
        while gate.has_room(now)
            && let Some((ticket, first)) = gate.waiting.pop_first()
        {
            let Some(queue) = self.queues.get_mut(&first) else {
                continue;
            };
            gate.called.insert(ticket, first.clone());
            queue.noted.standing.place = Place::Called(ticket);
            if !queue.noted.in_ready_ring {
                queue.noted.in_ready_ring = true;
                self.ready_ring.push_back(first);
            }
        }
        let wake = gate.wake(now);
        if wake != gate.timer {
            if let Some(old) = gate.timer.take() {
                self.gates.timers.remove(&(old, key.clone()));
            }
            if let Some(at) = wake {
                self.gates.timers.insert((at, key.clone()));
            }
            gate.timer = wake;
        }
        if gate.members == 0 && wake.is_none() {
            self.gates.gates.remove(key);
        }
    }

    /// A destination does not go through this gate any more.
    fn leave_gate(&mut self, destination: &Destination, key: Option<&GateKey>) {
        let Some(key) = key else { return };
        let Some(gate) = self.gates.gates.get_mut(key) else {
            return;
        };
        gate.members -= 1;
        if let Some(queue) = self.queues.get_mut(destination) {
            let Standing { busy, place } = std::mem::take(&mut queue.noted.standing);
            gate.busy -= busy;
            match place {
                Place::Away => {}
                Place::Waiting(ticket) => drop(gate.waiting.remove(&ticket)),
                Place::Called(ticket) => drop(gate.called.remove(&ticket)),
            }
            queue.gate = None;
        }
        self.settle_gate(key);
    }

    /// What the queues say of each gate: slots, promises, who waits.
    fn sums_at_gates(&self) -> HashMap<&GateKey, (u32, usize, usize)> {
        let mut sums: HashMap<&GateKey, (u32, usize, usize)> = HashMap::new();
        for (destination, queue) in &self.queues {
            let terms = self.gates.terms.get(destination);
            let named = terms.and_then(|terms| terms.gate.as_ref()).map(|(key, _)| key);
            assert_eq!(
                queue.gate.as_ref(),
                named,
                "{destination} goes where its terms say"
            );
            let Some(key) = named else { continue };
            let standing = queue.noted.standing;
            assert_eq!(standing.busy, queue.busy, "slots of {destination} are counted");
            assert_eq!(queue.is_ready(), standing.place != Place::Away, "{destination}");
            let sum = sums.entry(key).or_default();
            sum.0 += queue.busy;
            match standing.place {
                Place::Away => {}
                Place::Waiting(ticket) => {
                    sum.2 += 1;
                    assert_eq!(self.gates.gates[key].waiting.get(&ticket), Some(destination));
                }
                Place::Called(ticket) => {
                    sum.1 += 1;
                    assert_eq!(self.gates.gates[key].called.get(&ticket), Some(destination));
                }
            }
        }
        sums
    }

    /// Panics if the books of the gates contradict those of the queues, or somebody waits in vain. O(n).
    pub(crate) fn assert_gates(&self) {
        let mut sums = self.sums_at_gates();
        for (key, gate) in &self.gates.gates {
            let sum = sums.remove(key).unwrap_or_default();
            assert_eq!(sum, (gate.busy, gate.called.len(), gate.waiting.len()), "{key:?}");
            assert!(!gate.is_over(self.now.monotonic), "{key:?} promises too much");
            let is_open = gate.has_room(self.now.monotonic);
            assert!(
                gate.waiting.is_empty() || !is_open,
                "{key:?} is open and waited at"
            );
            assert_eq!(gate.timer, gate.wake(self.now.monotonic));
        }
        assert!(sums.is_empty(), "gates that are gone: {sums:?}");
    }
}

#[cfg(test)]
mod tests;
