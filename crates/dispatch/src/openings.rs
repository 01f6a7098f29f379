//! What an opening, or its failure, says of the host and of the session.
//!
//! # Contract
//! * **What a policy demands and a host does not give is nobody's fault**: it pauses no host (design §6).
//! * **A session carries only what it was dialled to have**, whatever the shell says that it has.

use remuda_connection_cache::{Unfit, fitness};
use remuda_mail::{
    Blame, Clear, DeliveryId, Endpoint, EnhancedStatus, Facts, Failure, Refusal, SessionId, Tls,
};

use crate::{Dispatch, answers::is_of_the_host};

impl Dispatch {
    /// A session to `endpoint` has opened.
    pub(crate) fn note_opened(&mut self, id: SessionId, endpoint: Endpoint, facts: &Facts) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.tls = Some(facts.tls.clone());
        }
        self.hosts.opened(endpoint);
        match facts.tls {
            Tls::Clear(Clear::HandshakeFailed(at)) => self.hosts.failed_handshake(endpoint, at),
            Tls::Encrypted { .. } => self.hosts.made_handshake(endpoint),
            Tls::Clear(Clear::ByPolicy | Clear::NotOffered) => {}
        }
    }

    /// A dial to `endpoint` has failed.
    pub(crate) fn note_dial_failure(&mut self, endpoint: Endpoint, failure: &Failure) {
        if failure.blame == Blame::Policy {
            // It was there, and is no worse for what we demand.
            self.hosts.opened(endpoint);
        }
        if is_of_the_host(failure) {
            let words = failure.refusal.words();
            self.hosts
                .failed(endpoint, &words, self.now.monotonic, &mut self.rng);
        }
    }

    /// Answers whether a new session may carry the delivery that it was dialled for: also if the host lacks
    /// what the message needs, which is then said of the message. What it was dialled to have it must have.
    pub(crate) fn may_carry(&self, delivery: DeliveryId, facts: &Facts) -> bool {
        let Some(delivery) = self.deliveries.get(&delivery) else {
            return false;
        };
        let verdict = fitness(facts, &self.requirements(delivery), self.now.monotonic);
        matches!(verdict, Ok(()) | Err(Unfit::Smtputf8 | Unfit::Size))
    }

    /// A new session is not what was ordered. After a reload another dial brings it; else it would go on so.
    pub(crate) fn pass_over_unless_reloaded(&mut self, id: DeliveryId, endpoint: Endpoint, facts: &Facts) {
        if facts.helo_name == self.settings.helo_name
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
