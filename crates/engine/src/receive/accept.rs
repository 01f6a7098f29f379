//! Listeners and the accept loop, and how many sessions there may be.
//!
//! # Contract
//! * **A session beyond a limit is told so with 421** and costs no task.
//! * **A client is an IPv4 address or an IPv6 /64**: who has one of those has all its addresses.
//! * **A socket that was given has the listener of its address**, or none: then nothing but mail in clear.
//! * **Accepting goes on after any error**; without descriptors it pauses.

use std::{
    collections::HashMap,
    io::{self, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use remuda_clock::SharedClock;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};

use super::{
    Error, Shared,
    offers::{self, Offer},
    session::Session,
    store::Store,
    wire::{Phase, Wire},
};
use crate::settings::{Limits, Listener, Settings};

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// After a failing accept: no descriptors, no memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Sessions open, in all and by client.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// A place among the sessions; given back when dropped.
pub(super) struct Place {
    sessions: Arc<Sessions>,
    client: IpAddr,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Client,
}

impl Full {
    fn reply(self) -> &'static str {
        match self {
            Full::All => "421 4.3.2 Too many sessions, try again later",
            Full::Client => "421 4.7.0 Too many sessions from your address",
        }
    }
}

impl Sessions {
    /// Takes a place.
    pub(super) fn enter(self: &Arc<Self>, ip: IpAddr, limits: &Limits) -> Result<Place, Full> {
        let client = client_of(ip);
        let mut open = self.lock();
        if open.all >= limits.sessions {
            return Err(Full::All);
        }
        if open.by_client.get(&client).copied().unwrap_or(0) >= limits.sessions_per_client {
            return Err(Full::Client);
        }
        *open.by_client.entry(client).or_default() += 1;
        open.all += 1;
        Ok(Place {
            sessions: self.clone(),
            client,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.lock().all
    }

    /// Waits until no session is open.
    pub(super) async fn ended(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sessions.lock();
        open.all -= 1;
        if let Some(count) = open.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&self.client);
            }
        }
        if open.all == 0 {
            self.sessions.emptied.notify_waiters();
        }
    }
}

/// What counts as one client with `ip`: the address, or its /64.
pub(super) fn client_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Sockets that listen, and what is offered on them.
pub struct Bound {
    pub(super) sockets: Vec<Listening<StdListener>>,
    pub(super) offers: Vec<Arc<Offer>>,
}

/// A socket, with the place of its listener in the settings, where one is for it.
pub(super) struct Listening<T> {
    pub socket: T,
    pub place: Option<usize>,
}

/// Who comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor {
    pub ip: IpAddr,
    /// The listener.
    pub place: Option<usize>,
}

/// Reads the certificates of the settings' listeners and binds them, unless sockets were `given`, which then have
/// the listener of their address, or of none: to be done before anything else that a second server would disturb.
/// Needs no runtime.
///
/// # Errors
/// An address cannot be listened on, or a certificate cannot be used.
pub fn bind(settings: &Settings, given: Vec<StdListener>, clock: &SharedClock) -> Result<Bound, Error> {
    let listeners = &settings.listeners;
    let offers = offers::read(listeners, clock, &[])?;
    let sockets = if given.is_empty() {
        let bound = listeners.iter().enumerate().map(|(place, listener)| {
            let socket = bind_one(listener.address).map_err(|source| Error::Listen {
                address: listener.address.to_string(),
                source,
            })?;
            let place = Some(place);
            Ok(Listening { socket, place })
        });
        bound.collect::<Result<_, Error>>()?
    } else {
        given
            .into_iter()
            .map(|socket| placed(listeners, socket))
            .collect()
    };
    Ok(Bound { sockets, offers })
}

/// Finds the listener that a given socket is for.
fn placed(listeners: &[Listener], socket: StdListener) -> Listening<StdListener> {
    let address = socket.local_addr().ok();
    let place = listeners
        .iter()
        .position(|listener| Some(listener.address) == address);
    // Who offers nothing anywhere misses nothing here.
    let is_plain = |listener: &Listener| *listener == Listener::plain(listener.address);
    if let (None, Some(address), false) = (place, address, listeners.iter().all(is_plain)) {
        tracing::warn!(%address, "a given socket has no [[listener]] with its address; it is for mail in clear, without logins");
    }
    Listening { socket, place }
}

fn bind_one(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Puts listeners under the runtime's watch.
pub(super) fn watched(listeners: Vec<Listening<StdListener>>) -> Result<Vec<Listening<TcpListener>>, Error> {
    let watch = |Listening { socket, place }: Listening<StdListener>| {
        let address = socket.local_addr().map(|address| address.to_string());
        let watched = socket
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(socket));
        let socket = watched.map_err(|source| Error::Listen {
            address: address.unwrap_or_else(|_| "the given socket".to_owned()),
            source,
        })?;
        Ok(Listening { socket, place })
    };
    listeners.into_iter().map(watch).collect()
}

/// Accepts until the server stops; then the listener is closed.
pub(super) async fn run<S: Store>(
    shared: Arc<Shared<S>>,
    Listening { socket, place }: Listening<TcpListener>,
    mut phase: watch::Receiver<Phase>,
) {
    let watch = phase.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Running) => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let ip = peer.ip().to_canonical();
                admit(&shared, stream, Visitor { ip, place }, watch.clone());
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                let until = shared.clock.now().monotonic + ACCEPT_PAUSE;
                shared.clock.sleep_until(until).await;
            }
        }
    }
}

fn admit<S: Store>(
    shared: &Arc<Shared<S>>,
    stream: TcpStream,
    visitor: Visitor,
    phase: watch::Receiver<Phase>,
) {
    let snapshot = shared.snapshot();
    let place = match shared.sessions.enter(visitor.ip, &snapshot.settings.limits) {
        Ok(place) => place,
        Err(full) => {
            tracing::info!(client = %visitor.ip, reply = full.reply(), "connection refused");
            shared.metrics.refused_sessions.inc();
            // Under TLS nobody would understand it.
            if snapshot.offer(visitor.place).at_once().is_none() {
                refuse(stream, full);
            }
            return;
        }
    };
    // Replies are small and awaited.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        let _place = place;
        serve(shared, stream, visitor, phase).await;
    });
}

/// Holds one session on `io` to its end.
pub(super) async fn serve<S: Store, Io: AsyncRead + AsyncWrite + Unpin>(
    shared: Arc<Shared<S>>,
    io: Io,
    visitor: Visitor,
    phase: watch::Receiver<Phase>,
) {
    let _counted = Counted::new(shared.metrics.sessions.clone());
    let wire = Wire::new(io, shared.clock.clone(), phase);
    Session::new(shared, visitor, wire).run().await;
}

/// Says 421 without waiting: the socket's buffer is empty, so it fits or the client is gone.
fn refuse(stream: TcpStream, full: Full) {
    let reply = format!("{}\r\n", full.reply());
    let said = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(reply.as_bytes()));
    if let Err(error) = said {
        tracing::debug!(%error, "could not say 421");
    }
}

/// One session in the gauge, also when its task panics.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(all: usize, client: usize) -> Limits {
        Limits {
            message_size: 0,
            recipients_per_message: 0,
            sessions: all,
            sessions_per_client: client,
            queue_memory: 0,
            active_messages: 0,
            min_free_disk: 0,
            memory: None,
        }
    }

    #[tokio::test]
    async fn sessions_are_limited_in_all_and_by_client() {
        let sessions = Arc::new(Sessions::default());
        let enter = |ip: &str| sessions.enter(ip.parse().unwrap(), &limits(4, 2));
        let first = enter("192.0.2.1").ok();
        let second = enter("::ffff:192.0.2.1").ok();
        assert!(first.is_some() && second.is_some());
        assert_eq!(enter("192.0.2.1").err(), Some(Full::Client));
        let third = enter("2001:db8::1").ok();
        let fourth = enter("2001:db8::ffff:2").ok();
        assert!(third.is_some() && fourth.is_some());
        assert_eq!(enter("192.0.2.9").err(), Some(Full::All));
        drop((first, third));
        assert_eq!(sessions.count(), 2);
        assert!(enter("192.0.2.1").is_ok());
        drop((second, fourth));
        sessions.ended().await;
        assert!(sessions.lock().by_client.is_empty());
    }
}
