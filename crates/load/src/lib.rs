//! An SMTP load generator: sends many messages over many sessions and measures each.
//!
//! ```no_run
//! # async fn example() -> Result<(), remuda_load::Error> {
//! use remuda_load::{Config, Message, Plan, run, run_with};
//!
//! let clock = remuda_clock::SystemClock::shared();
//! let config = Config { messages: 1000, sessions: 20, ..Config::to("127.0.0.1:2525") };
//! println!("{}", run(config.clone(), clock.clone()).await?);
//!
//! // The same with contents of the caller's own, and each outcome as it comes.
//! let plan = Plan::new(|index| Message {
//!     content: format!("X-Remuda-Test: {index}\r\n\r\nhello\r\n").into_bytes(),
//!     sender: "a@example.test".to_owned(),
//!     recipients: vec![format!("user{}@d{}.test", index, index % 12)],
//!     ..Message::default()
//! })
//! .observe(|outcome| assert!(outcome.is_accepted()));
//! run_with(config, plan, clock).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//! * **An independent instrument.** Nothing of the server is in it.
//! * **Every message has exactly one outcome**: accepted, or failed with the reason. No
//!   content is sent twice, so what the receiver has accepted is what got 2xx here, and perhaps what
//!   lost its final reply.
//! * **One message at a time a session**: it waits for the final reply before the next.
//! * **Commands go in one flight where PIPELINING is offered**, else one by one.
//!
//! # Not here
//! Arguments and output of the program `remuda load`; TLS and AUTH; retrying.

mod client;
mod config;
mod message;
mod report;
mod run;
mod session;

pub use config::{Config, Error, parse_recipients};
pub use message::{Message, Plan};
pub use report::{Latency, Outcome, Report, Result};
pub use run::{run, run_with};
