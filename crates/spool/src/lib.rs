//! The spool: the durable store of messages, on SQLite.
//!
//! A message is content, an envelope and one *entry* for each destination that some of its recipients go
//! to. Entries are what is scheduled, retried and settled; the message goes with its last one. Writes of
//! everybody are put into one commit at a time, so that one sync answers many clients:
//!
//! ```text
//!   store ─┐                ┌─ commit n ──────────────┐
//!   settle ┼─▶ write queue ─┤ what waited when n − 1  ├─▶ answers, then the next commit
//!   verbs ─┘                └─ ended, in one sync ────┘
//!   content > 256 KiB ─▶ spool/ID, synced by the session's own task before its row commits
//! ```
//!
//! # Contract
//! * **What was answered is on disk.** `store`, `settle` and every verb return after their commit.
//! * **One process.** A second one gets [`Error::InUse`], before it reads anything.
//! * **Nothing half accepted.** A `store` that fails leaves nothing behind, now or after a restart.
//! * **A settlement is not lost while the process lives**: it is tried again until the disk takes it.
//! * **It recovers by itself** from a full disk, a failing sync, a read-only file system.
//! * **Nothing is held between calls**: no read transaction, no lock, whatever the caller does meanwhile.
//! * **Callers are inside a tokio runtime**, whose blocking threads do the work.
//!
//! # Not here
//! Which entry is delivered when (`dispatch`), what a report says (the engine), when to refuse mail
//! before the spool has to (admission; [`Health`] is its input).
//!
//! # Limits
//! Writes waiting: [`Options::write_queue_max`] octets, then [`Error::Overloaded`]. Fresh content:
//! [`Options::queue_memory`] octets, oldest evicted. Content in memory while it comes: 256 KiB a message.
//!
//! # Known faults
//! A content file that a crash left behind stays until the next start. A large content whose own file cannot
//! be written or synced is refused alone: [`Health`] speaks of the database only, whose next commit shows
//! whether the disk is to blame.

mod admin;
mod apply;
mod browse;
mod checkpoint;
mod claims;
mod codec;
mod content;
mod error;
mod files;
mod fresh;
mod health;
mod metrics;
pub mod model;
mod pace;
mod queue;
mod read;
mod readers;
mod schema;
mod settle;
mod shared;
mod spool;
mod transaction;
mod writer;

pub use admin::{Changed, Selection, Verb};
pub use browse::{AGE_BUCKETS, AgeRow, Filter, Listed, Shown, ShownEntry};
pub use claims::Claim;
pub use content::{CONTENT_IN_ROW_MAX, Content, ContentReader, ContentWriter};
pub use error::Error;
pub use health::Health;
pub use metrics::Metrics;
pub use model::{
    Attempt, Considered, NewEntry, NewMessage, Origin, Pending, Queued, Readdressed, Reroute, Settled,
    Settlement, State,
};
pub use pace::Expected;
pub use read::{Backlog, Heads, Notices};
pub use spool::{Options, Spool};
