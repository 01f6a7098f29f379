//! What is wrong with a handshake or a certificate, in plain words.

use std::{fmt, io};

use remuda_mail::Names;
use rustls::{CertificateError, Error, pki_types::UnixTime};

use crate::log::timestamp;

/// Why a handshake has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The certificate was valid until then.
    Expired(Option<String>),
    /// The certificate is valid from then on.
    NotYetValid(Option<String>),
    /// The certificate has an issuer that is not trusted.
    UnknownIssuer,
    /// The certificate is for others.
    OtherName {
        /// Whom it should be for.
        wanted: String,
        /// Whom it is for.
        presented: String,
    },
    /// Nobody can be looked for in it.
    Nameless,
    /// The certificate is otherwise unfit.
    Certificate(String),
    /// The handshake failed by itself.
    Handshake(String),
    /// It took too long.
    TimedOut,
}

impl Problem {
    /// The problem behind an error of the connection.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Problem::of_tls(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Problem::Handshake("the connection was closed".to_owned())
            }
            None => Problem::Handshake(error.to_string()),
        }
    }

    /// The problem behind an error of TLS.
    pub(super) fn of_tls(error: &Error) -> Self {
        let Error::InvalidCertificate(error) = error else {
            return Problem::Handshake(error.to_string());
        };
        match error {
            CertificateError::Expired => Problem::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Problem::Expired(Some(shown(*not_after))),
            CertificateError::NotValidYet => Problem::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Problem::NotYetValid(Some(shown(*not_before)))
            }
            CertificateError::UnknownIssuer => Problem::UnknownIssuer,
            CertificateError::NotValidForNameContext { expected, presented } => Problem::OtherName {
                wanted: expected.to_str().into_owned(),
                presented: listed(presented.iter().map(|name| bare(name))),
            },
            CertificateError::BadSignature => {
                Problem::Certificate("it is not signed by the issuer that it names".to_owned())
            }
            CertificateError::InvalidPurpose => Problem::Certificate("it is not for servers".to_owned()),
            other => Problem::Certificate(other.to_string()),
        }
    }

    /// The same, when any of these names would have done.
    pub(super) fn wanting(self, names: &Names) -> Self {
        match self {
            Problem::OtherName { presented, .. } => Problem::OtherName {
                wanted: listed(names.iter().map(|name| &**name)),
                presented,
            },
            other => other,
        }
    }

    /// Answers whether it is the certificate that is at fault.
    pub fn is_of_certificate(&self) -> bool {
        !matches!(self, Problem::Handshake(_) | Problem::TimedOut)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Expired(None) => f.write_str("its certificate has expired"),
            Problem::Expired(Some(end)) => write!(f, "its certificate expired on {end}"),
            Problem::NotYetValid(None) => f.write_str("its certificate is not valid yet"),
            Problem::NotYetValid(Some(begin)) => write!(f, "its certificate is valid only from {begin} on"),
            Problem::UnknownIssuer => f.write_str("its certificate has an unknown issuer"),
            Problem::OtherName { wanted, presented } if presented.is_empty() => {
                write!(f, "wanted {wanted}, its certificate is for nobody")
            }
            Problem::OtherName { wanted, presented } => {
                write!(f, "wanted {wanted}, its certificate is for {presented}")
            }
            Problem::Nameless => f.write_str("there is no name to look for in its certificate"),
            Problem::Certificate(what) => write!(f, "its certificate is not valid: {what}"),
            Problem::Handshake(what) => write!(f, "the TLS handshake failed: {what}"),
            Problem::TimedOut => f.write_str("the TLS handshake timed out"),
        }
    }
}

/// At most some names: a certificate may hold hundreds.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    names.truncate(NAMES_SHOWN_MAX);
    let mut text = names.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The name in `DnsName("a.test")`.
fn bare(presented: &str) -> &str {
    let inner = presented.split_once('(').map_or(presented, |(_, rest)| rest);
    inner.trim_end_matches(')').trim_matches('"')
}

fn shown(at: UnixTime) -> String {
    let millis = i64::try_from(at.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX);
    timestamp(remuda_clock::Wall(millis))
}

const NAMES_SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_their_kind_and_not_without_end() {
        assert_eq!(bare("DnsName(\"a.test\")"), "a.test");
        assert_eq!(bare("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(bare("b.test"), "b.test");
        let many = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(listed(many.into_iter()), "a, b, c, d, e and 2 more");
    }
}
