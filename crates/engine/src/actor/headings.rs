//! Where entries in memory go: asked when they come, and whenever the configuration or the directory has changed.
//!
//! ```text
//!   accepted, loaded ─┬─▶ known from memory ───────────────▶ here, or moving
//!   changed ──────────┘        │ no
//!                              ▼
//!                    doubtful: its destination is rerouted, and Resolve asks the database first
//! ```
//!
//! # Contract
//! * **Nothing goes while nobody knows where**: a destination with a doubtful entry is deferred as one whose servers
//!   cannot be found, for as long as the directory does not answer. Nothing of it bounces for that before its time.
//! * **A change holds for what is in memory**: what was asked before it and answered after it is asked again.
//! * **From memory it costs the actor no more than look-ups**; whatever waits does so in a task.
//! * **When the directory has changed or answers again, those deferred for it are tried at once.**
//!
//! # Not here
//! The answer itself (`addressing`), moving (`moving`).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use remuda_clock::{Now, SharedClock};
use remuda_dispatch::event::{Entry, Event, Unresolved};
use remuda_mail::{Destination, EnhancedStatus, EntryId, Refusal};
use remuda_spool::Queued;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Actor, Input, entries::Came, in_background, moving::Going};
use crate::addressing::{Heading, at_once};

/// What was found of doubtful entries.
pub struct Found {
    /// Whose `Resolve` this answers, if any.
    destination: Option<Destination>,
    /// In order; behind one of which nobody knows there are none.
    headings: Vec<(EntryId, Heading)>,
    as_of: AsOf,
}

/// What an answer was found under: reloads so far, changes of the directory so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf(u64, u64);

impl Actor {
    /// Where an entry goes, if that is known without waiting.
    pub(super) fn heading_at_once(&self, queued: &Queued) -> Option<Heading> {
        at_once(self.plan.addressing.heading(queued))
    }

    /// Takes an entry into memory that stays where it is, or of which nobody knows yet; what `dispatch` needs of it.
    pub(super) fn take_entry(
        &mut self,
        queued: Queued,
        came: Came,
        heading: Option<Heading>,
        now: Now,
    ) -> Entry {
        let destination = queued.destination.clone();
        let hop = match heading {
            Some(Heading::Here(hop)) => Some(hop),
            Some(Heading::Elsewhere(_) | Heading::Unknown(_)) | None => None,
        };
        let (entry, is_rerouted) = self.entries.insert(queued, came, hop, now);
        if is_rerouted {
            self.handle(Event::Rerouted { destination }, now);
        }
        entry
    }

    /// Asks for everything in memory where it goes now. Cost: O(entries).
    pub(super) fn look_where_all_go(&mut self, now: Now) {
        let (mut rerouted, mut moving, flying) = (BTreeSet::new(), Vec::new(), self.in_flight());
        let mut cold = Vec::new();
        let all: Vec<Arc<Queued>> = self.entries.iter().map(|held| held.queued.clone()).collect();
        for queued in all {
            let is_in_flight = flying.contains(&queued.id);
            let is_news = match self.heading_at_once(&queued) {
                Some(Heading::Here(hop)) => self.entries.goes_by(queued.id, hop),
                // Its settlement, or its next attempt, finds out.
                _ if is_in_flight => false,
                Some(Heading::Elsewhere(to)) => {
                    moving.push((Queued::clone(&queued), to));
                    false
                }
                Some(Heading::Unknown(_)) => self.entries.doubt(queued.id),
                None => {
                    cold.push(queued.clone());
                    self.entries.doubt(queued.id)
                }
            };
            if is_news {
                rerouted.insert(queued.destination.clone());
            }
        }
        for destination in rerouted {
            self.handle(Event::Rerouted { destination }, now);
        }
        self.move_away(moving, now);
        if !cold.is_empty() {
            // Of what waits in line already nothing starts, so that no `Resolve` would ask.
            self.ask_where_they_go(None, cold);
        }
    }

    /// The directory has changed, or answers again.
    pub(super) fn directory_changed(&mut self, now: Now) {
        self.look_where_all_go(now);
        for destination in std::mem::take(&mut self.unasked) {
            self.thaw(destination, now);
        }
    }

    /// Asks the directory about doubtful entries, all of a destination whose `Resolve` that answers, or some. One that
    /// does not answer is asked for no more of them.
    pub(super) fn ask_where_they_go(&self, destination: Option<Destination>, doubtful: Vec<Arc<Queued>>) {
        let (addressing, as_of) = (self.plan.addressing.clone(), self.as_of());
        let fallen = Found {
            destination: destination.clone(),
            headings: doubtful
                .iter()
                .map(|queued| (queued.id, Heading::Unknown("internal error".to_owned())))
                .collect(),
            as_of,
        };
        let work = async move {
            let mut headings = Vec::with_capacity(doubtful.len());
            for queued in doubtful {
                let heading = addressing.heading(&queued).await;
                let is_unknown = matches!(heading, Heading::Unknown(_));
                headings.push((queued.id, heading));
                if is_unknown {
                    break;
                }
            }
            Input::Headed(Found {
                destination,
                headings,
                as_of,
            })
        };
        in_background(&self.inputs, work, move || Input::Headed(fallen));
    }

    pub(super) fn headed(&mut self, found: Found, now: Now) {
        let Found {
            destination,
            headings,
            as_of,
        } = found;
        if as_of != self.as_of() {
            // All are looked at again on account of the change.
            return destination.map_or((), |destination| self.resolve(destination, now));
        }
        let unknown = self.take_headings(headings, now);
        match (destination, unknown) {
            (None, _) => {}
            // More may be in doubt by now.
            (Some(destination), None) => self.resolve(destination, now),
            (Some(destination), Some(reason)) => self.defer_unasked(destination, reason, now),
        }
    }

    /// Takes in what was found of doubtful entries; the reason, if nobody knows of one.
    fn take_headings(&mut self, headings: Vec<(EntryId, Heading)>, now: Now) -> Option<String> {
        let (mut moving, mut rerouted): (Vec<Going>, _) = (Vec::new(), BTreeSet::new());
        let mut unknown = None;
        for (id, heading) in headings {
            let Some(held) = self.entries.held(id) else {
                continue;
            };
            let queued = held.queued.clone();
            match heading {
                Heading::Here(hop) => {
                    if self.entries.goes_by(id, hop) {
                        rerouted.insert(queued.destination.clone());
                    }
                }
                Heading::Elsewhere(to) => {
                    self.entries.end_doubt(id);
                    if !self.is_in_flight(id) {
                        moving.push((Queued::clone(&queued), to));
                    }
                }
                Heading::Unknown(reason) => unknown = Some(reason),
            }
        }
        for destination in rerouted {
            self.handle(Event::Rerouted { destination }, now);
        }
        self.move_away(moving, now);
        unknown
    }

    fn defer_unasked(&mut self, destination: Destination, reason: String, now: Now) {
        self.unasked.insert(destination.clone());
        let answer = Err(Unresolved {
            refusal: Refusal::ours(UNASKED, reason),
            valid_until: now.monotonic,
        });
        self.handle(Event::Resolved { destination, answer }, now);
    }

    fn as_of(&self) -> AsOf {
        AsOf(self.reloads, self.plan.addressing.changes())
    }
}

/// Tells the actor of the directory's changes: of many, once a while.
pub async fn tell_of_changes(
    mut changes: watch::Receiver<u64>,
    inputs: mpsc::UnboundedSender<Input>,
    clock: SharedClock,
) {
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = inputs.closed() => return,
        }
        let (done, told) = oneshot::channel();
        if inputs.send(Input::DirectoryChanged(done)).is_err() || told.await.is_err() {
            return;
        }
        clock.sleep_until(clock.now().monotonic + CHANGES_PAUSE).await;
    }
}

/// Between two looks at all that is in memory.
const CHANGES_PAUSE: Duration = Duration::from_millis(100);
/// RFC 3463 X.4.3: directory server failure.
const UNASKED: EnhancedStatus = EnhancedStatus::new(4, 4, 3);
