//! The objects of the directory, as people see them in JSON (contract.md, "Directory objects").
//!
//! # Contract
//! * **What is read in is normal and valid**: addresses and domains are folded while they are read.
//! * **Write-only fields never come out**: passwords are not serialized and not shown.
//! * **An object is read only under the key that names it**: [`Entity`] ties type and kind.
//!
//! # Not here
//! Rules between objects (uniqueness, limits, a domain that must exist): the stores keep them.

mod account;
mod domain;
mod list;
mod names;
mod route;

use std::fmt;

use remuda_clock::Wall;
use remuda_object_cache::Cached;
use serde::{Deserialize, Serialize};

pub use account::{Account, Alias};
pub use domain::{Domain, DomainAlias, SEPARATOR_DEFAULT};
pub use list::{List, Mode};
pub use names::{Mailbox, Name};
pub use route::{Pattern, Route};

/// What kinds of object there are; each has a cache of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A domain whose mail is kept here.
    Domain,
    /// Another name of a domain.
    DomainAlias,
    /// A mailbox that can log in.
    Account,
    /// An address that stands for others.
    Alias,
    /// An address that stands for its members, with rules of who may send.
    List,
    /// Where mail for a domain goes.
    Route,
}

impl Kind {
    /// All there are, in the order in which an import can create them.
    pub const ALL: [Kind; 6] = [
        Kind::Domain,
        Kind::DomainAlias,
        Kind::Account,
        Kind::Alias,
        Kind::List,
        Kind::Route,
    ];

    /// The word in configuration, commands, metrics and the change log.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Domain => "domain",
            Kind::DomainAlias => "domain_alias",
            Kind::Account => "account",
            Kind::Alias => "alias",
            Kind::List => "list",
            Kind::Route => "route",
        }
    }

    /// The kind of this word; `-` counts as `_`.
    pub fn from_word(word: &str) -> Option<Kind> {
        let is_it = |kind: &Kind| kind.as_str() == word.replace('-', "_");
        Kind::ALL.into_iter().find(is_it)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every object has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Given by the database; unique within the kind, never used again.
    #[serde(default)]
    pub id: i64,
    /// Grows with every change of the row (a trigger does it): `If-Match`.
    #[serde(default)]
    pub version: i64,
    /// Out of use when false: mail to it is refused, it cannot log in.
    #[serde(default = "yes")]
    pub active: bool,
    /// Milliseconds since 1970.
    #[serde(default, with = "wall")]
    pub created: Wall,
    /// Milliseconds since 1970.
    #[serde(default, with = "wall")]
    pub changed: Wall,
}

impl Default for Head {
    fn default() -> Self {
        Head {
            id: 0,
            version: 0,
            active: true,
            created: Wall(0),
            changed: Wall(0),
        }
    }
}

/// Any object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// See [`Domain`].
    Domain(Domain),
    /// See [`DomainAlias`].
    DomainAlias(DomainAlias),
    /// See [`Account`].
    Account(Account),
    /// See [`Alias`].
    Alias(Alias),
    /// See [`List`].
    List(List),
    /// See [`Route`].
    Route(Route),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Object::Domain(_) => Kind::Domain,
            Object::DomainAlias(_) => Kind::DomainAlias,
            Object::Account(_) => Kind::Account,
            Object::Alias(_) => Kind::Alias,
            Object::List(_) => Kind::List,
            Object::Route(_) => Kind::Route,
        }
    }

    /// What every object has.
    pub fn head(&self) -> &Head {
        match self {
            Object::Domain(one) => &one.head,
            Object::DomainAlias(one) => &one.head,
            Object::Account(one) => &one.head,
            Object::Alias(one) => &one.head,
            Object::List(one) => &one.head,
            Object::Route(one) => &one.head,
        }
    }

    /// As [`head`](Self::head), to be changed.
    pub fn head_mut(&mut self) -> &mut Head {
        match self {
            Object::Domain(one) => &mut one.head,
            Object::DomainAlias(one) => &mut one.head,
            Object::Account(one) => &mut one.head,
            Object::Alias(one) => &mut one.head,
            Object::List(one) => &mut one.head,
            Object::Route(one) => &mut one.head,
        }
    }

    /// Its name in normal form: a domain, an address, or a route's pattern.
    pub fn name(&self) -> &str {
        match self {
            Object::Domain(one) => Cached::name(one),
            Object::DomainAlias(one) => Cached::name(one),
            Object::Account(one) => Cached::name(one),
            Object::Alias(one) => Cached::name(one),
            Object::List(one) => Cached::name(one),
            Object::Route(one) => Cached::name(one),
        }
    }
}

/// A type of object: what the caches and look-ups are generic over.
pub trait Entity: Cached + Clone + Send + Sync + Sized + 'static {
    /// Its kind.
    const KIND: Kind;

    /// The object, if it is one of these.
    fn from_object(object: Object) -> Option<Self>;

    /// What every object has.
    fn head(&self) -> &Head;
}

/// Writes [`Cached`] and [`Entity`] for a type with a field `head` and its own `name` and `owned`.
macro_rules! entity {
    ($type:ident) => {
        impl remuda_object_cache::Cached for $type {
            fn id(&self) -> i64 {
                self.head.id
            }

            fn name(&self) -> &str {
                self.key()
            }

            fn version(&self) -> i64 {
                self.head.version
            }

            fn weight(&self) -> usize {
                std::mem::size_of::<$type>() + self.owned()
            }
        }

        impl crate::model::Entity for $type {
            const KIND: crate::model::Kind = crate::model::Kind::$type;

            fn from_object(object: crate::model::Object) -> Option<Self> {
                match object {
                    crate::model::Object::$type(one) => Some(one),
                    _ => None,
                }
            }

            fn head(&self) -> &crate::model::Head {
                &self.head
            }
        }
    };
}
pub(crate) use entity;

fn yes() -> bool {
    true
}

/// Octets of memory that an optional address owns.
fn owned(address: Option<&Mailbox>) -> usize {
    address.map_or(0, |address| address.as_str().len())
}

mod wall {
    //! Wall times in JSON: milliseconds since 1970.

    use remuda_clock::Wall;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(wall: &Wall, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(wall.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Wall, D::Error> {
        i64::deserialize(from).map(Wall)
    }
}

#[cfg(test)]
mod tests;
