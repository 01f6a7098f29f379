//! Content on its way in: line ends made sound, dots undone, the real end found.
//!
//! Two MTAs that disagree about where a message ends can be made to disagree about how many messages
//! there are (SMTP smuggling). So there is one end of DATA here, CRLF `.` CRLF, one line end, CRLF, and
//! every other CR or LF is *bare*: noted, and then stored as CRLF or refused, as the policy says. What
//! leaves this module holds no bare CR or LF at all, so that nothing can be smuggled through us either.
//!
//! # Contract
//! * **DATA ends at CRLF.CRLF and nowhere else** (RFC 5321 §4.1.1.4); the CRLF that ended the command
//!   counts as the first.
//! * **A dot is undone only behind a CRLF** (RFC 5321 §4.5.2). Behind a bare newline it is content.
//! * **What comes out holds CRLF only, and ends with one** when it is not empty.
//! * **The split of the input into reads changes nothing.**
//!
//! # Not here
//! Size limits and what is answered (`server`), header fields (the engine).

use bytes::BytesMut;
use memchr::memchr2;

/// What becomes of a bare CR or LF in content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// Stored as CRLF.
    Normalize,
    /// The message is refused after its real end.
    Reject,
}

/// Where the reader stands within the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind a CRLF, or at the very start.
    LineStart,
    /// Behind a bare newline that was stored as CRLF: a line of what is stored, none of the wire.
    BareStart,
    /// Within a line.
    InLine,
    /// Behind a CR whose fellow has not come yet.
    Cr,
    /// Behind a dot at the start of a line.
    Dot,
    /// Behind a dot and a CR at the start of a line.
    DotCr,
}

/// How far a call of [`Content::receive`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Octets of the input that were used.
    pub octets: usize,
    /// CRLF.CRLF was among them, at their end.
    pub ended: bool,
}

/// The reader of one message's content.
#[derive(Debug)]
pub(super) struct Content {
    place: Place,
    policy: BareNewline,
    /// DATA: dots are stuffed, and CRLF.CRLF ends. BDAT: neither.
    dotted: bool,
    /// A bare CR or LF was met.
    bare: bool,
    /// Nothing is copied any more: the message is going to be refused.
    discarding: bool,
}

impl Content {
    pub(super) fn new(dotted: bool, policy: BareNewline) -> Self {
        Content {
            place: Place::LineStart,
            policy,
            dotted,
            bare: false,
            discarding: false,
        }
    }

    /// Answers whether a bare CR or LF was met that the policy refuses.
    pub(super) fn is_refused(&self) -> bool {
        self.bare && self.policy == BareNewline::Reject
    }

    /// Reads on without keeping anything.
    pub(super) fn discard(&mut self) {
        self.discarding = true;
    }

    /// Takes content from `input`, up to its end if that is there, and appends what is to be stored to
    /// `out`.
    pub(super) fn receive(&mut self, input: &[u8], out: &mut BytesMut) -> Taken {
        // Everything from `run` to `at` goes out as it is.
        let (mut run, mut at) = (0, 0);
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::InLine => (run, at) = self.in_line(input, (run, at), out),
                Place::LineStart if byte == b'.' && self.dotted => {
                    self.copy(&input[run..at], out);
                    at += 1;
                    run = at;
                    self.place = Place::Dot;
                }
                Place::Dot if byte == b'\r' => {
                    at += 1;
                    run = at;
                    self.place = Place::DotCr;
                }
                Place::Cr if byte == b'\n' => {
                    self.copy(b"\r\n", out);
                    at += 1;
                    run = at;
                    self.place = Place::LineStart;
                }
                Place::DotCr if byte == b'\n' => {
                    return Taken {
                        octets: at + 1,
                        ended: true,
                    };
                }
                // The CR stood alone. The byte itself is looked at again, within the line.
                Place::Cr | Place::DotCr => {
                    self.bare_newline(out);
                    self.place = Place::InLine;
                }
                Place::LineStart | Place::BareStart | Place::Dot => self.place = Place::InLine,
            }
        }
        self.copy(&input[run..], out);
        Taken {
            octets: input.len(),
            ended: false,
        }
    }

    /// Goes on to the end of the line, or to the bare newline before it; the new `run` and `at`.
    fn in_line(&mut self, input: &[u8], (run, at): (usize, usize), out: &mut BytesMut) -> (usize, usize) {
        let Some(ahead) = memchr2(b'\r', b'\n', &input[at..]) else {
            return (run, input.len());
        };
        let at = at + ahead;
        if input[at] == b'\r' && input.get(at + 1) == Some(&b'\n') {
            self.place = Place::LineStart;
            return (run, at + 2);
        }
        self.copy(&input[run..at], out);
        if input[at] == b'\n' {
            self.bare_newline(out);
        } else {
            self.place = Place::Cr;
        }
        (at + 1, at + 1)
    }

    /// Completes the last line of content that has no terminator of its own (BDAT).
    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        match self.place {
            Place::Cr | Place::DotCr => self.bare_newline(out),
            Place::InLine => self.copy(b"\r\n", out),
            Place::LineStart | Place::BareStart | Place::Dot => {}
        }
        self.place = Place::LineStart;
    }

    fn bare_newline(&mut self, out: &mut BytesMut) {
        self.bare = true;
        if self.is_refused() {
            self.discarding = true;
        }
        self.copy(b"\r\n", out);
        self.place = Place::BareStart;
    }

    fn copy(&self, octets: &[u8], out: &mut BytesMut) {
        if !self.discarding {
            out.extend_from_slice(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `wire` in pieces of `step` octets; what is stored, whether bare, and what is left.
    fn read(dotted: bool, wire: &[u8], step: usize) -> (Vec<u8>, bool, Option<usize>) {
        let mut content = Content::new(dotted, BareNewline::Normalize);
        let mut out = BytesMut::new();
        let mut at = 0;
        while at < wire.len() {
            let taken = content.receive(&wire[at..wire.len().min(at + step)], &mut out);
            at += taken.octets;
            if taken.ended {
                return (out.to_vec(), content.bare, Some(at));
            }
        }
        content.finish(&mut out);
        (out.to_vec(), content.bare, None)
    }

    #[test]
    fn data_ends_at_crlf_dot_crlf_and_nowhere_else() {
        // What follows the candidate must be stored, not read as commands.
        for (wire, stored) in [
            (&b"a\n.\nb\r\n.\r\n"[..], &b"a\r\n.\r\nb\r\n"[..]),
            (b"a\r.\rb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\n.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\r.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n"),
            (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\r\nb\r\n"),
            (b"a\r\n.\r\r\nb\r\n.\r\n", b"a\r\n\r\n\r\nb\r\n"),
            (b"a\r\r\n.\r\n", b"a\r\n\r\n"),
            (b"a\r\n\x00.\r\nb\r\n.\r\n", b"a\r\n\x00.\r\nb\r\n"),
            (b"a\r\n.\x00\r\nb\r\n.\r\n", b"a\r\n\x00\r\nb\r\n"),
            (b"a\n\r.\n\rb\r\n.\r\n", b"a\r\n\r\n.\r\n\r\nb\r\n"),
        ] {
            for step in [1, 2, 3, 1000] {
                let (out, _, end) = read(true, wire, step);
                assert_eq!(out, stored, "{} by {step}", wire.escape_ascii());
                assert_eq!(end, Some(wire.len()), "{}", wire.escape_ascii());
            }
        }
    }

    #[test]
    fn a_dot_is_undone_only_behind_a_crlf() {
        let (out, bare, end) = read(true, b"..a\r\n..\r\n.b\r\nc.\r\n.\r\nQUIT\r\n", 1000);
        assert_eq!(out, b".a\r\n.\r\nb\r\nc.\r\n");
        assert!(!bare);
        assert_eq!(end, Some(20));
        let (out, bare, _) = read(true, b"a\n..b\r\n.\r\n", 1000);
        assert_eq!(out, b"a\r\n..b\r\n");
        assert!(bare);
    }

    #[test]
    fn an_empty_message_is_a_dot_at_once() {
        assert_eq!(read(true, b".\r\n", 1), (Vec::new(), false, Some(3)));
        assert_eq!(read(false, b"", 1), (Vec::new(), false, None));
    }

    #[test]
    fn content_without_terminator_gets_its_last_line_end() {
        for (wire, stored) in [
            (&b"a"[..], &b"a\r\n"[..]),
            (b"a\r\n", b"a\r\n"),
            (b"a\n", b"a\r\n"),
            (b"a\r", b"a\r\n"),
            (b"\r", b"\r\n"),
            (b"a\r\n.\r\nb", b"a\r\n.\r\nb\r\n"),
            (b"..a", b"..a\r\n"),
        ] {
            assert_eq!(read(false, wire, 1).0, stored, "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn refused_content_is_read_to_its_end_and_not_kept() {
        let mut content = Content::new(true, BareNewline::Reject);
        let mut out = BytesMut::new();
        let taken = content.receive(b"a\nlong rest\r\n.\r\n", &mut out);
        assert!(taken.ended && content.is_refused());
        assert_eq!(&out[..], b"a");
    }

    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'x'), Just(0)];
        proptest::collection::vec(byte, 0..40)
    }

    proptest! {
        #[test]
        fn what_comes_out_holds_crlf_only(wire in wire(), dotted: bool, step in 1usize..5) {
            let (out, ..) = read(dotted, &wire, step);
            let text = out.escape_ascii().to_string().replace("\\r\\n", "");
            prop_assert!(!text.contains("\\r") && !text.contains("\\n"), "{}", text);
        }

        #[test]
        fn the_split_of_the_input_changes_nothing(wire in wire(), dotted: bool, step in 1usize..5) {
            prop_assert_eq!(read(dotted, &wire, step), read(dotted, &wire, usize::MAX / 2));
        }

        #[test]
        fn the_end_is_where_a_naive_search_finds_it(wire in wire()) {
            let mut whole = b"\r\n".to_vec();
            whole.extend(&wire);
            let naive = memchr::memmem::find(&whole, b"\r\n.\r\n").map(|at| at + 3);
            prop_assert_eq!(read(true, &wire, 2).2, naive);
        }
    }
}
