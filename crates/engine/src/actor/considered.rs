//! What a delivery considered on its way to a session, in the words that the spool keeps for `queue show`.

use remuda_dispatch::search::{By, Considered, Search};
use remuda_mail::{Endpoint, SessionId};

use crate::log::cache_word;

/// The record in words, in order.
pub(super) fn in_words(search: &Search) -> Vec<remuda_spool::Considered> {
    search.steps().iter().map(step).collect()
}

fn step(step: &Considered) -> remuda_spool::Considered {
    match *step {
        Considered::Off => words("cache", None, None, "off"),
        Considered::NoneParked(by, endpoint) => words(way(by), endpoint, None, "none parked"),
        Considered::Unfit(by, session, endpoint, reason) => remuda_spool::Considered {
            reason: Some(reason.as_str().to_owned()),
            ..words(way(by), Some(endpoint), Some(session), "unfit")
        },
        Considered::Full(endpoint) => words("limit", endpoint, None, "full"),
        Considered::Dialled(session, endpoint, choice) => remuda_spool::Considered {
            reason: Some(choice.as_str().to_owned()),
            ..words("dial", Some(endpoint), Some(session), "dialled")
        },
        Considered::Joined(session, endpoint) => words("dial", Some(endpoint), Some(session), "joined"),
        Considered::DialFailed(session, endpoint) => words("dial", Some(endpoint), Some(session), "failed"),
        Considered::Taken(session, endpoint, found) => {
            words(cache_word(found), Some(endpoint), Some(session), "taken")
        }
        Considered::Dead(session, endpoint) => words("session", Some(endpoint), Some(session), "dead"),
    }
}

fn words(
    by: &str,
    endpoint: Option<Endpoint>,
    session: Option<SessionId>,
    verdict: &str,
) -> remuda_spool::Considered {
    remuda_spool::Considered {
        by: by.to_owned(),
        endpoint: endpoint.map(|endpoint| endpoint.to_string()),
        session: session.map(|session| session.0),
        verdict: verdict.to_owned(),
        reason: None,
    }
}

fn way(by: By) -> &'static str {
    match by {
        By::Destination => "destination",
        By::Address => "address",
        By::Freed => "freed",
    }
}
