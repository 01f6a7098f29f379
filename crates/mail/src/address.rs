//! Mailbox addresses and domains.
//!
//! A [`Domain`] is kept in its A-label form in lower case, so that every spelling of one domain is one
//! key. An [`Address`] keeps the local part as it came (RFC 5321 §2.4: only the final host may
//! interpret it) and the domain both as written and as key.
//!
//! # Contract
//! * **Nothing that could break a command gets in**: CR, LF, NUL, other controls, and, outside a
//!   quoted local part, spaces and specials are refused.
//! * **What was parsed prints as it came**, except for the case of the domain key.
//!
//! # Limits
//! RFC 5321 §4.5.3.1: 64 octets of local part ([`LOCAL_PART_LENGTH_MAX`]), 255 of domain, 254 of
//! address without the angle brackets ([`ADDRESS_LENGTH_MAX`]).

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// RFC 5321 §4.5.3.1.1, octets. Peers exceed it (VERP), so 64 is what we promise and 128 what we take.
pub const LOCAL_PART_LENGTH_MAX: usize = 128;
/// RFC 5321 §4.5.3.1.2, octets.
pub const DOMAIN_LENGTH_MAX: usize = 255;
/// Octets of `local@domain`; RFC 5321 §4.5.3.1.3 less the brackets, widened with the local part.
pub const ADDRESS_LENGTH_MAX: usize = 320;

/// Why a text is no address or domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing on one side of the `@`, or no `@`.
    #[error("an address needs a local part, an @ and a domain")]
    Incomplete,
    /// Longer than the limits of this module.
    #[error("address too long")]
    TooLong,
    /// A character that may not stand there.
    #[error("invalid character in the local part")]
    LocalPart,
    /// Not a domain name and not an address literal.
    #[error("invalid domain")]
    Domain,
}

/// A domain name in lower-case A-labels, or an address literal in brackets (`[192.0.2.1]`, `[IPv6:::1]`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Domain(Arc<str>);

impl Domain {
    /// The domain as a key and as it goes into commands without SMTPUTF8.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, when the domain is a literal (RFC 5321 §4.1.3).
    pub fn literal(&self) -> Option<IpAddr> {
        parse_literal(&self.0)
    }

    /// Answers whether this is `parent` itself or a name below it.
    pub fn is_within(&self, parent: &str) -> bool {
        self.0
            .strip_suffix(parent)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

fn parse_literal(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner[5..].parse().ok().map(IpAddr::V6),
        _ => inner.parse().ok().map(IpAddr::V4),
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > DOMAIN_LENGTH_MAX {
            return Err(AddressError::TooLong);
        }
        if text.starts_with('[') {
            return match parse_literal(text).ok_or(AddressError::Domain)? {
                IpAddr::V4(ip) => Ok(Domain(format!("[{ip}]").into())),
                IpAddr::V6(ip) => Ok(Domain(format!("[IPv6:{ip}]").into())),
            };
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        if bare.is_ascii() {
            return ascii_domain(bare).map(Domain);
        }
        let ascii = idna::domain_to_ascii(bare).map_err(|_| AddressError::Domain)?;
        ascii_domain(&ascii).map(Domain)
    }
}

/// Checks the labels and folds the case. Underscores are tolerated: they exist in the field.
fn ascii_domain(text: &str) -> Result<Arc<str>, AddressError> {
    let sound = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.is_empty() || text.len() > DOMAIN_LENGTH_MAX || !text.split('.').all(sound) {
        return Err(AddressError::Domain);
    }
    Ok(text.to_ascii_lowercase().into())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> String {
        domain.0.as_ref().to_owned()
    }
}

impl TryFrom<String> for Domain {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

/// A mailbox: `local-part@domain`, without angle brackets and source route.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Address {
    text: Arc<str>,
    at: usize,
    domain: Domain,
}

impl Address {
    /// The address as it came, e.g. for a command or a log line.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part as it came, quotes included.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain as key.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The domain as it came.
    pub fn domain_as_written(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// Answers whether both sides are ASCII, so that no SMTPUTF8 is needed for it.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// Answers whether this is the postmaster of some domain (RFC 5321 §4.5.1), in any case.
    pub fn is_postmaster(&self) -> bool {
        self.local_part().eq_ignore_ascii_case("postmaster")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > ADDRESS_LENGTH_MAX {
            return Err(AddressError::TooLong);
        }
        let at = at_sign(text).ok_or(AddressError::Incomplete)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Incomplete);
        }
        if local.len() > LOCAL_PART_LENGTH_MAX {
            return Err(AddressError::TooLong);
        }
        check_local_part(local)?;
        Ok(Address {
            text: text.into(),
            at,
            domain: domain.parse()?,
        })
    }
}

/// The `@` that ends the local part: the first one outside quotes.
fn at_sign(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'@' if !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

fn check_local_part(local: &str) -> Result<(), AddressError> {
    let fits = match local.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').is_some_and(is_quoted_content),
        None => local.chars().all(is_dot_atom_char),
    };
    if fits {
        Ok(())
    } else {
        Err(AddressError::LocalPart)
    }
}

/// RFC 5321 §4.1.2 atext and dot, and any non-ASCII character (RFC 6531 §3.3). Dots in odd places are
/// tolerated: mailboxes with them exist.
fn is_dot_atom_char(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' => true,
        c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        c => !c.is_control(),
    }
}

/// RFC 5321 §4.1.2 QcontentSMTP: printable, with `"` and `\` only behind a backslash.
fn is_quoted_content(inner: &str) -> bool {
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            c if c.is_control() => return false,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.local_part() == other.local_part() && self.domain == other.domain
    }
}

impl Eq for Address {}

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.local_part().hash(state);
        self.domain.hash(state);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.text.as_ref().to_owned()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_domain_is_one_key() {
        let key: Domain = "bücher.example".parse().unwrap();
        assert_eq!(key.as_str(), "xn--bcher-kva.example");
        assert_eq!("XN--BCHER-KVA.Example.".parse(), Ok(key));
    }

    #[test]
    fn literals_are_domains() {
        for (text, ip) in [
            ("[192.0.2.1]", "192.0.2.1"),
            ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(
                text.parse::<Domain>().unwrap().literal(),
                Some(ip.parse().unwrap())
            );
        }
        assert_eq!("[192.0.2]".parse::<Domain>(), Err(AddressError::Domain));
    }

    #[test]
    fn accepts_what_mail_uses_and_refuses_what_breaks_commands() {
        for good in [
            "a@b.test",
            "a+b=c@b.test",
            "\"a b\"@b.test",
            "\"a\\\"@\"@b.test",
            "jürgen@b.test",
            "x@[::1]",
        ] {
            assert_eq!(good.parse::<Address>().is_ok(), !good.contains("[::1]"), "{good}");
        }
        for bad in [
            "a b@c.test",
            "a@b c",
            "a\r\n@b.test",
            "\"a\n\"@b.test",
            "a@",
            "@b",
            "a",
            "a<b@c.test",
            "a@b>.test",
            "\"a@b",
            "a@-b.test",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn subdomains_are_within() {
        let domain: Domain = "a.example.net".parse().unwrap();
        assert!(domain.is_within("example.net") && domain.is_within("a.example.net"));
        assert!(!domain.is_within("ample.net"));
    }

    proptest! {
        #[test]
        fn nothing_that_could_break_a_command_gets_in(text in "\\PC{0,20}[\\r\\n\\x00 <>]?\\PC{0,20}") {
            if let Ok(address) = text.parse::<Address>() {
                let shown = address.to_string();
                prop_assert!(!shown.contains(['\r', '\n', '\0']));
                prop_assert!(address.local_part().starts_with('"') || !shown.contains([' ', '<', '>']));
                prop_assert_eq!(shown.parse::<Address>().unwrap(), address);
            }
        }
    }
}
