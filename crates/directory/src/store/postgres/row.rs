//! Rows and objects.
//!
//! # Contract
//! * **A row that makes no sense is an error**, never a smaller object and never an absence (D16): a name that is not
//!   in its normal form, a member that is no address, an alias without targets.

use remuda_clock::Wall;
use remuda_mail::Secret;
use sqlx::{
    Row as _,
    postgres::{PgArguments, PgRow, Postgres},
    query::Query,
};

use super::super::{Owner, StoreError, rules};
use super::error::store_error;
use crate::model::{
    Account, Alias, Domain, DomainAlias, Head, Kind, List, Mailbox, Mode, Name, Object, Pattern, Route,
};

/// Reads what has an address.
pub(super) fn whose(row: &PgRow) -> Result<Owner, StoreError> {
    let read = || Ok((row.try_get("kind")?, row.try_get("ref_id")?));
    rules::owner(Some(read().map_err(|error| store_error(&error))?))
}

/// Reads an object.
pub(super) fn object(kind: Kind, row: &PgRow) -> Result<Object, StoreError> {
    let name: String = row.try_get("called").map_err(|error| store_error(&error))?;
    let row = Reading { kind, row, name };
    Ok(match kind {
        Kind::Domain => Object::Domain(domain(&row)?),
        Kind::DomainAlias => Object::DomainAlias(DomainAlias {
            head: row.head()?,
            name: row.domain_name("called")?,
            domain: row.domain_name("domain")?,
        }),
        Kind::Account => Object::Account(account(&row)?),
        Kind::Alias => Object::Alias(alias(&row)?),
        Kind::List => Object::List(list(&row)?),
        Kind::Route => Object::Route(route(&row)?),
    })
}

fn domain(row: &Reading) -> Result<Domain, StoreError> {
    Ok(Domain {
        head: row.head()?,
        name: row.domain_name("called")?,
        catch_all: row.perhaps("catch_all")?,
        message_size: row.number("message_size")?,
        plus_addressing: row.value("plus_addressing")?,
        plus_separator: row.value("plus_separator")?,
        account_limit: row.number("account_limit")?,
        alias_limit: row.number("alias_limit")?,
        list_limit: row.number("list_limit")?,
    })
}

fn account(row: &Reading) -> Result<Account, StoreError> {
    Ok(Account {
        head: row.head()?,
        address: row.address()?,
        hash: row.secret("password")?,
        quota: row.number("quota")?,
        forward: row.perhaps("forward")?,
        forward_keep: row.value("forward_keep")?,
    })
}

fn alias(row: &Reading) -> Result<Alias, StoreError> {
    let targets = row.mailboxes("targets")?;
    if targets.is_empty() {
        return Err(row.senseless("it has no targets"));
    }
    Ok(Alias {
        head: row.head()?,
        address: row.address()?,
        targets,
    })
}

fn list(row: &Reading) -> Result<List, StoreError> {
    let mode: String = row.value("mode")?;
    Ok(List {
        head: row.head()?,
        address: row.address()?,
        mode: Mode::from_word(&mode).ok_or_else(|| row.senseless(&format!("{mode:?} is no mode")))?,
        owner: row.perhaps("owner")?,
        require_auth: row.value("require_auth")?,
        members: row.mailboxes("members")?,
    })
}

fn route(row: &Reading) -> Result<Route, StoreError> {
    let pattern = Pattern::typed(&row.name).map_err(|error| row.senseless(&error.to_string()))?;
    row.is_normal(&row.name, pattern.as_str())?;
    let preference: String = row.value("preference")?;
    let number = |text: &str| {
        text.parse()
            .map_err(|_| row.senseless(&format!("{text:?} is no preference")))
    };
    let hosts: String = row.value("hosts")?;
    Ok(Route {
        head: row.head()?,
        domain: pattern,
        hosts: split(&hosts).map(str::to_owned).collect(),
        mx: row.value("mx")?,
        tls: row.value("tls")?,
        preference: split(&preference).map(number).collect::<Result<_, _>>()?,
        username: row.value("username")?,
        password: row.secret("password")?,
    })
}

/// A row of a kind, and whose it is.
struct Reading<'a> {
    kind: Kind,
    row: &'a PgRow,
    name: String,
}

impl Reading<'_> {
    fn value<'r, T>(&'r self, column: &str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        self.row.try_get(column).map_err(|error| store_error(&error))
    }

    fn head(&self) -> Result<Head, StoreError> {
        Ok(Head {
            id: self.value("id")?,
            version: self.value("version")?,
            active: self.value("active")?,
            created: Wall(self.value("created")?),
            changed: Wall(self.value("changed")?),
        })
    }

    fn domain_name(&self, column: &str) -> Result<Name, StoreError> {
        let text: String = self.value(column)?;
        let name = Name::domain(&text).map_err(|error| self.senseless(&format!("{text:?}: {error}")))?;
        self.is_normal(&text, name.as_str())?;
        Ok(name)
    }

    /// Its own address.
    fn address(&self) -> Result<Mailbox, StoreError> {
        let address = self.mailbox(&self.name)?;
        self.is_normal(&self.name, address.as_str())?;
        Ok(address)
    }

    /// An address that is mentioned; it is folded and needs no normal form.
    fn mailbox(&self, text: &str) -> Result<Mailbox, StoreError> {
        Mailbox::typed(text).map_err(|error| self.senseless(&format!("{text:?}: {error}")))
    }

    fn mailboxes(&self, column: &str) -> Result<Vec<Mailbox>, StoreError> {
        let all: Vec<String> = self.value(column)?;
        all.iter().map(|text| self.mailbox(text)).collect()
    }

    fn perhaps(&self, column: &str) -> Result<Option<Mailbox>, StoreError> {
        let text: Option<String> = self.value(column)?;
        text.map(|text| self.mailbox(&text)).transpose()
    }

    fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let number: Option<i64> = self.value(column)?;
        let one =
            |number: i64| T::try_from(number).map_err(|_| self.senseless(&format!("{column} is {number}")));
        number.map(one).transpose()
    }

    fn secret(&self, column: &str) -> Result<Option<Secret>, StoreError> {
        let text: Option<String> = self.value(column)?;
        Ok(text.map(|text| Secret::new(&text)))
    }

    fn is_normal(&self, found: &str, normal: &str) -> Result<(), StoreError> {
        match found == normal {
            true => Ok(()),
            false => Err(self.senseless(&format!("{found} is not in its normal form, {normal}"))),
        }
    }

    fn senseless(&self, what: &str) -> StoreError {
        StoreError::Senseless {
            kind: self.kind,
            reason: format!("{}: {what}", self.name),
        }
    }
}

/// The statement with the object's values, in the order of `statements`.
pub(super) fn bound<'q>(sql: &'static str, object: &'q Object) -> Query<'q, Postgres, PgArguments> {
    let query = sqlx::query(sql).bind(object.head().active);
    match object {
        Object::Domain(one) => query
            .bind(one.name.as_str())
            .bind(one.catch_all.as_ref().map(Mailbox::as_str))
            .bind(octets(one.message_size))
            .bind(one.plus_addressing)
            .bind(&one.plus_separator)
            .bind(one.account_limit.map(i64::from))
            .bind(one.alias_limit.map(i64::from))
            .bind(one.list_limit.map(i64::from)),
        Object::DomainAlias(one) => query.bind(one.name.as_str()).bind(one.domain.as_str()),
        Object::Account(one) => at(query, &one.address)
            .bind(one.hash.as_ref().map(Secret::reveal))
            .bind(octets(one.quota))
            .bind(one.forward.as_ref().map(Mailbox::as_str))
            .bind(one.forward_keep),
        Object::Alias(one) => at(query, &one.address),
        Object::List(one) => at(query, &one.address)
            .bind(one.mode.as_str())
            .bind(one.owner.as_ref().map(Mailbox::as_str))
            .bind(one.require_auth),
        Object::Route(one) => query
            .bind(one.domain.as_str())
            .bind(one.hosts.join(","))
            .bind(one.mx)
            .bind(&one.tls)
            .bind(joined(&one.preference))
            .bind(&one.username)
            .bind(one.password.as_ref().map(Secret::reveal)),
    }
}

/// Octets as a database holds them: whoever is sound by himself has no more.
fn octets(count: Option<u64>) -> Option<i64> {
    count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

fn at<'q>(query: Query<'q, Postgres, PgArguments>, address: &'q Mailbox) -> Query<'q, Postgres, PgArguments> {
    query.bind(address.address().local_part()).bind(address.domain())
}

fn joined(preference: &[u16]) -> String {
    let words: Vec<String> = preference.iter().map(u16::to_string).collect();
    words.join(",")
}

/// The words between commas.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}
