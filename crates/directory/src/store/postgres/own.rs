//! Imports of ours, which come back through the channel: whoever made them has forgotten what they touched.
//!
//! Told again, the kinds that an import has changed would be flushed a second time.
//!
//! # Contract
//! * **Only what this store has committed is passed over**: a flush of that kind, told by the backend that made the
//!   import, once.
//! * **It is noted before anybody can hear it**, and taken back when it fails or nobody knows.
//! * **A new channel has nothing to pass over**: what was noted before it may never have been told.
//!
//! # Not here
//! Single changes of ours: told again, they cost a query (E15).

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::super::Touched;
use crate::model::Kind;

/// Flushes that are to be told, by the backend that made them. As many as there are connections for changes, and kinds.
#[derive(Default)]
pub(super) struct OwnImports(Mutex<BTreeSet<(Backend, Kind)>>);

/// The process of the server that a connection speaks to.
pub(super) type Backend = u32;

impl OwnImports {
    /// Notes what is about to be committed.
    pub(super) fn note(&self, by: Backend, touched: &[Touched]) {
        let whole = touched.iter().filter_map(|one| match one {
            Touched::All(kind) => Some((by, *kind)),
            Touched::One { .. } => None,
        });
        self.all().extend(whole);
    }

    /// It has not been committed, as far as anybody knows.
    pub(super) fn take_back(&self, by: Backend) {
        self.all().retain(|(backend, _)| *backend != by);
    }

    /// Answers whether what was told is one of them; once.
    pub(super) fn is_own(&self, by: Backend, touched: &Touched) -> bool {
        match touched {
            Touched::All(kind) => self.all().remove(&(by, *kind)),
            Touched::One { .. } => false,
        }
    }

    /// Forgets them.
    pub(super) fn forget(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeSet<(Backend, Kind)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
