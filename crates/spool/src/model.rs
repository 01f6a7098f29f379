//! What goes into the spool and what comes out.

use std::sync::Arc;

use bytes::Bytes;
use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId, Envelope, MessageId, Outcome, Recipient};
use serde::{Deserialize, Serialize};

/// How a message came to us; kept with it for `queue show` and the reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The client's address, or empty for mail of our own (reports).
    #[serde(default)]
    pub client: String,
    /// What it said in HELO or EHLO.
    #[serde(default)]
    pub helo: String,
    /// `SMTP`, `ESMTP`, `UTF8SMTP`…, or `DSN` for our own (RFC 3848).
    #[serde(default)]
    pub protocol: String,
}

/// A message's recipients for one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// Where they are scheduled.
    pub destination: Destination,
    /// Who they are; not empty.
    pub recipients: Vec<Recipient>,
}

/// Where some of an entry's recipients go instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reroute {
    /// Where they are scheduled.
    pub destination: Destination,
    /// Who goes there, and as whom; not empty. One may go as several.
    pub recipients: Vec<Readdressed>,
}

/// A recipient, and who gets its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readdressed {
    /// As it waits.
    pub was: Recipient,
    /// The same, or who is behind it.
    pub now: Recipient,
}

/// A message to be made durable. `C` is where its content is.
#[derive(Debug)]
pub struct NewMessage<C> {
    /// Its queue id, from [`allocate_id`](crate::Spool::allocate_id).
    pub id: MessageId,
    /// Sender and parameters.
    pub envelope: Envelope,
    /// Where it came from.
    pub origin: Origin,
    /// When; its first due time too.
    pub arrived: Wall,
    /// When to give up.
    pub expires: Wall,
    /// When to look at it again though nothing was tried: the delay warning, else `expires`.
    pub notice: Wall,
    /// The content, CRLF only.
    pub content: C,
    /// Its recipients by destination; not empty.
    pub entries: Vec<NewEntry>,
}

/// State of an entry in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// To be delivered at its due time.
    Waiting,
    /// On hold by the operator.
    Held,
}

/// A recipient that has no final outcome yet, with its last deferral.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Who.
    #[serde(flatten)]
    pub recipient: Recipient,
    /// The last deferral in words, for `queue show` and the reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<remuda_mail::Refusal>,
    /// A host may have accepted it already: a final reply was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_be_duplicate: bool,
}

impl Pending {
    /// A recipient that nothing was said about yet.
    pub fn new(recipient: Recipient) -> Self {
        Pending {
            recipient,
            last: None,
            may_be_duplicate: false,
        }
    }
}

/// One attempt, kept with the entry (the last few) for `queue show`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended, in milliseconds since 1970.
    pub at: i64,
    /// `host[address]:port` of the last host tried; empty when none was.
    #[serde(default)]
    pub relay: String,
    /// What came of it, in words.
    pub result: String,
    /// What was considered on the way to its sessions, in order; bounded in number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
    /// How much more was considered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub considered_more: u32,
}

/// One candidate for a session of an attempt, or what was done for want of one. A queue that waits holds
/// millions of these, so their names are short where they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// How it came to be considered: `destination`, `address`, `freed`; `dial`, `limit`, `cache`; or as
    /// `cache=` of the delivery log says it of the session taken.
    #[serde(rename = "b")]
    pub by: String,
    /// `ADDRESS:PORT`.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The session's number.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// `none parked`, `unfit`, `full`, `dialled`, `joined`, `failed`, `taken`, `dead`, `off`.
    #[serde(rename = "v")]
    pub verdict: String,
    /// Why it was not fit.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An entry as read from the spool (or just stored): all that a delivery needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its id.
    pub id: EntryId,
    /// The message it belongs to.
    pub message: MessageId,
    /// Where it is scheduled.
    pub destination: Destination,
    /// Of the message.
    pub envelope: Arc<Envelope>,
    /// Octets of content.
    pub size: u64,
    /// The header block holds octets above 127.
    pub header_8bit: bool,
    /// Header or body holds octets above 127.
    pub content_8bit: bool,
    /// When it came.
    pub arrived: Wall,
    /// When to give up.
    pub expires: Wall,
    /// When it may be tried.
    pub due: Wall,
    /// Delivery attempts so far.
    pub attempts: u32,
    /// Waiting or held.
    pub state: State,
    /// Recipients without a final outcome; not empty.
    pub recipients: Vec<Pending>,
}

/// What became of one entry's delivery. Applied in one commit with whatever else waits.
#[derive(Debug)]
pub struct Settlement {
    /// Which entry.
    pub entry: EntryId,
    /// Of which message.
    pub message: MessageId,
    /// Recipients that stay, with their last deferral; empty = the entry is done, and the message with
    /// its last entry.
    pub left: Vec<Pending>,
    /// The next due time of what stays.
    pub due: Wall,
    /// The attempt, for `queue show`.
    pub attempt: Option<Attempt>,
    /// Reports to be stored in the same commit.
    pub reports: Vec<NewMessage<Bytes>>,
}

/// An outcome of a recipient, as the report and the log want it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Who.
    pub recipient: Recipient,
    /// What.
    pub outcome: Outcome,
    /// As of [`Pending`].
    pub may_be_duplicate: bool,
}
