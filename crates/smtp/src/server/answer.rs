//! The server's replies, and how they are written.
//!
//! # Contract
//! * **A reply is one line** however its text came to be: controls in it become spaces.

use std::{borrow::Cow, fmt};

use bytes::{BufMut, BytesMut};

use super::auth::LOGIN_REFUSED;

/// One reply of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The three digits.
    pub code: u16,
    /// The enhanced code (RFC 2034); empty where none belongs (220, 354).
    pub enhanced: &'static str,
    /// Words for people.
    pub text: Cow<'static, str>,
    /// The session ends with it.
    pub closes: bool,
}

impl Answer {
    /// A reply after which the session goes on.
    pub fn new(code: u16, enhanced: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Answer {
            code,
            enhanced,
            text: text.into(),
            closes: false,
        }
    }

    /// The same, and the session ends with it.
    pub fn closing(self) -> Self {
        Answer { closes: true, ..self }
    }

    /// RFC 6531 §3.4 with the code of RFC 5248.
    pub(super) fn needs_smtputf8() -> Self {
        Answer::new(553, "5.6.7", "This address needs the SMTPUTF8 parameter at MAIL")
    }

    /// RFC 1870 §6.1, §6.3.
    pub(super) fn too_large() -> Self {
        Answer::new(552, "5.3.4", "Message too large")
    }

    /// RFC 3030 §2: only BDAT and RSET have a place there.
    pub(super) fn between_chunks() -> Self {
        Answer::new(503, "5.5.1", "BDAT or RSET only, until the last chunk")
    }

    /// RFC 3207 §4, RFC 4954 §6: mail is taken from those who have logged in, and that needs TLS.
    pub(super) fn needs_login(is_encrypted: bool) -> Self {
        let text = if is_encrypted {
            "Log in first"
        } else {
            "STARTTLS first, then log in"
        };
        Answer::new(530, "5.7.0", text)
    }

    /// RFC 5321 §4.1.1.11.
    pub(super) fn not_offered() -> Self {
        Answer::new(555, "5.5.4", "Parameter not offered")
    }

    /// The login is not right (RFC 4954 §6); which of its parts is nobody's business.
    pub fn login_refused() -> Self {
        Answer::new(LOGIN_REFUSED, "5.7.8", "Name or password is wrong")
    }

    /// Answers whether the command was granted.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Appends the reply as it goes over the wire.
    pub fn write(&self, output: &mut BytesMut) {
        output.put_slice(&digits(self.code));
        output.put_u8(b' ');
        if !self.enhanced.is_empty() {
            output.put_slice(self.enhanced.as_bytes());
            output.put_u8(b' ');
        }
        put_text(&self.text, output);
        output.put_slice(b"\r\n");
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = BytesMut::new();
        self.write(&mut line);
        f.write_str(String::from_utf8_lossy(&line).trim_end())
    }
}

/// Appends a reply of several lines.
pub(super) fn write_lines(code: u16, lines: &[Cow<'_, str>], output: &mut BytesMut) {
    for (index, line) in lines.iter().enumerate() {
        output.put_slice(&digits(code));
        output.put_u8(if index + 1 == lines.len() { b' ' } else { b'-' });
        put_text(line, output);
        output.put_slice(b"\r\n");
    }
}

fn put_text(text: &str, output: &mut BytesMut) {
    if text.bytes().any(|b| b.is_ascii_control()) {
        let clean = text.replace(|c: char| c.is_control(), " ");
        output.put_slice(clean.as_bytes());
    } else {
        output.put_slice(text.as_bytes());
    }
}

fn digits(code: u16) -> [u8; 3] {
    [100, 10, 1].map(|place| b'0' + (code / place % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_line() {
        let answer = Answer::new(550, "5.1.1", "no\r\n250 yes");
        assert_eq!(answer.to_string(), "550 5.1.1 no  250 yes");
        assert_eq!(Answer::new(354, "", "Go").to_string(), "354 Go");
    }

    #[test]
    fn the_last_line_of_several_is_marked() {
        let mut output = BytesMut::new();
        write_lines(250, &["a".into(), "b".into()], &mut output);
        assert_eq!(&output[..], b"250-a\r\n250 b\r\n");
    }
}
