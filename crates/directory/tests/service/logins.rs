//! Who logs in, and whose address is whose, over a real database (reference §5.3.14).

use super::world::World;
use remuda_clock::SystemClock;
use remuda_directory::{
    Directory,
    credentials::{Login, Owns},
    model::{
        Kind::{Account, Alias, Domain, DomainAlias},
        Mailbox,
    },
    switches::{Settings, Switches},
};
use remuda_mail::Secret;
use serde_json::json;

async fn login(directory: &Directory, name: &str, password: &str) -> bool {
    match directory.authenticate(name, &Secret::new(password)).await {
        Login::Accepted(mailbox) => {
            assert_eq!(mailbox.as_str(), "bob@d.test");
            true
        }
        Login::Rejected => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_right_password_logs_in_under_every_name_of_the_account() {
    let world = World::with_bob("d.test").await;
    world
        .add(DomainAlias, json!({"name": "old.test", "domain": "d.test"}))
        .await;
    let directory = &world.directory;
    for name in ["bob@d.test", "BOB@D.TEST", "bob@old.test"] {
        assert!(login(directory, name, "secret").await, "{name}");
        assert!(!login(directory, name, "Secret").await, "{name}");
    }
    for name in ["bob", "", "eve@d.test", "bob@elsewhere.test", "bob+x@d.test"] {
        assert!(!login(directory, name, "secret").await, "{name}");
    }
}

#[tokio::test]
async fn who_or_whose_domain_is_out_of_use_does_not_log_in() {
    let world = World::with_bob("d.test").await;
    let directory = &world.directory;
    assert!(login(directory, "bob@d.test", "secret").await);
    for (kind, name) in [(Account, "bob@d.test"), (Domain, "d.test")] {
        world.set(kind, name, json!({"active": false})).await;
        assert!(!login(directory, "bob@d.test", "secret").await, "{name}");
        world.set(kind, name, json!({"active": true})).await;
        assert!(login(directory, "bob@d.test", "secret").await, "{name}");
    }
}

#[tokio::test]
async fn a_change_of_the_password_holds_from_its_reply_on() {
    let world = World::with_bob("d.test").await;
    let directory = &world.directory;
    assert!(login(directory, "bob@d.test", "secret").await);
    world
        .set(Account, "bob@d.test", json!({"password": "other"}))
        .await;
    assert!(!login(directory, "bob@d.test", "secret").await);
    assert!(login(directory, "bob@d.test", "other").await);
}

/// ST13: nobody has told us of the change.
#[tokio::test]
async fn a_password_changed_by_others_works_at_once() {
    let world = World::with_bob("d.test").await;
    assert!(login(&world.directory, "bob@d.test", "secret").await);
    let switches = Switches::open(Settings::default(), world.dir.path()).unwrap();
    let other = Directory::new(world.place.open().await, switches, SystemClock::shared());
    let changed = json!({"password": "other"});
    let edited = other.edit(
        (Account, "bob@d.test"),
        remuda_directory::edit::Extent::Part,
        super::world::object(changed),
        None,
    );
    edited.await.unwrap();
    assert!(login(&world.directory, "bob@d.test", "other").await);
    assert!(!login(&world.directory, "bob@d.test", "secret").await);
}

#[tokio::test]
async fn an_account_owns_its_address_and_the_aliases_that_name_it() {
    let world = World::with_bob("d.test").await;
    world
        .add(DomainAlias, json!({"name": "old.test", "domain": "d.test"}))
        .await;
    world
        .add(
            Alias,
            json!({"address": "info@d.test", "targets": ["bob@d.test"]}),
        )
        .await;
    world
        .add(
            Alias,
            json!({"address": "boss@d.test", "targets": ["eve@d.test"]}),
        )
        .await;
    world.add(Account, json!({"address": "bob+own@d.test"})).await;
    let bob = Mailbox::typed("bob@d.test").unwrap();
    for (sender, owns) in [
        ("bob@d.test", Owns::Yes),
        ("Bob@Old.test", Owns::Yes),
        ("bob+x@d.test", Owns::Yes),
        ("bob+own@d.test", Owns::No),
        ("info@d.test", Owns::Yes),
        ("boss@d.test", Owns::No),
        ("eve@d.test", Owns::No),
        ("bob@elsewhere.test", Owns::No),
    ] {
        let answer = world.directory.owns(&bob, &sender.parse().unwrap()).await;
        assert_eq!(answer, owns, "{sender}");
    }
    world.set(Account, "bob@d.test", json!({"active": false})).await;
    let answer = world.directory.owns(&bob, &"bob@d.test".parse().unwrap()).await;
    assert_eq!(answer, Owns::No);
}
