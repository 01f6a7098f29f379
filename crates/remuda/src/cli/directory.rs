//! The command lines of the directory: objects, the object cache, resolution, files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ServerArguments;

/// `remuda domain` and its like.
#[derive(Debug, Args)]
pub struct ObjectArguments<F: Args> {
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// What to do.
    #[command(subcommand)]
    pub action: ObjectAction<F>,
}

/// `remuda list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// What to do.
    #[command(subcommand)]
    pub action: ListAction,
}

/// On which directory.
#[derive(Clone, Debug, Default, Args)]
pub struct PlaceArguments {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArguments,
    /// Work on the database of the configuration itself; servers that run hear of it from there.
    #[arg(long, global = true, conflicts_with_all = ["admin", "token_file"], help_heading = "Which server")]
    pub offline: bool,
}

/// What to do with objects.
#[derive(Debug, Subcommand)]
pub enum ObjectAction<F: Args> {
    /// Create one.
    Add {
        /// The domain, address, or pattern of a route.
        name: String,
        /// What it is.
        #[command(flatten)]
        fields: F,
    },
    /// Change what is named.
    Set {
        /// Which.
        name: String,
        /// Only if it still has this version.
        #[arg(long, value_name = "N")]
        version: Option<i64>,
        /// What changes.
        #[command(flatten)]
        fields: F,
    },
    /// Give it another name.
    Rename {
        /// Which.
        name: String,
        /// Its new name.
        new_name: String,
    },
    /// Remove it.
    Remove {
        /// Which.
        name: String,
        /// A domain with its addresses and other names.
        #[arg(long)]
        all: bool,
    },
    /// Show one.
    Show {
        /// Which.
        name: String,
    },
    /// List them in order of name.
    List {
        /// Only of this domain.
        #[arg(long)]
        domain: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// Go on behind this name (what the page before ended with).
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
    },
}

/// What to do with lists.
#[derive(Debug, Subcommand)]
pub enum ListAction {
    /// As with any object.
    #[command(flatten)]
    Object(ObjectAction<super::fields::ListFields>),
    /// Add members; who is one already stays one.
    AddMember {
        /// The list.
        name: String,
        /// Who.
        #[arg(required = true, value_name = "ADDRESS")]
        members: Vec<String>,
    },
    /// Take members out; who is none is no error.
    RemoveMember {
        /// The list.
        name: String,
        /// Who.
        #[arg(required = true, value_name = "ADDRESS")]
        members: Vec<String>,
    },
}

/// `remuda cache`.
#[derive(Debug, Args)]
pub struct CacheArguments {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArguments,
    /// What to do.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What to do with the object cache. A TYPE is domain, domain_alias, account, alias, list or route.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// Show what holds, what lies in it and how often it serves.
    Status,
    /// Set values until the configuration's change; they survive a restart.
    Set {
        /// TYPE.ttl=300s, TYPE.negative_ttl=10s, TYPE.size=10MiB; nothing behind = gives it back to the configuration.
        #[arg(required = true, value_name = "KEY=VALUE")]
        values: Vec<String>,
    },
    /// Switch it on.
    Enable,
    /// Switch it off: every look-up asks the database.
    Disable,
    /// Forget everything, all of a type, or one object.
    Clear {
        /// Of this type.
        r#type: Option<String>,
        /// Its name or id.
        key: Option<String>,
    },
    /// Show what lies in it under a key.
    Get {
        /// The type.
        r#type: String,
        /// The name or id.
        key: String,
    },
    /// Start the rates again.
    ResetStats,
}

/// `remuda resolve`.
#[derive(Debug, Args)]
pub struct ResolveArguments {
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// The recipient.
    pub address: String,
    /// The sender; "" for none.
    #[arg(long, value_name = "ADDR")]
    pub from: Option<String>,
}

/// `remuda import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// A file that ends with .csv, .json or .ndjson.
    pub file: PathBuf,
}

/// `remuda export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// A file that ends with .csv, .json or .ndjson; it is replaced.
    pub file: PathBuf,
    /// The hashes of accounts' passwords and the passwords of routes too.
    #[arg(long)]
    pub with_passwords: bool,
}
