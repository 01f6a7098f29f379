//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Source;

/// Remuda, a mail transfer agent with a shared connection cache.
#[derive(Debug, Parser)]
#[command(name = "remuda", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the configuration: prints problems as FILE:LINE: KEY: message.
    Check(ConfigArguments),
}

/// Which configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArguments {
    /// Configuration file [default: ./remuda.toml if it is there, else the embedded default].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigArguments {
    /// Where the configuration comes from.
    pub fn source(&self) -> Source {
        Source::find(self.config.as_deref())
    }
}
