//! A server that stops answering, at every point of the conversation: the whole engine over streams in
//! memory, under paused time.
//!
//! # Contract
//! * **The mail goes elsewhere, or waits, within the limit of that point**, and no later.
//! * **Every slot comes back**: no session and no delivery is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, SystemClock};
use remuda_engine::{
    Engine, Parts,
    network::{Connecting, Network, Transport},
    operations::{Operations, Status},
    settings::{Route, RouteDomain, Settings},
};
use remuda_mail::{Body, Destination, Envelope, HostPort, NextHop, Recipient, Sender};
use remuda_spool::{NewEntry, NewMessage, Options, Origin, Spool};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

/// Where the first host says nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Connect,
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Content,
    Dot,
    Rset,
    Quit,
    Nowhere,
}

/// The first host stalls, the second works.
struct Hosts {
    stalls_at: Point,
    took: Took,
}

/// What each host has taken: its last octet and the recipient.
type Took = Arc<Mutex<Vec<(u8, String)>>>;

impl Network for Hosts {
    fn connect(&self, way: remuda_mail::Way) -> Connecting {
        let host = match way.endpoint.ip() {
            Some(std::net::IpAddr::V4(ip)) => ip.octets()[3],
            _ => 0,
        };
        let stalls_at = if host == 1 { self.stalls_at } else { Point::Nowhere };
        let took = self.took.clone();
        Box::pin(async move {
            if stalls_at == Point::Connect {
                std::future::pending::<()>().await;
            }
            let (ours, theirs) = duplex(BUFFER);
            tokio::spawn(serve(theirs, host, stalls_at, took));
            Ok(Box::new(ours) as Box<dyn Transport>)
        })
    }
}

async fn serve(stream: DuplexStream, host: u8, stalls_at: Point, took: Took) {
    // It ends with its client.
    let _ = converse(BufReader::new(stream), host, stalls_at, took).await;
}

async fn converse(
    mut stream: BufReader<DuplexStream>,
    host: u8,
    stalls_at: Point,
    took: Took,
) -> std::io::Result<()> {
    if stalls_at == Point::Greeting {
        return stall(stream).await;
    }
    stream.write_all(b"220 host.test\r\n").await?;
    let (mut line, mut recipient, mut is_content) = (String::new(), String::new(), false);
    while stream.read_line(&mut line).await? > 0 {
        let verb = line.trim_end().to_ascii_uppercase();
        let (point, reply) = match verb.split([' ', ':']).next().unwrap_or_default() {
            "." if is_content => (Point::Dot, "250 2.0.0 taken\r\n"),
            _ if is_content => (Point::Nowhere, ""),
            "EHLO" => (Point::Ehlo, "250 host.test\r\n"),
            "MAIL" => (Point::Mail, "250 2.1.0 ok\r\n"),
            "RCPT" if verb.contains("UNKNOWN") => (Point::Nowhere, "550 5.1.1 unknown\r\n"),
            "RCPT" => (Point::Rcpt, "250 2.1.5 ok\r\n"),
            "DATA" => (Point::Data, "354 go on\r\n"),
            "RSET" => (Point::Rset, "250 2.0.0 ok\r\n"),
            "QUIT" => (Point::Quit, "221 2.0.0 bye\r\n"),
            _ => (Point::Nowhere, "500 5.5.1 what\r\n"),
        };
        if point == stalls_at && point != Point::Nowhere {
            return stall(stream).await;
        }
        match point {
            Point::Rcpt => recipient = line.trim_end().to_owned(),
            Point::Data => is_content = true,
            Point::Dot => {
                is_content = false;
                took.lock().unwrap().push((host, std::mem::take(&mut recipient)));
            }
            _ => {}
        }
        stream.write_all(reply.as_bytes()).await?;
        if point == Point::Data && stalls_at == Point::Content {
            return stall(stream).await;
        }
        line.clear();
    }
    Ok(())
}

/// Neither reads nor writes, and keeps the connection.
async fn stall(_stream: BufReader<DuplexStream>) -> std::io::Result<()> {
    std::future::pending().await
}

struct Stage {
    engine: Engine,
    operations: Arc<dyn Operations>,
    clock: SharedClock,
    began: Monotonic,
    took: Took,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// An engine that finds mail for these recipients in its spool.
    async fn with_mail_for(recipients: &[&str], stalls_at: Point, sessions: u32) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock::paused());
        let settings = settings(directory.path(), sessions);
        let hop = NextHop::Hosts {
            hosts: settings.routes[0].hosts.clone(),
            look_up_mx: false,
            policy: Arc::default(),
        };
        let spool = Spool::open(Options::new(&settings.data_dir), clock.clone()).unwrap();
        for recipient in recipients {
            store(&spool, &clock, hop.destination(), recipient).await;
        }
        spool.close().await;
        drop(spool);
        let began = clock.now().monotonic;
        let took = Took::default();
        let hosts = Hosts {
            stalls_at,
            took: took.clone(),
        };
        let parts = Parts {
            network: Arc::new(hosts),
            ..Parts::default()
        };
        let engine = Engine::start_with(settings, None, clock.clone(), parts).await;
        let engine = engine.unwrap();
        Stage {
            operations: engine.operations(),
            engine,
            clock,
            began,
            took,
            _directory: directory,
        }
    }

    /// Lets time pass until the engine is as wished; answers how long that has taken since the start.
    async fn until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Duration {
        for _ in 0..PATIENCE {
            let status = self.operations.status().await.unwrap();
            let now = self.clock.now().monotonic;
            if is_so(&status) {
                return now - self.began;
            }
            self.clock.sleep_until(now + STEP).await;
        }
        panic!("never {what}: {:?}", self.operations.status().await);
    }

    /// Who has taken mail, a host's number for each message.
    fn hosts(&self) -> Vec<u8> {
        self.took.lock().unwrap().iter().map(|(host, _)| *host).collect()
    }
}

fn settings(directory: &std::path::Path, sessions: u32) -> Settings {
    let host = |octet: u8| HostPort {
        host: format!("192.0.2.{octet}").into(),
        port: None,
        preference: u16::from(octet),
    };
    let route = Route::new(RouteDomain::Any, [host(1), host(2)].into());
    let mut settings = Settings {
        data_dir: directory.join("data"),
        routes: vec![route],
        ..Settings::defaults("relay.test")
    };
    settings.delivery.initial_concurrency = MESSAGES as u32;
    settings.delivery.sessions = sessions;
    settings
}

async fn store(spool: &Spool, clock: &SharedClock, destination: Destination, recipient: &str) {
    let id = spool.allocate_id();
    let mut content = spool.writer(id, None);
    content.write("Subject: x\r\n\r\n".as_bytes()).await.unwrap();
    for _ in 0..1000 {
        content
            .write("Nobody reads this line.\r\n".as_bytes())
            .await
            .unwrap();
    }
    let now = clock.now().wall;
    let expires = now + Duration::from_secs(5 * 24 * 3600);
    let message = NewMessage {
        id,
        // Nobody is told of anything, so that only this mail is seen.
        envelope: Envelope {
            sender: Sender::NULL,
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        origin: Origin::default(),
        arrived: now,
        expires,
        notice: expires,
        content: content.finish().await.unwrap(),
        entries: vec![NewEntry {
            destination,
            recipients: vec![Recipient::plain(recipient.parse().unwrap())],
        }],
    };
    spool.store(message).await.unwrap();
}

fn many() -> Vec<&'static str> {
    vec!["somebody@dest.test"; MESSAGES]
}

fn is_all_gone(status: &Status) -> bool {
    status.queue.active + status.queue.deferred == 0
}

fn has_no_session(status: &Status) -> bool {
    status.sessions.busy + status.sessions.parked == 0
}

#[tokio::test(start_paused = true)]
async fn mail_goes_to_the_next_host_within_the_limit_of_the_point_that_stalls() {
    for (point, limit) in [
        (Point::Connect, 30),
        (Point::Greeting, 300),
        (Point::Ehlo, 300),
        (Point::Mail, 300),
        (Point::Rcpt, 300),
        (Point::Data, 120),
        (Point::Content, 180),
    ] {
        let stage = Stage::with_mail_for(&many(), point, 500).await;
        let took = stage.until("delivered", is_all_gone).await;
        assert_eq!(stage.hosts(), [2; MESSAGES], "{point:?}");
        let (least, most) = (Duration::from_secs(limit), Duration::from_secs(limit) + SLACK);
        assert!((least..=most).contains(&took), "{point:?}: {took:?}");
        let quiet = stage.until("without sessions", has_no_session).await;
        assert!(quiet - took <= SLACK, "{point:?}: {quiet:?}");
        stage.engine.stop(SLACK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_reply_that_does_not_come_defers_within_ten_minutes() {
    let stage = Stage::with_mail_for(&many(), Point::Dot, 500).await;
    let is_active = |status: &Status| status.queue.active == MESSAGES as u64;
    stage.until("in hand", is_active).await;
    let is_deferred = |status: &Status| status.queue.active == 0 && status.queue.deferred == MESSAGES as u64;
    let took = stage.until("deferred", is_deferred).await;
    // It may have been accepted: nobody else gets it in this attempt.
    assert!(stage.hosts().is_empty());
    let (least, most) = (Duration::from_secs(600), Duration::from_secs(600) + SLACK);
    assert!((least..=most).contains(&took), "{took:?}");
    stage.until("without sessions", has_no_session).await;
    stage.engine.stop(SLACK).await;
}

#[tokio::test(start_paused = true)]
async fn a_used_session_that_answers_nothing_costs_five_seconds() {
    // One session for both, so that the second transaction begins with RSET behind a refused one.
    let recipients = ["unknown@dest.test", "somebody@dest.test"];
    let stage = Stage::with_mail_for(&recipients, Point::Rset, 1).await;
    let took = stage.until("delivered", is_all_gone).await;
    assert_eq!(stage.hosts().len(), 1);
    let (least, most) = (Duration::from_secs(5), Duration::from_secs(5) + SLACK);
    assert!((least..=most).contains(&took), "{took:?}");
    stage.until("without sessions", has_no_session).await;
    stage.engine.stop(SLACK).await;
}

#[tokio::test(start_paused = true)]
async fn a_quit_that_is_not_answered_holds_nobody_up() {
    let stage = Stage::with_mail_for(&many(), Point::Quit, 500).await;
    let took = stage.until("delivered", is_all_gone).await;
    assert_eq!(stage.hosts(), [1; MESSAGES]);
    let quiet = stage.until("without sessions", has_no_session).await;
    assert!(quiet - took <= SLACK, "{quiet:?}");
    let before = stage.clock.now().monotonic;
    stage.engine.stop(Duration::from_secs(60)).await;
    assert!(stage.clock.now().monotonic - before <= SLACK);
}

const MESSAGES: usize = 10;
/// What a stream in memory holds: less than a content.
const BUFFER: usize = 4096;
/// How often the engine is looked at, in its own time.
const STEP: Duration = Duration::from_secs(1);
/// For all else that takes time: idle sessions, QUIT, steps.
const SLACK: Duration = Duration::from_secs(10);
/// Steps after which something hangs.
const PATIENCE: usize = 3600;
