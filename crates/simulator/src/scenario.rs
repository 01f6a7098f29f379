//! A scenario: hosts, the domains that they serve, the mail, and what of the configuration decides.
//!
//! ```text
//!   [[host]]  groups of modelled hosts, each with its phases
//!   [[domain]] groups of domains ──served by──▶ groups or single hosts
//!   [mail]    how many messages, and how they come
//!   [policy]  what of [delivery] and [connection_cache] is not as usual
//! ```
//!
//! # Contract
//! * **A file is read strictly**: an unknown key or an impossible value is an error.
//! * **A problem names line and key**, and what would be right.
//! * **The defaults are those of the program.**
//!
//! # Not here
//! Which addresses and names the hosts have, and who serves whom: [`Plan`](crate::plan::Plan).

mod policy;
mod problem;
pub mod values;

use std::{ops::Range, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use self::values::{de_count, de_duration, de_size, de_some_count, de_some_duration};
pub use self::{
    policy::{Policy, PolicySettings},
    problem::Problem,
    values::Service,
};
use crate::plan::Plan;

/// A whole scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Of every random choice.
    #[serde(default)]
    pub seed: u64,
    /// When to stop, whatever is left.
    #[serde(default, deserialize_with = "de_some_duration")]
    pub duration: Option<Duration>,
    /// The hosts.
    #[serde(rename = "host")]
    pub hosts: Vec<HostGroup>,
    /// The domains.
    #[serde(rename = "domain")]
    pub domains: Vec<DomainGroup>,
    /// The mail.
    pub mail: Mail,
    /// The configuration.
    #[serde(default)]
    pub policy: PolicySettings,
}

/// Hosts that are alike: `[[host]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostGroup {
    /// Of the group; of several its members are `name-1`, `name-2`, ….
    pub name: Spanned<String>,
    /// How many.
    #[serde(default = "one", deserialize_with = "de_count")]
    pub count: u32,
    /// For a transaction.
    pub service: Service,
    /// From the dial to the connection.
    #[serde(default, deserialize_with = "de_duration")]
    pub connect: Duration,
    /// From the connection to the greeting.
    #[serde(default, deserialize_with = "de_duration")]
    pub greeting: Duration,
    /// Connections that it takes at once; one more gets 421.
    #[serde(default, deserialize_with = "de_some_count")]
    pub session_limit: Option<u32>,
    /// It closes a connection after so many transactions.
    #[serde(default, deserialize_with = "de_some_count")]
    pub close_after: Option<u32>,
    /// What it does at first.
    #[serde(default)]
    pub state: HostState,
    /// What changes, in order of time.
    #[serde(default, rename = "phase")]
    pub phases: Vec<Spanned<Phase>>,
}

/// What a host does from a time on: `[[host.phase]]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// From when on.
    #[serde(deserialize_with = "de_duration")]
    pub at: Duration,
    /// For a transaction; None: as at first.
    pub service: Option<Service>,
    /// What it does.
    #[serde(default)]
    pub state: HostState,
}

/// What a host does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Takes mail.
    #[default]
    Works,
    /// Refuses connections.
    Refuses,
    /// Completes no connection.
    NeverConnects,
    /// Takes connections and does not greet.
    NeverGreets,
    /// Answers 450 to every MAIL, after the service time.
    Defers,
}

/// Domains that are alike: `[[domain]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainGroup {
    /// Of several they are `name-1.test`, ….
    pub name: Spanned<String>,
    /// How many.
    #[serde(default = "one", deserialize_with = "de_count")]
    pub count: u32,
    /// Groups of hosts, or single ones.
    pub hosts: Vec<Spanned<String>>,
    /// Of each of `hosts`, the least first; empty: all alike.
    #[serde(default)]
    pub preference: Vec<u16>,
    /// So many of all these hosts, others for each domain; None: all.
    #[serde(default, deserialize_with = "de_some_count")]
    pub choose: Option<u32>,
}

/// The mail: `[mail]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "WrittenMail")]
pub struct Mail {
    /// In all.
    pub messages: u32,
    /// Octets of each.
    pub size: u64,
    /// How they come.
    pub arrival: Arrival,
    /// How long the spool takes to record outcomes.
    pub commit_time: Duration,
}

/// How messages come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// They lie in the spool when it begins.
    AtOnce,
    /// So many a second on average, at random times.
    Rate(f64),
    /// So many are under way; when one has been tried, the next one comes.
    Senders(u32),
}

/// `[mail]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMail {
    #[serde(deserialize_with = "values::de_messages")]
    messages: u32,
    #[serde(default = "four_kib", deserialize_with = "de_size")]
    size: u64,
    rate: Option<f64>,
    #[serde(default, deserialize_with = "de_some_count")]
    senders: Option<u32>,
    #[serde(default, deserialize_with = "de_duration")]
    commit_time: Duration,
}

impl TryFrom<WrittenMail> for Mail {
    type Error = &'static str;

    fn try_from(written: WrittenMail) -> Result<Self, Self::Error> {
        let arrival = match (written.rate, written.senders) {
            (None, None) => Arrival::AtOnce,
            (Some(rate), None) if (RATE_MIN..=RATE_MAX).contains(&rate) => Arrival::Rate(rate),
            (Some(_), None) => return Err("rate is not within 0.001 to 1000000 messages a second"),
            (None, Some(senders)) => Arrival::Senders(senders),
            (Some(_), Some(_)) => return Err("write rate or senders, not both"),
        };
        Ok(Mail {
            messages: written.messages,
            size: written.size,
            arrival,
            commit_time: written.commit_time,
        })
    }
}

impl Scenario {
    /// Reads a scenario and lays out what it describes.
    ///
    /// # Errors
    /// The first problem.
    pub fn parse(text: &str) -> Result<(Scenario, Plan), Problem> {
        let read = |text| -> Result<Scenario, Problem> {
            let deserializer =
                toml::Deserializer::parse(text).map_err(|error| Problem::syntax(text, &error))?;
            serde_path_to_error::deserialize(deserializer).map_err(|error| Problem::value(text, error))
        };
        let scenario = read(text)?;
        let plan = Plan::new(&scenario).map_err(|fault| Problem::fault(text, fault))?;
        Ok((scenario, plan))
    }
}

/// A value that does not go with the others, found when the parts are put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Fault {
    /// Where in the text.
    pub span: Range<usize>,
    /// The key with its section.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

fn one() -> u32 {
    1
}

fn four_kib() -> u64 {
    4096
}

const RATE_MIN: f64 = 0.001;
const RATE_MAX: f64 = 1_000_000.0;

#[cfg(test)]
mod tests;
