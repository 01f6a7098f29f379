//! Listeners and real sockets, in real time.

use super::*;
use crate::settings::{Listener, ListenerTls, PemFiles};
use std::net::TcpListener as StdListener;
use tokio::net::TcpStream;

fn receiver(settings: Settings, spool: Spool) -> Result<Receiver<Spool>, super::super::Error> {
    given(settings, spool, vec![])
}

fn given(
    settings: Settings,
    spool: Spool,
    sockets: Vec<StdListener>,
) -> Result<Receiver<Spool>, super::super::Error> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let bound = bind(&settings, sockets, &clock)?;
    let health = spool.clone();
    Ok(Receiver {
        addressing: Addressing::new(Arc::new(Router::new(&settings)), None),
        settings: Arc::new(settings),
        store: spool,
        gauge: Arc::new(Gauge::new(clock.clone(), move || health.health())),
        clock,
        accepted: Arc::new(|_| {}),
        metrics: Metrics::default(),
        authenticator: None,
        bound,
    })
}

fn any_port() -> Listener {
    let address = "127.0.0.1:0".parse().unwrap();
    Listener::plain(address)
}

async fn line(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet).await.unwrap() == 1 {
        text.push(octet[0]);
        if octet[0] == b'\n' {
            break;
        }
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn listeners_serve_refuse_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(Options::new(dir.path()), Arc::new(SystemClock::new())).unwrap();
    let mut settings = settings();
    settings.listeners = vec![any_port()];
    settings.limits.sessions_per_client = 1;
    let running = receiver(settings.clone(), spool.clone())
        .unwrap()
        .start()
        .unwrap();
    let address = running.addresses()[0];
    let mut first = TcpStream::connect(address).await.unwrap();
    assert_eq!(line(&mut first).await, "220 mx.test ESMTP Remuda\r\n");
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(
        line(&mut second).await,
        "421 4.7.0 Too many sessions from your address\r\n"
    );
    assert_eq!(line(&mut second).await, "");
    assert_eq!(running.sessions(), 1);
    // The port is taken; a second server says so.
    settings.listeners = vec![Listener::plain(address)];
    let error = receiver(settings, spool.clone()).err().unwrap().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    let (said, ()) = tokio::join!(line(&mut first), running.stop());
    assert_eq!(said, "421 4.3.2 Shutting down\r\n");
    assert_eq!(running.sessions(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn listeners_may_be_given() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(Options::new(dir.path()), Arc::new(SystemClock::new())).unwrap();
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let running = given(settings(), spool, vec![socket]).unwrap().start().unwrap();
    assert_eq!(running.addresses(), [address]);
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut client).await.starts_with("220"));
    running.end();
    assert_eq!(line(&mut client).await, "");
    running.stop().await;
}

#[tokio::test]
async fn a_hostname_that_is_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(Options::new(dir.path()), Arc::new(SystemClock::new())).unwrap();
    let mut settings = settings();
    settings.hostname = "not a name".into();
    settings.listeners = vec![any_port()];
    let error = receiver(settings, spool).unwrap().start().err().unwrap();
    assert!(matches!(error, super::super::Error::Hostname { .. }), "{error}");
}

/// Listens with TLS; whether the first word in clear is a greeting.
async fn greets_in_clear(listener: Listener, sockets: Vec<StdListener>) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(Options::new(dir.path()), Arc::new(SystemClock::new())).unwrap();
    let mut settings = settings();
    settings.listeners = vec![listener];
    let running = given(settings, spool, sockets).unwrap().start().unwrap();
    let mut client = TcpStream::connect(running.addresses()[0]).await.unwrap();
    client.write_all(b"EHLO c.test\r\n").await.unwrap();
    let mut first = [0; 3];
    let read = client.read_exact(&mut first).await.is_ok();
    running.end();
    read && first == *b"220"
}

#[tokio::test]
async fn a_socket_that_was_given_has_the_listener_of_its_address() {
    let files = super::people::Files::new();
    let implicit = |address| Listener {
        tls: ListenerTls::Implicit(files.pem()),
        ..Listener::plain(address)
    };
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    assert!(!greets_in_clear(implicit(address), vec![socket]).await);
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    assert!(greets_in_clear(implicit(address), vec![socket]).await);
    assert!(!greets_in_clear(implicit("127.0.0.1:0".parse().unwrap()), vec![]).await);
}

#[tokio::test]
async fn what_a_listener_lacks_for_its_offer_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(Options::new(dir.path()), Arc::new(SystemClock::new())).unwrap();
    let mut settings = settings();
    settings.listeners = vec![Listener {
        tls: ListenerTls::StartTls(PemFiles {
            certificate: "/nowhere/c.pem".into(),
            key: "/nowhere/k.pem".into(),
        }),
        ..any_port()
    }];
    let error = receiver(settings.clone(), spool.clone())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("[[listener]] 127.0.0.1:0: certificate /nowhere/c.pem: cannot be read"),
        "{error}"
    );
    let files = super::people::Files::new();
    settings.listeners[0].tls = ListenerTls::StartTls(files.pem());
    settings.listeners[0].auth = true;
    let started = receiver(settings, spool).unwrap().start();
    let error = started.err().unwrap().to_string();
    assert!(error.contains("auth = true needs the directory"), "{error}");
}
