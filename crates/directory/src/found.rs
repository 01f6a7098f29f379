//! What a look-up answers.
//!
//! # Contract
//! * **Unavailable is not absent**: who asks must decide for each of the three.
//! * **Stale accepts, and never refuses for good**: what was found stale says so in its [`Origin`]; an absence is
//!   never stale.

use std::sync::Arc;

/// The answer of a look-up.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<T> {
    /// There is one.
    Found(Arc<T>, Origin),
    /// There is certainly none.
    NotFound(Origin),
    /// Nobody knows now.
    Unavailable(Cause),
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Memory.
    Cache,
    /// The database, just now.
    Database,
    /// Memory, past its time, since the database does not answer.
    Stale,
}

impl Origin {
    /// The word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Cache => "cache",
            Origin::Database => "database",
            Origin::Stale => "stale",
        }
    }
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The database failed, or has lately failed.
    Database,
    /// It has not answered in time.
    Late,
    /// Too many wait for it.
    Crowded,
}

impl Cause {
    /// The words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Database => "the directory database does not answer",
            Cause::Late => "the directory database is too slow",
            Cause::Crowded => "too many wait for the directory database",
        }
    }
}
