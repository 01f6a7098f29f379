//! What the schedule knows of a message's place in a destination's queue.

use remuda_clock::Wall;
use remuda_mail::{Destination, Domain, EntryId, MessageId};

/// One message's place in one destination's queue, as far as decisions need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// The message it belongs to.
    pub message: MessageId,
    /// Where it is scheduled.
    pub destination: Destination,
    /// Recipients without a final outcome.
    pub recipients: u32,
    /// The domain of the first of them.
    pub recipient_domain: Domain,
    /// Octets of content.
    pub size: u64,
    /// Only a host with SMTPUTF8 may get it.
    pub smtputf8: bool,
    /// When we took responsibility; its age decides the back-off.
    pub arrived: Wall,
    /// When we give up.
    pub expires: Wall,
    /// When it may be tried.
    pub due: Wall,
}

/// What the spool holds for one destination, read once at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Backlog {
    /// The destination.
    pub destination: Destination,
    /// Entries that are not held.
    pub waiting: u64,
    /// Entries on hold.
    pub held: u64,
    /// The earliest due time among the waiting; None when there are none.
    pub due: Option<Wall>,
}

/// Entries of a destination whose due time moved or that were added, while they lie in the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Wakening {
    /// The earliest due time among them; [`Wall::NEVER`] = none became due.
    pub due: Wall,
    /// How many were added to the waiting.
    pub added: u64,
    /// How many left the hold.
    pub from_held: u64,
    /// End a suspension.
    pub thaw: bool,
}
