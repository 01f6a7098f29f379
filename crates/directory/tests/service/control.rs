//! The object cache under an operator's hand, over a real database.

use super::world::World;
use remuda_directory::{
    control::{CacheStatus, ControlError, State},
    model::{Account, Kind},
    switches::{Holds, Key, KindSettings, Settings},
};

const TTL: Key = Key::Ttl(Kind::Account);

async fn warm() -> World {
    let world = World::with_bob("ex.com").await;
    for _ in 0..3 {
        world.directory.find::<Account>("bob@ex.com").await;
    }
    world
}

fn account(world: &World) -> remuda_directory::control::KindStatus {
    world.directory.cache_status().types[&Kind::Account].clone()
}

/// A13.
#[tokio::test]
async fn persisted_first_then_in_force() {
    let world = warm().await;
    let before = world.directory.cache_status();
    std::fs::create_dir(world.dir.path().join("object-cache.json.new")).unwrap();
    for changes in [vec![(TTL, Some(5000))], vec![(Key::Enabled, Some(0))]] {
        let failed = world.directory.cache_set(changes).await;
        assert!(matches!(failed, Err(ControlError::Keep(_))), "{failed:?}");
        assert_eq!(world.directory.cache_status(), before);
    }
    std::fs::remove_dir(world.dir.path().join("object-cache.json.new")).unwrap();
    world.directory.cache_set(vec![(TTL, Some(5000))]).await.unwrap();
    assert_eq!(
        (account(&world).ttl, account(&world).ttl_by),
        (5.0, Holds::RunTime)
    );
    let kept = std::fs::read_to_string(world.dir.path().join("object-cache.json")).unwrap();
    assert!(kept.contains("account.ttl") && kept.contains("5000"), "{kept}");
}

/// A16.
#[tokio::test]
async fn a_wrong_value_names_its_key_and_changes_nothing() {
    let world = warm().await;
    let before = world.directory.cache_status();
    let changes = vec![(Key::Size(Kind::List), Some(1)), (TTL, Some(86_400_001))];
    match world.directory.cache_set(changes).await {
        Err(ControlError::Field { field, .. }) => assert_eq!(field, "account.ttl"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.directory.cache_status(), before);
}

/// A9.
#[tokio::test]
async fn other_kinds_keep_their_counters() {
    let world = warm().await;
    let set = vec![(Key::Ttl(Kind::List), Some(5000))];
    world.directory.cache_set(set).await.unwrap();
    assert_eq!((account(&world).hits, account(&world).misses), (2, 1));
    world.directory.cache_set(vec![(TTL, Some(5000))]).await.unwrap();
    assert_eq!((account(&world).hits, account(&world).misses), (0, 0));
}

/// A11, A12.
#[tokio::test]
async fn the_switch_empties_and_fills_again() {
    let world = warm().await;
    world.directory.cache_disable().await.unwrap();
    let status: CacheStatus = world.directory.cache_status();
    assert!(!status.enabled && status.enabled_by == Holds::RunTime);
    assert_eq!((account(&world).entries, account(&world).bytes), (0, 0));
    world.directory.cache_enable().await.unwrap();
    world.directory.find::<Account>("bob@ex.com").await;
    assert_eq!(account(&world).entries, 1);
}

#[tokio::test]
async fn a_reload_takes_the_files_values_and_what_was_set_ends_with_them() {
    let world = warm().await;
    world.directory.cache_set(vec![(TTL, Some(5000))]).await.unwrap();
    world.directory.reload(Settings::default());
    assert_eq!(account(&world).ttl, 5.0);
    let mut file = Settings::default();
    let short = KindSettings {
        ttl: std::time::Duration::from_secs(20),
        ..KindSettings::of(Kind::Account)
    };
    file.kinds.insert(Kind::Account, short);
    file.enabled = false;
    world.directory.reload(file);
    assert_eq!((account(&world).ttl, account(&world).ttl_by), (20.0, Holds::File));
    assert!(!account(&world).enabled);
}

/// F13, F14.
#[tokio::test]
async fn looking_changes_nothing() {
    let world = warm().await;
    world.directory.find::<Account>("eve@ex.com").await;
    let before = world.directory.cache_status();
    let shown = world.directory.cache_show(Kind::Account, "BOB@ex.com").unwrap();
    assert_eq!((shown.state, shown.key.as_str()), (State::Present, "bob@ex.com"));
    assert!(shown.age_seconds.is_some() && shown.weight.is_some_and(|weight| weight > 0));
    let absent = world.directory.cache_show(Kind::Account, "eve@ex.com").unwrap();
    assert_eq!(absent.state, State::Absent);
    let nothing = world.directory.cache_show(Kind::Account, "joe@ex.com").unwrap();
    assert_eq!(nothing.state, State::NotCached);
    assert!(world.directory.cache_show(Kind::Account, "joe").is_err());
    assert_eq!(world.directory.cache_status(), before);
}

#[tokio::test]
async fn a_key_of_digits_alone_is_an_id() {
    let world = warm().await;
    let by_id = world.directory.cache_show(Kind::Account, "1").unwrap();
    let by_name = world.directory.cache_show(Kind::Account, "Bob@EX.com").unwrap();
    assert_eq!((by_id.state, by_name.state), (State::Present, State::Present));
    assert_eq!((by_id.version, by_id.weight), (by_name.version, by_name.weight));
    assert_eq!(
        world.directory.cache_show(Kind::Account, "2").unwrap().state,
        State::NotCached
    );
    // A domain may be called like a number, but for the dot.
    assert!(world.directory.cache_show(Kind::Domain, "1.2").is_ok());
    assert_eq!(world.directory.cache_forget(Kind::Account, "1").unwrap(), 1);
    assert_eq!(
        world.directory.cache_forget(Kind::Account, "bob@ex.com").unwrap(),
        0
    );
}
