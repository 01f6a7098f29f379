//! Rows and objects.
//!
//! # Contract
//! * **One object is one statement**, so a list and its members are of one moment (D14).
//! * **A row that makes no sense is an error**, never a smaller object (D16): a name that is not in its normal form,
//!   a member that is no address, an alias without targets.

use remuda_clock::Wall;
use remuda_mail::Secret;
use rusqlite::{Connection, OptionalExtension, Row, types::ToSql};

use super::connections::failure;
use crate::{
    model::{
        Account, Alias, Domain, DomainAlias, Head, Kind, List, Mailbox, Mode, Name, Object, Pattern, Route,
    },
    store::{By, Owner, Page, StoreError, rules},
};

/// What reading a row comes to: SQLite's own failure outside, the row's inside.
pub(super) type Read<T> = rusqlite::Result<Result<T, StoreError>>;

/// Reads one object.
pub(super) fn load(db: &Connection, kind: Kind, by: By<'_>) -> Read<Option<Object>> {
    let (column, key): (_, &dyn ToSql) = match &by {
        By::Id(id) => ("id", id),
        By::Name(name) => (name_column(kind), name),
    };
    let mut statement = db.prepare_cached(&format!("{} WHERE {column} = ?1", select(kind)))?;
    let found = statement.query_row([key], |row| object(kind, row)).optional()?;
    Ok(found.transpose())
}

/// Reads one object within a change.
pub(super) fn current(db: &Connection, kind: Kind, by: By<'_>) -> Result<Option<Object>, StoreError> {
    load(db, kind, by).map_err(failure)?
}

/// Reads the names of domains and domain aliases and the patterns of routes, at most so many.
pub(super) fn domain_names(db: &Connection, max: usize) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM domain UNION ALL SELECT name FROM domain_alias
        UNION ALL SELECT domain FROM route LIMIT ?1";
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    db.prepare_cached(sql)?
        .query_map([max], |row| row.get(0))?
        .collect()
}

/// Reads what has an address.
pub(super) fn whose(db: &Connection, address: &str) -> Read<Owner> {
    let sql = "SELECT a.kind, a.ref_id FROM domain d LEFT JOIN address a ON a.address = ?1 WHERE d.name = ?2";
    let mut statement = db.prepare_cached(sql)?;
    let found = statement
        .query_row((address, rules::domain_of(address)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(rules::owner(found))
}

/// Reads objects in order of name.
pub(super) fn page(db: &Connection, kind: Kind, page: &Page) -> Read<Vec<Object>> {
    let (name, domain) = (name_column(kind), domain_column(kind));
    let sql = match page.domain {
        Some(_) => format!(
            "{} WHERE {domain} = ?3 AND {name} > ?1 ORDER BY {name} LIMIT ?2",
            select(kind)
        ),
        None => format!(
            "{} WHERE {name} > ?1 AND ?3 IS NULL ORDER BY {name} LIMIT ?2",
            select(kind)
        ),
    };
    let after = page.after.as_deref().unwrap_or_default();
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map((after, page.limit, &page.domain), |row| object(kind, row))?;
    rows.collect()
}

/// The column that holds the name.
pub(super) fn name_column(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain | Kind::DomainAlias => "name",
        Kind::Account | Kind::Alias | Kind::List => "address",
        Kind::Route => "domain",
    }
}

fn domain_column(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain => "name",
        _ => "domain",
    }
}

/// Columns 0 to 4 are the head's, 5 the name.
fn select(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain => {
            "SELECT id, version, active, created, changed, name, catch_all, message_size, plus_addressing,
                 plus_separator, account_limit, alias_limit, list_limit FROM domain"
        }
        Kind::DomainAlias => {
            "SELECT id, version, active, created, changed, name, domain FROM domain_alias"
        }
        Kind::Account => {
            "SELECT id, version, active, created, changed, address, password, quota, forward, forward_keep
                 FROM account"
        }
        Kind::Alias => {
            "SELECT id, version, active, created, changed, address,
                 (SELECT json_group_array(t.address ORDER BY t.address) FROM alias_target AS t
                     WHERE t.alias_id = alias.id) FROM alias"
        }
        Kind::List => {
            "SELECT id, version, active, created, changed, address, mode, owner, require_auth,
                 (SELECT json_group_array(m.address ORDER BY m.address) FROM list_member AS m
                     WHERE m.list_id = list.id) FROM list"
        }
        Kind::Route => {
            "SELECT id, version, active, created, changed, domain, hosts, mx, tls, preference, username, password
                 FROM route"
        }
    }
}

fn object(kind: Kind, row: &Row<'_>) -> Read<Object> {
    let sense = Sense {
        kind,
        name: row.get(5)?,
    };
    match kind {
        Kind::Domain => domain(row, &sense),
        Kind::DomainAlias => domain_alias(row, &sense),
        Kind::Account => account(row, &sense),
        Kind::Alias => alias(row, &sense),
        Kind::List => list(row, &sense),
        Kind::Route => route(row, &sense),
    }
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        id: row.get(0)?,
        version: row.get(1)?,
        active: row.get(2)?,
        created: Wall(row.get(3)?),
        changed: Wall(row.get(4)?),
    })
}

fn domain(row: &Row<'_>, sense: &Sense) -> Read<Object> {
    let (head, catch_all) = (head(row)?, row.get::<_, Option<String>>(6)?);
    let (message_size, plus_addressing, plus_separator) = (octets(row, 7)?, row.get(8)?, row.get(9)?);
    let (account_limit, alias_limit, list_limit) = (row.get(10)?, row.get(11)?, row.get(12)?);
    let make = || {
        Ok(Object::Domain(Domain {
            head,
            name: sense.domain(&sense.name)?,
            catch_all: sense.perhaps(catch_all)?,
            message_size,
            plus_addressing,
            plus_separator,
            account_limit,
            alias_limit,
            list_limit,
        }))
    };
    Ok(make())
}

fn domain_alias(row: &Row<'_>, sense: &Sense) -> Read<Object> {
    let (head, domain) = (head(row)?, row.get::<_, String>(6)?);
    let make = || {
        Ok(Object::DomainAlias(DomainAlias {
            head,
            name: sense.domain(&sense.name)?,
            domain: sense.domain(&domain)?,
        }))
    };
    Ok(make())
}

fn account(row: &Row<'_>, sense: &Sense) -> Read<Object> {
    let (head, hash) = (head(row)?, row.get::<_, Option<String>>(6)?);
    let (quota, forward, forward_keep) = (octets(row, 7)?, row.get(8)?, row.get(9)?);
    let make = || {
        Ok(Object::Account(Account {
            head,
            address: sense.address(&sense.name)?,
            hash: hash.map(|hash| Secret::new(&hash)),
            quota,
            forward: sense.perhaps(forward)?,
            forward_keep,
        }))
    };
    Ok(make())
}

fn alias(row: &Row<'_>, sense: &Sense) -> Read<Object> {
    let (head, targets) = (head(row)?, row.get::<_, String>(6)?);
    let make = || {
        let targets = sense.addresses(&targets)?;
        if targets.is_empty() {
            return Err(sense.less("it has no targets"));
        }
        Ok(Object::Alias(Alias {
            head,
            address: sense.address(&sense.name)?,
            targets,
        }))
    };
    Ok(make())
}

fn list(row: &Row<'_>, sense: &Sense) -> Read<Object> {
    let (head, mode) = (head(row)?, row.get::<_, String>(6)?);
    let (owner, require_auth, members) = (row.get(7)?, row.get(8)?, row.get::<_, String>(9)?);
    let make = || {
        Ok(Object::List(List {
            head,
            address: sense.address(&sense.name)?,
            mode: Mode::from_word(&mode).ok_or_else(|| sense.less(&format!("{mode:?} is no mode")))?,
            owner: sense.perhaps(owner)?,
            require_auth,
            members: sense.addresses(&members)?,
        }))
    };
    Ok(make())
}

fn route(row: &Row<'_>, sense: &Sense) -> Read<Object> {
    let (head, hosts, mx) = (head(row)?, row.get::<_, String>(6)?, row.get(7)?);
    let (tls, preference) = (row.get(8)?, row.get::<_, String>(9)?);
    let (username, password) = (row.get(10)?, row.get::<_, Option<String>>(11)?);
    let make = || {
        let pattern = Pattern::typed(&sense.name).map_err(|e| sense.less(&e.to_string()))?;
        sense.normal(&sense.name, pattern.as_str())?;
        let number = |text: &str| {
            text.parse()
                .map_err(|_| sense.less(&format!("{text:?} is no preference")))
        };
        Ok(Object::Route(Route {
            head,
            domain: pattern,
            hosts: parts(&hosts).map(str::to_owned).collect(),
            mx,
            tls,
            preference: parts(&preference).map(number).collect::<Result<_, _>>()?,
            username,
            password: password.map(|password| Secret::new(&password)),
        }))
    };
    Ok(make())
}

/// A number that the table keeps from being negative.
fn octets(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
}

/// The parts of a text with commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Whose row is being read; what is said of it when it makes no sense.
struct Sense {
    kind: Kind,
    name: String,
}

impl Sense {
    fn less(&self, what: &str) -> StoreError {
        StoreError::Senseless {
            kind: self.kind,
            reason: format!("{}: {what}", self.name),
        }
    }

    fn normal(&self, found: &str, normal: &str) -> Result<(), StoreError> {
        if found == normal {
            return Ok(());
        }
        Err(self.less(&format!("{found} is not in its normal form, {normal}")))
    }

    fn domain(&self, text: &str) -> Result<Name, StoreError> {
        let name = Name::domain(text).map_err(|e| self.less(&format!("{text:?}: {e}")))?;
        self.normal(text, name.as_str())?;
        Ok(name)
    }

    fn address(&self, text: &str) -> Result<Mailbox, StoreError> {
        let address = Mailbox::typed(text).map_err(|e| self.less(&format!("{text:?}: {e}")))?;
        self.normal(text, address.as_str())?;
        Ok(address)
    }

    /// An address that is mentioned; it is folded and needs no normal form.
    fn perhaps(&self, text: Option<String>) -> Result<Option<Mailbox>, StoreError> {
        let typed = |text: String| Mailbox::typed(&text).map_err(|e| self.less(&format!("{text:?}: {e}")));
        text.map(typed).transpose()
    }

    fn addresses(&self, json: &str) -> Result<Vec<Mailbox>, StoreError> {
        let texts: Vec<String> = serde_json::from_str(json).map_err(|e| self.less(&e.to_string()))?;
        texts
            .into_iter()
            .map(|text| Mailbox::typed(&text).map_err(|e| self.less(&format!("{text:?}: {e}"))))
            .collect()
    }
}
