//! How a transaction ends before its final reply: the connection lost, 421, a reply that does not fit.
//!
//! # Contract
//! * **After the end of the content only a reply decides.** Without one the message may have been taken:
//!   its recipients wait, and the words say so.
//! * **What the server did not come to is sent again**: behind 421, or when its content was not all out.
//! * **A server in disorder is heard to the end** when the content is out: it may take it all the same.

use remuda_mail::{EnhancedStatus, Failure, Outcome, Refusal, Reply, Scope};

use super::{
    Line, Rest, Step,
    transaction::{Mail, Transaction},
    words::{Loss, may_be_limit},
};

impl Transaction {
    /// Takes the connection's loss.
    pub(super) fn on_loss(&mut self, loss: &Loss, line: &mut Line) {
        let step = self.step(line);
        if self.may_be_taken(line) {
            let step = if self.facts.is_one_flight {
                Step::Bdat
            } else {
                step
            };
            // Who had answered before and hangs up at once had perhaps never read it.
            line.may_resend = self.facts.is_reused && *loss == Loss::Closed && !self.has_final_reply;
            self.limit_met = self.facts.borne.filter(|_| self.is_unheard(loss));
            return self.judge_unknown(line.peer.lost(step, loss, Scope::Session).refusal, line);
        }
        if self.is_hung_up_on() {
            self.limit_met = self.limit_of_refusal();
            return self.retry_elsewhere(line);
        }
        if self.was_early(loss) {
            return self.retry_elsewhere(line);
        }
        let scope = match loss {
            Loss::Closed if self.facts.is_reused => Scope::Session,
            _ => Scope::Endpoint,
        };
        self.fail(line.peer.lost(step, loss, scope), line);
    }

    /// Takes what is no reply, or a reply that nothing asked for.
    pub(super) fn on_breach(&mut self, what: &str, line: &mut Line) {
        self.is_disorderly = true;
        let step = self.step(line);
        let failure = line.peer.broke_protocol(step, what, Scope::Session);
        if self.may_be_taken(line) {
            return self.judge_unknown(failure.refusal, line);
        }
        if step == Step::Rset || self.is_hung_up_on() {
            return self.retry_elsewhere(line);
        }
        if self.may_be_disorder(line) {
            return self.on_disorder(line);
        }
        self.fail(failure, line);
    }

    /// The session has ended while an earlier transaction was being answered.
    pub(super) fn on_end_before(&mut self, line: &mut Line) {
        if line.is_ended_by_farewell || !self.may_be_taken(line) {
            // The server did not come to it, or cannot have had all of it.
            return self.retry_elsewhere(line);
        }
        let refusal = line.peer.lost(Step::Bdat, &Loss::Closed, Scope::Session).refusal;
        self.judge_unknown(refusal, line);
    }

    /// 421: the server hangs up, and does not do what this replies to.
    pub(super) fn on_farewell(&mut self, step: Step, reply: &Reply, line: &mut Line) {
        line.end_by_farewell();
        let is_between = step == Step::Rset || (step == Step::Mail && self.facts.is_behind);
        if is_between || self.is_hung_up_on() {
            self.limit_met = self.facts.borne.filter(|_| may_be_limit(reply));
            return self.retry_elsewhere(line);
        }
        self.fail(line.peer.turned_away(step, reply, Scope::Session), line);
    }

    /// A reply that does not fit the command, or 503: we and the server disagree about where we are. What
    /// of the content is out is still to be heard of; nobody is judged by it.
    pub(super) fn unfit(&mut self, step: Step, reply: &Reply, line: &mut Line) {
        self.is_disorderly = true;
        if self.facts.is_one_flight && self.is_all_out(line) {
            match step {
                Step::Mail => self.mail = Mail::Refused,
                // The others have their 2xx: what becomes of the content decides for them.
                Step::Rcpt => {}
                _ => self.accepted.clear(),
            }
            self.rest = Rest::LostEarly;
            return line.wear();
        }
        if self.facts.is_behind || (self.facts.is_one_flight && reply.code == 503) {
            return self.retry_elsewhere(line);
        }
        if self.may_be_disorder(line) {
            return self.on_disorder(line);
        }
        self.fail(line.peer.turned_away(step, reply, Scope::Session), line);
    }

    /// MAIL was refused and then the connection ended: the server has had enough of us, not of the message.
    fn is_hung_up_on(&self) -> bool {
        matches!(self.mail, Mail::PerhapsRefused(_))
    }

    /// The server may have taken the message, as far as we have heard.
    fn may_be_taken(&self, line: &Line) -> bool {
        let is_somebody_left = !self.accepted.is_empty() || !self.asked.is_empty();
        let is_refused = matches!(self.mail, Mail::Refused | Mail::PerhapsRefused(_));
        self.is_all_out(line) && is_somebody_left && !is_refused
    }

    /// The content is out and nothing says what became of it.
    pub(super) fn judge_unknown(&mut self, mut refusal: Refusal, line: &mut Line) {
        refusal.reason.push_str(" -- message may be sent more than once");
        self.accepted.extend(self.asked.drain(..));
        self.unknown = self.accepted.clone();
        self.may_resend = line.may_resend;
        self.judge_accepted(&Outcome::Deferred(refusal));
        line.end();
    }

    /// The server took the content, and by its other replies for nobody: those who are undecided may have it.
    /// It goes once more, at once, to another session.
    pub(super) fn judge_taken(&mut self, reply: &Reply, line: &mut Line) {
        let undecided = |(index, slot): (usize, &Option<Outcome>)| slot.is_none().then_some(index);
        self.accepted = self.outcomes.iter().enumerate().filter_map(undecided).collect();
        self.asked.clear();
        let mut refusal = line.peer.said(Step::Bdat, reply);
        refusal.status = EnhancedStatus::new(4, 5, 0);
        line.may_resend = true;
        self.judge_unknown(refusal, line);
    }

    pub(super) fn retry_elsewhere(&mut self, line: &mut Line) {
        self.rest = Rest::LostEarly;
        line.end();
    }

    fn fail(&mut self, failure: Failure, line: &mut Line) {
        self.rest = Rest::Failed(Box::new(failure));
        line.end();
    }
}
