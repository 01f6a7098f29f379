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

use remuda_mail::HostPort;

use super::{ChangeError, Owner, StoreError, Touched};
use crate::{
    model::{Account, Alias, Domain, DomainAlias, Kind, Object, Route},
    whose::ADDRESSED,
};

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

/// What has an address, by the row of its domain (None: there is none) with kind and id of the address's own.
///
/// # Errors
/// [`StoreError::Senseless`]: nothing of that kind has an address.
pub(crate) fn owner(row: Option<(Option<String>, Option<i64>)>) -> Result<Owner, StoreError> {
    let Some(of_domain) = row else {
        return Ok(Owner::NoDomain);
    };
    let (Some(word), Some(id)) = of_domain else {
        return Ok(Owner::Nobody);
    };
    match Kind::from_word(&word).filter(|kind| ADDRESSED.contains(kind)) {
        Some(kind) => Ok(Owner::One(kind, id)),
        None => Err(StoreError::Senseless {
            kind: Kind::Account,
            reason: format!("its address belongs to a {word:?}"),
        }),
    }
}

/// The domain of an address in normal form.
pub(crate) fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
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
    let mut hosts = Vec::with_capacity(one.hosts.len());
    for host in &one.hosts {
        let read = host.parse::<HostPort>();
        hosts.push(read.map_err(|error| invalid("hosts", format!("{host:?}: {error}")))?);
    }
    if !one.preference.is_empty() && one.preference.len() != one.hosts.len() {
        return Err(invalid("preference", "one number for each host, or none at all"));
    }
    login(one)?;
    if !matches!(
        one.tls.as_deref(),
        None | Some("none" | "may" | "encrypt" | "verify")
    ) {
        return Err(invalid("tls", "one of none, may, encrypt, verify"));
    }
    if let Some(address) = hosts.iter().find(|host| one.mx && host.ip().is_some()) {
        return Err(invalid("mx", format!("{address} is an address and has no MX")));
    }
    let says_how = one.tls.is_some() || one.username.is_some() || one.mx;
    if says_how && hosts.is_empty() {
        let reason = "tls, username and mx are about hosts, and there are none; the domain's own MX are \
                      hosts = [the domain] with mx = true";
        return Err(invalid("hosts", reason));
    }
    Ok(())
}

fn login(one: &Route) -> Result<(), ChangeError> {
    let is_unsaid = |text: &str| text.contains(char::is_control);
    let password = one.password.as_ref().map(|password| password.reveal());
    for (field, text) in [("username", one.username.as_deref()), ("password", password)] {
        if text.is_some_and(is_unsaid) {
            return Err(invalid(field, "AUTH says no control characters"));
        }
    }
    Ok(())
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
