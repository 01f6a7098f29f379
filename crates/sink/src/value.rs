//! The values of the sink's options as a user writes them: durations, sizes, limits, when to close.
//!
//! # Contract
//! * **One spelling for both ways in.** The command line and the configuration file share the parsers
//!   here, so that a value means the same in both.
//! * **An error says what would have been right**, in plain words and with the value in it.
//!
//! # Not here
//! Rules tied to a command (`--reply`, `--delay`, …) are in [`rule`](crate::rule).

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A value of an option that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    /// An error with these words.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        ValueError(words.into())
    }
}

/// After how many transactions a connection ends, and how the client learns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseAfter {
    /// Transactions that got their final reply on the connection.
    pub transactions: u64,
    /// What happens then.
    pub manner: CloseManner,
}

/// How a connection with a transaction limit treats what comes after the last transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseManner {
    /// Closes behind the last final reply without a word.
    Silent,
    /// Answers the next MAIL with 421 and closes.
    Code421,
    /// Answers every further MAIL with 452 and stays open.
    Code452,
}

impl FromStr for CloseAfter {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        parse_close_after(text)
    }
}

/// Parses `N`, `N:silent`, `N:421` or `N:452`; without a manner it is silent.
///
/// # Errors
/// When N is not a number above zero or the manner is another word.
pub fn parse_close_after(text: &str) -> Result<CloseAfter, ValueError> {
    let (count, manner) = text.split_once(':').unwrap_or((text, "silent"));
    let transactions = positive(count).ok_or_else(|| {
        ValueError::new(format!(
            "close-after {text:?}: it begins with a number of messages above zero, as in 3:421"
        ))
    })?;
    let manner = match manner {
        "silent" => CloseManner::Silent,
        "421" => CloseManner::Code421,
        "452" => CloseManner::Code452,
        other => {
            return Err(ValueError::new(format!(
                "close-after {text:?}: {other:?} is none of silent, 421, 452"
            )));
        }
    };
    Ok(CloseAfter { transactions, manner })
}

/// The limits that the sink announces (RFC 9422) and enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// MAIL commands a connection, refused ones too.
    pub mail_max: Option<u64>,
    /// RCPT commands accepted in a transaction.
    pub rcpt_max: Option<u64>,
    /// Different recipient domains a connection.
    pub rcpt_domain_max: Option<u64>,
}

impl Limits {
    /// Whether there is nothing to announce.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

impl fmt::Display for Limits {
    /// Writes the arguments of the EHLO keyword LIMITS.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("MAILMAX", self.mail_max),
            ("RCPTMAX", self.rcpt_max),
            ("RCPTDOMAINMAX", self.rcpt_domain_max),
        ];
        let mut separator = "";
        for (name, limit) in named {
            if let Some(limit) = limit {
                write!(f, "{separator}{name}={limit}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

impl FromStr for Limits {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        parse_limits(text)
    }
}

/// Parses `MAILMAX=N RCPTMAX=N RCPTDOMAINMAX=N`, each at most once and in any order.
///
/// # Errors
/// When a name is unknown or comes twice, or a number is not above zero.
pub fn parse_limits(text: &str) -> Result<Limits, ValueError> {
    let mut limits = Limits::default();
    for word in text.split_ascii_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let place = match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => &mut limits.mail_max,
            "RCPTMAX" => &mut limits.rcpt_max,
            "RCPTDOMAINMAX" => &mut limits.rcpt_domain_max,
            _ => {
                return Err(ValueError::new(format!(
                    "limits: {name:?} is none of MAILMAX, RCPTMAX, RCPTDOMAINMAX"
                )));
            }
        };
        let limit = positive(value).ok_or_else(|| {
            ValueError::new(format!(
                "limits: {name} needs a number above zero, as in {name}=5"
            ))
        })?;
        if place.replace(limit).is_some() {
            return Err(ValueError::new(format!("limits: {name} is there twice")));
        }
    }
    Ok(limits)
}

/// Parses a duration: a number with `us`, `ms`, `s`, `m` or `h`; `0` alone is zero.
///
/// # Errors
/// When there is no number, no unit, or the product is too large.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    let wrong = || {
        ValueError::new(format!(
            "{text:?} is no duration; write a number and us, ms, s, m or h, as in 50ms"
        ))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let micros_each = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "" if number == 0 => 0,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(micros_each)
        .map(Duration::from_micros)
        .ok_or_else(wrong)
}

/// Parses a number of octets: digits, optionally with `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// When there is no number, another unit, or the product is too large.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    let wrong = || {
        ValueError::new(format!(
            "{text:?} is no size; write a number of octets, or one with KiB, MiB or GiB"
        ))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads a duration from a string of the configuration file.
pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(de::Error::custom)
}

/// Reads a size from a number or a string of the configuration file.
pub(crate) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number of octets, or a string as in \"10MiB\"")]
    enum Written {
        Number(u64),
        Text(String),
    }
    match Written::deserialize(from)? {
        Written::Number(octets) => Ok(Some(octets)),
        Written::Text(text) => parse_size(&text).map(Some).map_err(de::Error::custom),
    }
}

/// Reads an optional value from the string that the command line would take.
pub(crate) fn optional<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = ValueError>,
{
    String::deserialize(from)?
        .parse()
        .map(Some)
        .map_err(de::Error::custom)
}

/// A number above zero.
fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for wrong in [
            "",
            "5",
            "ms",
            "5 s",
            "-1s",
            "99999999999999999999h",
            "9999999999999999h",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_know_binary_units() {
        assert_eq!(parse_size("1048576"), Ok(1 << 20));
        assert_eq!(parse_size("10MiB"), Ok(10 << 20));
        for wrong in ["", "MiB", "5MB", "99999999999999GiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn close_after_is_silent_unless_it_says_otherwise() {
        let manner = |text| parse_close_after(text).map(|close| (close.transactions, close.manner));
        assert_eq!(manner("3"), Ok((3, CloseManner::Silent)));
        assert_eq!(manner("3:silent"), Ok((3, CloseManner::Silent)));
        assert_eq!(manner("3:421"), Ok((3, CloseManner::Code421)));
        assert_eq!(manner("1:452"), Ok((1, CloseManner::Code452)));
        for wrong in ["0", "", "x:421", "3:", "3:550"] {
            assert!(parse_close_after(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_written_as_they_are_read() {
        let limits = parse_limits("RCPTMAX=5 mailmax=2").expect("both are known");
        assert_eq!(limits.to_string(), "MAILMAX=2 RCPTMAX=5");
        assert!(parse_limits("").expect("none is none").is_empty());
        for wrong in ["MAILMAX", "MAILMAX=0", "SIZEMAX=1", "MAILMAX=1 MAILMAX=2"] {
            assert!(parse_limits(wrong).is_err(), "{wrong}");
        }
    }
}
