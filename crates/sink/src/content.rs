//! The content of a message on its way in: counted, checked, and digested if that is asked for.
//!
//! [`Content`] takes what DATA or BDAT carry; [`find_end`] takes the dots out of DATA.
//!
//! # Contract
//! * **Only CR LF . CR LF ends DATA.** Other spellings are content, and violations.
//! * **A violation is reported once a message and kind**, with the text around its first occurrence.
//! * **Nothing is kept of the content** and no digest computed unless asked for.

use crate::{
    config::Keep,
    digest::{Digester, Digests},
    violation::ViolationKind,
};

/// The longest line without its CR LF (RFC 5321 §4.5.3.1.6).
const LINE_MAX: u64 = 998;
/// How much of the text before and behind a violation is shown.
const EXCERPT: usize = 40;

/// What has come of a message's content.
#[derive(Debug)]
pub(crate) struct Content {
    bytes: u64,
    /// Octets of the current line.
    line: u64,
    line_number: u64,
    ends_in_cr: bool,
    is_eight_bit_declared: bool,
    /// Kinds of violations already reported, one bit each.
    reported: u8,
    digester: Option<Box<Digester>>,
    violations: Vec<(ViolationKind, String)>,
}

impl Content {
    /// Nothing yet; `is_eight_bit_declared` by BODY=8BITMIME.
    pub fn new(keeps: Keep, is_eight_bit_declared: bool) -> Self {
        Content {
            bytes: 0,
            line: 0,
            line_number: 1,
            ends_in_cr: false,
            is_eight_bit_declared,
            reported: 0,
            digester: (keeps != Keep::Nothing).then(|| Box::new(Digester::new(keeps))),
            violations: Vec::new(),
        }
    }

    /// Octets so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next piece, cut anywhere.
    pub fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.check_lines(piece);
        if !self.is_eight_bit_declared
            && !piece.is_ascii()
            && let Some(at) = piece.iter().position(|octet| !octet.is_ascii())
        {
            self.report(ViolationKind::EightBitNotDeclared, piece, at);
        }
        if let Some(digester) = &mut self.digester {
            digester.update(piece);
        }
    }

    /// Ends the content.
    pub fn finish(mut self) -> (Option<Digests>, Vec<(ViolationKind, String)>) {
        if self.ends_in_cr {
            self.report(ViolationKind::BareCrInContent, b"\r", 0);
        }
        (self.digester.map(|digester| digester.finish()), self.violations)
    }

    /// Looks at line ends and line lengths.
    fn check_lines(&mut self, piece: &[u8]) {
        let mut start = 0;
        if self.ends_in_cr && !piece.is_empty() {
            self.ends_in_cr = false;
            if piece[0] == b'\n' {
                self.end_line();
                start = 1;
            } else {
                self.report(ViolationKind::BareCrInContent, piece, 0);
            }
        }
        let first = start;
        for hit in memchr::memchr2_iter(b'\r', b'\n', &piece[first..]) {
            let at = first + hit;
            if at < start {
                continue; // The LF of a CR LF.
            }
            self.lengthen(piece, start, at);
            start = at + 1;
            if piece[at] == b'\n' {
                self.report(ViolationKind::BareLfInContent, piece, at);
                self.end_line();
            } else if piece.get(at + 1) == Some(&b'\n') {
                start = at + 2;
                self.end_line();
            } else if at + 1 == piece.len() {
                self.ends_in_cr = true;
            } else {
                self.report(ViolationKind::BareCrInContent, piece, at);
            }
        }
        self.lengthen(piece, start, piece.len());
    }

    fn lengthen(&mut self, piece: &[u8], from: usize, to: usize) {
        self.line += to.saturating_sub(from) as u64;
        if self.line > LINE_MAX {
            self.report(ViolationKind::ContentLineTooLong, piece, from);
        }
    }

    fn end_line(&mut self) {
        self.line = 0;
        self.line_number += 1;
    }

    /// Reports a violation if it is the first of its kind in this message.
    fn report(&mut self, kind: ViolationKind, piece: &[u8], at: usize) {
        let bit = match kind {
            ViolationKind::BareLfInContent => 1,
            ViolationKind::BareCrInContent => 2,
            ViolationKind::ContentLineTooLong => 4,
            ViolationKind::EightBitNotDeclared => 8,
            _ => 16,
        };
        if self.reported & bit == 0 {
            self.reported |= bit;
            let around = &piece[at.saturating_sub(EXCERPT)..piece.len().min(at + EXCERPT)];
            let line = self.line_number;
            self.violations
                .push((kind, format!("content, line {line}: {}", around.escape_ascii())));
        }
    }
}

/// How far [`find_end`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Octets of the input that are done with.
    pub consumed: usize,
    /// The final dot was among them.
    pub is_end: bool,
}

/// Takes the content of DATA out of `input`, without its dot-stuffing, until the final dot or until
/// more input is needed. `is_line_start` is carried from call to call and begins as true.
pub(crate) fn find_end(input: &[u8], is_line_start: &mut bool, content: &mut Content) -> Progress {
    let mut consumed = 0;
    loop {
        let rest = &input[consumed..];
        if *is_line_start {
            match dot_at_start(rest) {
                Dot::None => {}
                Dot::Unclear => {
                    let is_end = false;
                    return Progress { consumed, is_end };
                }
                Dot::Final => {
                    let (consumed, is_end) = (consumed + 3, true);
                    return Progress { consumed, is_end };
                }
                Dot::Stuffed => consumed += 1,
                Dot::Alone => {
                    content.report(ViolationKind::NotDotStuffed, rest, 0);
                    consumed += 1;
                }
            }
            *is_line_start = false;
            continue;
        }
        // Whole lines go on in one piece as long as the next does not begin with a dot.
        let Some(at) = memchr::memmem::find(rest, b"\r\n.") else {
            let kept = trailing_line_end(rest);
            content.take(&rest[..rest.len() - kept]);
            let (consumed, is_end) = (input.len() - kept, false);
            return Progress { consumed, is_end };
        };
        content.take(&rest[..at + 2]);
        consumed += at + 2;
        *is_line_start = true;
    }
}

/// What a dot at the start of a line means.
enum Dot {
    None,
    Unclear,
    Final,
    Stuffed,
    Alone,
}

fn dot_at_start(line: &[u8]) -> Dot {
    match line {
        [] | [b'.'] | [b'.', b'\r'] => Dot::Unclear,
        [b'.', b'\r', b'\n', ..] => Dot::Final,
        [b'.', b'.', ..] => Dot::Stuffed,
        [b'.', ..] => Dot::Alone,
        _ => Dot::None,
    }
}

/// How many octets at the end may be the beginning of CR LF and a dot.
fn trailing_line_end(input: &[u8]) -> usize {
    match input {
        [.., b'\r', b'\n'] => 2,
        [.., b'\r'] => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    /// Feeds `input` in pieces of `size` and returns the digest, the kinds and what was left over.
    fn receive(input: &[u8], size: usize) -> Option<(String, Vec<ViolationKind>, usize)> {
        let mut content = Content::new(Keep::Digests, false);
        let mut is_line_start = true;
        let mut buffer = Vec::new();
        let mut fed = 0;
        for piece in input.chunks(size) {
            buffer.extend_from_slice(piece);
            fed += piece.len();
            let progress = find_end(&buffer, &mut is_line_start, &mut content);
            buffer.drain(..progress.consumed);
            if progress.is_end {
                let (digests, violations) = content.finish();
                let kinds = violations.into_iter().map(|(kind, _)| kind).collect();
                return Some((digests?.whole, kinds, buffer.len() + input.len() - fed));
            }
        }
        None
    }

    fn assert_received(wire: &[u8], content: &[u8], kinds: &[ViolationKind]) {
        for size in [1, 2, 3, 5, 64, 100_000] {
            let (digest, violations, left) = receive(wire, size).expect("it ends");
            assert_eq!(digest, sha256(content), "pieces of {size}");
            assert_eq!(violations, kinds, "pieces of {size}");
            assert_eq!(left, 0, "pieces of {size}");
        }
    }

    #[test]
    fn stuffing_is_taken_out() {
        assert_received(b".\r\n", b"", &[]);
        assert_received(b"\r\n.\r\n", b"\r\n", &[]);
        assert_received(b"..\r\na\r\n...b\r\n..\r\n.\r\n", b".\r\na\r\n..b\r\n.\r\n", &[]);
    }

    #[test]
    fn other_spellings_of_the_end_are_content_and_violations() {
        use ViolationKind::*;
        assert_received(b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n", &[BareLfInContent]);
        assert_received(b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", &[BareCrInContent]);
        assert_received(b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", &[BareLfInContent]);
        // The dot behind CR LF is not stuffed, so it is taken out.
        assert_received(
            b"a\r\n.\nb\r\n.\r\n",
            b"a\r\n\nb\r\n",
            &[NotDotStuffed, BareLfInContent],
        );
        assert_received(
            b"a\r\n.\rb\r\n.\r\n",
            b"a\r\n\rb\r\n",
            &[NotDotStuffed, BareCrInContent],
        );
        assert_received(b"a\r\r\n.\r\n", b"a\r\r\n", &[BareCrInContent]);
    }

    #[test]
    fn a_long_line_and_eight_bits_are_violations() {
        use ViolationKind::*;
        let line = |length| [&vec![b'x'; length][..], b"\r\n.\r\n"].concat();
        assert_received(&line(998), &line(998)[..1000], &[]);
        assert_received(&line(999), &line(999)[..1001], &[ContentLineTooLong]);
        assert_received(
            "\u{e4}\r\n.\r\n".as_bytes(),
            "\u{e4}\r\n".as_bytes(),
            &[EightBitNotDeclared],
        );
        let mut declared = Content::new(Keep::Nothing, true);
        declared.take("\u{e4}\r\n".as_bytes());
        assert!(declared.finish().1.is_empty());
    }

    #[test]
    fn without_a_final_dot_there_is_no_end() {
        for wire in [
            &b""[..],
            b".",
            b".\r",
            b"\n.\r\n",
            b"\r.\r\n",
            b"a\r\n.\r",
            b"a.\r\n",
        ] {
            assert!(
                wire.is_empty() || receive(wire, 1).is_none(),
                "{}",
                wire.escape_ascii()
            );
        }
    }
}
