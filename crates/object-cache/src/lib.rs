//! The object cache: what the directory has read from its database, and what is known not to be there.
//!
//! Mail asks the same few questions again and again: is this domain ours, who is behind this address? The
//! cache answers them from memory, and yet no look-up after a change sees what was before it. It is the pure
//! part: it says *that* something is to be loaded and what becomes of it, and loads nothing itself.
//!
//! ```text
//!   look_up ─┬─▶ Hit, Absent                     one shard's read lock, no more
//!            └─▶ Load(ticket) │ Joined           the type's mutex: who waits for what
//!                   │ a query, by the caller
//!                   ▼
//!   finish(ticket) ─▶ kept, unless a change      invalidate, clear, disable: a number for each change,
//!                     came after its start ◀──── filed under the keys that it names
//! ```
//!
//! # Contract
//! * **A value read before a change is never kept after it** ([`Cache::invalidate`]), nor joined: whoever asks
//!   after the change was told gets a load that began after it.
//! * **An object is one entry under both its keys**, its id and its name; what removes one removes both.
//! * **Time counts from before the load**: what lies here is used while it is strictly younger than its TTL, the
//!   least one in force since it was loaded.
//! * **One load a key**, however many ask at once; also at the instant of expiry and beside a refresh.
//! * **Only the database's word makes an absence.** A load that failed is no answer: it is not kept, and stands
//!   in for nothing but a value within its window.
//! * **Memory is bounded by weight** at all times, values and absences apart; keys asked for once do not
//!   displace those in use.
//! * **A cache that is off does nothing**: it shares no load, keeps nothing, counts no hit and no miss.
//! * **Every waiter comes out again**: from [`Cache::finish`], or dropped with its [`Ticket`].
//! * **Callers invalidate after the commit and before the reply**, and name both names where a rename is
//!   possible ([`Change`]).
//!
//! # Not here
//! Queries, deadlines, tasks and how many loads run at once: `directory`. Normalisation of names: there too, so
//! that one object has one name here. What a stale answer may decide: whoever asks.
//!
//! # Limits
//! [`Limits`] bounds octets; [`WAITING_MAX`] bounds loads under way. Both are of one type of object.

mod answer;
mod backoff;
mod cache;
mod consistency;
mod counts;
mod entry;
mod flights;
mod generations;
mod ghost;
mod hasher;
mod index;
mod keeping;
mod key;
mod limits;
mod residents;
mod state;
mod statistics;
mod sync;
#[cfg(test)]
mod tests;
mod ticket;

pub use crate::{
    answer::{Answer, Finished, Loaded, LookUp, Peeked},
    cache::Cache,
    flights::WAITING_MAX,
    key::{Change, Key, KeyRef},
    limits::Limits,
    statistics::{
        Cause, Evictions, Flushes, Gauges, Invalidations, Lookups, Rejected, SinceReset, Source, Statistics,
    },
    ticket::Ticket,
};

/// An object that can lie in the cache. It never changes; a new state is a new value.
pub trait Cached: Send + Sync + 'static {
    /// Its number in the database.
    fn id(&self) -> i64;

    /// Its normalised name or address, unique within its type.
    fn name(&self) -> &str;

    /// The row's version, which only grows; the same always, where a type has none.
    fn version(&self) -> i64;

    /// Octets of the object with all that it owns.
    fn weight(&self) -> usize;
}
