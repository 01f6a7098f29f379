//! Listeners and real sockets, in real time.

use super::*;
use crate::settings::Listener;
use tokio::net::TcpStream;

fn receiver(settings: Settings, spool: Spool) -> Receiver<Spool> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let health = spool.clone();
    Receiver {
        addressing: Addressing::new(Arc::new(Router::new(&settings)), None),
        settings: Arc::new(settings),
        store: spool,
        gauge: Arc::new(Gauge::new(clock.clone(), move || health.health())),
        clock,
        accepted: Arc::new(|_| {}),
        metrics: Metrics::default(),
        listeners: vec![],
    }
}

fn any_port() -> Listener {
    let address = "127.0.0.1:0".parse().unwrap();
    Listener { address }
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
    let running = receiver(settings.clone(), spool.clone()).start().unwrap();
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
    settings.listeners = vec![Listener { address }];
    let error = receiver(settings, spool.clone())
        .start()
        .err()
        .unwrap()
        .to_string();
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
    let given = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap();
    let mut receiver = receiver(settings(), spool);
    receiver.listeners = vec![given];
    let running = receiver.start().unwrap();
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
    let error = receiver(settings, spool).start().err().unwrap();
    assert!(matches!(error, super::super::Error::Hostname { .. }), "{error}");
}
