//! C12: look-ups, loads, changes and switches on several threads, under thousands of schedules.
//!
//! Each history is checked as that of a register whose versions only grow. It is linearisable if no look-up
//! sees less than a change that was told, or a look-up that ended, before it began; and none sees a version
//! whose write has not begun.
//!
//! `cargo test -p remuda-object-cache --features shuttle --test races`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remuda_clock::Monotonic;
use remuda_object_cache::{
    Answer, Cache, Cached, Cause, Change, Finished, KeyRef, Limits, Loaded, LookUp, Source, Ticket,
};
use shuttle::{
    sync::{
        Mutex,
        mpsc::{Sender, channel},
    },
    thread,
};

/// Schedules of each kind, of each test.
const SCHEDULES: usize = 2000;
const NAME: &str = "a@d";

struct Row {
    id: i64,
    name: &'static str,
    version: i64,
}

impl Cached for Row {
    fn id(&self) -> i64 {
        self.id
    }

    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn weight(&self) -> usize {
        100
    }
}

/// Something that happened between two instants, with the version that it read or wrote; 0: no such row.
#[derive(Clone, Copy, Debug)]
struct Event {
    is_write: bool,
    begin: u64,
    end: u64,
    version: i64,
}

/// A cache over row 1, and what has happened. The clock and the history are no steps of the schedule.
struct World {
    cache: Cache<Row, Sender<i64>>,
    version: Mutex<i64>,
    clock: AtomicU64,
    history: std::sync::Mutex<Vec<Event>>,
}

impl World {
    fn new(version: i64, limits: Limits) -> Arc<World> {
        Arc::new(World {
            cache: Cache::new(true, limits),
            version: Mutex::new(version),
            clock: AtomicU64::new(1),
            history: std::sync::Mutex::new(vec![Event {
                is_write: true,
                begin: 0,
                end: 0,
                version,
            }]),
        })
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn record(&self, is_write: bool, begin: u64, version: i64) {
        let end = self.tick();
        self.history.lock().unwrap().push(Event {
            is_write,
            begin,
            end,
            version,
        });
    }

    /// Commits a change, and lets `tell` tell the cache.
    fn write(&self, tell: impl FnOnce()) {
        let begin = self.tick();
        let version = {
            let mut version = self.version.lock().unwrap();
            *version += 1;
            *version
        };
        tell();
        self.record(true, begin, version);
    }

    fn query(&self) -> Loaded<Row> {
        let version = *self.version.lock().unwrap();
        match version {
            0 => Loaded::NotFound,
            version => Loaded::Found(Arc::new(Row {
                id: 1,
                name: NAME,
                version,
            })),
        }
    }

    fn end(&self, ticket: Ticket, now: Monotonic) -> i64 {
        let loaded = self.query();
        let Finished { waiters, answer } = self.cache.finish(ticket, loaded, now);
        let version = match answer {
            Answer::Found(row) => row.version,
            Answer::NotFound => 0,
            other => panic!(
                "no load fails here: {other:?}",
                other = std::mem::discriminant(&other)
            ),
        };
        for waiter in waiters {
            waiter.send(version).ok();
        }
        version
    }

    /// A whole look-up; one whose load was abandoned begins again.
    fn read(&self, key: KeyRef<'_>, now: Monotonic) {
        let begin = self.tick();
        let version = loop {
            let (sender, receiver) = channel();
            match self.cache.look_up(key, now, || sender) {
                LookUp::Hit { value, refresh } => {
                    if let Some(ticket) = refresh {
                        self.end(ticket, now);
                    }
                    break value.version;
                }
                LookUp::Absent => break 0,
                LookUp::Load(ticket) | LookUp::Bypass(ticket) => break self.end(ticket, now),
                LookUp::Joined => {
                    if let Ok(version) = receiver.recv() {
                        break version;
                    }
                }
                LookUp::Failing(_) | LookUp::Crowded => panic!("no load fails here"),
            }
        };
        self.record(false, begin, version);
    }

    /// Panics unless the history is linearisable and the books agree.
    fn check(&self) {
        self.read(KeyRef::Name(NAME), Monotonic::ZERO);
        self.read(KeyRef::Id(1), Monotonic::ZERO);
        self.cache.assert_consistent();
        assert_eq!(self.cache.statistics().gauges.in_flight, 0);
        let history = self.history.lock().unwrap();
        for later in history.iter().filter(|event| !event.is_write) {
            for earlier in history.iter().filter(|event| event.end < later.begin) {
                assert!(
                    earlier.version <= later.version,
                    "{later:?} after {earlier:?}: {history:?}"
                );
            }
            let mut writes = history.iter().filter(|event| event.is_write);
            let write = writes
                .find(|write| write.version == later.version)
                .expect("somebody wrote it");
            assert!(write.begin < later.end, "{later:?} before {write:?}");
        }
    }
}

/// Runs `scenario` at random, and with few switches at the worst places.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), SCHEDULES);
    shuttle::check_pct(scenario, SCHEDULES, 4);
}

/// Runs `jobs` on a thread each, then checks.
fn race(world: &Arc<World>, jobs: Vec<Box<dyn FnOnce(&World) + Send>>) {
    let run = |job: Box<dyn FnOnce(&World) + Send>| {
        let world = Arc::clone(world);
        thread::spawn(move || job(&world))
    };
    let threads: Vec<_> = jobs.into_iter().map(run).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    world.check();
}

fn reads(keys: &'static [KeyRef<'static>], now: Monotonic) -> Box<dyn FnOnce(&World) + Send> {
    Box::new(move |world| keys.iter().for_each(|key| world.read(*key, now)))
}

fn change(id: Option<i64>, old: Option<&str>, new: Option<&str>) -> Change {
    Change {
        id,
        old: old.map(Into::into),
        new: new.map(Into::into),
    }
}

const BY_NAME: &[KeyRef<'static>] = &[KeyRef::Name(NAME), KeyRef::Id(1), KeyRef::Name(NAME)];
const BY_ID: &[KeyRef<'static>] = &[KeyRef::Id(1), KeyRef::Name(NAME), KeyRef::Id(1)];

fn changes(told: Change) -> Box<dyn FnOnce(&World) + Send> {
    Box::new(move |world| {
        for _ in 0..2 {
            world.write(|| world.cache.invalidate(std::slice::from_ref(&told), Source::Admin));
        }
    })
}

fn look_ups_against(version: i64, told: &Change) {
    let told = told.clone();
    explore(move || {
        let world = World::new(version, Limits::default());
        let readers = [reads(BY_NAME, Monotonic::ZERO), reads(BY_ID, Monotonic::ZERO)];
        race(
            &world,
            readers.into_iter().chain([changes(told.clone())]).collect(),
        );
    });
}

/// C1, C2, C3, C5 in every order: the row is created, then changed, as all its keys tell.
#[test]
fn look_ups_and_changes_are_linearisable() {
    look_ups_against(0, &change(Some(1), Some(NAME), Some(NAME)));
}

/// C6.
#[test]
fn look_ups_and_changes_that_tell_an_id_are_linearisable() {
    look_ups_against(0, &change(Some(1), None, None));
}

#[test]
fn look_ups_and_changes_that_tell_a_name_are_linearisable() {
    look_ups_against(0, &change(None, None, Some(NAME)));
}

/// C13.
#[test]
fn look_ups_and_clears_are_linearisable() {
    explore(|| {
        let world = World::new(1, Limits::default());
        let clears = |world: &World| {
            for cause in [Cause::Admin, Cause::Push] {
                world.write(|| _ = world.cache.clear(cause));
            }
        };
        let readers = [reads(BY_NAME, Monotonic::ZERO), reads(BY_ID, Monotonic::ZERO)];
        race(
            &world,
            readers.into_iter().chain([Box::new(clears) as _]).collect(),
        );
    });
}

/// C4: the write lies between off and on.
#[test]
fn look_ups_and_switches_are_linearisable() {
    explore(|| {
        let world = World::new(1, Limits::default());
        let switches = |world: &World| {
            for _ in 0..2 {
                world.cache.disable();
                world.write(|| world.cache.enable());
            }
        };
        let readers = [reads(BY_NAME, Monotonic::ZERO), reads(BY_ID, Monotonic::ZERO)];
        race(
            &world,
            readers.into_iter().chain([Box::new(switches) as _]).collect(),
        );
    });
}

/// C16: what lies in the cache is due, so that a hit loads it anew.
#[test]
fn refreshes_and_changes_are_linearisable() {
    explore(|| {
        let world = World::new(1, Limits::default());
        world.read(KeyRef::Name(NAME), Monotonic::ZERO);
        let late = Monotonic::ZERO + Duration::from_secs(50);
        let told = change(Some(1), Some(NAME), Some(NAME));
        race(
            &world,
            vec![reads(BY_NAME, late), reads(BY_ID, late), changes(told)],
        );
    });
}

/// C10: a loader that gives up.
#[test]
fn abandoned_loads_and_changes_are_linearisable() {
    explore(|| {
        let world = World::new(1, Limits::default());
        let gives_up = |world: &World| {
            let (sender, _receiver) = channel();
            if let LookUp::Load(ticket) = world
                .cache
                .look_up(KeyRef::Name(NAME), Monotonic::ZERO, || sender)
            {
                thread::yield_now();
                drop(ticket);
            }
        };
        let told = change(Some(1), Some(NAME), Some(NAME));
        race(
            &world,
            vec![reads(BY_NAME, Monotonic::ZERO), Box::new(gives_up), changes(told)],
        );
    });
}

/// Room for little, other limits, and sweeps: entries leave while they are looked up.
#[test]
fn look_ups_and_evictions_are_linearisable() {
    explore(|| {
        let world = World::new(1, Limits::default());
        let crowds = |world: &World| {
            let size = 8 * 400;
            world.cache.set_limits(
                Limits {
                    size,
                    ..Limits::default()
                },
                Monotonic::ZERO,
            );
            for id in 2..12 {
                let (sender, _receiver) = channel();
                if let LookUp::Load(ticket) = world.cache.look_up(KeyRef::Id(id), Monotonic::ZERO, || sender)
                {
                    let name = ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k"][id as usize - 2];
                    let row = Arc::new(Row { id, name, version: 1 });
                    world.cache.finish(ticket, Loaded::Found(row), Monotonic::ZERO);
                }
            }
            world.cache.sweep(Monotonic::ZERO + Duration::from_secs(1000), 3);
        };
        let told = change(Some(1), None, None);
        race(
            &world,
            vec![reads(BY_NAME, Monotonic::ZERO), Box::new(crowds), changes(told)],
        );
    });
}
