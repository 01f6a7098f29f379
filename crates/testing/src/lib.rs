//! What tests of several crates need: peers of the test's own, and one way to wait.
//!
//! # Contract
//! * **Everything listens on loopback**, on a port that the system chose.
//! * **Everything ends with its value**: servers stop, processes are killed, directories go.
//!
//! # Not here
//! Helpers that only one crate uses: they live with it.

pub mod dns;
