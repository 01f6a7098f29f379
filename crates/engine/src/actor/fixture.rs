//! Values for the actor's tests.

use std::sync::Arc;

use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId, Envelope, MessageId, Recipient};
use remuda_spool::{Pending, Queued, State};

/// An entry with recipients `r0@example.test`, `r1@…`, ….
pub fn queued(recipients: usize) -> Queued {
    let recipient = |i| Recipient::plain(format!("r{i}@example.test").parse().expect("a valid address"));
    Queued {
        id: EntryId(1),
        message: MessageId(1),
        destination: Destination::from_key("example.test"),
        envelope: Arc::new(Envelope::default()),
        size: 100,
        header_8bit: false,
        content_8bit: false,
        arrived: Wall(0),
        expires: Wall::NEVER,
        due: Wall(0),
        attempts: 0,
        state: State::Waiting,
        recipients: (0..recipients).map(|i| Pending::new(recipient(i))).collect(),
    }
}
