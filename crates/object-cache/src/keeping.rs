//! What lies in the cache: what is kept of a load, and what leaves.
//!
//! # Contract
//! * **One critical section**: a change's number, the removal of what it names and the end of joining are one
//!   step, so a reader never finds an entry from before a change that has returned (§5.3.4 of the reference).
//! * **Index and residents agree**: [`State::put_in`], [`State::take_out`] and [`State::flush`] are the only ways.
//! * **The budget is never exceeded** after any operation (F4, F9).
//!
//! All of it runs under the type's mutex.

use std::sync::Arc;

use remuda_clock::Monotonic;

use crate::{
    Cached, Limits,
    entry::{Birth, Entry, Right, Subject, nanos},
    index::Index,
    key::{Change, Key, KeyRef},
    residents::{Residents, Standing},
    state::State,
    ticket::{Kind, Ticket},
};

impl<V: Cached, W> State<V, W> {
    /// Keeps what `ticket` brought, unless it may be old, or is too big.
    pub(crate) fn offer(&mut self, index: &Index<V>, ticket: &Ticket, subject: Subject<V>, now: Monotonic) {
        if !self.is_enabled {
            self.counts.totals.rejected.disabled += 1;
            return;
        }
        let entry = self.entry(index, ticket, subject);
        if !self.may_keep(ticket, &entry) {
            self.counts.totals.rejected.generation += 1;
            return;
        }
        let present = present(index, &entry, ticket.key.by_ref());
        let rights: Vec<Right> = present.iter().map(|kept| kept.weigh(&entry, now)).collect();
        if rights.iter().any(|right| *right != Right::Offered) {
            self.counts.totals.rejected.superseded += 1;
            if rights.contains(&Right::Unknown) {
                self.distrust(index, &entry, &present);
            }
            return;
        }
        let mut standing = None;
        for kept in present {
            let stood = self.take_out(index, &kept);
            standing = standing.or(kept.is_same_row(&entry).then_some(stood));
        }
        self.put_in(index, entry, standing);
    }

    /// Two loads that overlapped contradict each other, so something has changed: as if that had been told.
    fn distrust(&mut self, index: &Index<V>, offered: &Entry<V>, present: &[Arc<Entry<V>>]) {
        self.generations.touch(offered.key_hashes());
        for entry in present {
            self.generations.touch(entry.key_hashes());
            self.take_out(index, entry);
            self.counts.totals.evictions.invalidate += 1;
        }
    }

    fn entry(&self, index: &Index<V>, ticket: &Ticket, subject: Subject<V>) -> Entry<V> {
        let hashes = match &subject {
            Subject::Found(value) => {
                let id = index.hash(KeyRef::Id(value.id()));
                (index.hash(KeyRef::Name(value.name())), Some(id))
            }
            Subject::Absent(_) => (ticket.hash, None),
        };
        let birth = Birth {
            load: ticket.number,
            loads_before: self.flights.begun(),
            loaded_at: ticket.loaded_at,
            is_refreshed: ticket.kind == Kind::Refresh,
            life: self.limits.life(matches!(subject, Subject::Absent(_))),
        };
        Entry::new(subject, hashes, birth)
    }

    /// Whether no change since the load began concerns what it brought: neither by the key it was asked for,
    /// nor by the keys that the object turned out to have (C6).
    fn may_keep(&self, ticket: &Ticket, entry: &Entry<V>) -> bool {
        let untouched = |hash| self.generations.is_untouched(hash, ticket.start);
        match entry.is_absent() {
            true => {
                let key = ticket.key.by_ref();
                self.generations.is_current(key, ticket.hash, ticket.start)
            }
            false => untouched(ticket.hash) && entry.key_hashes().all(untouched),
        }
    }

    fn put_in(&mut self, index: &Index<V>, entry: Entry<V>, standing: Option<Standing>) {
        let is_absent = entry.is_absent();
        let budget = self.limits.budget(is_absent);
        if self.limits.life(is_absent) == 0 {
            return;
        }
        if entry.weight > budget / PART_MAX {
            self.counts.totals.rejected.too_big += 1;
            return;
        }
        self.make_room(index, is_absent, budget - entry.weight);
        let entry = Arc::new(entry);
        index.insert(&entry);
        self.residents(is_absent).insert(entry, standing);
    }

    /// Evicts until values, or absences, weigh at most `left`.
    fn make_room(&mut self, index: &Index<V>, is_absent: bool, left: u64) {
        let budget = self.limits.budget(is_absent);
        while self.residents(is_absent).bytes() > left {
            let victim = self.residents(is_absent).victim(budget);
            let victim = victim.expect("what weighs something lies here");
            self.take_out(index, &victim);
            self.counts.totals.evictions.size += 1;
        }
    }

    /// Takes an entry out of the index and out of its queue.
    fn take_out(&mut self, index: &Index<V>, entry: &Arc<Entry<V>>) -> Standing {
        index.remove(entry);
        self.residents(entry.is_absent()).remove(entry)
    }

    fn residents(&mut self, is_absent: bool) -> &mut Residents<V> {
        if is_absent {
            &mut self.absences
        } else {
            &mut self.values
        }
    }

    /// Makes what `change` names unusable, here and in loads under way.
    pub(crate) fn invalidate(&mut self, index: &Index<V>, change: &Change) {
        if *change == Change::default() {
            self.flush(index);
            return;
        }
        self.generations.bump(change, |key| index.hash(key));
        for key in change.keys() {
            if let Some(entry) = index.entry(key) {
                let (is_main, _) = entry.place();
                self.take_out(index, &entry);
                if is_main {
                    self.residents(entry.is_absent()).remember(&entry);
                }
                self.counts.totals.evictions.invalidate += 1;
            }
        }
    }

    /// Drops the absences of one kind of key: a change that told no name, or no id, may have filled any.
    pub(crate) fn drop_absences(&mut self, index: &Index<V>, is_named: bool) {
        let is_of_kind = |entry: &&Arc<Entry<V>>| match &entry.subject {
            Subject::Absent(Key::Name(_)) => is_named,
            Subject::Absent(Key::Id(_)) => !is_named,
            Subject::Found(_) => false,
        };
        let dropped: Vec<_> = self.absences.all().filter(is_of_kind).cloned().collect();
        for entry in &dropped {
            self.take_out(index, entry);
        }
        self.counts.totals.evictions.invalidate += dropped.len() as u64;
    }

    /// Drops everything; no load under way is kept or joined.
    pub(crate) fn flush(&mut self, index: &Index<V>) -> usize {
        self.generations.flush();
        index.reset(self.is_enabled);
        let dropped = self.values.clear() + self.absences.clear();
        self.backoff.clear();
        self.counts.totals.evictions.flush += dropped as u64;
        dropped
    }

    /// Switches the type on or off; nothing from before is kept. Nothing happens if it is so already.
    pub(crate) fn switch(&mut self, index: &Index<V>, is_enabled: bool) {
        if self.is_enabled != is_enabled {
            self.is_enabled = is_enabled;
            self.flush(index);
            self.counts.reset(index.read());
        }
    }

    /// Applies other limits to what lies here.
    pub(crate) fn set_limits(&mut self, index: &Index<V>, limits: Limits, now: Monotonic) {
        if limits.ttl != self.limits.ttl {
            self.counts.reset(index.read());
        }
        self.limits = limits;
        for is_absent in [false, true] {
            let all: Vec<_> = self.residents(is_absent).all().cloned().collect();
            for entry in &all {
                entry.shorten(limits.life(is_absent));
            }
            self.drop_useless(index, &all, now);
            self.make_room(index, is_absent, limits.budget(is_absent));
        }
    }

    /// Removes those of `entries` that are past their time and no longer good for failures.
    pub(crate) fn drop_useless(
        &mut self,
        index: &Index<V>,
        entries: &[Arc<Entry<V>>],
        now: Monotonic,
    ) -> usize {
        let window = nanos(self.limits.stale_if_error);
        let useless = entries.iter().filter(|entry| !entry.is_of_use(now, window));
        let mut count = 0;
        for entry in useless {
            self.take_out(index, entry);
            count += 1;
        }
        self.counts.totals.evictions.ttl += count as u64;
        count
    }
}

/// What lies under any key of `entry`, and under `key`; each once.
fn present<V: Cached>(index: &Index<V>, entry: &Entry<V>, key: KeyRef<'_>) -> Vec<Arc<Entry<V>>> {
    let mut present: Vec<Arc<Entry<V>>> = Vec::new();
    for found in entry.keys().chain([key]).filter_map(|key| index.entry(key)) {
        if !present.iter().any(|seen| Arc::ptr_eq(seen, &found)) {
            present.push(found);
        }
    }
    present
}

/// An entry takes at most this part of its budget: an eighth.
const PART_MAX: u64 = 8;
