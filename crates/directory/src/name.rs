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
    match is_plain(address) {
        true => Ok(address.clone()),
        false => fold_anew(address),
    }
}

/// Answers whether an address is seen at a glance to be in its normal form, as almost all are.
fn is_plain(address: &Address) -> bool {
    let is_plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase() && byte != b'"';
    address.local_part().bytes().all(is_plain) && address.domain_as_written() == address.domain().as_str()
}

fn fold_anew(address: &Address) -> Result<Address, AddressError> {
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

fn fold_local(local: &str) -> String {
    let folded: String = local.nfc().flat_map(char::to_lowercase).nfc().collect();
    // Behind the folding: it may make an atom of what was none (`"<"` and a slash that is put over it).
    let bare = folded
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|inner| is_atoms(inner));
    bare.map(str::to_owned).unwrap_or(folded)
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
            ("\"a<\u{338}\"@ex.com", "a\u{226e}@ex.com"),
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
        fn a_names_name_is_itself(local in "[\\PC&&[^@<>()\\[\\],;: \"\\\\]]{1,20}") {
            if let Ok(name) = address(&format!("{local}@ex.com")) {
                prop_assert_eq!(&fold(&name).unwrap(), &name);
            }
        }

        #[test]
        fn what_is_plain_is_its_own_name(text in "[a-zA-Z0-9.+\"\\\\ \u{f6}\u{308}-]{1,8}@[a-cA-C\u{f6}]{1,3}(\\.[a-cA-C]{1,3}){0,2}\\.?") {
            if let Ok(address) = text.parse::<Address>() && is_plain(&address) {
                let anew = fold_anew(&address).unwrap();
                prop_assert_eq!((anew.as_str(), anew.domain()), (address.as_str(), address.domain()));
            }
        }
    }
}
