//! What a look-up costs, beside moka and quick_cache as they are: without keys by id, TTL, absences, changes
//! or counts.
//!
//! Names of 24 octets, in an order that no cache can foresee. A hundred accounts lie in the processor's nearest
//! memory; ten thousand do not, and then waits for memory are most of what a look-up costs.
//! `make bench-object-cache`.

#![allow(missing_docs, reason = "criterion's macros")]

use std::{hint::black_box, sync::Arc, thread, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use remuda_clock::Monotonic;
use remuda_object_cache::{Cache, Cached, KeyRef, Limits, Loaded, LookUp};

/// How many accounts are in use.
const ACCOUNTS: [i64; 3] = [100, 1000, 10_000];
/// Look-ups of each thread in one measurement.
const LOOKUPS: usize = 100_000;
const HOT: i64 = 1000;
const ONE_SHOT: i64 = 1_000_000;
const NOW: Monotonic = Monotonic::ZERO;

struct Account {
    id: i64,
    name: Arc<str>,
}

impl Cached for Account {
    fn id(&self) -> i64 {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> i64 {
        1
    }

    fn weight(&self) -> usize {
        800
    }
}

fn account(id: i64) -> Arc<Account> {
    let name = format!("account{id:08}@mail.org").into();
    Arc::new(Account { id, name })
}

/// What all three can do.
trait Subject: Sync {
    fn get(&self, name: &str) -> bool;
    fn put(&self, account: Arc<Account>);
}

type Ours = Cache<Account, ()>;

impl Subject for Ours {
    fn get(&self, name: &str) -> bool {
        matches!(self.look_up(KeyRef::Name(name), NOW, || ()), LookUp::Hit { .. })
    }

    fn put(&self, account: Arc<Account>) {
        if let LookUp::Load(ticket) = self.look_up(KeyRef::Name(&account.name), NOW, || ()) {
            self.finish(ticket, Loaded::Found(Arc::clone(&account)), NOW);
        }
    }
}

type Moka = moka::sync::Cache<Arc<str>, Arc<Account>>;

impl Subject for Moka {
    fn get(&self, name: &str) -> bool {
        moka::sync::Cache::get(self, name).is_some()
    }

    fn put(&self, account: Arc<Account>) {
        self.insert(Arc::clone(&account.name), account);
    }
}

type Quick = quick_cache::sync::Cache<Arc<str>, Arc<Account>>;

impl Subject for Quick {
    fn get(&self, name: &str) -> bool {
        quick_cache::sync::Cache::get(self, name).is_some()
    }

    fn put(&self, account: Arc<Account>) {
        self.insert(Arc::clone(&account.name), account);
    }
}

/// Each with room for so many accounts.
fn subjects(room: i64) -> [(&'static str, Box<dyn Subject>); 3] {
    // What an account is counted with here: 800, its name, what an entry costs.
    let size = room.unsigned_abs() * (800 + 24 + 340);
    let limits = Limits {
        size,
        ttl: Duration::from_secs(86_400),
        ..Limits::default()
    };
    let items = usize::try_from(room).unwrap_or(usize::MAX);
    [
        ("remuda", Box::new(Ours::new(true, limits))),
        ("moka", Box::new(Moka::new(room.unsigned_abs()))),
        ("quick_cache", Box::new(Quick::new(items))),
    ]
}

/// Names in an order without a stride: the upper bits of a linear congruence (Knuth's MMIX).
fn names(accounts: i64) -> Vec<Arc<str>> {
    let accounts: Vec<_> = (0..accounts).map(|id| account(id).name.clone()).collect();
    let next = |state: &u64| {
        let next = state.wrapping_mul(6_364_136_223_846_793_005);
        Some(next.wrapping_add(1_442_695_040_888_963_407))
    };
    let order = std::iter::successors(Some(1u64), next).map(|state| (state >> 33) as usize % accounts.len());
    order.take(LOOKUPS).map(|at| Arc::clone(&accounts[at])).collect()
}

fn run(subject: &dyn Subject, names: &[Arc<str>]) {
    let hits = names.iter().filter(|name| subject.get(name)).count();
    assert_eq!(black_box(hits), names.len());
}

fn hits(criterion: &mut Criterion) {
    for accounts in ACCOUNTS {
        let names = names(accounts);
        let subjects = subjects(accounts * 2);
        for (_, subject) in &subjects {
            (0..accounts).for_each(|id| subject.put(account(id)));
        }
        for threads in [1, 2] {
            let mut group =
                criterion.benchmark_group(format!("hit, accounts: {accounts}, threads: {threads}"));
            group.throughput(Throughput::Elements((LOOKUPS * threads) as u64));
            for (name, subject) in &subjects {
                group.bench_function(*name, |bencher| {
                    bencher.iter(|| look_up_on(threads, &**subject, &names));
                });
            }
        }
    }
}

fn look_up_on(threads: usize, subject: &dyn Subject, names: &[Arc<str>]) {
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| run(subject, names));
        }
        run(subject, names);
    });
}

/// 1,000 cold look-ups of one key, and the end of the one load.
fn stampede(criterion: &mut Criterion) {
    let account = account(1);
    criterion.bench_function("stampede, 1,000 cold look-ups", |bencher| {
        bencher.iter_batched(
            || Ours::new(true, Limits::default()),
            |cache| {
                let mut ticket = None;
                for _ in 0..1000 {
                    if let LookUp::Load(load) = cache.look_up(KeyRef::Name(&account.name), NOW, || ()) {
                        ticket = Some(load);
                    }
                }
                let ticket = ticket.expect("the first one loads");
                let finished = cache.finish(ticket, Loaded::Found(Arc::clone(&account)), NOW);
                assert_eq!(finished.waiters.len(), 1000);
                cache
            },
            BatchSize::SmallInput,
        );
    });
}

/// A full cache, and a key that is asked for once after the other.
fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one-shot key in a full cache");
    for (name, subject) in &subjects(HOT * 2) {
        let mut next = 0;
        group.bench_function(*name, |bencher| {
            bencher.iter_batched(
                || {
                    next += 1;
                    account(next)
                },
                |account| subject.put(account),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    for (name, subject) in &subjects(HOT * 2) {
        let hot: Vec<_> = (0..HOT).map(account).collect();
        hot.iter().for_each(|account| subject.put(Arc::clone(account)));
        for account in hot.iter().chain(&hot) {
            subject.get(&account.name);
        }
        (HOT..HOT + ONE_SHOT).for_each(|id| subject.put(account(id)));
        let kept = hot.iter().filter(|account| subject.get(&account.name)).count();
        println!("{name}: {kept} of {HOT} hot keys kept through {ONE_SHOT} one-shot keys");
        assert!(
            *name != "remuda" || kept >= 990,
            "99 % of the hot keys are to stay"
        );
    }
}

criterion_group!(benches, hits, stampede, scan);
criterion_main!(benches);
