//! The modelled spool: what of each message decisions need, and what waits for each domain.
//!
//! # Contract
//! * **Heads come as from the real spool**: due ones in order of due time, those in memory included, and the
//!   due time of the first that was not read.
//! * **Nothing is lost**: what came in is done, or waits.
//!
//! # Limits
//! Some eighty octets a message that waits, thirty-two for each that ever came.

use std::{collections::BTreeSet, time::Duration};

use hashbrown::HashMap;
use remuda_clock::Wall;
use remuda_dispatch::event::{Backlog, Entry};
use remuda_mail::{Destination, EntryId, MessageId};

use crate::plan::Site;

/// All messages.
#[derive(Debug)]
pub(crate) struct Spool<'p> {
    sites: &'p [Site],
    places: HashMap<&'p Destination, usize>,
    size: u64,
    /// By id, counted from 1.
    messages: Vec<Stored>,
    /// By site.
    waiting: Vec<BTreeSet<(Wall, EntryId)>>,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    site: u32,
    arrived: Wall,
    due: Wall,
    is_tried: bool,
}

impl<'p> Spool<'p> {
    /// An empty spool for messages of this size.
    pub(crate) fn new(sites: &'p [Site], size: u64) -> Self {
        Spool {
            places: sites.iter().map(|site| &site.destination).zip(0..).collect(),
            waiting: vec![BTreeSet::new(); sites.len()],
            sites,
            size,
            messages: Vec::new(),
            left: 0,
        }
    }

    /// Stores a message for a site that is due at once.
    pub(crate) fn store(&mut self, site: usize, now: Wall) -> EntryId {
        self.messages.push(Stored {
            site: u32::try_from(site).unwrap_or(u32::MAX),
            arrived: now,
            due: now,
            is_tried: false,
        });
        let id = EntryId(self.messages.len() as u64);
        self.waiting[site].insert((now, id));
        self.left += 1;
        id
    }

    /// What was ever stored.
    pub(crate) fn accepted(&self) -> u64 {
        self.messages.len() as u64
    }

    /// What is not done.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// When a message came.
    pub(crate) fn arrived(&self, id: EntryId) -> Option<Wall> {
        self.stored(id).map(|stored| stored.arrived)
    }

    /// The entry as decisions see it.
    pub(crate) fn entry(&self, id: EntryId) -> Option<Entry> {
        let stored = self.stored(id)?;
        let site = self.sites.get(stored.site as usize)?;
        Some(Entry {
            id,
            message: MessageId(id.0),
            destination: site.destination.clone(),
            recipients: 1,
            recipient_domain: site.domain.clone(),
            size: self.size,
            smtputf8: false,
            arrived: stored.arrived,
            expires: stored.arrived + LIFETIME,
            due: stored.due,
        })
    }

    /// Who serves a destination.
    pub(crate) fn site(&self, destination: &Destination) -> Option<&'p Site> {
        self.places
            .get(destination)
            .and_then(|place| self.sites.get(*place))
    }

    /// The first due entries of a destination, and when the first of the others is due.
    pub(crate) fn heads(
        &self,
        destination: &Destination,
        now: Wall,
        limit: usize,
    ) -> (Vec<Entry>, Option<Wall>) {
        let Some(waiting) = self
            .places
            .get(destination)
            .and_then(|place| self.waiting.get(*place))
        else {
            return (Vec::new(), None);
        };
        let mut entries = Vec::new();
        for (due, id) in waiting {
            if *due > now || entries.len() == limit {
                return (entries, Some(*due));
            }
            entries.extend(self.entry(*id));
        }
        (entries, None)
    }

    /// What the spool reports at a start.
    pub(crate) fn backlogs(&self) -> Vec<Backlog> {
        let backlog = |(site, waiting): (&Site, &BTreeSet<(Wall, EntryId)>)| Backlog {
            destination: site.destination.clone(),
            waiting: waiting.len() as u64,
            held: 0,
            due: waiting.first().map(|(due, _)| *due),
        };
        let all = self.sites.iter().zip(&self.waiting).map(backlog);
        all.filter(|backlog| backlog.waiting > 0).collect()
    }

    /// Outcomes of a message are recorded. Answers whether they are its first.
    pub(crate) fn is_first_try(&mut self, id: EntryId) -> bool {
        let stored = place(id).and_then(|place| self.messages.get_mut(place));
        stored.is_some_and(|stored| !std::mem::replace(&mut stored.is_tried, true))
    }

    /// A message is done with.
    pub(crate) fn strike(&mut self, id: EntryId) {
        if let Some(stored) = self.stored(id)
            && let Some(waiting) = self.waiting.get_mut(stored.site as usize)
            && waiting.remove(&(stored.due, id))
        {
            self.left -= 1;
        }
    }

    /// A message waits until then.
    pub(crate) fn defer(&mut self, id: EntryId, until: Wall) -> Option<Entry> {
        let stored = self.stored(id)?;
        let waiting = self.waiting.get_mut(stored.site as usize)?;
        if waiting.remove(&(stored.due, id)) {
            waiting.insert((until, id));
        }
        self.messages.get_mut(place(id)?)?.due = until;
        self.entry(id)
    }

    fn stored(&self, id: EntryId) -> Option<Stored> {
        self.messages.get(place(id)?).copied()
    }
}

fn place(id: EntryId) -> Option<usize> {
    usize::try_from(id.0.checked_sub(1)?).ok()
}

/// `delivery.queue_lifetime`.
const LIFETIME: Duration = Duration::from_secs(5 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Vec<Site> {
        let site = |name: &str| Site {
            destination: Destination::from_key(name),
            domain: name.parse().unwrap(),
            servers: vec![(0, 10)],
        };
        vec![site("a.test"), site("b.test")]
    }

    fn ids(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.id.0).collect()
    }

    #[test]
    fn heads_come_as_from_the_real_spool() {
        let sites = sites();
        let mut spool = Spool::new(&sites, 4096);
        let a = sites[0].destination.clone();
        for now in [3, 1, 2] {
            spool.store(0, Wall(now));
        }
        spool.store(1, Wall(0));
        let (entries, next) = spool.heads(&a, Wall(2), 10);
        assert_eq!((ids(&entries), next), (vec![2, 3], Some(Wall(3))));
        let (entries, next) = spool.heads(&a, Wall(9), 2);
        assert_eq!((ids(&entries), next), (vec![2, 3], Some(Wall(3))));
        let (entries, next) = spool.heads(&a, Wall(9), 3);
        assert_eq!((ids(&entries), next), (vec![2, 3, 1], None));
    }

    #[test]
    fn nothing_is_lost() {
        let sites = sites();
        let mut spool = Spool::new(&sites, 4096);
        let (first, second) = (spool.store(0, Wall(1)), spool.store(1, Wall(1)));
        assert_eq!(spool.backlogs().len(), 2);
        let left = spool.defer(first, Wall(300)).unwrap();
        assert_eq!((left.due, left.arrived), (Wall(300), Wall(1)));
        spool.strike(second);
        spool.strike(second);
        assert_eq!((spool.accepted(), spool.left()), (2, 1));
        let backlog = &spool.backlogs()[0];
        assert_eq!((backlog.waiting, backlog.due), (1, Some(Wall(300))));
        spool.strike(first);
        assert_eq!((spool.left(), spool.backlogs().len()), (0, 0));
    }
}
