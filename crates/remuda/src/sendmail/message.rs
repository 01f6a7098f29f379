//! The message as sendmail gets it: line ends, recipients in its header, Bcc, From.
//!
//! # Contract
//! * **Every line ends in CRLF** after [`with_crlf`], and nothing else changes.
//! * **Only the header is looked at**: what looks like a field behind the first empty line is content.

use remuda_mail::Sender;

use super::addresses::addresses;

/// Brings every line end (CRLF, LF, CR) to CRLF. With `ends_at_dot` the message ends before a line that is a
/// lone dot.
pub fn with_crlf(content: &[u8], ends_at_dot: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + content.len() / 32);
    let mut rest = content;
    while !rest.is_empty() {
        let end = rest
            .iter()
            .position(|b| matches!(b, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        let line = &rest[..end];
        if ends_at_dot && line == b"." {
            break;
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        let behind = &rest[end..];
        let length = if behind.starts_with(b"\r\n") {
            2
        } else {
            behind.len().min(1)
        };
        rest = &behind[length..];
    }
    out
}

/// A message whose header has been found.
pub struct Message {
    /// Fields with their continuation lines and line ends.
    fields: Vec<Vec<u8>>,
    /// From the empty line on.
    body: Vec<u8>,
}

impl Message {
    /// Splits `content`, whose lines end in CRLF. Without a header all of it is body.
    pub fn new(content: &[u8]) -> Self {
        let (mut fields, mut rest): (Vec<Vec<u8>>, &[u8]) = (Vec::new(), content);
        while !rest.is_empty() {
            let end = rest
                .windows(2)
                .position(|two| two == b"\r\n")
                .map_or(rest.len(), |at| at + 2);
            let (line, behind) = rest.split_at(end);
            match (line.first(), fields.last_mut()) {
                (Some(b' ' | b'\t'), Some(field)) => field.extend_from_slice(line),
                _ if name_of(line).is_some() => fields.push(line.to_vec()),
                _ => break,
            }
            rest = behind;
        }
        let mut body = rest.to_vec();
        if !body.starts_with(b"\r\n") {
            // RFC 5322 §2.1: an empty line separates the header from what is none.
            body.splice(0..0, *b"\r\n");
        }
        Message { fields, body }
    }

    /// The recipients that To, Cc and Bcc name; when the message is resent, those of the Resent fields.
    ///
    /// # Errors
    /// A field that is no list of addresses.
    pub fn recipients(&self) -> Result<Vec<String>, String> {
        let is_resent = self
            .fields
            .iter()
            .any(|field| is_named(field, &["resent-to", "resent-cc", "resent-bcc"]));
        let names: [&str; 3] = if is_resent {
            ["resent-to", "resent-cc", "resent-bcc"]
        } else {
            ["to", "cc", "bcc"]
        };
        let mut found = Vec::new();
        for field in self.fields.iter().filter(|field| is_named(field, &names)) {
            let text = String::from_utf8_lossy(field);
            let (name, value) = text.split_once(':').unwrap_or_default();
            let list = addresses(&value.replace("\r\n", " "));
            found.extend(list.map_err(|error| format!("in the header field {name}: {error}"))?);
        }
        Ok(found)
    }

    /// Removes Bcc and Resent-Bcc.
    pub fn remove_bcc(&mut self) {
        self.fields
            .retain(|field| !is_named(field, &["bcc", "resent-bcc"]));
    }

    /// Adds a From field when there is none.
    pub fn add_from(&mut self, sender: &Sender, full_name: Option<&str>) {
        let Some(address) = &sender.0 else { return };
        if self.fields.iter().any(|field| is_named(field, &["from"])) {
            return;
        }
        let name: String = full_name
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let field = match name.trim() {
            "" => format!("From: {address}\r\n"),
            name => format!(
                "From: \"{}\" <{address}>\r\n",
                name.replace('\\', "\\\\").replace('"', "\\\"")
            ),
        };
        self.fields.push(field.into_bytes());
    }

    /// The whole again.
    pub fn into_content(self) -> Vec<u8> {
        let mut content = self.fields.concat();
        content.extend_from_slice(&self.body);
        content
    }
}

/// The name of the field that begins on this line (RFC 5322 §3.6.8).
fn name_of(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|b| *b == b':')?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

fn is_named(field: &[u8], names: &[&str]) -> bool {
    name_of(field).is_some_and(|name| {
        names
            .iter()
            .any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_ends_in_crlf() {
        for (input, output) in [
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\rb", "a\r\nb\r\n"),
            ("a\n\r\n\rb", "a\r\n\r\n\r\nb\r\n"),
            ("", ""),
            ("a\n.\nb\n", "a\r\n.\r\nb\r\n"),
        ] {
            assert_eq!(with_crlf(input.as_bytes(), false), output.as_bytes(), "{input:?}");
        }
        assert_eq!(with_crlf(b"a\n.\nb\n", true), b"a\r\n");
        assert_eq!(with_crlf(b"a\n..\n.b\n", true), b"a\r\n..\r\n.b\r\n");
    }

    fn message(text: &str) -> Message {
        Message::new(&with_crlf(text.as_bytes(), false))
    }

    #[test]
    fn recipients_come_from_to_cc_and_bcc_also_over_several_lines() {
        let found =
            message("To: a@b.test,\n  c@d.test\ncc: E <e@f.test>\nBcc: g@h.test\n\nTo: not@me.test\n");
        assert_eq!(
            found.recipients().unwrap(),
            ["a@b.test", "c@d.test", "e@f.test", "g@h.test"]
        );
        let resent = message("To: a@b.test\nResent-To: x@y.test\n\n");
        assert_eq!(resent.recipients().unwrap(), ["x@y.test"]);
        assert!(message("To: <a@b.test\n\n").recipients().is_err());
    }

    #[test]
    fn bcc_never_leaves() {
        let mut sent =
            message("To: a@b.test\nBcc: secret@b.test,\n\tother@b.test\nSubject: x\n\nBcc: body\n");
        sent.remove_bcc();
        assert_eq!(
            sent.into_content(),
            b"To: a@b.test\r\nSubject: x\r\n\r\nBcc: body\r\n"
        );
    }

    #[test]
    fn what_is_no_header_is_body() {
        for (text, content) in [
            ("hello\n", "\r\nhello\r\n"),
            ("", "\r\n"),
            ("A: b\n", "A: b\r\n\r\n"),
            ("A: b\nno field\n", "A: b\r\n\r\nno field\r\n"),
            (" A: b\n", "\r\n A: b\r\n"),
        ] {
            assert_eq!(message(text).into_content(), content.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_missing_from_is_added() {
        let sender = Sender(Some("a@b.test".parse().unwrap()));
        let with = |text: &str, name| {
            let mut message = message(text);
            message.add_from(&sender, name);
            String::from_utf8(message.into_content()).unwrap()
        };
        assert_eq!(with("A: b\n\nx\n", None), "A: b\r\nFrom: a@b.test\r\n\r\nx\r\n");
        assert_eq!(
            with("\nx\n", Some("A \"B\"\r\nX: y")),
            "From: \"A \\\"B\\\"X: y\" <a@b.test>\r\n\r\nx\r\n"
        );
        assert_eq!(with("From: c@d.test\n\nx\n", None), "From: c@d.test\r\n\r\nx\r\n");
    }
}
