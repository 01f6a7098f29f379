//! What an operator sets, as JSON: `{"account.ttl": 300, "enabled": false, "list.size": null}`.
//!
//! # Contract
//! * **Keys are those of `cache set`**; times are seconds, sizes octets, null gives a key back to the configuration.
//! * **What is wrong names its key and says what would be right.**

use serde_json::{Map, Value};

use crate::switches::Key;

/// A change of the cache's switches that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A key is unknown or its value cannot be.
    #[error("{field}: {reason}")]
    Field {
        /// Which, e.g. `account.ttl`.
        field: String,
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
    /// It could not be kept.
    #[error("it could not be kept in data_dir: {0}")]
    Keep(#[from] std::io::Error),
}

impl ControlError {
    pub(super) fn too_much(key: Key) -> Self {
        ControlError::Field {
            field: key.name(),
            reason: right(key),
        }
    }
}

/// Reads changes.
///
/// # Errors
/// The first key that is wrong.
pub fn changes(given: &Map<String, Value>) -> Result<Vec<(Key, Option<u64>)>, ControlError> {
    given.iter().map(|(name, value)| change(name, value)).collect()
}

fn change(name: &str, value: &Value) -> Result<(Key, Option<u64>), ControlError> {
    let key = Key::from_name(name).ok_or_else(|| ControlError::Field {
        field: name.to_owned(),
        reason: "unknown; enabled, or TYPE.ttl, TYPE.negative_ttl, TYPE.size",
    })?;
    let read = match (key, value) {
        (_, Value::Null) => return Ok((key, None)),
        (Key::Enabled, Value::Bool(is_enabled)) => Some(u64::from(*is_enabled)),
        (Key::Ttl(_) | Key::NegativeTtl(_), Value::Number(seconds)) => seconds.as_f64().and_then(millis),
        (Key::Size(_), Value::Number(octets)) => octets.as_u64(),
        _ => None,
    };
    let read = read.filter(|value| *value <= key.value_max());
    read.map(|value| (key, Some(value)))
        .ok_or_else(|| ControlError::too_much(key))
}

fn millis(seconds: f64) -> Option<u64> {
    let millis = (seconds * 1000.0).round();
    // At most a day comes through the caller's check: far below where a float cannot count.
    (0.0..=MILLIS_MAX).contains(&millis).then_some(millis as u64)
}

fn right(key: Key) -> &'static str {
    match key {
        Key::Enabled => "true or false",
        Key::Ttl(_) | Key::NegativeTtl(_) => "seconds, from 0 to 86400",
        Key::Size(_) => "octets, from 0 to 1 TiB",
    }
}

/// More than any key may have.
const MILLIS_MAX: f64 = 1e12;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Kind;

    fn read(value: Value) -> Result<Vec<(Key, Option<u64>)>, ControlError> {
        match value {
            Value::Object(given) => changes(&given),
            _ => panic!("an object"),
        }
    }

    /// A16.
    #[test]
    fn what_is_wrong_names_its_key() {
        for (value, field) in [
            (json!({"account.ttl": -1}), "account.ttl"),
            (json!({"account.ttl": 86_401}), "account.ttl"),
            (json!({"account.ttl": "x"}), "account.ttl"),
            (json!({"list.negative_ttl": 86_400.001}), "list.negative_ttl"),
            (json!({"route.size": -1}), "route.size"),
            (json!({"route.size": 1.5}), "route.size"),
            (json!({"enabled": 1}), "enabled"),
            (json!({"account.colour": 1}), "account.colour"),
            (json!({"person.ttl": 1}), "person.ttl"),
            (json!({"alias.ttl": 30, "list.ttl": -1}), "list.ttl"),
        ] {
            match read(value.clone()) {
                Err(ControlError::Field { field: named, .. }) => assert_eq!(named, field, "{value}"),
                other => panic!("{value}: {other:?}"),
            }
        }
    }

    #[test]
    fn keys_are_those_of_cache_set() {
        let given =
            json!({"account.ttl": 0.25, "domain-alias.size": 1024, "enabled": false, "list.ttl": null});
        let mut read = read(given).unwrap();
        read.sort();
        let expected = [
            (Key::Enabled, Some(0)),
            (Key::Ttl(Kind::Account), Some(250)),
            (Key::Ttl(Kind::List), None),
            (Key::Size(Kind::DomainAlias), Some(1024)),
        ];
        assert_eq!(read, expected);
    }
}
