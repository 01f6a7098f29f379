//! Between values and rows.
//!
//! # Contract
//! * **Values are turned into rows by the caller's thread**, not by the one writer.
//! * **A row that cannot be read is skipped and named in the log**, so that it does not block its
//!   neighbours; it stays in the spool.

use std::sync::Arc;

use bytes::Bytes;
use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId, Envelope, MessageId};
use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Attempt, Content, Error, NewMessage, Pending, Queued, State, content::Place};

/// Attempts kept with an entry.
pub(crate) const ATTEMPTS_KEPT: usize = 5;

/// A message ready to be bound to statements.
#[derive(Debug)]
pub(crate) struct MessageRow {
    pub(crate) id: MessageId,
    pub(crate) arrived: Wall,
    pub(crate) expires: Wall,
    pub(crate) notice: Wall,
    pub(crate) size: u64,
    pub(crate) header_8bit: bool,
    pub(crate) content_8bit: bool,
    pub(crate) sender: String,
    pub(crate) envelope: String,
    pub(crate) origin: String,
    pub(crate) place: Place,
    pub(crate) entries: Vec<EntryRow>,
}

/// An entry ready to be bound to statements.
#[derive(Debug)]
pub(crate) struct EntryRow {
    pub(crate) id: EntryId,
    pub(crate) destination: Destination,
    pub(crate) recipients: String,
}

impl MessageRow {
    /// About the octets that it costs in memory and in the log.
    pub(crate) fn bytes(&self) -> u64 {
        let content = match &self.place {
            Place::Memory(content) => content.len(),
            Place::File(_) => 0,
        };
        let entries: usize = self.entries.iter().map(|e| e.recipients.len() + 128).sum();
        (content + self.envelope.len() + self.origin.len() + entries + 256) as u64
    }
}

/// Turns a message into its row and the entries to announce after the commit. `next_id` gives ids to
/// entries after the first.
pub(crate) fn encode(
    message: NewMessage<Content>,
    next_id: impl Fn() -> MessageId,
) -> Result<(MessageRow, Vec<Queued>), Error> {
    let id = message.id;
    if message.entries.is_empty() || message.entries.iter().any(|e| e.recipients.is_empty()) {
        return Err(Error::NoRecipients { message: id });
    }
    let envelope = Arc::new(message.envelope);
    let (mut entries, mut queued) = (Vec::new(), Vec::new());
    for entry in message.entries {
        let entry_id = EntryId(if entries.is_empty() { id.0 } else { next_id().0 });
        let recipients = entry.recipients.into_iter().map(Pending::new).collect::<Vec<_>>();
        entries.push(EntryRow {
            id: entry_id,
            destination: entry.destination.clone(),
            recipients: json(&recipients),
        });
        queued.push(Queued {
            id: entry_id,
            message: id,
            destination: entry.destination,
            envelope: envelope.clone(),
            size: message.content.size,
            header_8bit: message.content.header_8bit,
            content_8bit: message.content.content_8bit,
            arrived: message.arrived,
            expires: message.expires,
            due: message.arrived,
            attempts: 0,
            state: State::Waiting,
            recipients,
        });
    }
    let row = MessageRow {
        id,
        arrived: message.arrived,
        expires: message.expires,
        notice: message.notice,
        size: message.content.size,
        header_8bit: message.content.header_8bit,
        content_8bit: message.content.content_8bit,
        sender: envelope.sender.as_str().to_owned(),
        envelope: json(&*envelope),
        origin: json(&message.origin),
        place: message.content.place,
        entries,
    };
    Ok((row, queued))
}

/// [`encode`] for a message of our own, whose content is in memory.
pub(crate) fn encode_report(
    report: NewMessage<Bytes>,
    next_id: impl Fn() -> MessageId,
) -> Result<(MessageRow, Vec<Queued>), Error> {
    let message = NewMessage {
        id: report.id,
        envelope: report.envelope,
        origin: report.origin,
        arrived: report.arrived,
        expires: report.expires,
        notice: report.notice,
        content: Content::from(report.content),
        entries: report.entries,
    };
    encode(message, next_id)
}

/// The columns that [`queued`] reads, of `entry e JOIN message m`.
pub(crate) const QUEUED: &str = "e.id, e.message, e.destination, e.state, e.due, e.attempts, e.recipients, \
     m.envelope, m.size, m.header_8bit, m.content_8bit, m.arrived, m.expires";

/// Where a column selected behind [`QUEUED`] is.
pub(crate) const BEHIND_QUEUED: usize = 13;

/// Reads an entry from the columns [`QUEUED`]; None when it cannot be read.
pub(crate) fn queued(row: &Row<'_>) -> rusqlite::Result<Option<Queued>> {
    let id = entry_id(row.get(0)?);
    let (Some(recipients), Some(envelope)) = (
        parse::<Vec<Pending>>(id, row.get_ref(6)?.as_str()?),
        parse::<Envelope>(id, row.get_ref(7)?.as_str()?),
    ) else {
        return Ok(None);
    };
    Ok(Some(Queued {
        id,
        message: message_id(row.get(1)?),
        destination: Destination::from_key(row.get_ref(2)?.as_str()?),
        envelope: Arc::new(envelope),
        size: row.get::<_, i64>(8)?.unsigned_abs(),
        header_8bit: row.get(9)?,
        content_8bit: row.get(10)?,
        arrived: Wall(row.get(11)?),
        expires: Wall(row.get(12)?),
        due: Wall(row.get(4)?),
        attempts: row.get(5)?,
        state: state(row.get(3)?),
        recipients,
    }))
}

/// Reads the attempts of an entry, oldest first.
pub(crate) fn attempts(entry: EntryId, log: &str) -> Vec<Attempt> {
    log.lines().filter_map(|line| parse(entry, line)).collect()
}

/// The log with one more line, less the oldest beyond [`ATTEMPTS_KEPT`].
pub(crate) fn log_with(log: &str, line: &str) -> String {
    let lines: Vec<&str> = log.lines().chain([line]).collect();
    lines[lines.len().saturating_sub(ATTEMPTS_KEPT)..].join("\n")
}

/// The JSON of a value of ours: plain structs with string keys.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("the model's types serialise to JSON")
}

pub(crate) fn parse<T: DeserializeOwned>(entry: EntryId, text: &str) -> Option<T> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(entry = entry.0, %error, "entry cannot be read and is skipped"))
        .ok()
}

/// State as stored.
pub(crate) const fn state_code(state: State) -> i64 {
    match state {
        State::Waiting => 0,
        State::Held => 1,
    }
}

pub(crate) fn state(code: i64) -> State {
    if code == state_code(State::Waiting) {
        State::Waiting
    } else {
        State::Held
    }
}

/// Ids are microseconds since 1970, far from the sign bit.
pub(crate) fn key(id: u64) -> i64 {
    id as i64
}

pub(crate) fn entry_id(key: i64) -> EntryId {
    EntryId(key as u64)
}

pub(crate) fn message_id(key: i64) -> MessageId {
    MessageId(key as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempts_are_kept() {
        let log = (1..=7).fold(String::new(), |log, n| log_with(&log, &n.to_string()));
        assert_eq!(log, "3\n4\n5\n6\n7");
        assert_eq!(log_with("", "1"), "1");
    }

    #[test]
    fn an_attempt_is_one_line_whatever_is_in_it() {
        let attempt = Attempt {
            at: 7,
            relay: "mx[192.0.2.1]:25".into(),
            result: "a\r\nb\u{2028}\"".into(),
            considered: vec![crate::Considered {
                by: "address".into(),
                endpoint: Some("192.0.2.1:25".into()),
                session: Some(7),
                verdict: "unfit".into(),
                reason: Some("size".into()),
            }],
            considered_more: 2,
        };
        let log = log_with(&json(&attempt), &json(&attempt));
        assert_eq!(attempts(EntryId(1), &log), [attempt.clone(), attempt]);
    }

    #[test]
    fn a_recipient_of_an_earlier_version_is_read() {
        let mut pending = Pending::new(remuda_mail::Recipient::plain("b@a.test".parse().unwrap()));
        let unmarked = json(&pending);
        assert!(!unmarked.contains("duplicate"), "{unmarked}");
        assert_eq!(parse(EntryId(1), &unmarked), Some(pending.clone()));
        pending.may_be_duplicate = true;
        assert_eq!(parse(EntryId(1), &json(&pending)), Some(pending));
    }

    #[test]
    fn an_attempt_of_an_earlier_version_is_read() {
        let log = r#"{"at":7,"relay":"mx[192.0.2.1]:25","result":"450 later"}"#;
        let read = attempts(EntryId(1), log);
        assert_eq!(
            (read.len(), read[0].considered.len(), read[0].considered_more),
            (1, 0, 0)
        );
    }
}
