//! Notices: entries whose time has come though nothing is tried, for a delay warning or to give up.
//!
//! Expiry must hold in every state: also while a destination is suspended or an entry waits for an hour.
//! Each entry has a notice time in the spool; the actor looks at the earliest when it is due.
//!
//! # Contract
//! * **An entry past its expiry is bounced by its notice**, unless it is in flight: then its settlement
//!   does it.
//! * **A notice that finds its entry in flight is taken up when the entry comes back**; in the spool it is
//!   put off, so that what is in flight does not stand before the others.
//! * **A delay is warned of once.**
//! * **What has changed since the notices were read is left alone**, and looked at again soon.
//! * **A reload that shortens the times holds at once.**
//!
//! # Not here
//! Held entries: they wait for the operator for as long as it pleases him (as Postfix's hold queue does).

use std::{collections::HashSet, sync::Arc, time::Duration};

use remuda_clock::{Monotonic, Now, Wall};
use remuda_mail::{EnhancedStatus, EntryId, Outcome, Refusal};
use remuda_spool::{Notices, Queued, Settled};

use super::{Actor, Input, in_background, settle::Recorded};
use crate::{reporting, session::guard::guarded, settings::Settings};

/// Notices taken in one go.
const BATCH: usize = 200;
/// When an entry in flight is looked at again, should it not come back.
const IN_FLIGHT_PAUSE: Duration = Duration::from_secs(600);
/// When a failing spool is asked again.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);
/// Between two looks at least: what a notice called for takes a commit.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// When those are looked at again that something else was being done with.
const AGAIN: Duration = Duration::from_secs(60);

/// When the spool is next asked for notices, and what they have called for.
#[derive(Debug)]
pub(super) struct Watch {
    next: Monotonic,
    is_stopped: bool,
    /// Given up, or warned of: not committed.
    pending: HashSet<EntryId>,
    /// Given up, not committed: out of the count.
    expiring: HashSet<EntryId>,
    /// Whose time came while they were in flight.
    overtaken: HashSet<EntryId>,
}

/// What became of what a notice called for.
pub struct Done {
    pub(super) entry: Arc<Queued>,
    /// The entry was given up.
    pub(super) is_end: bool,
    /// What was recorded, if anything.
    pub(super) recorded: Option<Recorded>,
}

impl Watch {
    pub(super) fn from(now: Now) -> Self {
        Watch {
            next: now.monotonic,
            is_stopped: false,
            pending: HashSet::new(),
            expiring: HashSet::new(),
            overtaken: HashSet::new(),
        }
    }

    /// When to look.
    pub(super) fn next(&self) -> Monotonic {
        self.next
    }

    /// Looks no more.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
        self.next = Monotonic::NEVER;
    }

    /// Answers whether all that notices called for is committed.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// The entry is being given up.
    pub(super) fn expires(&mut self, entry: EntryId) {
        self.pending.insert(entry);
        self.expiring.insert(entry);
    }

    /// Answers whether the entry is being given up.
    pub(super) fn is_expiring(&self, entry: EntryId) -> bool {
        self.expiring.contains(&entry)
    }

    /// Looks no later than then, unless a look is under way, which finds the next time itself.
    fn look_by(&mut self, at: Monotonic) {
        if self.next != Monotonic::NEVER {
            self.next = self.next.min(at);
        }
    }
}

impl Actor {
    /// Asks the spool for what is due, if it is time.
    pub(super) fn look_at_notices(&mut self, now: Now) {
        if now.monotonic < self.notices.next {
            return;
        }
        self.notices.next = Monotonic::NEVER;
        self.entries.notices_begin();
        let spool = self.around.spool.clone();
        let work = async move {
            let notices = spool.notices(now.wall, BATCH).await;
            if let Err(error) = &notices {
                tracing::warn!(%error, "the spool could not be read for notices");
            }
            Input::Noticed(notices.ok())
        };
        in_background(&self.inputs, work, || Input::Noticed(None));
    }

    pub(super) fn noticed(&mut self, notices: Option<Notices>, now: Now) {
        let changed = self.entries.notices_read();
        if self.notices.is_stopped {
            return;
        }
        let pause = match &notices {
            Some(notices) => pause(notices, now.wall, shortest(&self.plan.settings)),
            None => FAILURE_PAUSE,
        };
        self.notices.next = now.monotonic + pause;
        for queued in notices.map(|notices| notices.due).unwrap_or_default() {
            if changed.contains(&queued.id) || self.is_out_of_count(queued.id) {
                continue;
            }
            self.notice(Arc::new(queued), now);
        }
    }

    /// New times are in force, or an entry has come back whose notice may be long past.
    pub(super) fn look_at_notices_soon(&mut self, now: Now) {
        let shortest = shortest(&self.plan.settings);
        self.notices.look_by(now.monotonic + shortest.min(AGAIN));
    }

    fn notice(&mut self, queued: Arc<Queued>, now: Now) {
        if self.notices.pending.contains(&queued.id) {
            return;
        }
        if self.is_in_flight(queued.id) {
            self.put_notice_off(&queued, now);
        } else if queued.expires <= now.wall {
            self.withdraw_from(queued.destination.clone(), queued.id, false, now);
            self.expire(queued, now);
        } else {
            self.warn_of_delay(queued);
        }
    }

    /// Answers whether an entry that lies in the spool is not to be delivered from there now: it moves, or
    /// it is being given up, or could not be settled. `dispatch` does not count it.
    pub(super) fn is_out_of_count(&self, entry: EntryId) -> bool {
        self.moving.contains(&entry) || self.notices.is_expiring(entry) || self.unrecorded.contains(&entry)
    }

    pub(super) fn is_in_flight(&self, entry: EntryId) -> bool {
        self.settling.contains(&entry)
            || self
                .deliveries
                .values()
                .any(|delivery| delivery.entry.id == entry)
    }

    fn put_notice_off(&mut self, queued: &Queued, now: Now) {
        self.notices.overtaken.insert(queued.id);
        let until = now.wall + IN_FLIGHT_PAUSE;
        let put_off = self.around.spool.set_notice(queued.id, until, Vec::new());
        tokio::spawn(async move {
            if let Err(error) = put_off.await {
                tracing::warn!(%error, "notice not put off");
            }
        });
    }

    /// An entry has come back, settled: its notice is taken up that found it in flight.
    pub(super) fn notice_after(&mut self, entry: EntryId, left: Option<Queued>, now: Now) {
        if !self.notices.overtaken.remove(&entry) || self.notices.is_stopped {
            return;
        }
        if let Some(left) = left {
            self.notice(Arc::new(left), now);
        }
    }

    fn warn_of_delay(&mut self, queued: Arc<Queued>) {
        self.notices.pending.insert(queued.id);
        let (reporter, spool, entry) = (self.reporter(), self.around.spool.clone(), queued.clone());
        let work = async move {
            let delayed: Vec<Settled> = entry.recipients.iter().map(delayed).collect();
            let composing = reporter.compose(&entry, &delayed, reporting::Occasion::Delayed);
            let reports = guarded(composing).await.unwrap_or_else(|panicked| {
                tracing::error!(id = %entry.message, ?panicked, "no delay warning: composing it panicked");
                Vec::new()
            });
            let stored = spool.set_notice(entry.id, entry.expires, reports).await;
            if let Err(error) = &stored {
                tracing::warn!(id = %entry.message, %error, "delay warning not recorded");
            }
            done(entry, false, stored.ok().map(|reports| (None, reports)))
        };
        in_background(&self.inputs, work, move || done(queued, false, None));
    }

    pub(super) fn notice_settled(&mut self, done: Done, now: Now) {
        let Done {
            entry,
            is_end,
            recorded,
        } = done;
        self.notices.pending.remove(&entry.id);
        self.notices.expiring.remove(&entry.id);
        if is_end {
            self.entries.leave(entry.id, &entry.destination);
            match &recorded {
                // Whose bounce could not be composed.
                Some((Some(left), _)) => self.count(entry.destination.clone(), left.due, 1, now),
                Some((None, _)) => self.changes.ended(entry.id),
                None => drop(self.unrecorded.insert(entry.id)),
            }
        }
        let (_, reports) = recorded.unwrap_or_default();
        self.accepted(reports, now);
    }
}

pub(super) fn done(entry: Arc<Queued>, is_end: bool, recorded: Option<Recorded>) -> Input {
    Input::NoticeSettled(Done {
        entry,
        is_end,
        recorded,
    })
}

/// How long until the next look.
fn pause(notices: &Notices, now: Wall, shortest: Duration) -> Duration {
    let by_entry = notices.next.map_or(Duration::MAX, |next| next.since(now));
    // Some may have been left alone, and none of them is `next`.
    let again = match notices.due.is_empty() {
        true => Duration::MAX,
        false => AGAIN,
    };
    by_entry.min(again).min(shortest).max(PAUSE_MIN)
}

/// The least time between a message's arrival and its first notice: so long nothing that comes is missed.
fn shortest(settings: &Settings) -> Duration {
    let delivery = &settings.delivery;
    let warning = delivery.delay_warning.unwrap_or(Duration::MAX);
    delivery.queue_lifetime.min(delivery.bounce_lifetime).min(warning)
}

fn delayed(pending: &remuda_spool::Pending) -> Settled {
    let refusal = pending.last.clone().unwrap_or_else(|| {
        Refusal::ours(
            EnhancedStatus::new(4, 0, 0),
            "not tried yet: the destination is suspended",
        )
    });
    Settled {
        recipient: pending.recipient.clone(),
        outcome: Outcome::Deferred(refusal),
        may_be_duplicate: pending.may_be_duplicate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_notice_comes_before_the_shortest() {
        let mut settings = Settings::default();
        assert_eq!(shortest(&settings), Duration::from_secs(4 * 3600));
        settings.delivery.delay_warning = None;
        settings.delivery.bounce_lifetime = Duration::from_secs(60);
        assert_eq!(shortest(&settings), Duration::from_secs(60));
    }

    #[test]
    fn looks_keep_a_distance_and_come_back_to_what_was_left_alone() {
        let (now, hour) = (Wall(1_000_000), Duration::from_secs(3600));
        let due = |count| vec![crate::actor::fixture::queued(1); count];
        for (due, next, seconds) in [
            (due(0), None, 3600),
            (due(0), Some(now + Duration::from_secs(7)), 7),
            (due(1), None, 60),
            (due(BATCH), Some(Wall(0)), 1),
            (due(0), Some(Wall(0)), 1),
        ] {
            let notices = Notices { due, next };
            assert_eq!(pause(&notices, now, hour), Duration::from_secs(seconds));
        }
    }
}
