//! A delivery: one try to give an entry's recipients to its destination, over as many sessions as it takes.
//!
//! ```text
//!   begin ─▶ seek ─▶ Waiting ─▶ Transacting ─▶ answered ─┬─▶ seek (another host, or this once more)
//!              └──────── session at once ──▲             └─▶ Settling ─▶ settled
//! ```
//!
//! # Contract
//! * **A delivery ends in exactly one `Settle`**, or in `Unload` if nothing of it has been answered.
//! * **A host is tried once**, and once more, on a session that has carried nothing yet, if a used one was lost
//!   before anything could have been accepted or had met its limit; a session that was dead before its first
//!   octet does not count.

use remuda_clock::Monotonic;
use remuda_connection_cache::Unfit;
use remuda_mail::{DeliveryId, Destination, Endpoint, EntryId, Failure, Refusal, SessionId, Way};
use remuda_schedule::{Entry, Feedback, Retry};

use crate::{
    Dispatch,
    candidates::Itinerary,
    command::{Command, Found, Rest},
    lines::{Lack, Ticket},
    search::Search,
};

/// One delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) entry: Entry,
    pub(crate) itinerary: Itinerary,
    /// The host that it is not done with.
    pub(crate) at: Option<Endpoint>,
    pub(crate) stage: Stage,
    /// It holds a slot of its destination's window; else it rides on a session of the destination's.
    pub(crate) has_slot: bool,
    /// Recipients without a final outcome.
    pub(crate) unfinished: u32,
    /// The next transaction is the first with its host.
    pub(crate) is_next_host: bool,
    /// A transaction has been answered: the shell knows it, and there may be outcomes to record.
    pub(crate) is_answered: bool,
    /// Its entry is not to be delivered any more: what is under way is its last transaction.
    pub(crate) is_withdrawn: bool,
    /// A session was lost early or had met its limit, and the message is sent once more.
    pub(crate) is_resent: bool,
    /// The final reply was lost, and the message is sent once more.
    pub(crate) is_repeated: bool,
    /// Only a session that has carried nothing yet will do.
    pub(crate) wants_fresh: bool,
    /// Sessions found dead or full before their first octet, since it last got on.
    pub(crate) found_dead: u32,
    /// Its next good session is filed under its destination.
    pub(crate) may_bind: bool,
    /// Sessions may be taken from and left to others.
    pub(crate) caches: bool,
    /// The endpoint that it is to try.
    pub(crate) trial: Option<Way>,
    /// It has waited for a better host, and takes any now.
    pub(crate) has_waited: bool,
    /// Until when it waits for a better host, once it does.
    pub(crate) holds_until: Option<Monotonic>,
    /// Sources that this machine could not use for it.
    pub(crate) sources_failed: u32,
    /// Why a parked session was refused when it last looked for one.
    pub(crate) unfit: Option<Unfit>,
    /// Its transaction under way is not its first on its session.
    pub(crate) is_again: bool,
    /// What it considered on the way to its sessions.
    pub(crate) search: Search,
    /// A host went through with a transaction.
    pub(crate) is_served: bool,
    /// A host was there and did not give what the destination's policy demands.
    pub(crate) is_barred: bool,
    /// A host could not be used, and the site is to blame.
    pub(crate) is_site_failing: bool,
    /// Nothing was tried, because nobody could say whether there is a mailbox.
    pub(crate) is_unasked: bool,
    /// Why the last host could not be used.
    pub(crate) refusal: Option<Refusal>,
}

/// Where a delivery stands.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Seeks a session.
    Seeking,
    /// Waits for one.
    Waiting(Wait),
    /// Has lost the session that it rode on, and waits for a slot.
    Benched,
    /// Has one.
    Transacting(SessionId, Found),
    /// Is written to a Maildir.
    Local,
    /// Waits for its outcomes to be committed.
    Settling(Option<SessionId>, Monotonic),
}

/// How a delivery waits for a session.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) ticket: Ticket,
    pub(crate) at: Vec<Way>,
    pub(crate) lack: Lack,
    /// The dial that was made for it.
    pub(crate) dial: Option<SessionId>,
    /// It looks again then, and takes a host that is not so good.
    pub(crate) hold: Option<Monotonic>,
}

impl Delivery {
    pub(crate) fn new(entry: Entry, itinerary: Itinerary, caches: bool) -> Self {
        Delivery {
            unfinished: entry.recipients,
            entry,
            itinerary,
            at: None,
            stage: Stage::Seeking,
            has_slot: true,
            is_next_host: true,
            is_answered: false,
            is_withdrawn: false,
            is_resent: false,
            is_repeated: false,
            wants_fresh: false,
            found_dead: 0,
            may_bind: caches,
            caches,
            trial: None,
            has_waited: false,
            holds_until: None,
            sources_failed: 0,
            unfit: None,
            is_again: false,
            search: Search::default(),
            is_served: false,
            is_barred: false,
            is_site_failing: false,
            is_unasked: false,
            refusal: None,
        }
    }

    pub(crate) fn wait(&self) -> Option<&Wait> {
        match &self.stage {
            Stage::Waiting(wait) => Some(wait),
            _ => None,
        }
    }

    /// Waits for a session or for a slot.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_) | Stage::Benched)
    }

    /// The host is done with; the next one takes all that are left.
    pub(crate) fn leave_host(&mut self, endpoint: Endpoint) {
        self.itinerary.strike(endpoint);
        self.at = None;
        self.is_next_host = true;
        self.starts_anew();
        self.unfit = None;
    }

    /// Keeps the reason for recipients who are told nothing themselves. One that is for good counts only
    /// when no host failed for now: another try may find that host in order.
    pub(crate) fn note_failure(&mut self, failure: Failure) {
        let has_hope = self
            .refusal
            .as_ref()
            .is_some_and(|refusal| !refusal.is_permanent());
        if !(has_hope && failure.refusal.is_permanent()) {
            self.refusal = Some(failure.refusal);
        }
    }

    /// It has got on: what sessions cost it before does not count any more.
    pub(crate) fn starts_anew(&mut self) {
        self.is_resent = false;
        self.wants_fresh = false;
        self.found_dead = 0;
    }
}

impl Dispatch {
    /// Gives an entry that has just been started its delivery.
    pub(crate) fn begin(&mut self, entry: Entry, itinerary: Itinerary) -> DeliveryId {
        let id = DeliveryId(self.delivery_next);
        self.delivery_next += 1;
        let caches = self.caches(&entry.destination);
        self.in_hand.insert(entry.id, id);
        let delivery = Delivery::new(entry, itinerary, caches);
        self.deliveries.insert(id, delivery);
        id
    }

    /// A new entry is committed: it is in memory now, or goes back until its turn comes.
    pub(crate) fn accepted(&mut self, entry: Entry) {
        let id = entry.id;
        if !self.schedule.accepted(entry) {
            self.unload(vec![id]);
        }
    }

    /// Ends a delivery's work: nobody is left, or no host is.
    pub(crate) fn conclude(&mut self, id: DeliveryId, session: Option<SessionId>) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let refusal = delivery.refusal.take();
        let feedback = match &refusal {
            _ if delivery.is_served => Feedback::Positive,
            Some(refusal) if delivery.is_site_failing => Feedback::Negative(refusal.words()),
            _ => Feedback::Neutral,
        };
        let rest = if delivery.unfinished == 0 {
            Rest::Nobody
        } else {
            let retry = match delivery.is_unasked {
                true => self.schedule.retry_soon(&delivery.entry),
                false => self.schedule.retry(&delivery.entry),
            };
            match retry {
                Retry::At(until) => Rest::Defer { until, refusal },
                Retry::Expired => Rest::Bounce {
                    refusal,
                    expired: true,
                },
            }
        };
        self.settle(id, session, rest);
        self.learn(id, feedback);
    }

    /// Orders a delivery's outcomes to be recorded.
    pub(crate) fn settle(&mut self, id: DeliveryId, session: Option<SessionId>, rest: Rest) {
        let since = self.now.monotonic;
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        delivery.stage = Stage::Settling(session, since);
        self.out.push(Command::Settle {
            delivery: id,
            entry: delivery.entry.id,
            search: match rest {
                Rest::Defer { .. } | Rest::Bounce { .. } => std::mem::take(&mut delivery.search),
                Rest::Nobody => Search::default(),
            },
            rest,
        });
        self.unsettled.insert((since, id));
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session)) {
            session.unsettled += 1;
        }
    }

    /// Gives up a delivery that waits: untried it goes back, else what it has is recorded.
    pub(crate) fn abandon(&mut self, id: DeliveryId) {
        self.leave_lines(id);
        self.leave_bench(id);
        let Some(delivery) = self.deliveries.get(&id) else {
            return;
        };
        let (destination, has_slot) = (delivery.entry.destination.clone(), delivery.has_slot);
        if delivery.is_answered && !self.is_stopping {
            self.conclude(id, None);
            self.release_slot(&destination, has_slot);
        } else if delivery.is_answered {
            let rest = Rest::Defer {
                until: self.now.wall,
                refusal: delivery.refusal.clone().or_else(|| Some(interrupted())),
            };
            self.settle(id, None, rest);
            self.release_slot(&destination, has_slot);
        } else if let Some(delivery) = self.deliveries.remove(&id) {
            self.in_hand.remove(&delivery.entry.id);
            self.schedule.give_back(&delivery.entry);
            self.unload(vec![delivery.entry.id]);
        }
    }

    /// An entry is not to be delivered any more. What waits for a session ends now; a transaction under way
    /// is its last.
    pub(crate) fn withdrawn(&mut self, destination: &Destination, entry: EntryId, is_held: bool) {
        if self.schedule.withdrawn(destination, entry, is_held).is_some() {
            self.unload(vec![entry]);
        }
        self.tidy(destination);
        let Some(id) = self.in_hand.get(&entry).copied() else {
            return;
        };
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        delivery.is_withdrawn = true;
        if delivery.is_waiting() {
            self.abandon(id);
        }
    }

    /// A settlement is committed.
    pub(crate) fn settled(&mut self, id: DeliveryId, left: Option<&Entry>) {
        let Some(delivery) = self.deliveries.remove(&id) else {
            return;
        };
        let Stage::Settling(session, since) = delivery.stage else {
            debug_assert!(false, "only what was to be settled is");
            return;
        };
        self.in_hand.remove(&delivery.entry.id);
        let was_stalled = self.is_stalled();
        self.unsettled.remove(&(since, id));
        let entry = &delivery.entry;
        self.schedule
            .settled(&entry.destination, entry.id, left.map(|entry| entry.due));
        if let Some(session) = session {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.unsettled -= 1;
            }
            self.resume(session);
            self.fill(session);
        }
        if was_stalled && !self.is_stalled() {
            let all: Vec<_> = self.lingering.iter().map(|(_, session)| *session).collect();
            for session in all {
                self.resume(session);
            }
        }
    }
}

fn interrupted() -> Refusal {
    Refusal::ours(
        remuda_mail::EnhancedStatus::new(4, 3, 2),
        "the delivery was interrupted by a stop of the server",
    )
}
