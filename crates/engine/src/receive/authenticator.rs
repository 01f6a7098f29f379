//! What the receiving side asks of those who know the accounts.
//!
//! # Contract
//! * **Not to know is an answer of its own**: a directory that cannot be asked refuses nobody for good.
//! * **Who implements it takes as long for an unknown name as for a wrong password**, and bounds its own time;
//!   here a question is given up after [`CHECK_MAX`](super::logins::CHECK_MAX).
//! * **Ownership is asked again with every message**, so that what is changed in the directory holds from the next
//!   message on, in sessions that last, too.
//!
//! # Not here
//! How often a client may be wrong: `logins`.

use std::{future::Future, pin::Pin};

use remuda_mail::{Address, Secret};

/// An answer that is on its way.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Knows who may log in, and what they may send as.
pub trait Authenticator: Send + Sync + 'static {
    /// Says whose login this is. Neither holds a control character, neither is empty.
    fn authenticate<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answering<'a, Login>;

    /// Says whether `sender` belongs to `identity`, as things are now. For a message without a sender `sender` is
    /// the identity's own address: then it says whether that may still send at all.
    fn owns<'a>(&'a self, identity: &'a Identity, sender: &'a Address) -> Answering<'a, Owns>;
}

/// What becomes of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Right.
    Accepted(Identity),
    /// No such name, the wrong password, or one who may not log in; which is nobody's business.
    Rejected,
    /// It cannot be told now.
    Unavailable,
    /// This account is being tried too often.
    TooMany,
}

/// Who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's own address.
    pub address: Address,
}

/// Whether somebody may send as somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owns {
    /// It is the account's.
    Yes,
    /// It is not.
    No,
    /// It cannot be told now.
    Unavailable,
}
