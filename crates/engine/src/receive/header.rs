//! The header of a message on its way into the spool: looked at, and completed where that is ours to do.
//!
//! Content goes through in pieces; nothing but the name of the field at the cut is held back.
//!
//! # Contract
//! * **Every octet comes out, in order**; what is added stands behind the last field.
//! * **A line that is no field ends the header**, and an empty line is put before it, so that every
//!   reader of the stored message sees the same header and the same body.
//! * **The split into pieces changes nothing.**
//!
//! # Limits
//! [`HEADER_SCAN_MAX`] octets are looked at, [`FIELD_NAME_MAX`] of a name. Beyond, content passes as it is.

use memchr::memchr;

/// Octets of header that are looked at. Trace fields stand in front: what is beyond does not matter to
/// the loop count.
pub const HEADER_SCAN_MAX: usize = 1024 * 1024;
/// Octets of a field's name.
pub const FIELD_NAME_MAX: usize = 256;

/// What is added to a header that lacks it.
#[derive(Debug, Default)]
pub(super) struct Additions {
    /// A whole `Date:` line.
    pub date: Option<String>,
    /// A whole `Message-ID:` line.
    pub message_id: Option<String>,
}

/// Reads a header while it passes.
#[derive(Debug)]
pub(super) struct HeaderPass {
    place: Place,
    /// The name of the field at the cut.
    name: Vec<u8>,
    additions: Additions,
    /// `Received:` fields so far.
    received: usize,
    scanned: usize,
    has_fields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a line, or within what may become a field's name.
    Name,
    /// In a line that belongs to the header.
    Line,
    /// Behind the header.
    Body,
}

/// What a line turns out to be.
enum Kind {
    Undecided,
    Field,
    Continuation,
    Empty,
    NoField,
}

impl HeaderPass {
    pub(super) fn new(additions: Additions) -> Self {
        HeaderPass {
            place: Place::Name,
            name: Vec::new(),
            additions,
            received: 0,
            scanned: 0,
            has_fields: false,
        }
    }

    /// `Received:` fields that have passed.
    pub(super) fn received(&self) -> usize {
        self.received
    }

    /// Appends what comes of `piece` to `out`, and answers with the rest of it that belongs to the body
    /// and passes as it is.
    pub(super) fn pass<'a>(&mut self, piece: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let mut rest = piece;
        while !rest.is_empty() {
            match self.place {
                Place::Body => return rest,
                Place::Line => {
                    let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                    if rest[end - 1] == b'\n' {
                        self.place = Place::Name;
                    }
                    out.extend_from_slice(&rest[..end]);
                    rest = &rest[end..];
                    self.scanned += end;
                    if self.scanned > HEADER_SCAN_MAX {
                        self.place = Place::Body;
                    }
                }
                Place::Name => {
                    let (&byte, after) = rest.split_first().expect("not empty: the loop's condition");
                    rest = after;
                    self.name.push(byte);
                    self.decide(out);
                }
            }
        }
        rest
    }

    /// Ends the content: completes a header that no body follows.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.place != Place::Body {
            self.complete(out);
            out.append(&mut self.name);
            self.place = Place::Body;
        }
    }

    /// Looks at the line as far as it has come; passes it on once its kind is known.
    fn decide(&mut self, out: &mut Vec<u8>) {
        match self.kind() {
            Kind::Undecided => return,
            Kind::Field => {
                self.note();
                self.has_fields = true;
                self.place = Place::Line;
            }
            Kind::Continuation => self.place = Place::Line,
            Kind::Empty => {
                self.complete(out);
                self.place = Place::Body;
            }
            Kind::NoField => {
                self.complete(out);
                out.extend_from_slice(b"\r\n");
                self.place = Place::Body;
            }
        }
        self.scanned += self.name.len();
        out.append(&mut self.name);
    }

    fn kind(&self) -> Kind {
        let name = self.name.as_slice();
        match name {
            b"\r" => Kind::Undecided,
            b"\r\n" => Kind::Empty,
            [b' ' | b'\t', ..] if self.has_fields => Kind::Continuation,
            [before @ .., b':'] if !before.is_empty() => Kind::Field,
            // RFC 5322 §3.6.8; §4.5 allows blanks before the colon.
            [.., last] if name.len() <= FIELD_NAME_MAX => {
                let first_is_visible = matches!(name[0], b'!'..=b'~');
                let was_blank = name.len() > 1 && matches!(name[name.len() - 2], b' ' | b'\t');
                match last {
                    b' ' | b'\t' if first_is_visible => Kind::Undecided,
                    b'!'..=b'9' | b';'..=b'~' if !was_blank => Kind::Undecided,
                    _ => Kind::NoField,
                }
            }
            _ => Kind::NoField,
        }
    }

    fn note(&mut self) {
        let name = self.name[..self.name.len() - 1].trim_ascii_end();
        if name.eq_ignore_ascii_case(b"received") {
            self.received += 1;
        } else if name.eq_ignore_ascii_case(b"date") {
            self.additions.date = None;
        } else if name.eq_ignore_ascii_case(b"message-id") {
            self.additions.message_id = None;
        }
    }

    fn complete(&mut self, out: &mut Vec<u8>) {
        for line in [self.additions.date.take(), self.additions.message_id.take()]
            .into_iter()
            .flatten()
        {
            out.extend_from_slice(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(content: &[u8], step: usize) -> (String, usize) {
        let mut header = HeaderPass::new(Additions {
            date: Some("Date: now\r\n".into()),
            message_id: Some("Message-ID: <1@x>\r\n".into()),
        });
        let mut out = Vec::new();
        for piece in content.chunks(step) {
            let rest = header.pass(piece, &mut out);
            out.extend_from_slice(rest);
        }
        header.finish(&mut out);
        (String::from_utf8(out).unwrap(), header.received())
    }

    const ADDED: &str = "Date: now\r\nMessage-ID: <1@x>\r\n";

    #[test]
    fn what_is_missing_is_added_behind_the_last_field() {
        for (content, expected) in [
            ("A: b\r\n\r\nbody\r\n", format!("A: b\r\n{ADDED}\r\nbody\r\n")),
            (
                "A: b\r\n c: d\r\n\tDate: e\r\n\r\n",
                format!("A: b\r\n c: d\r\n\tDate: e\r\n{ADDED}\r\n"),
            ),
            ("A: b\r\n", format!("A: b\r\n{ADDED}")),
            ("", ADDED.to_owned()),
            ("\r\nDate: x\r\n", format!("{ADDED}\r\nDate: x\r\n")),
            (
                "DATE : x\r\nmessage-id: y\r\n\r\n",
                "DATE : x\r\nmessage-id: y\r\n\r\n".into(),
            ),
            ("date: x\r\n\r\n", "date: x\r\nMessage-ID: <1@x>\r\n\r\n".into()),
        ] {
            for step in [1, 2, 7, 1000] {
                assert_eq!(
                    pass(content.as_bytes(), step).0,
                    expected,
                    "{content:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn a_line_that_is_no_field_begins_the_body() {
        for (content, expected) in [
            ("hello world\r\n", format!("{ADDED}\r\nhello world\r\n")),
            ("hello\r\n", format!("{ADDED}\r\nhello\r\n")),
            (" A: b\r\n", format!("{ADDED}\r\n A: b\r\n")),
            (": b\r\n", format!("{ADDED}\r\n: b\r\n")),
            (
                "A: b\r\ngarbage here: c\r\n",
                format!("A: b\r\n{ADDED}\r\ngarbage here: c\r\n"),
            ),
            ("J\u{fc}: b\r\n", format!("{ADDED}\r\nJ\u{fc}: b\r\n")),
            ("\r\n.\r\n", format!("{ADDED}\r\n.\r\n")),
        ] {
            for step in [1, 3, 1000] {
                assert_eq!(
                    pass(content.as_bytes(), step).0,
                    expected,
                    "{content:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn trace_fields_are_counted_in_the_header_only() {
        let content = b"Received: a\r\n b\r\nreceived:c\r\nX-Received: d\r\n\r\nReceived: e\r\n";
        assert_eq!(pass(content, 5).1, 2);
    }

    #[test]
    fn the_scan_is_bounded() {
        let name = format!("{}: x\r\n", "n".repeat(FIELD_NAME_MAX + 1));
        assert!(pass(name.as_bytes(), 1000).0.starts_with(ADDED));
        let long = format!("A: {}\r\nReceived: x\r\n\r\n", "x".repeat(HEADER_SCAN_MAX));
        assert_eq!(pass(long.as_bytes(), 65536), (long, 0));
    }
}
