//! Scripted hosts in memory, which take as long as a scenario says.
//!
//! # Contract
//! * **Time passes where the model says so**: at the connect, the greeting, and before the reply that decides a
//!   transaction.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use remuda_clock::SharedClock;
use remuda_engine::network::{Connecting, Network, Transport};
use remuda_mail::Way;
use remuda_simulator::{
    Plan,
    plan::{Model, PlannedHost},
    scenario::HostState,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

/// The hosts of a plan.
pub struct Hosts {
    hosts: Vec<(IpAddr, Arc<Host>)>,
    clock: SharedClock,
}

struct Host {
    model: Arc<Model>,
    /// Connections that it has taken.
    open: AtomicU32,
}

impl Hosts {
    pub fn new(plan: &Plan, clock: SharedClock) -> Self {
        let host = |planned: &PlannedHost| {
            let host = Host {
                model: planned.model.clone(),
                open: AtomicU32::new(0),
            };
            (planned.endpoint.ip().expect("an address"), Arc::new(host))
        };
        Hosts {
            hosts: plan.hosts.iter().map(host).collect(),
            clock,
        }
    }
}

impl Network for Hosts {
    fn connect(&self, way: Way) -> Connecting {
        let address = way.endpoint.ip().expect("an address");
        let (_, host) = self.hosts.iter().find(|(ip, _)| *ip == address).unwrap();
        let (host, clock) = (host.clone(), self.clock.clone());
        Box::pin(async move {
            let state = host.model.conduct(Duration::ZERO).state;
            if state == HostState::NeverConnects {
                std::future::pending::<()>().await;
            }
            pass(&clock, host.model.connect).await;
            if state == HostState::Refuses {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (ours, theirs) = duplex(1 << 20);
            tokio::spawn(async move {
                // It ends with its client.
                let _ = serve(BufReader::new(theirs), &host, &clock).await;
            });
            Ok(Box::new(ours) as Box<dyn Transport>)
        })
    }
}

async fn pass(clock: &SharedClock, time: Duration) {
    if !time.is_zero() {
        clock.sleep_until(clock.now().monotonic + time).await;
    }
}

async fn serve(mut stream: BufReader<DuplexStream>, host: &Host, clock: &SharedClock) -> io::Result<()> {
    if host.model.conduct(Duration::ZERO).state == HostState::NeverGreets {
        let mut silent = String::new();
        stream.read_line(&mut silent).await?;
        return Ok(());
    }
    let before = host.open.fetch_add(1, Ordering::Relaxed);
    if host.model.session_limit.is_some_and(|limit| before >= limit) {
        host.open.fetch_sub(1, Ordering::Relaxed);
        pass(clock, host.model.greeting).await;
        return stream.write_all(b"421 4.7.0 too many connections\r\n").await;
    }
    pass(clock, host.model.greeting).await;
    let served = converse(&mut stream, &host.model, clock).await;
    host.open.fetch_sub(1, Ordering::Relaxed);
    served
}

async fn converse(
    stream: &mut BufReader<DuplexStream>,
    model: &Model,
    clock: &SharedClock,
) -> io::Result<()> {
    let conduct = model.conduct(Duration::ZERO);
    let service = conduct.service.mean();
    let (mut line, mut has_mail) = (String::new(), false);
    stream.write_all(b"220 host.test\r\n").await?;
    while stream.read_line(&mut line).await? > 0 {
        let words: Vec<&str> = line.trim_end().split([' ', ':']).collect();
        let reply = match words[0] {
            "EHLO" => EHLO,
            "MAIL" if conduct.state == HostState::Defers => {
                pass(clock, service).await;
                "450 4.3.2 not now\r\n"
            }
            "MAIL" => {
                has_mail = true;
                "250 2.1.0 ok\r\n"
            }
            "RCPT" if has_mail => "250 2.1.5 ok\r\n",
            "BDAT" => {
                let mut content = vec![0; words[1].parse().unwrap()];
                stream.read_exact(&mut content).await?;
                if has_mail {
                    pass(clock, service).await;
                }
                if std::mem::take(&mut has_mail) {
                    "250 2.0.0 taken\r\n"
                } else {
                    NO_MAIL
                }
            }
            "RSET" => {
                has_mail = false;
                "250 2.0.0 ok\r\n"
            }
            "QUIT" => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            _ => NO_MAIL,
        };
        stream.write_all(reply.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

const EHLO: &str = "250-host.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250-SIZE\r\n250 ENHANCEDSTATUSCODES\r\n";
const NO_MAIL: &str = "503 5.5.1 no mail\r\n";
