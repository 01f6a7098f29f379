//! What the sink offers at EHLO, and the parameters of MAIL and RCPT that this allows.
//!
//! # Contract
//! * **A parameter of an extension that was not offered is a violation**, as is every parameter after
//!   HELO, and one that no extension defines.
//! * **The values of known parameters are checked** (RFC 1870, RFC 6152, RFC 6531, RFC 3461).

use crate::{command::Path, config::Listener, violation::ViolationKind};

/// The extensions offered on a connection: the listener's after EHLO, none after HELO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    pub pipelining: bool,
    pub chunking: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub dsn: bool,
    pub size: bool,
    pub starttls: bool,
    pub auth: bool,
}

impl Offer {
    /// What `listener` offers at EHLO; STARTTLS only in clear.
    pub fn of(listener: &Listener, is_encrypted: bool) -> Self {
        Offer {
            starttls: listener.tls.is_some() && !is_encrypted,
            auth: !listener.auth.is_empty() && (listener.tls.is_none() || is_encrypted),
            pipelining: listener.pipelining,
            chunking: listener.chunking,
            eight_bit_mime: listener.eight_bit_mime,
            smtputf8: listener.smtputf8,
            dsn: listener.dsn,
            size: listener.size_extension,
        }
    }
}

/// The reply to EHLO.
pub(crate) fn ehlo_reply(listener: &Listener, offer: Offer) -> String {
    let size = listener
        .size
        .map_or_else(|| "SIZE".to_owned(), |size| format!("SIZE {size}"));
    let limits = listener.limits.filter(|limits| !limits.is_empty());
    let keywords = [
        offer.pipelining.then(|| "PIPELINING".to_owned()),
        offer.size.then_some(size),
        offer.eight_bit_mime.then(|| "8BITMIME".to_owned()),
        offer.smtputf8.then(|| "SMTPUTF8".to_owned()),
        offer.dsn.then(|| "DSN".to_owned()),
        offer.chunking.then(|| "CHUNKING".to_owned()),
        offer.starttls.then(|| "STARTTLS".to_owned()),
        offer.auth.then(|| "AUTH PLAIN LOGIN".to_owned()),
        limits.map(|limits| format!("LIMITS {limits}")),
    ];
    let mut reply = format!("250-{}\r\n", listener.hostname);
    for keyword in keywords.into_iter().flatten() {
        reply += &format!("250-{keyword}\r\n");
    }
    // It is always there: every reply of the sink has a code.
    reply + "250 ENHANCEDSTATUSCODES\r\n"
}

/// What the parameters of MAIL declare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailParameters {
    pub size: Option<u64>,
    pub is_eight_bit: bool,
    pub is_smtputf8: bool,
}

/// A parameter that is refused: the violation and the reply.
pub(crate) type Refused = (ViolationKind, &'static str);

const NOT_OFFERED: Refused = (
    ViolationKind::ParameterNotOffered,
    "555 5.5.4 parameter of an extension that was not offered\r\n",
);
const BAD_VALUE: Refused = (ViolationKind::BadSyntax, "501 5.5.4 bad value of a parameter\r\n");

/// Reads the parameters of MAIL.
pub(crate) fn mail_parameters(path: &Path<'_>, offer: Offer) -> Result<MailParameters, Refused> {
    let mut read = MailParameters::default();
    for (name, value) in path.each_parameter() {
        match (name.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) if offer.size => {
                read.size = Some(value.parse().map_err(|_| BAD_VALUE)?);
            }
            ("BODY", Some(value)) if offer.eight_bit_mime => {
                read.is_eight_bit = value.eq_ignore_ascii_case("8BITMIME");
                if !read.is_eight_bit && !value.eq_ignore_ascii_case("7BIT") {
                    return Err(BAD_VALUE);
                }
            }
            ("SMTPUTF8", None) if offer.smtputf8 => read.is_smtputf8 = true,
            ("RET", Some(value)) if offer.dsn => {
                if !value.eq_ignore_ascii_case("FULL") && !value.eq_ignore_ascii_case("HDRS") {
                    return Err(BAD_VALUE);
                }
            }
            ("ENVID", Some(value)) if offer.dsn => {
                if value.len() > 100 || !is_xtext(value) {
                    return Err(BAD_VALUE);
                }
            }
            ("SIZE", _) if offer.size => return Err(BAD_VALUE),
            ("BODY", _) if offer.eight_bit_mime => return Err(BAD_VALUE),
            ("SMTPUTF8", _) if offer.smtputf8 => return Err(BAD_VALUE),
            ("RET" | "ENVID", _) if offer.dsn => return Err(BAD_VALUE),
            _ => return Err(NOT_OFFERED),
        }
    }
    Ok(read)
}

/// Checks the parameters of RCPT.
pub(crate) fn check_rcpt_parameters(path: &Path<'_>, offer: Offer) -> Result<(), Refused> {
    for (name, value) in path.each_parameter() {
        let is_good = match (name.to_ascii_uppercase().as_str(), value) {
            ("NOTIFY", Some(value)) if offer.dsn => is_notify(value),
            // RFC 3461 §4.2: address type, semicolon, address as xtext (RFC 6533: utf-8 types too).
            ("ORCPT", Some(value)) if offer.dsn => value
                .split_once(';')
                .is_some_and(|(kind, address)| !kind.is_empty() && !address.is_empty() && value.len() <= 500),
            ("NOTIFY" | "ORCPT", None) if offer.dsn => false,
            _ => return Err(NOT_OFFERED),
        };
        if !is_good {
            return Err(BAD_VALUE);
        }
    }
    Ok(())
}

/// RFC 3461 §4.1: NEVER alone, or a list of the others.
fn is_notify(value: &str) -> bool {
    let known = ["SUCCESS", "FAILURE", "DELAY"];
    value.eq_ignore_ascii_case("NEVER")
        || value
            .split(',')
            .all(|word| known.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// RFC 3461 §4: printable ASCII, with `+` only before two hexadecimal digits.
fn is_xtext(value: &str) -> bool {
    let octets = value.as_bytes();
    let is_escape = |at: usize| {
        octets.get(at + 1..at + 3).is_some_and(|digits| {
            digits
                .iter()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'))
        })
    };
    octets
        .iter()
        .enumerate()
        .all(|(at, octet)| octet.is_ascii_graphic() && *octet != b'=' && (*octet != b'+' || is_escape(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;

    fn mail(parameters: &str, offer: Offer) -> Result<MailParameters, ViolationKind> {
        let line = format!("MAIL FROM:<a@b.test> {parameters}");
        let Command::Mail(path) = Command::parse(&line) else {
            panic!("{line}")
        };
        mail_parameters(&path, offer).map_err(|(kind, _)| kind)
    }

    fn rcpt(parameters: &str, offer: Offer) -> Result<(), ViolationKind> {
        let line = format!("RCPT TO:<a@b.test> {parameters}");
        let Command::Rcpt(path) = Command::parse(&line) else {
            panic!("{line}")
        };
        check_rcpt_parameters(&path, offer).map_err(|(kind, _)| kind)
    }

    #[test]
    fn what_is_offered_may_be_used() {
        let all = Offer::of(&Listener::default(), false);
        let read = mail("SIZE=5 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb", all).expect("all offered");
        assert_eq!(
            (read.size, read.is_eight_bit, read.is_smtputf8),
            (Some(5), true, true)
        );
        assert_eq!(rcpt("NOTIFY=SUCCESS,delay ORCPT=rfc822;a@b", all), Ok(()));
        assert_eq!(rcpt("NOTIFY=NEVER", all), Ok(()));
    }

    #[test]
    fn what_is_not_offered_is_a_violation() {
        for parameter in [
            "SIZE=5",
            "BODY=8BITMIME",
            "SMTPUTF8",
            "RET=FULL",
            "ENVID=x",
            "FOO",
            "AUTH=<>",
        ] {
            assert_eq!(
                mail(parameter, Offer::default()),
                Err(ViolationKind::ParameterNotOffered)
            );
        }
        assert_eq!(
            rcpt("NOTIFY=NEVER", Offer::default()),
            Err(ViolationKind::ParameterNotOffered)
        );
    }

    #[test]
    fn bad_values_are_refused() {
        let all = Offer::of(&Listener::default(), false);
        for parameter in [
            "SIZE=x",
            "SIZE",
            "BODY=9BIT",
            "SMTPUTF8=1",
            "RET=ALL",
            "ENVID=a+b",
            "RET",
        ] {
            assert_eq!(mail(parameter, all), Err(ViolationKind::BadSyntax), "{parameter}");
        }
        for parameter in ["NOTIFY=NEVER,DELAY", "NOTIFY=", "ORCPT=a@b", "NOTIFY"] {
            assert_eq!(rcpt(parameter, all), Err(ViolationKind::BadSyntax), "{parameter}");
        }
    }

    #[test]
    fn limits_and_size_are_announced() {
        let listener = Listener {
            size: Some(1000),
            limits: "RCPTMAX=5".parse().ok(),
            chunking: false,
            ..Listener::default()
        };
        let reply = ehlo_reply(&listener, Offer::of(&listener, false));
        assert!(reply.contains("250-SIZE 1000\r\n") && reply.contains("250-LIMITS RCPTMAX=5\r\n"));
        assert!(!reply.contains("CHUNKING") && reply.ends_with("250 ENHANCEDSTATUSCODES\r\n"));
    }
}
