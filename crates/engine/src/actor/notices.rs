//! Notices: entries whose time has come though nothing is tried, for a delay warning or to give up.
//!
//! Expiry must hold in every state: also while a destination is suspended or an entry waits for an hour.
//! Each entry has a notice time in the spool; one task sleeps until the earliest.
//!
//! # Contract
//! * **An entry past its expiry is bounced by its notice**, unless it is in flight: then its settlement
//!   does it, and its notice comes again.
//! * **A delay is warned of once.**
//!
//! # Not here
//! Held entries: they wait for the operator for as long as it pleases him (as Postfix's hold queue does).

use std::{sync::Arc, time::Duration};

use remuda_clock::{Monotonic, Now, SharedClock};
use remuda_dispatch::event::Event;
use remuda_mail::{Destination, EntryId, Outcome, Refusal};
use remuda_spool::{Queued, Settled, Spool};
use tokio::sync::mpsc;

use super::{Actor, Input};
use crate::reporting;

/// Notices taken in one go.
const BATCH: usize = 200;
/// When an entry in flight is looked at again.
const IN_FLIGHT_PAUSE: Duration = Duration::from_secs(600);
/// When a failing spool is asked again.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// Runs until the actor is gone. `shortest`: the least time between a message's arrival and its notice,
/// so that nothing that comes while it sleeps can be missed.
pub async fn watch(
    spool: Spool,
    clock: SharedClock,
    shortest: Duration,
    inputs: mpsc::UnboundedSender<Input>,
) {
    while !inputs.is_closed() {
        let now = clock.now();
        let next = match spool.notices(now.wall, BATCH).await {
            Ok(notices) if notices.due.is_empty() => next(now, notices.next, shortest),
            Ok(notices) => {
                let full = notices.due.len() == BATCH;
                let _ = inputs.send(Input::Noticed(notices.due));
                // The actor's answers take a commit; asking sooner would read the same entries again.
                if full {
                    now.monotonic + Duration::from_secs(1)
                } else {
                    next(now, notices.next, shortest)
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the spool could not be read for notices");
                now.monotonic + FAILURE_PAUSE
            }
        };
        tokio::select! {
            () = inputs.closed() => return,
            () = clock.sleep_until(next) => {}
        }
    }
}

fn next(now: Now, next: Option<remuda_clock::Wall>, shortest: Duration) -> Monotonic {
    let by_entry = next.map_or(Duration::MAX, |next| next.since(now.wall));
    now.monotonic + by_entry.min(shortest).max(Duration::from_millis(1))
}

impl Actor {
    pub(super) fn noticed(&mut self, due: Vec<Queued>, now: Now) {
        for queued in due {
            let queued = Arc::new(queued);
            if self.settling.contains(&queued.id) {
                continue;
            }
            if self.is_in_flight(queued.id) {
                self.put_notice_off(&queued, now);
            } else if queued.expires <= now.wall {
                let withdrawn = Event::Withdrawn {
                    destination: queued.destination.clone(),
                    entry: queued.id,
                    held: false,
                };
                self.handle(withdrawn, now);
                self.expire(&queued, now);
            } else {
                self.warn_of_delay(&queued);
            }
        }
    }

    pub(super) fn is_in_flight(&self, entry: EntryId) -> bool {
        self.settling.contains(&entry)
            || self
                .deliveries
                .values()
                .any(|delivery| delivery.entry.id == entry)
    }

    fn put_notice_off(&mut self, queued: &Queued, now: Now) {
        let (spool, entry) = (self.around.spool.clone(), queued.id);
        let until = now.wall + IN_FLIGHT_PAUSE;
        tokio::spawn(async move {
            if let Err(error) = spool.set_notice(entry, until, Vec::new()).await {
                tracing::warn!(%error, "notice not put off");
            }
        });
    }

    fn warn_of_delay(&mut self, queued: &Arc<Queued>) {
        let reporter = self.reporter();
        let (spool, queued, inputs) = (self.around.spool.clone(), queued.clone(), self.inputs.clone());
        self.settling.insert(queued.id);
        tokio::spawn(async move {
            let delayed: Vec<Settled> = queued.recipients.iter().map(delayed).collect();
            let reports = reporter
                .compose(&queued, &delayed, reporting::Occasion::Delayed)
                .await;
            let stored = spool
                .set_notice(queued.id, queued.expires, reports)
                .await
                .unwrap_or_else(|error| {
                    tracing::warn!(id = %queued.message, %error, "delay warning not recorded");
                    Vec::new()
                });
            let _ = inputs.send(Input::NoticeSettled(
                queued.id,
                queued.destination.clone(),
                false,
                stored,
            ));
        });
    }

    pub(super) fn notice_settled(&mut self, entry: EntryId, destination: &Destination, gone: bool) {
        self.settling.remove(&entry);
        if gone {
            self.entries.leave(entry, destination);
        }
    }
}

fn delayed(pending: &remuda_spool::Pending) -> Settled {
    let refusal = pending.last.clone().unwrap_or_else(|| {
        Refusal::ours(
            remuda_mail::EnhancedStatus::new(4, 0, 0),
            "not tried yet: the destination is suspended",
        )
    });
    Settled {
        recipient: pending.recipient.clone(),
        outcome: Outcome::Deferred(refusal),
    }
}
