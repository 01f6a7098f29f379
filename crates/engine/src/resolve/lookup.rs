//! Questions to DNS: MX records and addresses, with what their absence means.
//!
//! # Contract
//! * **Absence and failure are different answers.** Only a name server's word that there is nothing is
//!   [`Answer::Nothing`] or [`Answer::NoName`]; everything else is [`Answer::Failed`].
//! * **Names are absolute.** No search list is ever applied, and no hosts file read.
//! * **One working family is enough.** An address found is not lost because the other family failed.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, Record, RecordType},
    },
};
use remuda_mail::Domain;
use tokio::sync::Semaphore;

use super::{ResolverError, plan};

/// What DNS says to a question, with the seconds that it stays true.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer<T> {
    /// Records; not empty.
    Found(Vec<T>, Duration),
    /// The name exists, without such records.
    Nothing(Duration),
    /// The name does not exist.
    NoName(Duration),
    /// Nobody knows, in words.
    Failed(String),
}

/// The name servers.
#[derive(Clone)]
pub(super) struct Lookups {
    resolver: TokioResolver,
    slots: Arc<Semaphore>,
}

impl Lookups {
    /// Over `servers`, or the system's when there are none, waiting `query` for each of them.
    pub(super) fn new(servers: &[SocketAddr], query: Duration) -> Result<Self, ResolverError> {
        let config = if servers.is_empty() {
            system_config()
        } else {
            ResolverConfig::from_parts(
                None,
                Vec::new(),
                servers.iter().map(|at| name_server(*at)).collect(),
            )
        };
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        tune(builder.options_mut(), query);
        Ok(Lookups {
            resolver: builder
                .build()
                .map_err(|error| ResolverError(error.to_string()))?,
            slots: Arc::new(Semaphore::new(QUERIES_MAX)),
        })
    }

    /// The exchanges of a domain with their preferences; an empty name is the root of a null MX.
    pub(super) async fn mx(&self, domain: &Domain) -> Answer<(u16, Arc<str>)> {
        self.ask(domain.as_str(), RecordType::MX, |data| match data {
            RData::MX(mx) => exchange_name(&mx.exchange).map(|name| (mx.preference, name)),
            _ => None,
        })
        .await
    }

    /// The addresses of a host, both families.
    pub(super) async fn addresses(&self, host: &str) -> Answer<IpAddr> {
        let ip = |data: &RData| data.ip_addr();
        let (v6, v4) = tokio::join!(
            self.ask(host, RecordType::AAAA, ip),
            self.ask(host, RecordType::A, ip)
        );
        both(v6, v4)
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Answer<T> {
        let Ok(mut name) = Name::from_ascii(name) else {
            return Answer::NoName(plan::TTL_MAX);
        };
        name.set_fqdn(true);
        let Ok(_slot) = self.slots.acquire().await else {
            return Answer::Failed("the resolver is closed".into());
        };
        match self.resolver.lookup(name, kind).await {
            Ok(found) => read_all(&found, kind, read),
            Err(error) => absence(error),
        }
    }
}

/// glibc does the same without a usable resolv.conf: the name server is this machine.
fn system_config() -> ResolverConfig {
    let (name_servers, error) = match hickory_resolver::system_conf::read_system_conf() {
        Ok((config, _)) => (config.name_servers().to_vec(), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let name_servers = if name_servers.is_empty() {
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        tracing::warn!(%error, "no name servers in the system's configuration: asking 127.0.0.1");
        vec![name_server(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)))]
    } else {
        name_servers
    };
    ResolverConfig::from_parts(None, Vec::new(), name_servers)
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(
        address.ip(),
        true,
        vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())],
    )
}

fn tune(options: &mut ResolverOpts, query: Duration) {
    options.timeout = query;
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = QUERIES_MAX;
    // Shares the addresses of an exchange between the domains that it serves; plans have their own.
    options.cache_size = 1024;
    options.positive_max_ttl = Some(plan::TTL_MAX);
    options.negative_max_ttl = Some(plan::NEGATIVE_TTL_MAX);
}

fn read_all<T>(found: &Lookup, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Answer<T> {
    // An alias on the way to the records bounds their life too.
    let ttl = found.answers().iter().map(|record| record.ttl).min();
    let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
    let matching: Vec<&Record> = found
        .answers()
        .iter()
        .filter(|record| record.record_type() == kind)
        .collect();
    let values: Vec<T> = matching.iter().filter_map(|record| read(&record.data)).collect();
    match (values.is_empty(), matching.is_empty()) {
        (false, _) => Answer::Found(values, ttl),
        (true, true) => Answer::Nothing(ttl),
        (true, false) => Answer::Failed("the answer holds no host name that can be used".into()),
    }
}

fn absence<T>(error: NetError) -> Answer<T> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code,
            negative_ttl,
            ..
        })) => {
            let ttl = Duration::from_secs(negative_ttl.unwrap_or_default().into());
            match response_code {
                ResponseCode::NXDomain => Answer::NoName(ttl),
                ResponseCode::NoError => Answer::Nothing(ttl),
                code => Answer::Failed(code.to_string()),
            }
        }
        NetError::Dns(DnsError::ResponseCode(code)) => Answer::Failed(code.to_string()),
        other => Answer::Failed(other.to_string()),
    }
}

/// A name that may stand in logs and keys; None for one that no host can have.
fn exchange_name(name: &Name) -> Option<Arc<str>> {
    if name.is_root() {
        return Some("".into());
    }
    let domain: Domain = name.to_ascii().parse().ok()?;
    domain.literal().is_none().then(|| domain.as_str().into())
}

fn both(one: Answer<IpAddr>, other: Answer<IpAddr>) -> Answer<IpAddr> {
    use Answer::{Failed, Found, NoName, Nothing};
    match (one, other) {
        (Found(mut ips, ttl), Found(more, other_ttl)) => {
            ips.extend(more);
            Found(ips, ttl.min(other_ttl))
        }
        (Found(ips, ttl), _) | (_, Found(ips, ttl)) => Found(ips, ttl),
        (Failed(why), _) | (_, Failed(why)) => Failed(why),
        (NoName(ttl), _) | (_, NoName(ttl)) => NoName(ttl),
        (Nothing(ttl), Nothing(other_ttl)) => Nothing(ttl.min(other_ttl)),
    }
}

/// Questions at a time, all destinations together; more wait.
pub(super) const QUERIES_MAX: usize = 128;
