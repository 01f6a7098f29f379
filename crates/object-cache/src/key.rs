//! What an object is looked up by, and what a change names.
//!
//! # Contract
//! * **A key and its borrowed form hash alike**, so that a look-up needs no allocation.
//!
//! # Not here
//! Normalisation: names come normalised, by one function of the directory, on save and on look-up (B1, F10).

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use remuda_clock::Monotonic;

/// One of the two ways to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Its number in the database.
    Id(i64),
    /// Its normalised name or address.
    Name(Arc<str>),
}

impl Key {
    /// The key, borrowed.
    pub fn by_ref(&self) -> KeyRef<'_> {
        match self {
            Key::Id(id) => KeyRef::Id(*id),
            Key::Name(name) => KeyRef::Name(name),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.by_ref().hash(state);
    }
}

/// A [`Key`] that borrows its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRef<'a> {
    /// Its number in the database.
    Id(i64),
    /// Its normalised name or address.
    Name(&'a str),
}

impl KeyRef<'_> {
    /// The key on its own; allocates for a name.
    pub fn to_key(self) -> Key {
        match self {
            KeyRef::Id(id) => Key::Id(id),
            KeyRef::Name(name) => Key::Name(name.into()),
        }
    }
}

impl Hash for KeyRef<'_> {
    /// A name ends with an octet that UTF-8 never has.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            KeyRef::Id(id) => state.write_i64(*id),
            KeyRef::Name(name) => {
                state.write(name.as_bytes());
                state.write_u8(0xff);
            }
        }
    }
}

impl From<KeyRef<'_>> for Key {
    fn from(key: KeyRef<'_>) -> Key {
        key.to_key()
    }
}

/// One look-up: the key with its hash, and when.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) key: KeyRef<'a>,
    pub(crate) hash: u64,
    pub(crate) now: Monotonic,
}

/// A row that has changed, named as far as the source of the news knows it.
///
/// `old` and `new` are the names before and after; both, where a rename is possible, `old` alone for a
/// deletion, `new` alone for a creation. Told so, changes may come in any order. With no name at all (or no id)
/// the change may concern any name (any id), which is dearer, and it must come after those committed before it.
/// Naming nothing clears everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub id: Option<i64>,
    /// Its name before, normalised.
    pub old: Option<Arc<str>>,
    /// Its name now, normalised.
    pub new: Option<Arc<str>>,
}

impl Change {
    /// The keys that it names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = KeyRef<'_>> {
        let names = [self.old.as_deref(), self.new.as_deref()];
        let id = self.id.map(KeyRef::Id).into_iter();
        id.chain(names.into_iter().flatten().map(KeyRef::Name))
    }

    /// Whether it says which names it concerns.
    pub(crate) fn is_named(&self) -> bool {
        self.old.is_some() || self.new.is_some()
    }
}
