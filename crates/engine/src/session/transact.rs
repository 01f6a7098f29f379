//! One transaction on an open session.

use std::time::Duration;

use remuda_dispatch::event::{After, Undecided};
use remuda_mail::{Blame, EnhancedStatus, Failure, Outcome, Refusal, Scope};
use remuda_smtp::client::{self, Finished, Health, Rest, Want};

use super::{
    Session,
    content::{Blocks, Unreadable},
    order::{TransactOrder, Transacted},
};

impl Session {
    /// Runs a transaction. The session is to be used again only if the answer says so.
    pub(super) async fn transact(&mut self, order: &TransactOrder) -> Transacted {
        let mut blocks = match Blocks::open(&*self.source, order.message, order.size).await {
            Ok(blocks) => blocks,
            // Nothing was sent: the session is as good as before.
            Err(error) => return self.unreadable(order, &error),
        };
        let begun = self.clock.now();
        self.begin(order).await;
        let mut waited = Duration::ZERO;
        self.wire.reply_within = order.reply_within;
        let finished = loop {
            if let Some(finished) = self.client.finished() {
                break finished;
            }
            waited += self.wire.advance(&mut self.client).await;
            if self.client.want() == Want::Content {
                self.give_block(&mut blocks, order).await;
            }
        };
        let mail_sent = finished.is_begun.then_some(begun);
        self.answer(order, finished, waited, mail_sent)
    }

    /// Begins, unless the session has ended or spoken: that is asked of the system right before the first
    /// octet, so that a message is not spent on a session that was dead.
    async fn begin(&mut self, order: &TransactOrder) {
        let spoken = client::Order {
            envelope: &order.envelope,
            recipients: &order.recipients,
            size: order.size,
            smtputf8: order.smtputf8,
            eight_bit: order.eight_bit,
        };
        if self.wire.is_quiet() {
            self.client.begin(spoken);
        } else {
            self.wire.read_pending(&mut self.client).await;
            self.client.begin_on_dead(spoken);
        }
    }

    /// Gives the next block, and with the last one the end, so that both go out in one write.
    async fn give_block(&mut self, blocks: &mut Blocks, order: &TransactOrder) {
        match blocks.next().await {
            Ok(block) => {
                self.client.content(&block.unwrap_or_default());
                if blocks.is_at_end() {
                    self.client.end_content();
                }
            }
            Err(error) => {
                let message = order.message;
                tracing::error!(%message, %error, "content could not be read while it was sent");
                self.client.abandon_content(&refusal(&error));
            }
        }
    }

    fn answer(
        &mut self,
        order: &TransactOrder,
        finished: Finished,
        waited: Duration,
        mail_sent: Option<remuda_clock::Now>,
    ) -> Transacted {
        debug_assert_eq!(finished.outcomes.len(), order.recipients.len());
        if finished.is_begun {
            self.facts.uses += 1;
            self.facts.last_used = self.clock.now().monotonic;
            let domains = self.client.recipient_domains();
            if domains.len() > self.facts.recipient_domains.len() {
                self.facts.recipient_domains = domains.to_vec();
            }
            self.facts.refused_in_a_row = if finished.accepted {
                0
            } else {
                self.facts.refused_in_a_row + 1
            };
        }
        Transacted {
            delivery: order.delivery,
            outcomes: finished.outcomes,
            cause: match finished.rest {
                Rest::Next => Undecided::NextTransaction,
                Rest::Unsent => Undecided::Unsent,
                Rest::LostEarly => Undecided::LostEarly,
                Rest::Limited(failure) => Undecided::Limited(*failure),
                Rest::NoRoom => Undecided::NoRoom,
                Rest::Failed(failure) => Undecided::Failed(*failure),
            },
            accepted: finished.accepted,
            waited,
            relay: self.client.peer().relay().clone(),
            uses: self.facts.uses,
            mail_sent,
            may_be_duplicate: finished.may_be_duplicate,
            unknown: finished.unknown,
            may_resend: finished.may_resend && self.wire.was_lost_within(RESENT_WITHIN),
            limit_met: finished.limit_met,
            accepted_after_refusal: finished.accepted_after_refusal,
            flights: finished.flights,
            session: match finished.health {
                Health::Sound => After::Free(self.facts.clone()),
                Health::Worn | Health::Broken => After::Gone,
            },
        }
    }

    fn unreadable(&self, order: &TransactOrder, error: &Unreadable) -> Transacted {
        let message = order.message;
        tracing::error!(%message, %error, "content could not be read");
        Transacted {
            outcomes: vec![Some(Outcome::Deferred(refusal(error))); order.recipients.len()],
            session: After::Free(self.facts.clone()),
            uses: self.facts.uses,
            ..undecided(
                order,
                self.client.peer().relay().clone(),
                Undecided::NextTransaction,
            )
        }
    }
}

/// The answer to an order of which nothing was sent; the session is gone.
pub(super) fn undecided(order: &TransactOrder, relay: std::sync::Arc<str>, cause: Undecided) -> Transacted {
    Transacted {
        delivery: order.delivery,
        outcomes: vec![None; order.recipients.len()],
        cause,
        accepted: false,
        waited: Duration::ZERO,
        relay,
        uses: 0,
        mail_sent: None,
        may_be_duplicate: false,
        unknown: Vec::new(),
        may_resend: false,
        limit_met: None,
        accepted_after_refusal: false,
        flights: 0,
        session: After::Gone,
    }
}

/// What a panic of ours is for the recipients: they wait.
pub(super) fn our_failure(reason: &str) -> Failure {
    Failure {
        scope: Scope::Session,
        blame: Blame::Us,
        refusal: Refusal::ours(EnhancedStatus::new(4, 3, 0), reason),
    }
}

fn refusal(error: &Unreadable) -> Refusal {
    Refusal::ours(
        EnhancedStatus::new(4, 3, 0),
        format!("message content could not be read: {error}"),
    )
}

/// A session that ends so soon after its flight has rather been dead before.
const RESENT_WITHIN: Duration = Duration::from_secs(1);
