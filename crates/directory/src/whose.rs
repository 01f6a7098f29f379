//! Whose an address is: an account's, an alias's, a list's, or nobody's, as of one instant.
//!
//! An address may pass from an alias to an account in one transaction. Two questions, one before and one after it, would
//! find neither and refuse a recipient who was there all the time. So nobody has an address only by one statement about
//! all three kinds and its domain.
//!
//! # Contract
//! * **Where its domain is gone, who asks begins anew** ([`crate::resolve`]): he went by an older word on the domain,
//!   which may have another name by now.
//! * **It is forgotten with every account, alias or list of that name**, and is used no longer than any of them.
//! * **Where it and an object contradict each other, it has passed on meanwhile**: the database is asked again
//!   ([`crate::resolve`]).

use std::sync::Arc;

use remuda_clock::Monotonic;
use remuda_object_cache::{Cached, Change, KeyRef, Limits, Loaded};

use crate::{
    directory::Directory,
    found::Found,
    loader::Loadable,
    model::Kind,
    store::{Answering, By, Owner, Store, StoreError, Touched},
};

/// What may have an address.
pub(crate) const ADDRESSED: [Kind; 3] = [Kind::Account, Kind::Alias, Kind::List];

/// What has an address; where nobody has it in its domain there is none of these.
pub(crate) struct Whose {
    address: Box<str>,
    pub(crate) owner: Owner,
}

impl Cached for Whose {
    /// Ids are counted for each kind.
    fn id(&self) -> i64 {
        let Owner::One(kind, id) = self.owner else {
            return 0;
        };
        let place = ADDRESSED.iter().position(|one| *one == kind).unwrap_or(0);
        id * ADDRESSED.len() as i64 + place as i64
    }

    fn name(&self) -> &str {
        &self.address
    }

    fn version(&self) -> i64 {
        0
    }

    /// That its domain is gone is never kept: no word on the address comes when the domain does.
    fn weight(&self) -> usize {
        match self.owner {
            Owner::NoDomain => NEVER_KEPT,
            Owner::One(..) | Owner::Nobody => size_of::<Whose>() + self.address.len(),
        }
    }
}

impl Loadable for Whose {
    const KIND: Kind = Kind::Account;

    fn load<'a>(store: &'a dyn Store, by: By<'a>) -> Answering<'a, Result<Loaded<Self>, StoreError>> {
        Box::pin(async move {
            let By::Name(address) = by else {
                return Ok(Loaded::Failed);
            };
            Ok(match store.whose(address).await? {
                Owner::Nobody => Loaded::NotFound,
                owner @ (Owner::One(..) | Owner::NoDomain) => Loaded::Found(Arc::new(Whose {
                    address: address.into(),
                    owner,
                })),
            })
        })
    }
}

impl Directory {
    /// Looks up whose an address in normal form is; `is_anew`: in the database itself.
    pub(crate) async fn whose(&self, address: &str, is_anew: bool, now: Monotonic) -> Found<Whose> {
        let inner = &self.inner;
        match is_anew {
            true => inner.loader.find_anew::<Whose>(address).await,
            false => {
                let shelf = inner.caches.whose();
                inner.loader.find(shelf, KeyRef::Name(address), now).await
            }
        }
    }

    /// Forgets a domain that is not there any more.
    pub(crate) fn forget_domain(&self, name: &str) {
        self.forget(&[Touched::One {
            kind: Kind::Domain,
            id: None,
            old: Some(name.into()),
            new: None,
        }]);
    }
}

/// The limits that hold for it, from those of accounts, aliases and lists: the least.
pub(crate) fn limits(kinds: [Limits; 3]) -> Limits {
    let [first, rest @ ..] = kinds;
    rest.into_iter().fold(first, |least, limits| Limits {
        ttl: least.ttl.min(limits.ttl),
        negative_ttl: least.negative_ttl.min(limits.negative_ttl),
        size: least.size.min(limits.size),
        negative_size: least.negative_size.min(limits.negative_size),
        stale_if_error: least.stale_if_error.min(limits.stale_if_error),
    })
}

/// What a change of an account, an alias or a list says of whose its addresses are.
pub(crate) fn changes(changes: &[Change]) -> Vec<Change> {
    let of_names = |change: &Change| Change {
        id: None,
        ..change.clone()
    };
    changes.iter().map(of_names).collect()
}

/// Octets, more than any cache has room for.
const NEVER_KEPT: usize = usize::MAX / 2;
