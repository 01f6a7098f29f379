//! What the actor tells a session's task, and what the task reports back.

use std::{net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_dispatch::{
    command::Flight,
    event::{After, Conduct, Death, DialStep, Undecided},
};
use remuda_mail::{
    CredentialsId, DeliveryId, Endpoint, Envelope, Facts, Failure, MessageId, Outcome, Protocol, Recipient,
    SessionId, TlsPolicy, TlsProtocol,
};
use remuda_smtp::client::Login;

use super::gate::Asked;

/// What to dial.
#[derive(Clone, Debug)]
pub struct DialOrder {
    /// The session's id.
    pub session: SessionId,
    /// Where to.
    pub endpoint: Endpoint,
    /// What is spoken.
    pub protocol: Protocol,
    /// The host's name.
    pub host: Arc<str>,
    /// The address of ours to bind to; `None`: the system chooses.
    pub source: Option<IpAddr>,
    /// Our HELO name.
    pub helo_name: Arc<str>,
    /// For the TCP connect.
    pub connect_timeout: Duration,
    /// What must protect it.
    pub security: Security,
}

/// What must protect a session.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// How much TLS.
    pub tls: TlsPolicy,
    /// For `may`: a handshake failed there at that time and is not tried again.
    pub failed_handshake: Option<Monotonic>,
    /// As whom to log in.
    pub login: Option<(CredentialsId, Login)>,
}

/// One transaction to run.
#[derive(Clone, Debug)]
pub struct TransactOrder {
    /// For the answer.
    pub delivery: DeliveryId,
    /// Whose content; fetched with `Spool::content`.
    pub message: MessageId,
    /// Sender and parameters.
    pub envelope: Arc<Envelope>,
    /// Octets of content.
    pub size: u64,
    /// SMTPUTF8 must be used at MAIL (the client gave it and envelope or header is not ASCII).
    pub smtputf8: bool,
    /// The content holds octets above 127.
    pub eight_bit: bool,
    /// What may go out at once.
    pub flight: Flight,
    /// A used session that has said nothing for so long, and cannot have taken the message, is dead.
    pub reply_within: Duration,
    /// Who gets it: at most the batch, with the index that the answer uses.
    pub recipients: Vec<Recipient>,
    /// What the session's gate has said of them, once it was asked.
    pub asked: Option<Asked>,
}

impl TransactOrder {
    /// Who is named to the server.
    pub(super) fn named(&self) -> &[Recipient] {
        self.asked
            .as_ref()
            .map_or(&self.recipients, |asked| &asked.passing)
    }
}

/// What a session's task is told.
#[derive(Debug)]
pub enum Order {
    /// Run a transaction, behind those under way.
    Transact(Box<TransactOrder>),
    /// Parked: read the stream and report when it ends or speaks.
    Watch,
    /// QUIT and close.
    Retire,
}

/// What a session's task reports, each with its session's id.
#[derive(Debug)]
pub enum Report {
    /// The dial has a TCP connection.
    Connected,
    /// The dial succeeded.
    Opened(Box<Facts>),
    /// The dial failed; the task is over.
    DialFailed {
        /// Where.
        step: DialStep,
        /// Why.
        failure: Box<Failure>,
    },
    /// The transaction is over.
    Transacted(Box<Transacted>),
    /// A parked session ended or spoke; the task is over.
    Died {
        /// How.
        cause: Death,
        /// As of [`Transacted`].
        limit_met: Option<u32>,
    },
    /// QUIT was said or given up; the task is over.
    Ended,
}

/// How a transaction went.
#[derive(Debug)]
pub struct Transacted {
    /// Which.
    pub delivery: DeliveryId,
    /// One for each recipient of the order, in its order; None = undecided.
    pub outcomes: Vec<Option<Outcome>>,
    /// Why some are undecided.
    pub cause: Undecided,
    /// MAIL was said, or would have been had the connection not failed first.
    pub begun: bool,
    /// How the session was found to be dead, if nothing was sent or nothing answered.
    pub death: Option<Death>,
    /// The content got 2xx.
    pub accepted: bool,
    /// Time spent waiting for replies.
    pub waited: Duration,
    /// `host[address]:port` for the log.
    pub relay: Arc<str>,
    /// The version of TLS that carried it (`tls=`).
    pub tls: Option<TlsProtocol>,
    /// Uses of the session, this one included (`conn_use=`).
    pub uses: u32,
    /// From dial or take to the MAIL command, and from MAIL to the final reply (`delays=` c is
    /// computed by the actor from `mail_sent`).
    pub mail_sent: Option<remuda_clock::Now>,
    /// The final reply was lost after the content had been sent: it may have been accepted.
    pub may_be_duplicate: bool,
    /// By whom: places among the outcomes.
    pub unknown: Vec<usize>,
    /// Who was not named to the server, as the gate has it; of those who wait nobody could say whether they have
    /// a mailbox. Places among the outcomes.
    pub kept: Vec<usize>,
    /// They may be sent it again at once: the session had answered before, and ended right behind the flight.
    pub may_resend: bool,
    /// Transactions of the session before it met what may be a limit of its server.
    pub limit_met: Option<u32>,
    /// The server took content though it had refused MAIL.
    pub accepted_after_refusal: bool,
    /// How its replies came.
    pub conduct: Conduct,
    /// Groups of octets that went out, each after waiting for replies.
    pub flights: u32,
    /// The session.
    pub session: After,
}
