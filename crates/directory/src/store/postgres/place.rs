//! An object's place among the others: its name is free, what it names is there, its domain may have one more.
//!
//! # Contract
//! * **It is looked at in the transaction that changes it**; what two transactions at once could break is kept by the
//!   database's own constraints, or by a lock on the domain.
//!
//! # Not here
//! What an object must be by itself ([`rules`](crate::store::rules)).
//!
//! # Known faults
//! A catch-all that loses its account afterwards stays (G10): resolution ends there.

use sqlx::{PgConnection, Row as _};

use super::super::{ChangeError, rules::invalid};
use super::error::Trouble;
use crate::model::{Domain, Kind, Mailbox, Object};

/// Looks at an object among others, before it is stored: its domain is there, its name is free, and its domain may
/// have one more. `old`: what it is in place of.
pub(super) async fn is_free_for(
    tx: &mut PgConnection,
    object: &Object,
    old: Option<&Object>,
) -> Result<(), Trouble> {
    let address = match object {
        Object::Domain(_) => return is_free(tx, object, old, HOLDER_OF_DOMAIN).await,
        Object::Route(_) => return is_free(tx, object, old, HOLDER_OF_ROUTE).await,
        Object::DomainAlias(one) => {
            hold_domain(tx, one.domain.as_str(), "domain").await?;
            return is_free(tx, object, old, HOLDER_OF_DOMAIN).await;
        }
        Object::Account(one) => &one.address,
        Object::Alias(one) => &one.address,
        Object::List(one) => &one.address,
    };
    let limits = hold_domain(tx, address.domain(), "address").await?;
    is_free(tx, object, old, HOLDER_OF_ADDRESS).await?;
    let was_here = old
        .and_then(address_of)
        .is_some_and(|old| old.domain() == address.domain());
    match was_here {
        true => Ok(()),
        false => has_room(tx, object.kind(), address.domain(), limits).await,
    }
}

/// Looks at what a stored object names that must be there.
pub(super) async fn has_catch_all(tx: &mut PgConnection, object: &Object) -> Result<(), Trouble> {
    let Object::Domain(Domain {
        catch_all: Some(catch_all),
        ..
    }) = object
    else {
        return Ok(());
    };
    let is_missing: bool = sqlx::query_scalar(IS_MISSING)
        .bind(catch_all.domain())
        .bind(catch_all.address().local_part())
        .fetch_one(tx)
        .await?;
    match is_missing {
        false => Ok(()),
        true => Err(invalid(
            "catch_all",
            format!("{catch_all} would be here, and there is no such account, alias or list"),
        )
        .into()),
    }
}

/// The limits of accounts, aliases and lists.
type DomainLimits = [Option<i64>; 3];

/// Keeps the domain as it is until the end of the transaction, and others from adding to it.
async fn hold_domain(
    tx: &mut PgConnection,
    name: &str,
    field: &'static str,
) -> Result<DomainLimits, Trouble> {
    let row = sqlx::query(HOLD_DOMAIN).bind(name).fetch_optional(tx).await?;
    let Some(row) = row else {
        return Err(invalid(field, format!("there is no domain {name}")).into());
    };
    Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?])
}

async fn is_free(
    tx: &mut PgConnection,
    object: &Object,
    old: Option<&Object>,
    holder: &'static str,
) -> Result<(), Trouble> {
    let row = sqlx::query(holder).bind(object.name()).fetch_optional(tx).await?;
    let Some(row) = row else { return Ok(()) };
    let (kind, id): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    let by = Kind::from_word(&kind).unwrap_or(object.kind());
    match old.is_some_and(|old| old.head().id == id && old.kind() == by) {
        true => Ok(()),
        false => Err(ChangeError::Taken {
            name: object.name().to_owned(),
            by,
        }
        .into()),
    }
}

async fn has_room(
    tx: &mut PgConnection,
    kind: Kind,
    domain: &str,
    [accounts, aliases, lists]: DomainLimits,
) -> Result<(), Trouble> {
    let (limit, count) = match kind {
        Kind::Alias => (aliases, "SELECT count(*) FROM alias WHERE domain = $1"),
        Kind::List => (lists, "SELECT count(*) FROM list WHERE domain = $1"),
        _ => (accounts, "SELECT count(*) FROM account WHERE domain = $1"),
    };
    let Some(limit) = limit else { return Ok(()) };
    let there: i64 = sqlx::query_scalar(count).bind(domain).fetch_one(tx).await?;
    match there < limit {
        true => Ok(()),
        false => Err(ChangeError::LimitReached {
            kind,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        }
        .into()),
    }
}

/// The address that the object is.
pub(super) fn address_of(object: &Object) -> Option<&Mailbox> {
    match object {
        Object::Account(one) => Some(&one.address),
        Object::Alias(one) => Some(&one.address),
        Object::List(one) => Some(&one.address),
        Object::Domain(_) | Object::DomainAlias(_) | Object::Route(_) => None,
    }
}

const HOLD_DOMAIN: &str =
    "SELECT account_limit, alias_limit, list_limit FROM domain WHERE name = $1 FOR NO KEY UPDATE";
const HOLDER_OF_DOMAIN: &str = "SELECT kind, ref_id FROM domain_name WHERE name = $1";
const HOLDER_OF_ADDRESS: &str = "SELECT kind, ref_id FROM address WHERE address = $1";
const HOLDER_OF_ROUTE: &str = "SELECT 'route', id FROM route WHERE domain = $1";
/// `$1`, which may be an alias' name, is a domain of ours, in which `$2` is nobody.
const IS_MISSING: &str = "
    SELECT EXISTS (
        SELECT FROM domain d
        WHERE d.name = coalesce((SELECT a.domain FROM domain_alias a WHERE a.name = $1), $1)
          AND NOT EXISTS (SELECT FROM address WHERE address.address = $2 || '@' || d.name))";
