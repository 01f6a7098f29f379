//! A raw SMTP client and a clock that moves only when told, for the sink's tests.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use remuda_clock::{Clock, Monotonic, Now, SharedClock, SystemClock, Timer, before};
use remuda_sink::{Config, Listener, Running, ViolationKind, start};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

/// Ends a test that hangs; no test comes near it.
const HANG: Duration = Duration::from_secs(30);

/// A sink with one listener that keeps digests.
pub async fn sink(listener: Listener) -> Running {
    sink_with(listener, SystemClock::shared()).await
}

/// The same under a clock of the test's.
pub async fn sink_with(listener: Listener, clock: SharedClock) -> Running {
    let config = Config {
        keep_digests: true,
        ..Config::single(listener)
    };
    start(config, clock).await.expect("a free port")
}

/// Parses rules of any kind.
pub fn rules<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().expect("a rule")).collect()
}

/// The kinds of the violations of the only listener.
pub fn kinds(sink: &Running) -> Vec<ViolationKind> {
    sink.report()
        .violations()
        .map(|violation| violation.kind)
        .collect()
}

pub struct Client {
    pub stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    /// Connects without waiting for a greeting.
    pub async fn dial(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.expect("it listens");
        Client {
            stream,
            input: Vec::new(),
        }
    }

    /// Connects and takes the greeting.
    pub async fn connect(address: SocketAddr) -> Client {
        let mut client = Client::dial(address).await;
        assert!(client.reply().await.starts_with("220 "));
        client
    }

    /// Connects, greets and is greeted.
    pub async fn ready(address: SocketAddr) -> Client {
        let mut client = Client::connect(address).await;
        assert!(client.say("EHLO client.test\r\n").await.starts_with("250"));
        client
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream
            .write_all(octets.as_ref())
            .await
            .expect("the sink reads");
    }

    /// Sends and takes one reply.
    pub async fn say(&mut self, octets: impl AsRef<[u8]>) -> String {
        self.send(octets).await;
        self.reply().await
    }

    /// Sends all at once and takes the codes of so many replies.
    pub async fn codes(&mut self, octets: impl AsRef<[u8]>, replies: usize) -> Vec<u16> {
        self.send(octets).await;
        let mut codes = Vec::new();
        for _ in 0..replies {
            codes.push(self.reply().await[..3].parse().expect("a code"));
        }
        codes
    }

    /// One reply with all its lines.
    pub async fn reply(&mut self) -> String {
        let clock = SystemClock::new();
        let deadline = clock.now().monotonic + HANG;
        before(&clock, deadline, self.read_reply())
            .await
            .expect("a reply in time")
    }

    async fn read_reply(&mut self) -> String {
        let mut from = 0;
        loop {
            while let Some(length) = self.input[from..].iter().position(|octet| *octet == b'\n') {
                let line = &self.input[from..from + length];
                let is_last = line.get(3) != Some(&b'-');
                from += length + 1;
                if is_last {
                    let reply: Vec<u8> = self.input.drain(..from).collect();
                    return String::from_utf8(reply).expect("UTF-8");
                }
            }
            let read = self.stream.read_buf(&mut self.input).await.expect("no reset");
            assert!(
                read > 0,
                "the sink closed; there was {:?}",
                String::from_utf8_lossy(&self.input)
            );
        }
    }

    /// Waits for the end of the stream: everything before it, or `None` for a reset.
    pub async fn rest(&mut self) -> Option<String> {
        let clock = SystemClock::new();
        let deadline = clock.now().monotonic + HANG;
        let read = self.stream.read_to_end(&mut self.input);
        let read = before(&clock, deadline, read).await.expect("an end in time");
        read.ok()
            .map(|_| String::from_utf8_lossy(&self.input).into_owned())
    }

    /// Whether nothing has come that has not been read.
    pub fn is_silent(&mut self) -> bool {
        let mut scratch = [0; 1];
        self.input.is_empty() && self.stream.try_read(&mut scratch).is_err()
    }
}

/// A clock that stands still until the test moves it.
pub struct StillClock {
    now: watch::Sender<Monotonic>,
    deadlines: Mutex<Vec<Monotonic>>,
    asked: watch::Sender<usize>,
}

impl StillClock {
    pub fn new() -> Arc<Self> {
        Arc::new(StillClock {
            now: watch::Sender::new(Monotonic::ZERO),
            deadlines: Mutex::new(Vec::new()),
            asked: watch::Sender::new(0),
        })
    }

    /// Waits until somebody sleeps towards the time `after` the start.
    pub async fn until_asked_for(&self, after: Duration) {
        self.until_asked_times(1, after).await;
    }

    /// Waits until that has been so for the `times`-th time.
    pub async fn until_asked_times(&self, times: usize, after: Duration) {
        let deadline = Monotonic::ZERO + after;
        let mut asked = self.asked.subscribe();
        loop {
            asked.borrow_and_update();
            if self
                .deadlines()
                .iter()
                .filter(|asked| **asked == deadline)
                .count()
                >= times
            {
                return;
            }
            asked.changed().await.expect("the clock is here");
        }
    }

    fn deadlines(&self) -> MutexGuard<'_, Vec<Monotonic>> {
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Now {
        Now {
            monotonic: *self.now.borrow(),
            ..Now::default()
        }
    }

    fn sleep_until(&self, deadline: Monotonic) -> Timer {
        self.deadlines().push(deadline);
        self.asked.send_modify(|asked| *asked += 1);
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // An error means that the clock is gone, and with it the test.
            let _ = now.wait_for(|now| *now >= deadline).await;
        })
    }
}
