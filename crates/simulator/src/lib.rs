//! The simulator: the real `dispatch` under modelled time, among modelled hosts.
//!
//! What a policy does to slow, dead and limiting hosts shows after hours and with many hosts; here it shows in
//! seconds. `dispatch` is the very code that the engine runs; the engine, the network and the clock around it are
//! models.
//!
//! ```text
//!   Scenario ──▶ Plan ──▶ Run ──▶ Figures ──▶ picture
//!                          │
//!                          └──▶ decision log
//! ```
//!
//! # Contract
//! * **The engine's decisions**: the same hosts, mail, settings and seed lead to the same commands as in the
//!   engine under paused time.
//! * **A seed replays a run.**
//! * **No clock, no network, no disk** but for a picture that is asked for.
//!
//! # Not here
//! Content, DNS, TLS and what is said on the wire; CPU and disk take no time. Flags and tables: the program.
//!
//! # Known faults
//! A host's time for a transaction does not grow with its load.

mod agenda;
mod draw;
mod figures;
mod log;
mod peers;
pub mod plan;
pub mod plot;
mod run;
pub mod scenario;
mod series;
mod sessions;
mod spool;
mod world;

pub use self::{
    figures::{Delay, Figures, HostFigures},
    log::Log,
    peers::{CONTENT_MAX, GREETING_MAX, MAIL_MAX},
    plan::Plan,
    run::Run,
    scenario::{Policy, Problem, Scenario},
    series::Series,
};
