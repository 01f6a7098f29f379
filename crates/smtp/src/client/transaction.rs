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
//! * **Behind an unanswered transaction a refused MAIL decides once the next reply shows that the session
//!   goes on**: servers that have enough of us say so there, and hang up.

mod limit;
mod lmtp;
mod nobody;

use std::collections::VecDeque;

use remuda_mail::{Class, EnhancedStatus, Outcome, Receipt, Refusal, Reply};

use super::{
    Finished, Line, Rest, Step,
    begin::Facts,
    flight::Cut,
    words::{clipped, is_too_many, verdict},
};
use crate::dot::DotEncoder;

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) facts: Facts,
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// Recipients whose RCPT has no reply yet, in order.
    pub(super) asked: VecDeque<usize>,
    /// Recipients whose RCPT got 2xx and who have no outcome.
    pub(super) accepted: Vec<usize>,
    pub(super) mail: Mail,
    content: Content,
    encoder: DotEncoder,
    pub(super) rest: Rest,
    pub(super) has_answer: bool,
    is_accepted: bool,
    /// By LMTP: a recipient has its reply to the content.
    pub(super) has_final_reply: bool,
    pub(super) unknown: Vec<usize>,
    pub(super) may_resend: bool,
    pub(super) limit_met: Option<u32>,
    accepted_after_refusal: bool,
    pub(super) is_disorderly: bool,
    has_refused_recipient: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mail {
    Asked,
    Accepted,
    Refused,
    /// Refused behind an unanswered transaction: it counts with the next reply.
    PerhapsRefused(Box<Outcome>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Not asked for yet.
    NotYet,
    /// Going out.
    Going,
    /// Its end is in the flight.
    Ended,
    /// In the flight, behind its BDAT.
    Bdat,
    /// A lone dot is in the flight, because the server asked for content that nobody is to get.
    Nothing,
}

impl Transaction {
    /// A transaction whose commands are in the flight: one RCPT for each index in `asked`, and DATA or
    /// (`is_bdat`) the content.
    pub(super) fn new(
        outcomes: Vec<Option<Outcome>>,
        asked: VecDeque<usize>,
        is_bdat: bool,
        facts: Facts,
    ) -> Self {
        Transaction {
            accepted: Vec::with_capacity(asked.len()),
            outcomes,
            asked,
            mail: Mail::Asked,
            content: if is_bdat { Content::Bdat } else { Content::NotYet },
            encoder: DotEncoder::new(),
            rest: Rest::Next,
            has_answer: false,
            is_accepted: false,
            has_final_reply: false,
            unknown: Vec::new(),
            may_resend: false,
            limit_met: None,
            accepted_after_refusal: false,
            is_disorderly: false,
            has_refused_recipient: false,
            facts,
        }
    }

    /// What is being done.
    pub(super) fn step(&self, line: &Line) -> Step {
        match self.content {
            Content::Going => Step::Content,
            Content::Ended | Content::Bdat if !self.is_all_out(line) => Step::Content,
            _ => line.flight.awaiting().unwrap_or(Step::Mail),
        }
    }

    /// Answers whether the next block of content is to be given.
    pub(super) fn wants_content(&self, line: &Line) -> bool {
        self.content == Content::Going && line.flight.is_written()
    }

    /// Answers whether all that it will send is in the flight, if nothing is refused.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self.content, Content::Ended | Content::Bdat)
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
            line.flight.content_ends();
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
        !line.flight.is_awaited(self.facts.group)
    }

    /// The result.
    pub(super) fn finish(mut self, line: &Line) -> Finished {
        self.believe_refusal();
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
            is_disorderly: self.is_disorderly,
            has_refused_recipient: self.has_refused_recipient,
            flights: 0,
            health: line.health,
        }
    }

    /// Takes the reply to `step`, which has been taken off the flight.
    pub(super) fn on_reply(&mut self, step: Step, reply: &Reply, line: &mut Line) {
        if step == Step::Mail && self.may_meet_limit(reply) {
            return self.on_limit(reply, line);
        }
        // RFC 5321 §3.8: 421 announces the end of the session, whatever it answers.
        if reply.code == 421 {
            return self.on_farewell(step, reply, line);
        }
        self.believe_refusal();
        match step {
            Step::Rset => self.on_rset(reply, line),
            Step::Mail => self.on_mail(reply, line),
            Step::Rcpt => self.on_rcpt(reply, line),
            Step::Data => self.on_data(reply, line),
            _ if self.facts.is_lmtp => self.on_lmtp_final(reply, line),
            _ => self.on_final(reply, line),
        }
        self.has_answer = true;
        if !self.facts.is_pipelined {
            line.flight.release_next();
        }
    }

    fn on_mail(&mut self, reply: &Reply, line: &mut Line) {
        match reply.class() {
            Class::Positive => self.mail = Mail::Accepted,
            Class::Permanent if reply.code == 503 && self.facts.is_reused && !self.is_all_out(line) => {
                self.retry_elsewhere(line);
            }
            Class::Transient | Class::Permanent if reply.code != 503 => {
                let outcome = Box::new(verdict(Step::Mail, reply, line));
                self.mail = Mail::PerhapsRefused(outcome);
                if !self.facts.is_behind {
                    self.believe_refusal();
                }
                line.flight.cancel_unsent(self.facts.group, Cut::All);
            }
            _ => self.unfit(Step::Mail, reply, line),
        }
    }

    fn on_rcpt(&mut self, reply: &Reply, line: &mut Line) {
        let recipient = self.asked.pop_front();
        let (Some(recipient), Mail::Accepted) = (recipient, &self.mail) else {
            return;
        };
        match reply.class() {
            Class::Positive => self.accepted.push(recipient),
            Class::Transient | Class::Permanent if is_too_many(reply) && !self.accepted.is_empty() => {
                self.stop_asking(line);
            }
            Class::Transient | Class::Permanent if reply.code != 503 => {
                self.outcomes[recipient] = Some(verdict(Step::Rcpt, reply, line));
                self.has_refused_recipient = true;
            }
            _ => return self.unfit(Step::Rcpt, reply, line),
        }
        if self.asked.is_empty() && self.accepted.is_empty() {
            // Nobody is left to get the content: it is not sent, if it has not been.
            line.flight.cancel_unsent(self.facts.group, Cut::All);
        }
    }

    /// The server takes no more recipients in this transaction: those not asked for yet are left for the
    /// next one, and so is the one that was just refused.
    fn stop_asking(&mut self, line: &mut Line) {
        let cut = line.flight.cancel_unsent(self.facts.group, Cut::ButLast);
        self.asked.truncate(self.asked.len().saturating_sub(cut));
    }

    fn on_data(&mut self, reply: &Reply, line: &mut Line) {
        let is_wanted = self.mail == Mail::Accepted && !self.accepted.is_empty();
        match reply.class() {
            Class::Intermediate if self.facts.is_lmtp => self.on_lmtp_go_ahead(is_wanted, reply, line),
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

    /// Takes the reply to the content.
    fn on_final(&mut self, reply: &Reply, line: &mut Line) {
        let is_whole = self.is_all_out(line);
        let is_bdat = self.content == Content::Bdat;
        let of_end = if is_bdat { Step::Bdat } else { Step::EndOfContent };
        match reply.class() {
            _ if self.content == Content::Nothing || (is_bdat && self.accepted.is_empty()) => {
                self.on_reply_for_nobody(reply, line);
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
                let step = if is_bdat || is_whole {
                    of_end
                } else {
                    Step::Content
                };
                self.judge_accepted(&verdict(step, reply, line));
                match (is_whole, is_bdat) {
                    (true, _) => {}
                    // Its length is announced: what is left of it goes out, and then QUIT.
                    (false, true) => line.wear(),
                    // The server still takes what follows for content.
                    (false, false) => line.end(),
                }
            }
            Class::Transient | Class::Permanent => self.unfit(of_end, reply, line),
            _ if is_whole => {
                self.is_disorderly = true;
                let mut refusal = line.peer.said(of_end, reply);
                refusal.status = EnhancedStatus::new(4, 5, 0);
                self.judge_unknown(refusal, line);
            }
            _ => self.unfit(Step::Content, reply, line),
        }
    }

    /// The next reply has come, or the transaction ends in order: the refusal of MAIL counts.
    fn believe_refusal(&mut self) {
        if let Mail::PerhapsRefused(_) = &self.mail
            && let Mail::PerhapsRefused(outcome) = std::mem::replace(&mut self.mail, Mail::Refused)
            && self.rest == Rest::Next
        {
            for slot in self.outcomes.iter_mut().filter(|slot| slot.is_none()) {
                *slot = Some((*outcome).clone());
            }
        }
    }

    /// The end of the content has gone out.
    pub(super) fn is_all_out(&self, line: &Line) -> bool {
        line.flight.is_content_out(self.facts.group)
    }

    pub(super) fn judge_accepted(&mut self, outcome: &Outcome) {
        for recipient in self.accepted.drain(..) {
            self.outcomes[recipient] = Some(outcome.clone());
        }
    }
}
