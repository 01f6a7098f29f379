//! Mail in memory and a directory that changes under it, or does not answer.

use remuda_directory::{
    Directory,
    edit::{Extent, parse},
    model::Kind,
    store::{
        Store,
        double::{Double, Fault},
        sqlite::SqliteStore,
    },
    switches::{Settings as Cached, Switches},
};
use serde_json::{Map, Value, json};

use super::*;

/// A bench with a directory.
struct Scene {
    bench: Bench,
    directory: Directory,
    double: Arc<Double>,
}

fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

fn key(destination: &str) -> Destination {
    Destination::from_key(destination)
}

impl Scene {
    /// One entry is held, and it goes there.
    fn assert_one_goes_to(&self, host: &str) {
        let entries = &self.bench.actor.entries;
        assert!(entries.iter().all(|held| held.queued.destination == key(host)));
        assert_eq!(entries.iter().count(), 1);
    }

    async fn new() -> Scene {
        let mut bench = Bench::new();
        let clock: SharedClock = bench.clock.clone();
        let place = bench._dir.path();
        let store = SqliteStore::open(place.join("directory.db"), clock.clone()).await;
        let double = Double::new(Arc::new(store.unwrap()));
        let switches = Switches::open(Cached::default(), place).unwrap();
        let directory = Directory::new(double.clone(), switches, clock.clone());
        let mut plan = plan(settings(&bench._dir), &clock);
        let one = Arc::get_mut(&mut plan).unwrap();
        one.addressing = one.addressing.clone().with(Some(directory.clone()));
        bench.actor.plan = plan;
        Scene {
            bench,
            directory,
            double,
        }
    }

    async fn add(&self, kind: Kind, fields: Value) {
        self.directory.create(kind, object(fields)).await.unwrap();
    }

    /// By somebody else, whom we do not hear of.
    async fn insert(&self, kind: Kind, fields: Value) {
        let object = parse(kind, object(fields), None).unwrap();
        self.double.insert(object).await.unwrap();
    }

    async fn accept(&mut self, to: &str, destination: &str) -> Queued {
        let queued = self.bench.store(to, &key(destination)).await;
        self.bench.actor.take_in(Input::Accepted(vec![queued.clone()]));
        queued
    }

    /// Takes in all that comes up to the first that is `what`, which is given back.
    async fn until(&mut self, what: fn(&Input) -> bool) -> Input {
        for _ in 0..20 {
            let input = self.bench.input().await;
            if what(&input) {
                return input;
            }
            self.bench.actor.take_in(input);
        }
        panic!("it does not come");
    }

    async fn hear(&mut self, what: fn(&Input) -> bool) {
        let input = self.until(what).await;
        self.bench.actor.take_in(input);
    }

    fn directory_changes(&mut self) {
        let (taken_in, _told) = oneshot::channel();
        self.bench.actor.take_in(Input::DirectoryChanged(taken_in));
    }

    fn is_suspended(&self, destination: &str) -> bool {
        let now = self.bench.now();
        let view = self.bench.actor.dispatch().destination(&key(destination), now);
        view.is_some_and(|view| view.suspended.is_some())
    }
}

fn is_headed(input: &Input) -> bool {
    matches!(input, Input::Headed(_))
}

fn is_moved(input: &Input) -> bool {
    matches!(input, Input::Moved(_))
}

fn is_resolved(input: &Input) -> bool {
    matches!(input, Input::Resolved(..))
}

#[tokio::test(start_paused = true)]
async fn a_change_holds_for_what_is_in_memory() {
    let mut scene = Scene::new().await;
    let route = json!({"domain": "b.test", "hosts": ["192.0.2.1"]});
    scene.add(Kind::Route, route).await;
    scene.accept("r@b.test", "192.0.2.1").await;
    scene.hear(is_headed).await;
    scene.hear(is_resolved).await;
    assert_eq!(scene.bench.actor.sessions.len(), 1, "it is dialled");
    let fields = object(json!({"hosts": ["192.0.2.2"]}));
    let edited = scene
        .directory
        .edit((Kind::Route, "b.test"), Extent::Part, fields, None);
    edited.await.unwrap();
    scene.directory_changes();
    scene.hear(is_moved).await;
    scene.assert_one_goes_to("192.0.2.2");
}

/// What was asked before a change, and answered after it, is asked again.
#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_change_is_not_taken() {
    let mut scene = Scene::new().await;
    scene.accept("r@b.test", "b.test").await;
    let old = scene.until(is_headed).await;
    let route = json!({"domain": "b.test", "hosts": ["192.0.2.1"]});
    scene.add(Kind::Route, route).await;
    scene.bench.actor.take_in(old);
    scene.hear(is_moved).await;
    scene.assert_one_goes_to("192.0.2.1");
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_while_nobody_knows_where_and_it_goes_on_when_somebody_does() {
    let mut scene = Scene::new().await;
    scene.double.fail(Some(Fault::Refuse));
    let queued = scene.accept("r@b.test", "b.test").await;
    scene.hear(is_headed).await;
    scene.hear(is_settled).await;
    assert!(scene.is_suspended("b.test"));
    assert!(scene.bench.actor.sessions.is_empty());
    let later = scene.bench.now().wall + Duration::from_secs(3600);
    let waiting = scene
        .bench
        .spool
        .heads(&queued.destination, later, 10)
        .await
        .unwrap();
    let last = waiting.entries[0].recipients[0].last.clone().unwrap();
    assert_eq!(last.status, EnhancedStatus::new(4, 4, 3));
    assert_eq!(
        last.reason,
        "cannot find out now where mail goes: the directory database does not answer"
    );
    scene.double.fail(None);
    scene.directory_changes();
    assert!(!scene.is_suspended("b.test"));
}

/// Its absence is remembered, and nobody has told us of it.
#[tokio::test(start_paused = true)]
async fn mail_that_loops_back_to_us_is_delivered_here_if_its_domain_is_ours_by_now() {
    let mut scene = Scene::new().await;
    scene.accept("bob@d.test", "d.test").await;
    scene.hear(is_headed).await;
    scene.insert(Kind::Domain, json!({"name": "d.test"})).await;
    scene
        .insert(Kind::Account, json!({"address": "bob@d.test"}))
        .await;
    scene.bench.actor.take_in(looped("d.test"));
    scene.hear(|input| matches!(input, Input::Reconsidered(_))).await;
    scene.until(is_local).await;
}

fn looped(destination: &str) -> Input {
    let refusal = Refusal::ours(EnhancedStatus::new(5, 4, 6), "mail loops back to us");
    let answer = Err(Unresolved {
        refusal,
        valid_until: remuda_clock::Monotonic::ZERO,
    });
    Input::Resolved(key(destination), answer)
}

#[tokio::test(start_paused = true)]
async fn mail_that_loops_back_to_us_bounces_only_by_the_databases_word() {
    for is_down in [false, true] {
        let mut scene = Scene::new().await;
        let queued = scene.accept("bob@d.test", "d.test").await;
        scene.hear(is_headed).await;
        scene.double.fail(is_down.then_some(Fault::Refuse));
        scene.bench.actor.take_in(looped("d.test"));
        scene.hear(|input| matches!(input, Input::Reconsidered(_))).await;
        scene.hear(is_settled).await;
        let later = scene.bench.now().wall + Duration::from_secs(3600);
        let waiting = scene
            .bench
            .spool
            .heads(&queued.destination, later, 10)
            .await
            .unwrap();
        assert_eq!(waiting.entries.len(), usize::from(is_down), "{is_down}");
        for left in waiting.entries {
            assert_eq!(left.attempts, 0);
            let last = left.recipients[0].last.clone().unwrap();
            assert_eq!(last.status, EnhancedStatus::new(4, 4, 3));
        }
    }
}

/// D8: and nobody loses it silently, nor goes round in a circle.
#[tokio::test(start_paused = true)]
async fn who_has_lost_its_mailbox_is_resolved_once_more() {
    let mut scene = Scene::new().await;
    scene.add(Kind::Domain, json!({"name": "d.test"})).await;
    let alias = json!({"address": "bob@d.test", "targets": ["eve@a.test"]});
    scene.add(Kind::Alias, alias).await;
    for (to, is_redirected) in [("bob@d.test", true), ("gone@d.test", false)] {
        let queued = scene.accept(to, "local").await;
        // Nobody has a mailbox here.
        scene.hear(is_local).await;
        scene.hear(|input| matches!(input, Input::Reconsidered(_))).await;
        match is_redirected {
            true => {
                scene.hear(is_moved).await;
                let mut all = scene.bench.actor.entries.iter();
                assert!(all.any(|held| held.queued.message == queued.message
                    && held.queued.recipients[0].recipient.address.to_string() == "eve@a.test"));
            }
            false => {
                scene.hear(is_settled).await;
                assert!(scene.bench.actor.entries.held(queued.id).is_none());
                let shown = scene.bench.spool.show(queued.message).await.unwrap();
                assert!(shown.is_none(), "it has bounced");
            }
        }
    }
}
