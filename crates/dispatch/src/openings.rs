//! What an opening, or its failure, says of the host and of the session.
//!
//! # Contract
//! * **What a policy demands and a host does not give is nobody's fault**: it pauses no host (design §6).
//! * **Who is turned away by 421 while others are open waits for one of those**: it has met no failure, neither
//!   of the host nor of the destination, and its try does not count.
//! * **A session carries only what it was dialled to have**, whatever the shell says that it has.

use std::sync::Arc;

use remuda_clock::Monotonic;
use remuda_connection_cache::{Unfit, fitness};
use remuda_mail::{
    Blame, Clear, DeliveryId, Endpoint, EnhancedStatus, Facts, Failure, Refusal, SessionId, Source, Sources,
    Tls, Way,
};

use crate::{
    Dispatch,
    answers::is_of_the_host,
    event::{Answer, DialStep, Undecided},
    sessions::Session,
};

impl Dispatch {
    /// A session has opened this way.
    pub(crate) fn note_opened(&mut self, id: SessionId, way: Way, facts: &Facts) {
        let now = self.now.monotonic;
        self.disarm(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            if let Some(connected) = session.connected {
                self.hosts.greeted(way, now - connected);
            }
            session.tls = Some(facts.tls.clone());
            self.hosts.ended_dial(way, id);
            self.hosts.opened_after(way, now - session.dialled);
            self.hosts.let_in(way, now);
        }
        self.hosts.answers(way, now);
        self.rouse(way);
        match facts.tls {
            Tls::Clear(Clear::HandshakeFailed(at)) => self.hosts.failed_handshake(way, at),
            Tls::Encrypted { .. } => self.hosts.made_handshake(way),
            Tls::Clear(Clear::ByPolicy | Clear::NotOffered) => {}
        }
    }

    /// A dial has failed this way.
    pub(crate) fn note_dial_failure(&mut self, way: Way, dialled: Monotonic, failure: &Failure) {
        if failure.blame == Blame::Policy {
            // It was there, and is no worse for what we demand.
            self.hosts.answers(way, self.now.monotonic);
            self.rouse(way);
        } else {
            self.blame_way(way, dialled, failure);
        }
    }

    /// A session is no more: it is not counted among its endpoint's any longer.
    pub(crate) fn leave_host_books(&mut self, id: SessionId, session: &Session) {
        let way = session.way();
        if session.tls.is_some() {
            self.hosts.let_out(way);
        } else {
            self.hosts.ended_dial(way, id);
        }
        let is_held_back = self.hosts.is_failing(way);
        if is_held_back || self.hosts.connections_max(way, self.now.monotonic).is_some() {
            // Who waits to dial there may now.
            self.freed.push(way);
        }
    }

    /// A transaction may have shown that its host does not work, though it lets us in.
    pub(crate) fn note_break(&mut self, way: Way, answer: &Answer) {
        let words = match &answer.cause {
            Undecided::Failed(failure) if answer.undecided > 0 && is_of_the_host(failure) => {
                failure.refusal.words()
            }
            Undecided::PerhapsAccepted if !answer.accepted => "lost connection after the content".into(),
            _ => return,
        };
        if self.hosts.broke(way, &words, self.now.monotonic, &mut self.rng) {
            self.sleep_on(way);
        }
    }

    /// Answers whether a dial was turned away only because others are open, or being opened, that way.
    pub(crate) fn is_for_room(&self, way: Way, step: DialStep, failure: &Failure) -> bool {
        let is_early = matches!(step, DialStep::Greeting | DialStep::Helo);
        let reply = failure.refusal.reply.as_ref();
        let has_others = self.hosts.open(way) > 0 || self.hosts.dials(way) > 1;
        is_early && has_others && reply.is_some_and(|reply| reply.code == 421)
    }

    /// A dial was one too many: its endpoint allows as many as are open. The delivery waits for one of them.
    pub(crate) fn turned_away(&mut self, id: SessionId, way: Way, owner: Option<DeliveryId>, step: DialStep) {
        self.hosts.met_room(way, self.now.monotonic);
        self.hosts.undialled(way);
        self.rouse(way);
        self.count_dial_failed(id, step);
        self.bury(id);
        if let Some(owner) = owner {
            // It keeps its place in line.
            self.seek_or_stop(owner);
        }
    }

    /// Answers whether a new session may carry the delivery that it was dialled for: also if the host lacks
    /// what the message needs, which is then said of the message. What it was dialled to have it must have.
    pub(crate) fn may_carry(&self, delivery: DeliveryId, facts: &Facts) -> bool {
        let Some(delivery) = self.deliveries.get(&delivery) else {
            return false;
        };
        if !self.settings.is_ours(facts) {
            return false;
        }
        let mut wanted = self.requirements(delivery);
        // Also if its destination has moved to another source in the meantime.
        wanted.sources = source_of(facts);
        let verdict = fitness(facts, &wanted, self.now.monotonic);
        matches!(verdict, Ok(()) | Err(Unfit::Smtputf8 | Unfit::Size))
    }

    /// A new session is not what was ordered. After a reload another dial brings it; else it would go on so.
    pub(crate) fn pass_over_unless_reloaded(&mut self, id: DeliveryId, endpoint: Endpoint, facts: &Facts) {
        if self.settings.is_ours(facts)
            && !self.is_stopping
            && let Some(delivery) = self.deliveries.get_mut(&id)
        {
            delivery.refusal = Some(Refusal::ours(
                EnhancedStatus::new(4, 7, 0),
                "the session that was opened lacks what was demanded of it",
            ));
            delivery.leave_host(endpoint);
        }
    }
}

/// Whence a session comes, whatever the family.
fn source_of(facts: &Facts) -> Sources {
    let source = facts.source.map(|address| {
        Arc::new(Source {
            address,
            helo_name: facts.helo_name.clone(),
        })
    });
    Sources {
        v4: source.clone(),
        v6: source,
    }
}
