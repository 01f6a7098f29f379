//! The client's side of an SMTP conversation: a state machine without sockets and without a clock.
//!
//! The shell moves octets and time; what they mean is decided here:
//!
//! ```text
//!   new ──greeting, EHLO, HELO──▶ ready ──begin──▶ MAIL RCPT… BDAT content ──▶ finished ──▶ ready …
//!                │                   └────follow──▶ RSET MAIL RCPT… BDAT … ──▶ finished
//!                ▼                                        ▼
//!             refused                                  finished, worn or broken ──▶ quit
//! ```
//!
//! In a loop: write [`output`](Client::output), give what was read to [`receive`](Client::receive), give
//! content when [`want`](Client::want) says so, and wait no longer than the
//! [limit](crate::deadlines::client::limit) of the step that it names.
//!
//! # Contract
//! * **Every beginning ends**: with any octets and losses, [`opening`](Client::opening) answers, and after
//!   each [`begin`](Client::begin) and [`follow`](Client::follow) [`finished`](Client::finished) does, in
//!   their order, with one slot for each recipient.
//! * **One flight where it may be**: with PIPELINING and CHUNKING a content that is given whole goes out
//!   with its commands; a transaction that follows goes out behind, led by RSET.
//! * **No reply is taken for another's** (T38): a reply that nothing asked for ends the session.
//! * **By LMTP each recipient has a reply of its own** behind the content (RFC 2033 §4.2), and no other.
//! * **What follows a transaction that did not end by 2xx begins with RSET** (T40).
//! * **A session is offered again only if it is in order** ([`Health::Sound`], T37).
//! * **What the server cannot take is not sent**: too large, SMTPUTF8 not offered, over its LIMITS (T41).
//! * **The shell reads while it writes**, so that a negative reply stops what is not yet sent.
//!
//! # Not here
//! Whether to retry, on which host and when, and how many transactions may be under way: `dispatch`. The TLS
//! handshake: the shell's.

mod answer;
mod begin;
mod commands;
mod ehlo;
mod endings;
mod flight;
mod idle;
mod line;
mod opening;
mod step;
mod transaction;
mod words;

use std::{collections::VecDeque, sync::Arc};

use remuda_mail::{Capabilities, Domain, Protocol, Refusal, Reply, Scope};

pub use answer::{Finished, Health, Order, Refused, Rest, Want};
pub use commands::COMMAND_LENGTH_MAX;
pub use ehlo::capabilities;
pub use opening::{Login, Security, WantedTls};
pub use step::Step;
pub use words::{Loss, Peer, TEXT_KEPT_MAX};

use self::{line::Line, opening::Opening, transaction::Transaction};
use crate::reply::ReplyParser;

/// The machine of one session.
pub struct Client {
    line: Line,
    parser: ReplyParser,
    state: State,
    protocol: Protocol,
    helo_name: Arc<str>,
    capabilities: Capabilities,
    /// The last transaction did not end by 2xx.
    needs_rset: bool,
    /// MAIL commands so far.
    mails: u32,
    /// A transaction was accepted.
    has_accepted: bool,
    /// It has lain idle: its end is not its host's failure.
    has_rested: bool,
    /// What came was no reply.
    is_babbling: bool,
    /// Recipient domains so far; kept only where the server limits them.
    domains: Vec<Domain>,
    /// Replies so far.
    answers: u64,
    /// Under way, in the order of their commands.
    transactions: VecDeque<Transaction>,
    /// Over, and not taken yet.
    done: VecDeque<Finished>,
    /// Groups of octets that have gone out since the last transaction was taken.
    flights: u32,
    /// Octets have gone out since the last reply.
    is_in_flight: bool,
    /// What came without being asked for.
    surprise: Option<Reply>,
}

#[derive(Debug)]
enum State {
    Opening(Box<Opening>),
    Refused(Box<Refused>),
    /// Open: transactions may be under way.
    Ready,
    Quitting,
}

impl Client {
    /// The machine of a connection that has just been made, without TLS and AUTH.
    pub fn new(peer: Peer, helo_name: Arc<str>) -> Self {
        Client::with(peer, helo_name, Security::default())
    }

    /// The machine of a connection that has just been made.
    pub fn with(peer: Peer, helo_name: Arc<str>, security: Security) -> Self {
        Client {
            line: Line::new(peer),
            parser: ReplyParser::new(),
            protocol: security.protocol,
            state: State::Opening(Box::new(Opening::new(security))),
            helo_name,
            capabilities: Capabilities::default(),
            needs_rset: false,
            mails: 0,
            has_accepted: false,
            has_rested: false,
            is_babbling: false,
            domains: Vec::new(),
            answers: 0,
            transactions: VecDeque::new(),
            done: VecDeque::new(),
            flights: 0,
            is_in_flight: false,
            surprise: None,
        }
    }

    /// How the opening went; None while it is under way.
    pub fn opening(&self) -> Option<Result<&Capabilities, &Refused>> {
        match &self.state {
            State::Opening(_) => None,
            State::Refused(refused) => Some(Err(refused)),
            _ => Some(Ok(&self.capabilities)),
        }
    }

    /// Who is on the other side.
    pub fn peer(&self) -> &Peer {
        &self.line.peer
    }

    /// What the shell is to do.
    pub fn want(&self) -> Want {
        let line = &self.line;
        match (&self.state, self.transactions.front()) {
            // Only the last in the flight has content to give, and its turn is once the others are over.
            (State::Ready, Some(first)) if first.wants_content(line) => Want::Content,
            (State::Ready, Some(first)) => Want::Reply(first.step(line)),
            (State::Opening(opening), _) if opening.awaits_handshake => Want::Handshake,
            (State::Opening(_) | State::Quitting, _) => {
                line.flight.awaiting().map_or(Want::Nothing, Want::Reply)
            }
            (State::Ready | State::Refused(_), _) => Want::Nothing,
        }
    }

    /// How many replies have been taken: each one begins the next one's limit.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// What is to be written now; one write takes it all.
    pub fn output(&self) -> &[u8] {
        self.line.flight.output()
    }

    /// Notes that the first `length` octets of [`output`](Self::output) were written.
    pub fn wrote(&mut self, length: usize) {
        if length > 0 && !std::mem::replace(&mut self.is_in_flight, true) {
            self.flights += 1;
        }
        self.line.flight.wrote(length);
    }

    /// Takes what was read.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while self.line.health != Health::Broken {
            match self.parser.next(&mut bytes) {
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) => return self.check_handshake(),
                Err(error) => return self.on_breach(&format!("sent what is {error}")),
            }
        }
    }

    /// Takes the end of the connection, or of a step's time.
    pub fn lost(&mut self, loss: &Loss) {
        match &mut self.state {
            State::Opening(_) => {
                let step = self.line.flight.awaiting().unwrap_or(Step::StartTls);
                let failure = self.line.peer.lost(step, loss, Scope::Endpoint);
                self.refuse(step, failure);
                self.line.end();
            }
            _ => match self.transactions.front_mut() {
                Some(first) => first.on_loss(loss, &mut self.line),
                None => self.line.end(),
            },
        }
        self.settle();
    }

    /// Sends a block of content; only when [`want`](Self::want) says so.
    pub fn content(&mut self, block: &[u8]) {
        if let Some(first) = self.transactions.front_mut() {
            first.content(block, &mut self.line);
        }
    }

    /// Sends the end of the content.
    pub fn end_content(&mut self) {
        if let Some(first) = self.transactions.front_mut() {
            first.end_content(&mut self.line);
        }
    }

    /// Gives the content up, because we cannot read it: its recipients wait for `refusal`'s reason.
    pub fn abandon_content(&mut self, refusal: &Refusal) {
        if let Some(first) = self.transactions.front_mut() {
            first.abandon(refusal, &mut self.line);
        }
        self.settle();
    }

    /// Takes the result of the oldest transaction that is over; None while it is under way, or when none
    /// was begun.
    pub fn finished(&mut self) -> Option<Finished> {
        let mut finished = self.done.pop_front()?;
        // What came behind the last reply counts.
        finished.health = finished.health.max(self.line.health);
        finished.flights = std::mem::take(&mut self.flights);
        let is_last = self.done.is_empty() && self.transactions.is_empty();
        if is_last && finished.accepted && finished.health == Health::Broken {
            finished.limit_met = finished.limit_met.or(self.limit_met());
        }
        Some(finished)
    }

    /// What the session is good for now.
    pub fn health(&self) -> Health {
        self.line.health
    }

    /// Answers whether the result of a transaction is to be taken.
    pub fn has_result(&self) -> bool {
        !self.done.is_empty()
    }

    /// How many transactions are under way.
    pub fn under_way(&self) -> usize {
        self.transactions.len()
    }

    fn on_reply(&mut self, reply: Reply) {
        self.answers += 1;
        self.is_in_flight = false;
        if !self.line.flight.is_due() {
            return self.on_surprise(reply);
        }
        let Some(step) = self.line.flight.answered() else {
            return;
        };
        match &mut self.state {
            State::Opening(_) => self.on_opening_reply(step, &reply),
            _ => {
                if let Some(first) = self.transactions.front_mut() {
                    first.on_reply(step, &reply, &mut self.line);
                }
            }
        }
        self.settle();
    }

    /// Takes a reply that nothing asked for.
    fn on_surprise(&mut self, reply: Reply) {
        match (&self.state, self.transactions.front_mut()) {
            (State::Ready, Some(first)) if reply.code == 421 => {
                let step = first.step(&self.line);
                first.on_reply(step, &reply, &mut self.line);
                self.settle();
            }
            (State::Ready, Some(_)) | (State::Opening(_), _) => {
                self.on_breach(&format!("sent \"{reply}\" unasked"));
            }
            _ => {
                self.line.end();
                self.surprise.get_or_insert(reply);
            }
        }
    }

    fn on_breach(&mut self, what: &str) {
        match &mut self.state {
            State::Opening(_) => {
                let step = self.line.flight.awaiting().unwrap_or(Step::StartTls);
                let failure = self.line.peer.broke_protocol(step, what, Scope::Endpoint);
                self.refuse(step, failure);
            }
            _ => match self.transactions.front_mut() {
                Some(first) => first.on_breach(what, &mut self.line),
                None => self.is_babbling = true,
            },
        }
        self.line.end();
        self.settle();
    }

    /// Ends each transaction of which nothing more is to come.
    fn settle(&mut self) {
        if self.line.health == Health::Broken {
            for behind in self.transactions.iter_mut().skip(1) {
                behind.on_end_before(&mut self.line);
            }
        }
        while let Some(first) = self.transactions.pop_front_if(|first| first.is_over(&self.line)) {
            self.line.flight.forget(first.facts.group);
            let finished = first.finish(&self.line);
            self.finish(finished);
        }
    }

    fn finish(&mut self, finished: Finished) {
        self.needs_rset = !finished.accepted;
        self.has_accepted |= finished.accepted;
        let is_last = self
            .capabilities
            .limits
            .mail_max
            .is_some_and(|max| self.mails >= max);
        if is_last {
            self.line.wear();
        }
        let health = self.line.health;
        self.done.push_back(Finished { health, ..finished });
    }
}

#[cfg(test)]
mod tests;
