//! What sessions cost and what they carried, from dial to end: the counts beyond the reference's (T84).
//!
//! # Contract
//! * **Every session that opened ends once**: opened = ended + open now, and the uses of all ended ones are in
//!   the histogram.
//! * **Every transaction ordered has one way**: taken from the cache (by destination or by address), handed
//!   over, on a new session, on one while caching is off, or a further one of the same delivery.
//! * **Only reuse saves**: a transaction on a session that has carried one for another delivery saves what
//!   opening it had cost; the first use of a session saves nothing.

use std::collections::BTreeMap;

use remuda_mail::Facts;

use crate::{Histogram, Leaving};

/// Counts of sessions over some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sessions that were greeted and introduced themselves.
    pub opened: u64,
    /// Dials that failed, by step.
    pub dials_failed: BTreeMap<&'static str, u64>,
    /// Transactions ordered on a session that was dialled for want of another.
    pub fresh: u64,
    /// … because caching is off.
    pub uncached: u64,
    /// Further transactions of a delivery on the session that it has.
    pub again: u64,
    /// Transactions ordered of which nothing was sent.
    pub not_begun: u64,
    /// Ended because nobody was likely to need it.
    pub not_parked: u64,
    /// … because it refused too often.
    pub worn: u64,
    /// … in or after a transaction: lost, broken, or closed by the server.
    pub failed: u64,
    /// Sessions found dead before use, by cause.
    pub deaths: BTreeMap<&'static str, u64>,
    /// Transactions begun on each session that has ended, over [`USES_BOUNDS`].
    pub uses: Histogram,
    /// Milliseconds that each session lay idle before it was taken, over [`IDLE_MS_BOUNDS`].
    pub idle_ms: Histogram,
    /// Round trips that reuse has saved.
    pub round_trips_saved: u64,
    /// TLS handshakes that reuse has saved.
    pub handshakes_saved: u64,
}

/// How a transaction came by its session, as far as the cache had no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A parked one, by destination or by address.
    Parked,
    /// Freed by another delivery and handed over.
    HandedOver,
    /// Dialled for want of another.
    Fresh,
    /// Dialled because caching is off.
    Uncached,
    /// Its delivery had it.
    Again,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The cache let go of it, or would not have it.
    Left(Leaving),
    /// Nobody was likely to need it.
    NotParked,
    /// In or after a transaction.
    Failed,
    /// It was found dead before use.
    Dead(Death),
}

/// How a session was found to be dead before use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Death {
    /// The server closed it in order.
    Fin,
    /// Reset, or the way to the server broke.
    Reset,
    /// The server said something unasked, as a 421 line.
    Data,
    /// It took what was sent and answered nothing.
    NoReply,
}

impl Death {
    /// All there are.
    pub const ALL: [Death; 4] = [Death::Fin, Death::Reset, Death::Data, Death::NoReply];

    /// The word for the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Death::Fin => "fin",
            Death::Reset => "reset",
            Death::Data => "data",
            Death::NoReply => "no_reply",
        }
    }
}

/// What it costs to open a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Round trips until MAIL can be sent.
    pub round_trips: u64,
    /// TLS handshakes among them.
    pub handshakes: u64,
}

impl Opening {
    /// What a session like this one would cost again: TCP, greeting, EHLO, and one more where the server knew
    /// only HELO. What TLS and AUTH add has its place here.
    pub fn of(facts: &Facts) -> Self {
        let helo_after_ehlo = u64::from(!facts.capabilities.esmtp);
        Opening {
            round_trips: 3 + helo_after_ehlo,
            handshakes: 0,
        }
    }
}

impl Usage {
    /// Adds what happened in `later`.
    pub(crate) fn add(&mut self, later: &Usage) {
        let Usage {
            opened,
            dials_failed,
            fresh,
            uncached,
            again,
            not_begun,
            not_parked,
            worn,
            failed,
            deaths,
            uses,
            idle_ms,
            round_trips_saved,
            handshakes_saved,
        } = later;
        self.opened += opened;
        add_each(&mut self.dials_failed, dials_failed);
        self.fresh += fresh;
        self.uncached += uncached;
        self.again += again;
        self.not_begun += not_begun;
        self.not_parked += not_parked;
        self.worn += worn;
        self.failed += failed;
        add_each(&mut self.deaths, deaths);
        self.uses.add(uses);
        self.idle_ms.add(idle_ms);
        self.round_trips_saved += round_trips_saved;
        self.handshakes_saved += handshakes_saved;
    }
}

/// Adds counts by name.
pub(crate) fn add_each(to: &mut BTreeMap<&'static str, u64>, later: &BTreeMap<&'static str, u64>) {
    for (name, count) in later {
        *to.entry(name).or_default() += count;
    }
}

/// Of the histogram of uses.
pub const USES_BOUNDS: [u64; 12] = [0, 1, 2, 3, 5, 10, 20, 50, 100, 300, 1_000, 10_000];

/// Of the histogram of idle times at take: from at once to the longest idle limits in use.
pub const IDLE_MS_BOUNDS: [u64; 10] = [1, 3, 10, 30, 100, 300, 1_000, 2_000, 5_000, 30_000];
