//! The second look: before a recipient bounces because it has no mailbox here any more, or because its mail loops
//! back to us, the database itself is asked whom it means by now.
//!
//! # Contract
//! * **What is found is taken at once** (D8): who is behind the recipient by now gets its mail, as soon as the end of
//!   the delivery is on disk.
//! * **Not to know is no bounce**: who cannot be looked at waits as long as a first failure does.
//! * **The log has one line for a recipient**, with what came of it in the end.
//!
//! # Not here
//! What is asked (`addressing`), how an entry moves (`moving`).

use std::{sync::Arc, time::Duration};

use remuda_clock::{Now, Wall};
use remuda_dispatch::search::Search;
use remuda_mail::{DeliveryId, Destination, EnhancedStatus, NextHop, Outcome, Recipient, Refusal};
use remuda_spool::{Queued, Reroute};

use super::{Actor, Input, delivery::Decided};
use crate::{
    addressing::{Addressing, SecondLook, To, reroutes},
    session::guard::guarded,
};

/// A delivery that has ended, before that is recorded.
pub struct Concluding {
    /// Which.
    pub delivery: DeliveryId,
    /// The entry as it was.
    pub queued: Arc<Queued>,
    /// When it came into memory.
    pub loaded: Now,
    /// One for each recipient, in order.
    pub decided: Vec<Decided>,
    /// When those who wait are due.
    pub due: Wall,
    /// What was considered on the way to its sessions.
    pub search: Search,
    /// It counts as one.
    pub is_attempt: bool,
    /// Who goes elsewhere, and to whom.
    pub redirected: Redirected,
}

/// Recipients that wait, and who is behind them.
pub type Redirected = Vec<(Recipient, Vec<To>)>;

impl Actor {
    /// Answers whether the directory may know better than an outcome.
    pub(super) fn is_to_be_reconsidered(&self, concluding: &Concluding) -> bool {
        let destination = &concluding.queued.destination;
        self.plan.addressing.has_directory()
            && concluding
                .decided
                .iter()
                .any(|decided| is_doubtful(destination, &decided.outcome))
    }

    pub(super) fn reconsider(&mut self, concluding: Concluding, now: Now) {
        self.settling.insert(concluding.queued.id);
        let addressing = self.plan.addressing.clone();
        let backoff = self.plan.settings.delivery.minimal_backoff;
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let looked = guarded(look_at_all(addressing, &concluding.queued, &concluding.decided)).await;
            let found = looked.unwrap_or_else(|panicked| {
                tracing::error!(?panicked, "a second look panicked; this is a defect");
                vec![SecondLook::Same; concluding.decided.len()]
            });
            let concluding = reconsidered(concluding, found, (now.wall, backoff));
            // The actor is gone only when the process ends.
            let _ = inputs.send(Input::Reconsidered(Box::new(concluding)));
        });
    }
}

/// Answers whether a recipient bounces for a reason that the directory may know better.
fn is_doubtful(destination: &Destination, outcome: &Outcome) -> bool {
    let Outcome::Bounced(refusal) = outcome else {
        return false;
    };
    let is_loop = refusal.status == LOOP && refusal.reply.is_none();
    is_loop || (refusal.status == NO_MAILBOX && *destination == NextHop::Local.destination())
}

async fn look_at_all(addressing: Addressing, queued: &Queued, decided: &[Decided]) -> Vec<SecondLook> {
    let mut found = Vec::with_capacity(decided.len());
    for (pending, decided) in queued.recipients.iter().zip(decided) {
        found.push(match is_doubtful(&queued.destination, &decided.outcome) {
            true => addressing.second_look(queued, &pending.recipient).await,
            false => SecondLook::Same,
        });
    }
    found
}

/// What is left to be concluded; `when`: it is now, and who waits does so for so long.
fn reconsidered(
    mut concluding: Concluding,
    found: Vec<SecondLook>,
    (now, backoff): (Wall, Duration),
) -> Concluding {
    let mut is_unknown = false;
    for (decided, found) in concluding.decided.iter_mut().zip(found) {
        let refusal = match found {
            SecondLook::Same => continue,
            SecondLook::Redirected(to) => {
                let recipient = decided.recipient.clone();
                let text = format!("mail for {} goes elsewhere by now", recipient.address);
                concluding.redirected.push((recipient, to));
                Refusal::ours(MOVED, text)
            }
            SecondLook::Unknown(reason) => {
                is_unknown = true;
                Refusal::ours(NOT_AVAILABLE, reason)
            }
        };
        decided.outcome = Outcome::Deferred(refusal);
    }
    if !concluding.redirected.is_empty() {
        concluding.due = now;
    } else if is_unknown {
        concluding.due = concluding.due.max(now + backoff);
    }
    concluding.is_attempt &= concluding.redirected.is_empty() && !is_unknown;
    concluding
}

/// Where all go that are left of an entry: those who are redirected to who is behind them, the others where they
/// wait.
pub(super) fn all_that_go(left: &Queued, redirected: &Redirected) -> Vec<Reroute> {
    let each = left.recipients.iter().map(|pending| {
        let recipient = &pending.recipient;
        let found = redirected.iter().find(|(was, _)| was == recipient);
        let stays = || vec![(recipient.address.clone(), left.destination.clone())];
        (
            recipient.clone(),
            found.map_or_else(stays, |(_, whom)| whom.clone()),
        )
    });
    reroutes(each.collect())
}

/// RFC 3463 X.1.6: destination mailbox has moved.
const MOVED: EnhancedStatus = EnhancedStatus::new(4, 1, 6);
/// RFC 3463 X.1.1: bad destination mailbox address.
const NO_MAILBOX: EnhancedStatus = EnhancedStatus::new(5, 1, 1);
/// RFC 3463 X.4.6: routing loop detected.
const LOOP: EnhancedStatus = EnhancedStatus::new(5, 4, 6);
/// RFC 3463 X.4.3: directory server failure.
const NOT_AVAILABLE: EnhancedStatus = EnhancedStatus::new(4, 4, 3);
