//! What reaches the actor besides the sessions' reports, and what it makes of each.

use std::sync::Arc;

use remuda_clock::{Now, Wall};
use remuda_dispatch::event::{After, Answer, Conduct, Death, Event, Resolution, Undecided, Unresolved};
use remuda_mail::{DeliveryId, Destination, SessionId};
use remuda_spool::{Heads, Notices, Queued};
use tokio::sync::oneshot;

use super::{
    Actor, Plan,
    entries::Came,
    headings::Found,
    moving::Moved,
    notices::Done,
    reconsider::Concluding,
    settle::Ended,
    taught::{self, Lesson},
};
use crate::{
    addressing::Heading,
    local::Delivered,
    session::order::{Report, Transacted},
};

/// A question or an order that runs inside the actor.
pub type Call = Box<dyn FnOnce(&mut Actor, Now) + Send>;

/// Everything that the actor is told.
pub enum Input {
    /// Committed by `receive`.
    Accepted(Vec<Queued>),
    /// The spool answered a load; None when it failed.
    Loaded(Destination, Option<Heads>),
    /// DNS answered.
    Resolved(Destination, Result<Resolution, Unresolved>),
    /// Maildirs took a delivery's open recipients, or not.
    DeliveredLocally(DeliveryId, Delivered),
    /// A settlement is committed.
    Settled(Ended),
    /// The spool answered what notices are due; None when it failed.
    Noticed(Option<Notices>),
    /// What a notice called for is committed, or not.
    NoticeSettled(Done),
    /// A reload.
    Replanned(Arc<Plan>),
    /// Mail has followed its route, or could not.
    Moved(Box<Moved>),
    /// What the directory says of doubtful entries.
    Headed(Found),
    /// The directory has changed, or answers again; told when that is taken in.
    DirectoryChanged(oneshot::Sender<()>),
    /// Recipients that were to bounce have been looked at once more.
    Reconsidered(Box<Concluding>),
    /// Admin.
    Call(Call),
    /// Finish what is in hand, tell when done.
    Stop(oneshot::Sender<()>),
}

impl Actor {
    pub(super) fn take_in(&mut self, input: Input) {
        let now = self.around.clock.now();
        match input {
            Input::Accepted(entries) => self.accepted(entries, now),
            Input::Loaded(destination, heads) => self.loaded(destination, heads, now),
            Input::Resolved(destination, answer) => self.handle(Event::Resolved { destination, answer }, now),
            Input::DeliveredLocally(delivery, delivered) => self.delivered_locally(delivery, delivered, now),
            Input::Settled(ended) => self.settled(ended, now),
            Input::Noticed(notices) => self.noticed(notices, now),
            Input::NoticeSettled(done) => self.notice_settled(done, now),
            Input::Replanned(plan) => self.replanned(plan, now),
            Input::Moved(moved) => self.moved(*moved, now),
            Input::Headed(found) => self.headed(found, now),
            Input::DirectoryChanged(taken_in) => {
                self.directory_changed(now);
                // Who told it may have ended with the engine.
                let _ = taken_in.send(());
            }
            Input::Reconsidered(concluding) => self.conclude(*concluding, now),
            Input::Call(call) => call(self, now),
            Input::Stop(told) => {
                self.stopping = Some(told);
                self.notices.stop();
                self.handle(Event::Stopping, now);
            }
        }
    }

    /// New entries, after their commit.
    pub(super) fn accepted(&mut self, entries: Vec<Queued>, now: Now) {
        for queued in entries {
            if self.entries.was_overtaken(queued.id) {
                // Its settlement has ended a count that never began.
                self.count(queued.destination, Wall::NEVER, 1, now);
                continue;
            }
            match self.heading_at_once(&queued) {
                // It came while its route changed.
                Some(Heading::Elsewhere(to)) => self.reroute(vec![(queued, to)], true, None),
                heading => {
                    let entry = self.take_entry(queued, Came::Accepted, heading, now);
                    self.handle(Event::Accepted(entry), now);
                }
            }
        }
    }

    fn delivered_locally(&mut self, id: DeliveryId, delivered: Delivered, now: Now) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let outcomes = &delivered.outcomes;
        let finished = outcomes.iter().filter(|outcome| outcome.is_final()).count() as u32;
        let deferred = outcomes.len() as u32 - finished;
        delivery.decided_locally(delivered, now);
        let answer = Answer {
            finished,
            deferred,
            undecided: 0,
            cause: match delivery.is_unasked() {
                true => Undecided::Unasked,
                false => Undecided::NextTransaction,
            },
            begun: true,
            death: None,
            accepted: finished > 0,
            waited: std::time::Duration::ZERO,
            conduct: Conduct::default(),
            session: After::Gone,
            limit_met: None,
        };
        self.handle(
            Event::Answered {
                session: None,
                delivery: id,
                answer,
            },
            now,
        );
    }

    pub(super) fn session_reports(&mut self, session: SessionId, report: Report) {
        let now = self.around.clock.now();
        match report {
            Report::Opened(facts) => {
                let tls = facts.tls.protocol();
                self.around.metrics.connection_opened(tls);
                if let Some(known) = self.sessions.get_mut(&session) {
                    known.tls = tls;
                    known.is_open = true;
                }
                self.handle(
                    Event::Opened {
                        session,
                        facts: *facts,
                    },
                    now,
                );
            }
            Report::Connected => self.handle(Event::Connected { session }, now),
            Report::DialFailed { step, failure } => {
                self.sessions.remove(&session);
                self.handle(
                    Event::DialFailed {
                        session,
                        step,
                        failure: *failure,
                    },
                    now,
                );
            }
            Report::Transacted(answer) => self.transacted(session, *answer, now),
            Report::Died { cause, limit_met } => self.parked_died(session, cause, limit_met, now),
            Report::Ended => {
                self.sessions.remove(&session);
                self.handle(Event::Ended { session }, now);
            }
        }
    }

    fn parked_died(&mut self, session: SessionId, cause: Death, limit_met: Option<u32>, now: Now) {
        tracing::debug!(%session, cause = cause.as_str(), "parked session died");
        let known = self.sessions.remove(&session);
        let lesson = limit_met.and(known).map(|known| Lesson {
            way: known.way,
            met: taught::in_words(None, Some(cause)),
        });
        let event = Event::Died {
            session,
            cause,
            limit_met,
        };
        self.handle_lesson(lesson, event, now);
    }

    fn transacted(&mut self, session: SessionId, answer: Transacted, now: Now) {
        let known = self.sessions.get(&session);
        let dialled = known.map(|known| known.dialled);
        let lesson = answer.limit_met.and(known).map(|known| Lesson {
            way: known.way,
            met: taught::in_words(Some(&answer.cause), answer.death),
        });
        if answer.session == After::Gone {
            self.sessions.remove(&session);
        }
        self.around.metrics.transaction(&answer);
        self.around.metrics.flights(u64::from(answer.flights));
        if answer.accepted_after_refusal {
            let relay = &answer.relay;
            tracing::error!(%relay, "took content after it had refused MAIL; the session was ended");
        }
        let (mut ahead, mut is_unasked) = (0, false);
        if let Some(delivery) = self.deliveries.get_mut(&answer.delivery) {
            delivery.tls = answer.tls;
            delivery.answered(&answer, dialled.filter(|_| answer.uses == 1), now);
            ahead = delivery.ahead();
            is_unasked = ahead == 0 && delivery.is_unasked();
        }
        let id = answer.delivery;
        let mut summary = summary(answer, ahead);
        if is_unasked && summary.cause == Undecided::NextTransaction {
            summary.cause = Undecided::Unasked;
        }
        let event = Event::Answered {
            session: Some(session),
            delivery: id,
            answer: summary,
        };
        self.handle_lesson(lesson, event, now);
    }
}

/// What `dispatch` needs of a transaction's answer; `ahead`: recipients that are still to be named.
fn summary(answer: Transacted, ahead: usize) -> Answer {
    let decided = answer.outcomes.iter().flatten();
    let (finished, deferred): (Vec<_>, Vec<_>) = decided.partition(|outcome| outcome.is_final());
    // After a lost final reply nobody is tried any more, also of those who come after, unless the message
    // may be sent again at once.
    let (undecided, again, cause) = match (answer.may_be_duplicate, answer.may_resend) {
        (true, true) => (ahead, answer.unknown.len(), Undecided::PerhapsAccepted),
        (true, false) => (0, 0, Undecided::PerhapsAccepted),
        (false, _) => (ahead, 0, answer.cause),
    };
    Answer {
        finished: finished.len() as u32,
        deferred: (deferred.len() - again) as u32,
        undecided: undecided as u32,
        cause,
        begun: answer.begun,
        death: answer.death,
        accepted: answer.accepted,
        waited: answer.waited,
        conduct: answer.conduct,
        session: answer.session,
        limit_met: answer.limit_met,
    }
}
