//! The lines that we write into a header: `Received:`, `Date:`, `Message-ID:` (RFC 5321 §4.4, RFC 5322 §3.6).
//!
//! # Contract
//! * **Nothing that a client said can end a line**: its name was tamed, an address has no controls.
//! * **The trace stays ASCII**: a recipient that is not is left out, so that no message needs SMTPUTF8 for
//!   what we wrote.

use std::{fmt::Write, net::IpAddr};

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter, tz::TimeZone};
use remuda_clock::Wall;
use remuda_mail::{Address, MessageId};

/// What the trace says.
pub(super) struct Trace<'a> {
    pub helo: &'a str,
    pub client: IpAddr,
    pub hostname: &'a str,
    pub protocol: &'a str,
    pub id: MessageId,
    /// When it is the only one: others' addresses are nobody's business.
    pub recipient: Option<&'a Address>,
    pub arrived: Wall,
}

impl Trace<'_> {
    /// The whole field with its line ends.
    pub(super) fn field(&self) -> String {
        let mut text = String::with_capacity(256);
        let client = match self.client {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Received: from {} ({client})\r\n\tby {} (Remuda) with {} id {}",
            self.helo, self.hostname, self.protocol, self.id
        );
        if let Some(recipient) = self.recipient.filter(|recipient| recipient.is_ascii()) {
            let _ = write!(text, "\r\n\tfor <{recipient}>");
        }
        let _ = write!(text, ";\r\n\t{}\r\n", date(self.arrived));
        text
    }
}

/// A time as headers write it, in the local zone.
pub(super) fn date(at: Wall) -> String {
    let timestamp = Timestamp::from_millisecond(at.0).unwrap_or_default();
    let local = timestamp.to_zoned(TimeZone::system());
    DateTimePrinter::new()
        .zoned_to_string(&local)
        .unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(client: &str, recipient: Option<&str>) -> String {
        let recipient = recipient.map(|text| text.parse().unwrap());
        Trace {
            helo: "c.test",
            client: client.parse().unwrap(),
            hostname: "mx.test",
            protocol: "ESMTP",
            id: MessageId(1_795_000_000_000_000),
            recipient: recipient.as_ref(),
            arrived: Wall(1_795_000_000_000),
        }
        .field()
    }

    #[test]
    fn the_trace_names_all_that_rfc_5321_wants() {
        let field = trace("192.0.2.1", Some("a@b.test"));
        let (head, date) = field.split_once(";\r\n\t").unwrap();
        let expected = "Received: from c.test ([192.0.2.1])\r\n\tby mx.test (Remuda) with ESMTP id ";
        assert!(
            head.starts_with(expected) && head.ends_with("\r\n\tfor <a@b.test>"),
            "{head}"
        );
        let (_, offset) = date.trim_end().rsplit_once(' ').unwrap();
        assert!(
            date.contains(" 2026 ") && offset.len() == 5 && offset.starts_with(['+', '-']),
            "{date}"
        );
        assert!(trace("2001:db8::1", None).contains("([IPv6:2001:db8::1])"));
    }

    #[test]
    fn the_trace_stays_ascii() {
        let field = trace("192.0.2.1", Some("jürgen@b.test"));
        assert!(field.is_ascii() && !field.contains("for <"));
    }
}
