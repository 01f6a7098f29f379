//! The object cache over HTTP: A8–A16, F12–F15 as far as the outside sees them.

use std::time::Duration;

use serde_json::json;

use super::{directory::World, *};

impl World {
    async fn status(&self, kind: &str) -> Value {
        let status = self.get("object-cache").await;
        assert_eq!(status.status, 200, "{}", status.text);
        status.json()["types"][kind].clone()
    }

    async fn set(&self, changes: Value) {
        let reply = self.ask("PATCH", "object-cache", changes).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// Look-ups of accounts by name, and what they cost in queries.
    async fn look_up(&self, name: &str, times: usize) -> u64 {
        let before = self.directory.loads();
        for _ in 0..times {
            drop(
                self.directory
                    .find::<remuda_directory::model::Account>(name)
                    .await,
            );
        }
        self.directory.loads() - before
    }
}

/// A1, A7, A8.
#[tokio::test]
async fn the_rates_are_hmailservers_and_the_honest_one() {
    let world = World::with_bob().await;
    assert_eq!(world.look_up("bob@ex.com", 3).await, 1);
    let account = world.status("account").await;
    assert_eq!(
        (&account["hits"], &account["misses"], &account["hit_rate"]),
        (&json!(2), &json!(1), &json!(66))
    );
    assert_eq!(account["entries"], 1);
    assert!(account["bytes"].as_u64().unwrap() > 0);
    assert_eq!(world.look_up("eve@ex.com", 1000).await, 1);
    let account = world.status("account").await;
    assert_eq!(
        (&account["hits"], &account["misses"], &account["hit_rate"]),
        (&json!(2), &json!(1), &json!(66))
    );
    assert_eq!(account["lookups"]["negative_hit"], 999);
    assert_eq!(account["absences"], 1);
    let share = account["without_query"].as_f64().unwrap();
    assert!((share - (1.0 - 2.0 / 1003.0)).abs() < 1e-9, "{share}");
    assert_eq!(world.status("alias").await["hits"], 0);
}

/// A9, A10.
#[tokio::test(start_paused = true)]
async fn a_ttl_that_is_set_holds_at_once_and_resets_only_its_types_rate() {
    let world = World::with_bob().await;
    world.look_up("bob@ex.com", 2).await;
    drop(world.outcome("bob@ex.com").await);
    let domain_before = world.status("domain").await;
    tokio::time::advance(Duration::from_secs(40)).await;
    world.set(json!({"account.ttl": 30})).await;
    let account = world.status("account").await;
    assert_eq!(
        (&account["hits"], &account["ttl"], &account["ttl_by"]),
        (&json!(0), &json!(30.0), &json!("run_time"))
    );
    assert_eq!(world.status("domain").await["misses"], domain_before["misses"]);
    assert_eq!(world.look_up("bob@ex.com", 1).await, 1);
    // Longer does not revive.
    tokio::time::advance(Duration::from_secs(35)).await;
    world.set(json!({"account.ttl": 300})).await;
    assert_eq!(world.look_up("bob@ex.com", 1).await, 1);
}

/// A11, A12.
#[tokio::test]
async fn a_cache_that_is_off_is_empty_and_asks_every_time() {
    let world = World::with_bob().await;
    world.look_up("bob@ex.com", 2).await;
    world.set(json!({"enabled": false})).await;
    let account = world.status("account").await;
    assert_eq!(
        (&account["entries"], &account["bytes"], &account["enabled"]),
        (&json!(0), &json!(0), &json!(false))
    );
    assert_eq!(world.look_up("bob@ex.com", 5).await, 5);
    let account = world.status("account").await;
    assert_eq!(
        (
            &account["hits"],
            &account["misses"],
            &account["lookups"]["bypass"]
        ),
        (&json!(0), &json!(0), &json!(5))
    );
    world.set(json!({"enabled": true})).await;
    assert_eq!(world.look_up("bob@ex.com", 3).await, 1);
    assert_eq!(world.status("account").await["hit_rate"], 66);
}

/// A14.
#[tokio::test]
async fn a_type_with_a_ttl_of_nothing_is_not_kept_and_others_are() {
    let world = World::with_bob().await;
    world.set(json!({"account.ttl": 0})).await;
    assert_eq!(world.look_up("bob@ex.com", 10).await, 10);
    let account = world.status("account").await;
    assert_eq!(
        (&account["entries"], &account["negative_ttl"]),
        (&json!(0), &json!(0.0))
    );
    world.outcome("bob@ex.com").await;
    assert_eq!(world.status("domain").await["entries"], 1);
}

/// A16.
#[tokio::test]
async fn a_wrong_value_names_its_key_and_changes_nothing() {
    let world = World::new().await;
    let before = world.get("object-cache").await.json();
    for (changes, field) in [
        (json!({"account.ttl": -1}), "account.ttl"),
        (json!({"account.ttl": 86_401}), "account.ttl"),
        (json!({"account.ttl": "x"}), "account.ttl"),
        (json!({"account.size": -1}), "account.size"),
        (json!({"alias.ttl": 5, "list.size": -1}), "list.size"),
        (json!({"account.colour": 1}), "account.colour"),
    ] {
        let reply = world.ask("PATCH", "object-cache", changes).await;
        assert_eq!(reply.wrong(), (400, field.to_owned()), "{}", reply.text);
    }
    assert_eq!(world.get("object-cache").await.json(), before);
}

#[tokio::test]
async fn a_clear_says_how_much_it_dropped() {
    let world = World::with_bob().await;
    world.look_up("bob@ex.com", 1).await;
    world.look_up("eve@ex.com", 1).await;
    world.outcome("bob@ex.com").await;
    let one = world
        .ask(
            "POST",
            "object-cache/clear",
            json!({"type": "account", "key": "Eve@ex.com"}),
        )
        .await;
    assert_eq!(one.json(), json!({"dropped": 1}), "{}", one.text);
    let none = world
        .ask(
            "POST",
            "object-cache/clear",
            json!({"type": "account", "key": "eve@ex.com"}),
        )
        .await;
    assert_eq!(none.json(), json!({"dropped": 0}));
    let kind = world
        .ask("POST", "object-cache/clear", json!({"type": "account"}))
        .await;
    assert_eq!(kind.json(), json!({"dropped": 1}));
    assert_eq!(world.status("domain").await["entries"], 1);
    let all = world.ask("POST", "object-cache/clear", Value::Null).await;
    assert!(all.json()["dropped"].as_u64().unwrap() >= 1, "{}", all.text);
    assert_eq!(world.status("domain").await["entries"], 0);
    for (wrong, field) in [
        (json!({"key": "bob@ex.com"}), "type"),
        (json!({"type": "person"}), "type"),
        (json!({"type": "account", "key": "bob"}), "address"),
        (json!({"typ": "account"}), "typ"),
    ] {
        let reply = world.ask("POST", "object-cache/clear", wrong).await;
        assert_eq!(reply.wrong(), (400, field.to_owned()), "{}", reply.text);
    }
}

/// F13, F14.
#[tokio::test]
async fn looking_changes_nothing_and_shows_no_hash() {
    let world = World::with_bob().await;
    assert_eq!(
        world.get("object-cache/account/bob@ex.com").await.json()["state"],
        "not_cached"
    );
    world.look_up("bob@ex.com", 1).await;
    world.look_up("eve@ex.com", 1).await;
    let before = world.get("object-cache").await.json();
    let present = world.get("object-cache/account/BOB@ex.com").await;
    assert_eq!(present.json()["state"], "present");
    assert!(
        !present.text.contains("argon2") && !present.text.contains("hash"),
        "{}",
        present.text
    );
    let id = world.get("accounts/bob@ex.com").await.json()["id"].clone();
    let by_id = world.get(&format!("object-cache/account/{id}")).await;
    assert_eq!(by_id.json()["version"], present.json()["version"]);
    assert_eq!(
        world.get("object-cache/account/eve@ex.com").await.json()["state"],
        "absent"
    );
    assert_eq!(world.get("object-cache").await.json(), before);
    world.ask("POST", "object-cache/reset-stats", Value::Null).await;
    let account = world.status("account").await;
    assert_eq!(
        (&account["misses"], &account["lookups"]["miss"]),
        (&json!(0), &json!(1))
    );
}

#[tokio::test]
async fn metrics_have_the_names_of_the_contract_and_never_go_back() {
    let world = World::with_bob().await;
    world.look_up("bob@ex.com", 3).await;
    world.ask("POST", "object-cache/clear", Value::Null).await;
    let text = metrics::joined("# TYPE x gauge\nx 1\n# EOF\n".to_owned(), &world.directory);
    for line in [
        "remuda_object_cache_lookups_total{type=\"account\",result=\"hit\"} 2",
        "remuda_object_cache_lookups_total{type=\"account\",result=\"miss\"} 1",
        "remuda_object_cache_lookups_total{type=\"route\",result=\"bypass\"} 0",
        "remuda_object_cache_loads_total{type=\"account\"} 1",
        "remuda_object_cache_load_seconds_count{type=\"account\"} 1",
        "remuda_object_cache_load_seconds_bucket{le=\"+Inf\",type=\"account\"} 1",
        "remuda_object_cache_load_seconds_bucket{le=\"0.00005\",type=\"route\"} 0",
        "remuda_object_cache_entries{type=\"account\"} 0",
        "remuda_object_cache_bytes{type=\"account\"} 0",
        "remuda_object_cache_evictions_total{type=\"account\",cause=\"flush\"} 1",
        "remuda_object_cache_invalidations_total{source=\"push\"} 0",
        "remuda_object_cache_push_up 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    for result in ["negative_hit", "not_found", "coalesced", "stale", "error"] {
        assert!(text.contains(&format!("result=\"{result}\"")), "{result}");
    }
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.starts_with("# TYPE x gauge\nx 1\n") && text.ends_with("# EOF\n"));
}
