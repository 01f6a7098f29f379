//! The protocol errors that the sink looks for in what the client says.
//!
//! # Not here
//! Where each is found: the conversation, its commands and content. What is kept of them is in
//! [`report`](crate::report).

use serde::{Deserialize, Serialize};

/// A protocol error of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub kind: ViolationKind,
    /// The connection of the listener, from 1.
    pub connection: u64,
    /// The client's line before the error, if there is one, and the one with the error.
    pub lines: Vec<String>,
}

/// The protocol errors that the sink looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViolationKind {
    /// The client sent something before the greeting.
    EarlyTalk,
    /// A command before the reply to the last one, though PIPELINING was not offered.
    PipeliningNotOffered,
    /// A command behind one that must be the last of its group (EHLO, DATA, NOOP, VRFY, QUIT, …).
    PipelinedTooFar,
    /// Anything after QUIT.
    DataAfterQuit,
    /// A command that ends in LF without CR.
    BareLfInCommand,
    /// A CR or NUL inside a command.
    ControlInCommand,
    /// A command line longer than its limit.
    CommandTooLong,
    /// A command that does not exist, or belongs to an extension that was not offered.
    UnknownCommand,
    /// A command at the wrong time, as MAIL inside a transaction.
    BadSequence,
    /// Arguments that are not those of the command.
    BadSyntax,
    /// A parameter of an extension that was not offered.
    ParameterNotOffered,
    /// A non-ASCII address or argument without SMTPUTF8.
    Utf8NotDeclared,
    /// More transactions, recipients or domains than LIMITS announces.
    OverLimit,
    /// LF without CR in the content.
    BareLfInContent,
    /// CR without LF in the content.
    BareCrInContent,
    /// A line of the content longer than 998 octets.
    ContentLineTooLong,
    /// A line of the content that begins with a single dot (RFC 5321 §4.5.2).
    NotDotStuffed,
    /// Octets above 127 in the content without BODY=8BITMIME.
    EightBitNotDeclared,
    /// The connection ended inside a command or the content.
    Truncated,
}
