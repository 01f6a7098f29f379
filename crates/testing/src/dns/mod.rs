//! A DNS server of the test's own: programmable answers over real UDP and TCP on loopback.
//!
//! It answers as a recursive resolver does: CNAMEs come with what they point to, negative answers with
//! an SOA. What is not in it does not exist.
//!
//! # Contract
//! * **A change is seen by the next query.** There is no cache in here.
//! * **Every query is counted**, answered or not, by name and type.
//! * **The server ends with its value**: dropping [`Dns`] closes both sockets.
//!
//! # Not here
//! DNSSEC, zone transfers, name servers of delegations.

mod zone;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{Name, RecordType},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

pub use self::zone::Trouble;
use self::zone::{Answer, Zone};

/// The types of record that a test asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Mail exchanges.
    Mx,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// A running DNS server.
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: Server<Handler>,
}

#[derive(Default)]
struct Shared {
    zone: Mutex<Zone>,
    queries: Mutex<HashMap<(Name, RecordType), usize>>,
}

struct Handler(Arc<Shared>);

impl Dns {
    /// Starts an empty server on a free port of 127.0.0.1, the same for UDP and TCP.
    ///
    /// # Errors
    /// When no port is free for both.
    pub async fn start() -> io::Result<Self> {
        let (udp, tcp) = bind_both().await?;
        let address = udp.local_addr()?;
        let shared = Arc::new(Shared::default());
        let mut server = Server::new(Handler(shared.clone()));
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(30), 64);
        Ok(Dns {
            address,
            shared,
            _server: server,
        })
    }

    /// Where it listens: for `[dns].servers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an MX record.
    pub fn mx(&self, name: &str, preference: u16, exchange: &str) -> &Self {
        self.zone().mx(name, preference, exchange);
        self
    }

    /// Adds the null MX of RFC 7505.
    pub fn null_mx(&self, name: &str) -> &Self {
        self.mx(name, 0, ".")
    }

    /// Adds an A or AAAA record.
    pub fn ip(&self, name: &str, ip: &str) -> &Self {
        let ip: IpAddr = ip.parse().expect("a test writes addresses that parse");
        self.zone().ip(name, ip);
        self
    }

    /// Makes `name` an alias of `target`.
    pub fn cname(&self, name: &str, target: &str) -> &Self {
        self.zone().cname(name, target);
        self
    }

    /// Makes `name` exist without any record of the types asked for.
    pub fn exists(&self, name: &str) -> &Self {
        self.zone().exists(name);
        self
    }

    /// Makes all queries for `name` of `kind` (None = of every type) go wrong.
    pub fn trouble(&self, name: &str, kind: Option<Kind>, trouble: Trouble) -> &Self {
        self.zone().trouble(name, kind.map(record_type), trouble);
        self
    }

    /// Forgets all that was said about `name`: it does not exist any more.
    pub fn clear(&self, name: &str) -> &Self {
        self.zone().clear(name);
        self
    }

    /// Sets the time to live of every answer from now on, negative ones too. 300 s at first.
    pub fn ttl(&self, seconds: u32) -> &Self {
        self.zone().ttl = seconds;
        self
    }

    /// How many queries of `kind` for `name` have come.
    pub fn queries(&self, name: &str, kind: Kind) -> usize {
        let key = (zone::fqdn(name), record_type(kind));
        self.counts().get(&key).copied().unwrap_or_default()
    }

    /// How many queries have come in all.
    pub fn queries_in_all(&self) -> usize {
        self.counts().values().sum()
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.shared.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<(Name, RecordType), usize>> {
        self.shared.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::Mx => RecordType::MX,
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
    }
}

/// A free UDP port whose TCP port is free too; another process may hold the one or the other.
async fn bind_both() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..16 {
        let udp = UdpSocket::bind("127.0.0.1:0").await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let unsent = ResponseInfo::from(Header {
            metadata,
            counts: HeaderCounts::default(),
        });
        let Some(answer) = self.0.answer(request) else {
            return unsent;
        };
        metadata.recursion_available = true;
        metadata.response_code = answer.code;
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &request.edns {
            builder.edns(edns);
        }
        let response = builder.build(metadata, &answer.records, [], &answer.soa, []);
        handle.send_response(response).await.unwrap_or(unsent)
    }
}

impl Shared {
    /// None = no answer at all.
    fn answer(&self, request: &Request) -> Option<Answer> {
        let Ok(info) = request.request_info() else {
            return Some(Answer::code(ResponseCode::FormErr));
        };
        let name = Name::from(info.query.name());
        let wanted = info.query.query_type();
        *self
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((name.clone(), wanted))
            .or_default() += 1;
        self.zone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer(&name, wanted)
    }
}
