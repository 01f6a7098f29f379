//! The arguments of `remuda sink` and `remuda load`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use remuda_sink::{
    Certificate, CloseAfter, DelayRule, DropRule, Limits, Login, ReplyRule, StallRule, parse_close_after,
    parse_delay, parse_drop, parse_duration, parse_limits, parse_login, parse_reply, parse_size, parse_stall,
    parse_tls,
};

/// `remuda sink`. COMMAND is connect, helo, starttls, auth, mail, rcpt, data, bdat, dot, rset or quit.
#[derive(Debug, Args)]
pub struct SinkArguments {
    /// A file that lists several listeners with different behaviour.
    #[arg(long, value_name = "FILE", conflicts_with = "behaviour")]
    pub config: Option<PathBuf>,
    /// How it behaves, on all of its addresses.
    #[command(flatten)]
    pub behaviour: Behaviour,
    /// Exit after so many messages.
    #[arg(long, value_name = "N")]
    pub messages: Option<u64>,
    /// Where the report goes at the end [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Put the SHA-256 of each message into the report.
    #[arg(long)]
    pub keep_digests: bool,
}

/// The behaviour of listeners.
#[derive(Debug, Args)]
#[group(id = "behaviour", multiple = true)]
pub struct Behaviour {
    /// Listen here (repeatable).
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2526")]
    pub listen: Vec<SocketAddr>,
    /// The name in greeting and EHLO.
    #[arg(long, value_name = "NAME", default_value = "sink.test")]
    pub hostname: String,
    /// Recipient domains that are accepted; others get 550.
    #[arg(long, value_name = "DOMAINS", value_delimiter = ',')]
    pub domains: Vec<String>,
    /// Replies wait one round trip from the first octet of a flight.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0s")]
    pub rtt: Duration,
    /// Wait before a reply: COMMAND=2s, or for a while: COMMAND=2s@20s..60s from the start (repeatable).
    #[arg(long, value_name = "COMMAND=TIME[@FROM..UNTIL]", value_parser = parse_delay)]
    pub delay: Vec<DelayRule>,
    /// Reply otherwise: 'rcpt=450 4.2.1 busy' (repeatable).
    #[arg(long, value_name = "COMMAND=REPLY", value_parser = parse_reply)]
    pub reply: Vec<ReplyRule>,
    /// Never answer there (repeatable).
    #[arg(long, value_name = "COMMAND", value_parser = parse_stall)]
    pub stall: Vec<StallRule>,
    /// Drop the connection there; COMMAND=reset with a reset (repeatable).
    #[arg(long, value_name = "COMMAND", value_parser = parse_drop)]
    pub drop: Vec<DropRule>,
    /// End a connection after N messages.
    #[arg(long, value_name = "N[:silent|:421|:452]", value_parser = parse_close_after)]
    pub close_after: Option<CloseAfter>,
    /// More connections get 421.
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// Do not offer PIPELINING.
    #[arg(long)]
    pub no_pipelining: bool,
    /// Do not offer CHUNKING.
    #[arg(long)]
    pub no_chunking: bool,
    /// Do not offer 8BITMIME.
    #[arg(long)]
    pub no_8bitmime: bool,
    /// Do not offer SMTPUTF8.
    #[arg(long)]
    pub no_smtputf8: bool,
    /// Do not offer DSN.
    #[arg(long)]
    pub no_dsn: bool,
    /// The largest content accepted.
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    pub size: Option<u64>,
    /// Announced and enforced: "MAILMAX=N RCPTMAX=N RCPTDOMAINMAX=N".
    #[arg(long, value_name = "LIMITS", value_parser = parse_limits)]
    pub limits: Option<Limits>,
    /// Offer STARTTLS, with a certificate of its own or one from two PEM files.
    #[arg(long, value_name = "self-signed|CERT:KEY", value_parser = parse_tls)]
    pub tls: Option<Certificate>,
    /// Begin with TLS instead of offering STARTTLS.
    #[arg(long, requires = "tls")]
    pub tls_implicit: bool,
    /// Take mail only from this user, after AUTH (repeatable).
    #[arg(long, value_name = "USER:PASSWORD", value_parser = parse_login)]
    pub auth: Vec<Login>,
}

/// `remuda load`.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// The server.
    #[arg(long, value_name = "HOST:PORT")]
    pub to: String,
    /// How many messages in all.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub messages: u64,
    /// How many sessions at the same time.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub sessions: usize,
    /// Octets of each message.
    #[arg(long, value_name = "BYTES", value_parser = parse_size, default_value = "4096")]
    pub size: u64,
    /// The sender; "" for the null sender.
    #[arg(long, value_name = "ADDR", default_value = "load@sender.test")]
    pub from: String,
    /// A recipient, or a file of them; message after message takes the next one (repeatable).
    #[arg(long, value_name = "ADDR|@FILE", default_value = "user@example.test")]
    pub rcpt: Vec<String>,
    /// A new connection for each message.
    #[arg(long)]
    pub reconnect: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}
