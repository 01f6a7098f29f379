//! Contents that somebody still has to read, whatever becomes of their messages.
//!
//! # Contract
//! * **A claimed content can be read until the claim is dropped**, also when its message was deleted meanwhile.
//! * **What is claimed last goes last**: with the last claim a deleted content leaves memory and disk.
//! * **A claim costs nothing until its message is deleted.** Then a content from a row, 256 KiB at most, is kept
//!   in memory, and a file stays where it is; one that a crash leaves goes at the next start.

use std::{
    collections::HashMap,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use remuda_mail::MessageId;

use crate::{content::Source, files::Paths};

/// Keeps a content readable while it lives.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    paths: Arc<Paths>,
    message: MessageId,
}

impl Claim {
    pub(crate) fn new(claims: Arc<Claims>, paths: Arc<Paths>, message: MessageId) -> Self {
        claims.claimed().entry(message).or_default().count += 1;
        Claim {
            claims,
            paths,
            message,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.claims.claimed();
        let Some(content) = claimed.get_mut(&self.message) else {
            return;
        };
        content.count -= 1;
        if content.count > 0 {
            return;
        }
        let has_file = content.is_file_deleted;
        claimed.remove(&self.message);
        drop(claimed);
        if !has_file {
            return;
        }
        let (paths, message) = (self.paths.clone(), self.message);
        let remove = move || paths.remove_content(message);
        // Large files take their time to go; not on a thread that serves sessions.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// All claims.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    claimed: Mutex<HashMap<MessageId, Claimed>>,
}

#[derive(Debug, Default)]
struct Claimed {
    count: u32,
    /// What stood in a row that is deleted.
    row: Option<Bytes>,
    /// The content has a file, which nothing in the database names any more.
    is_file_deleted: bool,
}

impl Claims {
    pub(crate) fn is_claimed(&self, message: MessageId) -> bool {
        self.claimed().contains_key(&message)
    }

    /// Keeps what is about to be deleted from its row. If that is rolled back, it is there twice.
    pub(crate) fn keep_row(&self, message: MessageId, content: Bytes) {
        if let Some(claimed) = self.claimed().get_mut(&message) {
            claimed.row = Some(content);
        }
    }

    /// Answers whether a file that is to be removed stays until its last claim is dropped.
    pub(crate) fn keeps_file(&self, message: MessageId) -> bool {
        let mut all = self.claimed();
        let claimed = all.get_mut(&message);
        claimed.map(|claimed| claimed.is_file_deleted = true).is_some()
    }

    /// Finds the content of a message that the database does not know any more. May wait for the disk.
    pub(crate) fn find(&self, message: MessageId, path: &Path) -> Option<Source> {
        let row = self.claimed().get(&message)?.row.clone();
        if let Some(content) = row {
            return Some(Source::Memory(content));
        }
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        Some(Source::File(file, path.to_owned(), size))
    }

    fn claimed(&self) -> MutexGuard<'_, HashMap<MessageId, Claimed>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
