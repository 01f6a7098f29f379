//! Objects into rows: the statements that change them.
//!
//! # Contract
//! * **Only differences of targets and members are written**, so that one more member is one more line of the
//!   change log.
//! * **A domain's own catch-all follows its name.**
//!
//! # Not here
//! Any rule; versions and times, which the triggers keep.

use std::collections::BTreeSet;

use remuda_mail::Secret;
use rusqlite::{Connection, params_from_iter, types::Value};

use crate::model::{Domain, Kind, Mailbox, Object, Route};

/// Writes a new row; answers its id.
pub(super) fn insert(db: &Connection, object: &Object) -> rusqlite::Result<i64> {
    let (columns, values) = columns(object).into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let (kind, columns, places) = (object.kind(), columns.join(", "), places.join(", "));
    let sql = format!("INSERT INTO {kind} ({columns}) VALUES ({places})");
    db.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    let id = db.last_insert_rowid();
    write_others(db, object, id)?;
    Ok(id)
}

/// Writes a row in place of `before`.
pub(super) fn update(db: &Connection, object: &Object, before: &Object) -> rusqlite::Result<()> {
    let (kind, id) = (object.kind(), before.head().id);
    let (columns, mut values) = columns(object).into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    let columns: Vec<String> = columns
        .iter()
        .zip(1..)
        .map(|(column, n)| format!("{column} = ?{n}"))
        .collect();
    values.push(Value::Integer(id));
    let sql = format!(
        "UPDATE {kind} SET {} WHERE id = ?{}",
        columns.join(", "),
        values.len()
    );
    db.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    if let (Object::Domain(now), Object::Domain(before)) = (object, before)
        && let Some(catch_all) = &now.catch_all
        && catch_all.domain() == before.name.as_str()
        && now.name != before.name
    {
        let follows = format!("{}@{}", catch_all.address().local_part(), now.name);
        let sql = "UPDATE domain SET catch_all = ?1 WHERE id = ?2";
        db.prepare_cached(sql)?.execute((follows, id))?;
    }
    write_others(db, object, id)
}

/// Removes a row.
pub(super) fn delete(db: &Connection, kind: Kind, id: i64) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {kind} WHERE id = ?1");
    db.prepare_cached(&sql)?.execute([id])?;
    Ok(())
}

/// How many bear a domain's name.
pub(super) fn count_bearers(db: &Connection, domain: &str) -> rusqlite::Result<u64> {
    let mut count = 0;
    for kind in BEARERS {
        let sql = format!("SELECT count(*) FROM {kind} WHERE domain = ?1");
        count += db
            .prepare_cached(&sql)?
            .query_row([domain], |row| row.get::<_, i64>(0))?
            .unsigned_abs();
    }
    Ok(count)
}

/// Removes all that bears a domain's name.
pub(super) fn delete_bearers(db: &Connection, domain: &str) -> rusqlite::Result<()> {
    for kind in BEARERS {
        let sql = format!("DELETE FROM {kind} WHERE domain = ?1");
        db.prepare_cached(&sql)?.execute([domain])?;
    }
    Ok(())
}

const BEARERS: [Kind; 4] = [Kind::DomainAlias, Kind::Account, Kind::Alias, Kind::List];

/// A column and what is to stand in it.
type Column = (&'static str, Value);

/// The columns that an object sets, with their values.
fn columns(object: &Object) -> Vec<Column> {
    let mut columns = vec![("active", Value::from(object.head().active))];
    match object {
        Object::Domain(one) => columns.extend(domain(one)),
        Object::DomainAlias(one) => columns.extend([
            ("name", text(one.name.as_str())),
            ("domain", text(one.domain.as_str())),
        ]),
        Object::Account(one) => {
            columns.extend(halves(&one.address));
            columns.extend([
                ("password", secret(one.hash.as_ref())),
                ("quota", number(one.quota)),
                ("forward", address(one.forward.as_ref())),
                ("forward_keep", Value::from(one.forward_keep)),
            ]);
        }
        Object::Alias(one) => columns.extend(halves(&one.address)),
        Object::List(one) => {
            columns.extend(halves(&one.address));
            columns.extend([
                ("mode", text(one.mode.as_str())),
                ("owner", address(one.owner.as_ref())),
                ("require_auth", Value::from(one.require_auth)),
            ]);
        }
        Object::Route(one) => columns.extend(route(one)),
    }
    columns
}

fn domain(one: &Domain) -> [Column; 8] {
    [
        ("name", text(one.name.as_str())),
        ("catch_all", address(one.catch_all.as_ref())),
        ("message_size", number(one.message_size)),
        ("plus_addressing", Value::from(one.plus_addressing)),
        ("plus_separator", text(&one.plus_separator)),
        ("account_limit", Value::from(one.account_limit)),
        ("alias_limit", Value::from(one.alias_limit)),
        ("list_limit", Value::from(one.list_limit)),
    ]
}

fn route(one: &Route) -> [Column; 7] {
    let preference: Vec<String> = one.preference.iter().map(u16::to_string).collect();
    [
        ("domain", text(one.domain.as_str())),
        ("hosts", text(&one.hosts.join(", "))),
        ("mx", Value::from(one.mx)),
        ("tls", Value::from(one.tls.clone())),
        ("preference", text(&preference.join(", "))),
        ("username", Value::from(one.username.clone())),
        ("password", secret(one.password.as_ref())),
    ]
}

/// Targets and members: what is not there any more goes, what is new comes.
fn write_others(db: &Connection, object: &Object, id: i64) -> rusqlite::Result<()> {
    let (table, column, wanted) = match object {
        Object::Alias(one) => ("alias_target", "alias_id", &one.targets),
        Object::List(one) => ("list_member", "list_id", &one.members),
        _ => return Ok(()),
    };
    let wanted: BTreeSet<&str> = wanted.iter().map(Mailbox::as_str).collect();
    let there = db
        .prepare_cached(&format!("SELECT address FROM {table} WHERE {column} = ?1"))?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<BTreeSet<String>>>()?;
    let delete = format!("DELETE FROM {table} WHERE {column} = ?1 AND address = ?2");
    let mut delete = db.prepare_cached(&delete)?;
    for gone in there.iter().filter(|one| !wanted.contains(one.as_str())) {
        delete.execute((id, gone))?;
    }
    let insert = format!("INSERT INTO {table} ({column}, address) VALUES (?1, ?2)");
    let mut insert = db.prepare_cached(&insert)?;
    for new in wanted.iter().filter(|one| !there.contains(**one)) {
        insert.execute((id, new))?;
    }
    Ok(())
}

fn halves(mailbox: &Mailbox) -> [Column; 2] {
    [
        ("local_part", text(mailbox.address().local_part())),
        ("domain", text(mailbox.domain())),
    ]
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn address(mailbox: Option<&Mailbox>) -> Value {
    mailbox.map_or(Value::Null, |mailbox| text(mailbox.as_str()))
}

fn secret(secret: Option<&Secret>) -> Value {
    secret.map_or(Value::Null, |secret| text(secret.reveal()))
}

/// The rules have seen to it that it fits.
fn number(number: Option<u64>) -> Value {
    number.map_or(Value::Null, |number| {
        Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    })
}
