//! Resolution over what a database may hold although no change through us puts it there (reference §6 F and G).

use super::*;
use crate::{found::Origin, resolve::Explained, switches::Key};

/// G10; that it is refused on save is in the store's suite.
pub(crate) async fn a_catch_all_that_does_not_exist_ends_after_bounded_steps(scene: Scene<impl Fixture>) {
    scene.add(Kind::Domain, json!({"name": "e.test"})).await;
    for (own, other) in [("d.test", "e.test"), ("e.test", "d.test")] {
        for catch_all in [format!("nobody@{own}"), format!("nobody@{other}")] {
            scene
                .sql(&format!(
                    "UPDATE domain SET catch_all = '{catch_all}' WHERE name = '{own}'"
                ))
                .await;
            scene.directory.cache_clear(None);
            let Explained {
                resolution, steps, ..
            } = scene
                .directory
                .explain(&format!("x+y@{own}").parse().unwrap(), &From::default())
                .await;
            let Verdict::Refused(refusal) = resolution.verdict else {
                panic!("{resolution:?}");
            };
            assert_eq!(refusal.reply().0, 550);
            if catch_all.ends_with(own) {
                assert_eq!(refusal, crate::resolve::Refusal::Unknown, "not a circle");
            }
            assert!(steps.len() <= 20, "{steps:?}");
        }
    }
}

/// G6: thirty lists, each in all of them, are nine hundred mentions.
pub(crate) async fn circles_cost_no_more_look_ups_than_there_are_names(scene: Scene<impl Fixture>) {
    let all: Vec<String> = (0..30).map(|number| format!("l{number}@d.test")).collect();
    for list in &all {
        let members: Vec<&str> = all.iter().map(String::as_str).chain(["bob@d.test"]).collect();
        scene
            .add(Kind::List, json!({"address": list, "members": members}))
            .await;
    }
    let asked = scene.loads_of(async {
        assert_eq!(scene.to("l0@d.test").await, "bob@d.test*");
    });
    // Of each list that it is neither account nor alias, and itself; bob; the domain.
    assert_eq!(asked.await, 30 * 3 + 2);
    let Explained { steps, .. } = scene
        .directory
        .explain(&"l0@d.test".parse().unwrap(), &From::default())
        .await;
    assert!(steps.len() <= 31 * 30 + 30 * 3 + 2, "{}", steps.len());
}

/// F5: a dictionary attack. (The core's own tests and the benchmark send more.)
pub(crate) async fn addresses_that_do_not_exist_displace_nothing(scene: Scene<impl Fixture>) {
    let size = vec![(Key::Size(Kind::Account), Some(65_536))];
    scene.directory.cache_set(size).await.unwrap();
    let hot: Vec<String> = (0..20).map(|number| format!("hot{number}@d.test")).collect();
    for address in &hot {
        scene.add(Kind::Account, json!({ "address": address })).await;
        scene.account(address).await;
    }
    for number in 0..2000 {
        let unknown = scene.account(&format!("u{number}@d.test")).await;
        assert!(matches!(unknown, Found::NotFound(_)));
        let known = scene.account(&hot[number % 20]).await;
        assert!(
            matches!(known, Found::Found(_, Origin::Cache)),
            "{number}: {known:?}"
        );
        assert!(scene.status(Kind::Account).negative_bytes <= 65_536 / 10);
    }
    assert_eq!(scene.status(Kind::Account).hit_rate, 99);
}

/// As G7, where a domain's other name is not in use.
pub(crate) async fn a_name_of_a_domain_out_of_use_stands_for_itself(scene: Scene<impl Fixture>) {
    let old = json!({"name": "old.test", "domain": "d.test"});
    scene.add(Kind::DomainAlias, old).await;
    let members = json!(["ann@old.test", "bob@d.test"]);
    let list = json!({"address": "l@d.test", "mode": "membership", "members": members});
    scene.add(Kind::List, list).await;
    let may = async |sender: &str| scene.to_from("l@d.test", sender).await != "not_allowed";
    assert!(may("bob@old.test").await && may("ann@d.test").await);
    let off = json!({"active": false});
    scene.set(Kind::DomainAlias, "old.test", off).await;
    assert!(!may("bob@old.test").await && !may("ann@d.test").await);
    assert!(may("bob@d.test").await && may("ann@old.test").await);
}
