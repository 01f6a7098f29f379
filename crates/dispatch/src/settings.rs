//! What of the configuration `dispatch` decides by.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use remuda_mail::{Facts, Protocol, Source, TlsLevel};

pub use crate::rules::level_of;

/// The limits and times of `[delivery]` and `[connection_cache]` (contract.md), one field a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `delivery.initial_concurrency`.
    pub initial_concurrency: u32,
    /// `delivery.concurrency`, per destination.
    pub concurrency: u32,
    /// `delivery.sessions`: busy or being opened, in all.
    pub sessions: u32,
    /// `delivery.sessions_per_endpoint`: busy or being opened.
    pub sessions_per_endpoint: u32,
    /// `delivery.recipients_per_transaction`.
    pub recipients_per_transaction: u32,
    /// `delivery.addresses_per_delivery`.
    pub addresses_per_delivery: u32,
    /// `delivery.endpoint_choice`.
    pub endpoint_choice: EndpointChoice,
    /// `delivery.pipeline_depth`: transactions under way on one session.
    pub pipeline_depth: u32,
    /// `delivery.minimal_backoff`.
    pub minimal_backoff: Duration,
    /// `delivery.maximal_backoff`.
    pub maximal_backoff: Duration,
    /// `limits.active_messages`: entries in memory in all.
    pub active_messages: usize,
    /// `delivery.helo_name`, or the hostname.
    pub helo_name: Arc<str>,
    /// `delivery.tls.level`, where no route and no rule says otherwise.
    pub tls_level: TlsLevel,
    /// `local.delivery` names an LMTP server: local mail goes there by sessions, as other mail does.
    pub is_local_by_lmtp: bool,
    /// `[[source]]`; none: the system chooses the address.
    pub sources: Vec<Arc<Source>>,
    /// `[[destination]]`.
    pub rules: Vec<Rule>,
    /// `[connection_cache]`.
    pub cache: CacheSettings,
    /// Seed of every random choice (shuffles, jitter).
    pub seed: u64,
}

/// How one of several equally preferred endpoints is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointChoice {
    /// By expected completion, on every message.
    #[default]
    Adaptive,
    /// The classical rule: at random, and where a session lies parked.
    Random,
}

/// `[connection_cache]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheSettings {
    /// `on_demand`.
    pub on_demand: bool,
    /// `destinations` that are always cached; "*" = all.
    pub destinations: BTreeSet<String>,
    /// `idle_time_limit`.
    pub idle_time_limit: Duration,
    /// `reuse_time_limit`, from before connect.
    pub reuse_time_limit: Duration,
    /// `reuse_count_limit`; 0 = none.
    pub reuse_count_limit: u32,
    /// `reuse_reply_timeout`: silence of a used session that is death.
    pub reuse_reply_timeout: Duration,
    /// `connections`: parked in all.
    pub connections: usize,
    /// `connections_per_endpoint`: parked.
    pub connections_per_endpoint: usize,
}

/// One `[[destination]]`: what is different for the destinations that it matches; None = as for all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// `match`.
    pub pattern: Pattern,
    /// `concurrency`: of each destination's window, and of all together that an `mx:` matches.
    pub concurrency: Option<u32>,
    /// `sessions_per_endpoint`.
    pub sessions_per_endpoint: Option<u32>,
    /// `rate`: of each destination, or of all together that an `mx:` matches.
    pub rate: Option<Rate>,
    /// `pipeline_depth`.
    pub pipeline_depth: Option<u32>,
    /// `reuse_count_limit`; 0 = none.
    pub reuse_count_limit: Option<u32>,
    /// `tls`: the level, where no route says otherwise.
    pub tls: Option<TlsLevel>,
}

/// What a rule matches; names in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// This next-hop.
    Domain(String),
    /// Next-hops whose name ends so; it begins with a dot.
    Domains(String),
    /// What is served best by this host (`mx:`).
    Host(String),
    /// What is served best by a host whose name ends so (`mx:.`); it begins with a dot.
    Hosts(String),
}

/// So many messages in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least one.
    pub messages: u32,
    /// A second, a minute or an hour.
    pub per: Duration,
}

impl Pattern {
    /// Answers whether it is of hosts: its concurrency and rate are shared by all that it matches.
    pub fn is_of_hosts(&self) -> bool {
        matches!(self, Pattern::Host(_) | Pattern::Hosts(_))
    }
}

impl Default for Pattern {
    /// What nothing matches.
    fn default() -> Self {
        Pattern::Domain(String::new())
    }
}

impl fmt::Display for Pattern {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Domain(name) | Pattern::Domains(name) => f.write_str(name),
            Pattern::Host(name) | Pattern::Hosts(name) => write!(f, "mx:{name}"),
        }
    }
}

/// Bound of [`Settings::pipeline_depth`]: each message in flight is repeated if its session dies.
pub const PIPELINE_DEPTH_MAX: u32 = 32;

impl Settings {
    /// Answers whether we would introduce ourselves from there like that today.
    pub(crate) fn is_ours(&self, facts: &Facts) -> bool {
        let mut sources = self.sources.iter();
        match facts.source {
            Some(address) => sources.any(|ours| ours.address == address && ours.helo_name == facts.helo_name),
            None => {
                let ip = facts.endpoint.ip().filter(|_| facts.protocol == Protocol::Smtp);
                let is_alike =
                    |ours: &Arc<Source>| ip.is_some_and(|ip| ip.is_ipv4() == ours.address.is_ipv4());
                facts.helo_name == self.helo_name && !sources.any(is_alike)
            }
        }
    }

    /// What of it the schedule goes by.
    pub(crate) fn schedule_limits(&self) -> remuda_schedule::Limits {
        remuda_schedule::Limits {
            initial_concurrency: self.initial_concurrency,
            concurrency_max: self.concurrency,
            active_max: self.active_messages.max(1),
            minimal_backoff: self.minimal_backoff,
            maximal_backoff: self.maximal_backoff,
            seed: self.seed,
        }
    }

    /// What of it the connection cache goes by.
    pub(crate) fn cache_limits(&self) -> remuda_connection_cache::Limits {
        remuda_connection_cache::Limits {
            sessions_max: self.cache.connections,
            sessions_per_endpoint_max: self.cache.connections_per_endpoint,
            idle_max: self.cache.idle_time_limit,
            reuse_max: self.cache.reuse_time_limit,
            reuse_count_max: self.cache.reuse_count_limit,
            seed: self.seed,
        }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings {
            on_demand: true,
            destinations: BTreeSet::new(),
            idle_time_limit: Duration::from_secs(2),
            reuse_time_limit: Duration::from_secs(300),
            reuse_count_limit: 0,
            reuse_reply_timeout: Duration::from_secs(5),
            connections: 1000,
            connections_per_endpoint: 50,
        }
    }
}

impl Default for Settings {
    /// The defaults of contract.md; the HELO name is for the caller to set.
    fn default() -> Self {
        Settings {
            initial_concurrency: 5,
            concurrency: 20,
            sessions: 500,
            sessions_per_endpoint: 20,
            recipients_per_transaction: 100,
            addresses_per_delivery: 5,
            endpoint_choice: EndpointChoice::Adaptive,
            pipeline_depth: 4,
            minimal_backoff: Duration::from_secs(300),
            maximal_backoff: Duration::from_secs(4000),
            active_messages: 20_000,
            helo_name: "localhost".into(),
            tls_level: TlsLevel::May,
            is_local_by_lmtp: false,
            sources: Vec::new(),
            rules: Vec::new(),
            cache: CacheSettings::default(),
            seed: 0,
        }
    }
}
