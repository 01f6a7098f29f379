//! A used session in its next transaction: it may be dead, or have had as many as the server wants.
//!
//! # Contract
//! * **A limit is no refusal**: nobody has an outcome by it.
//! * **Nobody is judged by a session that has come out of step**, as far as that can be seen.

use remuda_mail::{Outcome, Reply, Scope};

use super::{Content, Mail, Transaction};
use crate::client::{Line, Loss, Rest, Step};

impl Transaction {
    /// Answers whether a used session has said nothing yet, and could not have taken the message.
    pub(in crate::client) fn is_unproven(&self, line: &Line) -> bool {
        self.facts.is_reused && !self.has_answer && !self.has_ended(line)
    }

    /// Answers whether the end of the content has gone out.
    pub(super) fn has_ended(&self, line: &Line) -> bool {
        self.content == Content::Ended && line.flight.is_written()
    }

    /// Answers whether nothing can have been accepted of what a used session was lost with.
    pub(super) fn was_early(&mut self, loss: &Loss) -> bool {
        let is_early = self.facts.is_reused && self.mail == Mail::Asked;
        let was_closed = *loss == Loss::Closed;
        if is_early && was_closed {
            self.limit_met = self.facts.borne;
        }
        is_early && (was_closed || !self.has_answer)
    }

    /// Answers whether a reply that does not fit may be about something before this transaction, which cannot
    /// have been accepted.
    pub(super) fn may_be_disorder(&self, line: &Line) -> bool {
        self.facts.is_reused && !self.has_ended(line)
    }

    /// A used session has come out of step, perhaps by a word that crossed with ours (T38): whom its replies
    /// were about, nobody knows, and the message goes elsewhere.
    pub(super) fn on_disorder(&mut self, line: &mut Line) {
        for slot in &mut self.outcomes {
            let is_theirs = match slot {
                Some(Outcome::Deferred(refusal) | Outcome::Bounced(refusal)) => refusal.reply.is_some(),
                _ => false,
            };
            if is_theirs {
                *slot = None;
            }
        }
        self.retry_elsewhere(line);
    }

    /// MAIL is refused on a session that has carried others: it may have had as many as the server wants.
    pub(super) fn on_limit(&mut self, reply: &Reply, line: &mut Line) {
        self.mail = Mail::Refused;
        self.limit_met = self.facts.borne;
        self.has_answer = true;
        let failure = line.peer.turned_away(Step::Mail, reply, Scope::Session);
        self.rest = Rest::Limited(Box::new(failure));
        if reply.code == 421 {
            return line.end();
        }
        line.wear();
        line.flight.cancel_unsent();
        if !self.facts.is_pipelined {
            line.flight.release_next();
        }
    }
}
