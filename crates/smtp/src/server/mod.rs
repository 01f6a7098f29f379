//! The server's side of SMTP, without I/O: octets in, replies and events out.
//!
//! The shell reads octets into a buffer and calls [`Server::next`] until it says that it needs more. What
//! the machine can decide alone it answers itself; what needs the shell (may this client send to this
//! recipient? is the message on disk?) is an [`Event`] with a question, and the shell answers it.
//!
//! ```text
//!            EHLO            MAIL             RCPT            DATA ─▶ content ─▶ CRLF.CRLF ─┐
//!   start ─────────▶ ready ─────────▶ mail ─────────▶ rcpt ──┤                             ├▶ ready
//!                      ▲                │               │     BDAT ─▶ chunk ─▶ … BDAT LAST ─┘
//!                      └──── RSET ──────┴───────────────┘
//! ```
//!
//! # Contract
//! * **Every command gets one answer, in order** (RFC 5321 §4.3), whatever the state (table test).
//! * **Replies are held back until the input is used up** (RFC 2920 §3.2), so that one flight of the client
//!   costs one write.
//! * **Octets of content are never read as commands**, nor the other way round: the end of DATA is found as
//!   the content reader says, and a refused BDAT is followed by exactly its octets.
//! * **A bare CR or LF in a command ends the session** with 500 5.5.2.
//! * **TLS and AUTH are what the listener offers** ([`Security`]): nobody logs in without TLS, and where a login
//!   is needed nothing is taken before it.
//! * **Everything is bounded**: lines, replies held back, errors in a row, content, excess over its limit.
//! * The shell owes an [`answer`](Server::answer) to each event that asks, before it calls `next` again.
//!
//! # Not here
//! Sockets and time limits (the engine; the limits are in [`crate::deadlines::server`]); whom to relay for;
//! header fields; the TLS handshake and whether a password is right.

mod answer;
mod auth;
mod begin;
mod command;
mod content;
mod hello;
mod incoming;
mod input;
pub mod limits;
mod machine;
mod parameters;
#[cfg(test)]
mod tests;
mod xtext;

use std::sync::Arc;

use bytes::Bytes;
use remuda_mail::Credentials;

pub use answer::Answer;
pub use command::{ForwardPath, Mail, Rcpt};
pub use content::BareNewline;
pub use machine::Server;

/// What a session of this client is told and held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Our name in the greeting.
    pub hostname: Arc<str>,
    /// Octets of a message (SIZE).
    pub size_max: u64,
    /// Recipients of a message (RCPTMAX of RFC 9422).
    pub recipients_max: usize,
    /// For this client.
    pub bare_newline: BareNewline,
    /// What its listener offers and wants.
    pub security: Security,
}

/// TLS and AUTH of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// STARTTLS, while TLS is not on.
    pub offers_starttls: bool,
    /// AUTH PLAIN and LOGIN, once TLS is on.
    pub offers_auth: bool,
    /// MAIL is refused before a login (530 5.7.0).
    pub needs_login: bool,
}

/// What the client said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The name, with `?` for everything that has no place in a name.
    pub name: String,
    /// It said EHLO.
    pub extended: bool,
}

/// What the shell has to do next.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Write the replies, then read more.
    Read,
    /// Write the replies, then go on.
    Flush,
    /// Write the replies, make the handshake, then say [`Server::secured`], or nothing more.
    StartTls,
    /// The client says who it is. To be answered with 235, 454 or [`Answer::login_refused`].
    Login(Box<Credentials>),
    /// MAIL asks to begin a transaction. To be answered.
    Mail(Box<Mail>),
    /// RCPT asks to add a recipient. To be answered.
    Rcpt(Box<Rcpt>),
    /// The content begins; the transaction has at least one recipient.
    Begin,
    /// Content to be stored.
    Content(Bytes),
    /// The message is complete. To be answered when it is stored.
    Message,
    /// The transaction is over without a message; what was kept of it is to be dropped.
    Dropped,
    /// Write the replies, then close.
    Close,
}

/// What the machine needs octets for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The next command, between transactions.
    Idle,
    /// The next command of a transaction.
    Command,
    /// Content, of which this many octets have come.
    Content {
        /// On the wire.
        octets: u64,
    },
}
