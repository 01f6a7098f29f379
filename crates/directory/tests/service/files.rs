//! The whole directory as a file, over a real database.

use super::world::World;
use remuda_directory::{
    bulk::{Export, Format, Written},
    model::Kind,
};
use remuda_testing::wait::wait_until_async;
use serde_json::json;
use tokio::sync::mpsc;

const HOW: Export = Export {
    format: Format::Ndjson,
    with_passwords: false,
};

#[tokio::test]
async fn domains_come_first_then_what_is_in_them() {
    let world = World::with_bob("ex.com").await;
    world
        .add(Kind::DomainAlias, json!({"name": "a.test", "domain": "ex.com"}))
        .await;
    world.add(Kind::Domain, json!({"name": "z.test"})).await;
    let (send, mut pieces) = mpsc::channel(100);
    let written = world.directory.export_to(HOW, send).await.unwrap();
    assert_eq!(written, Written::All(4));
    let mut text = Vec::new();
    while let Some(piece) = pieces.recv().await {
        text.extend(piece);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("null"), "what is not there is not said: {text}");
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].to_string())
        .collect();
    assert_eq!(
        kinds,
        ["\"domain\"", "\"domain\"", "\"domain_alias\"", "\"account\""]
    );
}

#[tokio::test]
async fn who_reads_slowly_is_waited_for() {
    let world = World::with_bob("ex.com").await;
    let (send, mut pieces) = mpsc::channel(1);
    let directory = world.directory.clone();
    let writing = tokio::spawn(async move { directory.export_to(HOW, send).await });
    let mut text = Vec::new();
    while !writing.is_finished() || !pieces.is_empty() {
        wait_until_async("a piece has come", async || {
            !pieces.is_empty() || writing.is_finished()
        })
        .await;
        if let Some(piece) = pieces.recv().await {
            text.extend(piece);
        }
    }
    assert_eq!(writing.await.unwrap().unwrap(), Written::All(2));
    assert_eq!(String::from_utf8(text).unwrap().lines().count(), 2);
}
