//! Opening a session: connect, greeting, EHLO.

use std::{io, net::IpAddr, sync::Arc};

use remuda_clock::{Monotonic, SharedClock, before};
use remuda_dispatch::event::DialStep;
use remuda_mail::{Blame, Capabilities, EnhancedStatus, Facts, Failure, Refusal, Scope, Way};
use remuda_smtp::client::{Client, Peer, Step};

use super::{Session, content::ContentSource, order::DialOrder, wire::Wire};
use crate::network::{Network, Transport};

/// A session that did not come about.
pub(super) struct NotOpened {
    pub(super) step: DialStep,
    pub(super) failure: Failure,
    /// The connection, when there is one to say QUIT on.
    pub(super) left: Option<(Wire, Client)>,
}

/// Opens a session.
pub(super) async fn dial(
    order: &DialOrder,
    network: Arc<dyn Network>,
    source: Arc<dyn ContentSource>,
    clock: SharedClock,
) -> Result<Session, NotOpened> {
    let peer = Peer::new(&order.host, order.endpoint);
    // The session's age counts from before connect (T20).
    let opened = clock.now().monotonic;
    let transport = connect(order, &peer, &*network, &clock).await?;
    let mut wire = Wire::new(transport, clock.clone());
    let mut client = Client::new(peer, order.helo_name.clone());
    wire.begins();
    wire.advance(&mut client).await;
    let capabilities = match client.opening() {
        Some(Ok(capabilities)) => *capabilities,
        Some(Err(refused)) => {
            let step = match refused.step {
                Step::Greeting => DialStep::Greeting,
                _ => DialStep::Helo,
            };
            let failure = refused.failure.clone();
            let left = Some((wire, client));
            return Err(NotOpened { step, failure, left });
        }
        None => return Err(not_opened(DialStep::Helo, ours(&client))),
    };
    let facts = Facts {
        last_used: clock.now().monotonic,
        ..facts(order, capabilities, opened)
    };
    Ok(Session {
        wire,
        client,
        facts,
        source,
        clock,
    })
}

fn facts(order: &DialOrder, capabilities: Capabilities, opened: Monotonic) -> Facts {
    Facts {
        endpoint: order.endpoint,
        source: order.source,
        host: order.host.clone(),
        helo_name: order.helo_name.clone(),
        capabilities,
        opened,
        uses: 0,
        last_used: opened,
        refused_in_a_row: 0,
        recipient_domains: Vec::new(),
    }
}

async fn connect(
    order: &DialOrder,
    peer: &Peer,
    network: &dyn Network,
    clock: &SharedClock,
) -> Result<Box<dyn Transport>, NotOpened> {
    let deadline = clock.now().monotonic + order.connect_timeout;
    let way = Way {
        endpoint: order.endpoint,
        source: order.source,
    };
    let connected = before(&**clock, deadline, network.connect(way)).await;
    let (what, blame) = match connected {
        Some(Ok(transport)) => return Ok(transport),
        Some(Err(error)) => match order.source.filter(|_| is_of_the_source(&error)) {
            Some(source) => return Err(unbound(source, peer, &error)),
            None => (plain(&error), blame(&error)),
        },
        None => ("Connection timed out".to_owned(), Blame::Network),
    };
    let failure = Failure {
        scope: Scope::Endpoint,
        blame,
        refusal: peer.refusal(EnhancedStatus::new(4, 4, 1), format!("connect to {peer}: {what}")),
    };
    Err(not_opened(DialStep::Connect, failure))
}

/// The source address cannot be used: the host has nothing to do with it.
fn unbound(source: IpAddr, peer: &Peer, error: &io::Error) -> NotOpened {
    let what = format!("connect to {peer} from {source}: {}", plain(error));
    tracing::warn!(%source, error = %plain(error), "a source address cannot be used");
    let failure = Failure {
        scope: Scope::Endpoint,
        blame: Blame::Us,
        refusal: Refusal::ours(EnhancedStatus::new(4, 3, 5), what),
    };
    not_opened(DialStep::Source, failure)
}

fn not_opened(step: DialStep, failure: Failure) -> NotOpened {
    NotOpened {
        step,
        failure,
        left: None,
    }
}

/// The machine stopped without an answer, which it does not.
fn ours(client: &Client) -> Failure {
    let status = EnhancedStatus::new(4, 3, 0);
    Failure {
        scope: Scope::Session,
        blame: Blame::Us,
        refusal: client
            .peer()
            .refusal(status, "internal error while opening a session".into()),
    }
}

/// Whose fault a failed connect is: ours when we have no descriptors, ports or addresses left.
fn blame(error: &io::Error) -> Blame {
    use rustix::io::Errno;
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    match Errno::from_io_error(error) {
        Some(errno) if ours.contains(&errno) => Blame::Us,
        _ => Blame::Network,
    }
}

/// Answers whether a connect failed for want of the address or of a port of it.
fn is_of_the_source(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable};
    matches!(error.kind(), AddrInUse | AddrNotAvailable)
}

/// The error's words without the system's number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
