//! The keys: each section of `remuda.toml` with its names, types, bounds and defaults.
//!
//! # Contract
//! * **A key stands here from the moment that it works**; what does not stand here is unknown.
//! * **A file without keys is the embedded default.**

mod delivery;
mod destination;
mod directory;
mod listener;
mod local;
mod route;
mod security;
mod source;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use remuda_engine::settings::{BareNewline, Limits, Listener, Relay};
use remuda_mail::{Address, Domain};

pub use delivery::{connection_cache, delivery};
pub use destination::destinations;
pub use directory::directory;
pub use listener::listeners;
pub use local::local;
pub use route::routes;
pub use source::sources;

use super::{
    Admin, Log, LogFormat,
    limits::{Side, ordered},
    reader::{Section, Setting, number, text},
    values,
};

/// The keys at the top of the file.
pub struct Identity {
    /// `hostname`.
    pub hostname: Arc<str>,
    /// `data_dir`.
    pub data_dir: PathBuf,
    /// `postmaster`.
    pub postmaster: Option<Address>,
}

/// Reads the keys at the top.
pub fn identity(top: &Section<'_, '_>, system_name: &str) -> Identity {
    let hostname = match top.optional("hostname", text(host_name)) {
        Some(setting) => setting.value,
        None => host_name(system_name).unwrap_or_else(|_| {
            let message = format!(
                "the system's name {system_name:?} is not a host name; set hostname = \"mx.example.org\""
            );
            top.problem(None, "hostname", message);
            "localhost".into()
        }),
    };
    Identity {
        hostname,
        data_dir: top
            .read(
                "data_dir",
                "./remuda-data".into(),
                text(|t| path(t, "./remuda-data")),
            )
            .value,
        postmaster: top.read("postmaster", None, text(postmaster)).value,
    }
}

/// A name to introduce ourselves with; an address literal will do (RFC 5321 §4.1.3).
fn host_name(text: &str) -> Result<Arc<str>, String> {
    match text.parse::<Domain>() {
        Ok(domain) => Ok(domain.as_str().into()),
        Err(_) => Err(format!(
            "{text:?} is not a host name; write one such as \"mx.example.org\""
        )),
    }
}

fn path(text: &str, example: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err(format!("{text:?} is not a path; write one such as {example:?}"));
    }
    Ok(text.into())
}

fn postmaster(text: &str) -> Result<Option<Address>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |error| {
        format!(
            "{text:?} is not an address ({error}); write one such as \"root@example.org\", or \"\" for the Maildir"
        )
    };
    text.parse().map(Some).map_err(wrong)
}

/// Reads `[limits]`; answers the line of `sessions` too.
pub fn limits(top: &Section<'_, '_>) -> (Limits, Option<usize>) {
    let default = Limits::default();
    let section = top.section("limits");
    let sessions = section.read("sessions", default.sessions, number(1..=1_000_000_usize));
    let sessions_line = sessions.line;
    let per_client = section.read(
        "sessions_per_client",
        default.sessions_per_client,
        number(1..=1_000_000_usize),
    );
    let (sessions_per_client, sessions) = ordered(
        &section,
        &Side::new("sessions_per_client", per_client),
        &Side::new("sessions", sessions),
    );
    let size = |key, default, min| size_from(&section, key, default, min);
    let limits = Limits {
        message_size: size("message_size", default.message_size, 1 << 10),
        recipients_per_message: section
            .read(
                "recipients_per_message",
                default.recipients_per_message,
                number(1..=1_000_000_usize),
            )
            .value,
        sessions,
        sessions_per_client,
        queue_memory: size("queue_memory", default.queue_memory, 1 << 20),
        active_messages: section
            .read(
                "active_messages",
                default.active_messages,
                number(20..=10_000_000_usize),
            )
            .value,
        min_free_disk: size("min_free_disk", default.min_free_disk, 0),
        memory: section.read("memory", default.memory, text(memory)).value,
    };
    section.close();
    (limits, sessions_line)
}

fn size_from(section: &Section<'_, '_>, key: &'static str, default: u64, min: u64) -> u64 {
    let bounded = |text: &str| match values::size(text)? {
        octets if octets < min => Err(format!(
            "{text:?} is too small; at least \"{}\"",
            values::show_size(min)
        )),
        octets => Ok(octets),
    };
    section.read(key, default, text(bounded)).value
}

fn memory(text: &str) -> Result<Option<u64>, String> {
    match text {
        "" => Ok(None),
        text => match values::size(text)? {
            octets if octets < MEMORY_MIN => Err(format!(
                "{text:?} is too small; at least \"{}\", or \"\" for half of the machine's",
                values::show_size(MEMORY_MIN)
            )),
            octets => Ok(Some(octets)),
        },
    }
}

/// Below this nothing would ever be admitted.
const MEMORY_MIN: u64 = 32 << 20;

/// Reads `[relay]`.
pub fn relay(top: &Section<'_, '_>) -> Relay {
    let default = Relay::default();
    let section = top.section("relay");
    let relay = Relay {
        networks: section
            .list("networks", text(values::network))
            .map_or(default.networks, |setting| setting.value),
        bare_newline: section
            .read("bare_newline", default.bare_newline, text(bare_newline))
            .value,
    };
    section.close();
    relay
}

fn bare_newline(text: &str) -> Result<BareNewline, String> {
    match text {
        "normalize" => Ok(BareNewline::Normalize),
        "reject" => Ok(BareNewline::Reject),
        _ => Err(format!(
            "{text:?} is not known; write \"normalize\" or \"reject\""
        )),
    }
}

/// Reads `[dns]`: the servers.
pub fn dns(top: &Section<'_, '_>) -> Vec<SocketAddr> {
    let section = top.section("dns");
    let server = |text: &str| match values::socket_address(text, Some(53)) {
        Ok(address) if address.port() == 0 => Err(format!(
            "{text:?} has no port; write one such as \"127.0.0.1:5353\""
        )),
        Ok(address) => Ok(address),
        Err(_) => Err(format!(
            "{text:?} is not an address; write one such as \"127.0.0.1:5353\" or \"192.0.2.53\""
        )),
    };
    let servers = section
        .list("servers", text(server))
        .map_or_else(Vec::new, |setting| setting.value);
    section.close();
    servers
}

/// Reads `[admin]`; the token file is relative to `data_dir`.
pub fn admin(top: &Section<'_, '_>, data_dir: &std::path::Path, listeners: &[Listener]) -> Admin {
    let section = top.section("admin");
    let default = SocketAddr::from(([127, 0, 0, 1], 8025));
    let address = section.read("address", default, text(|t| values::socket_address(t, None)));
    if address.value.port() != 0 && listeners.iter().any(|listener| listener.address == address.value) {
        let message = format!(
            "{} is a [[listener]]'s address too; choose another port",
            address.value
        );
        section.problem(address.line, "address", message);
    }
    let token_file = section
        .read(
            "token_file",
            "admin.token".into(),
            text(|t| path(t, "admin.token")),
        )
        .value;
    section.close();
    Admin {
        address: address.value,
        token_file: data_dir.join(token_file),
    }
}

/// Reads `[log]`.
pub fn log(top: &Section<'_, '_>) -> Log {
    let section = top.section("log");
    let format = |text: &str| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is not known; write \"text\" or \"json\"")),
    };
    let log = Log {
        format: section.read("format", LogFormat::Text, text(format)).value,
    };
    section.close();
    log
}

/// Reads a duration of at least `min`.
fn duration_from(
    section: &Section<'_, '_>,
    key: &'static str,
    default: Duration,
    min: Duration,
) -> Setting<Duration> {
    let bounded = |text: &str| match values::duration(text)? {
        duration if duration < min => Err(format!(
            "{text:?} is too short; at least \"{}\"",
            values::show_duration(min)
        )),
        duration => Ok(duration),
    };
    section.read(key, default, text(bounded))
}
