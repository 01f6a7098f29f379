//! The listeners: accept, count and serve connections until somebody says stop.
//!
//! # Contract
//! * **Every address is bound before [`start`] returns**, so that a client can connect at once.
//! * **[`Running::stop`] ends every connection where it waits**: a message whose reply has not been
//!   sent is not in the report.
//! * **Dropping [`Running`] stops too**, without a report.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use remuda_clock::SharedClock;
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    certificate::Certificate,
    config::{Config, Keep, Listener},
    connection,
    report::{Accepted, Counters, Report},
    script::Rules,
    wire,
};

/// How long to wait when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A sink at work.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    shared: Vec<Arc<Shared>>,
    messages: Option<u64>,
    report: Option<PathBuf>,
    answered: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

/// Binds every listener of `config` and serves in the background.
///
/// # Errors
/// When there is no listener or an address cannot be bound; the error names the address.
pub async fn start(config: Config, clock: SharedClock) -> io::Result<Running> {
    if config.listeners.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the sink has no listener",
        ));
    }
    let keeps = config.keeps();
    let (stop, stopped) = watch::channel(false);
    let (answer, answered) = watch::channel(0);
    let mut running = Running {
        addresses: Vec::new(),
        shared: Vec::new(),
        messages: config.messages,
        report: config.report,
        answered,
        stop,
        listeners: JoinSet::new(),
    };
    for listener in config.listeners {
        let socket = TcpListener::bind(listener.listen)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", listener.listen)))?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            tls: tls_of(&listener, address)?,
            rules: Arc::new(Rules::new(&listener, clock.now().monotonic)),
            counters: Counters::new(address),
            listener: Arc::new(listener),
            keeps,
            answered: answer.clone(),
        });
        running.addresses.push(address);
        running.shared.push(shared.clone());
        running
            .listeners
            .spawn(listen(socket, shared, stopped.clone(), clock.clone()));
    }
    Ok(running)
}

/// Runs a sink as a program does: until it has its messages or `until` completes; then writes the
/// report to its file.
///
/// # Errors
/// As [`start`], and when the report cannot be written.
pub async fn run(config: Config, clock: SharedClock, until: impl Future<Output = ()>) -> io::Result<Report> {
    let running = start(config, clock).await?;
    tokio::select! {
        () = running.finished() => {}
        () = until => {}
    }
    running.finish().await
}

impl Running {
    /// Where the listeners listen, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the first listener listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The report as of now.
    pub fn report(&self) -> Report {
        Report {
            listeners: self
                .shared
                .iter()
                .map(|shared| shared.counters.snapshot())
                .collect(),
        }
    }

    /// Completes when `messages` have been accepted and answered in all.
    pub async fn received(&self, messages: u64) {
        let mut answered = self.answered.clone();
        if answered.wait_for(|answered| *answered >= messages).await.is_err() {
            // No listener is left that could receive one.
            std::future::pending::<()>().await;
        }
    }

    /// Completes when the messages of the configuration have been received; never without them.
    pub async fn finished(&self) {
        match self.messages {
            Some(messages) => self.received(messages).await,
            None => std::future::pending().await,
        }
    }

    /// Closes listeners and connections.
    pub async fn stop(mut self) -> Report {
        self.stop.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
        self.report()
    }

    /// Stops and writes the report to the file of the configuration, if it names one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn finish(mut self) -> io::Result<Report> {
        let path = self.report.take();
        let report = self.stop().await;
        if let Some(path) = path {
            report
                .write(&path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
        Ok(report)
    }
}

/// How a listener speaks TLS; a certificate of its own is for its name and address.
fn tls_of(listener: &Listener, address: SocketAddr) -> io::Result<Option<Arc<ServerConfig>>> {
    let names = [listener.hostname.clone(), address.ip().to_string()];
    let load = |certificate: &Certificate| certificate.load(&names);
    listener.tls.as_ref().map(load).transpose()
}

/// What the connections of a listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub listener: Arc<Listener>,
    pub rules: Arc<Rules>,
    pub counters: Counters,
    pub keeps: Keep,
    /// How it speaks TLS, if it does.
    pub tls: Option<Arc<ServerConfig>>,
    answered: watch::Sender<u64>,
}

impl Shared {
    /// Tells those who wait that the replies to so many messages have been sent.
    pub fn answered(&self, messages: u64) {
        if messages > 0 {
            self.answered.send_modify(|answered| *answered += messages);
        }
    }
}

/// A connection's place among those open at the same time.
#[derive(Debug)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
    number: u64,
    transactions: u64,
    has_left: AtomicBool,
}

impl Seat {
    fn take(shared: &Arc<Shared>, clock: &SharedClock) -> Option<Self> {
        let at = (shared.keeps != Keep::Nothing).then(|| clock.now().wall.0);
        let number = shared.counters.open(shared.listener.max_connections, at)?;
        Some(Seat {
            shared: shared.clone(),
            number,
            transactions: 0,
            has_left: AtomicBool::new(false),
        })
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The connection's number in the listener, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Counts ended transactions; says how many messages were accepted.
    pub fn count_ended(&mut self, ended: impl Iterator<Item = Option<Accepted>>, clock: &SharedClock) -> u64 {
        let mut messages = 0;
        for mut accepted in ended {
            if let Some(received) = accepted.as_mut().and_then(|accepted| accepted.received.as_mut()) {
                received.received_at = clock.now().wall.0;
            }
            self.transactions += 1;
            messages += u64::from(accepted.is_some());
            self.shared.counters.transaction(self.transactions, accepted);
        }
        messages
    }

    /// Gives the place up; once is enough.
    pub fn leave(&self) {
        if !self.has_left.swap(true, Ordering::Relaxed) {
            self.shared.counters.close();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Accepts and serves until stopped.
async fn listen(
    socket: TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    clock: SharedClock,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            // An error means that the sink has been dropped.
            _ = stopped.wait_for(|is_stopped| *is_stopped) => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, client)) = accepted else {
            clock.sleep_until(clock.now().monotonic + ACCEPT_PAUSE).await;
            continue;
        };
        // Without it replies might wait for acknowledgements; a failure only makes them late.
        let _ = stream.set_nodelay(true);
        match Seat::take(&shared, &clock) {
            Some(seat) => {
                shared.counters.came_from(client.ip());
                connections.spawn(connection::serve(stream, seat, clock.clone()))
            }
            None => connections.spawn(wire::refuse(stream, clock.clone(), shared.listener.rtt)),
        };
    }
    drop(socket);
    connections.shutdown().await;
}
