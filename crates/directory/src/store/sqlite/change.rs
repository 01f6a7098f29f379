//! Changes: one object stored, replaced or removed, with the rules between objects, in one transaction.
//!
//! # Contract
//! * **The rules are looked up and kept under the file's write lock**: nobody comes between.
//! * **What is answered is what lies there**: the object is read again before the commit.
//! * **All that a change touches is named**: the object before and now; with a domain's name, all that bears it.
//! * **A commit whose end is not known is said to be so** (B14).
//!
//! # Not here
//! What an object must be by itself ([`rules`]). What the database does by itself: versions, the change log, one
//! address for one thing (`schema.sql`).

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    connections::failure,
    rows::{self, name_column},
    write,
};
use crate::{
    model::{Kind, Mailbox, Object},
    store::{
        By, ChangeError, Changed, Deletion, StoreError, Touched,
        rules::{self, invalid},
    },
};

/// Kinds whose names are addresses.
const ADDRESSES: [Kind; 3] = [Kind::Account, Kind::Alias, Kind::List];

/// Stores a new object.
pub(super) fn insert(db: &mut Connection, object: &Object) -> Result<Changed, ChangeError> {
    rules::check(object)?;
    let work = begin(db)?;
    let changed = insert_within(&work, object)?;
    check_catch_all(&work, object)?;
    commit(work, changed)
}

/// As [`insert`], in a transaction that is there, but for the catch-all.
pub(super) fn insert_within(db: &Transaction<'_>, object: &Object) -> Result<Changed, ChangeError> {
    let (kind, name) = (object.kind(), object.name());
    check_name(db, object)?;
    check_limit(db, object)?;
    let id = write::insert(db, object).map_err(refused)?;
    let touched = rules::touched(kind, vec![(id, None, Some(name.into()))]);
    reread(db, kind, id, touched)
}

/// Stores an object in place of the one with its id.
pub(super) fn update(
    db: &mut Connection,
    object: &Object,
    based_on: Option<i64>,
) -> Result<Changed, ChangeError> {
    rules::check(object)?;
    let work = begin(db)?;
    let before = expect(&work, object.kind(), By::Id(object.head().id), based_on)?;
    let changed = replace_within(&work, object, &before)?;
    check_catch_all(&work, &changed.object)?;
    commit(work, changed)
}

/// Stores an object in place of `before`, in a transaction that is there, but for the catch-all.
pub(super) fn replace_within(
    db: &Transaction<'_>,
    object: &Object,
    before: &Object,
) -> Result<Changed, ChangeError> {
    let (kind, id) = (object.kind(), before.head().id);
    let is_renamed = object.name() != before.name();
    if is_renamed || kind == Kind::DomainAlias {
        check_name(db, object)?;
    }
    if domain_of(object) != domain_of(before) {
        check_limit(db, object)?;
    }
    let (old, new): (Arc<str>, Arc<str>) = (before.name().into(), object.name().into());
    let mut touched = rules::touched(kind, vec![(id, Some(old.clone()), Some(new.clone()))]);
    if is_renamed && kind == Kind::Domain {
        touched.extend(bearers(db, &old, Some(&new)).map_err(refused)?);
    }
    write::update(db, object, before).map_err(refused)?;
    reread(db, kind, id, touched)
}

/// Removes an object.
pub(super) fn delete(
    db: &mut Connection,
    kind: Kind,
    by: By<'_>,
    how: Deletion,
) -> Result<Changed, ChangeError> {
    let work = begin(db)?;
    let object = expect(&work, kind, by, how.based_on)?;
    let name: Arc<str> = object.name().into();
    let mut touched = rules::touched(kind, vec![(object.head().id, Some(name.clone()), None)]);
    if kind == Kind::Domain {
        let count = write::count_bearers(&work, &name).map_err(refused)?;
        if count > 0 && !how.all_of_it {
            return Err(ChangeError::InUse(count));
        }
        touched.extend(bearers(&work, &name, None).map_err(refused)?);
        write::delete_bearers(&work, &name).map_err(refused)?;
    }
    write::delete(&work, kind, object.head().id).map_err(refused)?;
    commit(work, Changed { object, touched })
}

/// Answers whether a domain's catch-all, if it is ours, exists (G10).
pub(super) fn check_catch_all(db: &Connection, object: &Object) -> Result<(), ChangeError> {
    let Object::Domain(domain) = object else {
        return Ok(());
    };
    let Some(catch_all) = &domain.catch_all else {
        return Ok(());
    };
    let local = catch_all.address().local_part();
    let is_missing: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM domain WHERE name = ?2
                 UNION ALL SELECT 1 FROM domain_alias WHERE name = ?2)
             AND NOT EXISTS (SELECT 1 FROM address WHERE address = ?1 || '@' ||
                 coalesce((SELECT domain FROM domain_alias WHERE name = ?2), ?2))",
        )
        .and_then(|mut look| look.query_row([local, catch_all.domain()], |row| row.get(0)))
        .map_err(refused)?;
    if is_missing {
        return Err(invalid(
            "catch_all",
            format!("{catch_all} would be here, and there is no such account, alias or list"),
        ));
    }
    Ok(())
}

/// Begins a transaction that holds the write lock.
pub(super) fn begin(db: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    db.transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failure)
}

fn commit(work: Transaction<'_>, changed: Changed) -> Result<Changed, ChangeError> {
    match work.commit() {
        Ok(()) => Ok(changed),
        Err(error) if is_undone(&error) => Err(refused(error)),
        Err(error) => Err(ChangeError::Unknown {
            reason: error.to_string(),
            touched: changed.touched,
        }),
    }
}

/// Answers whether a failed commit certainly did not happen. After an input or output error the log may hold it,
/// and whoever opens the file next may find it committed.
pub(super) fn is_undone(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ConstraintViolation
                | ErrorCode::ReadOnly
        )
    )
}

fn expect(db: &Connection, kind: Kind, by: By<'_>, based_on: Option<i64>) -> Result<Object, ChangeError> {
    let before = rows::current(db, kind, by)?.ok_or(ChangeError::NoSuch(kind))?;
    let current = before.head().version;
    match based_on {
        Some(version) if version != current => Err(ChangeError::Conflict { current }),
        _ => Ok(before),
    }
}

fn reread(db: &Connection, kind: Kind, id: i64, touched: Vec<Touched>) -> Result<Changed, ChangeError> {
    let object = rows::current(db, kind, By::Id(id))?.ok_or(ChangeError::NoSuch(kind))?;
    Ok(Changed { object, touched })
}

/// The domain of an object that is in one.
fn domain_of(object: &Object) -> Option<&str> {
    mailbox(object).map(Mailbox::domain)
}

fn mailbox(object: &Object) -> Option<&Mailbox> {
    match object {
        Object::Account(one) => Some(&one.address),
        Object::Alias(one) => Some(&one.address),
        Object::List(one) => Some(&one.address),
        Object::Domain(_) | Object::DomainAlias(_) | Object::Route(_) => None,
    }
}

/// Answers whether the name is free and the domain in it exists.
fn check_name(db: &Connection, object: &Object) -> Result<(), ChangeError> {
    let (kind, name) = (object.kind(), object.name());
    let (domain, field) = match object {
        Object::DomainAlias(one) => (Some(one.domain.as_str()), "domain"),
        _ => (domain_of(object), "address"),
    };
    if let Some(domain) = domain
        && !exists(db, "SELECT id FROM domain WHERE name = ?1", domain)?
    {
        return Err(invalid(field, format!("there is no domain {domain}")));
    }
    let owner = match kind {
        Kind::Domain | Kind::DomainAlias => {
            "SELECT 'domain', id FROM domain WHERE name = ?1
                 UNION ALL SELECT 'domain_alias', id FROM domain_alias WHERE name = ?1"
        }
        Kind::Account | Kind::Alias | Kind::List => "SELECT kind, ref_id FROM address WHERE address = ?1",
        Kind::Route => "SELECT 'route', id FROM route WHERE domain = ?1",
    };
    let taken = db
        .prepare_cached(owner)
        .and_then(|mut look| {
            look.query_row([name], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()
        })
        .map_err(refused)?;
    match taken.and_then(|(word, id)| Some((Kind::from_word(&word)?, id))) {
        Some(owner) if owner != (kind, object.head().id) => Err(ChangeError::Taken {
            name: name.to_owned(),
            by: owner.0,
        }),
        _ => Ok(()),
    }
}

/// Answers whether the domain may have one more of these.
fn check_limit(db: &Connection, object: &Object) -> Result<(), ChangeError> {
    let (kind, Some(domain)) = (object.kind(), domain_of(object)) else {
        return Ok(());
    };
    let sql = format!(
        "SELECT {kind}_limit FROM domain
             WHERE name = ?1 AND {kind}_limit <= (SELECT count(*) FROM {kind} WHERE domain = ?1)"
    );
    let reached = db
        .prepare_cached(&sql)
        .and_then(|mut look| look.query_row([domain], |row| row.get(0)).optional())
        .map_err(refused)?;
    match reached {
        Some(limit) => Err(ChangeError::LimitReached { kind, limit }),
        None => Ok(()),
    }
}

/// What bears a domain's name, as it is touched when that name becomes `new`, or goes.
fn bearers(db: &Connection, old: &str, new: Option<&str>) -> rusqlite::Result<Vec<Touched>> {
    let mut touched = Vec::new();
    for kind in ADDRESSES {
        let mut look = db.prepare_cached(&format!(
            "SELECT id, local_part FROM {kind} WHERE domain = ?1 LIMIT ?2"
        ))?;
        let limit = rules::TOUCHED_EACH_MAX as i64 + 1;
        let each = look.query_map(params![old, limit], |row| {
            let local: String = row.get(1)?;
            let name = |domain: &str| Arc::from(format!("{local}@{domain}"));
            Ok((row.get(0)?, Some(name(old)), new.map(name)))
        })?;
        touched.extend(rules::touched(kind, each.collect::<rusqlite::Result<_>>()?));
    }
    let column = name_column(Kind::DomainAlias);
    let mut look = db.prepare_cached(&format!(
        "SELECT id, {column} FROM domain_alias WHERE domain = ?1"
    ))?;
    let each = look.query_map([old], |row| {
        let name: Arc<str> = row.get::<_, String>(1)?.into();
        Ok((row.get(0)?, Some(name.clone()), new.map(|_| name)))
    })?;
    touched.extend(rules::touched(
        Kind::DomainAlias,
        each.collect::<rusqlite::Result<_>>()?,
    ));
    Ok(touched)
}

fn exists(db: &Connection, sql: &str, key: &str) -> Result<bool, ChangeError> {
    let mut look = db.prepare_cached(sql).map_err(refused)?;
    look.exists([key]).map_err(refused)
}

fn refused(error: rusqlite::Error) -> ChangeError {
    ChangeError::Store(failure(error))
}
