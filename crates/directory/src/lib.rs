//! The directory: domains, accounts, aliases, lists and routes, answered from memory and never wrong after a
//! change.
//!
//! Objects lie in a database ([`store`]: SQLite or PostgreSQL, one behaviour). In front of it stands the object
//! cache (`remuda_object_cache`), whose loading tasks are here. What a recipient's address means is found by
//! resolution.
//!
//! # Contract
//! * **A database failure is never "no such user"**: look-ups answer found, not found or unavailable.
//! * **A change that has returned is seen by every later look-up.**
//! * **One spelling**: addresses and domains are folded by one function on save and on look-up ([`name`]).
//!
//! # Not here
//! The cache's rules (`remuda_object_cache`), SMTP replies and local delivery (`engine`), HTTP (`admin`).

mod breaker;
pub mod bulk;
mod caches;
pub mod control;
pub mod credentials;
pub mod directory;
pub mod edit;
pub mod found;
pub mod load_times;
mod loader;
pub mod model;
pub mod name;
mod ours;
pub mod resolve;
pub mod store;
pub mod switches;
mod whose;

pub use caches::Shelved;
pub use directory::Directory;

#[cfg(test)]
mod tests;
