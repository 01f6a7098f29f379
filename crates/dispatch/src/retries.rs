//! What a delivery may try again at once, because a session and not the host has failed it.
//!
//! | the session | again |
//! |---|---|
//! | was dead or full before the first octet | on any other, silently, up to [`FOUND_DEAD_MAX`] of them |
//! | ended without a reply, or had met a limit | once, with this host, on one that has carried nothing yet |
//! | ended right behind the content | likewise, and once a delivery: it may have been accepted (T35) |
//!
//! # Contract
//! * **What is tried again at once is no attempt**: no host is struck off, and nobody is blamed.

use crate::{deliveries::Delivery, event::Undecided, verdicts::Next};

impl Delivery {
    /// How it goes on if it may try again at once; None: the session's failure is the host's.
    pub(crate) fn retry_at_once(&mut self, cause: &Undecided, is_fresh: bool) -> Option<Next> {
        match cause {
            // One that is fresh was alive when it had answered its dial: it was not the cache that
            // deceived us.
            Undecided::Unsent | Undecided::NoRoom if !is_fresh => {
                self.found_dead += 1;
                self.wants_fresh |= self.found_dead >= FOUND_DEAD_MAX;
                Some(Next::Again)
            }
            Undecided::Unsent | Undecided::LostEarly | Undecided::Limited(_) if !self.is_resent => {
                self.is_resent = true;
                self.wants_fresh = true;
                Some(Next::AgainHere)
            }
            Undecided::PerhapsAccepted if !self.is_repeated => {
                self.is_repeated = true;
                self.wants_fresh = true;
                // Only they: those that the host deferred have their answer from it.
                self.is_next_host = false;
                Some(Next::AgainHere)
            }
            _ => None,
        }
    }
}

/// Sessions that one delivery may find dead before it takes none from the cache any more.
const FOUND_DEAD_MAX: u32 = 20;
