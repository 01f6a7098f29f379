//! The directory as a whole, over a real database: what addresses mean, who logs in, what the cache
//! does under an operator's hand.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod attacks;
mod control;
mod files;
mod logins;
mod resolution;
mod world;
