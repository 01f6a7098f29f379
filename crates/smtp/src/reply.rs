//! The replies of a server, parsed as they arrive (RFC 5321 §4.2, RFC 2034).
//!
//! The parser of the smtp-proto crate is not used here: it keeps the parts of an enhanced code in an octet
//! (5.7.509 becomes 5.7.255) and takes a line of any code for a continuation.
//!
//! # Contract
//! * **Where the stream is cut does not matter.** The same octets give the same replies.
//! * **Memory is bounded**: by [`LINE_LENGTH_MAX`] and [`REPLY_LENGTH_MAX`]; beyond is an error.
//! * **Text is printable**: controls become spaces, what is not UTF-8 becomes U+FFFD; lines are separated
//!   by `\n`.
//! * **An enhanced code counts only where it agrees with the reply code's class** (RFC 2034 §4), and is cut
//!   off the text.
//! * **After an error nothing more is parsed**: the caller ends the session.
//!
//! # Limits
//! LF alone ends a line too: replies carry nothing that could be smuggled. When the lines of a reply carry
//! different codes, which RFC 5321 §4.2.1 forbids, the last one decides, as in Postfix.

use memchr::memchr;
use remuda_mail::{EnhancedStatus, Reply};

/// Octets of one line with its end; RFC 5321 §4.5.3.1.5 says 512, the field exceeds it.
pub const LINE_LENGTH_MAX: usize = 4096;
/// Octets of one reply, all its lines.
pub const REPLY_LENGTH_MAX: usize = 32 * 1024;

/// Why what came is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not three digits and a space, a hyphen or the line's end.
    #[error("not an SMTP reply")]
    NotSmtp,
    /// A line over [`LINE_LENGTH_MAX`], or a reply over [`REPLY_LENGTH_MAX`].
    #[error("reply too long")]
    TooLong,
}

/// Parses replies out of a stream, chunk by chunk.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// The begin of a line whose end has not come.
    line: Vec<u8>,
    /// The lines so far of a reply whose last line has not come.
    reply: Option<Reply>,
    /// Octets of that reply.
    length: usize,
}

impl ReplyParser {
    /// A parser between two replies.
    pub fn new() -> Self {
        ReplyParser::default()
    }

    /// Takes the next whole reply off the front of `input`; None when `input` is used up.
    ///
    /// # Errors
    /// When what came is no reply, or too long for one.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while let Some(end) = memchr(b'\n', input) {
            let (line, rest) = input.split_at(end + 1);
            *input = rest;
            let is_last = if self.line.is_empty() {
                self.take_line(line)?
            } else {
                self.append(line)?;
                let whole = std::mem::take(&mut self.line);
                self.take_line(&whole)?
            };
            if is_last {
                self.length = 0;
                return Ok(self.reply.take());
            }
        }
        self.append(input)?;
        *input = &[];
        Ok(None)
    }

    /// Answers whether nothing has come of a next reply.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.reply.is_none()
    }

    fn append(&mut self, part: &[u8]) -> Result<(), ReplyError> {
        if self.line.len() + part.len() > LINE_LENGTH_MAX {
            return Err(ReplyError::TooLong);
        }
        self.line.extend_from_slice(part);
        // Garbage is known by its first octets: nobody waits for its line end.
        match code_of(&self.line) {
            Some(_) => Ok(()),
            None => Err(ReplyError::NotSmtp),
        }
    }

    /// Adds one whole line to the reply; answers whether it was the last.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        self.length += line.len();
        if line.len() > LINE_LENGTH_MAX || self.length > REPLY_LENGTH_MAX {
            return Err(ReplyError::TooLong);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let code = code_of(line).flatten().ok_or(ReplyError::NotSmtp)?;
        let text = line.get(4..).unwrap_or_default();
        let (enhanced, text) = split_enhanced(code, text);
        match &mut self.reply {
            Some(reply) => {
                reply.code = code;
                reply.enhanced = reply.enhanced.or(enhanced);
                reply.text.push('\n');
                push_printable(&mut reply.text, text);
            }
            None => {
                let mut reply = Reply {
                    code,
                    enhanced,
                    text: String::with_capacity(text.len()),
                };
                push_printable(&mut reply.text, text);
                self.reply = Some(reply);
            }
        }
        let is_last = line.get(3) != Some(&b'-');
        if let Some(reply) = self.reply.as_mut().filter(|_| is_last) {
            let class = u8::try_from(reply.code / 100).unwrap_or(0);
            reply.enhanced = reply.enhanced.filter(|enhanced| enhanced.class == class);
        }
        Ok(is_last)
    }
}

/// The code at the front of a line: `Some(None)` while it is too short to tell, None when it cannot be one.
fn code_of(line: &[u8]) -> Option<Option<u16>> {
    let mut code = 0;
    for place in 0..3 {
        match line.get(place) {
            Some(digit @ b'0'..=b'9') => code = code * 10 + u16::from(digit - b'0'),
            Some(_) => return None,
            None => return Some(None),
        }
    }
    match line.get(3) {
        None | Some(b' ' | b'-' | b'\r' | b'\n') => Some(Some(code)),
        Some(_) => None,
    }
}

/// Splits an enhanced code that agrees with `code` off the front of `text`.
fn split_enhanced(code: u16, text: &[u8]) -> (Option<EnhancedStatus>, &[u8]) {
    if !matches!(text.first(), Some(b'2' | b'4' | b'5')) || text.get(1) != Some(&b'.') {
        return (None, text);
    }
    let end = memchr(b' ', text).unwrap_or(text.len());
    let status = std::str::from_utf8(&text[..end])
        .ok()
        .and_then(|word| word.parse::<EnhancedStatus>().ok())
        .filter(|status| u16::from(status.class) == code / 100);
    match status {
        Some(_) => (status, text.get(end + 1..).unwrap_or_default()),
        None => (None, text),
    }
}

fn push_printable(out: &mut String, text: &[u8]) {
    let text = text.trim_ascii_end();
    for part in text.utf8_chunks() {
        let valid = part.valid();
        if valid.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
            out.push_str(valid);
        } else {
            out.extend(valid.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        if !part.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests;
