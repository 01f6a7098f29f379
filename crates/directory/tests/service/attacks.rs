//! Hostile objects: addresses that stand for more than anybody can be sent to.

use std::fmt::Write;

use remuda_directory::{
    bulk::Format,
    model::Kind::{Alias, List},
    resolve::{ADDRESSES_MAX, Refusal},
};
use serde_json::json;

use super::world::World;

/// 2^20 ways lead from the first alias to the last; each address is entered once.
#[tokio::test]
async fn aliases_that_fan_out_are_walked_once() {
    let world = World::with_bob("d.test").await;
    let address = |level: usize, side: &str| match level {
        20 => "bob@d.test".to_owned(),
        level => format!("{side}{level}@d.test"),
    };
    for level in (0..20).rev() {
        let below = json!([address(level + 1, "a"), address(level + 1, "b")]);
        for side in ["a", "b"] {
            let alias = json!({"address": address(level, side), "targets": below});
            world.add(Alias, alias).await;
        }
    }
    let cold = world.statements(world.to("a0@d.test")).await;
    assert!(cold < 200, "{cold} statements");
    assert_eq!(world.to("a0@d.test").await, "bob@d.test*");
}

#[tokio::test]
async fn a_list_that_names_a_hundred_thousand_is_too_many_and_asks_for_none_of_them() {
    let world = World::with_bob("d.test").await;
    let mut members = String::new();
    for number in 0..2 * ADDRESSES_MAX {
        write!(members, "u{number}@d.test ").unwrap();
    }
    let file = format!("type,address,members\nlist,all@d.test,{members}\n");
    let stored = world
        .directory
        .import_from(Format::Csv, std::io::Cursor::new(file));
    stored.await.unwrap();
    let cold = world.statements(world.to("all@d.test")).await;
    assert!(cold < 10, "{cold} statements");
    assert_eq!(world.to("all@d.test").await, Refusal::TooMany.as_str());
}

/// No list is too long by itself, and nobody in them gets anything: what is named is counted, not who gets mail.
#[tokio::test]
async fn lists_in_a_list_are_too_many_by_what_they_name_together() {
    let world = World::with_bob("d.test").await;
    let each = ADDRESSES_MAX / 4;
    let mut file = "type,address,members\n".to_owned();
    for list in 0..5 {
        write!(file, "list,l{list}@d.test,").unwrap();
        for number in 0..each {
            write!(file, "gone{number}@d.test ").unwrap();
        }
        file.push('\n');
    }
    let stored = world
        .directory
        .import_from(Format::Csv, std::io::Cursor::new(file));
    stored.await.unwrap();
    let top = json!({"address": "top@d.test", "members": (0..5).map(|list| format!("l{list}@d.test")).collect::<Vec<_>>()});
    world.add(List, top).await;
    let cold = world.statements(world.to("top@d.test")).await;
    assert!(cold < 40, "{cold} statements");
    assert_eq!(world.to("top@d.test").await, Refusal::TooMany.as_str());
}

/// SQL, paths and patterns in names are names.
#[tokio::test]
async fn names_that_mean_something_elsewhere_are_names() {
    let world = World::with_bob("d.test").await;
    for address in [
        "o'brien@d.test",
        "'--@d.test",
        "%@d.test",
        "_ob@d.test",
        "b%b@d.test",
        "..@d.test",
        "a/../../b@d.test",
        "\"x'; DROP TABLE accounts; --\"@d.test",
        "$1@d.test",
        "?@d.test",
    ] {
        assert_eq!(world.to(address).await, "unknown", "{address}");
        let targets = json!({"address": address, "targets": ["bob@d.test"]});
        world.add(Alias, targets).await;
        assert_eq!(world.to(address).await, "bob@d.test*", "{address}");
    }
    assert_eq!(world.to("bob@d.test").await, "bob@d.test*");
    assert_eq!(world.to("b_b@d.test").await, "unknown");
}
