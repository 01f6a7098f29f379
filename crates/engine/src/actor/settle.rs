//! The end of a delivery: its outcomes are logged, reported and committed.
//!
//! # Contract
//! * **Reports are stored in the same commit as the outcomes they report**, so that a crash neither
//!   loses nor repeats one.
//! * **Every settlement is answered**, also when composing its report panics: then the bounced recipients
//!   wait, since nobody could be told.
//! * **An entry stays in memory until its settlement is committed**, so that no load brings it back.

use std::{sync::Arc, time::Duration};

use remuda_clock::Now;
use remuda_dispatch::{command::Rest, event::Event, search::Search};
use remuda_mail::{DeliveryId, EntryId, Outcome};
use remuda_spool::{Attempt, Pending, Queued, Settled, Settlement};

use super::{
    Actor, Input, considered,
    delivery::{Decided, Delivery},
    entries::describe,
    in_background, notices,
    reconsider::{Concluding, Redirected, all_that_go},
};
use crate::{log, reporting, session::guard::guarded};

impl Actor {
    pub(super) fn settle(&mut self, id: DeliveryId, entry: EntryId, how: (Rest, Search), now: Now) {
        let (rest, search) = how;
        if self.delivery(id, entry).is_none() {
            return;
        }
        let Some(delivery) = self.deliveries.remove(&id) else {
            return;
        };
        let (queued, loaded) = (delivery.entry.clone(), delivery.loaded);
        let is_attempt = !delivery.is_unasked();
        let decided = delivery.finish(&rest);
        let due = match rest {
            Rest::Defer { until, .. } => until,
            Rest::Nobody | Rest::Bounce { .. } => now.wall,
        };
        let concluding = Concluding {
            delivery: id,
            queued,
            loaded,
            decided,
            due,
            search,
            is_attempt,
            redirected: Vec::new(),
        };
        if self.is_to_be_reconsidered(&concluding) {
            return self.reconsider(concluding, now);
        }
        self.conclude(concluding, now);
    }

    /// Logs and commits a delivery's outcomes.
    pub(super) fn conclude(&mut self, concluding: Concluding, now: Now) {
        let Concluding {
            delivery,
            queued,
            loaded,
            decided,
            due,
            search,
            is_attempt,
            redirected,
        } = concluding;
        self.log_outcomes(&queued, &decided, &search, (loaded, now));
        let attempt = attempt(&decided, &search, now).filter(|_| is_attempt);
        let work = settlement(&queued, decided, due, attempt);
        self.commit((delivery, queued, redirected), work, now);
    }

    /// Ends an entry that no delivery carries: every recipient bounces because its time is up.
    pub(super) fn expire(&mut self, queued: Arc<Queued>, now: Now) {
        let delivery = Delivery::new(queued.clone(), now);
        let decided = delivery.finish(&Rest::Bounce {
            refusal: None,
            expired: true,
        });
        self.log_outcomes(&queued, &decided, &Search::default(), (now, now));
        let work = settlement(&queued, decided, now.wall, None);
        self.notices.expires(queued.id);
        let (reporter, spool, entry) = (self.reporter(), self.around.spool.clone(), queued.clone());
        let work = async move {
            let recorded = commit(reporter, spool, &entry, work, now).await;
            notices::done(entry, true, recorded)
        };
        in_background(&self.inputs, work, move || notices::done(queued, true, None));
    }

    /// `when`: the entry came into memory, and ends.
    fn log_outcomes(&self, queued: &Queued, decided: &[Decided], search: &Search, when: (Now, Now)) {
        let (loaded, now) = when;
        let sender = queued.envelope.sender.as_str();
        let subject = log::Subject {
            id: queued.message,
            sender,
            arrived: queued.arrived,
            loaded,
            now,
            search,
        };
        for (pending, decided) in queued.recipients.iter().zip(decided) {
            log::delivery(&subject, decided);
            self.around
                .metrics
                .delivery(&decided.outcome, now.wall.since(queued.arrived));
            // Each recipient counts once, with the attempt whose reply was lost.
            if decided.may_be_duplicate && !pending.may_be_duplicate {
                self.around.metrics.possible_duplicate(&decided.outcome);
            }
        }
    }

    fn commit(&mut self, ended: (DeliveryId, Arc<Queued>, Redirected), work: Work, now: Now) {
        let (delivery, queued, redirected) = ended;
        self.settling.insert(queued.id);
        let (reporter, spool, entry) = (self.reporter(), self.around.spool.clone(), queued.clone());
        let work = async move {
            let recorded = commit(reporter, spool, &entry, work, now).await;
            Input::Settled(Ended {
                delivery,
                entry,
                recorded,
                redirected,
            })
        };
        in_background(&self.inputs, work, move || {
            Input::Settled(Ended {
                delivery,
                entry: queued,
                recorded: None,
                redirected: Vec::new(),
            })
        });
    }

    /// A settlement is committed.
    pub(super) fn settled(&mut self, ended: Ended, now: Now) {
        let Ended {
            delivery,
            entry,
            recorded,
            redirected,
        } = ended;
        self.settling.remove(&entry.id);
        self.entries.leave(entry.id, &entry.destination);
        if recorded.is_none() {
            self.unrecorded.insert(entry.id);
        }
        let (mut left, reports) = recorded.unwrap_or_default();
        if let Some(old) = left.take_if(|_| !redirected.is_empty()) {
            // Out of the count until it has moved.
            let to = all_that_go(&old, &redirected);
            self.reroute(vec![(old, to)], true, None);
        } else if left.is_none() {
            self.changes.ended(entry.id);
        }
        let described = left.as_ref().map(describe);
        let event = Event::Settled {
            delivery,
            left: described,
        };
        self.handle(event, now);
        self.notice_after(entry.id, left, now);
        self.accepted(reports, now);
    }
}

/// A settlement on its way: what is to be committed, and what is to be reported with it.
struct Work {
    settlement: Settlement,
    settled: Vec<Settled>,
}

/// A settlement that is committed.
pub struct Ended {
    /// Whose.
    pub delivery: DeliveryId,
    /// The entry as it was.
    pub entry: Arc<Queued>,
    /// What was recorded, if anything.
    pub recorded: Option<Recorded>,
    /// Who of those that are left goes elsewhere.
    pub redirected: Redirected,
}

/// What is left of an entry, None if it is done, and the reports stored with its settlement.
pub type Recorded = (Option<Queued>, Vec<Queued>);

/// When recipients are tried again whose bounce could not be composed.
const UNREPORTED_PAUSE: Duration = Duration::from_secs(3600);

/// Composes what is to be reported and commits all of it. The spool keeps a settlement and tries until
/// the disk takes it; an error means that the process is ending, or a defect: then the delivery is repeated
/// after the next start, and not before, lest it be repeated for ever.
async fn commit(
    reporter: reporting::Reporter,
    spool: remuda_spool::Spool,
    queued: &Queued,
    work: Work,
    now: Now,
) -> Option<Recorded> {
    let Work {
        mut settlement,
        settled,
    } = work;
    match guarded(reporter.compose(queued, &settled, reporting::Occasion::Settled)).await {
        Ok(reports) => settlement.reports = reports,
        Err(panicked) => {
            tracing::error!(id = %queued.message, ?panicked, "composing a report panicked; this is a defect");
            keep_unreported(&mut settlement, settled, now);
        }
    }
    let left = left(queued, &settlement);
    match spool.settle(settlement).await {
        Ok(reports) => Some((left, reports)),
        Err(error) => {
            tracing::error!(id = %queued.message, %error, "outcomes not recorded; the delivery will be repeated");
            None
        }
    }
}

/// Nobody who was to be told of a bounce loses it: its recipients wait.
fn keep_unreported(settlement: &mut Settlement, settled: Vec<Settled>, now: Now) {
    let due = now.wall + UNREPORTED_PAUSE;
    for Settled {
        recipient,
        outcome,
        may_be_duplicate,
    } in settled
    {
        if let Outcome::Bounced(refusal) = outcome {
            settlement.due = settlement.due.max(due);
            settlement.left.push(Pending {
                recipient,
                last: Some(refusal),
                may_be_duplicate,
            });
        }
    }
}

fn settlement(
    queued: &Queued,
    decided: Vec<Decided>,
    due: remuda_clock::Wall,
    attempt: Option<Attempt>,
) -> Work {
    let mut left = Vec::new();
    let mut settled = Vec::new();
    for Decided {
        recipient,
        outcome,
        may_be_duplicate,
        via: _,
    } in decided
    {
        match outcome {
            Outcome::Deferred(refusal) => left.push(Pending {
                recipient,
                last: Some(refusal),
                may_be_duplicate,
            }),
            outcome => settled.push(Settled {
                recipient,
                outcome,
                may_be_duplicate,
            }),
        }
    }
    let settlement = Settlement {
        entry: queued.id,
        message: queued.message,
        left,
        due,
        attempt,
        reports: Vec::new(),
    };
    Work { settlement, settled }
}

/// The entry as it waits after this settlement.
fn left(queued: &Queued, settlement: &Settlement) -> Option<Queued> {
    if settlement.left.is_empty() {
        return None;
    }
    Some(Queued {
        recipients: settlement.left.clone(),
        due: settlement.due,
        attempts: queued.attempts + u32::from(settlement.attempt.is_some()),
        ..queued.clone()
    })
}

/// The attempt in words, for `queue show`: kept only where something is left to show it for.
fn attempt(decided: &[Decided], search: &Search, now: Now) -> Option<Attempt> {
    let deferred = decided.iter().find_map(|decided| match &decided.outcome {
        Outcome::Deferred(refusal) => Some((decided, refusal)),
        _ => None,
    })?;
    Some(Attempt {
        at: now.wall.0,
        relay: deferred.0.relay().unwrap_or("none").to_owned(),
        result: format!("{}: {}", deferred.1.status, deferred.1.words()),
        considered: considered::in_words(search),
        considered_more: search.left_out(),
    })
}

#[cfg(test)]
mod tests {
    use remuda_mail::{EnhancedStatus, Receipt, Refusal, Reply};

    use super::*;
    use crate::actor::fixture;

    #[test]
    fn who_could_not_be_told_of_a_bounce_waits() {
        let queued = fixture::queued(2);
        let refusal = Refusal::ours(EnhancedStatus::new(5, 1, 1), "no such user");
        let receipt = Receipt {
            reply: Reply {
                code: 250,
                enhanced: None,
                text: "ok".into(),
            },
            relay: "mx".into(),
            passed_dsn: false,
        };
        let outcomes = [Outcome::Delivered(receipt), Outcome::Bounced(refusal.clone())];
        let decided = queued.recipients.iter().zip(outcomes);
        let decided = decided.map(|(pending, outcome)| Decided {
            recipient: pending.recipient.clone(),
            outcome,
            via: None,
            may_be_duplicate: true,
        });
        let now = Now::default();
        let Work {
            mut settlement,
            settled,
        } = settlement(&queued, decided.collect(), now.wall, None);
        assert!(settlement.left.is_empty());
        keep_unreported(&mut settlement, settled, now);
        assert_eq!(settlement.left.len(), 1);
        assert_eq!(settlement.left[0].recipient, queued.recipients[1].recipient);
        assert_eq!(settlement.left[0].last, Some(refusal));
        assert!(settlement.left[0].may_be_duplicate);
        assert_eq!(settlement.due, now.wall + UNREPORTED_PAUSE);
    }
}
