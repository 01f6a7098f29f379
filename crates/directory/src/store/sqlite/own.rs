//! Imports of ours, which come back through the change log: whoever made them has forgotten what they touched.
//!
//! Told again, an import of a hundred thousand lines would empty the cache a second time, and the log, which keeps
//! fifty thousand, would look as if it had lost something: then of every kind.
//!
//! # Contract
//! * **Only what has been committed is passed over**, and only while the log has it as we wrote it: by its last line.
//! * **An import is noted before anybody can see it**, and taken back when it fails or nobody knows.
//!
//! # Not here
//! Single changes of ours: told again, they cost a query (E15).

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::log::Line;

/// Those that the watch has not come to yet, in order.
#[derive(Default)]
pub(super) struct OwnImports(Mutex<Vec<OwnImport>>);

/// One.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnImport {
    /// The number of the last line before it; 0: there was none.
    pub(super) from: i64,
    /// Its own last line.
    pub(super) last: Line,
}

impl OwnImports {
    /// Notes one that is about to be committed.
    pub(super) fn note(&self, import: OwnImport) {
        let mut all = self.all();
        if all.len() < NOTED_MAX {
            all.push(import);
        }
    }

    /// One has not been committed, as far as anybody knows.
    pub(super) fn take_back(&self, import: &OwnImport) {
        self.all().retain(|one| one != import);
    }

    /// Those that begin at or behind a line.
    pub(super) fn behind(&self, seen: i64) -> Vec<OwnImport> {
        self.all()
            .iter()
            .filter(|one| one.from >= seen)
            .cloned()
            .collect()
    }

    /// The watch has seen the log up to this line.
    pub(super) fn passed(&self, seen: i64) {
        self.all().retain(|one| one.last.seq > seen);
    }

    fn all(&self) -> MutexGuard<'_, Vec<OwnImport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where nobody watches, nobody passes them over: further ones are told.
const NOTED_MAX: usize = 16;
