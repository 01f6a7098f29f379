//! The cache against a database that remembers all its states, over random histories.
//!
//! Each answer must be a state that its key had in the database, and a recent one: not from before a change
//! that was told before the look-up began, not older than the TTL. Loads are held open, read at some time and
//! end in any order; changes are told late, with all their keys in any order, or with some in theirs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["a@d", "b@d", "c@d", "d@d"];
const TTL: Duration = Duration::from_secs(60);
const STALE: Duration = Duration::from_secs(100);

#[derive(Clone, Debug)]
enum Step {
    /// Renames, creates or (without a name) deletes a row.
    Write(i64, Option<usize>),
    /// Tells one of the changes that are not told yet, the first being the oldest; by all its keys, its id or
    /// its names.
    Tell(usize, u8),
    LookUp(Asking),
    Read(usize, bool),
    Finish(usize),
    Abandon(usize),
    Clear,
    Switch(bool),
    Limit(u64, u64),
    Sweep(usize),
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum Asking {
    Id(i64),
    Name(usize),
}

impl Asking {
    fn key(self) -> KeyRef<'static> {
        match self {
            Asking::Id(id) => KeyRef::Id(id),
            Asking::Name(at) => KeyRef::Name(NAMES[at]),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let asking = prop_oneof![(1..4i64).prop_map(Asking::Id), (0..4usize).prop_map(Asking::Name)];
    prop_oneof![
        4 => (1..4i64, prop::option::weighted(0.8, 0..4usize)).prop_map(|(id, to)| Step::Write(id, to)),
        4 => (0..4usize, 0..3u8).prop_map(|(which, form)| Step::Tell(which, form)),
        12 => asking.prop_map(Step::LookUp),
        4 => (0..4usize, prop::bool::weighted(0.8)).prop_map(|(load, works)| Step::Read(load, works)),
        7 => (0..4usize).prop_map(Step::Finish),
        1 => (0..4usize).prop_map(Step::Abandon),
        1 => Just(Step::Clear),
        1 => prop::bool::weighted(0.7).prop_map(Step::Switch),
        1 => (prop::sample::select(vec![0u64, 5, 60]), 0..3000u64).prop_map(|(ttl, size)| Step::Limit(ttl, size)),
        1 => (0..4usize).prop_map(Step::Sweep),
        3 => prop::sample::select(vec![100u64, 3_000, 12_000, 50_000, 61_000]).prop_map(Step::Wait),
    ]
}

/// What waits: says by its drop that nobody answers it.
struct Waiter {
    number: u32,
    dropped: Arc<Mutex<BTreeSet<u32>>>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.dropped.lock().unwrap().insert(self.number);
    }
}

/// One row of a snapshot: its name and its version.
type Rows = BTreeMap<i64, (usize, i64)>;

/// A look-up that has begun, and what it must not see any more.
#[derive(Clone, Copy, Debug)]
struct Begun {
    asking: Asking,
    floor: usize,
}

struct Open {
    ticket: Ticket,
    read: Option<Loaded<Row>>,
    bypass: Option<Begun>,
}

struct World {
    cache: Cache<Row, Waiter>,
    now: Monotonic,
    ttl: Duration,
    /// After each commit, with its time; the first is the empty database.
    snapshots: Vec<(Monotonic, Rows)>,
    /// With the number of the commit.
    untold: Vec<(usize, Change)>,
    /// The latest commit of the key that was told.
    told: HashMap<Key, usize>,
    told_all: usize,
    open: Vec<Open>,
    waiting: BTreeMap<u32, Begun>,
    dropped: Arc<Mutex<BTreeSet<u32>>>,
    next: u32,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            ttl: TTL,
            size: 10_000,
            negative_size: 1_000,
            stale_if_error: STALE,
            ..Limits::default()
        };
        World {
            cache: Cache::new(true, limits),
            now: Monotonic::ZERO,
            ttl: TTL,
            snapshots: vec![(Monotonic::ZERO, Rows::new())],
            untold: Vec::new(),
            told: HashMap::new(),
            told_all: 0,
            open: Vec::new(),
            waiting: BTreeMap::new(),
            dropped: Arc::default(),
            next: 0,
        }
    }

    fn commits(&self) -> usize {
        self.snapshots.len() - 1
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write(id, to) => self.write(id, to),
            Step::Tell(which, form) => self.tell(which, form),
            Step::LookUp(asking) => self.look_up(asking),
            Step::Read(load, works) => self.read(load, works),
            Step::Finish(load) => self.finish(load),
            Step::Abandon(load) => self.abandon(load),
            Step::Clear => {
                self.cache.clear(Cause::Reconnect);
                self.told_all = self.commits();
            }
            Step::Switch(on) => {
                if on {
                    self.cache.enable()
                } else {
                    self.cache.disable()
                }
            }
            Step::Limit(ttl, size) => {
                self.ttl = Duration::from_secs(ttl);
                let limits = Limits {
                    ttl: self.ttl,
                    size,
                    ..self.cache.limits()
                };
                self.cache.set_limits(limits, self.now);
            }
            Step::Sweep(at_most) => drop(self.cache.sweep(self.now, at_most)),
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
        }
        self.cache.assert_consistent();
    }

    fn write(&mut self, id: i64, to: Option<usize>) {
        let mut rows = self.snapshots[self.commits()].1.clone();
        if rows.iter().any(|(other, row)| *other != id && Some(row.0) == to) {
            return;
        }
        let version = i64::try_from(self.snapshots.len()).unwrap();
        let old = rows.remove(&id).map(|row| NAMES[row.0].into());
        if let Some(to) = to {
            rows.insert(id, (to, version));
        }
        let new = to.map(|to| NAMES[to].into());
        self.snapshots.push((self.now, rows));
        if old.is_some() || new.is_some() {
            let change = Change {
                id: Some(id),
                old,
                new,
            };
            self.untold.push((self.commits(), change));
        }
    }

    fn tell(&mut self, which: usize, form: u8) {
        if which >= self.untold.len() {
            return;
        }
        let (commit, change) = self.untold.remove(which);
        for key in change.keys() {
            let told = self.told.entry(key.to_key()).or_default();
            *told = commit.max(*told);
        }
        // By a part of its keys only in the order of the commits.
        let told = match form {
            _ if which > 0 => change,
            0 => change,
            1 => Change {
                old: None,
                new: None,
                ..change
            },
            _ => Change { id: None, ..change },
        };
        self.cache.invalidate(&[told], Source::Poll);
    }

    /// The first commit that a look-up beginning now may still see.
    fn floor(&self, asking: Asking, age: Duration) -> usize {
        let told = self
            .told
            .get(&asking.key().to_key())
            .copied()
            .unwrap_or(0)
            .max(self.told_all);
        let old = |time: Monotonic| time + age <= self.now;
        let expired = self
            .snapshots
            .iter()
            .rposition(|(time, _)| old(*time))
            .unwrap_or(0);
        told.max(expired)
    }

    /// Panics unless the key had this state at `floor` or later.
    fn check(&self, begun: Begun, value: Option<&Row>, what: &str) {
        let state = |(_, rows): &(Monotonic, Rows)| {
            let found = rows.iter().find(|(id, row)| match begun.asking {
                Asking::Id(wanted) => **id == wanted,
                Asking::Name(wanted) => row.0 == wanted,
            });
            found.map(|(id, row)| (*id, NAMES[row.0], row.1))
        };
        let value = value.map(|row| (row.id, row.name.as_str(), row.version));
        let is_right = self.snapshots[begun.floor..]
            .iter()
            .any(|snapshot| state(snapshot) == value);
        assert!(
            is_right,
            "{what}: {begun:?} got {value:?} of {:?}",
            self.snapshots
        );
    }

    fn look_up(&mut self, asking: Asking) {
        let begun = Begun {
            asking,
            floor: self.floor(asking, self.ttl),
        };
        let own = Begun {
            asking,
            floor: self.commits(),
        };
        let (number, dropped) = (self.next, Arc::clone(&self.dropped));
        self.next += 1;
        let open = |ticket, bypass| Open {
            ticket,
            read: None,
            bypass,
        };
        match self
            .cache
            .look_up(asking.key(), self.now, || Waiter { number, dropped })
        {
            LookUp::Hit { value, refresh } => {
                self.check(begun, Some(&value), "hit");
                self.open.extend(refresh.map(|ticket| open(ticket, None)));
            }
            LookUp::Absent => self.check(begun, None, "absent"),
            LookUp::Load(ticket) => {
                self.waiting.insert(number, own);
                self.open.push(open(ticket, None));
            }
            LookUp::Joined => drop(self.waiting.insert(number, begun)),
            LookUp::Bypass(ticket) => self.open.push(open(ticket, Some(own))),
            LookUp::Failing(Some(value)) => {
                let floor = self.floor(asking, TTL + STALE);
                self.check(Begun { asking, floor }, Some(&value), "stale in the pause");
            }
            LookUp::Failing(None) => {}
            LookUp::Crowded => panic!("so few loads are no crowd"),
        }
    }

    fn read(&mut self, load: usize, works: bool) {
        let Some(open) = self.open.get_mut(load) else {
            return;
        };
        let rows = &self.snapshots[self.snapshots.len() - 1].1;
        let found = rows.iter().find(|(id, row)| match open.ticket.key() {
            Key::Id(wanted) => *id == wanted,
            Key::Name(wanted) => NAMES[row.0] == &**wanted,
        });
        let loaded = match found {
            _ if !works => Loaded::Failed,
            Some((id, (at, version))) => Loaded::Found(super::row(*id, NAMES[*at], *version)),
            None => Loaded::NotFound,
        };
        open.read.get_or_insert(loaded);
    }

    fn finish(&mut self, load: usize) {
        self.read(load, true);
        if load >= self.open.len() {
            return;
        }
        let Open { ticket, read, bypass } = self.open.remove(load);
        let finished = self.cache.finish(ticket, read.expect("just read"), self.now);
        let numbers = finished.waiters.iter().map(|waiter| waiter.number);
        let begun = numbers
            .map(|number| self.waiting.remove(&number).expect("waits, once"))
            .chain(bypass);
        for begun in begun.collect::<Vec<_>>() {
            match &finished.answer {
                Answer::Found(value) => self.check(begun, Some(value), "found"),
                Answer::NotFound => self.check(begun, None, "not found"),
                Answer::Stale(value) => {
                    let expired = self.floor(begun.asking, TTL + STALE).min(begun.floor);
                    self.check(
                        Begun {
                            floor: expired,
                            ..begun
                        },
                        Some(value),
                        "stale",
                    );
                }
                Answer::Unavailable => {}
            }
        }
    }

    fn abandon(&mut self, load: usize) {
        if load < self.open.len() {
            self.dropped.lock().unwrap().clear();
            drop(self.open.remove(load));
            for number in self.dropped.lock().unwrap().iter() {
                self.waiting.remove(number).expect("waited, once");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_cache_agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        while !world.open.is_empty() {
            world.finish(0);
        }
        world.cache.assert_consistent();
        prop_assert!(world.waiting.is_empty(), "every waiter comes out again");
        prop_assert_eq!(world.cache.statistics().gauges.in_flight, 0);
    }
}
