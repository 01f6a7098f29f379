//! The commands of `dispatch`, carried out.

use std::{sync::Arc, time::Duration};

use remuda_clock::Now;
use remuda_connection_cache::Unfit;
use remuda_dispatch::{
    choice::Choice,
    command::{Command, Flight, Found, RetireCause},
    event::{Event, Undecided, Unresolved},
};
use remuda_mail::{
    DeliveryId, Destination, EnhancedStatus, EntryId, Outcome, Protocol, Refusal, SessionId, Way,
};
use remuda_smtp::client::Login;
use remuda_spool::Heads;
use tokio::sync::mpsc::error::TrySendError;

use super::{
    Actor, Input, Session,
    delivery::Delivery,
    entries::{Came, describe, needs_smtputf8},
    in_background,
};
use crate::{
    local::Delivered,
    session,
    session::{
        dial::Means,
        order::{DialOrder, Order, Report, Security, TransactOrder},
    },
};

/// A command to run a transaction.
struct Transact {
    session: SessionId,
    delivery: DeliveryId,
    entry: EntryId,
    recipients_max: u32,
    next_host: bool,
    flight: Flight,
    found: Found,
    reply_within: Duration,
    unfit: Option<Unfit>,
    choice: Choice,
}

impl Actor {
    pub(super) fn execute(&mut self, command: Command, now: Now) {
        match command {
            Command::Load { destination, limit } => self.load(destination, limit, now),
            Command::Resolve { destination } => self.resolve(destination, now),
            Command::Dial {
                session,
                endpoint,
                protocol,
                host,
                source,
                helo_name,
                destination,
                security,
            } => {
                let order = DialOrder {
                    session,
                    endpoint,
                    protocol,
                    host,
                    source,
                    helo_name,
                    connect_timeout: self.plan.settings.delivery.connect_timeout,
                    security: self.security(&destination, security),
                };
                self.dial(order, now);
            }
            Command::Transact {
                session,
                delivery,
                entry,
                recipients_max,
                next_host,
                flight,
                choice,
                found,
                reply_within,
                unfit,
            } => {
                self.transact(
                    Transact {
                        session,
                        delivery,
                        entry,
                        recipients_max,
                        next_host,
                        flight,
                        found,
                        reply_within,
                        unfit,
                        choice,
                    },
                    now,
                );
            }
            Command::DeliverLocally { delivery, entry } => self.deliver_locally(delivery, entry),
            Command::Watch { session } => self.order(session, Order::Watch),
            Command::Retire { session, cause } => self.retire(session, cause),
            Command::Settle {
                delivery,
                entry,
                rest,
                search,
            } => self.settle(delivery, entry, (rest, search), now),
            Command::Unload { entry } => self.entries.unload(entry),
        }
    }

    /// Orders fit the channel: a session has at most one of each kind under way.
    fn order(&self, session: SessionId, order: Order) {
        if let Some(known) = self.sessions.get(&session)
            && known.orders.try_send(order).is_err()
        {
            // The task has ended; its last report is on the way and says so.
            tracing::debug!(%session, "order to a session that has ended");
        }
    }

    /// A session may end while a transaction is on its way to it: that is answered behind what the session
    /// itself has reported.
    fn order_transaction(&self, session: SessionId, order: TransactOrder) {
        let missed = match self.sessions.get(&session) {
            None => Some(Order::Transact(Box::new(order))),
            Some(known) => {
                let sent = known.orders.try_send(Order::Transact(Box::new(order)));
                sent.err().map(TrySendError::into_inner)
            }
        };
        if let Some(Order::Transact(order)) = missed {
            let transacted = session::undecided(&order, "none".into(), Undecided::Unsent);
            // The actor itself holds the other end.
            let _ = self
                .reports
                .send((session, Report::Transacted(Box::new(transacted))));
        }
    }

    fn retire(&mut self, session: SessionId, cause: RetireCause) {
        tracing::debug!(%session, ?cause, "session retired");
        self.order(session, Order::Retire);
    }

    fn load(&mut self, destination: Destination, limit: usize, now: Now) {
        self.entries.load_begins(&destination);
        let spool = self.around.spool.clone();
        let fallen = destination.clone();
        let work = async move {
            let heads = spool.heads(&destination, now.wall, limit).await;
            if let Err(error) = &heads {
                tracing::warn!(%destination, %error, "the spool could not be read");
            }
            Input::Loaded(destination, heads.ok())
        };
        in_background(&self.inputs, work, move || Input::Loaded(fallen, None));
    }

    pub(super) fn loaded(&mut self, destination: Destination, heads: Option<Heads>, now: Now) {
        let Some(heads) = heads else {
            self.entries.load_ended(&destination);
            return self.handle(Event::LoadFailed { destination }, now);
        };
        let Some(heads) = self.move_what_was_loaded(&destination, heads) else {
            return;
        };
        let left = self.entries.load_ended(&destination);
        let mut entries = Vec::with_capacity(heads.entries.len());
        for (queued, heading) in heads.entries {
            if left.contains(&queued.id) || self.is_out_of_count(queued.id) {
                continue;
            }
            entries.push(match self.entries.held(queued.id) {
                Some(held) => describe(&held.queued),
                None => self.take_entry(queued, Came::Loaded, heading, now),
            });
        }
        self.handle(
            Event::Loaded {
                destination,
                entries,
                next_due: heads.next_due,
            },
            now,
        );
    }

    pub(super) fn resolve(&mut self, destination: Destination, now: Now) {
        let doubtful = self.entries.doubtful(&destination);
        if !doubtful.is_empty() {
            return self.ask_where_they_go(Some(destination), doubtful);
        }
        let Some(hop) = self.entries.next_hop(&destination) else {
            let refusal = Refusal::ours(EnhancedStatus::new(4, 3, 0), "destination without mail");
            let answer = Err(Unresolved {
                refusal,
                valid_until: now.monotonic,
            });
            let _ = self.inputs.send(Input::Resolved(destination, answer));
            return;
        };
        let resolver = self.plan.resolver.clone();
        let fallen = destination.clone();
        let work = async move {
            let answer = resolver.resolve(&hop).await;
            Input::Resolved(destination, answer)
        };
        in_background(&self.inputs, work, move || {
            let refusal = Refusal::ours(EnhancedStatus::new(4, 3, 0), "internal error while resolving");
            let valid_until = now.monotonic + std::time::Duration::from_secs(60);
            Input::Resolved(fallen, Err(Unresolved { refusal, valid_until }))
        });
    }

    pub(super) fn dial(&mut self, order: DialOrder, now: Now) {
        let (id, endpoint, source) = (order.session, order.endpoint, order.source);
        let login = order.security.login.as_ref();
        let user = login.map(|(_, login)| login.credentials.username.clone());
        let means = Means {
            network: self.around.network.clone(),
            clients: self.plan.clients.clone(),
            source: Arc::new(self.around.spool.clone()),
            gate: (order.protocol == Protocol::Lmtp).then(|| self.around.local.gate(&self.plan.settings)),
            clock: self.around.clock.clone(),
        };
        let orders = session::spawn(order, means, self.reports.clone());
        self.sessions.insert(
            id,
            Session {
                orders,
                way: Way { endpoint, source },
                dialled: now,
                is_open: false,
                tls: None,
                user,
            },
        );
    }

    /// What a dial is to have, with the words behind the ids. Credentials that have been taken away or replaced
    /// since are not there: the session is held against what was demanded, and is none.
    fn security(&self, destination: &Destination, ordered: remuda_dispatch::command::Security) -> Security {
        let login = ordered.login.and_then(|login| {
            let id = login.credentials;
            let known = self.plan.vault.get(id);
            let credentials = known
                .or_else(|| self.entries.credentials(destination, id))?
                .clone();
            let in_clear = login.in_clear;
            Some((
                login.credentials,
                Login {
                    credentials,
                    in_clear,
                },
            ))
        });
        Security {
            tls: ordered.tls,
            failed_handshake: ordered.failed_handshake,
            login,
        }
    }

    fn transact(&mut self, command: Transact, now: Now) {
        let known = self.sessions.get(&command.session);
        let source = known.and_then(|known| known.way.source);
        let Some(delivery) = self.delivery(command.delivery, command.entry) else {
            return;
        };
        delivery.source = source;
        delivery.unfit = command.unfit;
        delivery.choice = Some(command.choice);
        let recipients = delivery.batch(command.recipients_max, command.next_host, command.found, now);
        let entry = delivery.entry.clone();
        let order = TransactOrder {
            delivery: command.delivery,
            message: entry.message,
            envelope: entry.envelope.clone(),
            size: entry.size,
            smtputf8: needs_smtputf8(&entry),
            eight_bit: entry.content_8bit,
            reply_within: command.reply_within,
            flight: command.flight,
            recipients,
            asked: None,
        };
        self.around.metrics.choice(command.choice);
        self.order_transaction(command.session, order);
    }

    fn deliver_locally(&mut self, id: DeliveryId, entry: EntryId) {
        let Some(delivery) = self.delivery(id, entry) else {
            return;
        };
        let recipients = delivery.open_recipients();
        let count = recipients.len();
        let entry = delivery.entry.clone();
        let (local, settings) = (self.around.local.clone(), self.plan.settings.clone());
        let spool = self.around.spool.clone();
        let work = async move {
            let delivered = local.deliver(&settings, &spool, (&entry, &recipients)).await;
            Input::DeliveredLocally(id, delivered)
        };
        in_background(&self.inputs, work, move || {
            let refusal = Refusal::ours(EnhancedStatus::new(4, 3, 0), "internal error in local delivery");
            let outcomes = vec![Outcome::Deferred(refusal); count];
            let is_unasked = false;
            Input::DeliveredLocally(id, Delivered { outcomes, is_unasked })
        });
    }

    /// The delivery, begun if it is new. None only for an entry that is not in memory, which `dispatch`
    /// does not name.
    pub(super) fn delivery(&mut self, id: DeliveryId, entry: EntryId) -> Option<&mut Delivery> {
        if !self.deliveries.contains_key(&id) {
            let Some(held) = self.entries.held(entry) else {
                debug_assert!(false, "{entry:?} is delivered but not in memory");
                tracing::error!(
                    ?entry,
                    "an entry is delivered that is not in memory; this is a defect"
                );
                return None;
            };
            let mut delivery = Delivery::new(held.queued.clone(), held.loaded);
            delivery.claim = Some(self.around.spool.claim(delivery.entry.message));
            self.deliveries.insert(id, delivery);
        }
        self.deliveries.get_mut(&id)
    }
}
