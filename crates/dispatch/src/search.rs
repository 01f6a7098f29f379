//! What a delivery considered on its way to a session, for `queue show` and for the log: a short record, in order.
//!
//! # Contract
//! * **The same is not said twice**: a delivery that looks again, because it still waits, adds nothing new.
//! * **What was done is kept beside what was looked at**: many refused candidates do not push out the dial.
//!
//! # Limits
//! [`REFUSED_MAX`] candidates and as many deeds a delivery; more are counted.

use remuda_connection_cache::{REFUSED_MAX, Refused, Unfit};
use remuda_mail::{Endpoint, SessionId};

use crate::{choice::Choice, command::Found};

/// The record of one delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    steps: Vec<Considered>,
    looked_at: usize,
    left_out: u32,
}

/// Where a candidate came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Parked, at an endpoint that lately served the destination.
    Destination,
    /// Parked, at one of the destination's best endpoints.
    Address,
    /// Freed by another delivery while this one waited.
    Freed,
}

/// One thing that was considered or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Considered {
    /// Caching is off for the destination: nothing was looked at.
    Off,
    /// Nothing was parked there (by destination: at none of its endpoints).
    NoneParked(By, Option<Endpoint>),
    /// A session was not fit.
    Unfit(By, SessionId, Endpoint, Unfit),
    /// The endpoint, or the server in all (None), had as many sessions as allowed.
    Full(Option<Endpoint>),
    /// A session was dialled for it, there for this reason.
    Dialled(SessionId, Endpoint, Choice),
    /// A dial under way that nobody waited for is waited for.
    Joined(SessionId, Endpoint),
    /// The dial that it waited for failed.
    DialFailed(SessionId, Endpoint),
    /// A session was taken.
    Taken(SessionId, Endpoint, Found),
    /// The session taken was dead; nothing had been sent.
    Dead(SessionId, Endpoint),
}

impl Search {
    /// Adds what is new.
    pub(crate) fn note(&mut self, step: Considered) {
        let is_repeated = match step {
            // Two takings of one session are two transactions.
            Considered::Taken(..) | Considered::Dead(..) => self.steps.last() == Some(&step),
            _ => self.steps.contains(&step),
        };
        if is_repeated {
            return;
        }
        let is_candidate = matches!(step, Considered::NoneParked(..) | Considered::Unfit(..));
        let (so_far, max) = match is_candidate {
            true => (self.looked_at, LOOKED_AT_MAX),
            false => (self.steps.len() - self.looked_at, LOOKED_AT_MAX),
        };
        if so_far >= max {
            self.left_out += 1;
            return;
        }
        self.looked_at += usize::from(is_candidate);
        self.steps.push(step);
    }

    /// Adds what a look-up found out: the sessions it refused, or that there was none.
    pub(crate) fn note_look_up(&mut self, by: By, at: Option<Endpoint>, refused: &Refused, is_found: bool) {
        for (session, endpoint, reason) in &refused.sessions {
            self.note(Considered::Unfit(by, *session, *endpoint, *reason));
        }
        self.left_out += refused.more;
        if refused.sessions.is_empty() && !is_found {
            self.note(Considered::NoneParked(by, at));
        }
    }

    /// What was considered and done, in order.
    pub fn steps(&self) -> &[Considered] {
        &self.steps
    }

    /// What `cache=` says of recipients for whom no session was got: off, or that none fitted. None when none was
    /// looked for.
    pub fn found_nothing(&self) -> Option<Found> {
        match self.steps.contains(&Considered::Off) {
            true => Some(Found::Off),
            false => (!self.steps.is_empty()).then_some(Found::Miss),
        }
    }

    /// Why the last session at hand was not taken.
    pub fn unfit(&self) -> Option<Unfit> {
        self.steps.iter().rev().find_map(|step| match step {
            Considered::Unfit(_, _, _, reason) => Some(*reason),
            _ => None,
        })
    }

    /// Why the last endpoint was dialled.
    pub fn choice(&self) -> Option<Choice> {
        self.steps.iter().rev().find_map(|step| match step {
            Considered::Dialled(_, _, choice) => Some(*choice),
            _ => None,
        })
    }

    /// How much more there was.
    pub fn left_out(&self) -> u32 {
        self.left_out
    }
}

/// Candidates of a delivery that are named.
const LOOKED_AT_MAX: usize = REFUSED_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: u8) -> Endpoint {
        Endpoint::Tcp(std::net::SocketAddr::from(([192, 0, 2, n], 25)))
    }

    #[test]
    fn the_same_is_not_said_twice() {
        let mut search = Search::default();
        for _ in 0..3 {
            search.note_look_up(By::Destination, None, &Refused::default(), false);
            search.note(Considered::Full(None));
        }
        assert_eq!(
            search.steps(),
            [
                Considered::NoneParked(By::Destination, None),
                Considered::Full(None)
            ]
        );
        assert_eq!(search.left_out(), 0);
    }

    #[test]
    fn what_found_nothing_says_so_only_if_it_looked() {
        let mut search = Search::default();
        assert_eq!((search.found_nothing(), search.unfit()), (None, None));
        for reason in [Unfit::Size, Unfit::Credentials] {
            search.note(Considered::Unfit(By::Address, SessionId(1), endpoint(1), reason));
        }
        search.note(Considered::DialFailed(SessionId(2), endpoint(1)));
        assert_eq!(search.found_nothing(), Some(Found::Miss));
        assert_eq!(search.unfit(), Some(Unfit::Credentials));
        search.note(Considered::Off);
        assert_eq!(search.found_nothing(), Some(Found::Off));
    }

    #[test]
    fn many_candidates_do_not_push_out_the_dial() {
        let mut search = Search::default();
        for id in 0..20 {
            search.note(Considered::Unfit(
                By::Address,
                SessionId(id),
                endpoint(1),
                Unfit::Size,
            ));
        }
        search.note(Considered::Dialled(SessionId(30), endpoint(1), Choice::Only));
        assert_eq!(search.steps().len(), LOOKED_AT_MAX + 1);
        assert_eq!(search.left_out(), 12);
        assert_eq!(
            search.steps().last(),
            Some(&Considered::Dialled(SessionId(30), endpoint(1), Choice::Only))
        );
    }
}
