//! A used session in its next transaction: it may be dead, or have had as many as the server wants.
//!
//! # Contract
//! * **A limit is no refusal**: nobody has an outcome by it.
//! * **Nobody is judged by a session that has come out of step**, as far as that can be seen.

use remuda_mail::{Class, Outcome, Reply, Scope};

use super::{Mail, Transaction};
use crate::client::{Line, Loss, Rest, Step, flight::Cut, words::may_be_limit};

impl Transaction {
    /// Answers whether a used session has said nothing yet, and could not have taken the message.
    pub(in crate::client) fn is_unproven(&self, line: &Line) -> bool {
        self.facts.is_reused && !self.has_answer && !self.is_all_out(line)
    }

    /// Answers whether nothing can have been accepted of what a used session was lost with.
    pub(in crate::client) fn was_early(&mut self, loss: &Loss) -> bool {
        let is_early = self.facts.is_reused && self.mail == Mail::Asked;
        if self.is_unheard(loss) {
            self.limit_met = self.facts.borne;
        }
        is_early && (*loss == Loss::Closed || !self.has_answer)
    }

    /// Answers whether the server has hung up in place of a reply to MAIL.
    pub(in crate::client) fn is_unheard(&self, loss: &Loss) -> bool {
        self.mail == Mail::Asked && *loss == Loss::Closed
    }

    /// The limit that a refused MAIL may have met, behind which the session ended.
    pub(in crate::client) fn limit_of_refusal(&self) -> Option<u32> {
        let Mail::PerhapsRefused(outcome) = &self.mail else {
            return None;
        };
        let (Outcome::Deferred(refusal) | Outcome::Bounced(refusal)) = &**outcome else {
            return None;
        };
        let is_limit = refusal.reply.as_ref().is_some_and(may_be_limit);
        self.facts.borne.filter(|_| is_limit)
    }

    /// Answers whether a reply that does not fit may be about something before this transaction, which cannot
    /// have been accepted.
    pub(in crate::client) fn may_be_disorder(&self, line: &Line) -> bool {
        self.facts.is_reused && !self.facts.is_behind && !self.is_all_out(line)
    }

    /// A used session has come out of step, perhaps by a word that crossed with ours (T38): whom its replies
    /// were about, nobody knows, and the message goes elsewhere.
    pub(in crate::client) fn on_disorder(&mut self, line: &mut Line) {
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

    /// Answers whether a reply to MAIL may mean a limit.
    pub(super) fn may_meet_limit(&self, reply: &Reply) -> bool {
        self.facts.borne.is_some() && may_be_limit(reply)
    }

    /// MAIL is refused on a session that has carried others: it may have had as many as the server wants.
    pub(super) fn on_limit(&mut self, reply: &Reply, line: &mut Line) {
        self.mail = Mail::Refused;
        self.limit_met = self.facts.borne;
        self.has_answer = true;
        let failure = line.peer.turned_away(Step::Mail, reply, Scope::Session);
        self.rest = Rest::Limited(Box::new(failure));
        if reply.code == 421 {
            return line.end_by_farewell();
        }
        line.wear();
        line.flight.cancel_unsent(self.facts.group, Cut::All);
        if !self.facts.is_pipelined {
            line.flight.release_next();
        }
    }

    /// The reply to RSET decides nobody.
    pub(super) fn on_rset(&mut self, reply: &Reply, line: &mut Line) {
        if reply.class() == Class::Positive {
            return;
        }
        self.is_disorderly = true;
        if self.is_all_out(line) {
            // The content went out behind it: what becomes of it is still to be heard.
            line.wear();
        } else {
            // T32: no recipient is affected; the message goes elsewhere.
            self.limit_met = self.facts.borne.filter(|_| may_be_limit(reply));
            self.retry_elsewhere(line);
        }
    }
}
