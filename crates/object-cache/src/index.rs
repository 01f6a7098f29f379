//! From keys to entries: shards of hash tables, each behind a lock that readers share.
//!
//! # Contract
//! * **A hit takes one shard's read lock** and writes only to that shard's and that entry's atomics.
//! * **An object lies under both its keys.** Who changes the index holds the type's mutex, so that both are
//!   put in and taken out in one piece.
//! * **Looking is not using**: [`Index::entry`] counts nothing and touches nothing (F13).

use std::sync::Arc;

use crate::{
    Cached,
    entry::Entry,
    hasher::{IS_ID, KeyHasher},
    key::{Asked, KeyRef},
    sync::{AtomicU64, Ordering, RwLock, SHARDS},
};
use hashbrown::HashTable;

/// All entries of a type.
pub(crate) struct Index<V> {
    hasher: KeyHasher,
    shards: Box<[Shard<V>]>,
}

/// On lines of its own, so that threads at different shards do not slow each other.
#[repr(align(128))]
struct Shard<V> {
    table: RwLock<Table<V>>,
    hits: AtomicU64,
    negative_hits: AtomicU64,
    bypasses: AtomicU64,
}

struct Table<V> {
    is_enabled: bool,
    items: HashTable<Item<V>>,
}

struct Item<V> {
    hash: u64,
    /// The entry's, here as well: to reach it through the entry would be one more wait for memory.
    value: Option<Arc<V>>,
    entry: Arc<Entry<V>>,
}

/// What a key leads to at an instant.
pub(crate) enum Probe<V> {
    /// The cache is off.
    Disabled,
    /// A value to use.
    Hit(Arc<V>),
    /// A value to use, of which 80 % of the life are over.
    Due(Arc<V>, Arc<Entry<V>>),
    /// Known not to exist.
    Absent,
    /// Nothing to use; perhaps something expired.
    Miss(Option<Arc<Entry<V>>>),
}

/// A value to use, and its entry where 80 % of its life are over.
pub(crate) type Due<V> = (Arc<V>, Option<Arc<Entry<V>>>);

/// What readers have counted, over all shards.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub(crate) hits: u64,
    pub(crate) negative_hits: u64,
    pub(crate) bypasses: u64,
}

impl<V: Cached> Index<V> {
    pub(crate) fn new(is_enabled: bool) -> Self {
        Index {
            hasher: KeyHasher::new(),
            shards: (0..SHARDS).map(|_| Shard::new(is_enabled)).collect(),
        }
    }

    pub(crate) fn hash(&self, key: KeyRef<'_>) -> u64 {
        self.hasher.hash(key)
    }

    /// What a key leads to; an answer is counted, and what is used remembers it.
    pub(crate) fn probe(&self, Asked { key, hash, now }: Asked<'_>) -> Probe<V> {
        let shard = self.shard(hash);
        let table = shard.table.read();
        if !table.is_enabled {
            shard.bypasses.fetch_add(1, Ordering::Relaxed);
            return Probe::Disabled;
        }
        let Some(Item { entry, value, .. }) = table.find(hash, key) else {
            return Probe::Miss(None);
        };
        if !entry.is_usable(now) {
            return Probe::Miss(Some(Arc::clone(entry)));
        }
        entry.touch();
        let Some(value) = value else {
            shard.negative_hits.fetch_add(1, Ordering::Relaxed);
            return Probe::Absent;
        };
        shard.hits.fetch_add(1, Ordering::Relaxed);
        match entry.is_due(now) {
            true => Probe::Due(Arc::clone(value), Arc::clone(entry)),
            false => Probe::Hit(Arc::clone(value)),
        }
    }

    /// A value to use, counted as a hit, with its entry when that is due; an answer of any other sort is not counted.
    pub(crate) fn value(&self, Asked { key, hash, now }: Asked<'_>) -> Option<Due<V>> {
        let shard = self.shard(hash);
        let table = shard.table.read();
        let Item { entry, value, .. } = table.find(hash, key)?;
        let value = value.as_ref().filter(|_| entry.is_usable(now))?;
        entry.touch();
        shard.hits.fetch_add(1, Ordering::Relaxed);
        let due = entry.is_due(now).then(|| Arc::clone(entry));
        Some((Arc::clone(value), due))
    }

    /// The entry under `key`, of whatever age.
    pub(crate) fn entry(&self, key: KeyRef<'_>) -> Option<Arc<Entry<V>>> {
        let hash = self.hash(key);
        let table = self.shard(hash).table.read();
        table.find(hash, key).map(|item| Arc::clone(&item.entry))
    }

    /// Puts an entry under each of its keys, where nothing lies.
    pub(crate) fn insert(&self, entry: &Arc<Entry<V>>) {
        for hash in entry.key_hashes() {
            let item = Item {
                hash,
                value: entry.value().cloned(),
                entry: Arc::clone(entry),
            };
            let mut table = self.shard(hash).table.write();
            table.items.insert_unique(hash, item, |item| item.hash);
        }
    }

    /// Takes an entry out from under each of its keys.
    pub(crate) fn remove(&self, entry: &Arc<Entry<V>>) {
        for hash in entry.key_hashes() {
            let mut table = self.shard(hash).table.write();
            let found = table
                .items
                .find_entry(hash, |item| Arc::ptr_eq(&item.entry, entry));
            if let Ok(found) = found {
                found.remove();
            }
            table.give_back();
        }
    }

    /// Drops everything, and says whether look-ups find the cache on.
    pub(crate) fn reset(&self, is_enabled: bool) {
        for shard in &self.shards {
            let mut table = shard.table.write();
            *table = Table::new(is_enabled);
        }
    }

    /// What readers have counted.
    pub(crate) fn read(&self) -> Read {
        let mut sum = Read::default();
        for shard in &self.shards {
            sum.hits += shard.hits.load(Ordering::Relaxed);
            sum.negative_hits += shard.negative_hits.load(Ordering::Relaxed);
            sum.bypasses += shard.bypasses.load(Ordering::Relaxed);
        }
        sum
    }

    /// Every place in the index, an object twice; for tests.
    pub(crate) fn items(&self) -> Vec<(u64, Arc<Entry<V>>)> {
        let mut items = Vec::new();
        for shard in &self.shards {
            let table = shard.table.read();
            items.extend(
                table
                    .items
                    .iter()
                    .map(|item| (item.hash, Arc::clone(&item.entry))),
            );
        }
        items
    }

    /// Room for so many places; for tests.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.table.read().items.capacity()).sum()
    }

    fn shard(&self, hash: u64) -> &Shard<V> {
        // Names and ids apart: look-ups go by name, and ids between them would be memory that no hit reads.
        &self.shards[(hash / SHARDS_FIRST_BIT) as usize % SHARDS]
    }
}

/// The bits that choose a shard end with [`IS_ID`].
const SHARDS_FIRST_BIT: u64 = IS_ID * 2 / SHARDS as u64;

impl<V: Cached> Item<V> {
    fn is_of(&self, key: KeyRef<'_>) -> bool {
        match (&self.value, key) {
            (Some(value), KeyRef::Name(name)) => value.name() == name,
            (Some(value), KeyRef::Id(id)) => value.id() == id,
            (None, key) => self.entry.keys().any(|own| own == key),
        }
    }
}

impl<V> Shard<V> {
    fn new(is_enabled: bool) -> Self {
        Shard {
            table: RwLock::new(Table::new(is_enabled)),
            hits: AtomicU64::new(0),
            negative_hits: AtomicU64::new(0),
            bypasses: AtomicU64::new(0),
        }
    }
}

impl<V> Table<V> {
    fn new(is_enabled: bool) -> Self {
        Table {
            is_enabled,
            items: HashTable::new(),
        }
    }
}

impl<V: Cached> Table<V> {
    fn find(&self, hash: u64, key: KeyRef<'_>) -> Option<&Item<V>> {
        self.items.find(hash, |item| item.hash == hash && item.is_of(key))
    }

    /// Gives memory back when little of it is used.
    fn give_back(&mut self) {
        let (used, capacity) = (self.items.len(), self.items.capacity());
        if capacity > 64 && used < capacity / 8 {
            self.items.shrink_to(used * 2, |item| item.hash);
        }
    }
}
