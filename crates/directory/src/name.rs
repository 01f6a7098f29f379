//! Names: the one spelling of an address or a domain, on save and on look-up.
//!
//! # Contract
//! * **Every spelling of one mailbox is one name**: NFC, lower case, A-labels, no quotes that are not needed.
//! * **A name's name is itself.**
//!
//! # Not here
//! What is an address at all (`remuda_mail`). RFC 5321 §2.4 leaves the case of a local part to its host: that is
//! us, and nobody keeps Bob and bob apart.

use std::sync::Arc;

use remuda_mail::{Address, AddressError, Domain};
use unicode_normalization::UnicodeNormalization;

/// The normal form of an address, as it lies in the database and in the cache.
///
/// # Errors
/// The folded address is none: it has become too long.
pub fn fold(address: &Address) -> Result<Address, AddressError> {
    if is_folded(address) {
        return Ok(address.clone());
    }
    let local = fold_local(address.local_part());
    format!("{local}@{}", address.domain()).parse()
}

/// Reads an address as somebody typed it, in its normal form.
///
/// # Errors
/// It is no address.
pub fn address(text: &str) -> Result<Address, AddressError> {
    fold(&text.trim().parse()?)
}

/// Reads a domain as somebody typed it, in its normal form; address literals are no domains here.
///
/// # Errors
/// It is no domain.
pub fn domain(text: &str) -> Result<Domain, AddressError> {
    let domain: Domain = text.trim().parse()?;
    match domain.literal() {
        Some(_) => Err(AddressError::Domain),
        None => Ok(domain),
    }
}

/// The key of an address in its normal form.
pub fn key(address: &Address) -> Arc<str> {
    address.as_str().into()
}

/// Answers whether an address is plainly its own name, as almost every one in ASCII is; false: perhaps it is.
fn is_folded(address: &Address) -> bool {
    let (local, domain) = (address.local_part(), address.domain().as_str());
    let is_plain = |octet: u8| octet.is_ascii() && !octet.is_ascii_uppercase() && octet != b'"';
    local.bytes().all(is_plain) && address.domain_as_written() == domain
}

fn fold_local(local: &str) -> String {
    let bare = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|inner| is_atoms(inner));
    bare.unwrap_or(local)
        .nfc()
        .flat_map(char::to_lowercase)
        .nfc()
        .collect()
}

/// Answers whether a local part needs no quotes (RFC 5321 §4.1.2 Dot-string).
fn is_atoms(inner: &str) -> bool {
    let is_atom = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    !inner.is_empty()
        && inner
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_one_mailbox_is_one_name() {
        for (typed, name) in [
            ("Bob@Ex.com", "bob@ex.com"),
            ("BOB@EX.COM.", "bob@ex.com"),
            ("\"bob\"@ex.com", "bob@ex.com"),
            ("\"Bob Smith\"@ex.com", "\"bob smith\"@ex.com"),
            ("\".bob\"@ex.com", "\".bob\"@ex.com"),
            ("J\u{f6}rg@B\u{fc}cher.example", "j\u{f6}rg@xn--bcher-kva.example"),
            (
                "jo\u{308}rg@bu\u{308}cher.example",
                "j\u{f6}rg@xn--bcher-kva.example",
            ),
        ] {
            assert_eq!(address(typed).unwrap().as_str(), name, "{typed}");
        }
    }

    #[test]
    fn a_literal_is_no_domain() {
        assert!(domain("[192.0.2.1]").is_err());
        assert_eq!(domain("Ex.COM.").unwrap().as_str(), "ex.com");
    }

    proptest! {
        #[test]
        fn what_is_plainly_a_name_is_what_folding_makes_of_it(
            local in "[A-Za-z0-9.+\"\u{e4}\u{c4}\u{212a}]{1,8}",
            domain in "[A-Za-z]{1,4}\\.test\\.?",
        ) {
            if let Ok(address) = format!("{local}@{domain}").parse::<Address>() {
                let slow = format!("{}@{}", fold_local(address.local_part()), address.domain());
                let folded = fold(&address).unwrap();
                prop_assert_eq!(folded.as_str(), slow);
            }
        }

        #[test]
        fn a_names_name_is_itself(local in "[\\PC&&[^@<>()\\[\\],;: \"\\\\]]{1,20}") {
            if let Ok(name) = address(&format!("{local}@ex.com")) {
                prop_assert_eq!(&fold(&name).unwrap(), &name);
            }
        }
    }
}
