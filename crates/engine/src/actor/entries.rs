//! The entries in memory: what `dispatch` was told of, with recipients, and how their destinations are
//! reached.
//!
//! # Contract
//! * **A destination's next-hop is known while one of its entries is in memory**, unless nobody could say yet where
//!   they go: then they are doubtful.
//! * **A load cannot bring back what has left**: entries that are settled or withdrawn while a load of
//!   their destination runs are left out of its answer.
//! * **An acceptance that a load has overtaken does not deliver twice**: an entry can be read as soon as
//!   it is committed, which is before its acceptance is reported.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use remuda_clock::Now;
use remuda_dispatch::event::Entry;
use remuda_mail::{Credentials, CredentialsId, Destination, EntryId, NextHop};
use remuda_spool::Queued;

use crate::{addressing::Hop, vault};

/// An entry and since when it is here.
#[derive(Clone, Debug)]
pub struct Held {
    /// The entry.
    pub queued: Arc<Queued>,
    /// When it came.
    pub loaded: Now,
    /// A load brought it, and no acceptance was reported before.
    by_load: bool,
}

/// How an entry comes into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Its commit was reported.
    Accepted,
    /// It was read from the spool.
    Loaded,
}

/// How a destination is reached, as far as is known.
#[derive(Debug, Default)]
struct Reach {
    hop: Option<Hop>,
    entries: usize,
    /// Those of whom nobody has said yet where they go now.
    doubtful: HashSet<EntryId>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Entries {
    held: HashMap<EntryId, Held>,
    reach: HashMap<Destination, Reach>,
    /// Loads under way, with what has left since each began.
    loading: HashMap<Destination, HashSet<EntryId>>,
    /// What has left since the reading of notices under way began.
    noticing: Option<HashSet<EntryId>>,
    /// Entries that a load brought before they were reported as accepted, and that have left since.
    overtaken: VecDeque<EntryId>,
}

/// Entries remembered as overtaken. The report of an acceptance is a task's next step after the commit;
/// only a handful can ever be late by a whole delivery.
const OVERTAKEN_MAX: usize = 1000;

impl Entries {
    /// Takes an entry in and says what `dispatch` needs of it, and whether its destination is to be asked for anew:
    /// the hop is another one than was known, or (None) nobody knows. One that is here already stays as it is.
    pub fn insert(&mut self, queued: Queued, origin: Came, hop: Option<Hop>, now: Now) -> (Entry, bool) {
        let entry = describe(&queued);
        if origin == Came::Accepted
            && let Some(held) = self.held.get_mut(&queued.id)
        {
            held.by_load = false;
        }
        if self.held.contains_key(&queued.id) {
            return (entry, false);
        }
        self.reach.entry(queued.destination.clone()).or_default().entries += 1;
        let id = queued.id;
        let held = Held {
            queued: Arc::new(queued),
            loaded: now,
            by_load: origin == Came::Loaded,
        };
        self.held.insert(id, held);
        let is_rerouted = match hop {
            Some(hop) => self.goes_by(id, hop),
            None => self.doubt(id),
        };
        (entry, is_rerouted)
    }

    /// It is known how an entry goes; answers whether its destination was reached in another way before.
    pub fn goes_by(&mut self, id: EntryId, hop: Hop) -> bool {
        let Some(reach) = self.reach_of(id) else {
            return false;
        };
        reach.doubtful.remove(&id);
        if reach.hop.as_ref() == Some(&hop) {
            return false;
        }
        // A password may have changed while none of its entries was here.
        let may_be_another = hop.credentials.is_some();
        reach.hop.replace(hop).is_some() || may_be_another
    }

    /// Nobody knows where an entry goes now; answers whether its destination was in no doubt before.
    pub fn doubt(&mut self, id: EntryId) -> bool {
        self.reach_of(id)
            .is_some_and(|reach| reach.doubtful.insert(id) && reach.doubtful.len() == 1)
    }

    /// An entry goes on as it is.
    pub fn end_doubt(&mut self, id: EntryId) {
        if let Some(reach) = self.reach_of(id) {
            reach.doubtful.remove(&id);
        }
    }

    /// Entries of a destination of which nobody has said where they go, in order.
    pub fn doubtful(&self, destination: &Destination) -> Vec<Arc<Queued>> {
        let Some(reach) = self.reach.get(destination) else {
            return Vec::new();
        };
        let mut ids: Vec<EntryId> = reach.doubtful.iter().copied().collect();
        ids.sort_unstable();
        let held = ids.into_iter().filter_map(|id| self.held.get(&id));
        held.map(|held| held.queued.clone()).collect()
    }

    /// What a destination's route says at AUTH, if that is what has this id.
    pub fn credentials(&self, destination: &Destination, id: CredentialsId) -> Option<&Credentials> {
        let hop = self.reach.get(destination)?.hop.as_ref()?;
        hop.credentials
            .as_ref()
            .filter(|credentials| vault::id(credentials) == id)
    }

    fn reach_of(&mut self, id: EntryId) -> Option<&mut Reach> {
        let held = self.held.get(&id)?;
        self.reach.get_mut(&held.queued.destination)
    }

    /// The entry.
    pub fn held(&self, id: EntryId) -> Option<&Held> {
        self.held.get(&id)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    /// How a destination is reached, while it has an entry here.
    pub fn next_hop(&self, destination: &Destination) -> Option<NextHop> {
        let hop = self.reach.get(destination)?.hop.as_ref()?;
        Some(hop.next.clone())
    }

    /// The entry leaves memory, but not the spool.
    pub fn unload(&mut self, id: EntryId) {
        if let Some(held) = self.held.remove(&id)
            && let Some(reach) = self.reach.get_mut(&held.queued.destination)
        {
            reach.entries -= 1;
            reach.doubtful.remove(&id);
            if reach.entries == 0 {
                self.reach.remove(&held.queued.destination);
            }
        }
    }

    /// Answers whether an acceptance comes too late: the entry was loaded, delivered and settled before.
    pub fn was_overtaken(&mut self, id: EntryId) -> bool {
        let place = self.overtaken.iter().position(|overtaken| *overtaken == id);
        place.is_some_and(|place| self.overtaken.remove(place).is_some())
    }

    /// The entry has left the spool, or changed there.
    pub fn leave(&mut self, id: EntryId, destination: &Destination) {
        if self.held.get(&id).is_some_and(|held| held.by_load) {
            self.overtaken.push_back(id);
            if self.overtaken.len() > OVERTAKEN_MAX {
                self.overtaken.pop_front();
            }
        }
        self.unload(id);
        if let Some(left) = &mut self.noticing {
            left.insert(id);
        }
        if let Some(left) = self.loading.get_mut(destination) {
            left.insert(id);
        }
    }

    /// A load begins.
    pub fn load_begins(&mut self, destination: &Destination) {
        self.loading.entry(destination.clone()).or_default();
    }

    /// Answers whether the entry has left since the load under way began.
    pub fn has_left(&self, id: EntryId, destination: &Destination) -> bool {
        self.loading
            .get(destination)
            .is_some_and(|left| left.contains(&id))
    }

    /// Notices begin to be read.
    pub fn notices_begin(&mut self) {
        self.noticing = Some(HashSet::new());
    }

    /// Notices have been read: what of them is out of date.
    pub fn notices_read(&mut self) -> HashSet<EntryId> {
        self.noticing.take().unwrap_or_default()
    }

    /// A load has ended: what it may not bring back.
    pub fn load_ended(&mut self, destination: &Destination) -> HashSet<EntryId> {
        self.loading.remove(destination).unwrap_or_default()
    }
}

/// What `dispatch` needs of an entry.
pub fn describe(queued: &Queued) -> Entry {
    Entry {
        id: queued.id,
        message: queued.message,
        destination: queued.destination.clone(),
        recipients: queued.recipients.len() as u32,
        recipient_domain: queued.recipients[0].recipient.address.domain().clone(),
        size: queued.size,
        smtputf8: needs_smtputf8(queued),
        arrived: queued.arrived,
        expires: queued.expires,
        due: queued.due,
    }
}

/// The client gave SMTPUTF8 and envelope or header is not ASCII; without the parameter raw 8-bit headers
/// go as they are and are never bounced for it.
pub fn needs_smtputf8(queued: &Queued) -> bool {
    let envelope_is_ascii = queued.envelope.sender.as_str().is_ascii()
        && queued
            .recipients
            .iter()
            .all(|pending| pending.recipient.address.is_ascii());
    queued.envelope.smtputf8 && (queued.header_8bit || !envelope_is_ascii)
}
