//! What the type's mutex guards, and how a look-up waits: for a load of its own, for another's, or not.
//!
//! # Contract
//! * **One load a key** that look-ups join (C8, C17), and none that a change has overtaken (C2), or the TTL.
//! * **A load that failed is followed by a pause**, in which look-ups get what is kept for failures (D2).
//!
//! # Not here
//! What is kept, and changes of it: `keeping`.

use std::sync::Arc;

use remuda_clock::Monotonic;

use crate::{
    Cached, Limits,
    answer::{Answer, Loaded, LookUp},
    backoff::Backoff,
    counts::Counts,
    entry::{Entry, Subject, nanos},
    flights::{Begun, Flights},
    generations::Generations,
    index::Index,
    key::{Asked, Key},
    residents::Residents,
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
        if let Some(number) = self.joinable(&key, asked) {
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
        let is_under_way = self.joinable(&asked.key.to_key(), asked).is_some();
        if !self.is_enabled || self.flights.is_full() || is_under_way || !entry.claim_refresh() {
            return None;
        }
        Some(self.begin(asked, Kind::Refresh, Vec::new()))
    }

    fn begin(&mut self, asked: Asked<'_>, kind: Kind, waiters: Vec<W>) -> Ticket {
        let key = asked.key.to_key();
        let (start, at) = (self.generations.now(), asked.now);
        self.counts.begun(kind);
        Ticket {
            number: self.flights.begin(&key, Begun { start, at }, waiters),
            key,
            hash: asked.hash,
            kind,
            start,
            loaded_at: at,
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

    /// The load of `key` that a look-up may join: one that no change has overtaken, and that could still be
    /// used if it ended now. So a load that hangs gives nobody what is older than the TTL.
    fn joinable(&self, key: &Key, asked: Asked<'_>) -> Option<u64> {
        let (number, begun) = self.flights.latest(key)?;
        let is_current = self.generations.is_current(asked.key, asked.hash, begun.start);
        let is_young = asked.now.since(begun.at) < self.limits.ttl;
        (is_current && is_young).then_some(number)
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
