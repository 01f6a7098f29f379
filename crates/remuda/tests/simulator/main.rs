//! The simulator beside the engine: the same hosts, mail, settings and seed lead to the same decisions.
//!
//! The engine runs whole, under paused time, over streams in memory, against scripted hosts that take as long as
//! the modelled ones. What `dispatch` ordered in either is written as lines (`remuda_simulator::Log`): dials,
//! transactions, parking, ends and outcomes, each with its millisecond, session, host and message. All of them
//! have to be equal, up to the last outcome, in their order.
//!
//! # Contract
//! * **Lines are equal to the letter** where no two sessions are answered at one instant. Messages are numbered as
//!   they are first sent, because the spool gives their ids.
//! * **Where sessions are answered at one instant**, the order among them is the runtime's: then lines of one
//!   instant are compared by what is done at which host, and not by which session and message.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

mod equality;
mod peer;
mod shipped;
mod stage;
