//! Reports about outcomes: bounces, delay warnings and confirmations (DSN; RFC 3461, 3464, 6522, 6533).
//!
//! [`due_reports`] and [`due_delay`] decide who is to be told what; [`compose`] writes it. Both are pure:
//! the caller reads the original's header (and, where [`wants_full`] says so, its content), routes the
//! report like any other message and stores it in the commit that settles the outcomes.
//!
//! # Contract
//! * **Never a report about a report**: mail with a null sender gives none.
//! * **Nobody is told what was declined**: NOTIFY decides for each recipient; without it failures and
//!   delays are told, successes are not.
//! * **A report always parses**, whatever a server, a client or the original said: CRLF only, lines of
//!   at most 998 octets, no field or part that we did not write.
//! * **Null sender, and no report asked for it**: its own failure ends silently.
//! * **International originals get international reports** (RFC 6533), others pure ASCII around the
//!   excerpt of the original.
//!
//! # Not here
//! When a warning is due and when time is up (`dispatch`, `spool`). Where the report goes (`route`).
//!
//! # Limits
//! `excerpt::HEADERS_MAX` of the original's header, [`FULL_MAX`] of its content, `text::WORDS_MAX` of
//! a server's words for each recipient.

mod due;
mod excerpt;
mod status;
mod text;
mod words;

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use remuda_clock::Wall;
use remuda_mail::{Address, Body, Envelope, MessageId, Notify, Recipient, Return, Sender};
use remuda_spool::model::Settled;

pub use self::due::{Due, due_delay, due_reports};
use self::{excerpt::Excerpt, text::Charset};

/// What a report says of its recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// They will never get it.
    Failure,
    /// They have not got it yet.
    Delay,
    /// They have got it, or a host without DSN has taken it over.
    Success,
}

impl Kind {
    /// The word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Failure => "failure",
            Kind::Delay => "delay",
            Kind::Success => "success",
        }
    }
}

/// Who reports, and when.
#[derive(Clone, Debug)]
pub struct ReportContext {
    /// `hostname`.
    pub hostname: Arc<str>,
    /// The time of the report.
    pub now: Wall,
    /// The queue id that the report will have.
    pub id: MessageId,
}

/// What is reported of which message.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// What the recipients below have in common.
    pub kind: Kind,
    /// The original's queue id.
    pub id: MessageId,
    /// The original's envelope.
    pub envelope: &'a Envelope,
    /// When the original came.
    pub arrived: Wall,
    /// When we give up on it (told with delays).
    pub expires: Wall,
    /// Whom it is about; not empty.
    pub recipients: &'a [Settled],
}

/// The message that is reported on, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Original {
    /// Its header block; what is over the limit may be left out.
    pub headers: Bytes,
    /// Its whole content, where [`wants_full`] asks for it.
    pub full: Option<Bytes>,
}

/// A report, ready to be routed and stored.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Null sender and what else goes with MAIL.
    pub envelope: Envelope,
    /// The sender of the original.
    pub recipient: Recipient,
    /// The message, header and all.
    pub content: Bytes,
}

/// Answers whether the report returns the whole original, so that the caller must read it.
///
/// Only a failure with RET=FULL does (RFC 3461 §4.3: other reports never should). Without RET the header
/// is returned: whoever forges a sender gets that third party sent as little as possible. Content over
/// [`FULL_MAX`] comes back as its header too, as RFC 3461 §6.2 lets an MTA limit what it returns: a
/// report is composed in memory, and nobody needs the attachment that he has sent himself.
pub fn wants_full(kind: Kind, envelope: &Envelope, size: u64) -> bool {
    kind == Kind::Failure && envelope.ret == Some(Return::Full) && size <= FULL_MAX
}

/// Writes the report; None when the original has nobody to report to or nothing is to be said.
pub fn compose(context: &ReportContext, shape: &Shape<'_>, original: &Original) -> Option<Composed> {
    let Sender(Some(sender)) = &shape.envelope.sender else {
        return None;
    };
    if shape.recipients.is_empty() {
        return None;
    }
    let charset = charset_of(shape, sender);
    let excerpt = Excerpt::of(original, shape, charset);
    let content = write(context, shape, sender, &excerpt);
    let body = if content.is_ascii() {
        Body::SevenBit
    } else {
        Body::EightBitMime
    };
    let mut recipient = Recipient::plain(sender.clone());
    recipient.notify = Some(Notify::NEVER);
    Some(Composed {
        envelope: Envelope {
            sender: Sender::NULL,
            body,
            smtputf8: charset == Charset::Utf8,
            ret: None,
            envid: None,
        },
        recipient,
        content: content.into(),
    })
}

/// RFC 6533 §3: the international forms are for those who understand them.
fn charset_of(shape: &Shape<'_>, sender: &Address) -> Charset {
    let is_international = shape.envelope.smtputf8
        || !sender.is_ascii()
        || shape
            .recipients
            .iter()
            .any(|one| !one.recipient.address.is_ascii());
    if is_international {
        Charset::Utf8
    } else {
        Charset::Ascii
    }
}

fn write(context: &ReportContext, shape: &Shape<'_>, sender: &Address, excerpt: &Excerpt) -> Vec<u8> {
    let charset = excerpt.charset;
    let words = words::write(context, shape, charset, excerpt.is_full);
    let status = status::write(context, shape, charset);
    let boundary = boundary(context, &[words.as_bytes(), status.as_bytes(), &excerpt.bytes]);
    let (status_type, human_charset) = match charset {
        Charset::Ascii => ("message/delivery-status", "us-ascii"),
        Charset::Utf8 => ("message/global-delivery-status", "utf-8"),
    };
    let mut out = header(context, shape.kind, sender, excerpt, &boundary);
    out.push_str("This is a delivery report in MIME format (RFC 3464).\r\n");
    let human_type = format!("text/plain; charset={human_charset}");
    part_header(&mut out, &boundary, &human_type, words.as_bytes());
    out.push_str(&words);
    part_header(&mut out, &boundary, status_type, status.as_bytes());
    out.push_str(&status);
    part_header(&mut out, &boundary, excerpt.content_type, &excerpt.bytes);
    let mut content = out.into_bytes();
    content.extend_from_slice(&excerpt.bytes);
    content.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    content
}

fn header(
    context: &ReportContext,
    kind: Kind,
    sender: &Address,
    excerpt: &Excerpt,
    boundary: &str,
) -> String {
    let host = text::token(&context.hostname);
    // RFC 6522 §3: the report type is the subtype of the second part.
    let report_type = match excerpt.charset {
        Charset::Ascii => "delivery-status",
        Charset::Utf8 => "global-delivery-status",
    };
    let mut out = format!(
        "From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n\
         To: <{sender}>\r\n\
         Subject: {}\r\n\
         Date: {}\r\n\
         Message-ID: <{}.{}@{host}>\r\n",
        subject(kind),
        text::date(context.now),
        context.id,
        context.now
    );
    if let Some(id) = &excerpt.message_id {
        out += &format!("In-Reply-To: {id}\r\nReferences: {id}\r\n");
    }
    // RFC 3834 §5: Auto-Submitted, so that no responder answers.
    out += &format!(
        "Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type={report_type};\r\n\
         \tboundary=\"{boundary}\"\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n"
    );
    out
}

fn subject(kind: Kind) -> &'static str {
    match kind {
        Kind::Failure => "Undelivered mail: your message could not be delivered",
        Kind::Delay => "Delayed mail: your message is still being tried",
        Kind::Success => "Delivery report: your message was delivered",
    }
}

fn part_header(out: &mut String, boundary: &str, content_type: &str, content: &[u8]) {
    let encoding = if content.is_ascii() { "7bit" } else { "8bit" };
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
}

/// A boundary that no part contains.
fn boundary(context: &ReportContext, parts: &[&[u8]]) -> String {
    let mut attempt: u64 = 0;
    loop {
        let boundary = format!("=_remuda_{}_{}_{attempt}", context.id, context.now);
        let finder = memchr::memmem::Finder::new(&boundary);
        if parts.iter().all(|part| finder.find(part).is_none()) {
            return boundary;
        }
        attempt += 1;
    }
}

/// Content that a failure returns whole, in octets.
pub const FULL_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
