//! What a notification says: `v1|kind|id|old|new|version`, or `v1|flush|kind`.
//!
//! # Contract
//! * **What is not understood is said to be so**, and never guessed at: it may come from a newer schema (E8).

use std::sync::Arc;

use super::super::Touched;
use crate::model::Kind;

/// Reads a payload; None: not understood.
pub(super) fn read(payload: &str) -> Option<Touched> {
    let words: Vec<&str> = payload.split('|').collect();
    match words[..] {
        ["v1", "flush", kind] => Some(Touched::All(Kind::from_word(kind)?)),
        ["v1", kind, id, old, new, version] => {
            version.parse::<i64>().ok()?;
            Some(Touched::One {
                kind: Kind::from_word(kind)?,
                id: Some(id.parse().ok()?),
                old: name(old)?,
                new: name(new)?,
            })
        }
        _ => None,
    }
}

/// `%25` is % and `%7C` is |; an empty one is none.
fn name(word: &str) -> Option<Option<Arc<str>>> {
    if word.is_empty() {
        return Some(None);
    }
    let mut parts = word.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        match (part.strip_prefix("25"), part.strip_prefix("7C")) {
            (Some(rest), _) => text = text + "%" + rest,
            (_, Some(rest)) => text = text + "|" + rest,
            _ => return None,
        }
    }
    Some(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_said_to_be_so() {
        for payload in [
            "",
            "v1",
            "v2|account|1|a@b|a@b|3",
            "v1|mailbox|1|a@b|a@b|3",
            "v1|account|one|a@b|a@b|3",
            "v1|account|1|a@b|a@b|",
            "v1|account|1|a|b@c|a@b|3",
            "v1|account|1|a%b@c|a@b|3",
            "v1|account|1|a@b|a@b|3|4",
            "v1|flush",
            "v1|flush|",
            "v1|flush|mailbox",
        ] {
            assert_eq!(read(payload), None, "{payload}");
        }
    }

    #[test]
    fn names_come_as_they_are() {
        let one = |old: Option<&str>, new: Option<&str>| {
            Some(Touched::One {
                kind: Kind::Alias,
                id: Some(7),
                old: old.map(Into::into),
                new: new.map(Into::into),
            })
        };
        assert_eq!(read("v1|alias|7||new@d|1"), one(None, Some("new@d")));
        assert_eq!(read("v1|alias|7|old@d||2"), one(Some("old@d"), None));
        assert_eq!(
            read("v1|alias|7|a%7Cb%25@d|%2525@d|2"),
            one(Some("a|b%@d"), Some("%25@d"))
        );
        assert_eq!(
            read("v1|flush|domain_alias"),
            Some(Touched::All(Kind::DomainAlias))
        );
    }
}
