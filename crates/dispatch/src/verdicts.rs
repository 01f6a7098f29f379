//! What a transaction's answer means for its delivery: how it goes on, and on whose account.
//!
//! # Contract
//! * **What a session and not the host has failed is tried again at once**, where `retries` allows it.
//! * **One that is withdrawn goes no further** than the transaction at hand.

use remuda_mail::{DeliveryId, Endpoint, EnhancedStatus, Refusal, Scope};
use remuda_schedule::Feedback;

use crate::{
    Dispatch,
    answers::is_of_the_host,
    deliveries::Delivery,
    event::{Answer, Undecided},
};

/// How a delivery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the undecided, on this host.
    SameHost,
    /// As if this session had not been.
    Again,
    /// As `Again`, and only with this host.
    AgainHere,
    /// With all that are left.
    Elsewhere,
    /// Nobody is left.
    Done,
}

impl Delivery {
    pub(crate) fn judge(&mut self, answer: &Answer, is_fresh: bool) -> Next {
        let has_progressed = answer.finished + answer.deferred > 0;
        if has_progressed {
            self.starts_anew();
        }
        if answer.undecided == 0 {
            return self.judge_decided(&answer.cause);
        }
        if let Some(next) = self.retry_at_once(&answer.cause, is_fresh) {
            return next;
        }
        match &answer.cause {
            Undecided::NextTransaction if has_progressed => {
                self.is_served = true;
                Next::SameHost
            }
            Undecided::Failed(failure) | Undecided::Limited(failure) => {
                self.is_site_failing |= is_of_the_host(failure);
                if failure.scope == Scope::Destination {
                    self.itinerary.strike_all();
                }
                self.note_failure(failure.clone());
                Next::Elsewhere
            }
            Undecided::Unsent | Undecided::LostEarly => {
                self.is_site_failing = true;
                self.refusal = Some(lost());
                Next::Elsewhere
            }
            Undecided::PerhapsAccepted => {
                self.itinerary.strike_all();
                Next::Elsewhere
            }
            Undecided::NextTransaction | Undecided::NoRoom | Undecided::Unasked => {
                self.refusal = Some(stuck());
                Next::Elsewhere
            }
        }
    }

    /// The host has decided on everybody.
    fn judge_decided(&mut self, cause: &Undecided) -> Next {
        self.is_served = true;
        if *cause == Undecided::PerhapsAccepted {
            self.itinerary.strike_all();
        }
        if self.unfinished == 0 {
            Next::Done
        } else {
            Next::Elsewhere
        }
    }

    /// Takes the direction decided on; one that is withdrawn goes no further than this transaction.
    pub(crate) fn turn_to(&mut self, next: Next, endpoint: Endpoint) -> Next {
        if self.is_withdrawn && next != Next::Done {
            self.leave_host(endpoint);
            self.itinerary.strike_all();
            return Next::Elsewhere;
        }
        match next {
            Next::Done | Next::Again => {}
            Next::SameHost => {
                self.is_next_host = false;
                self.at = Some(endpoint);
            }
            Next::AgainHere => self.at = Some(endpoint),
            Next::Elsewhere => self.leave_host(endpoint),
        }
        next
    }

    /// The first session that did not fail as a host may be filed under the destination, and no later one.
    pub(crate) fn use_binding_right(&mut self, answer: &Answer) -> bool {
        let is_failing = answer.undecided > 0
            && match &answer.cause {
                Undecided::NextTransaction | Undecided::PerhapsAccepted | Undecided::Unasked => false,
                Undecided::Unsent | Undecided::LostEarly | Undecided::Limited(_) | Undecided::NoRoom => true,
                Undecided::Failed(failure) => is_of_the_host(failure),
            };
        if is_failing {
            return false;
        }
        std::mem::take(&mut self.may_bind)
    }
}

impl Dispatch {
    /// Tells the schedule how the destination did, and takes out of memory what may not be tried any more.
    pub(crate) fn learn(&mut self, id: DeliveryId, feedback: Feedback) {
        let Some(delivery) = self.deliveries.get(&id) else {
            return;
        };
        let destination = delivery.entry.destination.clone();
        let is_barred = delivery.is_barred;
        if matches!(feedback, Feedback::Negative(_)) && self.sleep_if_known_dead(&destination) {
            return;
        }
        let feedback = match feedback {
            // Some host of it may still be used.
            Feedback::Negative(_) if !is_barred => Feedback::Failing,
            other => other,
        };
        let unloaded = self.schedule.feedback(&destination, feedback);
        self.unload(unloaded);
        if self.schedule.is_suspended(&destination) {
            self.abandon_starved(&destination);
        }
    }
}

fn lost() -> Refusal {
    Refusal::ours(
        EnhancedStatus::new(4, 4, 2),
        "lost connection before any reply, twice",
    )
}

fn stuck() -> Refusal {
    Refusal::ours(
        EnhancedStatus::new(4, 5, 0),
        "the host took none of the recipients that were left",
    )
}
