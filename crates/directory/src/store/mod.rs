//! Stores: where the directory lies. SQLite and PostgreSQL, one behaviour, one test suite.
//!
//! # Contract
//! * **A failure is an error, never an absence** (reference 5.1-j, D1–D16).
//! * **What is answered is committed**, and whole: a list comes with all its members or not at all.
//! * **A change answers what it touched**, so that the caches can forget it before the caller hears of it.
//! * **One address is one thing**: the database itself refuses a second (B15).
//! * **A change names the version that it is based on**, or does not care; a wrong one is a conflict (B12).
//!
//! # Not here
//! Caching, single loads, deadlines of look-ups (the directory).

#[cfg(any(test, feature = "testing"))]
pub mod double;
pub mod postgres;
pub(crate) mod rules;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod suite;

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::mpsc;

use crate::model::{Kind, Object};

/// What a store answers, some time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// By what an object is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    /// Its id.
    Id(i64),
    /// Its name in normal form.
    Name(&'a str),
}

/// Objects on disk.
pub trait Store: Send + Sync + 'static {
    /// Reads one object; None: there is certainly none.
    fn load<'a>(&'a self, kind: Kind, by: By<'a>) -> Answering<'a, Result<Option<Object>, StoreError>>;

    /// Reads objects of a kind in order of name.
    fn page<'a>(&'a self, kind: Kind, page: &'a Page) -> Answering<'a, Result<Vec<Object>, StoreError>>;

    /// Reads the names of domains and of domain aliases and the patterns of routes at one instant, in any order, at
    /// most so many.
    fn domain_names(&self, max: usize) -> Answering<'_, Result<Vec<String>, StoreError>>;

    /// Reads by one statement what has an address in normal form.
    fn whose<'a>(&'a self, address: &'a str) -> Answering<'a, Result<Owner, StoreError>>;

    /// Stores a new object; its head's id, version and times are given by the store.
    fn insert(&self, object: Object) -> Answering<'_, Result<Changed, ChangeError>>;

    /// Stores an object in place of the one with its id, also under another name. `based_on`: the version that
    /// must still be there. A domain's new name becomes that of all its addresses.
    fn update(&self, object: Object, based_on: Option<i64>) -> Answering<'_, Result<Changed, ChangeError>>;

    /// Removes an object. A domain that has addresses or other names only with `all_of_it`.
    fn delete<'a>(
        &'a self,
        kind: Kind,
        by: By<'a>,
        how: Deletion,
    ) -> Answering<'a, Result<Changed, ChangeError>>;

    /// Stores all that comes, new or in place of what has the name, or nothing of it. A sender that is dropped
    /// without [`Import::End`] gives it up.
    fn import(&self, objects: mpsc::Receiver<Import>) -> Answering<'_, Result<Imported, ImportError>>;

    /// Tells of changes that others make, until the receiver is gone. What comes first is
    /// [`Pushed::Flush`]: whatever was read before is not known to be current.
    fn watch(self: Arc<Self>, to: mpsc::Sender<Pushed>) -> Answering<'static, ()>;

    /// Answers whether [`watch`](Self::watch) looks for changes itself, instead of being told.
    fn is_polled(&self) -> bool {
        false
    }

    /// Statements sent to the database so far, for look-ups.
    fn loads(&self) -> u64;

    /// What it is, for people: `sqlite:PATH`, or `postgres://user@host/database` without the password.
    fn describe(&self) -> String;
}

/// What has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An account, an alias or a list, with this id.
    One(Kind, i64),
    /// Nothing in its domain.
    Nobody,
    /// There is no such domain.
    NoDomain,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects with names after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Only of this domain.
    pub domain: Option<String>,
}

/// How an object is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The version that must still be there.
    pub based_on: Option<i64>,
    /// A domain with everything in it.
    pub all_of_it: bool,
}

/// A committed change.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The object as it is now, or was.
    pub object: Object,
    /// What is not to be believed any more.
    pub touched: Vec<Touched>,
}

/// Something that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// One object.
    One {
        /// Of this kind.
        kind: Kind,
        /// With this id, if known.
        id: Option<i64>,
        /// Its name before; None: it was not there.
        old: Option<Arc<str>>,
        /// Its name now; None: it is gone.
        new: Option<Arc<str>>,
    },
    /// All of a kind.
    All(Kind),
}

/// What the database tells by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Committed by somebody.
    Changed(Vec<Touched>),
    /// Something may have been missed: nothing is to be believed.
    Flush(Missed),
    /// Changes are being told from here on (and a [`Flush`](Self::Flush) has gone before).
    Up,
    /// Changes may not be told, because of this.
    Down(String),
}

/// Why nothing is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missed {
    /// The channel has just been opened.
    Connected,
    /// What came was not understood (E8).
    Unreadable,
    /// The change log no longer reaches back to where we were (E13).
    Pruned,
    /// Another file lies where the database lay (E13).
    Replaced,
}

/// One line of an import.
#[derive(Debug)]
pub enum Import {
    /// Store this; the number is the line or the place in the file.
    Object(u64, Box<Object>),
    /// That was all: commit.
    End,
}

/// What an import has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New ones.
    pub created: u64,
    /// In place of others.
    pub replaced: u64,
    /// What is not to be believed any more.
    pub touched: Vec<Touched>,
}

/// A look-up that did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is busy, or has not answered in time.
    #[error("the directory database is not available: {0}")]
    Unavailable(String),
    /// The database refused the statement; a defect or a foreign schema.
    #[error("the directory database refused a query: {0}")]
    Query(String),
    /// A row makes no sense, e.g. an address that is none.
    #[error("the directory holds a {kind} that makes no sense: {reason}")]
    Senseless {
        /// What it is.
        kind: Kind,
        /// What is wrong.
        reason: String,
    },
}

/// A change that did not happen, but for [`Unknown`](Self::Unknown).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such object.
    #[error("no such {0}")]
    NoSuch(Kind),
    /// It has changed meanwhile.
    #[error("it has changed meanwhile: its version is {current}")]
    Conflict {
        /// The version that is there.
        current: i64,
    },
    /// The name belongs to another object.
    #[error("{name} is taken by a{} {by}", if matches!(by, Kind::Account | Kind::Alias) { "n" } else { "" })]
    Taken {
        /// The name.
        name: String,
        /// Whose it is.
        by: Kind,
    },
    /// A field says what cannot be.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which, as in JSON.
        field: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The domain may have no more of these.
    #[error("the domain may have {limit} of kind {kind} and has them")]
    LimitReached {
        /// What.
        kind: Kind,
        /// How many.
        limit: u32,
    },
    /// The domain still has addresses or other names.
    #[error("the domain still has {0} addresses or other names; delete it with all of them, or them first")]
    InUse(u64),
    /// The connection was lost while it was being committed: it may have happened. What it would have touched
    /// (B14).
    #[error("it is not known whether the change was made: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
        /// Not to be believed any more.
        touched: Vec<Touched>,
    },
    /// Nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An import that did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The object of this line could not be stored.
    #[error("line {line}: {error}")]
    Line {
        /// Line or place in the file.
        line: u64,
        /// What is wrong with it.
        error: ChangeError,
    },
    /// The import was given up by its sender.
    #[error("given up; nothing was stored")]
    GivenUp,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The connection was lost while it was being committed: it may have happened.
    #[error("it is not known whether the import was stored: {0}")]
    Unknown(String),
}
