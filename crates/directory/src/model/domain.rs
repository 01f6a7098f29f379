//! Domains and their other names.

use serde::{Deserialize, Serialize};

use super::{Head, Mailbox, Name, entity, owned, yes};

/// A domain whose mail is kept here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// What every object has.
    #[serde(flatten)]
    pub head: Head,
    /// The name.
    pub name: Name,
    /// Who gets mail for addresses that do not exist; local or not.
    #[serde(default)]
    pub catch_all: Option<Mailbox>,
    /// Octets of a message from or to this domain; None = the server's limit alone.
    #[serde(default)]
    pub message_size: Option<u64>,
    /// `bob+anything` is bob's, unless that very address exists.
    #[serde(default = "yes")]
    pub plus_addressing: bool,
    /// One or more characters.
    #[serde(default = "separator")]
    pub plus_separator: String,
    /// Accounts that may be created; None = any number.
    #[serde(default)]
    pub account_limit: Option<u32>,
    /// Aliases that may be created; None = any number.
    #[serde(default)]
    pub alias_limit: Option<u32>,
    /// Lists that may be created; None = any number.
    #[serde(default)]
    pub list_limit: Option<u32>,
}

/// Another name of a domain: every address under it is one of the domain's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainAlias {
    /// What every object has.
    #[serde(flatten)]
    pub head: Head,
    /// The other name.
    pub name: Name,
    /// The domain's name.
    pub domain: Name,
}

impl Domain {
    pub(super) fn key(&self) -> &str {
        self.name.as_str()
    }

    pub(super) fn owned(&self) -> usize {
        self.name.as_str().len() + owned(self.catch_all.as_ref()) + self.plus_separator.len()
    }
}

impl DomainAlias {
    pub(super) fn key(&self) -> &str {
        self.name.as_str()
    }

    pub(super) fn owned(&self) -> usize {
        self.name.as_str().len() + self.domain.as_str().len()
    }
}

entity!(Domain);
entity!(DomainAlias);

fn separator() -> String {
    SEPARATOR_DEFAULT.to_owned()
}

/// Between a mailbox and what is added to it (RFC 5233).
pub const SEPARATOR_DEFAULT: &str = "+";
