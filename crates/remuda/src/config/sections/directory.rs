//! `[directory]` and `[object_cache]`: where the directory lies, and how long what was read is used.
//!
//! # Contract
//! * **A URL is checked for its form, not its database**: whether it answers is seen when the server runs.
//! * **An absence is not believed longer than an object**: `negative_ttl` is at most `ttl`; more is a warning.

use std::{path::Path, time::Duration};

use remuda_directory::{
    model::Kind,
    switches::{Key, KindSettings, Settings},
};
use remuda_mail::Secret;

use crate::config::{
    Database, Directory,
    reader::{Section, Setting, boolean, text},
    values,
};

/// Reads `[directory]`, a file's path joined to `data_dir`, and `[object_cache]`.
pub fn directory(top: &Section<'_, '_>, data_dir: &Path) -> Directory {
    let section = top.section("directory");
    let default = Url::File("directory.db".to_owned());
    let url = section.read("url", default, text(url));
    section.close();
    let (database, password_line) = match url.value {
        Url::File(path) => (Database::Sqlite(data_dir.join(path)), None),
        Url::Server(text) => {
            let line = url.line.filter(|_| has_password(&text));
            (Database::Postgres(Secret::new(&text)), line)
        }
    };
    Directory {
        database,
        password_line,
        object_cache: object_cache(top),
    }
}

enum Url {
    /// Of SQLite.
    File(String),
    /// Of PostgreSQL.
    Server(String),
}

fn url(text: &str) -> Result<Url, String> {
    let wrong = |what: &str| {
        Err(format!(
            "{what}; write one such as \"sqlite:directory.db\" or \"postgres://remuda@db.example.org/remuda\""
        ))
    };
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("a URL has no spaces");
    }
    match text.split_once(':') {
        Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
            "" | ":memory:" => wrong("the URL names no file"),
            path if path.contains('?') => wrong("the URL of a file has no parameters"),
            path => Ok(Url::File(path.to_owned())),
        },
        Some(("postgres" | "postgresql", rest)) => match rest.strip_prefix("//").map(has_place) {
            Some(true) => Ok(Url::Server(text.to_owned())),
            _ => wrong("the URL names no host and database"),
        },
        // What stands there may be a password in the wrong place: it is not shown.
        Some((scheme, _)) if scheme.bytes().all(|octet| octet.is_ascii_alphanumeric()) => {
            wrong(&format!("{scheme:?} is no database that can hold the directory"))
        }
        _ => wrong("this is no URL"),
    }
}

/// Whether what is behind `postgres://` names a host and a database.
fn has_place(rest: &str) -> bool {
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    // A socket's directory comes as a parameter.
    let has_host = !host.is_empty() || parameters.split('&').any(|one| one.starts_with("host="));
    has_host && !database.is_empty()
}

fn has_password(url: &str) -> bool {
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let authority = place.split('/').nth(2).unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':')
        .is_some_and(|(_, password)| !password.is_empty())
        || parameters.split('&').any(|one| one.starts_with("password="))
}

/// Reads `[object_cache]` and `[object_cache.TYPE]`.
fn object_cache(top: &Section<'_, '_>) -> Settings {
    let default = Settings::default();
    let section = top.section("object_cache");
    let settings = Settings {
        enabled: section.read("enabled", default.enabled, boolean).value,
        stale_if_error: within_a_day(&section, "stale_if_error", default.stale_if_error).value,
        kinds: Kind::ALL.map(|kind| (kind, of_kind(&section, kind))).into(),
    };
    section.close();
    settings
}

fn of_kind(above: &Section<'_, '_>, kind: Kind) -> KindSettings {
    let default = KindSettings::of(kind);
    let section = above.subsection(kind.as_str(), section_name(kind));
    let ttl = within_a_day(&section, "ttl", default.ttl).value;
    let negative_ttl = within_a_day(&section, "negative_ttl", default.negative_ttl);
    if negative_ttl.line.is_some() && negative_ttl.value > ttl {
        let message = "longer than ttl, which holds: an object that is new is to be seen by then";
        section.warning(negative_ttl.line, "negative_ttl", message);
    }
    let size = section.read("size", default.size, text(size)).value;
    section.close();
    KindSettings {
        ttl,
        negative_ttl: negative_ttl.value.min(ttl),
        size,
    }
}

fn section_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain => "object_cache.domain",
        Kind::DomainAlias => "object_cache.domain_alias",
        Kind::Account => "object_cache.account",
        Kind::Alias => "object_cache.alias",
        Kind::List => "object_cache.list",
        Kind::Route => "object_cache.route",
    }
}

fn within_a_day(section: &Section<'_, '_>, key: &'static str, default: Duration) -> Setting<Duration> {
    let bounded = |text: &str| match values::duration(text)? {
        duration if duration > DAY => Err(format!(
            "{text:?} is too long; at most \"1d\", \"0s\" = not at all"
        )),
        duration => Ok(duration),
    };
    section.read(key, default, text(bounded))
}

fn size(text: &str) -> Result<u64, String> {
    let max = Key::Size(Kind::Domain).value_max();
    match values::size(text)? {
        octets if octets > max => Err(format!(
            "{text:?} is too large; at most {:?}",
            values::show_size(max)
        )),
        octets => Ok(octets),
    }
}

const DAY: Duration = Duration::from_secs(86_400);
