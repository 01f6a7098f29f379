//! The command line.

mod directory;
pub mod fields;
mod hosts;
mod simulate;
mod tools;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Source;
pub use directory::{
    CacheAction, CacheArguments, ExportArguments, ImportArguments, ListAction,
    ListArguments as MailingListArguments, ObjectAction, ObjectArguments, PlaceArguments, ResolveArguments,
};
use fields::{AccountFields, AliasFields, DomainAliasFields, DomainFields, RouteFields};
pub use hosts::{HostsAction, HostsArguments, StateArgument};
pub use simulate::{PolicyArgument, SimulateArguments};
pub use tools::{Behaviour, LoadArguments, SinkArguments};

/// Remuda, a mail transfer agent with a shared connection cache.
#[derive(Debug, Parser)]
#[command(name = "remuda", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server in the foreground.
    Serve(ConfigArguments),
    /// Check the configuration: prints problems as FILE:LINE: KEY: message.
    Check(ConfigArguments),
    /// The queue of the running server.
    Queue(QueueArguments),
    /// The outbound sessions of the running server, cached ones and those in use.
    Connections(ConnectionsArguments),
    /// What the running server remembers of hosts: how fast, what they allow, which are slow or dead.
    Hosts(HostsArguments),
    /// Domains whose mail is kept here.
    Domain(ObjectArguments<DomainFields>),
    /// Other names of domains.
    DomainAlias(ObjectArguments<DomainAliasFields>),
    /// Mailboxes that can log in.
    Account(ObjectArguments<AccountFields>),
    /// Addresses that stand for others.
    Alias(ObjectArguments<AliasFields>),
    /// Addresses that stand for their members, with rules of who may send.
    List(MailingListArguments),
    /// Where mail for a domain goes.
    Route(ObjectArguments<RouteFields>),
    /// The object cache of the running server.
    Cache(CacheArguments),
    /// Show what becomes of mail to an address, step by step.
    Resolve(ResolveArguments),
    /// Store the objects of a file, or none of them.
    Import(ImportArguments),
    /// Write all objects into a file.
    Export(ExportArguments),
    /// Show on loopback, within seconds, what the connection cache does.
    Demo {
        /// Stay when all is shown, with mail going on, until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Submit a message from standard input, as other programs expect of sendmail.
    #[command(disable_help_flag = true, after_help = SENDMAIL_OPTIONS)]
    Sendmail {
        /// As sendmail takes them, below.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Generate SMTP load; prints messages/s and latency percentiles.
    Load(LoadArguments),
    /// A scripted SMTP receiver; its report is JSON.
    Sink(Box<SinkArguments>),
    /// What a policy does to slow, dead and limiting hosts: the decisions of the server under modelled time.
    Simulate(Box<SimulateArguments>),
}

/// What `remuda sendmail` understands; `remuda help sendmail` and `sendmail --help` print it.
pub const SENDMAIL_OPTIONS: &str = "\
Options as sendmail takes them:
  RCPT…            Recipients
  -t               Recipients from To, Cc and Bcc of the header too
  -f FROM, -r FROM The sender; \"\" or \"<>\" for none [default: the user at hostname]
  -F NAME          The full name of a From that is missing
  -i, -oi          A line with a dot alone does not end the message
  -N WHEN          Reports: never, or some of success,failure,delay
  -R full|hdrs     What a bounce returns
  -V ENVID         What reports name the message with
  -bp              List the queue, as remuda queue list
  -q               Try everything now, as remuda queue retry --all
  --config FILE    The server's configuration [default: as remuda serve]
Other options of sendmail that mean nothing here are accepted.
Exit codes: 0 accepted, 64 usage, 75 the server cannot take it now, 1 refused.";

/// Which configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArguments {
    /// Configuration file [default: ./remuda.toml if it is there, else the embedded default].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

impl ConfigArguments {
    /// Where the configuration comes from.
    pub fn source(&self) -> Source {
        Source::find(self.config.as_deref())
    }
}

/// Which server, and how to print.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArguments {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArguments,
    /// The server's admin address [default: admin.address of the configuration].
    #[arg(long, value_name = "URL", global = true, help_heading = "Which server")]
    pub admin: Option<String>,
    /// File with the token [default: admin.token_file of the configuration].
    #[arg(long, value_name = "FILE", global = true, help_heading = "Which server")]
    pub token_file: Option<PathBuf>,
    /// Print JSON as the server sends it.
    #[arg(long, global = true)]
    pub json: bool,
}

/// `remuda queue`.
#[derive(Debug, Args)]
pub struct QueueArguments {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArguments,
    /// What to do.
    #[command(subcommand)]
    pub action: QueueAction,
}

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueAction {
    /// List waiting messages, oldest first.
    List(ListArguments),
    /// Show one message with its last attempts.
    Show {
        /// The queue id.
        id: String,
    },
    /// A table: destination by age.
    Summary,
    /// Try now, also where a destination is suspended.
    Retry(Which),
    /// Keep until released.
    Hold(Which),
    /// End a hold.
    Release(Which),
    /// Remove, without a report to the sender.
    Delete(Which),
}

/// What to list.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only for this destination.
    #[arg(long)]
    pub destination: Option<String>,
    /// Only from this sender; "" for reports.
    #[arg(long)]
    pub sender: Option<String>,
    /// Only in this state.
    #[arg(long)]
    pub status: Option<StatusArgument>,
    /// How many at most.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// Go on behind this entry (what the page before ended with).
    #[arg(long)]
    pub after: Option<u64>,
}

/// A state of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusArgument {
    /// Not tried yet.
    Queued,
    /// Tried, and waiting for the next attempt.
    Deferred,
    /// On hold.
    Held,
}

/// Which messages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Queue ids.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All for this destination, as the summary names it; but to delete, its hosts or one of them will do.
    #[arg(long)]
    pub destination: Option<String>,
    /// The whole queue.
    #[arg(long)]
    pub all: bool,
}

/// `remuda connections`.
#[derive(Debug, Args)]
pub struct ConnectionsArguments {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArguments,
    /// The statistics of the connection cache instead.
    #[arg(long)]
    pub stats: bool,
    /// With --stats: the figures of each destination or endpoint, the busiest first.
    #[arg(long, value_name = "WHAT", requires = "stats")]
    pub by: Option<ByArgument>,
    /// With --by: how many one by one; the others are summed up.
    #[arg(long, value_name = "N", requires = "by")]
    pub limit: Option<usize>,
    /// Only for this destination.
    #[arg(long, conflicts_with = "stats")]
    pub destination: Option<String>,
    /// Only to this ADDRESS:PORT, or path of a socket.
    #[arg(long, conflicts_with = "stats")]
    pub endpoint: Option<String>,
}

/// What figures are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByArgument {
    /// By destination.
    Destination,
    /// By endpoint.
    Endpoint,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_help_page() {
        use clap::error::ErrorKind;
        for name in [
            "serve",
            "check",
            "queue",
            "queue list",
            "connections",
            "hosts",
            "hosts forget",
            "domain",
            "domain add",
            "domain-alias set",
            "account rename",
            "alias remove",
            "list show",
            "list add-member",
            "route list",
            "cache",
            "cache set",
            "resolve",
            "import",
            "export",
            "demo",
            "sendmail",
            "load",
            "sink",
            "simulate",
        ] {
            let words = ["remuda", "help"].into_iter().chain(name.split(' '));
            let error = Arguments::try_parse_from(words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{name}");
        }
    }

    #[test]
    fn a_line_is_understood_or_refused() {
        for (line, is_sound) in [
            ("remuda queue retry A B", true),
            ("remuda queue retry --destination a.test", true),
            ("remuda queue delete --all", true),
            ("remuda queue delete", false),
            ("remuda queue delete A --all", false),
            ("remuda queue list --json --admin http://127.0.0.1:1", true),
            ("remuda queue --json list", true),
            ("remuda queue list --status lost", false),
            ("remuda sendmail -t -oi -f a@b.test", true),
            ("remuda sendmail -- a@b.test", true),
            ("remuda queue list --config a.toml", true),
            ("remuda queue --config a.toml delete A", true),
            ("remuda connections --config a.toml", true),
            ("remuda connections --stats --by endpoint --limit 5", true),
            ("remuda hosts --state paused --limit 5 --json", true),
            ("remuda hosts --json forget 192.0.2.1:25", true),
            ("remuda hosts forget [2001:db8::1]:25 --config a.toml", true),
            ("remuda hosts --state dead", false),
            ("remuda hosts forget", false),
            ("remuda hosts forget mx.a.test", false),
            ("remuda hosts forget 192.0.2.1:25 --limit 5", false),
            (
                "remuda domain add a.test --catch-all x@a.test --active false --json",
                true,
            ),
            ("remuda domain add", false),
            ("remuda domain --offline remove a.test --all", true),
            ("remuda domain --offline --admin http://127.0.0.1:1 list", false),
            ("remuda domain-alias add b.test a.test", true),
            ("remuda account add a@a.test --password-file - --quota 1GiB", true),
            ("remuda account add a@a.test --password secret", false),
            ("remuda account set a@a.test --no-password --version 7", true),
            (
                "remuda account set a@a.test --no-password --password-file -",
                false,
            ),
            ("remuda alias set x@a.test a@a.test b@b.test", true),
            (
                "remuda list add l@a.test a@a.test --mode announcement --owner a@a.test",
                true,
            ),
            ("remuda list add-member l@a.test b@b.test c@c.test", true),
            ("remuda list add-member l@a.test", false),
            ("remuda list rename l@a.test m@a.test", true),
            (
                "remuda route add .a.test [::1]:25 mx.b.test --preference 10,20 --tls verify",
                true,
            ),
            ("remuda route list --limit 5 --after a.test", true),
            ("remuda cache set account.ttl=300s list.size=1MiB", true),
            ("remuda cache set", false),
            ("remuda cache clear account a@a.test", true),
            ("remuda cache get account", false),
            ("remuda cache reset-stats --json", true),
            ("remuda resolve a@a.test --from b@b.test", true),
            ("remuda import a.csv --offline", true),
            ("remuda export a.json --with-passwords", true),
            ("remuda connections --by endpoint", false),
            ("remuda connections --stats --limit 5", false),
        ] {
            assert_eq!(
                Arguments::try_parse_from(line.split(' ')).is_ok(),
                is_sound,
                "{line}"
            );
        }
    }
}
