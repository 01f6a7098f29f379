//! The content by LMTP: as many replies as recipients were accepted, in their order (RFC 2033 §4.2).
//!
//! # Contract
//! * **Each reply decides its own recipient and nobody else.**
//! * **Who was answered is done**, whatever becomes of the session; the others may have it, once the content is
//!   out, and wait.
//! * **Nothing goes at once to another session** when one recipient was answered: the message was read.

use remuda_mail::{Class, EnhancedStatus, Outcome, Receipt, Reply, Scope};

use super::{Content, Transaction};
use crate::client::{
    Line, Rest, Step,
    words::{clipped, verdict},
};

impl Transaction {
    /// 354: the content, and then a reply for each recipient. Nobody was accepted, and still the server asks:
    /// how many replies it will have then, nobody knows (RFC 2033 §4.2 has it say 503).
    pub(super) fn on_lmtp_go_ahead(&mut self, is_wanted: bool, reply: &Reply, line: &mut Line) {
        if !is_wanted {
            self.is_disorderly = true;
            let failure = line.peer.turned_away(Step::Data, reply, Scope::Session);
            self.rest = Rest::Failed(Box::new(failure));
            return line.end();
        }
        for _ in &self.accepted {
            line.flight.expect(Step::EndOfContent);
        }
        self.content = Content::Going;
    }

    /// The reply for the first recipient that has none.
    pub(super) fn on_lmtp_final(&mut self, reply: &Reply, line: &mut Line) {
        let is_whole = self.is_all_out(line);
        match reply.class() {
            Class::Positive if is_whole => {
                self.is_accepted = true;
                self.judge_first(Outcome::Delivered(Receipt {
                    reply: clipped(reply),
                    relay: line.peer.relay().as_ref().to_owned(),
                    passed_dsn: self.facts.passes_dsn,
                }));
            }
            Class::Transient | Class::Permanent if is_whole => {
                let outcome = self.lmtp_refusal(reply, line);
                self.judge_first(outcome);
            }
            Class::Transient | Class::Permanent if reply.code != 503 => {
                // Before the end: it takes no more, and what follows would still be content.
                let outcome = verdict(Step::Content, reply, line);
                self.judge_first(outcome);
                let failure = line.peer.turned_away(Step::Content, reply, Scope::Session);
                self.rest = Rest::Failed(Box::new(failure));
                line.end();
            }
            _ if is_whole => {
                self.is_disorderly = true;
                let mut refusal = line.peer.said(Step::EndOfContent, reply);
                refusal.status = EnhancedStatus::new(4, 5, 0);
                self.judge_unknown(refusal, line);
            }
            _ => self.unfit(Step::Content, reply, line),
        }
    }

    /// What a negative reply to the whole content is. With 503 the server has lost its way: it has done nothing.
    fn lmtp_refusal(&mut self, reply: &Reply, line: &mut Line) -> Outcome {
        if reply.code != 503 {
            return verdict(Step::EndOfContent, reply, line);
        }
        self.is_disorderly = true;
        line.wear();
        let failure = line.peer.turned_away(Step::EndOfContent, reply, Scope::Session);
        Outcome::Deferred(failure.refusal)
    }

    fn judge_first(&mut self, outcome: Outcome) {
        self.has_final_reply = true;
        // There is a reply to come for each of them, and no other.
        let first = self.accepted.remove(0);
        self.outcomes[first] = Some(outcome);
    }
}
