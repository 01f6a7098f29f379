//! The directory over a SQLite file that a test holds, breaks and counts, under paused time: what is the same on
//! every store.

mod attacks;
mod coherence;
mod failures;
mod routes;

use std::{sync::Arc, time::Duration};

use remuda_clock::SystemClock;
use serde_json::{Value, json};

use super::object;
use crate::{
    Directory,
    found::Found,
    model::{Account, Kind, Object},
    resolve::{From, Verdict},
    store::{double::Double, sqlite::SqliteStore},
    switches::{Settings, Switches},
};

/// A directory with `d.test` and `bob@d.test` in it, over a double of a real SQLite file. Time is paused.
struct Scene {
    directory: Directory,
    double: Arc<Double>,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::paused());
        let store = SqliteStore::open(dir.path().join("directory.db"), clock.clone()).await;
        let double = Double::new(Arc::new(store.unwrap()));
        let switches = Switches::open(Settings::default(), dir.path()).unwrap();
        let directory = Directory::new(double.clone(), switches, clock);
        let scene = Scene {
            directory,
            double,
            _dir: dir,
        };
        scene.add(Kind::Domain, json!({"name": "d.test"})).await;
        scene
            .add(Kind::Account, json!({"address": "bob@d.test", "quota": 1}))
            .await;
        scene
    }

    async fn add(&self, kind: Kind, fields: Value) -> Object {
        self.directory.create(kind, object(fields)).await.unwrap()
    }

    /// Bob as he lies in the database, with another quota.
    async fn bob_with(&self, quota: u64) -> Object {
        super::bob_with(&self.directory, quota).await
    }

    async fn bob(&self) -> Found<Account> {
        self.directory.find("bob@d.test").await
    }

    /// What resolving an address comes to.
    async fn to(&self, address: &str) -> Verdict {
        let from = From::default();
        self.directory
            .resolve(&address.parse().unwrap(), &from, 100)
            .await
            .verdict
    }

    fn loads(&self) -> usize {
        self.double.loads_of(Kind::Account)
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}
