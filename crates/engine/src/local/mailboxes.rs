//! Who has a mailbox here, as local delivery asks it at each attempt.
//!
//! # Contract
//! * **Not to know is no answer**: what could not be found out is [`Mailbox::Unavailable`], and nobody bounces
//!   for it.

use remuda_mail::Address;

use crate::session::content::Boxed;

/// What there is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// A mailbox that takes mail.
    Open {
        /// Octets that it may hold; None = no limit.
        quota: Option<u64>,
    },
    /// One that does not, for now.
    Disabled,
    /// None.
    Unknown,
    /// Nobody can say now.
    Unavailable,
}

/// Knows mailboxes.
pub trait Mailboxes: Send + Sync + 'static {
    /// What there is at `address` now. The answer comes in seconds; trouble is [`Mailbox::Unavailable`].
    fn mailbox<'a>(&'a self, address: &'a Address) -> Boxed<'a, Mailbox>;
}

/// Without a directory: nobody but the roles of the host, which need none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Mailboxes for Nobody {
    fn mailbox<'a>(&'a self, _: &'a Address) -> Boxed<'a, Mailbox> {
        Box::pin(std::future::ready(Mailbox::Unknown))
    }
}
