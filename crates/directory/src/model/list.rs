//! Lists.

use serde::{Deserialize, Serialize};

use super::{Head, Mailbox, entity, owned};

/// An address that stands for its members, with rules of who may send (reference §3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What every object has.
    #[serde(flatten)]
    pub head: Head,
    /// The address.
    pub address: Mailbox,
    /// Who may send.
    #[serde(default)]
    pub mode: Mode,
    /// Who may send to an announcement list.
    #[serde(default)]
    pub owner: Option<Mailbox>,
    /// Only who has logged in may send.
    #[serde(default)]
    pub require_auth: bool,
    /// Who gets its mail; in order of address, each once.
    #[serde(default)]
    pub members: Vec<Mailbox>,
}

/// Who may send to a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Anybody.
    #[default]
    Public,
    /// Its direct members.
    Membership,
    /// Its owner.
    Announcement,
    /// Anybody of the list's own domain.
    Domain,
}

impl Mode {
    /// The word in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Public => "public",
            Mode::Membership => "membership",
            Mode::Announcement => "announcement",
            Mode::Domain => "domain",
        }
    }

    /// The mode of this word.
    pub fn from_word(word: &str) -> Option<Mode> {
        [Mode::Public, Mode::Membership, Mode::Announcement, Mode::Domain]
            .into_iter()
            .find(|mode| mode.as_str() == word)
    }
}

impl List {
    pub(super) fn key(&self) -> &str {
        self.address.as_str()
    }

    pub(super) fn owned(&self) -> usize {
        let each = |one: &Mailbox| std::mem::size_of::<Mailbox>() + one.as_str().len() + one.domain().len();
        self.address.as_str().len()
            + owned(self.owner.as_ref())
            + self.members.iter().map(each).sum::<usize>()
    }
}

entity!(List);
