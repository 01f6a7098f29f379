//! The SMTP language: its grammar, its two state machines and its time limits, without I/O.
//!
//! ```text
//!   octets ─▶ reply ─▶ client ─▶ octets          octets ─▶ server ─▶ octets, events
//! ```
//!
//! # Contract
//! * **Sans-I/O.** Octets and events in, octets and decisions out; no socket, no clock, no task. The shell
//!   asks [`deadlines`] how long it may wait.
//! * **Memory is bounded** against whatever the other side sends.
//!
//! # Not here
//! Values of mail: `remuda_mail`. Sockets, TLS, timers: the engine. What to retry: `dispatch`.

mod base64;
pub mod client;
pub mod deadlines;
pub mod dot;
pub mod reply;
pub mod server;
