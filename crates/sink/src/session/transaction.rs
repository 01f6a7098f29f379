//! A transaction in the making: its envelope and its content.

use crate::{
    command::Path,
    content::Content,
    offer::MailParameters,
    report::{Accepted, Received, ReceivedRecipient},
    violation::ViolationKind,
};

/// What MAIL has begun.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) sender: String,
    pub(super) parameters: String,
    pub(super) declared: MailParameters,
    pub(super) recipients: Vec<ReceivedRecipient>,
    pub(super) was_rcpt_refused: bool,
    pub(super) content: Option<Content>,
    /// A chunk was refused; only RSET helps (RFC 3030 §2).
    pub(super) has_failed: bool,
}

impl Transaction {
    /// Begins with MAIL.
    pub(super) fn new(path: &Path<'_>, declared: MailParameters) -> Self {
        Transaction {
            sender: path.address.to_owned(),
            parameters: path.parameters.to_owned(),
            declared,
            recipients: Vec::new(),
            was_rcpt_refused: false,
            content: None,
            has_failed: false,
        }
    }

    /// Adds a recipient.
    pub(super) fn add(&mut self, path: &Path<'_>) {
        self.recipients.push(ReceivedRecipient {
            address: path.address.to_owned(),
            parameters: path.parameters.to_owned(),
        });
    }

    /// Whether a chunk is welcome.
    pub(super) fn is_ready(&self) -> bool {
        !self.recipients.is_empty() && !self.has_failed
    }

    /// Ends with the content: what the report keeps when it is accepted, and what was wrong with it.
    pub(super) fn finish(self, place: Place) -> (Option<Accepted>, Vec<(ViolationKind, String)>) {
        let Some(content) = self.content else {
            return (None, Vec::new());
        };
        let bytes = content.bytes();
        let recipients = self.recipients.len() as u64;
        let (digests, violations) = content.finish();
        let received = digests.map(|digests| Received {
            connection: place.connection,
            transaction: place.transaction,
            tls: place.is_encrypted,
            user: place.user,
            sender: self.sender,
            parameters: self.parameters,
            recipients: self.recipients,
            id: digests.id,
            received_at: 0,
            content: digests.content,
            bytes,
            sha256: digests.whole,
            sha256_without_trace: digests.without_trace,
        });
        let accepted = Accepted {
            recipients,
            bytes,
            received,
        };
        (Some(accepted), violations)
    }
}

/// Where a transaction took place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The connection of the listener, from 1.
    pub(super) connection: u64,
    /// The transaction of the connection, from 1.
    pub(super) transaction: u64,
    /// Over TLS.
    pub(super) is_encrypted: bool,
    /// Who has logged in.
    pub(super) user: Option<String>,
}
