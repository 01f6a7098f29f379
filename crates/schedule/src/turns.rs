//! Turns: which destination is loaded next, which one starts next, and how a start ends.

use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId};

use crate::{Entry, LOADS_MAX, Schedule, queue::LoadEnd};

/// An order to read the head of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOrder {
    /// Whose.
    pub destination: Destination,
    /// How many entries at most, those in memory already included.
    pub limit: usize,
}

impl Schedule {
    /// The next load to be made, if there is room in memory for what it brings.
    pub fn next_load(&mut self) -> Option<LoadOrder> {
        while self.loads < LOADS_MAX {
            let room = self.room();
            let destination = self.load_ring.front().filter(|_| room > 0)?.clone();
            self.load_ring.pop_front();
            let Some(queue) = self.queues.get_mut(&destination) else {
                continue;
            };
            queue.noted.in_load_ring = false;
            if queue.load_wanted().is_none_or(|due| due > self.now.wall) {
                self.note(&destination);
                continue;
            }
            let left = usize::try_from(queue.in_spool_only()).unwrap_or(usize::MAX);
            let room = room.min(queue.room()).min(left);
            queue.begin_load(room);
            let limit = queue.in_memory.len() + room;
            self.loads += 1;
            self.reserved += room;
            self.note(&destination);
            return Some(LoadOrder { destination, limit });
        }
        None
    }

    /// A load has brought these entries; the first one left in the spool is due at `next_due`. Returns
    /// those that stay in the spool, because they have gone meanwhile or there is no room for them now.
    pub fn loaded(
        &mut self,
        destination: &Destination,
        entries: Vec<Entry>,
        next_due: Option<Wall>,
    ) -> Vec<EntryId> {
        let now = self.now.wall;
        self.end_load(destination, |queue| queue.end_load(entries, next_due, now))
    }

    /// A load has failed; it is made again later.
    pub fn load_failed(&mut self, destination: &Destination) {
        let now = self.now.wall;
        self.end_load(destination, |queue| queue.fail_load(now));
    }

    /// The destination whose turn it is, out of the ring until it is [started](Self::start) or
    /// [blocked](Self::set_blocked).
    pub fn next_ready(&mut self) -> Option<Destination> {
        while let Some(destination) = self.ready_ring.pop_front() {
            let Some(queue) = self.queues.get_mut(&destination) else {
                continue;
            };
            queue.noted.in_ready_ring = false;
            if queue.is_ready() && Self::is_admitted(queue) {
                return Some(destination);
            }
        }
        None
    }

    /// Answers whether the destination has something ready, a slot free, and its gate open to it.
    pub fn is_ready(&self, destination: &Destination) -> bool {
        self.startable(destination).is_some()
    }

    /// Answers whether the destination has something ready in memory.
    pub fn has_ready(&self, destination: &Destination) -> bool {
        self.queues
            .get(destination)
            .is_some_and(|queue| !queue.ready.is_empty())
    }

    /// Answers whether the destination has mail that is due, in memory or in the spool.
    pub fn has_mail_due(&self, destination: &Destination) -> bool {
        let is_due = |due: Wall| due <= self.now.wall;
        self.queues.get(destination).is_some_and(|queue| {
            queue.suspension.is_none()
                && (!queue.ready.is_empty()
                    || (queue.in_spool_only() > 0 && queue.spool_due.is_some_and(is_due)))
        })
    }

    /// Answers whether nothing of the destination is in memory or under way.
    pub fn is_at_rest(&self, destination: &Destination) -> bool {
        self.queues
            .get(destination)
            .is_none_or(|queue| queue.busy == 0 && queue.in_memory.is_empty() && queue.load.is_none())
    }

    /// The entry that [`start`](Self::start) would return: none while somebody waits on the bench, who comes
    /// first.
    pub fn peek(&self, destination: &Destination) -> Option<&Entry> {
        let queue = self.startable(destination)?;
        queue.ready.front().filter(|_| queue.benched == 0)
    }

    fn startable(&self, destination: &Destination) -> Option<&crate::Queue> {
        let queue = self.queues.get(destination)?;
        (queue.is_ready() && Self::is_admitted(queue)).then_some(queue)
    }

    /// Starts a delivery: takes a slot and the next entry. The destination goes to the end of the ring.
    pub fn start(&mut self, destination: &Destination) -> Option<Entry> {
        let queue = self
            .queues
            .get_mut(destination)
            .filter(|queue| queue.is_ready() && queue.benched == 0 && Self::is_admitted(queue))?;
        let entry = queue.ready.pop_front()?;
        queue.busy += 1;
        self.pass_gate(destination);
        self.note(destination);
        Some(entry)
    }

    /// The entry that [`ride`](Self::ride) would return.
    pub fn peek_rider(&self, destination: &Destination) -> Option<&Entry> {
        let queue = self.queues.get(destination)?;
        let may = queue.suspension.is_none()
            && queue.benched == 0
            && queue.busy > 0
            && self.is_gate_open_to_riders(destination);
        queue.ready.front().filter(|_| may)
    }

    /// Answers whether all slots of the destination's window, or of its gate, are taken.
    pub fn is_full(&self, destination: &Destination) -> bool {
        let queue = self.queues.get(destination);
        queue.is_some_and(|queue| queue.busy >= queue.window.size()) || self.is_gate_full(destination)
    }

    /// Starts a delivery that rides on a session of the destination's and takes no slot of its own: the window
    /// counts sessions. It gets one by [`sit`](Self::sit) when it has to go on without that session.
    pub fn ride(&mut self, destination: &Destination) -> Option<Entry> {
        self.peek_rider(destination)?;
        let entry = self.queues.get_mut(destination)?.ready.pop_front();
        self.pass_gate(destination);
        self.note(destination);
        entry
    }

    /// A rider has lost its session and waits for a slot: the destination's next turn is for it.
    pub fn bench(&mut self, destination: &Destination) {
        if let Some(queue) = self.queues.get_mut(destination) {
            queue.benched += 1;
            self.note(destination);
        }
    }

    /// One that waited for a slot takes it.
    pub fn sit(&mut self, destination: &Destination) {
        if let Some(queue) = self.queues.get_mut(destination) {
            queue.benched = queue.benched.saturating_sub(1);
            queue.busy += 1;
            self.keep_promise(destination);
            self.note(destination);
        }
    }

    /// Keeps a destination out of the ring, or lets it in again.
    pub fn set_blocked(&mut self, destination: &Destination, is_blocked: bool) {
        if let Some(queue) = self.queues.get_mut(destination) {
            queue.is_blocked = is_blocked;
            self.note(destination);
        }
    }

    /// A slot is free again; the entry waits for its settlement.
    pub fn release(&mut self, destination: &Destination) {
        if let Some(queue) = self.queues.get_mut(destination) {
            queue.busy = queue.busy.saturating_sub(1);
            self.note(destination);
        }
    }

    /// A slot is free again, and the entry stays in the spool as it was before the start.
    pub fn give_back(&mut self, entry: &Entry) {
        if let Some(queue) = self.queues.get_mut(&entry.destination) {
            queue.give_back(entry);
            self.release(&entry.destination);
        }
    }

    /// An entry's outcomes are committed; `left` is when it is due again if recipients are left.
    pub fn settled(&mut self, destination: &Destination, entry: EntryId, left: Option<Wall>) {
        if let Some(queue) = self.queues.get_mut(destination) {
            queue.settle(entry, left);
            self.note(destination);
        }
    }

    fn end_load(
        &mut self,
        destination: &Destination,
        end: impl FnOnce(&mut crate::Queue) -> LoadEnd,
    ) -> Vec<EntryId> {
        let Some(queue) = self.queues.get_mut(destination).filter(|q| q.load.is_some()) else {
            return Vec::new();
        };
        let LoadEnd { room, not_taken } = end(queue);
        self.loads -= 1;
        self.reserved -= room;
        self.note(destination);
        not_taken
    }
}
