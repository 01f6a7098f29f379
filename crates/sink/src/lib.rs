//! A scripted SMTP receiver: the peer that tests and benchmarks deliver to.
//!
//! It behaves as it is told (slow, forgetful, full, closing, silent), watches the client's every line
//! for protocol errors, and reports what has come: counts, flights, and on request the digest of each
//! message, so that a test can prove that every message arrived once and unchanged.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use remuda_sink::{Config, Listener, parse_reply, start};
//!
//! let mut listener = Listener { pipelining: false, ..Listener::default() };
//! listener.reply.push(parse_reply("rcpt#2=452 4.5.3 too many").expect("a rule"));
//! let sink = start(Config::single(listener), remuda_clock::SystemClock::shared()).await?;
//! // … deliver to sink.address() …
//! sink.received(10).await;
//! assert!(sink.stop().await.listeners[0].violations.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//! * **An independent instrument.** Nothing of the server is in it: a tester that shares the code under
//!   test proves nothing.
//! * **It says what it saw.** Every protocol error it finds is counted, the first ones with their lines.
//! * **It is light.** Without digests nothing is hashed and no content is kept; one task a connection.
//!
//! # Not here
//! Arguments and output of the program `remuda sink`.

mod certificate;
mod command;
mod config;
mod connection;
mod content;
mod digest;
mod login;
mod offer;
mod report;
mod rule;
mod script;
mod selector;
mod server;
mod session;
mod stream;
mod value;
mod violation;
mod wire;

pub use certificate::{Certificate, TlsMode, parse_tls};
pub use config::{Config, ConfigError, Listener};
pub use digest::sha256;
pub use login::{Login, parse_login};
pub use report::{Arrival, ListenerReport, Received, ReceivedRecipient, Report, VIOLATIONS_KEPT_MAX};
pub use rule::{
    DelayRule, DropRule, Reply, ReplyRule, StallRule, Window, parse_delay, parse_drop, parse_reply,
    parse_stall,
};
pub use selector::{Occurrence, Point, Selector};
pub use server::{Running, run, start};
pub use value::{
    CloseAfter, CloseManner, Limits, ValueError, parse_close_after, parse_duration, parse_limits, parse_size,
};
pub use violation::{Violation, ViolationKind};
