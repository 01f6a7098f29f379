//! Mail that waits follows its route: entries move to the destination that they have now.
//!
//! What is in memory moves when the configuration or the directory changes, what lies in the spool when a load
//! brings it: a change reads no backlog.
//!
//! # Contract
//! * **A route that was changed holds for mail that waits**, however much of it there is, and so does a domain that
//!   has become ours.
//! * **An entry moves once**: while its move is being committed, no load brings it, and its destination is
//!   not loaded again on account of those that a load has brought.
//! * **One that cannot be moved stays where it is**, counted, and is tried again with the next load.

use std::time::Duration;

use remuda_clock::{Now, Wall};
use remuda_dispatch::event::Event;
use remuda_mail::{Destination, EntryId};
use remuda_spool::{Error, Heads, Queued, Reroute, State};

use super::{Actor, Input};
use crate::addressing::Heading;

/// When an entry that could not be moved is loaded again.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// An entry, and where its recipients go.
pub(super) type Going = (Queued, Vec<Reroute>);

/// What a load has brought that stays, with where each goes, as far as that was known at once.
pub(super) struct Headed {
    pub(super) entries: Vec<(Queued, Option<Heading>)>,
    pub(super) next_due: Option<Wall>,
}

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
    /// Moves entries in memory that are not in flight.
    pub(super) fn move_away(&mut self, moving: Vec<Going>, now: Now) {
        if moving.is_empty() {
            return;
        }
        for (queued, _) in &moving {
            let (entry, destination) = (queued.id, queued.destination.clone());
            self.entries.leave(entry, &destination);
            self.withdraw_from(destination, entry, false, now);
        }
        self.reroute(moving, true, None);
    }

    /// Takes those that belong elsewhere out of a load and moves them; what is left of the load comes when
    /// that is committed. Answers with the load if there are none.
    pub(super) fn move_what_was_loaded(&mut self, destination: &Destination, heads: Heads) -> Option<Headed> {
        let Heads { entries, next_due } = heads;
        let (mut moving, mut staying) = (Vec::new(), Vec::with_capacity(entries.len()));
        for queued in entries {
            let is_known = self.is_out_of_count(queued.id)
                || self.entries.has_left(queued.id, destination)
                || self.entries.held(queued.id).is_some();
            match (!is_known).then(|| self.heading_at_once(&queued)).flatten() {
                Some(Heading::Elsewhere(to)) => moving.push((queued, to)),
                heading => staying.push((queued, heading)),
            }
        }
        if moving.is_empty() {
            return Some(Headed {
                entries: staying,
                next_due,
            });
        }
        let entries = staying.into_iter().map(|(queued, _)| queued).collect();
        self.reroute(
            moving,
            false,
            Some((destination.clone(), Heads { entries, next_due })),
        );
        None
    }

    pub(super) fn reroute(
        &mut self,
        moving: Vec<Going>,
        was_withdrawn: bool,
        rest_of_load: Option<(Destination, Heads)>,
    ) {
        self.moving.extend(moving.iter().map(|(queued, _)| queued.id));
        let (spool, inputs) = (self.around.spool.clone(), self.inputs.clone());
        tokio::spawn(async move {
            // All of them at once, so that they share commits.
            let moves = moving.into_iter().map(|(queued, to)| {
                let (spool, entry) = (spool.clone(), queued.id);
                (
                    queued,
                    tokio::spawn(async move { spool.reroute(entry, to).await }),
                )
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
