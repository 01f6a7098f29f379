//! What the type's mutex guards, and every change of what lies in the cache.
//!
//! # Contract
//! * **One critical section**: a change's number, the removal of what it names and the end of joining are one
//!   step, so a reader never finds an entry from before a change that has returned (§5.3.4 of the reference).
//! * **Index and residents agree**: [`State::take_out`] and [`State::put_in`] are the only ways.
//! * **The budget is never exceeded** after any operation (F4, F9).

use std::sync::Arc;

use remuda_clock::Monotonic;

use crate::{
    Cached, Limits,
    answer::{Answer, Loaded, LookUp},
    backoff::Backoff,
    counts::Counts,
    entry::{Birth, Entry, Subject, nanos},
    flights::Flights,
    generations::Generations,
    index::Index,
    key::{Asked, Change, Key, KeyRef},
    residents::{Residents, Standing},
    sync::Mutex,
    ticket::{Abandon, Kind, Ticket},
};

/// Everything of a type but the index.
pub(crate) struct State<V, W> {
    pub(crate) is_enabled: bool,
    pub(crate) limits: Limits,
    pub(crate) generations: Generations,
    pub(crate) flights: Flights<W>,
    pub(crate) backoff: Backoff,
    pub(crate) values: Residents<V>,
    pub(crate) absences: Residents<V>,
    pub(crate) counts: Counts,
}

impl<V: Cached, W> State<V, W> {
    pub(crate) fn new(is_enabled: bool, limits: Limits) -> Self {
        State {
            is_enabled,
            limits,
            generations: Generations::new(),
            flights: Flights::new(),
            backoff: Backoff::new(),
            values: Residents::new(),
            absences: Residents::new(),
            counts: Counts::default(),
        }
    }

    /// Lets a look-up that found nothing to use wait, or says why it does not. A ticket has no slot yet.
    pub(crate) fn miss(
        &mut self,
        asked: Asked<'_>,
        kept: Option<Arc<Entry<V>>>,
        waiter: impl FnOnce() -> W,
    ) -> LookUp<V> {
        let key = asked.key.to_key();
        self.counts.lookups += 1;
        if let Some(number) = self.joinable(&key, asked.hash) {
            let waiter = waiter();
            self.flights.join(number, waiter);
            return LookUp::Joined;
        }
        if self.backoff.holds(&key, asked.now) {
            let stale = self.stale(kept, asked.now);
            self.counts.refused(stale.is_some());
            return LookUp::Failing(stale);
        }
        if self.flights.is_full() {
            self.counts.refused(false);
            return LookUp::Crowded;
        }
        let waiters = vec![waiter()];
        LookUp::Load(self.begin(asked, Kind::Load, waiters))
    }

    /// Begins to load anew what `entry` holds, unless somebody does or that cannot be now.
    pub(crate) fn refresh(&mut self, asked: Asked<'_>, entry: &Entry<V>) -> Option<Ticket> {
        let is_under_way = self.joinable(&asked.key.to_key(), asked.hash).is_some();
        if !self.is_enabled || self.flights.is_full() || is_under_way || !entry.claim_refresh() {
            return None;
        }
        Some(self.begin(asked, Kind::Refresh, Vec::new()))
    }

    fn begin(&mut self, asked: Asked<'_>, kind: Kind, waiters: Vec<W>) -> Ticket {
        let key = asked.key.to_key();
        let start = self.generations.now();
        self.counts.begun(kind);
        Ticket {
            number: self.flights.begin(&key, start, waiters),
            key,
            hash: asked.hash,
            kind,
            start,
            loaded_at: asked.now,
            slot: None,
        }
    }

    /// Takes in what a load came to; gives the answer for those who waited.
    pub(crate) fn settle(
        &mut self,
        index: &Index<V>,
        ticket: &Ticket,
        loaded: Loaded<V>,
        now: Monotonic,
    ) -> Answer<V> {
        let subject = match &loaded {
            Loaded::Found(value) => Subject::Found(Arc::clone(value)),
            Loaded::NotFound => Subject::Absent(ticket.key.clone()),
            Loaded::Failed => {
                self.backoff.failed(&ticket.key, now);
                let stale = self.stale(index.entry(ticket.key.by_ref()), now);
                return stale.map_or(Answer::Unavailable, Answer::Stale);
            }
        };
        self.backoff.forget(&ticket.key);
        self.offer(index, ticket, subject, now);
        loaded.into()
    }

    /// The object that may answer for a failed load. A stale absence may not.
    fn stale(&self, kept: Option<Arc<Entry<V>>>, now: Monotonic) -> Option<Arc<V>> {
        let window = nanos(self.limits.stale_if_error);
        let kept = kept.filter(|entry| entry.is_of_use(now, window))?;
        kept.value().cloned()
    }

    /// The load of `key` that a look-up may join.
    fn joinable(&self, key: &Key, hash: u64) -> Option<u64> {
        let (number, start) = self.flights.latest(key)?;
        let is_current = self.generations.is_current(key.by_ref(), hash, start);
        is_current.then_some(number)
    }

    /// Keeps what `ticket` brought, unless it may be old, or is too big.
    fn offer(&mut self, index: &Index<V>, ticket: &Ticket, subject: Subject<V>, now: Monotonic) {
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
        if present.iter().any(|kept| kept.outlives(&entry, now)) {
            self.counts.totals.rejected.superseded += 1;
            return;
        }
        let mut standing = None;
        for kept in present {
            let stood = self.take_out(index, &kept);
            standing = standing.or(kept.is_same_row(&entry).then_some(stood));
        }
        self.put_in(index, entry, standing);
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

impl<V: Cached, W: Send + 'static> Abandon for Mutex<State<V, W>> {
    fn abandon(&self, ticket: &Ticket) {
        let waiters = {
            let mut state = self.lock();
            let waiters = state.flights.end(&ticket.key, ticket.number);
            state.counts.abandoned(waiters.len());
            waiters
        };
        drop(waiters);
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
