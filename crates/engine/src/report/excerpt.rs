//! What of the original goes back: its header, or all of it.
//!
//! # Contract
//! * **A part that does not fit a mail is not sent.** Content with lines over 998 octets comes back as
//!   its header, and header lines that long are folded.
//! * **The excerpt ends with a line break and has no bare CR or LF.**

use bytes::Bytes;

use super::{Original, Shape, text::Charset, wants_full};

/// The last part of a report.
pub(super) struct Excerpt {
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
    pub(super) is_full: bool,
    pub(super) charset: Charset,
    /// The original's, for threading.
    pub(super) message_id: Option<String>,
}

impl Excerpt {
    pub(super) fn of(original: &Original, shape: &Shape<'_>, charset: Charset) -> Self {
        let headers = headers(&original.headers);
        let message_id = message_id(&headers);
        let full = original
            .full
            .as_ref()
            .filter(|full| wants_full(shape.kind, shape.envelope, full.len() as u64) && fits(full));
        let (bytes, is_full) = match full {
            Some(full) => (full.clone(), true),
            None => (Bytes::from(headers), false),
        };
        // RFC 6533 §4: the global types are for UTF-8; other octets over 127 go back as they came.
        let is_global = charset == Charset::Utf8 && !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok();
        let content_type = match (is_full, is_global) {
            (true, false) => "message/rfc822",
            (true, true) => "message/global",
            (false, false) => "text/rfc822-headers",
            (false, true) => "message/global-headers",
        };
        Excerpt {
            content_type,
            bytes,
            is_full,
            charset,
            message_id,
        }
    }
}

/// Answers whether content can stand in a part as it is.
fn fits(content: &[u8]) -> bool {
    content.ends_with(b"\r\n")
        && content.split_inclusive(|byte| *byte == b'\n').all(|line| {
            line.strip_suffix(b"\r\n")
                .is_some_and(|line| line.len() <= LINE_MAX && !line.contains(&b'\r'))
        })
}

/// The header block up to the empty line, at most [`HEADERS_MAX`], whole lines only.
fn headers(block: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len().min(HEADERS_MAX));
    for line in block.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let before = out.len();
        for (index, piece) in line.chunks(LINE_MAX - 1).enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend(
                piece
                    .iter()
                    .map(|byte| if matches!(byte, b'\r' | 0) { b' ' } else { *byte }),
            );
            out.extend_from_slice(b"\r\n");
        }
        if out.len() > HEADERS_MAX {
            out.truncate(before);
            break;
        }
    }
    out
}

/// The original's Message-ID, when it is one that may stand in a field of ours.
fn message_id(headers: &[u8]) -> Option<String> {
    let name = b"message-id:";
    let line = headers.split(|byte| *byte == b'\n').find(|line| {
        line.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    })?;
    let id = std::str::from_utf8(&line[name.len()..]).ok()?.trim();
    let inner = id.strip_prefix('<')?.strip_suffix('>')?;
    let is_sound = !inner.is_empty()
        && inner.len() <= MESSAGE_ID_MAX
        && inner
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
    is_sound.then(|| id.to_owned())
}

/// Of the original's header, in octets.
pub(super) const HEADERS_MAX: usize = 64 * 1024;
/// RFC 5322 §2.1.1, octets without CRLF.
const LINE_MAX: usize = 998;
const MESSAGE_ID_MAX: usize = 250;
