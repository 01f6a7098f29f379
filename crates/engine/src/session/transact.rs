//! Transactions on an open session: begun as soon as they may be, answered in their order.

use std::time::Duration;

use remuda_clock::Now;
use remuda_dispatch::{
    command::Flight,
    event::{After, Conduct, Death, Undecided},
};
use remuda_mail::{Blame, EnhancedStatus, Failure, Outcome, Refusal, Scope};
use remuda_smtp::client::{self, Finished, Health, Rest, Want};
use tokio::sync::mpsc;

use super::{
    Session,
    content::{BLOCK_MAX, Blocks, Unreadable},
    gate::Asked,
    order::{Order, TransactOrder, Transacted},
    run::{Run, UnderWay},
};

impl Session {
    /// Works on the transactions of `run`, and on those that `orders` brings meanwhile, until the oldest is
    /// over. The session is to be used again only if the answer says so.
    pub(super) async fn next_result(
        &mut self,
        run: &mut Run,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Transacted {
        loop {
            if let Some(transacted) = self.begin_what_may(run).await {
                return transacted;
            }
            if let Some(finished) = self.client.finished()
                && let Some(done) = run.under_way.pop_front()
            {
                return self.answer(&done.order, finished, Some(done.begun), run);
            }
            if self.client.want() == Want::Content
                && let Some(first) = run.under_way.front_mut()
            {
                self.give_block(first).await;
            }
            tokio::select! {
                biased;
                () = self.wire.advance(&mut self.client) => {}
                order = orders.recv(), if !run.is_closed => run.take_in(order),
            }
        }
    }

    /// Begins the transactions that need not wait; answers with one that is over at once.
    async fn begin_what_may(&mut self, run: &mut Run) -> Option<Transacted> {
        while run.under_way.is_empty() || (self.client.can_follow() && !run.is_held) {
            let is_behind = !run.under_way.is_empty();
            run.is_held = false;
            // It stays in line until it has begun: a panic meanwhile must find it there.
            let order = run.waiting.front_mut()?;
            let is_left_sound = !run.has_results || self.client.health() == Health::Sound;
            let begun = match is_left_sound {
                true => self.open_and_begin(order, is_behind).await,
                false => Err(NotBegun::Unsent),
            };
            if is_behind && begun.is_err() {
                // Answers come in the order of the orders: it is over when those before it are.
                run.is_held = true;
                return None;
            }
            let order = run.waiting.pop_front()?;
            match begun {
                Ok((blocks, begun)) => run.under_way.push_back(UnderWay { order, blocks, begun }),
                Err(NotBegun::Unsent) => {
                    let relay = self.client.peer().relay().clone();
                    return Some(undecided(&order, relay, Undecided::Unsent));
                }
                // Nothing was sent: the session is as good as before.
                Err(NotBegun::Unreadable(error)) => return Some(self.unreadable(&order, &error, run)),
                Err(NotBegun::NobodyPasses) => return Some(self.all_stay(&order, run)),
                Err(NotBegun::Finished(finished)) => return Some(self.answer(&order, *finished, None, run)),
            }
        }
        None
    }

    async fn open_and_begin(
        &mut self,
        order: &mut TransactOrder,
        is_behind: bool,
    ) -> Result<(Blocks, Now), NotBegun> {
        if let (Some(gate), None) = (&self.gate, &order.asked) {
            order.asked = Some(Asked::of(&**gate, &order.recipients).await);
        }
        if order.named().is_empty() {
            return Err(NotBegun::NobodyPasses);
        }
        let mut blocks = Blocks::open(&*self.source, order.message, order.size).await?;
        let may_fly = order.flight != Flight::Split && order.size <= BLOCK_MAX as u64;
        let whole = if may_fly {
            Some(blocks.whole().await?)
        } else {
            None
        };
        let begun = self.clock.now();
        match self.begin(order, whole.as_deref(), is_behind).await {
            None => Ok((blocks, begun)),
            Some(finished) => Err(NotBegun::Finished(Box::new(finished))),
        }
    }

    /// Begins one, unless the session has ended or spoken: that is asked of the system right before the first
    /// octet, so that a message is not spent on a session that was dead.
    async fn begin(
        &mut self,
        order: &TransactOrder,
        whole: Option<&[u8]>,
        is_behind: bool,
    ) -> Option<Finished> {
        let spoken = client::Order {
            envelope: &order.envelope,
            recipients: order.named(),
            size: order.size,
            smtputf8: order.smtputf8,
            eight_bit: order.eight_bit,
            whole,
        };
        if is_behind {
            return self.client.follow(spoken).err();
        }
        self.wire.begins();
        self.wire.reply_within = order.reply_within;
        if self.wire.is_quiet() {
            self.client.begin(spoken);
        } else {
            self.wire.read_pending(&mut self.client).await;
            self.client.begin_on_dead(spoken);
        }
        None
    }

    /// Gives the next block, and with the last one the end, so that both go out in one write.
    async fn give_block(&mut self, one: &mut UnderWay) {
        match one.blocks.next().await {
            Ok(block) => {
                self.client.content(&block.unwrap_or_default());
                if one.blocks.is_at_end() {
                    self.client.end_content();
                }
            }
            Err(error) => {
                let message = one.order.message;
                tracing::error!(%message, %error, "content could not be read while it was sent");
                self.client.abandon_content(&refusal(&error));
            }
        }
    }

    fn answer(
        &mut self,
        order: &TransactOrder,
        mut finished: Finished,
        begun: Option<Now>,
        run: &Run,
    ) -> Transacted {
        debug_assert_eq!(finished.outcomes.len(), order.named().len());
        if let Some(asked) = &order.asked {
            asked.spread(&mut finished);
        }
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
            begun: finished.is_begun,
            death: self.death(&finished.rest),
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
            waited: self.wire.take_waited(),
            relay: self.client.peer().relay().clone(),
            tls: self.facts.tls.protocol(),
            uses: self.facts.uses,
            mail_sent: begun.filter(|_| finished.is_begun),
            may_be_duplicate: finished.may_be_duplicate,
            unknown: finished.unknown,
            kept: kept(order),
            may_resend: finished.may_resend && self.wire.was_lost_within(RESENT_WITHIN),
            limit_met: finished.limit_met,
            accepted_after_refusal: finished.accepted_after_refusal,
            conduct: Conduct {
                is_disorderly: finished.is_disorderly || finished.accepted_after_refusal,
                has_refused_recipient: finished.has_refused_recipient,
            },
            flights: finished.flights,
            session: match finished.health {
                Health::Sound => self.after(run),
                Health::Worn | Health::Broken => After::Gone,
            },
        }
    }

    /// How the session was found dead, if nothing was sent or nothing answered.
    fn death(&self, rest: &Rest) -> Option<Death> {
        match rest {
            Rest::Unsent => Some(self.wire.ended().unwrap_or(Death::Data)),
            Rest::LostEarly => Some(self.wire.ended().unwrap_or(Death::NoReply)),
            Rest::Next | Rest::Failed(_) | Rest::Limited(_) | Rest::NoRoom => None,
        }
    }

    /// What is left of a session that is in order.
    fn after(&self, run: &Run) -> After {
        if run.is_over() {
            After::Free(Box::new(self.facts.clone()))
        } else {
            After::Going
        }
    }

    /// The gate has ruled on everybody.
    fn all_stay(&self, order: &TransactOrder, run: &Run) -> Transacted {
        let outcomes = order.asked.as_ref().map(|asked| asked.outcomes(Vec::new()));
        Transacted {
            outcomes: outcomes.unwrap_or_default(),
            kept: kept(order),
            session: self.after(run),
            uses: self.facts.uses,
            ..undecided(order, "local".into(), Undecided::NextTransaction)
        }
    }

    fn unreadable(&self, order: &TransactOrder, error: &Unreadable, run: &Run) -> Transacted {
        let message = order.message;
        tracing::error!(%message, %error, "content could not be read");
        Transacted {
            outcomes: vec![Some(Outcome::Deferred(refusal(error))); order.recipients.len()],
            session: self.after(run),
            uses: self.facts.uses,
            ..undecided(
                order,
                self.client.peer().relay().clone(),
                Undecided::NextTransaction,
            )
        }
    }
}

/// Why a transaction is over before it has begun.
enum NotBegun {
    /// The session is not in order.
    Unsent,
    Unreadable(Unreadable),
    /// Nobody is named to the server.
    NobodyPasses,
    Finished(Box<Finished>),
}

impl From<Unreadable> for NotBegun {
    fn from(error: Unreadable) -> Self {
        NotBegun::Unreadable(error)
    }
}

/// The answer to an order of which nothing was sent; the session is gone.
pub(crate) fn undecided(order: &TransactOrder, relay: std::sync::Arc<str>, cause: Undecided) -> Transacted {
    Transacted {
        delivery: order.delivery,
        outcomes: vec![None; order.recipients.len()],
        cause,
        begun: false,
        death: None,
        accepted: false,
        waited: Duration::ZERO,
        relay,
        tls: None,
        uses: 0,
        mail_sent: None,
        may_be_duplicate: false,
        unknown: Vec::new(),
        kept: Vec::new(),
        may_resend: false,
        limit_met: None,
        accepted_after_refusal: false,
        conduct: Conduct::default(),
        flights: 0,
        session: After::Gone,
    }
}

fn kept(order: &TransactOrder) -> Vec<usize> {
    order.asked.as_ref().map(Asked::kept).unwrap_or_default()
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
