//! The modelled sessions: what is under way on each, and how its transactions are answered.
//!
//! # Contract
//! * **Answers come in the order of the orders**, each after the host's time for it.
//! * **A host that closes after N transactions has taken N**: what was sent behind them may have been taken, what
//!   was not sent is unsent, and a parked session dies.
//! * **Facts are what a session over the network would have.**

use std::{collections::VecDeque, time::Duration};

use remuda_clock::Monotonic;
use remuda_dispatch::{
    command::Flight,
    event::{After, Answer, Conduct, Death, Undecided},
};
use remuda_mail::{Capabilities, DeliveryId, EntryId, Facts};

use crate::peers::Verdict;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its host's place.
    pub(crate) host: usize,
    pub(crate) facts: Facts,
    pub(crate) state: State,
    /// In the order of their answers.
    pub(crate) under_way: VecDeque<Job>,
    /// When the host is done with what is under way.
    pub(crate) busy_until: Monotonic,
    /// Its host has let it in, and counts it.
    pub(crate) is_let_in: bool,
    /// It has been greeted.
    pub(crate) is_open: bool,
    close_after: Option<u32>,
    /// The host has closed it.
    is_closed: bool,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Being opened.
    Dialling,
    /// With a delivery, or about to be given to one.
    Used,
    /// Watched.
    Parked,
    /// Being ended.
    Retiring,
}

/// A transaction under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) delivery: DeliveryId,
    pub(crate) entry: EntryId,
    pub(crate) fate: Fate,
    /// How long it is waited for.
    pub(crate) wait: Duration,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// As the host says.
    Judged(Verdict),
    /// Nothing was sent: the session was dead.
    Unsent,
    /// A used session said nothing for too long, before the content was sent.
    NoReply,
}

/// What became of a transaction, and what is to be told.
pub(crate) struct Answered {
    pub(crate) job: Job,
    pub(crate) answer: Answer,
}

impl Session {
    /// One that is being dialled.
    pub(crate) fn dialled(host: usize, close_after: Option<u32>, facts: Facts) -> Self {
        Session {
            host,
            busy_until: facts.opened,
            facts,
            state: State::Dialling,
            under_way: VecDeque::new(),
            is_let_in: false,
            is_open: false,
            close_after,
            is_closed: false,
        }
    }

    /// The host has closed it, and nobody has noticed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Adds a transaction that the host makes this of, from when it is done with those before; answers when
    /// the answer comes.
    pub(crate) fn begin(
        &mut self,
        ids: (DeliveryId, EntryId),
        (wait, verdict): (Duration, Verdict),
        reply: Reply,
    ) -> Monotonic {
        let (mut wait, mut fate) = (wait, Fate::Judged(verdict));
        if self.is_closed {
            (wait, fate) = (Duration::ZERO, Fate::Unsent);
        } else if reply.is_split && verdict != Verdict::Takes && self.facts.uses > 0 && wait > reply.within {
            // Its content waits for the reply to MAIL, and nothing is lost with it.
            (wait, fate) = (reply.within, Fate::NoReply);
        }
        let (delivery, entry) = ids;
        self.busy_until = self.begins_at(reply.now) + wait;
        self.under_way.push_back(Job {
            delivery,
            entry,
            fate,
            wait,
        });
        self.state = State::Used;
        self.busy_until
    }

    /// When the host begins with what is sent now.
    pub(crate) fn begins_at(&self, now: Monotonic) -> Monotonic {
        self.busy_until.max(now)
    }

    /// The answer to the oldest transaction.
    pub(crate) fn answer(&mut self, now: Monotonic) -> Option<Answered> {
        let job = self.under_way.pop_front()?;
        let answer = match job.fate {
            // What was sent when the host had closed already.
            Fate::Judged(_) if self.is_closed => self.lost(Undecided::PerhapsAccepted, 1),
            Fate::Judged(Verdict::Takes) => self.judged(job, true, now),
            Fate::Judged(Verdict::Defers) => self.judged(job, false, now),
            Fate::Judged(Verdict::Silence) => self.silence(),
            Fate::Unsent => Answer {
                begun: false,
                death: Some(Death::Fin),
                limit_met: Some(self.facts.uses),
                ..self.lost(Undecided::Unsent, 1)
            },
            Fate::NoReply => Answer {
                death: Some(Death::NoReply),
                ..self.lost(Undecided::LostEarly, 1)
            },
        };
        Some(Answered { job, answer })
    }

    fn judged(&mut self, job: Job, is_taken: bool, now: Monotonic) -> Answer {
        self.facts.uses += 1;
        self.facts.last_used = now;
        self.facts.refused_in_a_row = if is_taken {
            0
        } else {
            self.facts.refused_in_a_row + 1
        };
        self.is_closed = self.close_after.is_some_and(|max| self.facts.uses >= max);
        let (finished, deferred) = if is_taken { (1, 0) } else { (0, 1) };
        Answer {
            finished,
            deferred,
            undecided: 0,
            cause: Undecided::NextTransaction,
            begun: true,
            death: None,
            accepted: is_taken,
            waited: job.wait,
            conduct: Conduct {
                has_deferred_message: !is_taken,
                ..Conduct::default()
            },
            session: match self.under_way.is_empty() {
                true => After::Free(Box::new(self.facts.clone())),
                false => After::Going,
            },
            limit_met: None,
        }
    }

    /// The reply did not come in time: to the content, it may have been taken.
    fn silence(&mut self) -> Answer {
        self.is_closed = true;
        Answer {
            deferred: 1,
            ..self.lost(Undecided::PerhapsAccepted, 0)
        }
    }

    fn lost(&mut self, cause: Undecided, undecided: u32) -> Answer {
        self.is_closed = true;
        Answer {
            finished: 0,
            deferred: 0,
            undecided,
            cause,
            begun: true,
            death: None,
            accepted: false,
            waited: Duration::ZERO,
            conduct: Conduct::default(),
            session: After::Gone,
            limit_met: None,
        }
    }
}

/// What of an order decides how long its reply is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) now: Monotonic,
    pub(crate) within: Duration,
    /// The content goes out once the commands are answered.
    pub(crate) is_split: bool,
}

impl Reply {
    pub(crate) fn new(now: Monotonic, within: Duration, flight: Flight) -> Self {
        Reply {
            now,
            within,
            is_split: flight == Flight::Split,
        }
    }
}

/// What every modelled host offers.
pub(crate) fn offers() -> Capabilities {
    Capabilities {
        esmtp: true,
        pipelining: true,
        chunking: true,
        eight_bit_mime: true,
        enhanced_status_codes: true,
        size: true,
        ..Capabilities::default()
    }
}

#[cfg(test)]
mod tests;
