//! The engine: the shell around `dispatch` that talks to clients, servers, DNS and the spool.
//!
//! ```text
//!   receive ─▶ spool ─▶ actor ⇄ session      route, resolve: where a recipient goes
//!                        │                    reporting, report: who is told what
//!                        └─▶ local            operations, handle: what the operator sees
//! ```
//!
//! # Contract
//! * **It executes and decides nothing** about which message goes next, on which session, or when again:
//!   that is `remuda_dispatch`.
//! * **The modules that talk to the world do not know the actor**; it knows them.

mod accounts;
mod actor;
pub mod addressing;
pub mod admission;
mod engine;
mod handle;
pub mod local;
mod log;
pub mod metrics;
pub mod network;
pub mod operations;
mod parts;
pub mod receive;
pub mod report;
mod reporting;
pub mod resolve;
pub mod route;
pub mod session;
pub mod settings;
mod start_error;
pub mod tls;
mod vault;
mod watchdog;

pub use actor::Watch;
pub use engine::Engine;
pub use parts::{Opening, Parts};
pub use start_error::StartError;
