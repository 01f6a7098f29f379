//! What is wrong with a scenario file: which line, which key, and what would be right.
//!
//! # Contract
//! * **A problem prints as `LINE: KEY: message`**, so that behind a file's name editors jump to it.

use std::fmt;

use super::Fault;

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Counted from 1; None: the file as a whole.
    pub line: Option<usize>,
    /// The key with its section (`host.service`), or `syntax`.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// The text is no TOML.
    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Problem {
        Problem::at(
            text,
            error.span().map(|span| span.start),
            "syntax",
            error.message(),
        )
    }

    /// A value is wrong, or a key unknown or missing.
    pub(super) fn value(text: &str, error: serde_path_to_error::Error<toml::de::Error>) -> Problem {
        let path = error.path().clone();
        let error = error.into_inner();
        Problem::at(
            text,
            error.span().map(|span| span.start),
            &key(&path),
            error.message(),
        )
    }

    /// A value does not go with the others.
    pub(super) fn fault(text: &str, fault: Fault) -> Problem {
        Problem::at(text, Some(fault.span.start), fault.key, &fault.message)
    }

    fn at(text: &str, offset: Option<usize>, key: &str, message: &str) -> Problem {
        let line = |offset: usize| 1 + text.bytes().take(offset).filter(|octet| *octet == b'\n').count();
        Problem {
            line: offset.map(line),
            key: key.to_owned(),
            message: message.trim().replace('\n', ", "),
        }
    }
}

/// The path without the places in lists: `host.service`.
fn key(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let names = path.iter().filter_map(|segment| match segment {
        // Toml hands values with their place over in a map of its own.
        Segment::Map { key } if key.starts_with("$__") => None,
        Segment::Map { key } => Some(key.as_str()),
        Segment::Enum { variant } => Some(variant.as_str()),
        Segment::Seq { .. } | Segment::Unknown => None,
    });
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        "file".to_owned()
    } else {
        names.join(".")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        write!(f, "{}: {}", self.key, self.message)
    }
}
