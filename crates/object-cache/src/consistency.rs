//! The books of the cache held against each other, for tests.

use std::{collections::HashSet, sync::Arc};

use crate::{Cached, entry::Entry, index::Index, residents::Residents, state::State};

impl<V: Cached, W> State<V, W> {
    /// Panics if the books contradict each other or a limit is exceeded. O(n).
    pub(crate) fn assert_consistent(&self, index: &Index<V>) {
        self.flights.assert_consistent();
        self.backoff.assert_consistent();
        let mut places = HashSet::new();
        for is_absent in [false, true] {
            self.assert_residents(is_absent, &mut places);
        }
        let items = index.items();
        for (hash, entry) in &items {
            assert!(
                places.remove(&(*hash, Arc::as_ptr(entry))),
                "the index holds what lies here, once"
            );
            assert_reachable(index, entry);
        }
        assert!(places.is_empty(), "what lies here is in the index under each key");
        assert!(
            self.is_enabled || items.is_empty(),
            "a cache that is off is empty"
        );
    }

    fn assert_residents(&self, is_absent: bool, places: &mut HashSet<(u64, *const Entry<V>)>) {
        let residents: &Residents<V> = if is_absent { &self.absences } else { &self.values };
        residents.assert_consistent();
        assert!(
            residents.bytes() <= self.limits.budget(is_absent),
            "the budget is never exceeded"
        );
        for entry in residents.all() {
            assert_eq!(entry.is_absent(), is_absent);
            places.extend(entry.key_hashes().map(|hash| (hash, Arc::as_ptr(entry))));
        }
    }
}

/// Each of the entry's keys leads to it, and to nothing else.
fn assert_reachable<V: Cached>(index: &Index<V>, entry: &Arc<Entry<V>>) {
    for key in entry.keys() {
        let found = index.entry(key).expect("each key leads somewhere");
        assert!(Arc::ptr_eq(&found, entry), "both keys lead to one entry");
    }
}
