//! Accounts and aliases.

use remuda_mail::Secret;
use serde::{Deserialize, Serialize};

use super::{Head, Mailbox, entity, owned, yes};

/// A mailbox that can log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What every object has.
    #[serde(flatten)]
    pub head: Head,
    /// The address.
    pub address: Mailbox,
    /// The password's hash as it lies in the database; None: nobody logs in. Never comes out.
    #[serde(skip)]
    pub hash: Option<Secret>,
    /// Octets that the mailbox may hold; None = any number.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Who else, or who instead, gets its mail.
    #[serde(default)]
    pub forward: Option<Mailbox>,
    /// With a forward: mail also stays here.
    #[serde(default = "yes")]
    pub forward_keep: bool,
}

/// An address that stands for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// What every object has.
    #[serde(flatten)]
    pub head: Head,
    /// The address.
    pub address: Mailbox,
    /// Who gets its mail, at least one.
    pub targets: Vec<Mailbox>,
}

impl Account {
    pub(super) fn key(&self) -> &str {
        self.address.as_str()
    }

    pub(super) fn owned(&self) -> usize {
        let hash = self.hash.as_ref().map_or(0, |hash| hash.reveal().len());
        2 * self.address.as_str().len() + hash + owned(self.forward.as_ref())
    }
}

impl Alias {
    pub(super) fn key(&self) -> &str {
        self.address.as_str()
    }

    pub(super) fn owned(&self) -> usize {
        let each =
            |target: &Mailbox| std::mem::size_of::<Mailbox>() + target.as_str().len() + target.domain().len();
        self.address.as_str().len() + self.targets.iter().map(each).sum::<usize>()
    }
}

entity!(Account);
entity!(Alias);
