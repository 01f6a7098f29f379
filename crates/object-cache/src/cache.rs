//! The cache of one type of object: what callers do with it.
//!
//! # Contract
//! As the crate says; this file is the order of locks: a look-up first reads one shard, and takes the type's
//! mutex only if that has no answer. Everything else takes the mutex, and shards within it.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use remuda_clock::Monotonic;

use crate::{
    Cached, Limits,
    answer::{Finished, Loaded, LookUp, Peeked},
    entry::{Entry, nanos},
    index::{Index, Probe},
    key::{Asked, Change, KeyRef},
    state::State,
    statistics::{Cause, Gauges, Source, Statistics},
    sync::Mutex,
    ticket::{Kind, Ticket},
};

/// The objects of one type, by id and by name. `W` is what waits for a load, for instance the sending half
/// of a channel; dropping it must tell the one who waits that the load failed.
pub struct Cache<V, W> {
    pub(crate) index: Index<V>,
    pub(crate) state: Arc<Mutex<State<V, W>>>,
}

impl<V: Cached, W: Send + 'static> Cache<V, W> {
    /// An empty cache.
    pub fn new(is_enabled: bool, limits: Limits) -> Self {
        Cache {
            index: Index::new(is_enabled),
            state: Arc::new(Mutex::new(State::new(is_enabled, limits))),
        }
    }

    /// Answers what is known of `key`, or says who loads it.
    ///
    /// `waiter` is called only where the answer is `Load` or `Joined`, under a lock: it must not call the
    /// cache. What it gives comes back from [`finish`](Self::finish), or is dropped with the ticket.
    pub fn look_up(&self, key: KeyRef<'_>, now: Monotonic, waiter: impl FnOnce() -> W) -> LookUp<V> {
        let hash = self.index.hash(key);
        let asked = Asked { key, hash, now };
        match self.index.probe(asked) {
            Probe::Hit(value) => LookUp::Hit { value, refresh: None },
            Probe::Absent => LookUp::Absent,
            Probe::Due(value, entry) => self.hit_late(asked, value, &entry),
            Probe::Disabled => LookUp::Bypass(Ticket::bypass(asked)),
            Probe::Miss(_) => self.look_up_again(asked, waiter),
        }
    }

    /// The value under `key`, counted as a hit, if there is one to use now; whoever gets a ticket loads it anew. Anything
    /// else is no look-up: nothing is counted, loaded or waited for.
    pub fn hit(&self, key: KeyRef<'_>, now: Monotonic) -> Option<(Arc<V>, Option<Ticket>)> {
        let hash = self.index.hash(key);
        let asked = Asked { key, hash, now };
        let (value, due) = self.index.value(asked)?;
        let refresh = due.and_then(|entry| self.state.lock().refresh(asked, &entry));
        Some((value, refresh.map(|ticket| self.hold(ticket))))
    }

    /// Decides under the mutex: what a reader missed may have come meanwhile.
    fn look_up_again(&self, asked: Asked<'_>, waiter: impl FnOnce() -> W) -> LookUp<V> {
        let mut state = self.state.lock();
        match self.index.probe(asked) {
            Probe::Hit(value) => LookUp::Hit { value, refresh: None },
            Probe::Absent => LookUp::Absent,
            Probe::Disabled => LookUp::Bypass(Ticket::bypass(asked)),
            Probe::Due(value, entry) => {
                drop(state);
                self.hit_late(asked, value, &entry)
            }
            Probe::Miss(kept) => match state.miss(asked, kept, waiter) {
                LookUp::Load(ticket) => LookUp::Load(self.hold(ticket)),
                other => other,
            },
        }
    }

    /// A hit after 80 % of the life: the first one also loads, unless that cannot be now.
    fn hit_late(&self, asked: Asked<'_>, value: Arc<V>, entry: &Entry<V>) -> LookUp<V> {
        let refresh = self.state.lock().refresh(asked, entry);
        LookUp::Hit {
            value,
            refresh: refresh.map(|ticket| self.hold(ticket)),
        }
    }

    /// Makes a ticket free its slot when it is dropped.
    fn hold(&self, mut ticket: Ticket) -> Ticket {
        let state: Weak<Mutex<State<V, W>>> = Arc::downgrade(&self.state);
        ticket.slot = Some(state);
        ticket
    }

    /// Ends a load: keeps what it brought if that is still right, and gives who waited with the answer for
    /// them.
    pub fn finish(&self, mut ticket: Ticket, loaded: Loaded<V>, now: Monotonic) -> Finished<V, W> {
        ticket.slot = None;
        if ticket.kind == Kind::Bypass {
            let (waiters, answer) = (Vec::new(), loaded.into());
            return Finished { waiters, answer };
        }
        let mut state = self.state.lock();
        let waiters = state.flights.end(&ticket.key, ticket.number);
        let answer = state.settle(&self.index, &ticket, loaded, now);
        state.counts.ended(ticket.kind, &answer, waiters.len());
        Finished { waiters, answer }
    }

    /// Makes what has changed unusable: every look-up that begins after this returns sees the change, or a
    /// later one. Call it after the commit, also after one of unknown outcome, and before the reply.
    pub fn invalidate(&self, changed: &[Change], source: Source) {
        let mut state = self.state.lock();
        *state.counts.totals.invalidations.of(source) += changed.len() as u64;
        for change in changed {
            state.invalidate(&self.index, change);
        }
        if changed.iter().any(|change| !change.is_named()) {
            state.drop_absences(&self.index, true);
        }
        if changed.iter().any(|change| change.id.is_none()) {
            state.drop_absences(&self.index, false);
        }
    }

    /// Drops everything, and keeps nothing that is being loaded; gives how much it was.
    pub fn clear(&self, cause: Cause) -> usize {
        let mut state = self.state.lock();
        *state.counts.totals.flushes.of(cause) += 1;
        if cause == Cause::Admin {
            state.counts.reset(self.index.read());
        }
        state.flush(&self.index)
    }

    /// Applies other limits, at once and to what lies here; a shorter life stays short for what was loaded
    /// before, a longer one holds for what is loaded from now on. Another TTL starts the rates anew. O(n).
    pub fn set_limits(&self, limits: Limits, now: Monotonic) {
        self.state.lock().set_limits(&self.index, limits, now);
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.state.lock().limits
    }

    /// Drops everything and answers nothing from now on; nothing loaded before is ever kept.
    pub fn disable(&self) {
        self.state.lock().switch(&self.index, false);
    }

    /// Answers again, from empty, with the rates from zero.
    pub fn enable(&self) {
        self.state.lock().switch(&self.index, true);
    }

    /// Whether look-ups are answered from here.
    pub fn is_enabled(&self) -> bool {
        self.state.lock().is_enabled
    }

    /// What lies under `key`, past its time or not; neither counted nor remembered as a use (F13).
    pub fn peek(&self, key: KeyRef<'_>, now: Monotonic) -> Option<Peeked<V>> {
        let entry = self.index.entry(key)?;
        Some(Peeked {
            value: entry.value().cloned(),
            age: now.since(entry.birth.loaded_at),
            expires_in: entry.expires_in(now),
            version: entry.value().map(|value| value.version()),
            weight: entry.weight,
            is_refreshed: entry.birth.is_refreshed,
        })
    }

    /// What may stand in for a load that is not waited for any longer: the object under `key`, and whether it is
    /// within its time; else it may only what [`Answer::Stale`](crate::Answer::Stale) may. Neither counted nor remembered as a use.
    pub fn remembered(&self, key: KeyRef<'_>, now: Monotonic) -> Option<(Arc<V>, bool)> {
        let window = nanos(self.limits().stale_if_error);
        let entry = self.index.entry(key)?;
        let value = entry.value().filter(|_| entry.is_of_use(now, window))?;
        Some((Arc::clone(value), entry.is_usable(now)))
    }

    /// What was counted, and what lies here. Changes nothing (F13).
    pub fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        let mut statistics = state.counts.statistics(self.index.read());
        statistics.gauges = Gauges {
            entries: state.values.len() as u64,
            absences: state.absences.len() as u64,
            bytes: state.values.bytes(),
            negative_bytes: state.absences.bytes(),
            in_flight: state.flights.len() as u64,
        };
        statistics
    }

    /// Starts the rates anew; exported counts go on.
    pub fn reset_statistics(&self) {
        let mut state = self.state.lock();
        state.counts.reset(self.index.read());
    }

    /// Looks at the next `at_most` objects and as many absences, in turn, and drops those that are past their
    /// time and no longer good for failures; gives how many. Called now and then, it returns idle memory.
    pub fn sweep(&self, now: Monotonic, at_most: usize) -> usize {
        let mut state = self.state.lock();
        let mut slice = state.values.slice(at_most);
        slice.extend(state.absences.slice(at_most));
        state.backoff.sweep(now, at_most);
        state.drop_useless(&self.index, &slice, now)
    }

    /// Panics if the books contradict each other or a limit is exceeded. O(n); for tests.
    pub fn assert_consistent(&self) {
        self.state.lock().assert_consistent(&self.index);
    }
}

impl<V, W> fmt::Debug for Cache<V, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
