//! What an operator sees of one object in the cache (reference §6 F).

use super::*;
use crate::{
    control::{CacheShown, State},
    model::{Alias, Domain, DomainAlias, List, Route},
};

impl<F: Fixture> Scene<F> {
    fn look(&self, kind: Kind, key: &str) -> CacheShown {
        self.directory.cache_show(kind, key).unwrap()
    }
}

/// F14.
pub(crate) async fn a_look_shows_age_time_left_version_and_weight(scene: Scene<impl Fixture>) {
    let stored = scene.bob_with(1).await;
    scene.bob().await;
    let look = || scene.look(Kind::Account, "bob@d.test");
    for (at, age, left) in [(0, 0.0, 60.0), (12_000, 12.0, 48.0), (70_000, 70.0, 0.0)] {
        scene.at(at);
        let shown = look();
        assert_eq!(
            (shown.age_seconds, shown.expires_in_seconds),
            (Some(age), Some(left))
        );
        assert_eq!(
            (shown.version, shown.weight, shown.refreshed),
            (
                Some(stored.head().version),
                Some(scene.status(Kind::Account).bytes),
                Some(false)
            )
        );
    }
    scene.bob().await;
    scene.at(70_000 + 50_000);
    scene.bob().await;
    wait_until_async("it is refreshed", async || look().refreshed == Some(true)).await;
    assert_eq!(look().age_seconds, Some(0.0));
}

pub(crate) async fn a_look_is_into_the_kind_that_is_named(scene: Scene<impl Fixture>) {
    for (kind, fields) in [
        (Kind::DomainAlias, json!({"name": "old.test", "domain": "d.test"})),
        (
            Kind::Alias,
            json!({"address": "info@d.test", "targets": ["bob@d.test"]}),
        ),
        (
            Kind::List,
            json!({"address": "l@d.test", "members": ["bob@d.test"]}),
        ),
        (Kind::Route, json!({"domain": "r.test", "hosts": ["192.0.2.1"]})),
    ] {
        scene.add(kind, fields).await;
    }
    let directory = &scene.directory;
    directory.find::<Domain>("d.test").await;
    directory.find::<DomainAlias>("old.test").await;
    directory.find::<Account>("bob@d.test").await;
    directory.find::<Alias>("info@d.test").await;
    directory.find::<List>("l@d.test").await;
    directory.find::<Route>("r.test").await;
    let names = [
        (Kind::Domain, "d.test"),
        (Kind::DomainAlias, "old.test"),
        (Kind::Account, "bob@d.test"),
        (Kind::Alias, "info@d.test"),
        (Kind::List, "l@d.test"),
        (Kind::Route, "r.test"),
    ];
    for (kind, name) in names {
        let shown = scene.look(kind, name);
        assert_eq!(
            (shown.r#type, shown.state, shown.weight),
            (kind, State::Present, Some(scene.status(kind).bytes))
        );
    }
}
