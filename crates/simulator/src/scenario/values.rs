//! Values as they stand in a scenario or behind a flag: durations, sizes, service times.
//!
//! # Contract
//! * **One spelling for both ways in.** The command line and the file share the parsers here.
//! * **An error says what would be right**, with the value in it.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// How long a host takes for a transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    /// Always as long.
    Fixed(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Anything between these, alike.
    Uniform(Duration, Duration),
    /// Lognormal with this mean; the spread is the deviation of the logarithm.
    Lognormal(Duration, f64),
}

impl Service {
    /// The mean.
    pub fn mean(&self) -> Duration {
        match *self {
            Service::Fixed(mean) | Service::Exponential(mean) | Service::Lognormal(mean, _) => mean,
            Service::Uniform(least, most) => (least + most) / 2,
        }
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let read = match words[..] {
            [time] => duration(time).ok().map(Service::Fixed),
            ["exponential", mean] => duration(mean).ok().map(Service::Exponential),
            ["uniform", range] => uniform(range),
            ["lognormal", mean, spread] => lognormal(mean, spread),
            _ => None,
        };
        read.ok_or_else(|| {
            format!(
                "{text:?} is no service time; write one such as \"50ms\", \"exponential 50ms\", \
                 \"uniform 10ms..90ms\" or \"lognormal 50ms 0.5\" (mean and spread)"
            )
        })
    }
}

fn uniform(range: &str) -> Option<Service> {
    let (least, most) = range.split_once("..")?;
    let (least, most) = (duration(least).ok()?, duration(most).ok()?);
    (least <= most).then_some(Service::Uniform(least, most))
}

fn lognormal(mean: &str, spread: &str) -> Option<Service> {
    let spread: f64 = spread.parse().ok()?;
    let mean = duration(mean).ok()?;
    (0.0..=SPREAD_MAX)
        .contains(&spread)
        .then_some(Service::Lognormal(mean, spread))
}

/// Reads `"250ms"`, `"2s"`, `"5m"`, `"4h"` or `"5d"`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    with_unit(text, &DURATION_UNITS)
        .filter(|ms| *ms <= DURATION_MAX_MS)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            format!(
                "{text:?} is not a duration; write one such as \"250ms\", \"2s\", \"5m\", \"4h\" or \"5d\""
            )
        })
}

/// Reads `"512B"`, `"64KiB"` or `"10MiB"`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn size(text: &str) -> Result<u64, String> {
    with_unit(text, &SIZE_UNITS)
        .filter(|octets| *octets <= SIZE_MAX)
        .ok_or_else(|| format!("{text:?} is not a size; write one such as \"512B\", \"64KiB\" or \"10MiB\""))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Reads a string of a scenario with one of the parsers here.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(de::Error::custom)
}

pub(super) fn de_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read(deserializer, duration)
}

pub(super) fn de_some_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    read(deserializer, duration).map(Some)
}

pub(super) fn de_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    read(deserializer, size)
}

/// A count that is at least one and at most [`COUNT_MAX`].
pub(super) fn de_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, COUNT_MAX)
}

/// Messages of a run, which may be many.
pub(super) fn de_messages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, MESSAGES_MAX)
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, max: u32) -> Result<u32, D::Error> {
    deserializer.deserialize_i64(Whole { max })
}

/// Reads a whole number from one on.
struct Whole {
    max: u32,
}

impl de::Visitor<'_> for Whole {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 1 to {} without quotes", self.max)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
        let wrong = || E::invalid_value(de::Unexpected::Signed(number), &self);
        let count = u32::try_from(number).map_err(|_| wrong())?;
        if (1..=self.max).contains(&count) {
            Ok(count)
        } else {
            Err(wrong())
        }
    }
}

pub(super) fn de_some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    de_count(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, str::parse)
    }
}

impl fmt::Display for Service {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Fixed(time) => write!(f, "{}ms", time.as_millis()),
            Service::Exponential(mean) => write!(f, "exponential {}ms", mean.as_millis()),
            Service::Uniform(least, most) => {
                write!(f, "uniform {}ms..{}ms", least.as_millis(), most.as_millis())
            }
            Service::Lognormal(mean, spread) => write!(f, "lognormal {}ms {spread}", mean.as_millis()),
        }
    }
}

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZE_UNITS: [(&str, u64); 3] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)];

/// The longest duration: a hundred days, so that sums of them do not overflow.
const DURATION_MAX_MS: u64 = 100 * 86_400_000;
const SIZE_MAX: u64 = 1 << 40;
const SPREAD_MAX: f64 = 3.0;

/// Hosts or domains of a group, sessions, senders.
pub const COUNT_MAX: u32 = 1_000_000;

/// Messages of a run: some hundred octets each.
pub const MESSAGES_MAX: u32 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn service_times_are_read_in_every_form() {
        for (text, service) in [
            ("50ms", Service::Fixed(ms(50))),
            ("exponential 2s", Service::Exponential(ms(2000))),
            ("uniform 10ms..90ms", Service::Uniform(ms(10), ms(90))),
            ("lognormal 50ms 0.5", Service::Lognormal(ms(50), 0.5)),
        ] {
            assert_eq!(text.parse(), Ok(service), "{text}");
            assert_eq!(service.to_string().parse(), Ok(service), "{text}");
        }
        assert_eq!(Service::Uniform(ms(10), ms(90)).mean(), ms(50));
    }

    #[test]
    fn an_error_says_what_would_be_right() {
        for text in [
            "",
            "fast",
            "50",
            "uniform 90ms..10ms",
            "uniform 10ms",
            "lognormal 50ms",
            "lognormal 50ms 9",
            "exponential",
        ] {
            let error = text.parse::<Service>().unwrap_err();
            assert!(error.contains("\"exponential 50ms\""), "{text}: {error}");
        }
        assert!(duration("101d").unwrap_err().contains("\"250ms\""));
        assert!(size("4kB").unwrap_err().contains("\"64KiB\""));
    }

    #[test]
    fn durations_and_sizes_have_their_units() {
        assert_eq!(
            (duration("5m"), duration("100d").is_ok()),
            (Ok(ms(300_000)), true)
        );
        assert_eq!((size("4KiB"), size("512B")), (Ok(4096), Ok(512)));
    }
}
