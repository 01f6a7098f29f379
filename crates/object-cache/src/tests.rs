//! Rules of the cache, by theme, over a database that counts its queries.

mod absences;
mod changes;
mod failures;
mod loads;
mod memory;
mod model;
mod switches;
mod time;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
    time::Duration,
};

use remuda_clock::Monotonic;

use crate::*;

/// A row as the tests know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) weight: usize,
}

impl Cached for Row {
    fn id(&self) -> i64 {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

pub(crate) fn row(id: i64, name: &str, version: i64) -> Arc<Row> {
    let name = name.to_owned();
    let weight = 200;
    Arc::new(Row {
        id,
        name,
        version,
        weight,
    })
}

/// So many milliseconds after the start.
pub(crate) fn ms(millis: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_millis(millis)
}

/// So many seconds after the start.
pub(crate) fn s(seconds: u64) -> Monotonic {
    ms(seconds * 1000)
}

pub(crate) fn name(name: &str) -> KeyRef<'_> {
    KeyRef::Name(name)
}

pub(crate) fn id(id: i64) -> KeyRef<'static> {
    KeyRef::Id(id)
}

/// A change with everything that is known of it.
pub(crate) fn change(id: impl Into<Option<i64>>, old: &str, new: &str) -> Change {
    let named = |name: &str| (!name.is_empty()).then(|| name.into());
    Change {
        id: id.into(),
        old: named(old),
        new: named(new),
    }
}

/// What a look-up came to in the end: the row's version, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Found(i64),
    NotFound,
    Stale(i64),
    Unavailable,
}

/// A cache over a small database, without anything between a query and its answer.
pub(crate) struct Bed {
    pub(crate) cache: Cache<Row, u32>,
    pub(crate) rows: RefCell<BTreeMap<i64, Arc<Row>>>,
    pub(crate) queries: Cell<u64>,
    pub(crate) is_down: Cell<bool>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Bed::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Bed {
            cache: Cache::new(true, limits),
            rows: RefCell::default(),
            queries: Cell::new(0),
            is_down: Cell::new(false),
        }
    }

    /// With `a@d` as row 1, version 1.
    pub(crate) fn with_row() -> Self {
        let bed = Bed::new();
        bed.put(row(1, "a@d", 1));
        bed
    }

    /// Changes the database directly: nobody tells the cache.
    pub(crate) fn put(&self, row: Arc<Row>) {
        self.rows.borrow_mut().insert(row.id, row);
    }

    pub(crate) fn delete(&self, id: i64) {
        self.rows.borrow_mut().remove(&id);
    }

    /// Tells the cache as the admin interface does.
    pub(crate) fn tell(&self, change: Change) {
        self.cache.invalidate(&[change], Source::Admin);
        self.cache.assert_consistent();
    }

    pub(crate) fn query(&self, key: &Key) -> Loaded<Row> {
        self.queries.set(self.queries.get() + 1);
        if self.is_down.get() {
            return Loaded::Failed;
        }
        let rows = self.rows.borrow();
        let found = match key {
            Key::Id(id) => rows.get(id),
            Key::Name(name) => rows.values().find(|row| row.name == **name),
        };
        found.map_or(Loaded::NotFound, |row| Loaded::Found(Arc::clone(row)))
    }

    /// Begins a look-up that must load.
    pub(crate) fn begin(&self, key: KeyRef<'_>, now: Monotonic, waiter: u32) -> Ticket {
        match self.cache.look_up(key, now, || waiter) {
            LookUp::Load(ticket) => ticket,
            other => panic!("{key:?} is to be loaded, and not {other:?}"),
        }
    }

    /// Reads and hands in, at once.
    pub(crate) fn end(&self, ticket: Ticket, now: Monotonic) -> Finished<Row, u32> {
        let loaded = self.query(ticket.key());
        self.hand_in(ticket, loaded, now)
    }

    /// Hands in what was read before.
    pub(crate) fn hand_in(&self, ticket: Ticket, loaded: Loaded<Row>, now: Monotonic) -> Finished<Row, u32> {
        let finished = self.cache.finish(ticket, loaded, now);
        self.cache.assert_consistent();
        finished
    }

    fn answer(&self, ticket: Ticket, now: Monotonic) -> Got {
        let loaded = self.query(ticket.key());
        got(&self.cache.finish(ticket, loaded, now).answer)
    }

    /// A whole look-up, with the refresh that it may cause.
    pub(crate) fn get(&self, key: KeyRef<'_>, now: Monotonic) -> Got {
        match self.cache.look_up(key, now, || 0) {
            LookUp::Hit { value, refresh } => {
                if let Some(ticket) = refresh {
                    self.answer(ticket, now);
                }
                Got::Found(value.version)
            }
            LookUp::Absent => Got::NotFound,
            LookUp::Load(ticket) | LookUp::Bypass(ticket) => self.answer(ticket, now),
            LookUp::Failing(Some(value)) => Got::Stale(value.version),
            LookUp::Failing(None) | LookUp::Crowded => Got::Unavailable,
            LookUp::Joined => panic!("nobody else loads"),
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.cache.statistics()
    }
}

pub(crate) fn got(answer: &Answer<Row>) -> Got {
    match answer {
        Answer::Found(row) => Got::Found(row.version),
        Answer::NotFound => Got::NotFound,
        Answer::Stale(row) => Got::Stale(row.version),
        Answer::Unavailable => Got::Unavailable,
    }
}
