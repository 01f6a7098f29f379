//! What will happen and when: the queue of the modelled world.
//!
//! # Contract
//! * **In order of time, and of writing down within one instant.**
//! * **What is put on for now comes after all that was put on before**, without a look at the heap.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
};

use remuda_clock::Monotonic;

/// What will happen.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    later: BinaryHeap<Item<T>>,
    /// Of this instant, in order.
    at_once: VecDeque<T>,
    now: Monotonic,
    next: u64,
}

#[derive(Debug)]
struct Item<T> {
    at: Monotonic,
    number: u64,
    what: T,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Agenda {
            later: BinaryHeap::new(),
            at_once: VecDeque::new(),
            now: Monotonic::ZERO,
            next: 0,
        }
    }

    /// Puts something on; never for the past.
    pub(crate) fn put(&mut self, at: Monotonic, what: T) {
        if at <= self.now {
            return self.at_once.push_back(what);
        }
        let number = self.next;
        self.next += 1;
        self.later.push(Item { at, number, what });
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Monotonic> {
        if !self.at_once.is_empty() {
            return Some(self.now);
        }
        self.later.peek().map(|item| item.at)
    }

    /// Takes what happens next, and moves to its time.
    pub(crate) fn take(&mut self) -> Option<(Monotonic, T)> {
        let is_due = self.later.peek().is_some_and(|item| item.at <= self.now);
        if !is_due && let Some(what) = self.at_once.pop_front() {
            return Some((self.now, what));
        }
        let item = self.later.pop()?;
        self.now = self.now.max(item.at);
        Some((self.now, item.what))
    }

    /// Time goes on without anything of this having happened.
    pub(crate) fn pass(&mut self, now: Monotonic) {
        self.now = self.now.max(now);
    }
}

impl<T> Ord for Item<T> {
    /// The earliest is the greatest, as the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Item<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn in_order_of_time_and_of_writing_down() {
        let mut agenda = Agenda::new();
        for number in 0..100 {
            agenda.put(at(5 - number % 3), number);
        }
        let all: Vec<_> = std::iter::from_fn(|| agenda.take()).collect();
        let mut expected: Vec<_> = (0..100).map(|number| (at(5 - number % 3), number)).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_put_on_for_now_comes_after_what_was_put_on_before() {
        let mut agenda = Agenda::new();
        agenda.put(at(5), 'a');
        agenda.put(at(5), 'b');
        assert_eq!(agenda.take(), Some((at(5), 'a')));
        agenda.put(at(5), 'c');
        agenda.put(at(1), 'd');
        agenda.put(at(6), 'e');
        assert_eq!(agenda.next_at(), Some(at(5)));
        let all: Vec<_> = std::iter::from_fn(|| agenda.take()).collect();
        assert_eq!(all, [(at(5), 'b'), (at(5), 'c'), (at(5), 'd'), (at(6), 'e')]);
    }

    #[test]
    fn time_passes_without_anything() {
        let mut agenda = Agenda::new();
        agenda.pass(at(9));
        agenda.put(at(2), 'a');
        assert_eq!(agenda.take(), Some((at(9), 'a')));
    }
}
