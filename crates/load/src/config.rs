//! What the load generator is told to do.
//!
//! # Contract
//! * **The defaults are one message of 4 KiB over one session** to the given server.

use std::{io, path::PathBuf, time::Duration};

/// A run of the load generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server: host and port.
    pub to: String,
    /// How many messages in all.
    pub messages: u64,
    /// How many sessions at the same time.
    pub sessions: usize,
    /// Octets of each generated content; less than its header needs is the header alone.
    pub size: usize,
    /// The sender; empty for `<>`.
    pub from: String,
    /// The recipients: message after message takes the next one, one a message.
    pub rcpt: Vec<String>,
    /// A new connection for each message.
    pub reconnect: bool,
    /// The name given at EHLO.
    pub helo_name: String,
    /// The time limit of connecting, of each reply and of each write.
    pub timeout: Duration,
}

impl Config {
    /// A run against this server with the defaults.
    pub fn to(server: impl Into<String>) -> Self {
        Config {
            to: server.into(),
            messages: 1,
            sessions: 1,
            size: 4096,
            from: "load@sender.test".to_owned(),
            rcpt: vec!["user@example.test".to_owned()],
            reconnect: false,
            helo_name: "load.test".to_owned(),
            timeout: Duration::from_secs(300),
        }
    }

    /// Checks what cannot work.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.sessions == 0 {
            return Err(Error::Config("sessions: at least one is needed"));
        }
        if self.rcpt.is_empty() {
            return Err(Error::Config("rcpt: at least one recipient is needed"));
        }
        let words = self.rcpt.iter().chain([&self.from, &self.helo_name]);
        if words.into_iter().any(|word| word.contains(['\r', '\n'])) {
            return Err(Error::Config("an address or name contains a line break"));
        }
        Ok(())
    }
}

/// A run that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot work.
    #[error("{0}")]
    Config(&'static str),
    /// The server's address cannot be found.
    #[error("{server}: {error}")]
    Resolve {
        /// As configured.
        server: String,
        /// Why.
        error: io::Error,
    },
    /// A file of recipients cannot be read.
    #[error("{path}: {error}")]
    Recipients {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Reads recipients as the option `--rcpt` has them: `ADDR`, or `@FILE` with one address a line (empty
/// lines and those that begin with `#` are skipped).
///
/// # Errors
/// When a file cannot be read.
pub fn parse_recipients<S: AsRef<str>>(values: &[S]) -> Result<Vec<String>, Error> {
    let mut recipients = Vec::new();
    for value in values {
        let value = value.as_ref();
        let Some(path) = value.strip_prefix('@') else {
            recipients.push(value.to_owned());
            continue;
        };
        let text = std::fs::read_to_string(path).map_err(|error| Error::Recipients {
            path: path.into(),
            error,
        })?;
        let lines = text.lines().map(str::trim);
        recipients.extend(
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned),
        );
    }
    Ok(recipients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        let good = Config::to("127.0.0.1:25");
        assert!(good.check().is_ok());
        for bad in [
            Config {
                sessions: 0,
                ..good.clone()
            },
            Config {
                rcpt: Vec::new(),
                ..good.clone()
            },
            Config {
                from: "a@b\r\nRSET".to_owned(),
                ..good.clone()
            },
        ] {
            assert!(matches!(bad.check(), Err(Error::Config(_))), "{bad:?}");
        }
    }

    #[test]
    fn recipients_come_from_arguments_and_files() {
        let missing = parse_recipients(&["a@b.test", "@/nonexistent/file"]);
        assert!(matches!(missing, Err(Error::Recipients { .. })));
        assert_eq!(
            parse_recipients(&["a@b.test", "c@d.test"]).expect("no file"),
            ["a@b.test", "c@d.test"]
        );
    }
}
