//! Digests of a message's content: the whole, and without the trace a relay adds in front.
//!
//! A relay puts `Received` (and a final one `Return-Path`) in front of the content and must leave the
//! rest alone. So the digest that begins behind these fields is the same at both ends, and proves it.
//!
//! # Contract
//! * **The trace is the leading fields only**: `Received` and `Return-Path` with their continuation
//!   lines, until the first line that is neither. Later ones belong to the message.
//! * **Pieces may be cut anywhere.**
//! * **The id is X-Remuda-Test, else Message-ID**, of the header only; one on its own line is enough.
//!
//! # Limits
//! Of a header line the first [`LINE_KEPT_MAX`] octets are looked at.

use sha2::{Digest, Sha256};

use crate::config::Keep;

/// How much of a header line is looked at.
const LINE_KEPT_MAX: usize = 1024;

/// Both digests in the making.
#[derive(Debug, Default)]
pub(crate) struct Digester {
    whole: Sha256,
    rest: Sha256,
    place: Place,
    /// The beginning of the line being read.
    line: Vec<u8>,
    /// The line exceeds what is kept: its beginning is decided and digested already.
    is_long: bool,
    test_id: Option<String>,
    message_id: Option<String>,
    /// The content itself, if it is kept.
    content: Option<Vec<u8>>,
}

/// Where in the content the next octet belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing but trace fields so far.
    #[default]
    Start,
    /// Inside a trace field: continuation lines are dropped with it.
    Trace,
    /// In the header behind the trace.
    Header,
    /// Behind the empty line.
    Body,
}

/// The finished digests.
#[derive(Debug)]
pub(crate) struct Digests {
    pub whole: String,
    pub without_trace: String,
    pub id: Option<String>,
    pub content: Option<Vec<u8>>,
}

impl Digester {
    /// Nothing yet.
    pub fn new(keeps: Keep) -> Self {
        Digester {
            content: (keeps == Keep::Contents).then(Vec::new),
            ..Digester::default()
        }
    }

    /// Takes the next piece of the content.
    pub fn update(&mut self, piece: &[u8]) {
        self.whole.update(piece);
        if let Some(content) = &mut self.content {
            content.extend_from_slice(piece);
        }
        let mut piece = piece;
        while self.place != Place::Body {
            let Some(end) = memchr::memchr(b'\n', piece) else {
                self.take_part(piece);
                return;
            };
            let (line, after) = piece.split_at(end + 1);
            self.take_part(line);
            self.end_line();
            piece = after;
        }
        self.rest.update(piece);
    }

    /// Ends the content.
    pub fn finish(mut self) -> Digests {
        if !self.line.is_empty() || self.is_long {
            self.end_line();
        }
        Digests {
            whole: hexadecimal(&self.whole.finalize()),
            without_trace: hexadecimal(&self.rest.finalize()),
            id: self.test_id.or(self.message_id),
            content: self.content,
        }
    }

    /// Adds to the line; a line past the limit is decided by its beginning and passed on at once.
    fn take_part(&mut self, part: &[u8]) {
        let room = if self.is_long {
            0
        } else {
            LINE_KEPT_MAX - self.line.len()
        };
        let (kept, over) = part.split_at(room.min(part.len()));
        self.line.extend_from_slice(kept);
        if over.is_empty() {
            return;
        }
        if !self.is_long {
            self.pass_line();
            self.is_long = true;
        }
        if self.place != Place::Trace {
            self.rest.update(over);
        }
    }

    /// Ends the line.
    fn end_line(&mut self) {
        if !self.is_long {
            self.pass_line();
        }
        self.line.clear();
        self.is_long = false;
    }

    /// Decides what the line is and digests what has been kept of it.
    fn pass_line(&mut self) {
        self.decide();
        if self.place != Place::Trace {
            self.rest.update(&self.line);
        }
    }

    /// Decides by the beginning of a line where it belongs, and picks the ids.
    fn decide(&mut self) {
        let line = &self.line[..];
        let is_continuation = matches!(line.first(), Some(b' ' | b'\t'));
        self.place = match self.place {
            Place::Body => Place::Body,
            _ if line.is_empty() => self.place,
            _ if matches!(line, b"\r\n" | b"\n") => Place::Body,
            Place::Trace if is_continuation => Place::Trace,
            Place::Start | Place::Trace if field(line, "received").is_some() => Place::Trace,
            Place::Start | Place::Trace if field(line, "return-path").is_some() => Place::Trace,
            _ => Place::Header,
        };
        if self.place == Place::Header {
            self.test_id = self.test_id.take().or_else(|| field(line, "x-remuda-test"));
            self.message_id = self.message_id.take().or_else(|| field(line, "message-id"));
        }
    }
}

/// The value of a header line if it is of this field.
fn field(line: &[u8], name: &str) -> Option<String> {
    let (front, after) = line.split_at_checked(name.len())?;
    if !front.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    let blank = after
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    let value = after[blank..].strip_prefix(b":")?;
    Some(String::from_utf8_lossy(value).trim().to_owned())
}

/// Octets as lower-case hexadecimal digits.
fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The SHA-256 of `content` as reports have it, to compare with.
pub fn sha256(content: &[u8]) -> String {
    hexadecimal(&Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(content: &[u8], piece: usize) -> Digests {
        let mut digester = Digester::default();
        for piece in content.chunks(piece.max(1)) {
            digester.update(piece);
        }
        digester.finish()
    }

    #[test]
    fn the_trace_is_the_leading_fields_only() {
        let message = b"Subject: x\r\nReceived: from inside\r\n\r\nReceived: text\r\n";
        let trace = b"Return-Path: <a@b>\r\nRECEIVED : from\r\n\tby c\r\n id 5;\r\nReceived:\r\n";
        let relayed = [&trace[..], message].concat();
        for piece in [1, 2, 3, 7, 1000] {
            let digests = digests(&relayed, piece);
            assert_eq!(digests.without_trace, sha256(message), "pieces of {piece}");
            assert_eq!(digests.whole, sha256(&relayed));
        }
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        let long = [
            b"Received: ",
            &[b'r'; 5000][..],
            b"\r\nX: ",
            &[b'x'; 5000][..],
            b"\r\n\r\nbody",
        ]
        .concat();
        let rest = &long[long.len() - 5000 - 11..];
        for piece in [1, 1000, 1023, 1024, 1025, 4096, 20_000] {
            assert_eq!(
                digests(&long, piece).without_trace,
                sha256(rest),
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn content_without_header_is_kept_whole() {
        for content in [
            &b""[..],
            b"\r\nbody",
            b"no header at all",
            b" begins with a blank\r\n",
            b"Received",
            b"\r\n",
        ] {
            assert_eq!(digests(content, 1).without_trace, sha256(content));
        }
        assert_eq!(digests(b"Received: x\r\n", 3).without_trace, sha256(b""));
        assert_eq!(
            digests(b"Received: x\r\n\r\nb", 3).without_trace,
            sha256(b"\r\nb")
        );
    }

    #[test]
    fn the_id_is_the_test_field_else_the_message_id() {
        let both = b"Received: x\r\nmessage-id: <1@a>\r\nX-Remuda-Test: 17\r\n\r\nX-Remuda-Test: 18\r\n";
        assert_eq!(digests(both, 5).id.as_deref(), Some("17"));
        assert_eq!(
            digests(b"Message-ID: <1@a>\r\n\r\n", 5).id.as_deref(),
            Some("<1@a>")
        );
        assert_eq!(digests(b"\r\nMessage-ID: <1@a>\r\n", 5).id, None);
    }
}
