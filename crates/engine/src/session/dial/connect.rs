//! The TCP connection of a session.

use std::{io, net::IpAddr};

use remuda_clock::before;
use remuda_dispatch::event::DialStep;
use remuda_mail::{Blame, EnhancedStatus, Failure, Refusal, Scope, Way};
use remuda_smtp::client::Peer;

use super::{Means, NotOpened, not_opened};
use crate::{network::Transport, session::order::DialOrder};

/// Connects within the order's time.
pub(super) async fn connect(
    order: &DialOrder,
    peer: &Peer,
    means: &Means,
) -> Result<Box<dyn Transport>, NotOpened> {
    let clock = &means.clock;
    let deadline = clock.now().monotonic + order.connect_timeout;
    let way = Way {
        endpoint: order.endpoint,
        source: order.source,
    };
    let connected = before(&**clock, deadline, means.network.connect(way)).await;
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
