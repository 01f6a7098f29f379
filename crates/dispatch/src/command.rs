//! What `dispatch` tells the shell: the commands that it decided on.

use std::{net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::{Monotonic, Wall};
use remuda_connection_cache::{Leaving, Unfit};
use remuda_mail::{
    DeliveryId, Destination, Endpoint, EntryId, HopLogin, Protocol, Refusal, SessionId, TlsPolicy,
};

use crate::{choice::Choice, search::Search};

/// How the session of a transaction was found: `cache=` of the delivery log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// Parked, by destination.
    Destination,
    /// Parked, by endpoint.
    Address,
    /// Freed by another delivery and handed over without being parked.
    Handover,
    /// None fitted: dialled for this.
    Miss,
    /// Not asked for: caching is off here.
    Off,
}

/// What may go out at once of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flight {
    /// The commands; the content once they are answered.
    Split,
    /// Commands and content, where the receiver's extensions allow it.
    Whole,
    /// As `Whole`, behind the transactions that are under way on the session, without waiting for their
    /// replies. One that is answered before this order arrives leaves the session free for it all the same.
    Behind,
}

/// Why a session is retired: `cause` of `remuda_connection_cache_closed_total` and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetireCause {
    /// Idle for `idle_time_limit`.
    Idle,
    /// Older than `reuse_time_limit`.
    Age,
    /// Used `reuse_count_limit` times, or as often as its receiver announced or taught us.
    Count,
    /// Gave way to another, or found no room.
    Evicted,
    /// Reload, shutdown, or the operator's wish.
    Drained,
    /// Not worth parking: nobody waits, caching is not on for its destination, or its endpoint does not bear
    /// reuse.
    NotParked,
    /// Refused too many transactions in a row, or is not fit to go on.
    Worn,
}

impl From<Leaving> for RetireCause {
    fn from(leaving: Leaving) -> Self {
        match leaving {
            Leaving::Idle => RetireCause::Idle,
            Leaving::Age => RetireCause::Age,
            Leaving::Count => RetireCause::Count,
            Leaving::Evicted => RetireCause::Evicted,
            Leaving::Drained => RetireCause::Drained,
            Leaving::Worn => RetireCause::Worn,
        }
    }
}

impl RetireCause {
    /// The cause as the cache counts it.
    pub(crate) fn leaving(self) -> Option<Leaving> {
        match self {
            RetireCause::Idle => Some(Leaving::Idle),
            RetireCause::Age => Some(Leaving::Age),
            RetireCause::Count => Some(Leaving::Count),
            RetireCause::Evicted => Some(Leaving::Evicted),
            RetireCause::Drained => Some(Leaving::Drained),
            RetireCause::Worn => Some(Leaving::Worn),
            RetireCause::NotParked => None,
        }
    }
}

/// What becomes of recipients that have no final outcome when a delivery ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Rest {
    /// There are none.
    Nobody,
    /// They wait; `refusal` is for those who were told nothing themselves.
    Defer {
        /// The entry's next due time.
        until: Wall,
        /// Reason for recipients without a deferral of their own.
        refusal: Option<Refusal>,
    },
    /// They bounce, because the destination can never take them, or (`expired`) the time is up.
    Bounce {
        /// Reason for recipients without a deferral of their own.
        refusal: Option<Refusal>,
        /// The time is up.
        expired: bool,
    },
}

/// What a session that is dialled must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Security {
    /// How much TLS.
    pub tls: TlsPolicy,
    /// For `may`: a handshake failed there lately, at that time; it is not tried again.
    pub failed_handshake: Option<Monotonic>,
    /// As whom to log in.
    pub login: Option<HopLogin>,
}

/// Everything that `dispatch` can order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Read the first `limit` due entries of a destination, held ones excepted.
    Load {
        /// Whose.
        destination: Destination,
        /// How many at most, in memory already or not.
        limit: usize,
    },
    /// Find the destination's servers.
    Resolve {
        /// Whose.
        destination: Destination,
    },
    /// Open a session.
    Dial {
        /// The id it will have.
        session: SessionId,
        /// Where to.
        endpoint: Endpoint,
        /// What is to be spoken.
        protocol: Protocol,
        /// The host's name.
        host: Arc<str>,
        /// The address of ours to bind to; `None`: the system chooses.
        source: Option<IpAddr>,
        /// How to introduce ourselves.
        helo_name: Arc<str>,
        /// For whom (log); another may get it.
        destination: Destination,
        /// What must protect it.
        security: Security,
    },
    /// Run a transaction on a session that is parked or was just opened or freed, or (`Behind`) is busy.
    Transact {
        /// On which.
        session: SessionId,
        /// For which delivery.
        delivery: DeliveryId,
        /// Of which entry.
        entry: EntryId,
        /// At most so many recipients.
        recipients_max: u32,
        /// True on the first transaction with a host: all recipients without a final outcome are to
        /// be tried again. False: only those still undecided.
        next_host: bool,
        /// What goes out at once.
        flight: Flight,
        /// For the log: why this endpoint.
        choice: Choice,
        /// For the log.
        found: Found,
        /// A used session that has said nothing for so long, and cannot have taken the message, is dead.
        reply_within: Duration,
        /// For the log: why a parked session was not taken for it, if one was looked at.
        unfit: Option<Unfit>,
    },
    /// Put the recipients into their Maildirs.
    DeliverLocally {
        /// For which delivery.
        delivery: DeliveryId,
        /// Of which entry.
        entry: EntryId,
    },
    /// The session is parked: read it, and report when it ends or speaks.
    Watch {
        /// Which.
        session: SessionId,
    },
    /// Say QUIT (at most a second) and close.
    Retire {
        /// Which.
        session: SessionId,
        /// Why.
        cause: RetireCause,
    },
    /// Record the delivery's outcomes.
    Settle {
        /// Which delivery.
        delivery: DeliveryId,
        /// Of which entry.
        entry: EntryId,
        /// What becomes of the others.
        rest: Rest,
        /// What was considered on the way to its sessions; empty where nobody is left to ask.
        search: Search,
    },
    /// The entry leaves memory unsettled and stays in the spool as it is (suspension, full memory,
    /// withdrawn before anything was tried).
    Unload {
        /// Which.
        entry: EntryId,
    },
}
