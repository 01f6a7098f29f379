//! The part of the state machine that has to do with content: DATA, chunks, the end of a message.

use super::{Session, Step, transaction::Place};
use crate::{content::Content, rule::Reply, value::CloseManner, violation::ViolationKind};

impl Session {
    /// Answers DATA.
    pub(super) fn data(&mut self, scripted: Option<&Reply>) -> Step {
        let keeps = self.keeps;
        let Some(transaction) = &mut self.transaction else {
            return self.without_transaction("503 5.5.1 MAIL first\r\n");
        };
        if transaction.content.is_some() || transaction.has_failed {
            return self.refuse(ViolationKind::BadSequence, "503 5.5.1 DATA after BDAT\r\n");
        }
        if transaction.recipients.is_empty() {
            return self.without_recipient();
        }
        if let Some(reply) = scripted.filter(|reply| !reply.is_positive()) {
            self.transaction = None;
            return self.scripted(reply);
        }
        transaction.content = Some(Content::new(keeps, transaction.declared.is_eight_bit));
        match self.scripted_or(scripted, "354 end with a dot\r\n") {
            Step::Continue => Step::Data,
            step => step,
        }
    }

    /// Where the content goes; `None` when it is thrown away.
    pub fn content(&mut self) -> Option<&mut Content> {
        self.transaction
            .as_mut()
            .filter(|transaction| !transaction.has_failed)?
            .content
            .as_mut()
    }

    /// Prepares for a chunk: it goes into the transaction's content if it is welcome.
    pub fn begin_chunk(&mut self) {
        let keeps = self.keeps;
        if let Some(transaction) = self
            .transaction
            .as_mut()
            .filter(|transaction| transaction.is_ready())
        {
            let is_declared = transaction.declared.is_eight_bit;
            transaction
                .content
                .get_or_insert_with(|| Content::new(keeps, is_declared));
        }
    }

    /// Answers a chunk that has been read.
    pub fn end_chunk(&mut self, is_last: bool, scripted: Option<&Reply>) -> Step {
        if !self.offer.is_some_and(|offer| offer.chunking) {
            return self.refuse(
                ViolationKind::UnknownCommand,
                "502 5.5.1 CHUNKING was not offered\r\n",
            );
        }
        let Some(transaction) = &mut self.transaction else {
            return self.without_transaction("503 5.5.1 MAIL first\r\n");
        };
        if transaction.has_failed {
            return self.say("503 5.5.1 RSET first\r\n");
        }
        if transaction.recipients.is_empty() {
            transaction.has_failed = true;
            return self.without_recipient();
        }
        if is_last {
            return self.end_message(scripted);
        }
        transaction.has_failed = scripted.is_some_and(|reply| !reply.is_positive());
        self.scripted_or(scripted, "250 2.0.0 chunk taken\r\n")
    }

    /// Answers a message that has been read.
    pub fn end_message(&mut self, scripted: Option<&Reply>) -> Step {
        let Some(transaction) = self.transaction.take() else {
            return self.without_transaction("503 5.5.1 MAIL first\r\n");
        };
        self.transactions += 1;
        let content = transaction.content.as_ref();
        let is_too_large = content.is_some_and(|content| self.is_too_large(content.bytes()));
        let is_accepted = !is_too_large && scripted.is_none_or(Reply::is_positive);
        let (accepted, violations) = transaction.finish(Place {
            connection: self.connection,
            transaction: self.transactions,
            is_encrypted: self.is_encrypted,
            user: self.user.clone(),
        });
        self.content_violations.extend(violations);
        self.ended.push(accepted.filter(|_| is_accepted));
        let step = if is_too_large {
            self.say("552 5.3.4 the message is too large\r\n")
        } else {
            self.scripted_or(scripted, "250 2.0.0 accepted\r\n")
        };
        match self.listener.close_after {
            Some(close) if close.manner == CloseManner::Silent && self.transactions >= close.transactions => {
                Step::Close
            }
            _ => step,
        }
    }

    /// Content without a recipient: a violation when none was even tried.
    fn without_recipient(&mut self) -> Step {
        let was_tried = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.was_rcpt_refused);
        if was_tried {
            self.say("554 5.5.1 no valid recipients\r\n")
        } else {
            self.refuse(ViolationKind::BadSequence, "503 5.5.1 RCPT first\r\n")
        }
    }
}
