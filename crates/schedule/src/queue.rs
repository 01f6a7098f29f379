//! One destination's queue: its summary, however long the backlog, and the head of it in memory.
//!
//! ```text
//!   waiting ──┬─ in memory ──┬─ ready        next to be delivered, all due
//!             │              └─ in flight    being delivered, or waiting for its commit
//!             └─ in the spool only           `spool_due`: the earliest due time among them
//! ```
//!
//! # Contract
//! * **An entry is in memory once**, whichever way it came; what was settled or withdrawn while a load was
//!   under way is not taken from that load.
//! * **`spool_due` is never later than the truth** while something lies in the spool only, but for a pause
//!   after a load that failed or brought nothing.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use remuda_clock::{Monotonic, Wall};
use remuda_mail::EntryId;

use crate::{
    Entry, Window,
    gates::{GateKey, Standing},
};

/// One destination's queue.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Entries that are not on hold, wherever they are. Below zero while an entry has been loaded and
    /// settled before its acceptance was reported.
    pub(crate) counted: i64,
    pub(crate) held: u64,
    pub(crate) ready: VecDeque<Entry>,
    pub(crate) in_memory: HashSet<EntryId>,
    /// Deliveries that hold a slot of the window.
    pub(crate) busy: u32,
    /// Deliveries under way that wait for a slot.
    pub(crate) benched: u32,
    pub(crate) window: Window,
    pub(crate) suspension: Option<Suspension>,
    pub(crate) spool_due: Option<Wall>,
    pub(crate) load: Option<Load>,
    /// Withdrawn in flight; true: and on hold.
    withdrawn: HashMap<EntryId, bool>,
    /// The owner wants no start from it for now.
    pub(crate) is_blocked: bool,
    /// What it goes through besides its window.
    pub(crate) gate: Option<GateKey>,
    /// What the schedule has noted of it: its place in rings, its timer, its share of the totals.
    pub(crate) noted: Noted,
}

/// Why nothing is tried for a while.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suspension {
    pub(crate) until: Monotonic,
    pub(crate) reason: String,
}

/// A load under way.
#[derive(Debug)]
pub(crate) struct Load {
    /// Entries that it may bring.
    pub(crate) room: usize,
    /// Came to lie in the spool only since it was asked for.
    due_meanwhile: Option<Wall>,
    /// Settled or withdrawn since it was asked for.
    gone_meanwhile: HashSet<EntryId>,
}

/// What a load has come to.
#[derive(Debug, Default)]
pub(crate) struct LoadEnd {
    /// The room that it had reserved.
    pub(crate) room: usize,
    /// What it brought and is not in memory.
    pub(crate) not_taken: Vec<EntryId>,
}

#[derive(Debug, Default)]
pub(crate) struct Noted {
    pub(crate) in_ready_ring: bool,
    pub(crate) in_load_ring: bool,
    pub(crate) timer: Option<Wall>,
    pub(crate) waiting: u64,
    pub(crate) held: u64,
    pub(crate) in_memory: usize,
    pub(crate) standing: Standing,
}

impl Queue {
    pub(crate) fn new(window: Window, gate: Option<GateKey>) -> Self {
        Queue {
            counted: 0,
            held: 0,
            ready: VecDeque::new(),
            in_memory: HashSet::new(),
            busy: 0,
            benched: 0,
            window,
            suspension: None,
            spool_due: None,
            load: None,
            withdrawn: HashMap::new(),
            is_blocked: false,
            gate,
            noted: Noted::default(),
        }
    }

    /// How many entries may be ready or in delivery: twice the window and at least [`HEADS_MIN`]; one
    /// while thawing, since only one is tried.
    fn heads_max(&self) -> usize {
        if self.window.is_thawing() {
            return 1;
        }
        HEADS_MIN.max(2 * self.window.size() as usize)
    }

    /// Entries that it may still take into memory.
    pub(crate) fn room(&self) -> usize {
        self.heads_max()
            .saturating_sub(self.ready.len() + self.busy as usize)
    }

    /// Entries that are not on hold, wherever they are.
    pub(crate) fn waiting(&self) -> u64 {
        u64::try_from(self.counted).unwrap_or(0)
    }

    /// Entries that lie in the spool only.
    pub(crate) fn in_spool_only(&self) -> u64 {
        let here = (self.in_memory.len() - self.withdrawn.len()) as u64;
        self.waiting().saturating_sub(here)
    }

    /// When a load would find something and is wanted; `None`: not now.
    pub(crate) fn load_wanted(&self) -> Option<Wall> {
        let is_low = self.ready.len() <= self.heads_max() / 4 && self.room() > 0;
        let may = self.load.is_none() && self.suspension.is_none() && self.in_spool_only() > 0;
        self.spool_due.filter(|_| is_low && may)
    }

    /// Answers whether a delivery may start, or one that waits for a slot go on.
    pub(crate) fn is_ready(&self) -> bool {
        (!self.ready.is_empty() || self.benched > 0)
            && !self.is_blocked
            && self.suspension.is_none()
            && self.busy < self.window.size()
    }

    /// Answers whether nothing would be lost with it but the memory of its window.
    pub(crate) fn is_empty(&self) -> bool {
        self.counted == 0
            && self.held == 0
            && self.busy == 0
            && self.in_memory.is_empty()
            && self.load.is_none()
            && self.suspension.is_none()
    }

    /// Takes an entry into memory. Answers whether it was not there.
    pub(crate) fn take_in(&mut self, entry: Entry) -> bool {
        let is_new = self.in_memory.insert(entry.id);
        if is_new {
            self.ready.push_back(entry);
        }
        is_new
    }

    /// Something with this due time lies in the spool only.
    pub(crate) fn note_due(&mut self, due: Wall) {
        let earlier = |old: Option<Wall>| Some(old.map_or(due, |old| old.min(due)));
        self.spool_due = earlier(self.spool_due);
        if let Some(load) = &mut self.load {
            load.due_meanwhile = earlier(load.due_meanwhile);
        }
    }

    pub(crate) fn begin_load(&mut self, room: usize) {
        self.load = Some(Load {
            room,
            due_meanwhile: None,
            gone_meanwhile: HashSet::new(),
        });
    }

    /// Takes in what a load brought.
    pub(crate) fn end_load(&mut self, entries: Vec<Entry>, next_due: Option<Wall>, now: Wall) -> LoadEnd {
        let Some(load) = self.load.take() else {
            return LoadEnd::default();
        };
        let (mut taken, mut next_due, mut not_taken) = (0, next_due, Vec::new());
        for entry in entries {
            if self.in_memory.contains(&entry.id) {
                continue;
            }
            if load.gone_meanwhile.contains(&entry.id) {
                not_taken.push(entry.id);
            } else if taken < load.room && self.suspension.is_none() {
                taken += 1;
                self.take_in(entry);
            } else {
                not_taken.push(entry.id);
                next_due = Some(next_due.map_or(entry.due, |due| due.min(entry.due)));
            }
        }
        // Due, and yet not among what was read: ask again, but not at once.
        if taken == 0 && load.gone_meanwhile.is_empty() && self.suspension.is_none() {
            next_due = next_due.map(|due| due.max(now + LOAD_PAUSE));
        }
        self.spool_due = next_due.into_iter().chain(load.due_meanwhile).min();
        LoadEnd {
            room: load.room,
            not_taken,
        }
    }

    /// A load failed.
    pub(crate) fn fail_load(&mut self, now: Wall) -> LoadEnd {
        let room = self.load.take().map_or(0, |load| load.room);
        self.spool_due = Some(now + LOAD_PAUSE);
        LoadEnd {
            room,
            not_taken: Vec::new(),
        }
    }

    /// An entry in memory has been settled; `left` is its due time if recipients are left.
    pub(crate) fn settle(&mut self, entry: EntryId, left: Option<Wall>) {
        if !self.in_memory.remove(&entry) {
            return;
        }
        self.note_gone(entry);
        match (self.withdrawn.remove(&entry), left) {
            (None, None) => self.counted -= 1,
            (None, Some(due)) => self.note_due(due),
            (Some(true), None) => self.held = self.held.saturating_sub(1),
            (Some(_), _) => {}
        }
    }

    /// An entry is not to be delivered any more. Returns it if it was ready.
    pub(crate) fn withdraw(&mut self, id: EntryId, is_held: bool) -> Option<Entry> {
        self.note_gone(id);
        self.counted -= 1;
        self.held += u64::from(is_held);
        let place = self.ready.iter().position(|entry| entry.id == id);
        let entry = place.and_then(|place| self.ready.remove(place));
        if entry.is_some() {
            self.in_memory.remove(&id);
        } else if self.in_memory.contains(&id) {
            self.withdrawn.insert(id, is_held);
        }
        entry
    }

    /// An entry that was put on hold in flight is released before it has been settled. Answers whether it
    /// was such a one.
    pub(crate) fn restore(&mut self, entry: EntryId) -> bool {
        if self.withdrawn.get(&entry) != Some(&true) {
            return false;
        }
        self.withdrawn.remove(&entry);
        self.counted += 1;
        self.held = self.held.saturating_sub(1);
        true
    }

    /// Puts all ready entries back into the spool, where they are as they were.
    pub(crate) fn unload(&mut self) -> Vec<EntryId> {
        let entries = std::mem::take(&mut self.ready);
        for entry in &entries {
            self.in_memory.remove(&entry.id);
            self.note_due(entry.due);
        }
        entries.into_iter().map(|entry| entry.id).collect()
    }

    /// An entry in flight goes back into the spool untried.
    pub(crate) fn give_back(&mut self, entry: &Entry) {
        if self.in_memory.remove(&entry.id) && self.withdrawn.remove(&entry.id).is_none() {
            self.note_due(entry.due);
        }
    }

    fn note_gone(&mut self, entry: EntryId) {
        if let Some(load) = &mut self.load {
            load.gone_meanwhile.insert(entry);
        }
    }
}

/// Heads of a queue that may be in memory however small its window.
const HEADS_MIN: usize = 20;

/// Between a load that failed or brought nothing, and the next.
const LOAD_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
