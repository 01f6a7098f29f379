//! What it costs to find who a recipient is, when all of it lies in memory.
//!
//! Over SQLite, which is asked before the measurement only: that is asserted. `make bench-resolve`.

#![allow(missing_docs, reason = "criterion's macros")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use remuda_clock::SystemClock;
use remuda_directory::{
    Directory,
    model::Kind,
    resolve::{ADDRESSES_MAX, From, Refusal, Verdict},
    store::sqlite::SqliteStore,
    switches::{Settings, Switches},
};
use remuda_mail::Address;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const MEMBERS: usize = 100;
/// Resolutions in one measurement.
const RESOLUTIONS: usize = 100;

/// A directory with one of each kind.
struct Bed {
    runtime: Runtime,
    directory: Directory,
    from: From,
    _dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory for the database");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let clock = SystemClock::shared();
        let store = SqliteStore::open(dir.path().join("directory.db"), clock.clone());
        let store = Arc::new(runtime.block_on(store).expect("a database"));
        let switches = Switches::open(for_a_day(), dir.path()).expect("switches");
        let sender = "member099@example.org".parse().expect("an address");
        let bed = Bed {
            runtime,
            directory: Directory::new(store, switches, clock),
            from: From {
                sender: Some(sender),
                login: None,
            },
            _dir: dir,
        };
        bed.fill();
        bed
    }

    fn fill(&self) {
        let member = |number| format!("member{number:03}@example.org");
        let members: Vec<_> = (0..MEMBERS).map(member).collect();
        self.add(Kind::Domain, json!({"name": "example.org"}));
        for address in members.iter().map(String::as_str).chain(["user1234@example.org"]) {
            self.add(Kind::Account, json!({"address": address}));
        }
        self.add(
            Kind::Alias,
            json!({"address": "sales@example.org", "targets": members[..3]}),
        );
        for (address, mode) in [("all@example.org", "public"), ("team@example.org", "membership")] {
            self.add(
                Kind::List,
                json!({"address": address, "mode": mode, "members": members}),
            );
        }
    }

    fn add(&self, kind: Kind, fields: Value) {
        let Value::Object(fields) = fields else {
            panic!("an object is written as one");
        };
        let created = self.runtime.block_on(self.directory.create(kind, fields));
        created.expect("a new object");
    }

    /// Resolves an address so often; the last verdict.
    fn resolve(&self, address: &Address, times: usize) -> Verdict {
        self.runtime.block_on(async {
            let mut verdict = Verdict::Refused(Refusal::Unknown);
            for _ in 0..times {
                let resolution = self.directory.resolve(address, &self.from, ADDRESSES_MAX);
                verdict = black_box(resolution.await.verdict);
            }
            verdict
        })
    }
}

/// Nothing is loaded anew while it is measured.
fn for_a_day() -> Settings {
    let mut settings = Settings::default();
    for kind in settings.kinds.values_mut() {
        kind.ttl = Duration::from_secs(86_400);
        kind.negative_ttl = kind.ttl;
    }
    settings
}

/// How many get the mail.
fn targets(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Deliver(targets) => targets.len(),
        Verdict::Refused(Refusal::Unknown) => 0,
        other => panic!("nobody is refused here: {other:?}"),
    }
}

fn warm(criterion: &mut Criterion) {
    let bed = Bed::new();
    let mut group = criterion.benchmark_group("resolve, warm");
    group.throughput(Throughput::Elements(RESOLUTIONS as u64));
    for (name, address, count) in [
        ("account", "user1234@example.org", 1),
        ("account, in capitals", "User1234@Example.ORG", 1),
        ("alias with 3 targets", "sales@example.org", 3),
        ("list with 100 members", "all@example.org", MEMBERS),
        ("list for its 100 members", "team@example.org", MEMBERS),
        ("unknown", "nobody@example.org", 0),
        ("external", "someone@elsewhere.test", 1),
    ] {
        let address: Address = address.parse().expect("an address");
        assert_eq!(targets(&bed.resolve(&address, 1)), count, "{name}");
        let before = bed.directory.loads();
        group.bench_function(name, |bencher| {
            bencher.iter(|| bed.resolve(&address, RESOLUTIONS));
        });
        assert_eq!(bed.directory.loads(), before, "no query for what is warm: {name}");
    }
}

criterion_group!(benches, warm);
criterion_main!(benches);
