//! A directory over a real database, filled by JSON.

use std::sync::Arc;

use remuda_clock::SystemClock;
use remuda_directory::{
    Directory,
    edit::Extent,
    model::{Kind, Mailbox, Object},
    resolve::{From, Resolution, Target, Verdict},
    store::Store,
    switches::{Settings, Switches},
};
use serde_json::{Map, Value};

use super::place::Place;

/// See the module.
pub struct World {
    pub directory: Directory,
    pub store: Arc<dyn Store>,
    pub place: Place,
    /// `data_dir`.
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
        let store = place.open().await;
        let switches = Switches::open(Settings::default(), dir.path()).unwrap();
        let directory = Directory::new(store.clone(), switches, SystemClock::shared());
        World {
            directory,
            store,
            place,
            dir,
        }
    }

    pub async fn add(&self, kind: Kind, fields: Value) -> Object {
        self.directory.create(kind, object(fields)).await.unwrap()
    }

    pub async fn set(&self, kind: Kind, name: &str, fields: Value) -> Object {
        let edited = self
            .directory
            .edit((kind, name), Extent::Part, object(fields), None);
        edited.await.unwrap()
    }

    /// A domain, an account `bob` with the password `secret` in it.
    pub async fn with_bob(name: &str) -> Self {
        let world = World::new().await;
        world.add(Kind::Domain, serde_json::json!({"name": name})).await;
        let bob = serde_json::json!({"address": format!("bob@{name}"), "password": "secret"});
        world.add(Kind::Account, bob).await;
        world
    }

    pub async fn resolve_from(&self, address: &str, from: &From) -> Resolution {
        self.directory
            .resolve(&address.parse().unwrap(), from, 50_000)
            .await
    }

    /// Who gets mail to an address from outside, or why nobody does.
    pub async fn to(&self, address: &str) -> String {
        shown(&self.resolve_from(address, &sender("someone@outside.test")).await)
    }

    /// Waits until the names of our domains have been read: nobody else does.
    pub async fn names_are_known(&self) {
        while !self.directory.is_elsewhere("nobodys.test") {
            tokio::task::yield_now().await;
        }
    }

    /// Statements that look-ups sent while `work` was done.
    pub async fn statements(&self, work: impl Future) -> u64 {
        let before = self.store.loads();
        work.await;
        self.store.loads() - before
    }
}

pub fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

pub fn sender(address: &str) -> From {
    From {
        sender: Some(address.parse().unwrap()),
        login: None,
    }
}

pub fn logged_in(address: &str) -> From {
    From {
        sender: None,
        login: Some(Mailbox::typed(address).unwrap()),
    }
}

/// Targets, local ones with a star, or the refusal.
pub fn shown(resolution: &Resolution) -> String {
    match &resolution.verdict {
        Verdict::Deliver(targets) => {
            let one = |target: &Target| match target {
                Target::Local(mailbox) => format!("{mailbox}*"),
                Target::Remote(address) => address.to_string(),
            };
            targets.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Verdict::Refused(refusal) => refusal.as_str().to_owned(),
        Verdict::Unavailable(_) => "unavailable".to_owned(),
    }
}
