//! Objects from JSON and back.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    credentials::hash,
    model::{Account, Alias, Domain, DomainAlias, Kind, List, Mailbox, Name, Object, Pattern, Route},
    store::ChangeError,
};

/// A change that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A field cannot be read.
    #[error("{field}: {reason}")]
    Field {
        /// Which, as in JSON, with its place in a list (`targets[2]`).
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store did not take it.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl EditError {
    fn field(field: &str, reason: impl ToString) -> Self {
        EditError::Field {
            field: field.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Reads an object; `current`: what it is to replace, whose password it keeps when it names none.
///
/// Hashing a password takes tens of milliseconds.
///
/// # Errors
/// A field is wrong, missing or unknown.
pub fn parse(
    kind: Kind,
    mut fields: Map<String, Value>,
    current: Option<&Object>,
) -> Result<Object, EditError> {
    for given in ["id", "version", "created", "changed"] {
        fields.remove(given);
    }
    match kind {
        Kind::Domain => domain(fields),
        Kind::DomainAlias => read::<DomainAlias>(fields).map(Object::DomainAlias),
        Kind::Account => account(fields, current),
        Kind::Alias => alias(fields),
        Kind::List => list(fields),
        Kind::Route => route(fields, current),
    }
}

/// As [`parse`], on a thread that may take its time.
pub(super) async fn off_thread(
    kind: Kind,
    fields: Map<String, Value>,
    current: Option<&Object>,
) -> Result<Object, EditError> {
    let current = current.cloned();
    let parsing = tokio::task::spawn_blocking(move || parse(kind, fields, current.as_ref()));
    parsing
        .await
        .unwrap_or_else(|panicked| Err(EditError::field("", format!("reading it panicked: {panicked}"))))
}

/// An object as people see it.
pub fn shown(object: &Object) -> Map<String, Value> {
    let value = match object {
        Object::Domain(one) => serde_json::to_value(one),
        Object::DomainAlias(one) => serde_json::to_value(one),
        Object::Account(one) => serde_json::to_value(one),
        Object::Alias(one) => serde_json::to_value(one),
        Object::List(one) => serde_json::to_value(one),
        Object::Route(one) => serde_json::to_value(one),
    };
    match value {
        Ok(Value::Object(fields)) => fields,
        // Objects have text keys and serialize to objects.
        _ => Map::new(),
    }
}

/// RFC 7396 for one level: null takes a value away.
pub(super) fn merged(base: Option<Map<String, Value>>, fields: Map<String, Value>) -> Map<String, Value> {
    let Some(mut all) = base else {
        return fields;
    };
    for (name, value) in fields {
        match value {
            Value::Null if !SECRETS.contains(&name.as_str()) => drop(all.remove(&name)),
            value => drop(all.insert(name, value)),
        }
    }
    all
}

/// The name of an object as somebody typed it, in its normal form.
pub(crate) fn name(kind: Kind, typed: &str) -> Result<String, EditError> {
    let (field, name) = match kind {
        Kind::Domain | Kind::DomainAlias => ("name", Name::domain(typed).map(|name| name.to_string())),
        Kind::Account | Kind::Alias | Kind::List => {
            ("address", Mailbox::typed(typed).map(|name| name.to_string()))
        }
        Kind::Route => (
            "domain",
            Pattern::typed(typed).map(|name| name.as_str().to_owned()),
        ),
    };
    name.map_err(|error| EditError::field(field, error))
}

pub(super) fn member(typed: &str) -> Result<Mailbox, EditError> {
    Mailbox::typed(typed).map_err(|error| EditError::field("members", format!("{typed:?}: {error}")))
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, EditError> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let field = match error.path().to_string() {
            // What is missing or unknown has no path; serde names it in its words.
            path if path == "." => named(&error.inner().to_string()),
            path => path,
        };
        EditError::field(&field, error.inner())
    })
}

/// The field in "missing field `x`" and "unknown field `x`, …".
fn named(words: &str) -> String {
    words.split('`').nth(1).unwrap_or_default().to_owned()
}

fn domain(fields: Map<String, Value>) -> Result<Object, EditError> {
    let domain: Domain = read(fields)?;
    if domain.plus_separator.contains('@') || domain.plus_separator.is_empty() {
        return Err(EditError::field(
            "plus_separator",
            "one or more characters other than @",
        ));
    }
    Ok(Object::Domain(domain))
}

fn account(mut fields: Map<String, Value>, current: Option<&Object>) -> Result<Object, EditError> {
    let password = take_secret(&mut fields, "password")?;
    let ready = take_secret(&mut fields, "password_hash")?;
    let mut account: Account = read(fields)?;
    account.hash = match (password, ready) {
        (Given::Text(_), Given::Text(_)) => {
            return Err(EditError::field("password_hash", "either this or password"));
        }
        (Given::Text(password), _) => {
            Some(hash::hash(&password).map_err(|error| EditError::field("password", error))?)
        }
        (_, Given::Text(ready)) if hash::is_known(&ready) => Some(remuda_mail::Secret::new(&ready)),
        (_, Given::Text(_)) => return Err(EditError::field("password_hash", KNOWN_FORMS)),
        (Given::Nothing, Given::Nothing) => match current {
            Some(Object::Account(current)) => current.hash.clone(),
            _ => None,
        },
        _ => None,
    };
    Ok(Object::Account(account))
}

fn alias(fields: Map<String, Value>) -> Result<Object, EditError> {
    let mut alias: Alias = read(fields)?;
    dedup(&mut alias.targets);
    match alias.targets.is_empty() {
        true => Err(EditError::field("targets", "at least one")),
        false => Ok(Object::Alias(alias)),
    }
}

fn list(fields: Map<String, Value>) -> Result<Object, EditError> {
    let mut list: List = read(fields)?;
    list.members.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    list.members.dedup();
    Ok(Object::List(list))
}

fn route(mut fields: Map<String, Value>, current: Option<&Object>) -> Result<Object, EditError> {
    let password = take_secret(&mut fields, "password")?;
    let mut route: Route = read(fields)?;
    if !route.preference.is_empty() && route.preference.len() != route.hosts.len() {
        return Err(EditError::field("preference", "one for each of hosts, or none"));
    }
    if let Some(level) = &route.tls
        && !["none", "may", "encrypt", "verify"].contains(&level.as_str())
    {
        return Err(EditError::field("tls", "none, may, encrypt or verify"));
    }
    if route.username.as_deref() == Some("") {
        return Err(EditError::field("username", "a name, or null for none"));
    }
    route.password = match (password, current) {
        (Given::Text(password), _) => Some(remuda_mail::Secret::new(&password)),
        (Given::Nothing, Some(Object::Route(current))) => current.password.clone(),
        (Given::Nothing | Given::Null, _) => None,
    };
    Ok(Object::Route(route))
}

/// A write-only field as it was given.
enum Given {
    /// Not named: what is there stays.
    Nothing,
    /// Taken away.
    Null,
    /// Not empty.
    Text(String),
}

fn take_secret(fields: &mut Map<String, Value>, name: &str) -> Result<Given, EditError> {
    match fields.remove(name) {
        None => Ok(Given::Nothing),
        Some(Value::Null) => Ok(Given::Null),
        Some(Value::String(text)) if text.is_empty() => Err(EditError::field(name, "must not be empty")),
        Some(Value::String(text)) => Ok(Given::Text(text)),
        Some(_) => Err(EditError::field(name, "a text")),
    }
}

/// Takes out what comes twice; the order stays.
fn dedup(addresses: &mut Vec<Mailbox>) {
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|one| seen.insert(one.clone()));
}

/// Fields that never come out.
pub(super) const SECRETS: [&str; 2] = ["password", "password_hash"];
const KNOWN_FORMS: &str = "an argon2 PHC string (256 MiB and 16 passes at most), bcrypt (2^16), SHA-512-crypt ($6$, \
                           a million rounds), or hMailServer's SHA-256";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn an_error_names_the_field() {
        for (kind, value, field) in [
            (Kind::Account, json!({"address": "bob"}), "address"),
            (Kind::Account, json!({}), "address"),
            (
                Kind::Account,
                json!({"address": "b@x.test", "colour": 1}),
                "colour",
            ),
            (
                Kind::Account,
                json!({"address": "b@x.test", "quota": "much"}),
                "quota",
            ),
            (
                Kind::Account,
                json!({"address": "b@x.test", "password": ""}),
                "password",
            ),
            (
                Kind::Account,
                json!({"address": "b@x.test", "password": 7}),
                "password",
            ),
            (
                Kind::Account,
                json!({"address": "b@x.test", "password_hash": "plain"}),
                "password_hash",
            ),
            (
                Kind::Alias,
                json!({"address": "b@x.test", "targets": []}),
                "targets",
            ),
            (
                Kind::Alias,
                json!({"address": "b@x.test", "targets": ["a@x.test", "c"]}),
                "targets[1]",
            ),
            (
                Kind::List,
                json!({"address": "b@x.test", "mode": "secret"}),
                "mode",
            ),
            (
                Kind::Domain,
                json!({"name": "x.test", "plus_separator": "@"}),
                "plus_separator",
            ),
            (
                Kind::Route,
                json!({"domain": "x.test", "hosts": ["a"], "preference": [1, 2]}),
                "preference",
            ),
            (Kind::Route, json!({"domain": "x.test", "tls": "much"}), "tls"),
        ] {
            match parse(kind, fields(value.clone()), None) {
                Err(EditError::Field { field: named, .. }) => assert_eq!(named, field, "{value}"),
                other => panic!("{value}: {other:?}"),
            }
        }
    }

    #[test]
    fn passwords_are_hashed_kept_where_not_named_and_taken_away_by_null() {
        let new = fields(json!({"address": "b@x.test", "password": "secret", "id": 7}));
        let object = parse(Kind::Account, new, None).unwrap();
        let Object::Account(account) = &object else {
            panic!()
        };
        assert!(hash::fits("secret", account.hash.as_ref().unwrap().reveal()));
        assert_eq!(account.head.id, 0);
        let patch = merged(Some(shown(&object)), fields(json!({"quota": 5})));
        let Object::Account(changed) = parse(Kind::Account, patch, Some(&object)).unwrap() else {
            panic!()
        };
        assert_eq!((changed.quota, &changed.hash), (Some(5), &account.hash));
        let patch = merged(Some(shown(&object)), fields(json!({"password": null})));
        let Object::Account(changed) = parse(Kind::Account, patch, Some(&object)).unwrap() else {
            panic!()
        };
        assert_eq!(changed.hash, None);
    }

    #[test]
    fn null_takes_a_value_away() {
        let base = fields(json!({"address": "b@x.test", "quota": 5}));
        let patch = merged(Some(base), fields(json!({"quota": null, "forward": "c@x.test"})));
        assert_eq!(
            Value::Object(patch),
            json!({"address": "b@x.test", "forward": "c@x.test"})
        );
    }
}
