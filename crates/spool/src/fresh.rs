//! Fresh content: what was just accepted, kept in memory until its first attempt.
//!
//! # Contract
//! * **Bounded.** At the bound the oldest content gives way; it is on disk anyway.
//! * **The first settlement of a message drops its content.**

use std::collections::BTreeMap;

use bytes::Bytes;
use remuda_mail::MessageId;

/// Content by message; ids grow with age, so the first is the oldest.
#[derive(Debug)]
pub(crate) struct Fresh {
    contents: BTreeMap<MessageId, Bytes>,
    bytes: u64,
    bytes_max: u64,
}

impl Fresh {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Fresh {
            contents: BTreeMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Octets kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn get(&self, message: MessageId) -> Option<Bytes> {
        self.contents.get(&message).cloned()
    }

    pub(crate) fn insert(&mut self, message: MessageId, content: Bytes) {
        let size = content.len() as u64;
        if size > self.bytes_max {
            return;
        }
        self.remove(message);
        self.bytes += size;
        self.contents.insert(message, content);
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.contents.pop_first()
        {
            self.bytes -= oldest.len() as u64;
        }
    }

    pub(crate) fn remove(&mut self, message: MessageId) {
        if let Some(content) = self.contents.remove(&message) {
            self.bytes -= content.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_the_oldest_gives_way() {
        let mut fresh = Fresh::new(10);
        for id in 1..=3 {
            fresh.insert(MessageId(id), Bytes::from_static(b"1234"));
        }
        assert_eq!(fresh.get(MessageId(1)), None);
        assert!(fresh.get(MessageId(2)).is_some() && fresh.get(MessageId(3)).is_some());
        assert_eq!(fresh.bytes(), 8);
    }

    #[test]
    fn content_larger_than_the_bound_evicts_nobody() {
        let mut fresh = Fresh::new(10);
        fresh.insert(MessageId(1), Bytes::from_static(b"1234"));
        fresh.insert(MessageId(2), Bytes::from_static(b"12345678901"));
        assert!(fresh.get(MessageId(1)).is_some() && fresh.get(MessageId(2)).is_none());
    }

    #[test]
    fn what_is_removed_is_not_counted() {
        let mut fresh = Fresh::new(10);
        fresh.insert(MessageId(1), Bytes::from_static(b"1234"));
        fresh.insert(MessageId(1), Bytes::from_static(b"12"));
        assert_eq!(fresh.bytes(), 2);
        fresh.remove(MessageId(1));
        fresh.remove(MessageId(1));
        assert_eq!(fresh.bytes(), 0);
    }
}
