//! What lies in the cache, with its weight, and who must go: S3-FIFO.
//!
//! New entries stand in a small queue, a tenth of the room. At its end those that were used twice go on to
//! the main queue and the others leave, remembered by their hash alone; one that comes back soon goes to the
//! main queue at once. In the main queue each use since the last turn is one more turn. So a flood of keys
//! that are asked for once passes through a tenth of the room, and a hit moves nothing. (Yang, Zhang, Qiu,
//! Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023.)
//!
//! # Contract
//! * **Weights add up**: what [`Residents::insert`] adds, [`Residents::remove`] subtracts, and nothing else
//!   does either (F7).
//! * **An object that is loaded anew keeps its standing**: its use counts for its successor.
//!
//! # Not here
//! The index: `State` keeps both alike.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use crate::{entry::Entry, ghost::Ghost};

/// The entries of one budget.
pub(crate) struct Residents<V> {
    small: Queue<V>,
    main: Queue<V>,
    ghost: Ghost,
    last: u64,
    /// Where the last slice ended.
    swept: (bool, u64),
}

struct Queue<V> {
    entries: BTreeMap<u64, Arc<Entry<V>>>,
    bytes: u64,
}

/// Where an entry stood and how often it was used: what its successor takes over.
pub(crate) struct Standing {
    place: (bool, u64),
    frequency: u8,
}

impl<V> Residents<V> {
    pub(crate) fn new() -> Self {
        Residents {
            small: Queue::new(),
            main: Queue::new(),
            ghost: Ghost::default(),
            last: 0,
            swept: (false, 0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.small.entries.len() + self.main.entries.len()
    }

    /// Octets of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.small.bytes + self.main.bytes
    }

    /// Takes an entry in: where its predecessor stood, or at the end of a queue.
    pub(crate) fn insert(&mut self, entry: Arc<Entry<V>>, standing: Option<Standing>) {
        let place = match standing {
            Some(standing) => {
                entry.set_frequency(standing.frequency);
                standing.place
            }
            None => (self.ghost.recall(entry.hashes.0), self.next()),
        };
        self.put(entry, place);
    }

    /// Takes an entry out; what it weighed when it came is what goes.
    pub(crate) fn remove(&mut self, entry: &Entry<V>) -> Standing {
        let place = entry.place();
        let queue = self.queue(place.0);
        if queue.entries.remove(&place.1).is_some() {
            queue.bytes -= entry.weight;
        }
        let frequency = entry.frequency();
        Standing { place, frequency }
    }

    /// Remembers that `entry`, which is leaving, may come back: as good as it was.
    pub(crate) fn remember(&mut self, entry: &Entry<V>) {
        let at_most = self.len();
        self.ghost.remember(entry.hashes.0, at_most);
    }

    /// Who must go to make room within `budget`; it still lies here. Those that were used get their turns
    /// first, at most [`TURNS_MAX`] at once. `None` when nothing lies here.
    pub(crate) fn victim(&mut self, budget: u64) -> Option<Arc<Entry<V>>> {
        let mut turns = 0;
        loop {
            let is_main = self.small.bytes <= budget / SMALL_PART && !self.main.entries.is_empty();
            let entry = Arc::clone(self.queue(is_main).entries.first_key_value()?.1);
            let frequency = entry.frequency();
            let turns_left = if is_main { frequency } else { frequency / 2 };
            if turns_left == 0 || turns == TURNS_MAX {
                if !is_main {
                    self.remember(&entry);
                }
                return Some(entry);
            }
            self.remove(&entry);
            entry.set_frequency(if is_main { frequency - 1 } else { 0 });
            let place = (true, self.next());
            self.put(entry, place);
            turns += 1;
        }
    }

    /// The next `at_most` entries in turn, from where the last slice ended; from the start after the end.
    pub(crate) fn slice(&mut self, at_most: usize) -> Vec<Arc<Entry<V>>> {
        let (is_main, place) = self.swept;
        let after = |queue: &Queue<V>, place| queue.after(place, at_most);
        let mut slice = after(self.queue(is_main), place);
        if slice.len() < at_most {
            let rest = after(self.queue(!is_main), 0);
            slice.extend(rest.into_iter().take(at_most - slice.len()));
        }
        self.swept = match slice.last() {
            Some(last) if slice.len() == at_most => last.place(),
            _ => (is_main, 0),
        };
        slice
    }

    /// Takes everything out; gives how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.len();
        self.small = Queue::new();
        self.main = Queue::new();
        self.ghost.clear();
        count
    }

    /// Every entry, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Entry<V>>> {
        self.small.entries.values().chain(self.main.entries.values())
    }

    /// Panics if the weights do not add up.
    pub(crate) fn assert_consistent(&self) {
        for queue in [&self.small, &self.main] {
            let sum: u64 = queue.entries.values().map(|entry| entry.weight).sum();
            assert_eq!(sum, queue.bytes, "weights add up");
            for (place, entry) in &queue.entries {
                assert_eq!(entry.place().1, *place);
            }
        }
    }

    fn put(&mut self, entry: Arc<Entry<V>>, (is_main, place): (bool, u64)) {
        entry.set_place(is_main, place);
        let queue = self.queue(is_main);
        queue.bytes += entry.weight;
        queue.entries.insert(place, entry);
    }

    fn queue(&mut self, is_main: bool) -> &mut Queue<V> {
        if is_main { &mut self.main } else { &mut self.small }
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl<V> Queue<V> {
    fn new() -> Self {
        Queue {
            entries: BTreeMap::new(),
            bytes: 0,
        }
    }

    fn after(&self, place: u64, at_most: usize) -> Vec<Arc<Entry<V>>> {
        let range = self.entries.range((Excluded(place), Unbounded));
        range.take(at_most).map(|(_, entry)| Arc::clone(entry)).collect()
    }
}

/// The small queue's part of the room: a tenth.
const SMALL_PART: u64 = 10;

/// Further turns given in one search for a victim: a bound on the time under the lock.
const TURNS_MAX: u32 = 256;
