//! What must hold before MAIL or RCPT is accepted; the replies when it does not.

use super::Session;
use crate::{
    command::Path,
    offer::{self, MailParameters, Refused},
    value::CloseManner,
    violation::ViolationKind,
};

impl Session {
    pub(super) fn check_mail(&self, path: &Path<'_>) -> Result<MailParameters, Refusal> {
        let Some(offer) = self.offer else {
            return Err(Refusal::violation(
                ViolationKind::BadSequence,
                "503 5.5.1 EHLO first\r\n",
            ));
        };
        if self.transaction.is_some() {
            return Err(Refusal::violation(
                ViolationKind::BadSequence,
                "503 5.5.1 MAIL inside a transaction\r\n",
            ));
        }
        self.check_user()?;
        let mail_max = self.listener.limits.and_then(|limits| limits.mail_max);
        if mail_max.is_some_and(|max| self.mails > max) {
            return Err(Refusal::violation(
                ViolationKind::OverLimit,
                "452 4.5.3 MAILMAX is reached\r\n",
            ));
        }
        if let Some(close) = self
            .listener
            .close_after
            .filter(|close| self.transactions >= close.transactions)
        {
            return Err(Refusal::plain(match close.manner {
                CloseManner::Code452 => "452 4.5.3 too many messages on this connection\r\n",
                CloseManner::Silent | CloseManner::Code421 => {
                    "421 4.3.2 too many messages on this connection\r\n"
                }
            }));
        }
        let declared = offer::mail_parameters(path, offer)?;
        if declared.size.is_some_and(|size| self.is_too_large(size)) {
            return Err(Refusal::plain("552 5.3.4 the message is too large\r\n"));
        }
        check_ascii(path, declared.is_smtputf8)?;
        Ok(declared)
    }

    fn check_user(&self) -> Result<(), Refusal> {
        if self.listener.auth.is_empty() || self.user.is_some() {
            return Ok(());
        }
        Err(Refusal::plain("530 5.7.0 AUTH first\r\n"))
    }

    pub(super) fn check_rcpt(&self, path: &Path<'_>) -> Result<(), Refusal> {
        let Some(transaction) = &self.transaction else {
            return Ok(());
        };
        if transaction.content.is_some() || transaction.has_failed {
            return Err(Refusal::violation(
                ViolationKind::BadSequence,
                "503 5.5.1 RCPT after BDAT\r\n",
            ));
        }
        offer::check_rcpt_parameters(path, self.offer.unwrap_or_default())?;
        check_ascii(path, transaction.declared.is_smtputf8)?;
        let max = self.listener.limits.and_then(|limits| limits.rcpt_max);
        if max.is_some_and(|max| transaction.recipients.len() as u64 >= max) {
            return Err(Refusal::violation(
                ViolationKind::OverLimit,
                "452 4.5.3 RCPTMAX is reached\r\n",
            ));
        }
        Ok(())
    }

    /// Whether the domain is one of the sink's, and not one more than announced.
    pub(super) fn check_domain(&mut self, path: &Path<'_>) -> Result<(), Refusal> {
        let domain = path.domain();
        let domains = &self.listener.domains;
        let is_known =
            domains.is_empty() || domain.is_empty() || domains.iter().any(|own| own.to_lowercase() == domain);
        if !is_known {
            return Err(Refusal::plain("550 5.7.1 no such domain here\r\n"));
        }
        if let Some(max) = self.listener.limits.and_then(|limits| limits.rcpt_domain_max)
            && !self.domains.contains(&domain)
        {
            if self.domains.len() as u64 >= max {
                return Err(Refusal::violation(
                    ViolationKind::OverLimit,
                    "452 4.5.3 RCPTDOMAINMAX is reached\r\n",
                ));
            }
            self.domains.insert(domain);
        }
        Ok(())
    }

    pub(super) fn is_too_large(&self, size: u64) -> bool {
        self.listener.size.is_some_and(|max| size > max)
    }
}

/// A refused command: the reply, and the violation if it is one.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: Option<ViolationKind>,
    pub(super) reply: &'static str,
}

impl Refusal {
    fn plain(reply: &'static str) -> Self {
        Refusal { kind: None, reply }
    }

    fn violation(kind: ViolationKind, reply: &'static str) -> Self {
        Refusal {
            kind: Some(kind),
            reply,
        }
    }
}

impl From<Refused> for Refusal {
    fn from((kind, reply): Refused) -> Self {
        Refusal::violation(kind, reply)
    }
}

/// RFC 6531 §3.4: a non-ASCII address needs SMTPUTF8.
fn check_ascii(path: &Path<'_>, is_smtputf8: bool) -> Result<(), Refusal> {
    if is_smtputf8 || path.address.is_ascii() {
        return Ok(());
    }
    Err(Refusal::violation(
        ViolationKind::Utf8NotDeclared,
        "553 5.6.7 a non-ASCII address needs SMTPUTF8\r\n",
    ))
}
