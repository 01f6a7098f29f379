//! One look into the cache.
//!
//! # Contract
//! * **A key of digits alone is an id**, everything else a name of the kind, in any spelling.

use std::fmt;

use remuda_object_cache::{KeyRef, Peeked};
use serde::{Deserialize, Serialize};

use crate::{
    caches::Shelved,
    directory::Directory,
    edit::{self, EditError},
    model::{Account, Alias, Domain, DomainAlias, Kind, List, Route},
};

/// What lies in the cache under a key. Never what is in the object: no hash, no password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheShown {
    /// The kind.
    pub r#type: Kind,
    /// The id or the name in normal form.
    pub key: String,
    /// Whether there is something.
    pub state: State,
    /// Since its load was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub age_seconds: Option<f64>,
    /// Until it is used no longer; 0: past its time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_in_seconds: Option<f64>,
    /// The row's version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<i64>,
    /// Octets that it is counted with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u64>,
    /// A refresh brought it, not a load that somebody waited for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refreshed: Option<bool>,
}

/// What the cache knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The object.
    Present,
    /// That there is none.
    Absent,
    /// Nothing.
    NotCached,
}

/// A key as somebody typed it, in normal form.
pub(super) enum Sought {
    Id(i64),
    Name(String),
}

impl Sought {
    pub(super) fn typed(kind: Kind, key: &str) -> Result<Self, EditError> {
        match key.trim().parse() {
            Ok(id) if key.bytes().all(|octet| octet.is_ascii_digit()) => Ok(Sought::Id(id)),
            _ => edit::name(kind, key).map(Sought::Name),
        }
    }

    fn by_ref(&self) -> KeyRef<'_> {
        match self {
            Sought::Id(id) => KeyRef::Id(*id),
            Sought::Name(name) => KeyRef::Name(name),
        }
    }
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sought::Id(id) => id.fmt(f),
            Sought::Name(name) => f.write_str(name),
        }
    }
}

/// What is seen of any kind.
pub(super) struct Seen {
    is_present: bool,
    shown: CacheShown,
}

impl Directory {
    /// Shows what lies in the cache under a key.
    ///
    /// # Errors
    /// The key is neither an id nor a name of this kind.
    pub fn cache_show(&self, kind: Kind, key: &str) -> Result<CacheShown, EditError> {
        let key = Sought::typed(kind, key)?;
        Ok(match self.peek(kind, &key) {
            Some(Seen { is_present, shown }) => CacheShown {
                state: if is_present { State::Present } else { State::Absent },
                ..shown
            },
            None => bare(kind, &key),
        })
    }

    pub(super) fn peek(&self, kind: Kind, key: &Sought) -> Option<Seen> {
        match kind {
            Kind::Domain => self.peek_in::<Domain>(key),
            Kind::DomainAlias => self.peek_in::<DomainAlias>(key),
            Kind::Account => self.peek_in::<Account>(key),
            Kind::Alias => self.peek_in::<Alias>(key),
            Kind::List => self.peek_in::<List>(key),
            Kind::Route => self.peek_in::<Route>(key),
        }
    }

    fn peek_in<T: Shelved>(&self, key: &Sought) -> Option<Seen> {
        let peeked: Peeked<T> = T::shelf(&self.inner.caches).peek(key.by_ref(), self.now())?;
        Some(Seen {
            is_present: peeked.value.is_some(),
            shown: CacheShown {
                age_seconds: Some(peeked.age.as_secs_f64()),
                expires_in_seconds: Some(peeked.expires_in.as_secs_f64()),
                version: peeked.version,
                weight: Some(peeked.weight),
                refreshed: Some(peeked.is_refreshed),
                ..bare(T::KIND, key)
            },
        })
    }

    pub(super) fn is_cache_enabled(&self) -> bool {
        Domain::shelf(&self.inner.caches).is_enabled()
    }
}

fn bare(kind: Kind, key: &Sought) -> CacheShown {
    CacheShown {
        r#type: kind,
        key: key.to_string(),
        state: State::NotCached,
        age_seconds: None,
        expires_in_seconds: None,
        version: None,
        weight: None,
        refreshed: None,
    }
}
