//! What the file says about TLS and AUTH to other servers: `[delivery.tls]` and keys of `[[route]]`.
//!
//! # Contract
//! * **What would never work is a problem**: AUTH without TLS or leave to do without, a password that is none.
//! * **A password is read once, here**, and shown nowhere. That others may read its file is a warning.

use std::{io::Read, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use remuda_dispatch::settings::{Rule, level_of};
use remuda_engine::settings::{Login, Route, Tls};
use remuda_mail::{Credentials, Domain, Names, NextHop, Secret, TlsLevel, TlsMode};

use super::route::Routes;
use crate::config::reader::{Section, Setting, boolean, text};

/// What a `[[route]]` says.
pub struct RouteSecurity {
    /// `tls`.
    pub tls: Option<TlsLevel>,
    /// `tls_mode`.
    pub tls_mode: TlsMode,
    /// `tls_names`.
    pub tls_names: Names,
    /// `username`, `password_file`, `auth_in_clear`.
    pub login: Option<Login>,
}

/// Reads `[delivery.tls]`.
pub fn delivery(delivery: &Section<'_, '_>) -> Tls {
    let section = delivery.subsection("tls", "delivery.tls");
    let tls = Tls {
        level: section.read("level", TlsLevel::May, text(level)).value,
        ca_file: section.read("ca_file", None, text(ca_file)).value,
    };
    section.close();
    tls
}

/// Reads a route's keys.
pub fn route(section: &Section<'_, '_>) -> RouteSecurity {
    let tls = section.optional("tls", text(level));
    let tls_mode = section.read("tls_mode", TlsMode::ByPort, text(mode));
    let tls_names = section.list("tls_names", text(name));
    let level = tls.as_ref().map(|setting| setting.value);
    if level == Some(TlsLevel::None) && tls_mode.value == TlsMode::Implicit {
        let message = "contradicts tls = \"none\"; remove one of the two";
        section.problem(tls_mode.line, "tls_mode", message);
    }
    if let Some(names) = &tls_names
        && level.is_some_and(|level| level != TlsLevel::Verify)
        && !names.value.is_empty()
    {
        let message = "has an effect only with tls = \"verify\"";
        section.problem(names.line, "tls_names", message);
    }
    RouteSecurity {
        tls: level,
        tls_mode: tls_mode.value,
        tls_names: tls_names.map_or_else(Names::default, |setting| setting.value.into()),
        login: login(section, level),
    }
}

fn login(section: &Section<'_, '_>, level: Option<TlsLevel>) -> Option<Login> {
    let username = section.optional("username", text(username)).filter(is_given);
    let password = section.optional("password_file", text(password)).filter(is_given);
    warn_of_readers(section, password.as_ref());
    let in_clear = section.read("auth_in_clear", false, boolean);
    match (&username, &password) {
        (Some(username), None) if !section.is_set("password_file") => {
            let message = "needs a password_file, with the password in its first line";
            section.problem(username.line, "username", message);
        }
        (None, Some(password)) if !section.is_set("username") => {
            section.problem(password.line, "password_file", "needs a username");
        }
        _ => {}
    }
    if in_clear.value && username.is_none() && !section.is_set("username") {
        section.problem(
            in_clear.line,
            "auth_in_clear",
            "has an effect only with a username",
        );
    }
    let username = username?;
    if level == Some(TlsLevel::None) && !in_clear.value {
        let message = "AUTH needs TLS, and tls = \"none\"; choose another level, or set auth_in_clear = true";
        section.problem(username.line, "username", message);
    }
    Some(Login {
        credentials: Credentials {
            username: username.value?,
            password: password?.value?.secret,
        },
        in_clear: in_clear.value,
    })
}

fn warn_of_readers(section: &Section<'_, '_>, password: Option<&Setting<Option<Password>>>) {
    let Some(Setting {
        value: Some(password),
        line,
    }) = password
    else {
        return;
    };
    if password.mode & READ_BY_OTHERS != 0 {
        let mode = password.mode & 0o7777;
        let message = format!(
            "others than its owner may read the file (mode {mode:04o}); chmod 600 keeps the password"
        );
        section.warning(*line, "password_file", &message);
    }
}

/// A route that leaves its TLS to others may be left without: then it cannot log in.
pub fn check_logins(top: &Section<'_, '_>, routes: &Routes, rules: &[Rule], general: TlsLevel) {
    for (route, line) in routes.list.iter().zip(&routes.username_lines) {
        let Some(login) = &route.login else { continue };
        if login.in_clear || route.tls.is_some() {
            continue;
        }
        if level_of(rules, &destination(route), &best_hosts(route), general) == TlsLevel::None {
            let message = "AUTH needs TLS, and without tls of its own the route gets level \"none\" of \
                           [delivery.tls] or a [[destination]]; set its tls, or auth_in_clear = true";
            top.problem(*line, "route.username", message);
        }
    }
}

/// The names that `mx:` of a `[[destination]]` is compared with; unknown before DNS was asked.
fn best_hosts(route: &Route) -> Vec<Arc<str>> {
    let best = route.hosts.iter().map(|host| host.preference).min();
    let hosts = route
        .hosts
        .iter()
        .filter(|host| !route.mx && Some(host.preference) == best);
    hosts.map(|host| host.host.clone()).collect()
}

/// Two routes that log in as one user to the same hosts are one destination, and have one password.
pub fn check_password(section: &Section<'_, '_>, route: &Route, others: &[Route]) {
    let password = |route: &Route| {
        route
            .login
            .as_ref()
            .map(|login| login.credentials.password.clone())
    };
    let is_same = |other: &&Route| destination(other) == destination(route);
    let other = others.iter().find(is_same);
    if other.is_some_and(|other| password(other) != password(route)) {
        let message =
            "is not the one of another [[route]] with the same hosts and username; use one file for both";
        section.problem(Some(section.line()), "password_file", message);
    }
}

fn destination(route: &Route) -> remuda_mail::Destination {
    NextHop::Hosts {
        hosts: route.hosts.clone(),
        look_up_mx: route.mx,
        policy: Arc::new(route.policy()),
    }
    .destination()
}

fn is_given<T>(setting: &Setting<Option<T>>) -> bool {
    setting.value.is_some()
}

/// Reads how much TLS.
pub fn level(text: &str) -> Result<TlsLevel, String> {
    [TlsLevel::None, TlsLevel::May, TlsLevel::Encrypt, TlsLevel::Verify]
        .into_iter()
        .find(|level| level.as_str() == text)
        .ok_or_else(|| format!("{text:?} is not known; write \"none\", \"may\", \"encrypt\" or \"verify\""))
}

fn mode(text: &str) -> Result<TlsMode, String> {
    match text {
        "starttls" => Ok(TlsMode::StartTls),
        "implicit" => Ok(TlsMode::Implicit),
        _ => Err(format!(
            "{text:?} is not known; write \"starttls\" or \"implicit\""
        )),
    }
}

/// A name or an address, as certificates have them.
fn name(text: &str) -> Result<Arc<str>, String> {
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Ok(ip.to_string().into());
    }
    match text.parse::<Domain>() {
        Ok(domain) if domain.literal().is_none() => Ok(domain.as_str().into()),
        _ => Err(format!(
            "{text:?} is not a host name; write one such as \"mx.example.org\""
        )),
    }
}

fn ca_file(path: &str) -> Result<Option<PathBuf>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    let (content, _) = start_of(path, CA_FILE_MAX)?;
    if !content.contains("-----BEGIN CERTIFICATE-----") {
        return Err(format!(
            "{path:?} holds no certificate; name a PEM file with some, or \"\" for the system's"
        ));
    }
    Ok(Some(path.into()))
}

fn username(text: &str) -> Result<Option<Arc<str>>, String> {
    if text.len() > WORD_MAX || text.contains(char::is_control) {
        return Err(format!(
            "not a user's name; write at most {WORD_MAX} octets without control characters"
        ));
    }
    Ok(Some(text.into()).filter(|text: &Arc<str>| !text.is_empty()))
}

/// A password, and who may read its file.
struct Password {
    secret: Secret,
    mode: u32,
}

fn password(path: &str) -> Result<Option<Password>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    let (content, mode) = start_of(path, 2 * WORD_MAX as u64)?;
    let password = content.lines().next().unwrap_or_default();
    if password.is_empty() || password.len() > WORD_MAX || password.contains(char::is_control) {
        return Err(format!(
            "{path:?} holds no password; write it into the first line, at most {WORD_MAX} octets"
        ));
    }
    let secret = Secret::new(password);
    Ok(Some(Password { secret, mode }))
}

/// The beginning of a file, and its mode.
fn start_of(path: &str, max: u64) -> Result<(String, u32), String> {
    let mut octets = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| {
        let mode = file.metadata()?.permissions().mode();
        file.take(max).read_to_end(&mut octets)?;
        Ok(mode)
    });
    match read {
        Ok(mode) => Ok((String::from_utf8_lossy(&octets).into_owned(), mode)),
        Err(error) => Err(format!("{path:?} cannot be read: {error}; name a readable file")),
    }
}

/// The bits of a file's mode that let its group or everybody read it.
const READ_BY_OTHERS: u32 = 0o044;
/// Octets of a user's name or password: both fit a line of AUTH.
const WORD_MAX: usize = 255;
/// All the certificates that anybody trusts are some hundred kilobytes.
const CA_FILE_MAX: u64 = 4 << 20;
