//! Whole scenarios: a real engine between real senders and scripted receivers, in one process on loopback.
//!
//! # Contract
//! * **Nothing here measures time.** A test waits for counts and states, and asserts counts and order.
//! * **Reduced by default**: with `REMUDA_SOAK` set, what is large is tried in full.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

mod backlog;
mod deaths;
mod digests;
mod duplicates;
mod endings;
mod flights;
mod gate;
mod hosts;
mod learned;
mod logged;
mod misbehaving;
mod operator;
mod overrides;
mod parked;
mod recipients;
mod reports;
mod restart;
mod seen;
mod tls;
mod world;
