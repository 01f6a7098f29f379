//! Which domains the directory says anything of: the names of all domains and domain aliases and the patterns of all
//! routes, read together.
//!
//! Most domains that a relay is asked for are not ours, and there is no end of them: each would cost five queries, and
//! take the room of absences that are asked for again. Ours are few, and their names are one query.
//!
//! # Contract
//! * **It only says "not there"**, from names that may be used now: no change has come since they were read, and they are
//!   no older than any absence of a domain, a domain alias or a route may be. Everything else is asked for by name.
//! * **Nobody waits for it**: while the names are read, domains are asked for by name.
//! * **Too many are none**: beyond [`NAMES_MAX`] every domain is asked for by name.

use std::{collections::HashSet, sync::Arc};

use remuda_object_cache::{Cached, Limits, Loaded};

use crate::{
    loader::Loadable,
    model::Kind,
    store::{Answering, By, Store, StoreError},
};

/// The names.
pub(crate) struct Ours {
    /// None: they are too many.
    names: Option<HashSet<Arc<str>>>,
    octets: usize,
}

impl Ours {
    fn new(names: Vec<String>) -> Self {
        let octets = names.iter().map(|name| name.len() + NAME_COST).sum();
        let names = (names.len() <= NAMES_MAX).then(|| names.into_iter().map(Into::into).collect());
        Ours { names, octets }
    }

    /// Answers whether a domain, or a route's pattern, is certainly nobody's here.
    pub(crate) fn lacks(&self, domain: &str) -> bool {
        self.names.as_ref().is_some_and(|names| !names.contains(domain))
    }
}

impl Cached for Ours {
    fn id(&self) -> i64 {
        ID
    }

    fn name(&self) -> &str {
        ""
    }

    fn version(&self) -> i64 {
        0
    }

    fn weight(&self) -> usize {
        self.octets
    }
}

impl Loadable for Ours {
    const KIND: Kind = Kind::Domain;

    fn load<'a>(store: &'a dyn Store, _: By<'a>) -> Answering<'a, Result<Loaded<Self>, StoreError>> {
        Box::pin(async move {
            let names = store.domain_names(NAMES_MAX + 1).await?;
            Ok(Loaded::Found(Arc::new(Ours::new(names))))
        })
    }
}

/// The limits that hold for the names: as short a life as any absence has that they stand for.
pub(crate) fn limits(kinds: [Limits; 3]) -> Limits {
    let [first, second, third] = kinds.map(|limits| limits.negative_life());
    Limits {
        ttl: first.min(second).min(third),
        size: SIZE_MAX,
        ..kinds[0]
    }
}

/// What they lie under.
pub(crate) const ID: i64 = 0;
/// Names that are kept.
pub(crate) const NAMES_MAX: usize = 10_000;
/// Octets that a name takes besides itself.
const NAME_COST: usize = 48;
/// Octets: eight times what so many of the longest names take.
const SIZE_MAX: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn too_many_are_none() {
        let names = |count: usize| Ours::new((0..count).map(|n| format!("d{n}.test")).collect());
        assert!(names(NAMES_MAX).lacks("other.test"));
        assert!(!names(NAMES_MAX).lacks("d7.test"));
        assert!(!names(NAMES_MAX + 1).lacks("other.test"));
        let longest = Ours::new(vec!["x".repeat(255); NAMES_MAX]);
        assert!((longest.weight() as u64) < SIZE_MAX / 8, "it is kept");
    }

    #[test]
    fn they_live_no_longer_than_an_absence() {
        let with = |ttl, negative_ttl| Limits {
            ttl: Duration::from_secs(ttl),
            negative_ttl: Duration::from_secs(negative_ttl),
            ..Limits::default()
        };
        for (domain, alias, route, life) in [
            (with(60, 60), with(60, 10), with(60, 20), 10),
            (with(5, 60), with(60, 10), with(60, 10), 5),
            (with(60, 60), with(60, 10), with(4, 10), 4),
            (with(60, 0), with(60, 10), with(60, 10), 0),
        ] {
            let life = Duration::from_secs(life);
            assert_eq!(limits([domain, alias, route]).ttl, life);
        }
    }
}
