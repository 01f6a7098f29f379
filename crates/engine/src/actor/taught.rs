//! Limits of transactions that receivers have taught, said in the log.
//!
//! # Contract
//! * **A limit that comes into force is one line**: endpoint, source if one is bound, the limit, and how it
//!   was met the last time. What is only suspected, or known already, is none.
//!
//! # Not here
//! What counts as a limit and how long it is believed: `dispatch` (lessons), `remuda_hosts`.

use remuda_clock::Now;
use remuda_dispatch::event::{Death, Event, Undecided};
use remuda_mail::Way;

use super::Actor;

/// What may have met a limit.
pub(super) struct Lesson {
    /// Where.
    pub(super) way: Way,
    /// How.
    pub(super) met: String,
}

impl Actor {
    /// Hands an event on, and says so if it brings a limit into force.
    pub(super) fn handle_lesson(&mut self, lesson: Option<Lesson>, event: Event, now: Now) {
        let Some(Lesson { way, met }) = lesson else {
            return self.handle(event, now);
        };
        let before = self.dispatch.transactions_max(way, now);
        self.handle(event, now);
        let after = self.dispatch.transactions_max(way, now);
        if let Some(transactions_max) = after.filter(|_| before != after) {
            tracing::info!(
                endpoint = %way.endpoint,
                source = way.source.map(tracing::field::display),
                transactions_max,
                met,
                "limit of transactions learned"
            );
        }
    }
}

/// How a session met what may be a limit.
pub(super) fn in_words(cause: Option<&Undecided>, death: Option<Death>) -> String {
    match (cause, death) {
        (Some(Undecided::Limited(failure)), _) => failure.refusal.words(),
        (_, Some(Death::Fin | Death::NoReply)) => "the session was closed".to_owned(),
        (_, Some(Death::Reset)) => "the session was reset".to_owned(),
        (_, Some(Death::Data)) => "the host said so between transactions".to_owned(),
        (_, None) => "the next transaction was refused".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use remuda_mail::{Blame, EnhancedStatus, Failure, Refusal, Scope};

    use super::*;

    #[test]
    fn how_a_limit_was_met_is_the_hosts_word_where_there_is_one() {
        let said = Undecided::Limited(Failure {
            scope: Scope::Session,
            blame: Blame::Peer,
            refusal: Refusal::ours(EnhancedStatus::new(4, 5, 3), "452 enough"),
        });
        assert_eq!(in_words(Some(&said), None), "452 enough");
        let lost = Undecided::LostEarly;
        for (cause, death, words) in [
            (Some(&lost), Some(Death::Fin), "the session was closed"),
            (Some(&lost), Some(Death::Reset), "the session was reset"),
            (None, Some(Death::Data), "the host said so between transactions"),
            (Some(&lost), None, "the next transaction was refused"),
        ] {
            assert_eq!(in_words(cause, death), words);
        }
    }
}
