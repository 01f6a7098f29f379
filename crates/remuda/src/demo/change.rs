//! A change through the admin API while mail goes on, and the proof that the next message sees it.
//!
//! ```text
//!   message to desk ─▶ ann's Maildir    PATCH …/aliases/desk ─▶ 200    message to desk ─▶ bob's Maildir
//! ```
//!
//! # Contract
//! * **The second message is sent when the change has been answered**, and nothing waits in between.
//! * **Where both went is looked up in the Maildirs.**

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use remuda_clock::{SharedClock, before};
use remuda_load::Config;
use serde_json::json;

use super::{
    home::{ANN, BOB, DESK, DOMAIN, kept_for},
    world::World,
};
use crate::{
    cli::ServerArguments,
    client::{Client, Method, Request},
    exit::Failure,
};

/// Where the admin API is.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    pub(super) address: SocketAddr,
    pub(super) token_file: PathBuf,
}

/// Who has the messages to the desk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Before the change: in Ann's Maildir, and in Bob's.
    pub before: (u64, u64),
    /// And behind it.
    pub behind: (u64, u64),
}

/// Sends to the desk, gives it to Bob, and sends again.
pub(super) async fn make(world: &World, admin: &Admin, clock: &SharedClock) -> anyhow::Result<Change> {
    let before = one_more(world, clock).await?;
    let admin = admin.clone();
    tokio::task::spawn_blocking(move || give_to_bob(&admin)).await??;
    let behind = one_more(world, clock).await?;
    Ok(Change { before, behind })
}

/// The request, as `remuda alias set` makes it.
fn give_to_bob(admin: &Admin) -> anyhow::Result<()> {
    let arguments = ServerArguments {
        admin: Some(format!("http://{}", admin.address)),
        token_file: Some(admin.token_file.clone()),
        ..ServerArguments::default()
    };
    let failed = |failure: Failure| anyhow::anyhow!("{failure}");
    let client = Client::new(&arguments).map_err(failed)?;
    let path = format!("/api/v1/aliases/{DESK}");
    let body = json!({"targets": [format!("{BOB}@{DOMAIN}")]});
    client
        .send(&Request::with(Method::Patch, &path, body))
        .map_err(failed)?;
    Ok(())
}

/// Sends one message to the desk, and answers who has how many when it has arrived.
async fn one_more(world: &World, clock: &SharedClock) -> anyhow::Result<(u64, u64)> {
    let there = desk(world.data_dir())?;
    let config = Config {
        from: "customer@sender.demo.test".to_owned(),
        rcpt: vec![DESK.to_owned()],
        helo_name: "sender.demo.test".to_owned(),
        ..Config::to(world.address().to_string())
    };
    remuda_load::run(config, clock.clone()).await?;
    let arrived = async {
        loop {
            let now = desk(world.data_dir())?;
            if now != there {
                return anyhow::Ok(now);
            }
            clock.sleep_until(clock.now().monotonic + LOOK_INTERVAL).await;
        }
    };
    let deadline = clock.now().monotonic + PATIENCE;
    match before(&**clock, deadline, arrived).await {
        Some(arrived) => arrived,
        None => Ok(there),
    }
}

fn desk(data_dir: &Path) -> std::io::Result<(u64, u64)> {
    Ok((kept_for(data_dir, ANN)?, kept_for(data_dir, BOB)?))
}

/// How often a Maildir is looked into, and how long.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
