//! What the sink is told to do: listeners with their behaviour, and when to end.
//!
//! # Contract
//! * **The defaults are a friendly receiver**: every extension offered, every recipient accepted, no
//!   delay, no digests kept.
//! * **A file is read strictly**: an unknown key is an error, not a key without effect.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    certificate::{Certificate, TlsMode},
    login::Login,
    rule::{DelayRule, DropRule, ReplyRule, StallRule},
    value::{self, CloseAfter, Limits},
};

/// The whole sink.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The listeners, each with a behaviour of its own.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// Ends when this many messages have been accepted, all listeners together.
    pub messages: Option<u64>,
    /// Where the report goes at the end.
    pub report: Option<PathBuf>,
    /// Keeps the envelope and digests of each message: memory grows with every message.
    pub keep_digests: bool,
    /// Keeps the contents too, for [`Received::content`](crate::Received::content); they are not in the
    /// JSON.
    pub keep_contents: bool,
}

/// What is kept of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Counts only.
    Nothing,
    /// Its envelope and digests.
    Digests,
    /// Its content too.
    Contents,
}

/// One listener and its behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The name in greeting and EHLO.
    pub hostname: String,
    /// The recipient domains it accepts (others get 550); empty: all.
    pub domains: Vec<String>,
    /// The round trip that replies wait for; a new connection waits two, one to open it and one for
    /// the greeting.
    #[serde(deserialize_with = "value::duration")]
    pub rtt: Duration,
    /// Waits at points of the conversation, always or for a while.
    pub delay: Vec<DelayRule>,
    /// Replies other than the usual ones.
    pub reply: Vec<ReplyRule>,
    /// Points at which it never answers.
    pub stall: Vec<StallRule>,
    /// Points at which it drops the connection.
    pub drop: Vec<DropRule>,
    /// A limit of transactions per connection.
    #[serde(deserialize_with = "value::optional")]
    pub close_after: Option<CloseAfter>,
    /// Connections at the same time; more get 421.
    pub max_connections: Option<usize>,
    /// Offers PIPELINING.
    pub pipelining: bool,
    /// Offers CHUNKING.
    pub chunking: bool,
    /// Offers 8BITMIME.
    pub eight_bit_mime: bool,
    /// Offers SMTPUTF8.
    pub smtputf8: bool,
    /// Offers DSN.
    pub dsn: bool,
    /// Offers SIZE.
    pub size_extension: bool,
    /// The largest content accepted, in octets; announced when SIZE is offered.
    #[serde(deserialize_with = "value::size")]
    pub size: Option<u64>,
    /// Limits that are announced and enforced.
    #[serde(deserialize_with = "value::optional")]
    pub limits: Option<Limits>,
    /// Its certificate; with one it speaks TLS.
    pub tls: Option<Certificate>,
    /// How TLS begins.
    pub tls_mode: TlsMode,
    /// Whose mail it takes, after AUTH; nobody: everybody's. With a certificate AUTH is offered over TLS only.
    pub auth: Vec<Login>,
}

impl Default for Listener {
    fn default() -> Self {
        Listener {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hostname: "sink.test".to_owned(),
            domains: Vec::new(),
            rtt: Duration::ZERO,
            delay: Vec::new(),
            reply: Vec::new(),
            stall: Vec::new(),
            drop: Vec::new(),
            close_after: None,
            max_connections: None,
            pipelining: true,
            chunking: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            size_extension: true,
            size: None,
            limits: None,
            tls: None,
            tls_mode: TlsMode::StartTls,
            auth: Vec::new(),
        }
    }
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The text is not a configuration; the words name line and key.
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    /// There is no listener.
    #[error("no listener: write at least one [[listener]]")]
    NoListener,
}

impl Config {
    /// What is kept of each message.
    pub(crate) fn keeps(&self) -> Keep {
        match (self.keep_contents, self.keep_digests) {
            (true, _) => Keep::Contents,
            (false, true) => Keep::Digests,
            (false, false) => Keep::Nothing,
        }
    }

    /// One listener, on a free port of 127.0.0.1, with this behaviour.
    pub fn single(listener: Listener) -> Self {
        Config {
            listeners: vec![listener],
            ..Config::default()
        }
    }

    /// Reads a configuration from TOML text.
    ///
    /// # Errors
    /// When a key is unknown, a value wrong, or there is no `[[listener]]`.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text)?;
        if config.listeners.is_empty() {
            return Err(ConfigError::NoListener);
        }
        Ok(config)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read, and as [`Config::from_toml`] has it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Config::from_toml(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{selector::Point, value::CloseManner};

    #[test]
    fn a_file_lists_listeners_with_different_behaviour() {
        let config = Config::from_toml(
            r#"
            messages = 10
            keep_digests = true
            [[listener]]
            listen = "127.0.0.1:2601"
            hostname = "a.test"
            domains = ["a.test"]
            rtt = "50ms"
            delay = ["mail=2s"]
            reply = ["rcpt#2=452 4.5.3 too many"]
            close_after = "3:421"
            limits = "MAILMAX=5"
            size = "1MiB"
            [[listener]]
            listen = "127.0.0.1:2602"
            pipelining = false
            stall = ["dot"]
            drop = ["quit=reset"]
            max_connections = 1
            size = 1000
            tls = "self-signed"
            tls_mode = "implicit"
            auth = ["me:secret"]
            "#,
        )
        .expect("every key is known");
        assert_eq!(config.messages, Some(10));
        let [first, second] = &config.listeners[..] else {
            panic!("two listeners")
        };
        assert_eq!(first.rtt, Duration::from_millis(50));
        assert_eq!(first.delay[0].selector.point, Point::Mail);
        assert_eq!(
            first.close_after.map(|close| close.manner),
            Some(CloseManner::Code421)
        );
        assert_eq!((first.size, second.size), (Some(1 << 20), Some(1000)));
        assert!(first.pipelining && !second.pipelining);
        assert!(second.drop[0].is_reset);
        assert_eq!((first.auth.len(), second.auth.len()), (0, 1));
        assert_eq!((first.tls.is_some(), first.tls_mode), (false, TlsMode::StartTls));
        assert_eq!(
            (&second.tls, second.tls_mode),
            (&Some(Certificate::SelfSigned), TlsMode::Implicit)
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        for text in [
            "[[listener]]\ntls = \"maybe\"",
            "colour = 1\n[[listener]]",
            "[[listener]]\nrtt = \"fast\"",
        ] {
            assert!(
                matches!(Config::from_toml(text), Err(ConfigError::Parse(_))),
                "{text}"
            );
        }
        assert!(matches!(Config::from_toml(""), Err(ConfigError::NoListener)));
    }
}
