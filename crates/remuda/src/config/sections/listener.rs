//! `[[listener]]`: where clients come in, and what they are offered there.
//!
//! # Contract
//! * **What would never work is a problem**: TLS without a certificate, a certificate without TLS, logins without TLS,
//!   submission without logins, a key that is another's.
//! * **Certificates are read here already**, so that `check` and a reload say what is wrong with them; that one has
//!   expired, or that everybody may read its key, is a warning.
//!
//! # Not here
//! Who knows the accounts of those who log in (`[directory]`).

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf};

use remuda_clock::{Clock, SystemClock};
use remuda_engine::{
    settings::{Listener, ListenerTls, PemFiles, Role},
    tls::{CertificateError, Certified},
};

use crate::config::{
    reader::{Section, Setting, boolean, text},
    values,
};

/// Reads every `[[listener]]`.
pub fn listeners(top: &Section<'_, '_>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    let Some(sections) = top.sections("listener") else {
        let default = SocketAddr::from(([127, 0, 0, 1], 2525));
        listeners.push(Listener::plain(default));
        return listeners;
    };
    for section in sections {
        if let Some(listener) = listener(&section) {
            let address = listener.address;
            if address.port() != 0 && listeners.iter().any(|other| other.address == address) {
                let message = format!("{address} is listened on twice; remove one [[listener]]");
                section.problem(Some(section.line()), "address", message);
            }
            listeners.push(listener);
        }
        section.close();
    }
    listeners
}

/// How TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    StartTls,
    Implicit,
}

/// A file that the section names.
struct Named {
    path: PathBuf,
    line: Option<usize>,
}

/// Reads one; every key is read, so that all that is wrong is found.
fn listener(section: &Section<'_, '_>) -> Option<Listener> {
    let address = section.required(
        "address",
        "\"127.0.0.1:2525\"",
        text(|t| values::socket_address(t, None)),
    );
    let role = section.read("role", Role::Mx, text(role));
    let mode = section.optional("tls", text(mode));
    let (certificate, key) = (named(section, "certificate"), named(section, "key"));
    let auth = section.read("auth", false, boolean);
    let mode = match mode {
        Some(mode) => mode.value,
        // What belongs together cannot be told.
        None if section.is_set("tls") => return None,
        None => Mode::None,
    };
    check_roles(section, mode, &role, &auth);
    let files = files(section, mode, certificate?, key?);
    Some(Listener {
        address: address?,
        role: role.value,
        tls: match (mode, files) {
            (Mode::StartTls, Some(files)) => ListenerTls::StartTls(files),
            (Mode::Implicit, Some(files)) => ListenerTls::Implicit(files),
            _ => ListenerTls::None,
        },
        auth: auth.value,
    })
}

/// Reads the name of a file; `""` is none, and None one that is wrong.
fn named(section: &Section<'_, '_>, key: &'static str) -> Option<Option<Named>> {
    match section.optional(key, text(file)) {
        Some(Setting { value, line }) => Some(value.map(|path| Named { path, line })),
        None if section.is_set(key) => None,
        None => Some(None),
    }
}

fn check_roles(section: &Section<'_, '_>, mode: Mode, role: &Setting<Role>, auth: &Setting<bool>) {
    if auth.value && mode == Mode::None {
        let message = "logins need TLS; set tls = \"starttls\" or \"implicit\", with certificate and key";
        section.problem(auth.line, "auth", message);
    }
    if role.value == Role::Submission && !auth.value {
        let message = "\"submission\" is for clients that log in; set auth = true";
        section.problem(role.line, "role", message);
    }
}

/// Both files are there where they are needed, and only there.
fn files(
    section: &Section<'_, '_>,
    mode: Mode,
    certificate: Option<Named>,
    key: Option<Named>,
) -> Option<PemFiles> {
    let both = [("certificate", certificate), ("key", key)];
    if mode == Mode::None {
        for (key, named) in both {
            if let Some(named) = named {
                let message = "has an effect only with tls = \"starttls\" or \"implicit\"";
                section.problem(named.line, key, message);
            }
        }
        return None;
    }
    for (key, named) in &both {
        if named.is_none() {
            let message = format!("missing, and TLS needs it; write for example {key} = \"{key}.pem\"");
            section.problem(section.line_of("tls"), key, message);
        }
    }
    match both {
        [(_, Some(certificate)), (_, Some(key))] => Some(pem_files(section, certificate, key)),
        _ => None,
    }
}

/// Reads both files, and says what is wrong with them.
fn pem_files(section: &Section<'_, '_>, certificate: Named, key: Named) -> PemFiles {
    let files = PemFiles {
        certificate: certificate.path,
        key: key.path,
    };
    match Certified::load(&files) {
        Ok(certified) => {
            if let Some(flaw) = certified.flaw(SystemClock::new().now().wall) {
                section.warning(certificate.line, "certificate", &flaw.to_string());
            }
        }
        Err(error @ CertificateError::Certificate { .. }) => {
            section.problem(certificate.line, "certificate", error.to_string());
        }
        Err(error @ CertificateError::Key { .. }) => {
            section.problem(key.line, "key", error.to_string());
        }
    }
    // Debian gives such keys to the group ssl-cert, so a group's reading is meant.
    let mode = fs::metadata(&files.key).map_or(0, |metadata| metadata.permissions().mode());
    if mode & READ_BY_EVERYBODY != 0 {
        let mode = mode & 0o7777;
        let message = format!("everybody may read the file (mode {mode:04o}); chmod 640 keeps the key");
        section.warning(key.line, "key", &message);
    }
    files
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "mx" => Ok(Role::Mx),
        "submission" => Ok(Role::Submission),
        _ => Err(format!("{text:?} is not known; write \"mx\" or \"submission\"")),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "none" => Ok(Mode::None),
        "starttls" => Ok(Mode::StartTls),
        "implicit" => Ok(Mode::Implicit),
        _ => Err(format!(
            "{text:?} is not known; write \"none\", \"starttls\" or \"implicit\""
        )),
    }
}

fn file(text: &str) -> Result<Option<PathBuf>, String> {
    if text.contains('\0') {
        return Err(format!("{text:?} is not a path; write one such as \"mx.pem\""));
    }
    Ok(Some(text.into()).filter(|_| !text.is_empty()))
}

/// The bit of a file's mode that lets everybody read it.
const READ_BY_EVERYBODY: u32 = 0o004;
