//! The directory of the running server: opened, tended, reloaded, stopped.
//!
//! # Contract
//! * **A database server that does not answer is no failure**: the directory waits for it, and so does mail (D5).
//! * **It ends after what uses it.**

use std::path::Path;

use remuda_clock::SharedClock;
use remuda_directory::{
    Directory,
    switches::{Settings, Switches},
};
use tokio::task::JoinHandle;

use super::store;
use crate::{
    config,
    exit::{Exit, Failure},
};

/// A directory that hears of changes by others.
pub struct Tended {
    directory: Directory,
    tending: JoinHandle<()>,
}

impl Tended {
    /// Opens it, with its file and tables where they are not there yet. What is set at run time lies in
    /// `data_dir`.
    ///
    /// # Errors
    /// As [`store::open`]; what was set at run time cannot be read.
    pub async fn open(
        config: &config::Directory,
        data_dir: &Path,
        clock: SharedClock,
    ) -> Result<Tended, Failure> {
        let store = store::open(&config.database, clock.clone()).await?;
        let switches = Switches::open(config.object_cache.clone(), data_dir)
            .map_err(|error| Failure::new(Exit::Failed, format!("object-cache.json in data_dir: {error}")))?;
        let directory = Directory::new(store, switches, clock);
        tracing::info!(database = directory.describe(), "directory");
        let tending = tokio::spawn(directory.clone().tend());
        Ok(Tended { directory, tending })
    }

    /// The directory.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Takes `[object_cache]` of a new configuration.
    pub async fn reload(&self, settings: Settings) {
        let directory = self.directory.clone();
        let reloading = tokio::task::spawn_blocking(move || directory.reload(settings));
        if let Err(panicked) = reloading.await {
            tracing::error!(%panicked, "[object_cache] kept");
        }
    }

    /// Hears no more.
    pub async fn stop(self) {
        self.tending.abort();
        // It was told to end; how it did is of no interest.
        drop(self.tending.await);
    }
}
