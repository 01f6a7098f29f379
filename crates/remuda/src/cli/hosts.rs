//! The command line of `remuda hosts`.

use clap::{Args, Subcommand, ValueEnum};

use remuda_mail::Endpoint;

use super::ServerArguments;

/// `remuda hosts`.
#[derive(Debug, Args)]
pub struct HostsArguments {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArguments,
    /// Only hosts in this state.
    #[arg(long)]
    pub state: Option<StateArgument>,
    /// How many at most, those in trouble first [default: 1000].
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What to do instead of showing them.
    #[command(subcommand)]
    pub action: Option<HostsAction>,
}

/// What to do with hosts.
#[derive(Debug, Subcommand)]
pub enum HostsAction {
    /// Forget what was learned of a host: pauses, speed and limits, whichever of our addresses they are of.
    Forget {
        /// ADDRESS:PORT or the path of a socket, as the list shows it.
        endpoint: Endpoint,
    },
}

/// A state of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArgument {
    /// Gets its share.
    Used,
    /// Others are more than twice as good: gets a trial from time to time.
    Slow,
    /// Has failed, and is not tried yet.
    Paused,
    /// A dial tries whether it is back.
    Trial,
}
