//! Values as they stand in the file: durations, sizes, addresses, networks, hosts.
//!
//! # Contract
//! * **What is shown reads back**: [`show_duration`] and [`show_size`] print what the readers take.
//! * **An error says what would be right**, with an example.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use remuda_dispatch::settings::Rate;
use remuda_engine::settings::Network;
use remuda_mail::{Domain, HostPort, HostPortError};

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZE_UNITS: [(&str, u64); 5] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The longest duration: a hundred years, so that sums with wall time cannot overflow.
const DURATION_MAX_MS: u64 = 36_500 * 86_400_000;

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

/// Reads `"512B"`, `"64KiB"`, `"10MiB"`, `"1GiB"`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn size(text: &str) -> Result<u64, String> {
    with_unit(text, &SIZE_UNITS)
        .filter(|octets| *octets <= i64::MAX.unsigned_abs())
        .ok_or_else(|| format!("{text:?} is not a size; write one such as \"64KiB\", \"10MiB\" or \"1GiB\""))
}

/// Reads `"5/s"`, `"100/m"` or `"1000/h"`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        format!(
            "{text:?} is not a rate; write messages a second, minute or hour such as \"5/s\", \"100/m\" or \"1000/h\""
        )
    };
    let (digits, unit) = text.split_once('/').ok_or_else(wrong)?;
    let per = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    match digits.parse() {
        Ok(messages @ 1..=RATE_MAX) => Ok(Rate {
            messages,
            per: Duration::from_secs(per),
        }),
        _ => Err(format!("{text:?}: the number is from 1 to {RATE_MAX}")),
    }
}

/// Messages in a second, minute or hour.
const RATE_MAX: u32 = 1_000_000;

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Shows a duration in the largest unit that holds it without a rest.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match ms {
        0 => "0s".to_owned(),
        ms => show_with_unit(ms, &DURATION_UNITS),
    }
}

/// Shows a size in the largest unit that holds it without a rest.
pub fn show_size(octets: u64) -> String {
    match octets {
        0 => "0B".to_owned(),
        octets => show_with_unit(octets, &SIZE_UNITS),
    }
}

fn show_with_unit(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units
        .iter()
        .rev()
        .find(|(_, factor)| value.is_multiple_of(*factor));
    let (name, factor) = fitting.unwrap_or(&units[0]);
    format!("{}{name}", value / factor)
}

/// Reads `"127.0.0.1:25"` or `"[::1]:25"`; a bare address gets `default_port`, when there is one.
///
/// # Errors
/// A sentence that says what would be right.
pub fn socket_address(text: &str, default_port: Option<u16>) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    match (bare.parse::<IpAddr>(), default_port) {
        (Ok(ip), Some(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(format!(
            "{text:?} is not an address with a port; write one such as \"127.0.0.1:2525\", \"0.0.0.0:25\" or \"[::]:25\""
        )),
    }
}

/// Reads `"192.0.2.0/24"`, `"2001:db8::/32"` or a single address.
///
/// # Errors
/// A sentence that says what would be right.
pub fn network(text: &str) -> Result<Network, String> {
    let wrong = || {
        format!(
            "{text:?} is not a network; write one such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.7\""
        )
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits_max,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
    };
    if prefix > bits_max {
        return Err(format!(
            "{text:?} has a prefix of {prefix} bits; this kind of address has {bits_max}"
        ));
    }
    let network = Network { address, prefix };
    let base = base_of(&network);
    if base != address {
        return Err(format!(
            "{text:?} has bits set behind its prefix; write \"{base}/{prefix}\", or \"{address}\" for the one address"
        ));
    }
    Ok(network)
}

fn base_of(network: &Network) -> IpAddr {
    match network.address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(network.prefix))
                .unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// Reads a route's host: `"192.0.2.1:2700"`, `"[2001:db8::1]:25"`, `"relay.example.net"`, …
///
/// # Errors
/// A sentence that says what would be right.
pub fn host_port(text: &str) -> Result<HostPort, String> {
    text.parse().map_err(|error| match error {
        HostPortError::Host => format!("{text:?} is {error}"),
        HostPortError::Port => format!("{text:?}: {error}"),
    })
}

/// Reads an entry of `connection_cache.destinations` into the key that destinations have: a domain, a
/// route's hosts as listed there (`"a.test:2525"`, several joined by commas, `mx:` in front when the
/// route looks up MX), or `*`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn destination_key(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    if let Ok(domain) = text.parse::<Domain>() {
        return Ok(match domain.literal() {
            Some(ip) => format!("[{ip}]"),
            None => domain.as_str().to_owned(),
        });
    }
    let (mark, list) = match text.strip_prefix("mx:") {
        Some(list) => ("mx:", list),
        None => ("", text),
    };
    let hosts = list
        .split(',')
        .map(host_with_preference)
        .collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<String> = hosts.iter().map(HostPort::to_string).collect();
    Ok(format!("{mark}{}", keys.join(",")))
}

fn host_with_preference(text: &str) -> Result<HostPort, String> {
    let Some((host, preference)) = text.trim().split_once('=') else {
        return host_port(text.trim());
    };
    let preference = preference
        .parse()
        .map_err(|_| format!("{text:?}: a preference is a number from 0 to 65535"))?;
    Ok(HostPort {
        preference,
        ..host_port(host)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_back() {
        for text in ["250ms", "2s", "5m", "4h", "5d", "0s", "90s", "36500d"] {
            let read = duration(text).unwrap();
            assert_eq!(duration(&show_duration(read)), Ok(read), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(300)), "5m");
        for text in ["0B", "512B", "64KiB", "10MiB", "3GiB", "1TiB"] {
            let read = size(text).unwrap();
            assert_eq!(show_size(read), text);
        }
    }

    #[test]
    fn what_is_no_duration_or_size_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "5 s",
            "5S",
            "5min",
            "36501d",
            "99999999999999999999s",
            "+5s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in [
            "",
            "5",
            "MiB",
            "5MB",
            "5mib",
            "-1KiB",
            "9999999999TiB",
            "8388608TiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_are_read_in_every_form() {
        for (text, address, prefix) in [
            ("127.0.0.0/8", "127.0.0.0", 8),
            ("::1/128", "::1", 128),
            ("192.0.2.7", "192.0.2.7", 32),
            ("0.0.0.0/0", "0.0.0.0", 0),
            ("2001:db8::/32", "2001:db8::", 32),
        ] {
            assert_eq!(
                network(text),
                Ok(Network {
                    address: address.parse().unwrap(),
                    prefix
                })
            );
        }
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "example.net",
            "10.0.0/8",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
        assert!(network("10.0.0.1/8").unwrap_err().contains("\"10.0.0.0/8\""));
    }

    #[test]
    fn listed_destinations_become_the_keys_that_destinations_have() {
        for (text, key) in [
            ("*", "*"),
            ("Example.NET", "example.net"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("192.0.2.1:2700", "192.0.2.1:2700"),
            ("mx:a.test,b.test=10", "mx:a.test,b.test=10"),
            ("[2001:db8::1]:25", "[2001:db8::1]:25"),
        ] {
            assert_eq!(destination_key(text).as_deref(), Ok(key), "{text}");
        }
        assert!(destination_key("a b").is_err() && destination_key("").is_err());
    }
}
