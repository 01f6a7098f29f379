//! Mail that waits follows its route: entries move to the destination that a reload has given them.
//!
//! What is in memory moves at the reload, what lies in the spool when a load brings it: a reload reads no
//! backlog.
//!
//! # Contract
//! * **A route that a reload changed holds for mail that waits**, however much of it there is.
//! * **An entry moves once**: while its move is being committed, no load brings it, and its destination is
//!   not loaded again on account of those that a load has brought.
//! * **One that cannot be moved stays where it is**, counted, and is tried again with the next load.

use std::{sync::Arc, time::Duration};

use remuda_clock::{Now, Wall};
use remuda_dispatch::event::Event;
use remuda_mail::{Destination, EntryId};
use remuda_spool::{Error, Heads, NewEntry, Queued, Spool, State};

use super::{Actor, Input};
use crate::route::Router;

/// When an entry that could not be moved is loaded again.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// A move that has been tried.
pub struct Moved {
    from: Queued,
    /// `dispatch` had it in its count no longer.
    was_withdrawn: bool,
    /// The entries that it is now; empty when it was gone.
    to: Result<Vec<Queued>, Error>,
}

impl Moved {
    /// A move that failed, for tests.
    #[cfg(test)]
    pub(super) fn failed(from: Queued, was_withdrawn: bool, error: Error) -> Self {
        Moved {
            from,
            was_withdrawn,
            to: Err(error),
        }
    }
}

impl Actor {
    /// Moves what is in memory and not in flight.
    pub(super) fn move_what_is_here(&mut self, now: Now) {
        let rerouted = self
            .entries
            .iter()
            .filter(|held| self.is_rerouted(&held.queued) && !self.is_in_flight(held.queued.id));
        let rerouted: Vec<Queued> = rerouted.map(|held| Queued::clone(&held.queued)).collect();
        for queued in &rerouted {
            let (entry, destination) = (queued.id, queued.destination.clone());
            self.entries.leave(entry, &destination);
            self.withdraw_from(destination, entry, false, now);
        }
        self.reroute(rerouted, true, None);
    }

    /// Takes those that belong elsewhere out of a load and moves them; what is left of the load comes when
    /// that is committed. Answers with the load if there are none.
    pub(super) fn move_what_was_loaded(&mut self, destination: &Destination, heads: Heads) -> Option<Heads> {
        let is_to_move = |queued: &Queued| {
            !self.is_out_of_count(queued.id)
                && !self.entries.has_left(queued.id, destination)
                && self.entries.held(queued.id).is_none()
                && self.is_rerouted(queued)
        };
        let Heads { entries, next_due } = heads;
        let (rerouted, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_to_move);
        let rest = Heads { entries, next_due };
        if rerouted.is_empty() {
            return Some(rest);
        }
        self.reroute(rerouted, false, Some((destination.clone(), rest)));
        None
    }

    /// The routes send some recipient elsewhere than where the entry waits.
    pub(super) fn is_rerouted(&self, queued: &Queued) -> bool {
        let router = &self.plan.router;
        queued
            .recipients
            .iter()
            .map(|pending| router.route_waiting(&queued.destination, &pending.recipient.address))
            .any(|hop| hop.destination() != queued.destination)
    }

    pub(super) fn reroute(
        &mut self,
        rerouted: Vec<Queued>,
        was_withdrawn: bool,
        rest_of_load: Option<(Destination, Heads)>,
    ) {
        self.moving.extend(rerouted.iter().map(|queued| queued.id));
        let (spool, inputs) = (self.around.spool.clone(), self.inputs.clone());
        let router = self.plan.router.clone();
        tokio::spawn(async move {
            // All of them at once, so that they share commits.
            let moves = rerouted.into_iter().map(|queued| {
                let moving = tokio::spawn(reroute(spool.clone(), router.clone(), queued.clone()));
                (queued, moving)
            });
            let moves: Vec<_> = moves.collect();
            for (from, moving) in moves {
                // A panic is a defect; its entry stays where it is.
                let to = moving.await.unwrap_or(Err(Error::Closed));
                let moved = Moved {
                    from,
                    was_withdrawn,
                    to,
                };
                let _ = inputs.send(Input::Moved(Box::new(moved)));
            }
            if let Some((destination, rest)) = rest_of_load {
                let _ = inputs.send(Input::Loaded(destination, Some(rest)));
            }
        });
    }

    /// A move is committed, or has failed.
    pub(super) fn moved(&mut self, moved: Moved, now: Now) {
        let Moved {
            from,
            was_withdrawn,
            to,
        } = moved;
        self.moving.remove(&from.id);
        match to {
            Err(error) => {
                tracing::warn!(id = %from.message, %error, "mail not moved to its new route; tried again later");
                let due = from.due.max(now.wall + FAILURE_PAUSE);
                self.count(from.destination.clone(), due, u64::from(was_withdrawn), now);
            }
            // None: it was deleted meanwhile.
            Ok(to) => {
                self.entries.leave(from.id, &from.destination);
                self.changes.ended(from.id);
                if !was_withdrawn {
                    self.withdraw_from(from.destination.clone(), from.id, false, now);
                }
                self.arrive(to, now);
            }
        }
    }

    fn arrive(&mut self, entries: Vec<Queued>, now: Now) {
        for queued in entries {
            if queued.state == State::Held {
                // Put on hold while it moved.
                self.count(queued.destination.clone(), Wall::NEVER, 1, now);
                self.withdraw_from(queued.destination, queued.id, true, now);
            } else {
                self.accepted(vec![queued], now);
            }
        }
    }

    /// So many more wait at `destination`, and one is due then.
    pub(super) fn count(&mut self, destination: Destination, due: Wall, added: u64, now: Now) {
        let counted = Event::Wakened {
            destination,
            due,
            added,
            from_held: 0,
            thaw: false,
        };
        self.handle(counted, now);
    }

    pub(super) fn withdraw_from(&mut self, destination: Destination, entry: EntryId, held: bool, now: Now) {
        let withdrawn = Event::Withdrawn {
            destination,
            entry,
            held,
        };
        self.handle(withdrawn, now);
    }
}

/// Moves an entry to where the routes send its recipients now.
async fn reroute(spool: Spool, router: Arc<Router>, queued: Queued) -> Result<Vec<Queued>, Error> {
    let mut to: Vec<NewEntry> = Vec::new();
    for pending in &queued.recipients {
        let hop = router.route_waiting(&queued.destination, &pending.recipient.address);
        let destination = hop.destination();
        match to.iter_mut().find(|entry| entry.destination == destination) {
            Some(entry) => entry.recipients.push(pending.recipient.clone()),
            None => to.push(NewEntry {
                destination,
                recipients: vec![pending.recipient.clone()],
            }),
        }
    }
    spool.reroute(queued.id, to).await
}
