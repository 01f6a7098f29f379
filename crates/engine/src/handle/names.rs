//! Which destination an operator means by what was typed.
//!
//! A destination's key is long where a route says how its hosts are spoken to:
//! `mx:relay.test:587,[2001:db8::1]=10;tls=verify;user=me`. Nobody types that.
//!
//! # Contract
//! * **The key names its destination**, in any case of its letters, whatever else could be meant.
//! * **So does the host list without what follows `;`**, and else one of the hosts, with its port or without;
//!   each only among the destinations that have mail or sessions.
//! * **What is to be deleted is named by its key**: it does not come back.
//! * **What is to be deleted is named by its key**: it does not come back.
//! * **What names several is refused**, and they are named.
//! * **What names none is taken for a key**: it may have mail a moment later.
//!
//! # Not here
//! A recipient's domain that a route sends to hosts names no destination: it is one of many there.

use std::collections::BTreeSet;

use remuda_clock::Now;
use remuda_mail::Destination;

use super::Handle;
use crate::{actor::Actor, operations::OperationError};

impl Handle {
    /// The destination that is meant.
    pub(super) async fn named(
        &self,
        typed: Destination,
        ways: &'static [Way],
    ) -> Result<Destination, OperationError> {
        let given = typed.clone();
        let meant = self
            .ask(move |actor, now| meant(&given, &known(actor, now), ways))
            .await?;
        meant.map_err(|several| OperationError::Ambiguous { typed, several })
    }

    /// The same of a filter, where one is given, by all ways.
    pub(super) async fn named_if_any(
        &self,
        typed: Option<Destination>,
    ) -> Result<Option<Destination>, OperationError> {
        match typed {
            Some(typed) => self.named(typed, &FREELY).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Destinations with mail or sessions.
fn known(actor: &Actor, now: Now) -> BTreeSet<Destination> {
    let dispatch = actor.dispatch();
    let with_mail = dispatch.destinations(now).map(|view| view.destination);
    let with_sessions = dispatch.connections(now).map(|view| view.destination);
    with_mail.chain(with_sessions).collect()
}

/// Answers whether what was typed names the destination with this key.
pub(super) type Way = fn(&str, &str) -> bool;

/// As people type.
pub(super) const FREELY: [Way; 3] = [str::eq_ignore_ascii_case, is_list_of, is_host_of];
/// By the key alone.
pub(super) const IN_FULL: [Way; 1] = [str::eq_ignore_ascii_case];

/// The one that is meant by the first way that finds any, or several that may be.
fn meant(
    typed: &Destination,
    known: &BTreeSet<Destination>,
    ways: &[Way],
) -> Result<Destination, Vec<Destination>> {
    if known.contains(typed) {
        return Ok(typed.clone());
    }
    let text = typed.as_str();
    for names in ways {
        let all = known.iter().filter(|one| names(text, one.as_str()));
        let all: Vec<Destination> = all.cloned().collect();
        match &all[..] {
            [] => {}
            [only] => return Ok(only.clone()),
            _ => return Err(all),
        }
    }
    Ok(Destination::from_key(&text.to_lowercase()))
}

/// The host list of a key.
fn hosts(key: &str) -> &str {
    let list = key.split(';').next().unwrap_or(key);
    list.strip_prefix("mx:").unwrap_or(list)
}

fn is_list_of(typed: &str, key: &str) -> bool {
    hosts(key).eq_ignore_ascii_case(hosts(typed)) && !typed.contains(';')
}

fn is_host_of(typed: &str, key: &str) -> bool {
    hosts(key).split(',').any(|written| {
        let with_port = written.split('=').next().unwrap_or(written);
        let bare = match with_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => with_port.split(':').next().unwrap_or(with_port),
        };
        let typed_bare = typed.trim_start_matches('[').trim_end_matches(']');
        with_port.eq_ignore_ascii_case(typed) || bare.eq_ignore_ascii_case(typed_bare)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] = [
        "example.org",
        "mx:Relay.test:587,[2001:db8::1]=10;tls=verify;user=Me",
        "192.0.2.1:2525",
        "192.0.2.1:2525;tls=encrypt",
        "192.0.2.2:25;tls=may",
        "192.0.2.2:25;tls=none",
        "[192.0.2.9]",
    ];

    fn ask(typed: &str) -> Result<String, Vec<String>> {
        ask_by(typed, &FREELY)
    }

    fn ask_by(typed: &str, ways: &[Way]) -> Result<String, Vec<String>> {
        let known = KNOWN.map(Destination::from_key).into();
        let text = |one: Destination| one.to_string();
        let meant = meant(&Destination::from_key(typed), &known, ways);
        meant
            .map(text)
            .map_err(|several| several.into_iter().map(text).collect())
    }

    fn assert_named(typed: &[&str], key: &str) {
        for typed in typed {
            assert_eq!(ask(typed).as_deref(), Ok(key), "{typed}");
        }
    }

    #[test]
    fn the_key_names_its_destination() {
        assert_named(&["example.org", "Example.ORG"], KNOWN[0]);
        let relay = "mx:relay.test:587,[2001:db8::1]=10;tls=verify;user=me";
        assert_named(&[KNOWN[1], relay], KNOWN[1]);
        assert_named(&["192.0.2.1:2525"], KNOWN[2]);
        let users = ["a.test;user=Me", "a.test;user=me"].map(Destination::from_key);
        for user in &users {
            let known = users.clone().into();
            assert_eq!(
                meant(user, &known, &IN_FULL).as_ref(),
                Ok(user),
                "letter by letter first"
            );
        }
    }

    #[test]
    fn so_does_the_host_list_and_else_one_of_the_hosts() {
        let list = "relay.test:587,[2001:db8::1]=10";
        assert_named(&[list, "mx:relay.test:587,[2001:db8::1]=10"], KNOWN[1]);
        assert_named(
            &["RELAY.test", "relay.test:587", "[2001:db8::1]", "2001:DB8::1"],
            KNOWN[1],
        );
        assert_named(&["192.0.2.9"], KNOWN[6]);
    }

    #[test]
    fn what_is_to_be_deleted_is_named_by_its_key() {
        assert_eq!(ask_by("EXAMPLE.org", &IN_FULL).as_deref(), Ok(KNOWN[0]));
        assert_eq!(ask_by("relay.test", &IN_FULL).as_deref(), Ok("relay.test"));
    }

    #[test]
    fn what_names_several_is_refused() {
        let several = |places: [usize; 2]| Err(places.map(|place| KNOWN[place].to_owned()).to_vec());
        assert_eq!(ask("192.0.2.2:25"), several([4, 5]));
        assert_eq!(ask("192.0.2.2"), several([4, 5]));
        assert_eq!(ask("192.0.2.1"), several([2, 3]));
    }

    #[test]
    fn what_names_none_is_taken_for_a_key() {
        assert_named(&["Nobody.test"], "nobody.test");
        assert_named(&["192.0.2.2:25;tls=verify"], "192.0.2.2:25;tls=verify");
        assert_named(&["relay.test:25"], "relay.test:25");
    }
}
