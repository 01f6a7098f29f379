//! Bindings: which endpoints lately served a destination well, each for a while.
//!
//! # Contract
//! * **A binding is unique** per destination and endpoint; binding again restarts its time and does not
//!   duplicate it (T07).
//! * **Their number is bounded**; at the bound the one that ends first goes.
//!
//! # Limits
//! [`PER_DESTINATION_MAX`] for one destination, a given number in all.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use remuda_clock::Monotonic;
use remuda_mail::{Destination, Endpoint};

/// The bindings of all destinations.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    of: HashMap<Destination, Vec<Binding>>,
    ends: BTreeSet<(Monotonic, Destination, Endpoint)>,
}

#[derive(Debug)]
struct Binding {
    endpoint: Endpoint,
    until: Monotonic,
}

impl Bindings {
    /// Remembers that `endpoint` served `destination`, until `until`. O(log n).
    pub(crate) fn bind(
        &mut self,
        destination: &Destination,
        endpoint: Endpoint,
        until: Monotonic,
        max: usize,
    ) {
        let list = self.of.entry(destination.clone()).or_default();
        if let Some(binding) = list.iter_mut().find(|binding| binding.endpoint == endpoint) {
            if binding.until == until {
                return;
            }
            self.ends.remove(&(binding.until, destination.clone(), endpoint));
            binding.until = until;
        } else {
            if list.len() == PER_DESTINATION_MAX {
                let oldest = list.remove(0);
                self.ends
                    .remove(&(oldest.until, destination.clone(), oldest.endpoint));
            }
            list.push(Binding { endpoint, until });
        }
        self.ends.insert((until, destination.clone(), endpoint));
        while self.ends.len() > max.max(1) {
            self.end_first();
        }
    }

    /// The endpoints bound to `destination` at `now`, first bound first.
    pub(crate) fn of<'a>(
        &'a self,
        destination: &Destination,
        now: Monotonic,
    ) -> impl Iterator<Item = Endpoint> + 'a {
        let list = self.of.get(destination).map_or(&[][..], Vec::as_slice);
        list.iter()
            .filter(move |binding| binding.until > now)
            .map(|binding| binding.endpoint)
    }

    /// Forgets what has ended at `now`.
    pub(crate) fn expire(&mut self, now: Monotonic) {
        while self.ends.first().is_some_and(|(until, ..)| *until <= now) {
            self.end_first();
        }
    }

    /// When the first one ends.
    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        self.ends.first().map(|(until, ..)| *until)
    }

    /// Destinations that have one.
    pub(crate) fn destinations(&self) -> usize {
        self.of.len()
    }

    pub(crate) fn clear(&mut self) {
        *self = Bindings::default();
    }

    fn end_first(&mut self) {
        let Some((_, destination, endpoint)) = self.ends.pop_first() else {
            return;
        };
        if let Some(list) = self.of.get_mut(&destination) {
            list.retain(|binding| binding.endpoint != endpoint);
            if list.is_empty() {
                self.of.remove(&destination);
            }
        }
    }

    pub(crate) fn assert_consistent(&self) {
        let listed: usize = self.of.values().map(Vec::len).sum();
        assert_eq!(listed, self.ends.len(), "every binding ends once");
        for (destination, list) in &self.of {
            assert!(!list.is_empty() && list.len() <= PER_DESTINATION_MAX);
            for binding in list {
                let end = (binding.until, destination.clone(), binding.endpoint);
                assert!(self.ends.contains(&end), "a binding has its end");
            }
        }
    }
}

/// Endpoints remembered for one destination.
const PER_DESTINATION_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, destination, endpoint};

    fn endpoints(bindings: &Bindings, name: &str) -> Vec<Endpoint> {
        bindings.of(&destination(name), at(0)).collect()
    }

    #[test]
    fn a_binding_is_unique() {
        let mut bindings = Bindings::default();
        for until in [10, 30, 20] {
            bindings.bind(&destination("a.test"), endpoint(1), at(until), 9);
            bindings.assert_consistent();
        }
        assert_eq!(endpoints(&bindings, "a.test"), [endpoint(1)]);
        assert_eq!(bindings.next_deadline(), Some(at(20)));
    }

    #[test]
    fn their_number_is_bounded_and_the_one_that_ends_first_goes() {
        let mut bindings = Bindings::default();
        for (name, until) in [("a.test", 30), ("b.test", 10), ("c.test", 20)] {
            bindings.bind(&destination(name), endpoint(1), at(until), 2);
            bindings.assert_consistent();
        }
        assert_eq!(bindings.destinations(), 2);
        assert_eq!(endpoints(&bindings, "b.test"), []);
        for n in 1..=PER_DESTINATION_MAX as u8 + 1 {
            bindings.bind(&destination("a.test"), endpoint(n), at(30), 99);
        }
        bindings.assert_consistent();
        let left = endpoints(&bindings, "a.test");
        assert_eq!((left.len(), left[0]), (PER_DESTINATION_MAX, endpoint(2)));
    }
}
