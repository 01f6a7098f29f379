//! Identifiers: of a message, of its entry in a destination's queue, of a session, of a delivery.
//!
//! # Contract
//! * **A queue id reads back.** `MessageId` prints as 11 or more characters of Crockford's base 32 and
//!   parses from exactly what it printed, in either case.
//! * **Ids sort by age.** The spool gives them out in growing order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The queue id of a message: what the 250, the logs and `remuda queue` call it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MessageId(pub u64);

/// One message's place in one destination's queue: the unit that is scheduled, retried and settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub u64);

/// One SMTP connection of ours to a server, from before its dial to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// One try to give some recipients of a message to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId(pub u64);

/// Crockford's base 32: no I, L, O, U, so that an id survives being read aloud.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; 13];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = DIGITS[(rest & 31) as usize];
            rest >>= 5;
        }
        let start = text.iter().position(|digit| *digit != b'0').unwrap_or(12).min(2);
        f.write_str(std::str::from_utf8(&text[start..]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a queue id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id")]
pub struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.is_empty() || text.len() > 13 {
            return Err(NotAnId);
        }
        let mut value: u64 = 0;
        for byte in text.bytes() {
            let digit = DIGITS
                .iter()
                .position(|d| *d == byte.to_ascii_uppercase())
                .ok_or(NotAnId)?;
            value = value
                .checked_mul(32)
                .and_then(|v| v.checked_add(digit as u64))
                .ok_or(NotAnId)?;
        }
        Ok(MessageId(value))
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for MessageId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_id_reads_back() {
        for value in [0, 1, 31, 32, 1_795_000_000_000_000, u64::MAX] {
            let text = MessageId(value).to_string();
            assert_eq!(text.parse(), Ok(MessageId(value)), "{text}");
            assert_eq!(text.to_lowercase().parse(), Ok(MessageId(value)));
        }
    }

    #[test]
    fn ids_sort_by_age_also_as_text() {
        assert!(MessageId(1_795_000_000_000_000).to_string() < MessageId(1_795_000_000_000_001).to_string());
    }

    #[test]
    fn other_text_is_not_an_id() {
        for text in ["", "U", "ZZZZZZZZZZZZZZ", "A B", "GZZZZZZZZZZZZ"] {
            assert_eq!(text.parse::<MessageId>(), Err(NotAnId), "{text}");
        }
    }
}
