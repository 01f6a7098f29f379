//! Servers with TLS at the other ends of streams in memory, one for each connection, and dials to them.

use std::{collections::VecDeque, io, sync::Mutex};

use remuda_mail::{Credentials, CredentialsId, Secret, TlsLevel, TlsMode, TlsPolicy, Way};
use remuda_smtp::client::Login;
use remuda_testing::certificates::{Authority, Issued, Validity};
use rustls::{HandshakeKind, ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, server};

use super::*;
use crate::network::{Connecting, Network, Transport};

/// What a server does, step by step. Once the steps are over it closes.
#[derive(Clone)]
pub(super) enum Act {
    /// Writes.
    Say(&'static str),
    /// Reads until this has come.
    Hear(&'static str),
    /// Takes part in a handshake.
    Handshake(Arc<ServerConfig>),
    /// Takes new keys, and says so.
    NewKeys,
    /// Ends TLS and not the connection.
    CloseTls,
    /// Reads whatever comes, for ever.
    Stall,
    /// Waits until the test says go.
    Await,
}

/// What is said in clear, up to the handshake.
pub(super) fn in_clear() -> Vec<Act> {
    vec![
        Act::Say("220 mx.test\r\n"),
        Act::Hear("EHLO us.test\r\n"),
        Act::Say("250-mx.test\r\n250-STARTTLS\r\n250 PIPELINING\r\n"),
    ]
}

/// From connect to the second EHLO.
pub(super) fn starttls(config: &Arc<ServerConfig>) -> Vec<Act> {
    let mut acts = in_clear();
    acts.extend([Act::Hear("STARTTLS\r\n"), Act::Say("220 go\r\n")]);
    acts.extend(encrypted(config, "250 mx.test\r\n"));
    acts
}

/// The handshake and the second EHLO.
pub(super) fn encrypted(config: &Arc<ServerConfig>, ehlo: &'static str) -> Vec<Act> {
    vec![
        Act::Handshake(config.clone()),
        Act::Hear("EHLO us.test\r\n"),
        Act::Say(ehlo),
    ]
}

/// A transaction without PIPELINING.
pub(super) fn success() -> Vec<Act> {
    [
        ("MAIL", "250 m\r\n"),
        ("RCPT", "250 r\r\n"),
        ("DATA\r\n", "354 d\r\n"),
        ("\r\n.\r\n", "250 2.0.0 ok\r\n"),
    ]
    .into_iter()
    .flat_map(|(heard, said)| [Act::Hear(heard), Act::Say(said)])
    .collect()
}

/// A server with a certificate for these names.
pub(super) fn server(issued: &Issued) -> Arc<ServerConfig> {
    server_of(issued, rustls::DEFAULT_VERSIONS)
}

pub(super) fn server_of(
    issued: &Issued,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(issued.key_der.clone().into());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.certificate_der.clone().into()], key)
        .unwrap();
    Arc::new(config)
}

/// A server whose certificate nobody checks.
pub(super) fn any_server() -> Arc<ServerConfig> {
    let authority = Authority::new().unwrap();
    server(&authority.issue(&["mx.test"], Validity::Now).unwrap())
}

pub(super) fn level(level: TlsLevel) -> order::Security {
    order::Security {
        tls: TlsPolicy {
            level,
            ..TlsPolicy::default()
        },
        ..order::Security::default()
    }
}

pub(super) fn implicit(of: TlsLevel) -> order::Security {
    let mut security = level(of);
    security.tls.mode = TlsMode::Implicit;
    security
}

pub(super) fn with_login(mut security: order::Security) -> order::Security {
    let credentials = Credentials {
        username: "me".into(),
        password: Secret::new("secret"),
    };
    let login = Login {
        credentials,
        in_clear: false,
    };
    security.login = Some((CredentialsId(7), login));
    security
}

/// TLS for who trusts this authority.
pub(super) fn trusting(authority: &Authority, clock: &Arc<SystemClock>) -> Arc<Clients> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let settings = settings::Tls {
        ca_file: Some(file.path().to_owned()),
        ..settings::Tls::default()
    };
    let clock: SharedClock = clock.clone();
    Arc::new(Clients::new(&settings, &clock).unwrap())
}

/// The servers behind one endpoint, the first for the first connection.
pub(super) struct Servers {
    streams: Mutex<VecDeque<DuplexStream>>,
    heard: Mutex<VecDeque<oneshot::Receiver<Heard>>>,
    go: Arc<tokio::sync::Semaphore>,
}

/// What a server heard, and how its handshake went.
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) handshake: Option<HandshakeKind>,
}

impl Servers {
    pub(super) fn new(scripts: Vec<Vec<Act>>) -> Arc<Self> {
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        let (mut streams, mut heard) = (VecDeque::new(), VecDeque::new());
        for script in scripts {
            let (ours, theirs) = duplex(1 << 20);
            let (sender, receiver) = oneshot::channel();
            let gate = go.clone();
            tokio::spawn(async move {
                let mut peer = Peer {
                    io: Io::Clear(theirs),
                    heard: Vec::new(),
                    searched: 0,
                    handshake: None,
                    gate,
                };
                for act in script {
                    if peer.run(act).await.is_err() {
                        break;
                    }
                }
                let text = String::from_utf8_lossy(&peer.heard).into_owned();
                let handshake = peer.handshake;
                let _ = sender.send(Heard { text, handshake });
            });
            streams.push_back(ours);
            heard.push_back(receiver);
        }
        Arc::new(Servers {
            streams: Mutex::new(streams),
            heard: Mutex::new(heard),
            go,
        })
    }

    /// Lets one [`Act::Await`] pass.
    pub(super) fn go(&self) {
        self.go.add_permits(1);
    }

    /// What the next server heard, once it is over.
    pub(super) async fn heard(&self) -> Heard {
        let next = self.heard.lock().unwrap().pop_front().unwrap();
        next.await.unwrap()
    }

    /// Connections that nobody has made.
    pub(super) fn unused(&self) -> usize {
        self.streams.lock().unwrap().len()
    }
}

impl Network for Servers {
    fn connect(&self, _: Way) -> Connecting {
        let stream = self.streams.lock().unwrap().pop_front().expect("no more dials");
        Box::pin(async move { Ok(Box::new(stream) as Box<dyn Transport>) })
    }
}

struct Peer {
    io: Io,
    heard: Vec<u8>,
    searched: usize,
    handshake: Option<HandshakeKind>,
    gate: Arc<tokio::sync::Semaphore>,
}

enum Io {
    Clear(DuplexStream),
    Tls(Box<server::TlsStream<DuplexStream>>),
    Gone,
}

impl Peer {
    async fn run(&mut self, act: Act) -> io::Result<()> {
        match act {
            Act::Say(text) => self.say(text.as_bytes()).await,
            Act::Hear(text) => loop {
                let found = self.heard[self.searched..]
                    .windows(text.len())
                    .position(|window| window == text.as_bytes());
                match found {
                    Some(at) => {
                        self.searched += at + text.len();
                        return Ok(());
                    }
                    None => self.read().await?,
                }
            },
            Act::Handshake(config) => {
                let Io::Clear(stream) = std::mem::replace(&mut self.io, Io::Gone) else {
                    panic!("once")
                };
                let stream = TlsAcceptor::from(config).accept(stream).await?;
                self.handshake = stream.get_ref().1.handshake_kind();
                self.io = Io::Tls(Box::new(stream));
                Ok(())
            }
            Act::NewKeys => {
                let Io::Tls(stream) = &mut self.io else {
                    panic!("not before TLS")
                };
                stream.get_mut().1.refresh_traffic_keys().unwrap();
                stream.flush().await
            }
            Act::CloseTls => {
                let Io::Tls(stream) = &mut self.io else {
                    panic!("not before TLS")
                };
                stream.get_mut().1.send_close_notify();
                stream.flush().await?;
                std::future::pending().await
            }
            Act::Stall => loop {
                self.read().await?;
            },
            Act::Await => {
                self.gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }

    async fn say(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.io {
            Io::Clear(stream) => stream.write_all(octets).await,
            Io::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
            Io::Gone => Ok(()),
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        let read = match &mut self.io {
            Io::Clear(stream) => stream.read_buf(&mut self.heard).await?,
            Io::Tls(stream) => stream.read_buf(&mut self.heard).await?,
            Io::Gone => 0,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// A dial to these servers, with its task's ends in the test's hands.
pub(super) fn dial(servers: &Arc<Servers>, clients: &Arc<Clients>, security: order::Security) -> Dialled {
    let clock = Arc::new(SystemClock::paused());
    let (sender, reports) = mpsc::unbounded_channel();
    let order = DialOrder {
        session: SessionId(7),
        endpoint: Endpoint::Tcp("192.0.2.1:25".parse().unwrap()),
        protocol: remuda_mail::Protocol::Smtp,
        host: "mx.test".into(),
        source: None,
        helo_name: "us.test".into(),
        connect_timeout: CONNECT,
        security,
    };
    let means = Means {
        network: servers.clone(),
        clients: clients.clone(),
        source: Arc::new(Store::default()),
        gate: None,
        clock: clock.clone(),
    };
    let orders = spawn(order, means, sender);
    Dialled {
        clock,
        orders,
        reports,
    }
}

pub(super) struct Dialled {
    pub(super) clock: Arc<SystemClock>,
    pub(super) orders: mpsc::Sender<Order>,
    reports: mpsc::UnboundedReceiver<(SessionId, Report)>,
}

impl Dialled {
    pub(super) async fn report(&mut self) -> Report {
        loop {
            let (_, report) = self.reports.recv().await.unwrap();
            if !matches!(report, Report::Connected) {
                return report;
            }
        }
    }

    pub(super) async fn opened(&mut self) -> Facts {
        match self.report().await {
            Report::Opened(facts) => *facts,
            other => panic!("not opened: {other:?}"),
        }
    }

    pub(super) async fn failed(&mut self) -> (DialStep, Failure) {
        match self.report().await {
            Report::DialFailed { step, failure } => (step, *failure),
            other => panic!("opened: {other:?}"),
        }
    }

    pub(super) async fn transact(&mut self) -> Transacted {
        let order = TransactOrder {
            delivery: DeliveryId(1),
            message: MessageId(1),
            envelope: Arc::default(),
            size: HELLO.len() as u64,
            smtputf8: false,
            eight_bit: false,
            recipients: vec![Recipient::plain("c@d.test".parse().unwrap())],
            asked: None,
            flight: Flight::Split,
            reply_within: Duration::MAX,
        };
        self.orders.send(Order::Transact(Box::new(order))).await.unwrap();
        match self.report().await {
            Report::Transacted(answer) => *answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    pub(super) async fn watch(&mut self) {
        self.orders.send(Order::Watch).await.unwrap();
        // The task has taken the order when there is room again for all.
        while self.orders.capacity() < self.orders.max_capacity() {
            tokio::task::yield_now().await;
        }
    }
}
