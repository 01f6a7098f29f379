//! What commands lead to, and what happens then.
//!
//! # Contract
//! * **A session that died before an order reached it answers as one over the network**: the transaction is
//!   unsent, the end is an end.

use std::{sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_dispatch::{
    command::{Command, Rest},
    event::{Candidate, Death, Event, Resolution},
};
use remuda_mail::{
    Clear, DeliveryId, Endpoint, EntryId, Facts, HopPolicy, Protocol, SessionId, Tls, TlsLevel,
};

use super::{Happening, Left, World};
use crate::{
    peers::Dialled,
    plan::Site,
    sessions::{Answered, Reply, Session, State, offers},
};

impl World<'_> {
    pub(super) fn execute(&mut self, command: Command) {
        let now = self.now.monotonic;
        match command {
            Command::Load { destination, limit } => {
                self.agenda.put(now, Happening::Loaded(destination, limit));
            }
            Command::Resolve { destination } => self.agenda.put(now, Happening::Resolved(destination)),
            Command::Dial {
                session,
                endpoint,
                host,
                helo_name,
                security,
                ..
            } => self.dial(session, endpoint, [host, helo_name], security.tls.level),
            Command::Transact {
                session,
                delivery,
                entry,
                flight,
                reply_within,
                ..
            } => {
                let reply = Reply::new(now, reply_within, flight);
                self.transact(session, (delivery, entry), reply);
            }
            Command::Watch { session } => self.park(session),
            Command::Retire { session, .. } => self.retire(session),
            Command::Settle {
                delivery,
                entry,
                rest,
                ..
            } => self.settle(delivery, entry, &rest),
            // Entries are read again when they are wanted, and no mail here is local.
            Command::Unload { .. } | Command::DeliverLocally { .. } => {}
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives => self.arrives(),
            Happening::Loaded(destination, limit) => {
                let (entries, next_due) = self.spool.heads(&destination, self.now.wall, limit);
                self.tell(Event::Loaded {
                    destination,
                    entries,
                    next_due,
                });
            }
            Happening::Resolved(destination) => {
                if let Some(site) = self.spool.site(&destination) {
                    let answer = Ok(self.resolution(site));
                    self.tell(Event::Resolved { destination, answer });
                }
            }
            Happening::Connected(session) => self.connected(session),
            Happening::Opened(session) => self.opened(session),
            Happening::Failed(session, failing) => {
                if self.dialling(session).is_some() && self.strike(session).is_some() {
                    self.tell(Event::DialFailed {
                        session,
                        step: failing.step,
                        failure: failing.failure,
                    });
                }
            }
            Happening::Answered(session) => self.answered(session),
            Happening::Died(session) => self.died(session),
            Happening::Ended(session) => {
                if self.strike(session).is_some() {
                    self.tell(Event::Ended { session });
                }
            }
            Happening::Committed(delivery, entry, left) => self.committed(delivery, entry, left),
        }
    }

    fn resolution(&self, site: &Site) -> Resolution {
        let candidate = |(place, preference): &(usize, u16)| {
            let host = &self.run.plan.hosts[*place];
            Candidate {
                endpoint: host.endpoint,
                host: host.name.clone(),
                preference: *preference,
            }
        };
        Resolution {
            candidates: site.servers.iter().map(candidate).collect(),
            policy: HopPolicy::default(),
            valid_until: Monotonic::NEVER,
        }
    }

    fn dial(&mut self, id: SessionId, endpoint: Endpoint, names: [Arc<str>; 2], tls: TlsLevel) {
        let Some(place) = self.places.get(&endpoint).copied() else {
            debug_assert!(false, "only hosts of the plan are dialled");
            return;
        };
        let now = self.now.monotonic;
        let [host, helo_name] = names;
        let facts = Facts {
            endpoint,
            protocol: Protocol::Smtp,
            source: None,
            host,
            helo_name,
            is_tls_implicit: false,
            tls: Tls::Clear(match tls {
                TlsLevel::None => Clear::ByPolicy,
                TlsLevel::May | TlsLevel::Encrypt | TlsLevel::Verify => Clear::NotOffered,
            }),
            credentials: None,
            capabilities: offers(),
            opened: now,
            uses: 0,
            last_used: now,
            refused_in_a_row: 0,
            recipient_domains: Vec::new(),
        };
        let close_after = self.run.plan.hosts[place].model.close_after;
        self.sessions
            .insert(id, Session::dialled(place, close_after, facts));
        self.tallies[place].dials += 1;
        self.count(place, true);
        match self.peers.dial(place, now.since_start()) {
            Dialled::Connects(after) => self.agenda.put(now + after, Happening::Connected(id)),
            Dialled::Fails(failing) => {
                self.agenda
                    .put(now + failing.after, Happening::Failed(id, failing));
            }
        }
    }

    fn connected(&mut self, id: SessionId) {
        let now = self.now.monotonic;
        let Some(session) = self.dialling(id) else {
            return;
        };
        let host = session.host;
        let greeted = self.peers.connected(host, now.since_start());
        if let Some(session) = self.dialling(id) {
            session.is_let_in = greeted.is_ok();
        }
        self.tell(Event::Connected { session: id });
        match greeted {
            Ok(greeting) => self.agenda.put(now + greeting, Happening::Opened(id)),
            Err(failing) => self
                .agenda
                .put(now + failing.after, Happening::Failed(id, failing)),
        }
    }

    fn opened(&mut self, id: SessionId) {
        let now = self.now.monotonic;
        if let Some(session) = self.dialling(id) {
            session.state = State::Used;
            session.is_open = true;
            session.facts.last_used = now;
            let facts = session.facts.clone();
            self.tell(Event::Opened { session: id, facts });
        }
    }

    /// A session that is still being dialled; a dial that nobody waits for may have been given up.
    fn dialling(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&id)?;
        (session.state == State::Dialling).then_some(session)
    }

    fn transact(&mut self, id: SessionId, ids: (DeliveryId, EntryId), reply: Reply) {
        let Some(session) = self.sessions.get_mut(&id) else {
            debug_assert!(false, "only open sessions get transactions");
            return;
        };
        let served = match session.is_closed() {
            true => (Duration::ZERO, crate::peers::Verdict::Silence),
            false => {
                let begins = session.begins_at(reply.now).since_start();
                self.peers.serve(session.host, begins)
            }
        };
        let at = session.begin(ids, served, reply);
        self.agenda.put(at, Happening::Answered(id));
    }

    fn answered(&mut self, id: SessionId) {
        let now = self.now.monotonic;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(Answered { job, answer }) = session.answer(now) else {
            return;
        };
        let (host, is_over) = (session.host, session.is_closed() && session.under_way.is_empty());
        // What is under way behind the last reply ends with the connection.
        let lost = if session.is_closed() {
            session.under_way.len()
        } else {
            0
        };
        for _ in 0..lost {
            self.agenda.put(now, Happening::Answered(id));
        }
        let tally = &mut self.tallies[host];
        if answer.begun {
            tally.transactions += 1;
            tally.waited += job.wait;
        }
        if answer.accepted {
            tally.messages += 1;
            let arrived = self.spool.arrived(job.entry).unwrap_or(self.now.wall);
            self.deliveries
                .add(self.now.wall.since(arrived), now.since_start());
        }
        if is_over && answer.session == remuda_dispatch::event::After::Gone {
            self.strike(id);
        }
        self.tell(Event::Answered {
            session: Some(id),
            delivery: job.delivery,
            answer,
        });
    }

    fn park(&mut self, id: SessionId) {
        let now = self.now.monotonic;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = State::Parked;
            if session.is_closed() {
                self.agenda.put(now, Happening::Died(id));
            }
        }
    }

    /// Only a parked session is watched; one that was taken or is being ended is answered for there.
    fn died(&mut self, id: SessionId) {
        let is_parked = |session: &Session| session.state == State::Parked;
        if !self.sessions.get(&id).is_some_and(is_parked) {
            return;
        }
        if let Some(session) = self.strike(id) {
            self.tell(Event::Died {
                session: id,
                limit_met: Some(session.facts.uses),
                cause: Death::Fin,
            });
        }
    }

    fn retire(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = State::Retiring;
            self.agenda.put(self.now.monotonic, Happening::Ended(id));
        }
    }

    fn settle(&mut self, delivery: DeliveryId, entry: EntryId, rest: &Rest) {
        let left = match rest {
            Rest::Nobody => Left::Nothing,
            Rest::Bounce { .. } => {
                self.bounced += 1;
                Left::Nothing
            }
            Rest::Defer { until, .. } => {
                self.deferrals += 1;
                Left::Until(*until)
            }
        };
        let at = self.now.monotonic + self.run.mail.commit_time;
        self.agenda.put(at, Happening::Committed(delivery, entry, left));
    }

    fn committed(&mut self, delivery: DeliveryId, entry: EntryId, left: Left) {
        let left = match left {
            Left::Nothing => {
                self.spool.strike(entry);
                None
            }
            Left::Until(until) => self.spool.defer(entry, until),
        };
        self.tried(entry);
        self.tell(Event::Settled { delivery, left });
    }
}
