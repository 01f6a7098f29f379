//! The configuration file: TOML in, checked and typed settings out, or all that is wrong with it.
//!
//! ```text
//!   text ──toml──▶ tables with spans ──sections──▶ Config
//!                                        │ values, limits
//!                                        ▼
//!                                     Problems (FILE:LINE: KEY: message)
//! ```
//!
//! # Contract
//! * **All problems of a file are found at once**, each with its line and what would be right.
//! * **Nothing wrong is tolerated**: an unknown key, a wrong type or an impossible value is a problem.
//! * **A warning stops nothing**: what works and is seldom meant is one line, in `check` and at start.
//! * **Reading changes nothing on disk.**
//!
//! # Not here
//! What the settings mean (`remuda_engine::settings`), whether the data directory or the ports are to be
//! had (`serve`).
//!
//! # Limits
//! A file larger than [`FILE_SIZE_MAX`] is refused.

mod limits;
mod nearest;
mod problem;
mod reader;
mod sections;
#[cfg(test)]
mod tests;
mod values;

use std::{
    io::Read,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use remuda_dispatch::settings::Rule;
use remuda_engine::settings::{Delivery, Route, Settings};
use remuda_mail::Secret;
use toml::de::DeTable;

pub use limits::{SessionLines, descriptors_needed, fit_descriptors};
pub use problem::{Problem, Problems};
pub use values::{duration, show_duration, show_size, size};

use reader::{Notes, Section};

/// A configuration file is a few kilobytes; this is a mistake.
pub const FILE_SIZE_MAX: u64 = 4 << 20;

/// The file that is looked for in the working directory.
pub const DEFAULT_FILE: &str = "remuda.toml";

/// Everything that the program is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// For the engine.
    pub settings: Settings,
    /// `[directory]` and `[object_cache]`.
    pub directory: Directory,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    /// Where the session limits are set.
    pub session_lines: SessionLines,
    /// What works and is seldom meant.
    pub warnings: Vec<Problem>,
}

/// `[directory]` and `[object_cache]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// `directory.url`.
    pub database: Database,
    /// Where a password stands in it.
    pub password_line: Option<usize>,
    /// `[object_cache]`.
    pub object_cache: remuda_directory::switches::Settings,
}

/// `directory.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file, made when it is not there.
    Sqlite(PathBuf),
    /// A URL, which may hold a password.
    Postgres(Secret),
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `address`.
    pub address: SocketAddr,
    /// `token_file`, joined to `data_dir`.
    pub token_file: PathBuf,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `format`.
    pub format: LogFormat,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of logfmt.
    Text,
    /// A JSON object a line.
    Json,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The defaults, because nobody named a file and there is none here.
    Embedded,
}

impl Source {
    /// The file that was named, else `./remuda.toml` when it is there, else the embedded default.
    pub fn find(named: Option<&Path>) -> Source {
        match named {
            Some(path) => Source::File(path.to_owned()),
            None if Path::new(DEFAULT_FILE).exists() => Source::File(DEFAULT_FILE.into()),
            None => Source::Embedded,
        }
    }

    /// As messages name it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Embedded => "(embedded default)".to_owned(),
        }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(&self) -> Result<Config, Problems> {
        let text = match self {
            Source::Embedded => Ok(String::new()),
            Source::File(path) => read_file(path),
        };
        let system_name = system_name();
        let read = match text {
            Ok(text) => parse(&text, &system_name),
            Err(message) => Err(vec![Problem {
                line: None,
                key: "file".to_owned(),
                message,
            }]),
        };
        let mut config = read.map_err(|list| Problems {
            file: self.name(),
            list,
        })?;
        config
            .warnings
            .extend(self.password_warning(config.directory.password_line));
        Ok(config)
    }

    /// A password in a file that others may read.
    fn password_warning(&self, line: Option<usize>) -> Option<Problem> {
        let (Source::File(path), Some(_)) = (self, line) else {
            return None;
        };
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| Problem {
            line,
            key: "directory.url".to_owned(),
            message: format!(
                "warning: others than its owner may read the file (mode {mode:04o}); chmod 600 keeps the password"
            ),
        })
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let open = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?
            .take(FILE_SIZE_MAX + 1)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    match open() {
        Ok(text) if text.len() as u64 > FILE_SIZE_MAX => {
            Err("larger than 4 MiB; this is no configuration file".to_owned())
        }
        Ok(text) => Ok(text),
        Err(error) => Err(format!(
            "cannot be read: {error}; name a readable file with --config FILE"
        )),
    }
}

fn system_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads and checks a configuration text; `system_name` is the default of `hostname`.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn parse(text: &str, system_name: &str) -> Result<Config, Vec<Problem>> {
    let notes = Notes::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map(|span| notes.line_at(span.start));
        notes.problem(line, "syntax", error.message().replace('\n', ", "));
    }
    if !errors.is_empty() {
        // What could be recovered would only be complained about for the same reasons again.
        return Err(notes.finish());
    }
    let config = read(&notes, document.get_ref(), system_name);
    let problems = notes.finish();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

fn read<'t>(notes: &Notes<'t>, document: &DeTable<'t>, system_name: &str) -> Config {
    let top = notes.top(document);
    let identity = sections::identity(&top, system_name);
    let listeners = sections::listeners(&top);
    let (limits, inbound) = sections::limits(&top);
    let relay = sections::relay(&top);
    let dns_servers = sections::dns(&top);
    let away = read_away(&top, &identity.hostname);
    let local = sections::local(&top);
    let cache = sections::connection_cache(&top);
    let directory = sections::directory(&top, &identity.data_dir);
    let admin = sections::admin(&top, &identity.data_dir, &listeners);
    let log = sections::log(&top);
    top.close();
    Config {
        admin,
        log,
        directory,
        warnings: notes.warnings(),
        session_lines: SessionLines {
            inbound,
            outbound: away.sessions_line,
            parked: cache.connections_line,
        },
        settings: Settings {
            hostname: identity.hostname,
            data_dir: identity.data_dir,
            postmaster: identity.postmaster,
            listeners,
            limits,
            relay,
            dns_servers,
            routes: away.routes,
            destinations: away.destinations,
            sources: away.sources,
            delivery: away.delivery,
            local,
            connection_cache: cache.settings,
            status_update_time: cache.status_update_time,
        },
    }
}

/// What decides how mail leaves.
struct Away {
    routes: Vec<Route>,
    delivery: Delivery,
    destinations: Vec<Rule>,
    sources: Vec<Arc<remuda_mail::Source>>,
    sessions_line: Option<usize>,
}

fn read_away(top: &Section<'_, '_>, hostname: &Arc<str>) -> Away {
    let routes = sections::routes(top);
    let (delivery, sessions_line) = sections::delivery(top, hostname);
    let destinations = sections::destinations(top, &delivery, &routes);
    let sources = sections::sources(top, &delivery.helo_name);
    Away {
        routes: routes.list,
        delivery,
        destinations,
        sources,
        sessions_line,
    }
}
