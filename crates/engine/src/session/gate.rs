//! The gate before a server: which of a transaction's recipients it is told of.
//!
//! An LMTP server delivers to mailboxes of ours, and knows nothing of an account that was disabled since its mail
//! was taken. So sessions with one ask first.
//!
//! # Contract
//! * **Whom the gate keeps is not named to the server**, and has the gate's outcome.
//! * **Each outcome is its own recipient's**, wherever those stood that were kept.
//! * **It is asked once a transaction**, before its first octet.
//!
//! # Not here
//! What the gate goes by (`local`).

use remuda_mail::{Address, Outcome, Recipient};
use remuda_smtp::client::Finished;

use super::content::Boxed;

/// Says who is named to a server.
pub trait Gate: Send + Sync + 'static {
    /// What becomes of `recipient`, whatever the server would say; None: the server decides. It waits when nobody
    /// can say now. The answer comes in seconds.
    fn ruling<'a>(&'a self, recipient: &'a Address) -> Boxed<'a, Option<Outcome>>;
}

/// What the gate has said of a transaction's recipients.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Those who are named to the server.
    pub(super) passing: Vec<Recipient>,
    /// One for each of all; None: it passes.
    rulings: Vec<Option<Outcome>>,
}

impl Asked {
    /// Asks of everybody.
    pub(super) async fn of(gate: &dyn Gate, recipients: &[Recipient]) -> Self {
        let mut asked = Asked {
            passing: Vec::with_capacity(recipients.len()),
            rulings: Vec::with_capacity(recipients.len()),
        };
        for recipient in recipients {
            let ruling = gate.ruling(&recipient.address).await;
            if ruling.is_none() {
                asked.passing.push(recipient.clone());
            }
            asked.rulings.push(ruling);
        }
        asked
    }

    /// The outcomes of all, with those that the server gave to whom it was told of.
    pub(super) fn outcomes(&self, of_the_server: Vec<Option<Outcome>>) -> Vec<Option<Outcome>> {
        let mut given = of_the_server.into_iter();
        let rulings = self.rulings.iter();
        rulings
            .map(|ruling| ruling.clone().or_else(|| given.next().flatten()))
            .collect()
    }

    /// Makes what the server said of those who were named an answer about all.
    pub(super) fn spread(&self, finished: &mut Finished) {
        finished.outcomes = self.outcomes(std::mem::take(&mut finished.outcomes));
        let passing = self.places(Option::is_none);
        let unknown = finished.unknown.iter().filter_map(|nth| passing.get(*nth));
        finished.unknown = unknown.copied().collect();
    }

    /// The places of those who were kept.
    pub(super) fn kept(&self) -> Vec<usize> {
        self.places(Option::is_some)
    }

    fn places(&self, is_meant: impl Fn(&Option<Outcome>) -> bool) -> Vec<usize> {
        let rulings = self.rulings.iter().enumerate();
        rulings
            .filter(|(_, ruling)| is_meant(ruling))
            .map(|(place, _)| place)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use remuda_mail::{EnhancedStatus, Refusal};

    use super::*;

    fn refused(reason: &str) -> Option<Outcome> {
        Some(Outcome::Bounced(Refusal::ours(
            EnhancedStatus::new(5, 2, 1),
            reason,
        )))
    }

    #[test]
    fn each_outcome_is_its_own_recipients() {
        let asked = Asked {
            passing: Vec::new(),
            rulings: vec![refused("a"), None, refused("c"), None, None],
        };
        assert_eq!(asked.kept(), [0, 2]);
        assert_eq!(
            asked.outcomes(vec![refused("first"), None, refused("third")]),
            [
                refused("a"),
                refused("first"),
                refused("c"),
                None,
                refused("third")
            ]
        );
        assert_eq!(asked.places(Option::is_none), [1, 3, 4]);
    }
}
