//! The reasons of [`Unfit`] as a list, for counters that are there before anything was refused.

use crate::Unfit;

impl Unfit {
    /// All there are, in the order in which they are looked for.
    pub fn all() -> impl Iterator<Item = Unfit> {
        std::iter::successors(Some(Unfit::Endpoint), |reason| next(*reason))
    }
}

/// The reason behind this one: a new reason does not compile until it has its place.
fn next(reason: Unfit) -> Option<Unfit> {
    match reason {
        Unfit::Endpoint => Some(Unfit::Protocol),
        Unfit::Protocol => Some(Unfit::Source),
        Unfit::Source => Some(Unfit::HeloName),
        Unfit::HeloName => Some(Unfit::TlsMode),
        Unfit::TlsMode => Some(Unfit::Tls),
        Unfit::Tls => Some(Unfit::Identity),
        Unfit::Identity => Some(Unfit::Credentials),
        Unfit::Credentials => Some(Unfit::Smtputf8),
        Unfit::Smtputf8 => Some(Unfit::Size),
        Unfit::Size => Some(Unfit::RecipientDomain),
        Unfit::RecipientDomain => Some(Unfit::Used),
        Unfit::Used => Some(Unfit::Count),
        Unfit::Count => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Unfit::all().map(Unfit::as_str).collect();
        assert_eq!(words.len(), Unfit::all().count());
        assert!(words.contains("endpoint") && words.contains("size"));
    }
}
