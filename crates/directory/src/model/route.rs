//! Routes: where mail for a domain goes, as in `[[route]]` of the configuration.

use std::{fmt, sync::Arc};

use remuda_mail::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Head, entity};

/// Where mail for a domain goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What every object has.
    #[serde(flatten)]
    pub head: Head,
    /// Which domains.
    pub domain: Pattern,
    /// Hosts as in the configuration (`192.0.2.1:2700`, `relay.example.net`); none: the domain's own MX.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The hosts' MX instead of their addresses.
    #[serde(default)]
    pub mx: bool,
    /// `none`, `may`, `encrypt` or `verify`; None: what `[delivery.tls]` says.
    #[serde(default)]
    pub tls: Option<String>,
    /// One for each host; none: all are equal.
    #[serde(default)]
    pub preference: Vec<u16>,
    /// Who we are to the hosts.
    #[serde(default)]
    pub username: Option<String>,
    /// The proof. Never comes out.
    #[serde(skip)]
    pub password: Option<Secret>,
}

/// Which domains a route is for: `example.net`, `.example.net` (names below it) or `*`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Reads a pattern as somebody typed it.
    ///
    /// # Errors
    /// It is none.
    pub fn typed(text: &str) -> Result<Pattern, remuda_mail::AddressError> {
        let text = text.trim();
        if text == "*" {
            return Ok(Pattern(text.into()));
        }
        match text.strip_prefix('.') {
            Some(below) => crate::name::domain(below).map(|domain| Pattern(format!(".{domain}").into())),
            None => crate::name::domain(text).map(|domain| Pattern(domain.as_str().into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Pattern::typed(&text).map_err(D::Error::custom)
    }
}

impl Route {
    pub(super) fn key(&self) -> &str {
        self.domain.as_str()
    }

    pub(super) fn owned(&self) -> usize {
        let hosts: usize = self
            .hosts
            .iter()
            .map(|host| host.len() + std::mem::size_of::<String>())
            .sum();
        let password = self.password.as_ref().map_or(0, |secret| secret.reveal().len());
        self.domain.as_str().len() + hosts + 2 * self.preference.len() + password
    }
}

entity!(Route);
