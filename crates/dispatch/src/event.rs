//! What the shell tells `dispatch`: the events it decides on.
//!
//! # Contract
//! * **Events are facts.** Each reports something that has happened; none asks for anything.
//! * **The shell answers every command that has an answer with exactly one event**: `Load` with
//!   [`Event::Loaded`] or [`Event::LoadFailed`], `Resolve` with [`Event::Resolved`], `Dial` with
//!   [`Event::Opened`] or [`Event::DialFailed`], `Transact` and `DeliverLocally` with
//!   [`Event::Answered`], `Settle` with [`Event::Settled`], `Retire` with [`Event::Ended`].

use std::{sync::Arc, time::Duration};

use remuda_clock::{Monotonic, Wall};
pub use remuda_connection_cache::Death;
use remuda_mail::{
    DeliveryId, Destination, Endpoint, EntryId, Facts, Failure, HopPolicy, Refusal, SessionId,
};
pub use remuda_schedule::{Backlog, Entry};

use crate::settings::Settings;

/// A host address that serves a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The address.
    pub endpoint: Endpoint,
    /// Its name for logs and HELO checks.
    pub host: Arc<str>,
    /// Lower first; absolute.
    pub preference: u16,
}

/// Where a destination's mail may go now.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// All usable addresses; never empty.
    pub candidates: Vec<Candidate>,
    /// What the route that names them says about TLS and AUTH.
    pub policy: HopPolicy,
    /// When to ask again.
    pub valid_until: Monotonic,
}

/// Why a destination has no servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Unresolved {
    /// For the recipients; permanent = bounce, else defer.
    pub refusal: Refusal,
    /// When to ask again.
    pub valid_until: Monotonic,
}

/// Which step of opening a session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialStep {
    /// Binding to the source address: this machine does not have it, or no port of it is left.
    Source,
    /// TCP connect: refused, unreachable, timed out.
    Connect,
    /// No greeting, or one that is not 2xx.
    Greeting,
    /// EHLO and HELO refused or unanswered.
    Helo,
    /// STARTTLS, the handshake, or the host's certificate.
    Tls,
    /// AUTH.
    Auth,
}

/// What is left of a session after a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum After {
    /// In order and ready for another transaction.
    Free(Box<Facts>),
    /// In order, with other transactions under way behind this one.
    Going,
    /// Ended, or not to be used again (the shell has closed it; no `Retire` is due).
    Gone,
}

/// Why recipients of a transaction were left undecided.
#[derive(Clone, Debug, PartialEq)]
pub enum Undecided {
    /// None were, or they did not fit this transaction (batch, or 452 to a later RCPT): the next one
    /// takes them, on the same session where it is free.
    NextTransaction,
    /// The session was found dead before its first octet: nothing was sent. Another is taken silently.
    Unsent,
    /// The session ended without any reply before the end of the content was sent: sent once more at
    /// once, silently.
    LostEarly,
    /// MAIL was refused for what may be a limit of transactions of this session: sent once more at once.
    /// The failure is for who has that refused there too.
    Limited(Failure),
    /// The session has had as many recipient domains as its server takes: another is taken silently.
    NoRoom,
    /// The host could not be used for them: the next host, and at the last one they are deferred (or
    /// bounced, where every host failed for good).
    Failed(Failure),
    /// Nobody could say whether they have a mailbox here: they wait the shortest time, however old they are.
    Unasked,
    /// They may have been accepted, because the final reply was lost (T35). If the session ended soon enough
    /// they count as undecided, and are sent it once more in this delivery. Else they count as deferred,
    /// and nobody is sent it again at once, neither here nor at another host.
    PerhapsAccepted,
}

/// What a transaction showed of its host beside the outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conduct {
    /// A reply did not fit its command.
    pub is_disorderly: bool,
    /// A recipient was refused, in order.
    pub has_refused_recipient: bool,
}

/// How a transaction went.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Recipients that got a final outcome.
    pub finished: u32,
    /// Recipients that this host deferred (4xx to them, to MAIL or to the content).
    pub deferred: u32,
    /// Recipients that it did not decide.
    pub undecided: u32,
    /// Why.
    pub cause: Undecided,
    /// MAIL was said, or would have been had the connection not failed first.
    pub begun: bool,
    /// How the session was found to be dead, if nothing was sent or nothing answered.
    pub death: Option<Death>,
    /// The content got 2xx.
    pub accepted: bool,
    /// Time spent waiting for replies, without transfer.
    pub waited: Duration,
    /// How its replies came.
    pub conduct: Conduct,
    /// The session.
    pub session: After,
    /// Transactions of the session before it met what may be a limit of its server.
    pub limit_met: Option<u32>,
}

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// At start, before anything else: what the spool holds.
    Started(Vec<Backlog>),
    /// A new entry is committed and due.
    Accepted(Entry),
    /// Answers `Load`: due entries in order of due time, those already in memory included, and the
    /// due time of the first waiting entry that was not returned.
    Loaded {
        /// For whom.
        destination: Destination,
        /// At most the limit asked for.
        entries: Vec<Entry>,
        /// Of the first one left in the spool.
        next_due: Option<Wall>,
    },
    /// Answers `Load`: the spool failed; ask again later.
    LoadFailed {
        /// For whom.
        destination: Destination,
    },
    /// Answers `Resolve`.
    Resolved {
        /// For whom.
        destination: Destination,
        /// Its servers.
        answer: Result<Resolution, Unresolved>,
    },
    /// A dial has a TCP connection; its answer comes later.
    Connected {
        /// The id that `Dial` gave.
        session: SessionId,
    },
    /// Answers `Dial`: greeted and introduced.
    Opened {
        /// The id that `Dial` gave.
        session: SessionId,
        /// What it proved.
        facts: Facts,
    },
    /// Answers `Dial`.
    DialFailed {
        /// The id that `Dial` gave; it is gone.
        session: SessionId,
        /// Where it stopped.
        step: DialStep,
        /// Why.
        failure: Failure,
    },
    /// Answers `Transact` and (with `session: None`) `DeliverLocally`.
    Answered {
        /// The session that carried it.
        session: Option<SessionId>,
        /// Which delivery.
        delivery: DeliveryId,
        /// How it went.
        answer: Answer,
    },
    /// A parked session ended by itself, or sent something unasked (T30, T31, T38).
    Died {
        /// Which.
        session: SessionId,
        /// As of [`Answer`].
        limit_met: Option<u32>,
        /// How.
        cause: Death,
    },
    /// Answers `Retire`: QUIT was said or given up, the descriptor is closed.
    Ended {
        /// Which.
        session: SessionId,
    },
    /// Answers `Settle`: committed. `left` is the entry as it waits now (of one put on hold in the meantime:
    /// as it lies there), None when it is done.
    Settled {
        /// Which delivery.
        delivery: DeliveryId,
        /// What waits in the spool for a later attempt.
        left: Option<Entry>,
    },
    /// The entry is no longer to be delivered (deleted, held, expired by its notice, or rerouted). One
    /// in flight goes on to its settlement.
    Withdrawn {
        /// Where it was.
        destination: Destination,
        /// Which.
        entry: EntryId,
        /// It is on hold now, and counted as such.
        held: bool,
    },
    /// An entry that was put on hold in flight is released, and may still be in flight. If it is settled
    /// by now, it waits in the spool.
    Restored {
        /// Where.
        destination: Destination,
        /// Which.
        entry: EntryId,
        /// When it is due.
        due: Wall,
    },
    /// Entries in the spool became due at `due` (`Wall::NEVER`: none did, held ones are gone) that were not in the count (released, rerouted) or were
    /// due later (retry now). `thaw`: the operator wants it tried even if suspended.
    Wakened {
        /// Where.
        destination: Destination,
        /// When.
        due: Wall,
        /// How many were added to the waiting.
        added: u64,
        /// How many of them were on hold.
        from_held: u64,
        /// End a suspension.
        thaw: bool,
    },
    /// Where a destination's mail goes, or how its hosts are spoken to, has changed or is in doubt: its servers
    /// are asked for again before anything of it starts, and what is being asked now is no answer.
    Rerouted {
        /// Whose.
        destination: Destination,
    },
    /// The operator wants parked sessions gone.
    RetireParked {
        /// Only these.
        destination: Option<Destination>,
        /// Only these.
        endpoint: Option<Endpoint>,
    },
    /// The operator wants what was learned of an endpoint forgotten, for all of our addresses.
    HostForgotten {
        /// Which.
        endpoint: Endpoint,
    },
    /// New configuration.
    Reconfigured(Box<Settings>),
    /// Stop: start nothing, retire what is or becomes free.
    Stopping,
    /// Nothing but time has passed: `next_deadline` was reached.
    Tick,
}
