//! Replies and enhanced status codes: what a server said, as data (RFC 5321 §4.2, RFC 3463).
//!
//! # Contract
//! * **A reply's text has no line break**: lines of a multi-line reply are joined by a space when shown.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What kind of answer a reply is, from its first digit (RFC 5321 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// 2xx: done.
    Positive,
    /// 3xx: go on.
    Intermediate,
    /// 4xx: not now.
    Transient,
    /// 5xx: never like this.
    Permanent,
    /// Anything else: not SMTP.
    Invalid,
}

/// An enhanced status code, `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    /// The code `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        EnhancedStatus {
            class,
            subject,
            detail,
        }
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no enhanced status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code")]
pub struct NotAStatus;

impl FromStr for EnhancedStatus {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let mut parts = text.split('.');
        let mut part = |length_max: usize| {
            let part = parts.next().filter(|p| !p.is_empty() && p.len() <= length_max)?;
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse::<u16>().ok())
                .flatten()
        };
        let (class, subject, detail) = (part(1), part(3), part(3));
        match (class, subject, detail, parts.next()) {
            (Some(class @ (2 | 4 | 5)), Some(subject), Some(detail), None) => Ok(EnhancedStatus {
                class: class as u8,
                subject,
                detail,
            }),
            _ => Err(NotAStatus),
        }
    }
}

impl From<EnhancedStatus> for String {
    fn from(status: EnhancedStatus) -> String {
        status.to_string()
    }
}

impl TryFrom<String> for EnhancedStatus {
    type Error = NotAStatus;

    fn try_from(text: String) -> Result<Self, NotAStatus> {
        text.parse()
    }
}

/// One reply of a server, multi-line ones joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The enhanced code, when it was there and agrees with the class.
    pub enhanced: Option<EnhancedStatus>,
    /// The text behind the codes; lines separated by `\n`.
    pub text: String,
}

impl Reply {
    /// The class of the reply.
    pub fn class(&self) -> Class {
        match self.code {
            200..=299 => Class::Positive,
            300..=399 => Class::Intermediate,
            400..=499 => Class::Transient,
            500..=599 => Class::Permanent,
            _ => Class::Invalid,
        }
    }

    /// The enhanced code, or the one that the reply code implies (`4.0.0`, `5.0.0`, `2.0.0`).
    pub fn status(&self) -> EnhancedStatus {
        self.enhanced.unwrap_or(match self.class() {
            Class::Positive => EnhancedStatus::new(2, 0, 0),
            Class::Permanent => EnhancedStatus::new(5, 0, 0),
            _ => EnhancedStatus::new(4, 0, 0),
        })
    }
}

impl fmt::Display for Reply {
    /// One line: `250 2.0.0 Ok`; controls become spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text.replace(|c: char| c.is_control(), " "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_back() {
        assert_eq!("5.1.10".parse(), Ok(EnhancedStatus::new(5, 1, 10)));
        for text in ["", "5.1", "5.1.1.1", "1.1.1", "5.1000.0", "5.+1.0", "5..1"] {
            assert_eq!(text.parse::<EnhancedStatus>(), Err(NotAStatus), "{text}");
        }
    }

    #[test]
    fn a_replys_text_has_no_line_break_when_shown() {
        let reply = Reply {
            code: 250,
            enhanced: Some(EnhancedStatus::new(2, 0, 0)),
            text: "a\nb".into(),
        };
        assert_eq!(reply.to_string(), "250 2.0.0 a b");
    }
}
