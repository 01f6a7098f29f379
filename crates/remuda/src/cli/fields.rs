//! The fields of each kind of object as options.
//!
//! `none` takes a value away where an object may be without.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Of a domain.
#[derive(Debug, Default, Args)]
pub struct DomainFields {
    /// false: mail to it is refused.
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
    /// Who gets mail for addresses that do not exist, or none.
    #[arg(long, value_name = "ADDRESS")]
    pub catch_all: Option<String>,
    /// The largest message, such as 10MiB, or none.
    #[arg(long, value_name = "SIZE")]
    pub message_size: Option<String>,
    /// false: bob+anything is not bob's.
    #[arg(long, value_name = "BOOL")]
    pub plus_addressing: Option<bool>,
    /// What stands for the +.
    #[arg(long, value_name = "TEXT")]
    pub plus_separator: Option<String>,
    /// Accounts that it may have, or none for any number.
    #[arg(long, value_name = "N")]
    pub account_limit: Option<String>,
    /// Aliases that it may have, or none for any number.
    #[arg(long, value_name = "N")]
    pub alias_limit: Option<String>,
    /// Lists that it may have, or none for any number.
    #[arg(long, value_name = "N")]
    pub list_limit: Option<String>,
}

/// Of a domain alias.
#[derive(Debug, Default, Args)]
pub struct DomainAliasFields {
    /// The domain that it is another name of.
    #[arg(value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// false: mail to it is refused.
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
}

/// Of an account.
#[derive(Debug, Default, Args)]
pub struct AccountFields {
    /// false: mail to it is refused, and it cannot log in.
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
    /// The password is the first line of this file; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Nobody logs in.
    #[arg(long, conflicts_with = "password_file")]
    pub no_password: bool,
    /// What the mailbox may hold, such as 1GiB, or none for any size.
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<String>,
    /// Who else gets its mail, or none.
    #[arg(long, value_name = "ADDRESS")]
    pub forward: Option<String>,
    /// false: what is forwarded does not stay here.
    #[arg(long, value_name = "BOOL")]
    pub forward_keep: Option<bool>,
}

/// Of an alias.
#[derive(Debug, Default, Args)]
pub struct AliasFields {
    /// Who gets its mail; all of them.
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// false: mail to it is refused.
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
}

/// Of a list.
#[derive(Debug, Default, Args)]
pub struct ListFields {
    /// The members; all of them.
    #[arg(value_name = "MEMBER")]
    pub members: Vec<String>,
    /// Who may send.
    #[arg(long)]
    pub mode: Option<ModeArgument>,
    /// Who may send to an announcement list, or none.
    #[arg(long, value_name = "ADDRESS")]
    pub owner: Option<String>,
    /// true: only who has logged in may send.
    #[arg(long, value_name = "BOOL")]
    pub require_auth: Option<bool>,
    /// false: mail to it is refused.
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
}

/// Who may send to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArgument {
    /// Anybody.
    Public,
    /// Members.
    Membership,
    /// The owner.
    Announcement,
    /// Anybody of the list's domain.
    Domain,
}

/// Of a route.
#[derive(Debug, Default, Args)]
pub struct RouteFields {
    /// Where mail goes, as in the configuration; all of them.
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    /// true: the hosts' MX instead of their addresses.
    #[arg(long, value_name = "BOOL")]
    pub mx: Option<bool>,
    /// The least level of TLS; default: what [delivery.tls] says.
    #[arg(long)]
    pub tls: Option<TlsArgument>,
    /// One for each host.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub preference: Option<Vec<u16>>,
    /// Who we are to the hosts, or none.
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// The password is the first line of this file; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// No password.
    #[arg(long, conflicts_with = "password_file")]
    pub no_password: bool,
    /// false: it is not used.
    #[arg(long, value_name = "BOOL")]
    pub active: Option<bool>,
}

/// A level of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsArgument {
    /// What the configuration says.
    Default,
    /// Never.
    None,
    /// Where it is offered and works.
    May,
    /// Always.
    Encrypt,
    /// Always, and with the right host.
    Verify,
}
