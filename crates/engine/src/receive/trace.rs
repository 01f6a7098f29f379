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

use crate::tls::Secured;

/// What the trace says.
pub(super) struct Trace<'a> {
    pub helo: &'a str,
    pub client: IpAddr,
    pub tls: Option<&'a Secured>,
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
            "Received: from {} ({client})\r\n\t{}by {} (Remuda) with {} id {}",
            self.helo,
            self.tls.map(agreed).unwrap_or_default(),
            self.hostname,
            self.protocol,
            self.id
        );
        if let Some(recipient) = self.recipient.filter(|recipient| recipient.is_ascii()) {
            let _ = write!(text, "\r\n\tfor <{recipient}>");
        }
        let _ = write!(text, ";\r\n\t{}\r\n", date(self.arrived));
        text
    }
}

/// What was agreed on, as Postfix writes it.
fn agreed(tls: &Secured) -> String {
    let Secured {
        protocol,
        cipher,
        bits,
        key_exchange,
        is_resumed: _,
    } = tls;
    let key_exchange = key_exchange.map_or_else(String::new, |group| format!("\r\n\t key-exchange {group}"));
    let version = protocol.as_str();
    format!("(using {version} with cipher {cipher} ({bits}/{bits} bits){key_exchange})\r\n\t")
}

/// How the message came (RFC 3848, RFC 6531 §4.3).
pub(super) fn protocol(smtputf8: bool, extended: bool, tls: bool, login: bool) -> &'static str {
    match (smtputf8, extended, tls, login) {
        (true, _, false, false) => "UTF8SMTP",
        (true, _, true, false) => "UTF8SMTPS",
        (true, _, false, true) => "UTF8SMTPA",
        (true, _, true, true) => "UTF8SMTPSA",
        (false, true, false, false) => "ESMTP",
        (false, true, true, false) => "ESMTPS",
        (false, true, false, true) => "ESMTPA",
        (false, true, true, true) => "ESMTPSA",
        // Without EHLO there is no keyword for more.
        (false, false, _, _) => "SMTP",
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
            tls: None,
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
    fn the_trace_says_what_tls_agreed_on_as_postfix_does() {
        let tls = Secured {
            protocol: remuda_mail::TlsProtocol::Tls13,
            cipher: "TLS_AES_256_GCM_SHA384",
            bits: 256,
            key_exchange: Some("X25519"),
            is_resumed: false,
        };
        let whole = "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519)\r\n\t";
        assert_eq!(agreed(&tls), whole);
        let resumed = Secured {
            key_exchange: None,
            ..tls
        };
        assert_eq!(
            agreed(&resumed),
            "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n\t"
        );
    }

    #[test]
    fn the_protocol_is_a_word_of_rfc_3848() {
        let words: Vec<_> = [(false, false), (true, false), (false, true), (true, true)]
            .map(|(tls, login)| {
                [(false, true), (true, true)].map(|(utf8, ext)| protocol(utf8, ext, tls, login))
            })
            .concat();
        let registered = "ESMTP UTF8SMTP ESMTPS UTF8SMTPS ESMTPA UTF8SMTPA ESMTPSA UTF8SMTPSA";
        assert_eq!(words.join(" "), registered);
        assert_eq!(protocol(false, false, true, false), "SMTP");
    }

    #[test]
    fn the_trace_stays_ascii() {
        let field = trace("192.0.2.1", Some("jürgen@b.test"));
        assert!(field.is_ascii() && !field.contains("for <"));
    }
}
