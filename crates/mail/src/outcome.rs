//! Outcomes: what happened to one recipient, as data; and failures: how far they reach and whose they are.
//!
//! # Contract
//! * **Every recipient of a delivery ends with exactly one outcome.** A refused recipient is a normal
//!   answer and never an `Err`.

use serde::{Deserialize, Serialize};

use crate::{EnhancedStatus, Reply};

/// How far a failure reaches; decides what else must not be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// This recipient only.
    Recipient,
    /// This message on this host.
    Transaction,
    /// This connection.
    Session,
    /// This host.
    Endpoint,
    /// Every host of the destination.
    Destination,
}

/// Who is at fault; decides what is logged and whether an operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Blame {
    /// The receiver's answer or breach of protocol.
    Peer,
    /// The way there: no connection, time-out, reset, DNS.
    Network,
    /// A rule, here or there.
    Policy,
    /// Ourselves: a defect, a full disk, a panic.
    Us,
}

/// Why something was not delivered: the text for people and the codes for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The enhanced status for the log and the DSN.
    pub status: EnhancedStatus,
    /// What the server said, if it was one.
    pub reply: Option<Reply>,
    /// What we say: which step failed and how, in plain words, without line breaks. Beside a reply: what
    /// it answered (`in reply to RCPT TO command`), or empty when the reply says it all.
    pub reason: String,
    /// `host[address]:port` that said it, if one did.
    pub relay: Option<String>,
}

impl Refusal {
    /// A refusal of our own, without a server's reply.
    pub fn ours(status: EnhancedStatus, reason: impl Into<String>) -> Self {
        Refusal {
            status,
            reply: None,
            reason: reason.into(),
            relay: None,
        }
    }

    /// Answers whether another try is of no use: the status is 5.x.y.
    pub fn is_permanent(&self) -> bool {
        self.status.class == 5
    }

    /// The text for the log's `reply=` and for people: the server's words and what they answered, else
    /// ours; as Postfix writes it: `host R said: 550 5.1.1 no such user (in reply to RCPT TO command)`.
    pub fn words(&self) -> String {
        let Some(reply) = &self.reply else {
            return self.reason.clone();
        };
        let mut words = match &self.relay {
            Some(relay) => format!("host {relay} said: {reply}"),
            None => reply.to_string(),
        };
        if !self.reason.is_empty() {
            words.push_str(&format!(" ({})", self.reason));
        }
        words
    }
}

/// Proof of a delivery: what the receiver said to the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The final reply.
    pub reply: Reply,
    /// `host[address]:port` that took it; `local` for a Maildir.
    pub relay: String,
    /// The receiver took over our DSN duties (RFC 3461 §6.2.1); else "relayed" is reported on request.
    pub passed_dsn: bool,
}

/// What happens to one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A server took responsibility.
    Delivered(Receipt),
    /// Not now; tried again later.
    Deferred(Refusal),
    /// Never; reported to the sender.
    Bounced(Refusal),
}

impl Outcome {
    /// Answers whether nothing more is to be done for the recipient.
    pub fn is_final(&self) -> bool {
        !matches!(self, Outcome::Deferred(_))
    }
}

/// A failure that is no recipient's: of a dial, of a session, of a whole destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How far it reaches.
    pub scope: Scope,
    /// Whose it is.
    pub blame: Blame,
    /// What the recipients get when nothing else helps.
    pub refusal: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_postfix_says_it() {
        let mut refusal = Refusal {
            status: EnhancedStatus::new(5, 1, 1),
            reply: Some(Reply {
                code: 550,
                enhanced: Some(EnhancedStatus::new(5, 1, 1)),
                text: "no such user".into(),
            }),
            reason: "in reply to RCPT TO command".into(),
            relay: Some("mx.test[192.0.2.1]:25".into()),
        };
        let whole = "host mx.test[192.0.2.1]:25 said: 550 5.1.1 no such user (in reply to RCPT TO command)";
        assert_eq!(refusal.words(), whole);
        refusal.relay = None;
        assert_eq!(
            refusal.words(),
            "550 5.1.1 no such user (in reply to RCPT TO command)"
        );
        let ours = Refusal::ours(EnhancedStatus::new(4, 4, 1), "connection refused");
        assert_eq!(ours.words(), "connection refused");
    }
}
