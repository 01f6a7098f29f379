//! Routes: which of the directory's is for a domain.
//!
//! # Contract
//! * **The most specific one wins**, whatever the order of their names (G4): the domain itself, then the longest
//!   `.suffix`, then `*`. An address literal has none but `*`.
//! * **A route that is out of use is not there**: the next less specific one counts.
//! * **Nothing is decided past a route that might exist**: one look-up unavailable, and the answer is; so it is where
//!   only stale memory says that a route is out of use.
//! * **Warm, it costs no query**: absences are remembered as routes are, those of all domains together ([`crate::ours`]).
//!
//! # Not here
//! Whether the domain is ours, which comes first ([`super::walk`]); `[[route]]` and MX, which come last (`engine`).
//!
//! # Limits
//! A look-up for each label of the domain, at most 127, and two.

use std::{iter, sync::Arc};

use remuda_mail::Domain;

use super::{From, Stop, Walk};
use crate::{
    directory::Directory,
    found::{Cause, Origin},
    model::Route,
};

/// What the directory says of the way to a domain.
pub type Routing = Result<Option<Arc<Route>>, Cause>;

impl Directory {
    /// The route for a domain that is not ours; None: there is certainly none.
    ///
    /// # Errors
    /// Nobody knows now.
    pub async fn route(&self, domain: &Domain) -> Routing {
        let from = From::default();
        Walk::new(self, &from, 0).route(domain).await
    }

    /// The route for exactly this domain, whatever less specific ones there are.
    ///
    /// # Errors
    /// As [`route`](Self::route).
    pub async fn route_named(&self, domain: &Domain) -> Routing {
        let from = From::default();
        let found = Walk::new(self, &from, 0).in_use_as(domain.as_str()).await;
        found.map_err(cause)
    }
}

impl Walk<'_> {
    /// As [`Directory::route`].
    pub(super) async fn route(&mut self, domain: &Domain) -> Routing {
        for pattern in patterns(domain) {
            if self.is_nobodys::<Route>(pattern) {
                continue;
            }
            if let Some(route) = self.in_use_as(pattern).await.map_err(cause)? {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }

    /// The route of this pattern, if it is in use.
    async fn in_use_as(&mut self, pattern: &str) -> Result<Option<Arc<Route>>, Stop> {
        match self.find::<Route>(pattern).await? {
            Some((route, _)) if route.head.active => Ok(Some(route)),
            Some((_, Origin::Stale)) => Err(Stop::Unavailable(Cause::Database)),
            Some(_) | None => Ok(None),
        }
    }
}

/// The patterns that a domain may have, most specific first.
fn patterns(domain: &Domain) -> impl Iterator<Item = &str> {
    let name = match domain.literal() {
        Some(_) => "",
        None => domain.as_str(),
    };
    let suffixes = name.match_indices('.').map(|(at, _)| &name[at..]);
    iter::once(name)
        .filter(|name| !name.is_empty())
        .chain(suffixes)
        .chain(iter::once("*"))
}

fn cause(stop: Stop) -> Cause {
    match stop {
        Stop::Unavailable(cause) => cause,
        // No route is refused.
        Stop::Refused(_) => Cause::Database,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_go_from_the_name_to_everything() {
        for (domain, expected) in [
            ("a.b.test", &["a.b.test", ".b.test", ".test", "*"][..]),
            ("test", &["test", "*"]),
            ("[192.0.2.1]", &["*"]),
        ] {
            let domain: Domain = domain.parse().unwrap();
            assert_eq!(patterns(&domain).collect::<Vec<_>>(), expected);
        }
    }
}
