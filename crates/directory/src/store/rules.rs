//! What an object must be whatever else there is: the rules that need no look at the database.
//!
//! # Contract
//! * **Both stores ask here before they write**, so that they refuse the same with the same words.
//! * **The field is named as in JSON.**
//!
//! # Not here
//! Rules between objects (names that are taken, domains that must exist, limits): the stores, in their
//! transactions.

use std::sync::Arc;

use super::{ChangeError, Touched};
use crate::model::{Account, Alias, Domain, DomainAlias, Kind, Object, Route};

/// Answers what is wrong with an object by itself.
///
/// # Errors
/// [`ChangeError::Invalid`], always.
pub(crate) fn check(object: &Object) -> Result<(), ChangeError> {
    match object {
        Object::Domain(one) => domain(one),
        Object::DomainAlias(one) => domain_alias(one),
        Object::Account(one) => account(one),
        Object::Alias(one) => alias(one),
        Object::List(_) => Ok(()),
        Object::Route(one) => route(one),
    }
}

/// The refusal of a field.
pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> ChangeError {
    ChangeError::Invalid {
        field,
        reason: reason.into(),
    }
}

fn domain(one: &Domain) -> Result<(), ChangeError> {
    if one.plus_addressing && one.plus_separator.is_empty() {
        return Err(invalid(
            "plus_separator",
            "it is empty, with plus_addressing on; \"+\" is usual",
        ));
    }
    if one.plus_separator.contains('@') {
        return Err(invalid("plus_separator", "no @ can stand in it; \"+\" is usual"));
    }
    number("message_size", one.message_size)
}

fn domain_alias(one: &DomainAlias) -> Result<(), ChangeError> {
    if one.name == one.domain {
        return Err(invalid("domain", "a domain is no alias of itself"));
    }
    Ok(())
}

/// Reference §3.5: a mailbox's name may become that of a directory.
fn account(one: &Account) -> Result<(), ChangeError> {
    let local = one.address.address().local_part();
    if let Some(c) = local
        .chars()
        .find(|c| matches!(c, '"' | '/' | '\\') || c.is_whitespace())
    {
        return Err(invalid(
            "address",
            format!("{c:?} cannot stand in the name of an account; an alias may have it"),
        ));
    }
    number("quota", one.quota)
}

fn alias(one: &Alias) -> Result<(), ChangeError> {
    if one.targets.is_empty() {
        return Err(invalid("targets", "an alias has one or more"));
    }
    Ok(())
}

fn route(one: &Route) -> Result<(), ChangeError> {
    if let Some(host) = one.hosts.iter().find(|host| {
        host.is_empty() || host.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control())
    }) {
        return Err(invalid(
            "hosts",
            format!("{host:?} is no host; right are relay.example.net:587 and 192.0.2.1"),
        ));
    }
    if !one.preference.is_empty() && one.preference.len() != one.hosts.len() {
        return Err(invalid("preference", "one number for each host, or none at all"));
    }
    let is_unsaid = |text: &str| text.contains(char::is_control);
    if one.username.as_deref().is_some_and(is_unsaid) {
        return Err(invalid("username", "AUTH says no control characters"));
    }
    if one
        .password
        .as_ref()
        .is_some_and(|password| is_unsaid(password.reveal()))
    {
        return Err(invalid("password", "AUTH says no control characters"));
    }
    match one.tls.as_deref() {
        None | Some("none" | "may" | "encrypt" | "verify") => Ok(()),
        Some(_) => Err(invalid("tls", "one of none, may, encrypt, verify")),
    }
}

/// Both databases keep numbers in 64 bits with a sign.
fn number(field: &'static str, value: Option<u64>) -> Result<(), ChangeError> {
    match value {
        Some(value) if i64::try_from(value).is_err() => Err(invalid(field, "at most 9223372036854775807")),
        _ => Ok(()),
    }
}

/// What has become of an object: its id, its name before, its name now.
pub(crate) type Each = (i64, Option<Arc<str>>, Option<Arc<str>>);

/// What has become of the objects of a kind: each by itself while they are few.
pub(crate) fn touched(kind: Kind, each: Vec<Each>) -> Vec<Touched> {
    if each.len() > TOUCHED_EACH_MAX {
        return vec![Touched::All(kind)];
    }
    let one = |(id, old, new)| Touched::One {
        kind,
        id: Some(id),
        old,
        new,
    };
    each.into_iter().map(one).collect()
}

/// Objects of a kind that a change names one by one; of more it says "all of the kind".
pub(crate) const TOUCHED_EACH_MAX: usize = 200;
