//! The dot-stuffing of content that goes out by DATA (RFC 5321 §4.5.2).
//!
//! # Contract
//! * **Chunk borders do not matter.** However content is cut, the same octets go out.
//! * **The end is a line of its own.** Content that does not end in CRLF gets one before the dot.
//! * **No line of content can be taken for the end**: a dot behind any LF is doubled, also behind a bare
//!   one, which stored content does not have but a lenient receiver would take for a line end.
//!
//! # Not here
//! The receiving side: `server`. Line ends of stored content are CRLF already.

use memchr::memchr_iter;

/// Dot-stuffs one content, chunk by chunk.
#[derive(Clone, Debug, Default)]
pub struct DotEncoder {
    last: Last,
}

/// What the octets before the next one mean for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    /// Nothing yet, or CRLF: a line begins.
    #[default]
    CrLf,
    /// A bare LF: a line begins for the lenient.
    Lf,
    /// CR.
    Cr,
    /// Anything else.
    Other,
}

impl DotEncoder {
    /// An encoder at the begin of a content.
    pub fn new() -> Self {
        DotEncoder::default()
    }

    /// Appends `chunk`, stuffed, to `out`.
    pub fn encode(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let [.., last] = chunk else { return };
        out.reserve(chunk.len() + 3);
        if chunk[0] == b'.' && matches!(self.last, Last::CrLf | Last::Lf) {
            out.push(b'.');
        }
        let mut copied = 0;
        // Dots are rare: looking for them costs less than looking at every line.
        for dot in memchr_iter(b'.', chunk) {
            if dot > 0 && chunk[dot - 1] == b'\n' {
                out.extend_from_slice(&chunk[copied..dot]);
                out.push(b'.');
                copied = dot;
            }
        }
        out.extend_from_slice(&chunk[copied..]);
        let before = match chunk {
            [.., before, _] => *before == b'\r',
            _ => self.last == Last::Cr,
        };
        self.last = match last {
            b'\n' if before => Last::CrLf,
            b'\n' => Last::Lf,
            b'\r' => Last::Cr,
            _ => Last::Other,
        };
    }

    /// Appends the end of the content to `out`: its last line end if that is missing, and the dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.last != Last::CrLf {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut encoder, mut out) = (DotEncoder::new(), Vec::new());
        for chunk in chunks {
            encoder.encode(chunk, &mut out);
        }
        encoder.finish(&mut out);
        out
    }

    /// RFC 5321 §4.5.2, as a receiver does it.
    fn decoded(wire: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let mut rest = wire;
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
            let (line, tail) = rest.split_at(end);
            rest = tail;
            match line {
                b".\r\n" => return rest.is_empty().then_some(content),
                [b'.', stuffed @ ..] => content.extend_from_slice(stuffed),
                line => content.extend_from_slice(line),
            }
        }
    }

    #[test]
    fn content_ends_as_a_line_of_its_own() {
        for (content, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\n", b"a\n\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"..\r\n.\r\na.b\r\n", b"...\r\n..\r\na.b\r\n.\r\n"),
            (b"a\n.\r\n", b"a\n..\r\n.\r\n"),
        ] {
            assert_eq!(
                encoded(&[content]),
                wire,
                "{:?}",
                String::from_utf8_lossy(content)
            );
        }
    }

    fn content() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just(b".".to_vec()),
            Just(b"..".to_vec()),
            Just(b"".to_vec()),
            proptest::collection::vec(
                any::<u8>().prop_filter("no line end", |b| !b"\r\n".contains(b)),
                0..9
            )
        ];
        proptest::collection::vec(line, 0..8).prop_map(|lines| {
            lines
                .into_iter()
                .flat_map(|mut line| {
                    line.extend_from_slice(b"\r\n");
                    line
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn chunk_borders_do_not_matter(content in content(), cuts in proptest::collection::vec(0usize..80, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.push(0);
            cuts.push(content.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &content[pair[0]..pair[1]]).collect();
            let wire = encoded(&chunks);
            prop_assert_eq!(&wire, &encoded(&[&content]));
            prop_assert_eq!(decoded(&wire), Some(content));
        }

        #[test]
        fn no_line_of_content_can_be_taken_for_the_end(content in proptest::collection::vec(
            proptest::sample::select(&b"\r\n.a"[..]), 0..24)) {
            let wire = encoded(&[&content]);
            let body = &wire[..wire.len() - 3];
            for end in [&b"\r\n.\r\n"[..], b"\n.\r\n", b"\n.\n", b"\r\n.\n", b"\n.\r"] {
                prop_assert!(!body.windows(end.len()).any(|w| w == end));
                prop_assert!(!body.starts_with(&end[end.iter().position(|b| *b == b'.').unwrap()..]));
            }
        }
    }
}
