//! What a walk has met already.
//!
//! # Contract
//! * **Each value is new once.**
//! * **One value costs no allocation**: most recipients are one account.

use std::{collections::HashSet, hash::Hash};

/// A set to which values are only added.
pub(super) struct Seen<T> {
    first: Option<T>,
    others: HashSet<T>,
}

impl<T: Clone + Eq + Hash> Seen<T> {
    pub(super) fn new() -> Self {
        Seen {
            first: None,
            others: HashSet::new(),
        }
    }

    /// Adds a value; answers whether it is new.
    pub(super) fn insert(&mut self, value: &T) -> bool {
        match &self.first {
            None => {
                self.first = Some(value.clone());
                true
            }
            Some(first) if first == value => false,
            Some(_) => self.others.insert(value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_new_once() {
        let mut seen = Seen::new();
        for value in [1, 2, 3] {
            assert!(seen.insert(&value));
            assert!((1..=value).all(|value| !seen.insert(&value)));
        }
    }

    #[test]
    fn one_value_costs_no_allocation() {
        let mut seen = Seen::new();
        seen.insert(&1);
        seen.insert(&1);
        assert_eq!(seen.others.capacity(), 0);
    }
}
