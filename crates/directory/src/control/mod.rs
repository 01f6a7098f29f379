//! The object cache under an operator's hand: see, set, switch, clear, look into.
//!
//! # Contract
//! * **Persisted first, then in force** (A13); a change that cannot be kept has not happened.
//! * **A wrong value names its key and changes nothing** (A16), also none of those beside it.
//! * **Only what has changed is put in force**: other kinds keep their counters (A9).
//! * **Looking changes nothing**: no counter, no order of eviction (F13); and no hash is shown (F14).
//! * **Whatever is done is a line of the audit log** (F14).
//!
//! # Not here
//! What the limits do (`remuda_object_cache`), where they come from ([`crate::switches`]).

mod changes;
mod look;
mod status;

pub use self::{
    changes::{ControlError, changes},
    look::{CacheShown, State},
    status::{CacheStatus, KindStatus, Push},
};

use remuda_object_cache::{Cause, Source};

use crate::{
    directory::Directory,
    edit::{EditError, audit},
    model::Kind,
    store::Touched,
    switches::{Key, Settings},
};

impl Directory {
    /// Sets values, or gives them back to the configuration (None).
    ///
    /// # Errors
    /// See [`ControlError`]; then nothing has changed.
    pub async fn cache_set(&self, changes: Vec<(Key, Option<u64>)>) -> Result<(), ControlError> {
        for (key, value) in &changes {
            if value.is_some_and(|value| value > key.value_max()) {
                return Err(ControlError::too_much(*key));
            }
        }
        let directory = self.clone();
        let setting = tokio::task::spawn_blocking(move || {
            let switches = &directory.inner.switches;
            switches.set(&changes, || directory.put_in_force())?;
            let names: Vec<String> = changes.iter().map(|(key, _)| key.name()).collect();
            audit::cache("cache set", &names.join(","));
            Ok(())
        });
        setting
            .await
            .unwrap_or_else(|panicked| Err(ControlError::Keep(std::io::Error::other(panicked))))
    }

    /// Switches the cache on for all kinds; the rates start again (A12).
    ///
    /// # Errors
    /// See [`cache_set`](Self::cache_set).
    pub async fn cache_enable(&self) -> Result<(), ControlError> {
        self.cache_set(vec![(Key::Enabled, Some(1))]).await
    }

    /// Switches the cache off for all kinds: it is empty, and every look-up asks the database (A11).
    ///
    /// # Errors
    /// See [`cache_set`](Self::cache_set).
    pub async fn cache_disable(&self) -> Result<(), ControlError> {
        self.cache_set(vec![(Key::Enabled, Some(0))]).await
    }

    /// Takes `[object_cache]` of a new configuration. Waits for the disk where it supersedes what was set.
    pub fn reload(&self, settings: Settings) {
        self.inner.switches.reload(settings, || self.put_in_force());
    }

    /// Forgets all of a kind, or of all kinds; the rates start again. Answers how many that was.
    pub fn cache_clear(&self, kind: Option<Kind>) -> usize {
        let kinds = Kind::ALL
            .into_iter()
            .filter(|one| kind.is_none_or(|kind| kind == *one));
        let dropped = kinds
            .map(|kind| self.inner.caches.clear(kind, Cause::Admin))
            .sum();
        audit::cache("cache cleared", kind.map_or("all", Kind::as_str));
        dropped
    }

    /// Forgets one object, or that it does not exist. Answers how many that was: one or none.
    ///
    /// # Errors
    /// The key is neither an id nor a name of this kind.
    pub fn cache_forget(&self, kind: Kind, key: &str) -> Result<usize, EditError> {
        let key = look::Sought::typed(kind, key)?;
        let was_there = self.peek(kind, &key).is_some();
        let touched = match &key {
            look::Sought::Id(id) => Touched::One {
                kind,
                id: Some(*id),
                old: None,
                new: None,
            },
            look::Sought::Name(name) => Touched::One {
                kind,
                id: None,
                old: Some(name.as_str().into()),
                new: None,
            },
        };
        self.inner.caches.forget(&[touched], Source::Admin);
        audit::cache("cache cleared", &format!("{kind} {key}"));
        Ok(usize::from(was_there))
    }

    /// Starts the rates again; exported counts never go back.
    pub fn reset_statistics(&self) {
        self.inner.caches.reset_statistics();
        audit::cache("cache statistics reset", "all");
    }

    fn put_in_force(&self) {
        let (caches, switches) = (&self.inner.caches, &self.inner.switches);
        for kind in Kind::ALL {
            let limits = switches.limits(kind);
            if limits != caches.limits(kind) {
                caches.set_limits(kind, limits, self.now());
            }
        }
        let is_enabled = switches.is_enabled();
        if is_enabled != self.is_cache_enabled() {
            caches.switch(is_enabled);
        }
    }
}
