//! The capabilities in a server's reply to EHLO (RFC 5321 §4.1.1.1).
//!
//! # Contract
//! * **Nothing is believed that was not said**: an unknown or malformed line offers nothing.

use remuda_mail::{Capabilities, Reply, ServiceLimits};

/// Reads the capabilities off the reply to an accepted EHLO.
pub fn capabilities(reply: &Reply) -> Capabilities {
    let mut offered = Capabilities {
        esmtp: true,
        ..Capabilities::default()
    };
    // The first line is the greeting, whatever it looks like.
    for line in reply.text.split('\n').skip(1) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { continue };
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => offered.pipelining = true,
            "CHUNKING" => offered.chunking = true,
            "8BITMIME" => offered.eight_bit_mime = true,
            "SMTPUTF8" => offered.smtputf8 = true,
            "DSN" => offered.dsn = true,
            "ENHANCEDSTATUSCODES" => offered.enhanced_status_codes = true,
            "SIZE" => {
                offered.size = true;
                // RFC 1870 §4: 0 means no fixed limit.
                offered.size_max = words
                    .next()
                    .and_then(|word| word.parse().ok())
                    .filter(|max| *max > 0);
            }
            "LIMITS" => offered.limits = limits(words),
            "STARTTLS" => offered.starttls = true,
            "AUTH" => authentication(&mut offered, words),
            // As some servers of old write it.
            word if word.starts_with("AUTH=") => {
                let first = keyword.split_once('=').map(|(_, mechanism)| mechanism);
                authentication(&mut offered, first.into_iter().chain(words));
            }
            _ => {}
        }
    }
    offered
}

/// RFC 4954 §3: the mechanisms.
fn authentication<'a>(offered: &mut Capabilities, mechanisms: impl Iterator<Item = &'a str>) {
    for mechanism in mechanisms {
        offered.auth_plain |= mechanism.eq_ignore_ascii_case("PLAIN");
        offered.auth_login |= mechanism.eq_ignore_ascii_case("LOGIN");
    }
}

/// RFC 9422 §4: `NAME=VALUE …`; values from 1 to six digits.
fn limits<'a>(words: impl Iterator<Item = &'a str>) -> ServiceLimits {
    let mut limits = ServiceLimits::default();
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        let value = value.parse().ok().filter(|value| *value > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => limits.mail_max = value,
            "RCPTMAX" => limits.rcpt_max = value,
            "RCPTDOMAINMAX" => {
                limits.rcpt_domain_max = value.map(|max: u32| max.min(RECIPIENT_DOMAINS_MAX));
            }
            _ => {}
        }
    }
    limits
}

/// A session that may have more recipient domains than this is used for no more: they are remembered.
pub const RECIPIENT_DOMAINS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(text: &str) -> Capabilities {
        capabilities(&Reply {
            code: 250,
            enhanced: None,
            text: text.into(),
        })
    }

    #[test]
    fn capabilities_are_read_in_any_case() {
        let all = "mx.example\npipelining\nSize 1000\n8bitMIME\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\n\
                   CHUNKING\nLimits MailMax=20 RCPTMAX=3 RCPTDOMAINMAX=1 X=2\nstartTLS\nAuth plain LOGIN";
        assert_eq!(
            offered(all),
            Capabilities {
                esmtp: true,
                pipelining: true,
                chunking: true,
                eight_bit_mime: true,
                smtputf8: true,
                dsn: true,
                enhanced_status_codes: true,
                size: true,
                size_max: Some(1000),
                limits: ServiceLimits {
                    mail_max: Some(20),
                    rcpt_max: Some(3),
                    rcpt_domain_max: Some(1),
                },
                starttls: true,
                auth_plain: true,
                auth_login: true,
            }
        );
    }

    #[test]
    fn mechanisms_are_read_however_they_are_written() {
        for (line, plain, login) in [
            ("AUTH PLAIN", true, false),
            ("AUTH=LOGIN PLAIN", true, true),
            ("AUTH CRAM-MD5 login", false, true),
            ("AUTH XPLAIN", false, false),
            ("AUTH", false, false),
        ] {
            let offered = offered(&format!("a\n{line}"));
            assert_eq!((offered.auth_plain, offered.auth_login), (plain, login), "{line}");
        }
    }

    #[test]
    fn what_is_remembered_of_a_session_is_bounded() {
        let limits = offered("a\nLIMITS RCPTDOMAINMAX=999999 MAILMAX=999999").limits;
        assert_eq!(limits.rcpt_domain_max, Some(RECIPIENT_DOMAINS_MAX));
        assert_eq!(limits.mail_max, Some(999_999));
    }

    #[test]
    fn nothing_is_believed_that_was_not_said() {
        let plain = Capabilities {
            esmtp: true,
            ..Capabilities::default()
        };
        for text in ["", "PIPELINING", "a\n\n \nPIPELININGX\nXPIPELINING\nSIZEX 5"] {
            assert_eq!(offered(text), plain, "{text:?}");
        }
        for text in [
            "a\nSIZE",
            "a\nSIZE 0",
            "a\nSIZE x",
            "a\nSIZE 99999999999999999999999",
        ] {
            let (size, max) = (offered(text).size, offered(text).size_max);
            assert_eq!((size, max), (true, None), "{text:?}");
        }
        let odd = offered("a\nLIMITS MAILMAX RCPTMAX=0 RCPTDOMAINMAX=-1 MAILMAX=x");
        assert_eq!(odd, plain);
    }
}
