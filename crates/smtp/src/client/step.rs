//! The steps of a conversation, named as people know them.

use std::fmt;

/// What is being done, and so which reply is awaited and how long it may take
/// ([`deadlines`](crate::deadlines::client::limit)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Connected; the greeting is awaited.
    Greeting,
    /// EHLO.
    Ehlo,
    /// HELO, after a refused EHLO.
    Helo,
    /// RSET before a transaction.
    Rset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// Content is going out; its end has not.
    Content,
    /// The end of the content has gone out.
    EndOfContent,
    /// BDAT with the whole content (RFC 3030).
    Bdat,
    /// QUIT.
    Quit,
}

impl Step {
    /// What was being done, for "lost connection while …".
    pub fn activity(self) -> &'static str {
        match self {
            Step::Greeting => "receiving the initial server greeting",
            Step::Ehlo => "performing the EHLO handshake",
            Step::Helo => "performing the HELO handshake",
            Step::Rset => "sending RSET",
            Step::Mail => "sending MAIL FROM",
            Step::Rcpt => "sending RCPT TO",
            Step::Data => "sending DATA command",
            Step::Content => "sending message body",
            Step::EndOfContent => "sending end of data",
            Step::Bdat => "sending message content",
            Step::Quit => "sending QUIT",
        }
    }
}

impl fmt::Display for Step {
    /// What a reply was to, for "in reply to …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Greeting => "connection",
            Step::Ehlo => "EHLO command",
            Step::Helo => "HELO command",
            Step::Rset => "RSET command",
            Step::Mail => "MAIL FROM command",
            Step::Rcpt => "RCPT TO command",
            Step::Data => "DATA command",
            Step::Content => "message body",
            Step::EndOfContent => "end of DATA command",
            Step::Bdat => "BDAT command",
            Step::Quit => "QUIT command",
        })
    }
}
