//! Receiving as a whole: the session loop over in-memory streams, a spool on disk, time that is paused.

mod attacks;
mod listening;
mod logged;
mod login;
mod mail;
mod people;
mod time;
mod tls;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remuda_clock::{SharedClock, SystemClock};
use remuda_mail::MessageId;
use remuda_spool::{Content, ContentWriter, Error, Expected, Health, NewMessage, Options, Queued, Spool};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    task::JoinHandle,
};

use super::{
    accept::{Visitor, serve},
    wire::Phase,
    *,
};
use crate::{
    addressing::Addressing,
    route::Router,
    settings::{BareNewline, Network, Route, RouteDomain, Settings},
};

pub(super) const RELAY: &str = "127.0.0.1";
pub(super) const STRANGER: &str = "192.0.2.7";
pub(super) const START: &str = "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@accepted.test>\r\n";

/// The spool, and what a test puts in its way.
pub(super) struct Hurdle {
    pub spool: Spool,
    pub failure: Arc<Mutex<Option<Error>>>,
}

impl Store for Hurdle {
    fn expect(&self) -> Expected {
        self.spool.expect()
    }

    fn allocate_id(&self) -> MessageId {
        self.spool.allocate_id()
    }

    fn writer(&self, id: MessageId, expected: Option<Expected>) -> ContentWriter {
        self.spool.writer(id, expected)
    }

    async fn store(&self, message: NewMessage<Content>) -> Result<Vec<Queued>, Error> {
        let failure = self.failure.lock().unwrap().clone();
        match failure {
            Some(error) => Err(error),
            None => self.spool.store(message).await,
        }
    }
}

/// A receiver without sockets.
pub(super) struct Rig {
    pub shared: Arc<Shared<Hurdle>>,
    pub spool: Spool,
    pub queued: Arc<Mutex<Vec<Queued>>>,
    pub failure: Arc<Mutex<Option<Error>>>,
    pub phase: watch::Sender<Phase>,
    pub free_disk: Arc<AtomicU64>,
    _dir: TempDir,
}

pub(super) fn settings() -> Settings {
    let mut settings = Settings {
        hostname: "mx.test".into(),
        ..Settings::default()
    };
    settings.relay.networks = vec![Network {
        address: "127.0.0.0".parse().unwrap(),
        prefix: 8,
    }];
    settings.relay.bare_newline = BareNewline::Normalize;
    settings.limits.message_size = 20 << 20;
    settings.limits.min_free_disk = 1000;
    // The tests' own memory is not the subject.
    settings.limits.memory = Some(u64::MAX);
    settings.routes = vec![Route {
        accept: true,
        ..Route::new(RouteDomain::Exact("accepted.test".parse().unwrap()), Arc::new([]))
    }];
    settings
}

impl Rig {
    pub fn new(settings: Settings) -> Rig {
        Rig::with(settings, None)
    }

    /// With somebody who knows the accounts.
    pub fn with(settings: Settings, authenticator: Option<Arc<dyn Authenticator>>) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock::paused());
        let spool = Spool::open(Options::new(dir.path()), clock.clone()).unwrap();
        let (queued, failure) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let free_disk = Arc::new(AtomicU64::new(1000));
        let disk = free_disk.clone();
        let health = move || Health {
            writable: true,
            reason: None,
            writer_delay: Duration::ZERO,
            queued_bytes: 0,
            free_disk: Some(disk.load(Ordering::Relaxed)),
            fresh_bytes: 0,
        };
        let addressing = Addressing::new(Arc::new(Router::new(&settings)), None);
        let taken = queued.clone();
        let offers = offers::read(&settings.listeners, &clock, &[]).unwrap();
        let snapshot = Snapshot::new(Arc::new(settings), addressing, offers).unwrap();
        let shared = Arc::new(Shared {
            store: Hurdle {
                spool: spool.clone(),
                failure: failure.clone(),
            },
            gauge: Arc::new(Gauge::new(clock.clone(), health)),
            logins: Logins::new(authenticator, clock.clone()),
            clock,
            accepted: Arc::new(move |entries| taken.lock().unwrap().extend(entries)),
            metrics: Metrics::default(),
            snapshot: RwLock::new(Arc::new(snapshot)),
            sessions: Arc::new(Sessions::default()),
        });
        Rig {
            shared,
            spool,
            queued,
            failure,
            phase: watch::channel(Phase::Running).0,
            free_disk,
            _dir: dir,
        }
    }

    /// A client, greeted.
    pub async fn connect(&self, ip: &str) -> Client {
        let mut client = self.connect_in_silence(ip, 1 << 20);
        assert_eq!(client.code().await, 220);
        client
    }

    /// A client; `window` octets lie between it and the server.
    pub fn connect_in_silence(&self, ip: &str, window: usize) -> Client {
        let (stream, session) = self.enter(ip, None, window);
        Client {
            stream,
            read: Vec::new(),
            session,
        }
    }

    /// A stream to a session that came by the listener at `place`.
    pub fn enter(&self, ip: &str, place: Option<usize>, window: usize) -> (DuplexStream, JoinHandle<()>) {
        let (here, there) = duplex(window);
        let ip: IpAddr = ip.parse().unwrap();
        let visitor = Visitor { ip, place };
        let session = tokio::spawn(serve(self.shared.clone(), there, visitor, self.phase.subscribe()));
        (here, session)
    }

    /// The stored messages, without the trace field.
    pub async fn stored(&self) -> Vec<String> {
        let mut stored = Vec::new();
        let ids: Vec<_> = self
            .queued
            .lock()
            .unwrap()
            .iter()
            .map(|entry| entry.message)
            .collect();
        for id in ids {
            let whole = self.content(id).await;
            let lines = whole.split_inclusive("\r\n").skip(1);
            let folded: usize = lines
                .take_while(|line| line.starts_with('\t'))
                .map(str::len)
                .sum();
            let first = whole.find('\n').expect("the trace has lines") + 1;
            let (trace, rest) = whole.split_at(first + folded);
            assert!(trace.starts_with("Received: from "), "{trace}");
            stored.push(rest.to_owned());
        }
        stored
    }

    pub async fn content(&self, id: MessageId) -> String {
        let mut reader = self.spool.content(id).await.unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            whole.extend_from_slice(&piece);
        }
        String::from_utf8(whole).unwrap()
    }
}

/// A client over an in-memory stream, or over TLS on one.
pub(super) struct Client<Io = DuplexStream> {
    pub stream: Io,
    read: Vec<u8>,
    pub session: JoinHandle<()>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Client<Io> {
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next reply, all its lines.
    pub async fn reply(&mut self) -> String {
        let mut text = String::new();
        loop {
            while let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                text.push_str(std::str::from_utf8(&line).unwrap());
                if line.get(3) == Some(&b' ') {
                    return text;
                }
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the server closed; so far: {text:?}");
            self.read.extend_from_slice(&buffer[..count]);
        }
    }

    pub async fn code(&mut self) -> u16 {
        self.reply().await[..3].parse().unwrap()
    }

    /// Sends octets; the codes of the next `count` replies.
    pub async fn codes(&mut self, octets: impl AsRef<[u8]>, count: usize) -> Vec<u16> {
        self.send(octets).await;
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.code().await);
        }
        codes
    }

    /// Sends octets; the last of `count` replies.
    pub async fn last(&mut self, octets: impl AsRef<[u8]>, count: usize) -> String {
        self.send(octets).await;
        let mut last = String::new();
        for _ in 0..count {
            last = self.reply().await;
        }
        last
    }

    /// All that still comes, up to the end of the session.
    pub async fn rest(mut self) -> String {
        let _ = self.stream.read_to_end(&mut self.read).await;
        drop(self.stream);
        self.session.await.unwrap();
        String::from_utf8(self.read).unwrap()
    }
}
