//! A delivery in the shell: the recipients of one entry and what became of each so far.
//!
//! `dispatch` counts recipients; this is where they have names. A host may decide some of them and defer
//! others; the next host is then tried with all that have no final outcome.
//!
//! # Contract
//! * **Every recipient ends with exactly one outcome.** [`Delivery::finish`] gives one to each, from what
//!   a server said last or from the rest that `dispatch` ordered.
//! * **A final outcome is never replaced.** A later answer about a decided recipient is dropped.
//! * **Who may have it already stays marked**: the mark of an earlier attempt stands on every later one.
//!
//! # Not here
//! Writing it down (`settle`), logging it (`log`), deciding what is tried next (`dispatch`).

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use remuda_clock::Now;
use remuda_connection_cache::Unfit;
use remuda_dispatch::{
    choice::Choice,
    command::{Found, Rest},
};
use remuda_mail::{EnhancedStatus, Outcome, Recipient, Refusal, TlsProtocol};
use remuda_spool::{Claim, Queued};

use crate::{local::Delivered, session::order::Transacted};

/// How an outcome came about, for the log: one transaction's circumstances, shared by its recipients.
#[derive(Clone, Debug)]
pub struct Via {
    /// `host[address]:port`, `local`, or `none`.
    pub relay: Arc<str>,
    /// Uses of the session, this one included; 0 without a session.
    pub uses: u32,
    /// The address of ours that the session is bound to.
    pub source: Option<IpAddr>,
    /// How the session was found.
    pub found: Option<Found>,
    /// Why a parked one was not taken.
    pub unfit: Option<Unfit>,
    /// Why its endpoint, if there was one.
    pub choice: Option<Choice>,
    /// The TLS version of the session.
    pub tls: Option<TlsProtocol>,
    /// When the session was asked for, or dialled.
    pub started: Now,
    /// When MAIL was sent; None when it never was.
    pub mail_sent: Option<Now>,
    /// When the answer was in.
    pub answered: Now,
}

/// One recipient's outcome and how it came about.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Who.
    pub recipient: Recipient,
    /// What.
    pub outcome: Outcome,
    /// How; None when no host was asked.
    pub via: Option<Arc<Via>>,
    /// A host may have accepted it before, and its reply was lost: in this delivery or an earlier one.
    pub may_be_duplicate: bool,
}

impl Decided {
    /// `host[address]:port` of the host that this is about: the one of the transaction, else the one that the
    /// refusal speaks of. None when nobody was spoken to: no connection (RFC 3463 §3.5: X.4.1), or expired.
    pub fn relay(&self) -> Option<&str> {
        if let Some(via) = &self.via {
            return Some(&via.relay);
        }
        let (Outcome::Deferred(refusal) | Outcome::Bounced(refusal)) = &self.outcome else {
            return None;
        };
        let is_unspoken = matches!((refusal.status.subject, refusal.status.detail), (4, 1 | 7));
        refusal
            .relay
            .as_deref()
            .filter(|_| refusal.reply.is_some() || !is_unspoken)
    }
}

/// One try to give an entry's recipients to its destination.
#[derive(Debug)]
pub struct Delivery {
    /// The entry.
    pub entry: Arc<Queued>,
    /// When it came into memory.
    pub loaded: Now,
    /// The address of ours that its session is bound to.
    pub source: Option<IpAddr>,
    /// Why a parked session was not taken for its transaction.
    pub unfit: Option<Unfit>,
    /// Why its transaction went to its endpoint.
    pub choice: Option<Choice>,
    /// The TLS version of its session.
    pub tls: Option<TlsProtocol>,
    /// Its content can be read until it is settled, also when the operator deletes it meanwhile.
    pub claim: Option<Claim>,
    recipients: Vec<Slot>,
    /// Recipients that are still to be named to the present host.
    ahead: VecDeque<usize>,
    /// Recipients of the transaction that runs.
    running: Vec<usize>,
    /// When the session of the running transaction was asked for.
    asked: Option<(Found, Now)>,
}

#[derive(Debug)]
struct Slot {
    outcome: Option<Outcome>,
    via: Option<Arc<Via>>,
    may_be_duplicate: bool,
    /// Nobody could say whether it has a mailbox.
    is_unasked: bool,
}

impl Delivery {
    /// A delivery of everybody in `entry`.
    pub fn new(entry: Arc<Queued>, loaded: Now) -> Self {
        let recipients = entry
            .recipients
            .iter()
            .map(|pending| Slot {
                outcome: None,
                via: None,
                may_be_duplicate: pending.may_be_duplicate,
                is_unasked: false,
            })
            .collect();
        Delivery {
            entry,
            loaded,
            source: None,
            unfit: None,
            choice: None,
            tls: None,
            claim: None,
            recipients,
            ahead: VecDeque::new(),
            running: Vec::new(),
            asked: None,
        }
    }

    /// Chooses the recipients of the next transaction. `next_host`: everybody without a final outcome is
    /// named again.
    pub fn batch(&mut self, max: u32, next_host: bool, found: Found, now: Now) -> Vec<Recipient> {
        if next_host || (self.ahead.is_empty() && self.running.is_empty()) {
            self.ahead = (0..self.recipients.len())
                .filter(|i| !self.is_final(*i))
                .collect();
        }
        let count = self.ahead.len().min(max as usize);
        self.running = self.ahead.drain(..count).collect();
        self.asked = Some((found, now));
        self.running
            .iter()
            .map(|i| self.entry.recipients[*i].recipient.clone())
            .collect()
    }

    /// Takes in what a transaction said. Undecided recipients stay ahead, in their order, and so do those
    /// that may be sent it again; these have an outcome already, for the case that they are not.
    pub fn answered(&mut self, answer: &Transacted, opened: Option<Now>, now: Now) {
        let (found, asked) = self.asked.take().unwrap_or((Found::Miss, now));
        let via = Arc::new(Via {
            relay: answer.relay.clone(),
            uses: answer.uses,
            source: self.source,
            found: Some(found),
            unfit: self.unfit,
            choice: self.choice,
            tls: self.tls,
            started: opened
                .filter(|_| matches!(found, Found::Miss | Found::Off))
                .unwrap_or(asked),
            mail_sent: answer.mail_sent,
            answered: now,
        });
        let of_us = Arc::new(without_session(now));
        let running = std::mem::take(&mut self.running);
        for (place, (index, outcome)) in running.into_iter().zip(&answer.outcomes).enumerate().rev() {
            let is_unknown = answer.unknown.contains(&place);
            self.recipients[index].may_be_duplicate |= is_unknown;
            if outcome.is_none() || (is_unknown && answer.may_resend) {
                self.ahead.push_front(index);
            }
            if let Some(outcome) = outcome {
                let is_kept = answer.kept.contains(&place);
                let via = if is_kept { &of_us } else { &via };
                self.decide(index, outcome.clone(), via.clone());
                self.recipients[index].is_unasked = is_kept && !outcome.is_final();
            }
        }
    }

    /// Those who wait do so because nobody could say whether they have a mailbox: that is no attempt.
    pub fn is_unasked(&self) -> bool {
        let mut waiting = (0..self.recipients.len())
            .filter(|i| !self.is_final(*i))
            .peekable();
        waiting.peek().is_some() && waiting.all(|i| self.recipients[i].is_unasked)
    }

    /// Recipients that are still to be named to the present host: those that the last transaction left
    /// undecided, and those that it had no room for.
    pub fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Takes in outcomes that no SMTP session gave (the Maildir's), in the order of the recipients that
    /// had none.
    pub fn decided_locally(&mut self, delivered: Delivered, now: Now) {
        let via = Arc::new(without_session(now));
        let open: Vec<usize> = (0..self.recipients.len())
            .filter(|i| !self.is_final(*i))
            .collect();
        for (index, outcome) in open.into_iter().zip(delivered.outcomes) {
            self.recipients[index].is_unasked = delivered.is_unasked && !outcome.is_final();
            self.decide(index, outcome, via.clone());
        }
    }

    /// Recipients without a final outcome, in order.
    pub fn open_recipients(&self) -> Vec<Recipient> {
        let open = (0..self.recipients.len()).filter(|i| !self.is_final(*i));
        open.map(|i| self.entry.recipients[i].recipient.clone()).collect()
    }

    /// Ends the delivery: one outcome for each recipient.
    pub fn finish(self, rest: &Rest) -> Vec<Decided> {
        let Delivery {
            entry, recipients, ..
        } = self;
        let pairs = entry.recipients.iter().zip(recipients);
        pairs
            .map(|(pending, slot)| Decided {
                recipient: pending.recipient.clone(),
                outcome: final_outcome(slot.outcome, rest, pending.last.as_ref()),
                via: slot.via,
                may_be_duplicate: slot.may_be_duplicate,
            })
            .collect()
    }

    fn is_final(&self, index: usize) -> bool {
        self.recipients[index]
            .outcome
            .as_ref()
            .is_some_and(Outcome::is_final)
    }

    fn decide(&mut self, index: usize, outcome: Outcome, via: Arc<Via>) {
        let slot = &mut self.recipients[index];
        if slot.outcome.as_ref().is_some_and(Outcome::is_final) {
            return;
        }
        slot.outcome = Some(outcome);
        slot.via = Some(via);
    }
}

/// How what we say ourselves comes about.
fn without_session(now: Now) -> Via {
    Via {
        relay: "local".into(),
        uses: 0,
        source: None,
        found: None,
        unfit: None,
        choice: None,
        tls: None,
        started: now,
        mail_sent: None,
        answered: now,
    }
}

/// What a recipient ends with: its own final outcome, else what the rest makes of it. A server's own
/// words to the recipient are worth more than the reason for all.
fn final_outcome(own: Option<Outcome>, rest: &Rest, last: Option<&Refusal>) -> Outcome {
    let own_refusal = match own {
        Some(outcome @ (Outcome::Delivered(_) | Outcome::Bounced(_))) => return outcome,
        Some(Outcome::Deferred(refusal)) => Some(refusal),
        None => None,
    };
    let words = |reason: &Option<Refusal>| {
        own_refusal
            .clone()
            .or_else(|| reason.clone())
            .or_else(|| last.cloned())
            .unwrap_or_else(nobody_said)
    };
    match rest {
        Rest::Nobody => Outcome::Deferred(own_refusal.unwrap_or_else(nobody_said)),
        // Every host refused for good what nobody was asked (SMTPUTF8 not offered).
        Rest::Defer {
            refusal: Some(refusal),
            ..
        } if refusal.is_permanent() && own_refusal.is_none() => Outcome::Bounced(refusal.clone()),
        Rest::Defer { refusal, .. } => Outcome::Deferred(words(refusal)),
        Rest::Bounce {
            refusal,
            expired: true,
        } => Outcome::Bounced(expired(words(refusal))),
        Rest::Bounce {
            refusal,
            expired: false,
        } => Outcome::Bounced(words(refusal)),
    }
}

/// RFC 3463 §3.5: X.4.7, delivery time expired. The last words of a server stay in the reason.
fn expired(last: Refusal) -> Refusal {
    let reason = format!("message could not be delivered in time; last: {}", last.words());
    Refusal {
        status: EnhancedStatus::new(5, 4, 7),
        reply: None,
        reason,
        relay: last.relay,
    }
}

fn nobody_said() -> Refusal {
    Refusal::ours(EnhancedStatus::new(4, 4, 0), "no host gave an answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::fixture;
    use remuda_dispatch::event::{After, Undecided};
    use remuda_mail::{DeliveryId, Receipt, Reply};

    fn reply(code: u16) -> Reply {
        Reply {
            code,
            enhanced: None,
            text: "words".into(),
        }
    }

    fn refusal(class: u8) -> Refusal {
        Refusal {
            status: EnhancedStatus::new(class, 1, 1),
            reply: Some(reply(550)),
            reason: String::new(),
            relay: None,
        }
    }

    fn delivered() -> Outcome {
        Outcome::Delivered(Receipt {
            reply: reply(250),
            relay: "mx".into(),
            passed_dsn: false,
        })
    }

    fn answer(outcomes: Vec<Option<Outcome>>) -> Transacted {
        Transacted {
            delivery: DeliveryId(1),
            outcomes,
            cause: Undecided::NextTransaction,
            begun: true,
            death: None,
            accepted: true,
            waited: std::time::Duration::ZERO,
            relay: "mx[192.0.2.1]:25".into(),
            tls: None,
            uses: 1,
            mail_sent: None,
            may_be_duplicate: false,
            unknown: Vec::new(),
            kept: Vec::new(),
            may_resend: false,
            limit_met: None,
            accepted_after_refusal: false,
            conduct: Default::default(),
            flights: 2,
            session: After::Gone,
        }
    }

    fn delivery(recipients: usize) -> Delivery {
        Delivery::new(Arc::new(fixture::queued(recipients)), Now::default())
    }

    #[test]
    fn the_undecided_form_the_next_transaction_in_order() {
        let mut delivery = delivery(4);
        let first = delivery.batch(3, true, Found::Miss, Now::default());
        assert_eq!(first.len(), 3);
        delivery.answered(&answer(vec![Some(delivered()), None, None]), None, Now::default());
        let second = delivery.batch(10, false, Found::Miss, Now::default());
        let names: Vec<_> = second.iter().map(|r| r.address.local_part().to_owned()).collect();
        assert_eq!(names, ["r1", "r2", "r3"]);
    }

    #[test]
    fn what_a_transaction_has_no_room_for_is_ahead() {
        let mut delivery = delivery(250);
        for left in [150, 50, 0] {
            let batch = delivery.batch(100, left == 150, Found::Miss, Now::default());
            let outcomes = vec![Some(delivered()); batch.len()];
            delivery.answered(&answer(outcomes), None, Now::default());
            assert_eq!(delivery.ahead(), left);
        }
    }

    #[test]
    fn the_next_host_gets_everybody_without_a_final_outcome() {
        let mut delivery = delivery(3);
        delivery.batch(10, true, Found::Miss, Now::default());
        let outcomes = vec![
            Some(delivered()),
            Some(Outcome::Deferred(refusal(4))),
            Some(Outcome::Bounced(refusal(5))),
        ];
        delivery.answered(&answer(outcomes), None, Now::default());
        assert!(delivery.batch(10, false, Found::Miss, Now::default()).len() <= 1);
        assert_eq!(
            delivery.batch(10, true, Found::Miss, Now::default())[0]
                .address
                .local_part(),
            "r1"
        );
    }

    #[test]
    fn every_recipient_ends_with_exactly_one_outcome() {
        let mut delivery = delivery(3);
        delivery.batch(10, true, Found::Miss, Now::default());
        delivery.answered(
            &answer(vec![Some(delivered()), Some(Outcome::Deferred(refusal(4))), None]),
            None,
            Now::default(),
        );
        let reason = Refusal::ours(EnhancedStatus::new(4, 4, 1), "no connection");
        let until = remuda_clock::Wall(7);
        let ended = delivery.finish(&Rest::Defer {
            until,
            refusal: Some(reason.clone()),
        });
        assert_eq!(ended[0].outcome, delivered());
        assert_eq!(ended[1].outcome, Outcome::Deferred(refusal(4)));
        assert_eq!(ended[2].outcome, Outcome::Deferred(reason));
    }

    #[test]
    fn a_host_that_spoke_without_deciding_is_named() {
        let said = |status: (u8, u16, u16), reply| Refusal {
            status: EnhancedStatus::new(status.0, status.1, status.2),
            reply,
            reason: String::new(),
            relay: Some("mx[192.0.2.1]:25".into()),
        };
        for (refusal, relay) in [
            (said((4, 7, 1), Some(reply(554))), Some("mx[192.0.2.1]:25")),
            (said((4, 4, 1), Some(reply(441))), Some("mx[192.0.2.1]:25")),
            (said((4, 4, 2), None), Some("mx[192.0.2.1]:25")),
            (said((4, 4, 1), None), None),
            (said((5, 4, 7), None), None),
        ] {
            let ended = delivery(1).finish(&Rest::Bounce {
                refusal: Some(refusal),
                expired: false,
            });
            assert_eq!(ended[0].relay(), relay);
        }
    }

    #[test]
    fn who_may_have_it_already_is_ahead_only_if_it_may_be_sent_again() {
        for may_resend in [true, false] {
            let mut delivery = delivery(3);
            delivery.batch(10, true, Found::Miss, Now::default());
            let lost = Transacted {
                may_be_duplicate: true,
                unknown: vec![1, 2],
                may_resend,
                ..answer(vec![
                    Some(Outcome::Bounced(refusal(5))),
                    Some(Outcome::Deferred(refusal(4))),
                    Some(Outcome::Deferred(refusal(4))),
                ])
            };
            delivery.answered(&lost, None, Now::default());
            assert_eq!(delivery.ahead(), if may_resend { 2 } else { 0 });
            if may_resend {
                assert_eq!(delivery.batch(1, false, Found::Miss, Now::default()).len(), 1);
                delivery.answered(&answer(vec![Some(delivered())]), None, Now::default());
            }
            let ended = delivery.finish(&Rest::Nobody);
            let marks: Vec<_> = ended.iter().map(|decided| decided.may_be_duplicate).collect();
            assert_eq!(marks, [false, true, true]);
            let second = matches!(ended[1].outcome, Outcome::Delivered(_));
            assert_eq!(second, may_resend);
            assert!(
                matches!(ended[2].outcome, Outcome::Deferred(_)),
                "it keeps what it had"
            );
        }
    }

    #[test]
    fn who_may_have_it_already_stays_marked() {
        let mut queued = fixture::queued(2);
        queued.recipients[1].may_be_duplicate = true;
        let mut delivery = Delivery::new(Arc::new(queued), Now::default());
        delivery.batch(2, true, Found::Miss, Now::default());
        delivery.answered(
            &answer(vec![Some(delivered()), Some(delivered())]),
            None,
            Now::default(),
        );
        let ended = delivery.finish(&Rest::Nobody);
        let marks: Vec<_> = ended.iter().map(|decided| decided.may_be_duplicate).collect();
        assert_eq!(marks, [false, true]);
    }

    #[test]
    fn a_final_outcome_is_never_replaced() {
        let mut delivery = delivery(1);
        delivery.batch(1, true, Found::Miss, Now::default());
        delivery.answered(&answer(vec![Some(delivered())]), None, Now::default());
        let late = Delivered {
            outcomes: vec![Outcome::Bounced(refusal(5))],
            is_unasked: false,
        };
        delivery.decided_locally(late, Now::default());
        assert_eq!(delivery.finish(&Rest::Nobody)[0].outcome, delivered());
    }

    #[test]
    fn expiry_bounces_with_the_last_words() {
        let ended = delivery(1).finish(&Rest::Bounce {
            refusal: Some(refusal(4)),
            expired: true,
        });
        let Outcome::Bounced(refusal) = &ended[0].outcome else {
            panic!("{ended:?}")
        };
        assert_eq!(refusal.status.to_string(), "5.4.7");
        assert!(refusal.reason.contains("550 words"), "{}", refusal.reason);
    }
}
