//! The end of a delivery: its outcomes are logged, reported and committed.
//!
//! # Contract
//! * **Reports are stored in the same commit as the outcomes they report**, so that a crash neither
//!   loses nor repeats one.
//! * **An entry stays in memory until its settlement is committed**, so that no load brings it back.

use std::sync::Arc;

use remuda_clock::Now;
use remuda_dispatch::{command::Rest, event::Event};
use remuda_mail::{DeliveryId, EntryId, Outcome};
use remuda_spool::{Attempt, Pending, Queued, Settled, Settlement};

use super::{
    Actor, Input,
    delivery::{Decided, Delivery},
    entries::describe,
};
use crate::{log, reporting};

impl Actor {
    pub(super) fn settle(&mut self, id: DeliveryId, entry: EntryId, rest: Rest, now: Now) {
        if self.delivery(id, entry).is_none() {
            return;
        }
        let Some(delivery) = self.deliveries.remove(&id) else {
            return;
        };
        let (queued, loaded) = (delivery.entry.clone(), delivery.loaded);
        let decided = delivery.finish(&rest);
        self.log_outcomes(&queued, loaded, &decided, now);
        let due = match rest {
            Rest::Defer { until, .. } => until,
            Rest::Nobody | Rest::Bounce { .. } => now.wall,
        };
        let attempt = attempt(&decided, now);
        let work = settlement(&queued, decided, due, attempt);
        let left = left(&queued, &work.settlement);
        self.commit(id, queued, work, left);
    }

    /// Ends an entry that no delivery carries: every recipient bounces because its time is up.
    pub(super) fn expire(&mut self, queued: &Arc<Queued>, now: Now) {
        let delivery = Delivery::new(queued.clone(), now);
        let decided = delivery.finish(&Rest::Bounce {
            refusal: None,
            expired: true,
        });
        self.log_outcomes(queued, now, &decided, now);
        let work = settlement(queued, decided, now.wall, None);
        let (entry, destination) = (queued.id, queued.destination.clone());
        self.settling.insert(entry);
        let reporter = self.reporter();
        let (spool, queued, inputs) = (self.around.spool.clone(), queued.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let reports = commit(reporter, spool, &queued, work).await;
            let _ = inputs.send(Input::NoticeSettled(entry, destination, true, reports));
        });
    }

    fn log_outcomes(&self, queued: &Queued, loaded: Now, decided: &[Decided], now: Now) {
        let sender = queued.envelope.sender.as_str();
        let subject = log::Subject {
            id: queued.message,
            sender,
            arrived: queued.arrived,
            loaded,
            now,
        };
        for decided in decided {
            log::delivery(&subject, decided);
            self.around
                .metrics
                .delivery(&decided.outcome, now.wall.since(queued.arrived));
        }
    }

    fn commit(&mut self, id: DeliveryId, queued: Arc<Queued>, work: Work, left: Option<Queued>) {
        self.settling.insert(queued.id);
        let (reporter, spool, inputs) = (self.reporter(), self.around.spool.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let reports = commit(reporter, spool, &queued, work).await;
            let _ = inputs.send(Input::Settled(Ended {
                delivery: id,
                entry: queued,
                left,
                reports,
            }));
        });
    }

    /// A settlement is committed.
    pub(super) fn settled(&mut self, ended: Ended, now: Now) {
        let Ended {
            delivery,
            entry,
            left,
            reports,
        } = ended;
        self.settling.remove(&entry.id);
        self.entries.leave(entry.id, &entry.destination);
        let left = left.map(|queued| describe(&queued));
        self.handle(Event::Settled { delivery, left }, now);
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
    /// What is left of it; None = it is done.
    pub left: Option<Queued>,
    /// The reports stored with it.
    pub reports: Vec<Queued>,
}

/// Composes what is to be reported and commits all of it. The spool keeps a settlement and tries until
/// the disk takes it; an error means that the process is ending, and the attempt will be repeated.
async fn commit(
    reporter: reporting::Reporter,
    spool: remuda_spool::Spool,
    queued: &Queued,
    work: Work,
) -> Vec<Queued> {
    let Work {
        mut settlement,
        settled,
    } = work;
    settlement.reports = reporter
        .compose(queued, &settled, reporting::Occasion::Settled)
        .await;
    match spool.settle(settlement).await {
        Ok(reports) => reports,
        Err(error) => {
            tracing::error!(id = %queued.message, %error, "outcomes not recorded; the delivery will be repeated");
            Vec::new()
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
        recipient, outcome, ..
    } in decided
    {
        match outcome {
            Outcome::Deferred(refusal) => left.push(Pending {
                recipient,
                last: Some(refusal),
            }),
            outcome => settled.push(Settled { recipient, outcome }),
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
        attempts: queued.attempts + 1,
        ..queued.clone()
    })
}

/// The attempt in words, for `queue show`: kept only where something is left to show it for.
fn attempt(decided: &[Decided], now: Now) -> Option<Attempt> {
    let deferred = decided.iter().find_map(|decided| match &decided.outcome {
        Outcome::Deferred(refusal) => Some((decided, refusal)),
        _ => None,
    })?;
    Some(Attempt {
        at: now.wall.0,
        relay: deferred.0.relay().unwrap_or("none").to_owned(),
        result: format!("{}: {}", deferred.1.status, deferred.1.words()),
    })
}
