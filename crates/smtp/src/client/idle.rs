//! A session between transactions: idle, perhaps ended, and not yet proved alive in its next one.
//!
//! # Contract
//! * **An end after an accepted message may be a limit** of transactions, unless the server said something
//!   else; whether it is one is for `dispatch` to learn.
//! * **A session that has lain idle is left silently**, also if it was never used.

use remuda_mail::Domain;

use super::{Client, Health, State, Step, words};

impl Client {
    /// The session lies idle from now on: gives memory back that it does not need.
    pub fn rest(&mut self) {
        self.has_rested = true;
        self.line.flight.shrink();
    }

    /// Transactions after which the server has ended this session, which was idle, in a way that may be a
    /// limit of its. None if none was accepted, or if it said something else.
    pub fn limit_met(&self) -> Option<u32> {
        let may_be = match &self.surprise {
            Some(reply) => words::may_be_limit(reply),
            None => self.parser.is_empty() && !self.is_babbling,
        };
        (may_be && self.has_accepted).then_some(self.mails)
    }

    /// The recipient domains so far, where the server limits them.
    pub fn recipient_domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Answers whether a used session has yet to show that it is alive, and nothing would be lost if it is not.
    pub fn is_unproven(&self) -> bool {
        let first = self.transactions.front();
        first.is_some_and(|first| first.is_unproven(&self.line))
    }

    /// Says QUIT, if the server would understand it; then [`want`](Self::want) is its reply, else nothing.
    pub fn quit(&mut self) {
        if self.line.health == Health::Broken {
            return;
        }
        self.line.flight.clear();
        self.state = State::Quitting;
        self.line
            .flight
            .command(Step::Quit, |out| out.extend_from_slice(b"QUIT\r\n"));
        self.line.flight.release_all();
    }
}
