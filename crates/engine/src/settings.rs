//! The engine's configuration: what `remuda.toml` says, checked and typed.
//!
//! The program reads the file (`remuda::config`), names line and key of what is wrong, and builds this.
//! Every field is a key of contract.md; defaults are there.

mod listener;
mod local;
mod network;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use remuda_mail::{
    Address, Credentials, HopLogin, HopPolicy, HostPort, Names, Protocol, Source, TlsLevel, TlsMode,
};

pub use local::{LmtpServer, LocalDelivery, Template, TemplateError};
pub use network::Network;

pub use listener::{Listener, ListenerTls, PemFiles, Role};

/// Everything that the engine is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `hostname`.
    pub hostname: Arc<str>,
    /// `data_dir`.
    pub data_dir: PathBuf,
    /// `postmaster`; None = the Maildir `mail/postmaster` under `data_dir`.
    pub postmaster: Option<Address>,
    /// `[[listener]]`.
    pub listeners: Vec<Listener>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[relay]`.
    pub relay: Relay,
    /// `[dns].servers`; empty = the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// `[[route]]`.
    pub routes: Vec<Route>,
    /// `[[destination]]`.
    pub destinations: Vec<remuda_dispatch::settings::Rule>,
    /// `[[source]]`.
    pub sources: Vec<Arc<Source>>,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `local.delivery`.
    pub local: LocalDelivery,
    /// `[connection_cache]`.
    pub connection_cache: remuda_dispatch::settings::CacheSettings,
    /// `connection_cache.status_update_time`.
    pub status_update_time: Duration,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `message_size`, octets.
    pub message_size: u64,
    /// `recipients_per_message`.
    pub recipients_per_message: usize,
    /// `sessions`: inbound in all.
    pub sessions: usize,
    /// `sessions_per_client`.
    pub sessions_per_client: usize,
    /// `queue_memory`, octets: bodies kept for the first attempt.
    pub queue_memory: u64,
    /// `active_messages`.
    pub active_messages: usize,
    /// `min_free_disk`, octets.
    pub min_free_disk: u64,
    /// `memory`, octets; None = half of the machine's or the cgroup's.
    pub memory: Option<u64>,
}

/// `[relay]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// `networks`: clients that may send anywhere.
    pub networks: Vec<Network>,
    /// `bare_newline`, for clients in `networks`.
    pub bare_newline: BareNewline,
}

/// What becomes of a bare CR or LF in content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// Stored as CRLF.
    Normalize,
    /// Refused after the real end of the data.
    Reject,
}

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `domain`.
    pub domain: RouteDomain,
    /// `hosts`, with `preference`.
    pub hosts: Arc<[HostPort]>,
    /// `mx`.
    pub mx: bool,
    /// `accept`: mail for this domain is taken from anyone.
    pub accept: bool,
    /// `tls`; None: what `[delivery.tls]` says.
    pub tls: Option<TlsLevel>,
    /// `tls_mode`.
    pub tls_mode: TlsMode,
    /// `tls_names`.
    pub tls_names: Names,
    /// `username` and what belongs to it.
    pub login: Option<Login>,
}

/// `username`, `password_file` and `auth_in_clear` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What is said.
    pub credentials: Credentials,
    /// `auth_in_clear`: also without TLS.
    pub in_clear: bool,
}

impl Route {
    /// To these hosts as everybody goes to them: nothing is said of TLS, nobody logs in.
    pub fn new(domain: RouteDomain, hosts: Arc<[HostPort]>) -> Self {
        Route {
            domain,
            hosts,
            mx: false,
            accept: false,
            tls: None,
            tls_mode: TlsMode::default(),
            tls_names: Names::default(),
            login: None,
        }
    }

    /// What it says about TLS and AUTH.
    pub fn policy(&self) -> HopPolicy {
        HopPolicy {
            protocol: Protocol::Smtp,
            tls: self.tls,
            tls_mode: self.tls_mode,
            tls_names: self.tls_names.clone(),
            login: self.login.as_ref().map(|login| HopLogin {
                username: login.credentials.username.clone(),
                credentials: crate::vault::id(&login.credentials),
                in_clear: login.in_clear,
                route: None,
            }),
        }
    }
}

/// `[delivery.tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `level`.
    pub level: TlsLevel,
    /// `ca_file`; None: the system's trust store.
    pub ca_file: Option<PathBuf>,
}

/// Which domains a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteDomain {
    /// This one.
    Exact(remuda_mail::Domain),
    /// Names below this one (`.example.net`).
    Subdomains(remuda_mail::Domain),
    /// Everything else (`*`).
    Any,
}

/// `[delivery]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// `smtp_port`.
    pub smtp_port: u16,
    /// `initial_concurrency`.
    pub initial_concurrency: u32,
    /// `concurrency`.
    pub concurrency: u32,
    /// `sessions`.
    pub sessions: u32,
    /// `sessions_per_endpoint`.
    pub sessions_per_endpoint: u32,
    /// `recipients_per_transaction`.
    pub recipients_per_transaction: u32,
    /// `endpoint_choice`.
    pub endpoint_choice: remuda_dispatch::settings::EndpointChoice,
    /// `pipeline_depth`: messages in flight on one session; 1 = wait for each.
    pub pipeline_depth: u32,
    /// `addresses_per_delivery`.
    pub addresses_per_delivery: u32,
    /// `delay_warning`; None = off.
    pub delay_warning: Option<Duration>,
    /// `allow_loopback`.
    pub allow_loopback: bool,
    /// `minimal_backoff`.
    pub minimal_backoff: Duration,
    /// `maximal_backoff`.
    pub maximal_backoff: Duration,
    /// `queue_lifetime`.
    pub queue_lifetime: Duration,
    /// `bounce_lifetime`.
    pub bounce_lifetime: Duration,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
    /// `helo_name`, or the hostname.
    pub helo_name: Arc<str>,
    /// `[delivery.tls]`.
    pub tls: Tls,
}

impl Settings {
    /// The defaults of contract.md for a host of this name: no listener, no route.
    pub fn defaults(hostname: &str) -> Self {
        let hostname: Arc<str> = hostname.into();
        Settings {
            data_dir: PathBuf::from("./remuda-data"),
            postmaster: None,
            listeners: Vec::new(),
            limits: Limits::default(),
            relay: Relay::default(),
            dns_servers: Vec::new(),
            routes: Vec::new(),
            destinations: Vec::new(),
            sources: Vec::new(),
            delivery: Delivery::defaults(&hostname),
            local: LocalDelivery::default(),
            connection_cache: remuda_dispatch::settings::CacheSettings::default(),
            status_update_time: Duration::from_secs(600),
            hostname,
        }
    }

    /// Answers whether a client at `ip` may send anywhere.
    pub fn is_relay_client(&self, ip: std::net::IpAddr) -> bool {
        self.relay.networks.iter().any(|network| network.contains(ip))
    }

    /// What `dispatch` decides by.
    pub fn dispatch(&self, seed: u64) -> remuda_dispatch::settings::Settings {
        remuda_dispatch::settings::Settings {
            initial_concurrency: self.delivery.initial_concurrency,
            concurrency: self.delivery.concurrency,
            sessions: self.delivery.sessions,
            sessions_per_endpoint: self.delivery.sessions_per_endpoint,
            recipients_per_transaction: self.delivery.recipients_per_transaction,
            addresses_per_delivery: self.delivery.addresses_per_delivery,
            endpoint_choice: self.delivery.endpoint_choice,
            pipeline_depth: self.delivery.pipeline_depth,
            minimal_backoff: self.delivery.minimal_backoff,
            maximal_backoff: self.delivery.maximal_backoff,
            active_messages: self.limits.active_messages,
            helo_name: self.delivery.helo_name.clone(),
            tls_level: self.delivery.tls.level,
            is_local_by_lmtp: self.local.lmtp().is_some(),
            sources: self.sources.clone(),
            rules: self.destinations.clone(),
            cache: self.connection_cache.clone(),
            seed,
        }
    }
}

impl Default for Settings {
    /// The defaults for a host without a name.
    fn default() -> Self {
        Settings::defaults("localhost")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_size: 50 * MIB,
            recipients_per_message: 1000,
            sessions: 1000,
            sessions_per_client: 50,
            queue_memory: 256 * MIB,
            active_messages: 20_000,
            min_free_disk: 256 * MIB,
            memory: None,
        }
    }
}

impl Default for Relay {
    /// This machine only.
    fn default() -> Self {
        let network = |address: std::net::IpAddr, prefix| Network { address, prefix };
        Relay {
            networks: vec![
                network([127, 0, 0, 0].into(), 8),
                network(std::net::Ipv6Addr::LOCALHOST.into(), 128),
            ],
            bare_newline: BareNewline::Normalize,
        }
    }
}

impl Delivery {
    /// The defaults of contract.md, introducing ourselves as `helo_name`.
    pub fn defaults(helo_name: &Arc<str>) -> Self {
        let window = remuda_dispatch::settings::Settings::default();
        let day = Duration::from_secs(24 * 3600);
        Delivery {
            smtp_port: 25,
            initial_concurrency: window.initial_concurrency,
            concurrency: window.concurrency,
            sessions: window.sessions,
            sessions_per_endpoint: window.sessions_per_endpoint,
            recipients_per_transaction: window.recipients_per_transaction,
            addresses_per_delivery: window.addresses_per_delivery,
            endpoint_choice: window.endpoint_choice,
            pipeline_depth: window.pipeline_depth,
            delay_warning: Some(Duration::from_secs(4 * 3600)),
            allow_loopback: false,
            minimal_backoff: window.minimal_backoff,
            maximal_backoff: window.maximal_backoff,
            queue_lifetime: 5 * day,
            bounce_lifetime: 5 * day,
            connect_timeout: Duration::from_secs(30),
            helo_name: helo_name.clone(),
            tls: Tls::default(),
        }
    }
}

const MIB: u64 = 1024 * 1024;
