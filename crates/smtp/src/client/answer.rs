//! What the client machine is told and what it answers.

use remuda_mail::{Envelope, Failure, Outcome, Recipient};

use super::Step;

/// What is to be sent in one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Sender and parameters.
    pub envelope: &'a Envelope,
    /// Who is to get it; not empty.
    pub recipients: &'a [Recipient],
    /// Octets of content.
    pub size: u64,
    /// SMTPUTF8 must be used.
    pub smtputf8: bool,
    /// The content holds octets above 127, whatever the envelope declares.
    pub eight_bit: bool,
    /// The whole content, when it may go out with the commands: it does where the server offers CHUNKING.
    pub whole: Option<&'a [u8]>,
}

/// What the shell is to do, besides writing [`Client::output`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing: the machine waits for an order.
    Nothing,
    /// Read; the step says how long.
    Reply(Step),
    /// Give the next block of content, or its end.
    Content,
    /// Make the TLS handshake, and say [`secured`](super::Client::secured) when it has succeeded.
    Handshake,
}

/// A session that did not come about.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Where it stopped: the greeting, EHLO, HELO, STARTTLS or AUTH.
    pub step: Step,
    /// Why.
    pub failure: Failure,
}

/// How a transaction went.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// One for each recipient of the order, in its order; None = undecided.
    pub outcomes: Vec<Option<Outcome>>,
    /// What is to become of the undecided.
    pub rest: Rest,
    /// MAIL was said, or would have been had the connection not failed first.
    pub is_begun: bool,
    /// The content got 2xx.
    pub accepted: bool,
    /// The content was sent and its reply lost.
    pub may_be_duplicate: bool,
    /// Whom that is about: places among the outcomes. They are deferred, unless they are sent it again.
    pub unknown: Vec<usize>,
    /// They may be, if the end came soon enough: the server had answered on this session before this
    /// transaction, and closed it.
    pub may_resend: bool,
    /// Transactions before the server ended the session, or refused MAIL, in a way that may be a limit of
    /// its; only after one was accepted.
    pub limit_met: Option<u32>,
    /// The server took content though it had refused MAIL: under whose name, nobody knows.
    pub accepted_after_refusal: bool,
    /// A reply did not fit its command: who answers so is not sent several things at once.
    pub is_disorderly: bool,
    /// A recipient was refused, in order.
    pub has_refused_recipient: bool,
    /// Groups of octets that went out, each after waiting for replies.
    pub flights: u32,
    /// The session.
    pub health: Health,
}

/// What is to become of recipients without an outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Rest {
    /// The next transaction takes them, if there are any.
    Next,
    /// Nothing was sent: the session was dead.
    Unsent,
    /// The session ended without any reply, or was in disorder, before the content: once more elsewhere.
    LostEarly,
    /// MAIL was refused for what may be a limit of the session: once more elsewhere.
    Limited(Box<Failure>),
    /// The session takes nobody of them: it has had as many recipient domains as the server allows.
    NoRoom,
    /// The host could not be used.
    Failed(Box<Failure>),
}

/// What a session is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Another transaction.
    Sound,
    /// QUIT.
    Worn,
    /// To be closed.
    Broken,
}
