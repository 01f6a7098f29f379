//! Readers of TOML's own types, with what would be right in every complaint.

use std::ops::RangeInclusive;

use toml::de::DeValue;

/// What stands there, for a message about a wrong type.
pub fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?} is a string"),
        DeValue::Integer(number) => format!("{number} is a number"),
        DeValue::Float(number) => format!("{number} is a number"),
        DeValue::Boolean(value) => format!("{value} is true/false"),
        DeValue::Datetime(value) => format!("{value} is a date"),
        DeValue::Array(_) => "this is a list".to_owned(),
        DeValue::Table(_) => "this is a section".to_owned(),
    }
}

/// Reads a string and gives it to `read`.
pub fn text<T>(read: impl Fn(&str) -> Result<T, String>) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| match value {
        DeValue::String(text) => read(text),
        other => {
            // The reader of the value knows best how it is written: its complaint about nothing says so.
            let hint = read("")
                .err()
                .and_then(|message| message.split_once("; ").map(|(_, hint)| hint.to_owned()));
            Err(format!(
                "{}; {}",
                found(other),
                hint.unwrap_or_else(|| "expected a string in quotes".to_owned())
            ))
        }
    }
}

/// Reads `true` or `false`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(value) => Ok(*value),
        other => Err(format!("{}; expected true or false", found(other))),
    }
}

/// Reads a whole number within `bounds`.
pub fn number<T>(bounds: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let DeValue::Integer(integer) = value else {
            return Err(format!(
                "{}; expected a whole number without quotes",
                found(value)
            ));
        };
        let wrong = || format!("{integer} is not within {} to {}", bounds.start(), bounds.end());
        let parsed =
            i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).map_err(|_| wrong())?;
        T::try_from(parsed)
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(wrong)
    }
}
