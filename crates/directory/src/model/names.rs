//! Names as values: what is one of these is in normal form.
//!
//! # Contract
//! * **What is read in is normal**: however it was typed ([`crate::name`]).
//!
//! # Not here
//! What normal is ([`crate::name`]); a route's pattern ([`super::Pattern`]).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A domain name in normal form, read from what somebody typed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The normal form of a domain as somebody typed it.
    ///
    /// # Errors
    /// It is no domain.
    pub fn domain(text: &str) -> Result<Name, remuda_mail::AddressError> {
        crate::name::domain(text).map(|domain| Name(domain.as_str().into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Name::domain(&text).map_err(D::Error::custom)
    }
}

/// An address in normal form, read from what somebody typed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mailbox(remuda_mail::Address);

impl Mailbox {
    /// The normal form of an address as somebody typed it.
    ///
    /// # Errors
    /// It is no address.
    pub fn typed(text: &str) -> Result<Mailbox, remuda_mail::AddressError> {
        crate::name::address(text).map(Mailbox)
    }

    /// The normal form of an address.
    ///
    /// # Errors
    /// See [`name::fold`](crate::name::fold).
    pub fn of(address: &remuda_mail::Address) -> Result<Mailbox, remuda_mail::AddressError> {
        crate::name::fold(address).map(Mailbox)
    }

    /// The text, `local@domain`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address.
    pub fn address(&self) -> &remuda_mail::Address {
        &self.0
    }

    /// The address on its own.
    pub fn into_address(self) -> remuda_mail::Address {
        self.0
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        self.0.domain().as_str()
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Mailbox {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Mailbox {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Mailbox::typed(&text).map_err(D::Error::custom)
    }
}
