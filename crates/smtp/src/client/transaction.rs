//! One transaction: from MAIL to the final reply, and what each reply decides for whom.
//!
//! # Contract
//! * **Nobody is judged by a reply that is not theirs.** After a MAIL without 2xx the replies to its RCPTs
//!   and content decide nobody; nor does 503, nor any reply to RSET.
//! * **Nobody is judged twice.**
//! * **A 2xx to the whole content decides**, also when the connection ends behind it.
//! * **A refusal that came early decides too** (T42): the content goes no further.
//! * **After the end of the content only a reply decides.** Without one the message may have been taken:
//!   its recipients wait, and the words say so.

mod limit;

use std::collections::VecDeque;

use remuda_mail::{Class, EnhancedStatus, Failure, Outcome, Receipt, Refusal, Reply, Scope};

use super::{
    Finished, Line, Rest, Step,
    begin::Facts,
    words::{Loss, clipped, is_negative, is_too_many, is_unversed, may_be_limit, verdict},
};
use crate::dot::DotEncoder;

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    outcomes: Vec<Option<Outcome>>,
    /// Recipients whose RCPT has no reply yet, in order.
    asked: VecDeque<usize>,
    /// Recipients whose RCPT got 2xx and who have no outcome.
    accepted: Vec<usize>,
    mail: Mail,
    content: Content,
    encoder: DotEncoder,
    rest: Rest,
    has_answer: bool,
    is_accepted: bool,
    unknown: Vec<usize>,
    may_resend: bool,
    limit_met: Option<u32>,
    accepted_after_refusal: bool,
    facts: Facts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mail {
    Asked,
    Accepted,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Not asked for yet.
    NotYet,
    /// Going out.
    Going,
    /// Its end is in the flight.
    Ended,
    /// A lone dot is in the flight, because the server asked for content that nobody is to get.
    Nothing,
}

impl Transaction {
    /// A transaction whose commands are in the flight: one RCPT for each index in `asked`.
    pub(super) fn new(outcomes: Vec<Option<Outcome>>, asked: VecDeque<usize>, facts: Facts) -> Self {
        Transaction {
            accepted: Vec::with_capacity(asked.len()),
            outcomes,
            asked,
            mail: Mail::Asked,
            content: Content::NotYet,
            encoder: DotEncoder::new(),
            rest: Rest::Next,
            has_answer: false,
            is_accepted: false,
            unknown: Vec::new(),
            may_resend: false,
            limit_met: None,
            accepted_after_refusal: false,
            facts,
        }
    }

    /// What is being done.
    pub(super) fn step(&self, line: &Line) -> Step {
        match self.content {
            Content::Going => Step::Content,
            Content::Ended if !line.flight.is_written() => Step::Content,
            _ => line.flight.awaiting().unwrap_or(Step::Mail),
        }
    }

    /// Answers whether the next block of content is to be given.
    pub(super) fn wants_content(&self, line: &Line) -> bool {
        self.content == Content::Going && line.flight.is_written()
    }

    /// Sends a block of content.
    pub(super) fn content(&mut self, block: &[u8], line: &mut Line) {
        if self.content == Content::Going {
            line.flight.content(|out| self.encoder.encode(block, out));
        }
    }

    /// Sends the end of the content.
    pub(super) fn end_content(&mut self, line: &mut Line) {
        if self.content == Content::Going {
            let encoder = std::mem::take(&mut self.encoder);
            line.flight.content(|out| encoder.finish(out));
            self.content = Content::Ended;
        }
    }

    /// Gives the content up: we cannot read it. Its recipients wait.
    pub(super) fn abandon(&mut self, refusal: &Refusal, line: &mut Line) {
        self.judge_accepted(&Outcome::Deferred(refusal.clone()));
        line.end();
    }

    /// Nothing more is to come.
    pub(super) fn is_over(&self, line: &Line) -> bool {
        line.flight.awaiting().is_none()
    }

    /// The result.
    pub(super) fn finish(self, line: &Line) -> Finished {
        let is_decided = self.outcomes.iter().all(Option::is_some);
        Finished {
            outcomes: self.outcomes,
            rest: if is_decided { Rest::Next } else { self.rest },
            is_begun: true,
            accepted: self.is_accepted,
            may_be_duplicate: !self.unknown.is_empty(),
            unknown: self.unknown,
            may_resend: self.may_resend,
            limit_met: self.limit_met,
            accepted_after_refusal: self.accepted_after_refusal,
            flights: 0,
            health: line.health,
        }
    }

    /// Takes the reply to `step`, which has been taken off the flight.
    pub(super) fn on_reply(&mut self, step: Step, reply: &Reply, line: &mut Line) {
        // RFC 5321 §3.8: 421 announces the end of the session, whatever it answers.
        if step == Step::Mail && self.facts.borne.is_some() && may_be_limit(reply) {
            return self.on_limit(reply, line);
        }
        if reply.code == 421 && !(step == Step::Rset && self.facts.is_reused) {
            return self.fail(line.peer.turned_away(step, reply, Scope::Session), line);
        }
        match step {
            Step::Rset => self.on_rset(reply, line),
            Step::Mail => self.on_mail(reply, line),
            Step::Rcpt => self.on_rcpt(reply, line),
            Step::Data => self.on_data(reply, line),
            _ => self.on_final(reply, line),
        }
        self.has_answer = true;
        if !self.facts.is_pipelined {
            line.flight.release_next();
        }
    }

    /// Takes the connection's loss.
    pub(super) fn on_loss(&mut self, loss: &Loss, line: &mut Line) {
        let step = self.step(line);
        if self.has_ended(line) {
            // Who had answered before and hangs up at once had perhaps never read it.
            self.may_resend = self.facts.is_reused && *loss == Loss::Closed;
            return self.judge_unknown(line.peer.lost(step, loss, Scope::Session).refusal, line);
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
        let step = self.step(line);
        let failure = line.peer.broke_protocol(step, what, Scope::Session);
        if step == Step::EndOfContent && self.content == Content::Ended {
            return self.judge_unknown(failure.refusal, line);
        }
        if self.may_be_disorder(line) {
            return self.on_disorder(line);
        }
        self.fail(failure, line);
    }

    fn on_rset(&mut self, reply: &Reply, line: &mut Line) {
        if reply.class() != Class::Positive {
            // T32: no recipient is affected; the message goes elsewhere.
            self.limit_met = self.facts.borne.filter(|_| may_be_limit(reply));
            self.retry_elsewhere(line);
        }
    }

    fn on_mail(&mut self, reply: &Reply, line: &mut Line) {
        match reply.class() {
            Class::Positive => self.mail = Mail::Accepted,
            Class::Permanent if reply.code == 503 && self.facts.is_reused => self.retry_elsewhere(line),
            Class::Transient | Class::Permanent if reply.code != 503 => {
                self.mail = Mail::Refused;
                let outcome = verdict(Step::Mail, reply, line);
                for slot in self.outcomes.iter_mut().filter(|slot| slot.is_none()) {
                    *slot = Some(outcome.clone());
                }
                line.flight.cancel_unsent();
            }
            _ => self.unfit(Step::Mail, reply, line),
        }
    }

    fn on_rcpt(&mut self, reply: &Reply, line: &mut Line) {
        let recipient = self.asked.pop_front();
        let (Some(recipient), Mail::Accepted) = (recipient, self.mail) else {
            return;
        };
        match reply.class() {
            Class::Positive => self.accepted.push(recipient),
            Class::Transient | Class::Permanent if is_too_many(reply) && !self.accepted.is_empty() => {
                self.stop_asking(line);
            }
            Class::Transient | Class::Permanent if reply.code != 503 => {
                self.outcomes[recipient] = Some(verdict(Step::Rcpt, reply, line));
            }
            _ => return self.unfit(Step::Rcpt, reply, line),
        }
        if self.asked.is_empty() && self.accepted.is_empty() {
            // Nobody is left to get the content: DATA is not sent, if it has not been.
            line.flight.cancel_unsent();
        }
    }

    /// The server takes no more recipients in this transaction: those not asked for yet are left for the
    /// next one, and so is the one that was just refused.
    fn stop_asking(&mut self, line: &mut Line) {
        let cut = line.flight.cancel_unsent();
        if cut > 0 {
            // The last command is DATA.
            self.asked.truncate(self.asked.len().saturating_sub(cut - 1));
            line.flight
                .command(Step::Data, |out| out.extend_from_slice(b"DATA\r\n"));
            if self.facts.is_pipelined {
                line.flight.release_all();
            }
        }
    }

    fn on_data(&mut self, reply: &Reply, line: &mut Line) {
        let is_wanted = self.mail == Mail::Accepted && !self.accepted.is_empty();
        match reply.class() {
            Class::Intermediate => {
                line.flight.expect(Step::EndOfContent);
                if is_wanted {
                    self.content = Content::Going;
                } else {
                    // RFC 2920 §3.1: the server asks for content though it refused everybody.
                    line.flight.content(|out| out.extend_from_slice(b".\r\n"));
                    self.content = Content::Nothing;
                }
            }
            Class::Transient | Class::Permanent if !is_wanted => {}
            Class::Transient | Class::Permanent if reply.code != 503 => {
                self.judge_accepted(&verdict(Step::Data, reply, line));
            }
            _ => self.unfit(Step::Data, reply, line),
        }
    }

    fn on_final(&mut self, reply: &Reply, line: &mut Line) {
        let is_whole = self.content == Content::Ended && line.flight.is_written();
        match reply.class() {
            _ if self.content == Content::Nothing => {
                self.accepted_after_refusal = self.mail == Mail::Refused && reply.class() == Class::Positive;
                // It may take an empty message for nobody, or worse.
                if !is_negative(reply) || is_unversed(reply) {
                    line.wear();
                }
            }
            Class::Positive if is_whole => {
                self.is_accepted = true;
                self.judge_accepted(&Outcome::Delivered(Receipt {
                    reply: clipped(reply),
                    relay: line.peer.relay().as_ref().to_owned(),
                    passed_dsn: self.facts.passes_dsn,
                }));
            }
            Class::Transient | Class::Permanent if reply.code != 503 => {
                let step = if is_whole {
                    Step::EndOfContent
                } else {
                    Step::Content
                };
                self.judge_accepted(&verdict(step, reply, line));
                if !is_whole {
                    // The server still takes what follows for content.
                    line.end();
                }
            }
            Class::Transient | Class::Permanent => self.unfit(Step::EndOfContent, reply, line),
            _ if is_whole => {
                let mut refusal = line.peer.said(Step::EndOfContent, reply);
                refusal.status = EnhancedStatus::new(4, 5, 0);
                self.judge_unknown(refusal, line);
            }
            _ => self.unfit(Step::Content, reply, line),
        }
    }

    /// A reply that does not fit the command, or 503: we and the server disagree about where we are.
    fn unfit(&mut self, step: Step, reply: &Reply, line: &mut Line) {
        if self.may_be_disorder(line) {
            return self.on_disorder(line);
        }
        self.fail(line.peer.turned_away(step, reply, Scope::Session), line);
    }

    fn judge_accepted(&mut self, outcome: &Outcome) {
        for recipient in self.accepted.drain(..) {
            self.outcomes[recipient] = Some(outcome.clone());
        }
    }

    /// The content is out and nothing says what became of it.
    fn judge_unknown(&mut self, mut refusal: Refusal, line: &mut Line) {
        refusal.reason.push_str(" -- message may be sent more than once");
        self.unknown = self.accepted.clone();
        self.judge_accepted(&Outcome::Deferred(refusal));
        line.end();
    }

    fn retry_elsewhere(&mut self, line: &mut Line) {
        self.rest = Rest::LostEarly;
        line.end();
    }

    fn fail(&mut self, failure: Failure, line: &mut Line) {
        self.rest = Rest::Failed(Box::new(failure));
        line.end();
    }
}
