//! The arguments of `remuda simulate`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, value_parser};
use remuda_simulator::{
    Policy,
    scenario::{
        Service,
        values::{COUNT_MAX, MESSAGES_MAX, duration},
    },
};

/// `remuda simulate`. Service times are written "50ms", "exponential 50ms", "uniform 10ms..90ms" or
/// "lognormal 50ms 0.5".
#[derive(Debug, Args)]
pub struct SimulateArguments {
    /// A scenario file; without one, equal hosts of which some are slow.
    #[arg(value_name = "SCENARIO")]
    pub scenario: Option<PathBuf>,
    /// How many hosts serve the one domain.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=COUNT_MAX.into()), conflicts_with = "scenario")]
    pub hosts: u32,
    /// How many of them are slow.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(0..=COUNT_MAX.into()), conflicts_with = "scenario")]
    pub slow: u32,
    /// What a transaction takes.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "50ms",
        conflicts_with = "scenario"
    )]
    pub service: Service,
    /// What a transaction with a slow host takes.
    #[arg(long, value_name = "TIME", default_value = "2s", conflicts_with = "scenario")]
    pub slow_service: Service,
    /// What a connect takes.
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = duration, conflicts_with = "scenario")]
    pub connect: Duration,
    /// Sessions at once [default: 10, or the scenario's].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=COUNT_MAX.into()))]
    pub sessions: Option<u32>,
    /// Messages in all [default: 10000, or the scenario's].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=MESSAGES_MAX.into()))]
    pub messages: Option<u32>,
    /// Of every random choice [default: 1, or the scenario's].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How hosts are chosen and sessions given up.
    #[arg(long, value_name = "POLICY", default_value = "all")]
    pub policy: PolicyArgument,
    /// Draw sessions over time into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Write every decision as a line; of one policy only.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which policies are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyArgument {
    /// Hosts at random; a session is given up after ten reuses.
    Count,
    /// Hosts at random; a session is given up after 300 s.
    Time,
    /// Hosts at random; sessions as the scenario says.
    Random,
    /// As the server does it.
    Adaptive,
    /// count, time and adaptive side by side.
    All,
}

impl PolicyArgument {
    /// The policies.
    pub fn policies(self) -> Vec<Policy> {
        match self {
            PolicyArgument::Count => vec![Policy::Count],
            PolicyArgument::Time => vec![Policy::Time],
            PolicyArgument::Random => vec![Policy::Random],
            PolicyArgument::Adaptive => vec![Policy::Adaptive],
            PolicyArgument::All => Policy::SIDE_BY_SIDE.to_vec(),
        }
    }
}
