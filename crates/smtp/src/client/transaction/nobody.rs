//! Content that went out for nobody: with its commands, before they were refused.
//!
//! # Contract
//! * **It is to be refused**: a server that takes it has not understood, and is left.

use remuda_mail::{Class, Reply};

use super::{Content, Mail, Transaction};
use crate::client::{
    Line,
    words::{is_negative, is_unversed},
};

impl Transaction {
    /// The reply to content that nobody was to get: it is to be refused.
    pub(super) fn on_reply_for_nobody(&mut self, reply: &Reply, line: &mut Line) {
        let is_taken = reply.class() == Class::Positive;
        self.accepted_after_refusal = is_taken && self.mail == Mail::Refused;
        self.is_disorderly |= !is_negative(reply);
        let is_bdat = self.content == Content::Bdat;
        if is_taken && is_bdat && self.outcomes.iter().any(Option::is_none) {
            return self.judge_taken(reply, line);
        }
        if self.accepted_after_refusal && is_bdat {
            // Under whose name, nobody knows.
            return line.end();
        }
        // It may take an empty message for nobody, or worse. 503 is in order behind a BDAT in vain.
        if !is_negative(reply) || (is_unversed(reply) && !(is_bdat && reply.code == 503)) {
            line.wear();
        }
    }
}
