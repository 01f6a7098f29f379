//! The begin of a transaction: what may be sent at all, to whom, and the commands for it.

use std::collections::VecDeque;

use remuda_mail::{Blame, Domain, EnhancedStatus, Failure, Outcome, Protocol, Recipient, Refusal, Scope};

use super::{
    Client, Finished, Health, Order, Rest, State, Step, commands, commands::Uses, transaction::Transaction,
    words::Loss,
};

impl Client {
    /// Begins a transaction. The result may be there at once: nothing is sent that the server said it
    /// cannot take, and nothing on a session that has ended or spoken since its last reply.
    pub fn begin(&mut self, order: Order<'_>) {
        debug_assert!(
            matches!(self.state, State::Ready) && self.transactions.is_empty(),
            "the first transaction on an open session that is free"
        );
        self.flights = 0;
        if let Err(finished) = self.try_begin(&order, false) {
            self.done.push_back(finished);
        }
    }

    /// Answers whether the next transaction may go out behind those under way: all that these will send is
    /// in the flight, and the server takes a group of commands (RFC 2920 §3.1).
    pub fn can_follow(&self) -> bool {
        let limits = self.capabilities.limits;
        self.capabilities.pipelining
            && matches!(self.state, State::Ready)
            && !self.is_disturbed()
            && self.line.health == Health::Sound
            && limits.mail_max.is_none_or(|max| self.mails < max)
            && self.transactions.back().is_some_and(Transaction::is_queued)
    }

    /// Begins a transaction behind those under way; only where it [can](Self::can_follow).
    ///
    /// # Errors
    /// The result, when it is there at once; that of an earlier transaction may be still to come.
    pub fn follow(&mut self, order: Order<'_>) -> Result<(), Finished> {
        debug_assert!(self.can_follow());
        self.try_begin(&order, true)
    }

    fn try_begin(&mut self, order: &Order<'_>, is_behind: bool) -> Result<(), Finished> {
        let smtputf8 = needs_smtputf8(order);
        let finished = if self.is_disturbed() {
            self.disturbed(order)
        } else if let Some(refusal) = self.refusal_of_all(order) {
            self.not_begun(
                vec![Some(Outcome::Bounced(refusal)); order.recipients.len()],
                Rest::Next,
            )
        } else if smtputf8 && !self.capabilities.smtputf8 {
            let failure = self.smtputf8_not_offered();
            self.not_begun(
                vec![None; order.recipients.len()],
                Rest::Failed(Box::new(failure)),
            )
        } else {
            let (outcomes, asked) = self.choose(order.recipients);
            if !asked.is_empty() {
                self.send(order, (smtputf8, is_behind), outcomes, asked);
                return Ok(());
            }
            let rest = self.rest_of_none(&outcomes);
            self.not_begun(outcomes, rest)
        };
        Err(finished)
    }

    /// Ends, as dead before use, a session that the shell found closed (or speaking) right before the
    /// first octet of a transaction; in place of [`begin`](Self::begin).
    pub fn begin_on_dead(&mut self, order: Order<'_>) {
        self.line.end();
        let finished = self.disturbed(&order);
        self.done.push_back(finished);
    }

    /// Answers whether anything came, or the connection ended, since the last reply.
    fn is_disturbed(&self) -> bool {
        self.surprise.is_some() || !self.parser.is_empty() || self.line.health == Health::Broken
    }

    /// A used session is left silently; a new one that is dead already is its host's failure.
    fn disturbed(&mut self, order: &Order<'_>) -> Finished {
        let rest = if self.mails > 0 || self.has_rested {
            Rest::Unsent
        } else {
            Rest::Failed(Box::new(match &self.surprise {
                Some(reply) => self.line.peer.turned_away(Step::Mail, reply, Scope::Endpoint),
                None => self.line.peer.lost(Step::Mail, &Loss::Closed, Scope::Endpoint),
            }))
        };
        self.line.end();
        Finished {
            limit_met: self.limit_met(),
            ..self.not_begun(vec![None; order.recipients.len()], rest)
        }
    }

    fn not_begun(&self, outcomes: Vec<Option<Outcome>>, rest: Rest) -> Finished {
        Finished {
            outcomes,
            rest,
            is_begun: false,
            accepted: false,
            may_be_duplicate: false,
            unknown: Vec::new(),
            may_resend: false,
            limit_met: None,
            accepted_after_refusal: false,
            is_disorderly: false,
            has_refused_recipient: false,
            flights: 0,
            health: self.line.health,
        }
    }

    /// Why no recipient can get it from anybody, if so.
    fn refusal_of_all(&self, order: &Order<'_>) -> Option<Refusal> {
        let peer = &self.line.peer;
        if let Some(max) = self.capabilities.size_max.filter(|max| order.size > *max) {
            let reason = format!(
                "message size {} exceeds size limit {max} of server {peer}",
                order.size
            );
            return Some(peer.refusal(EnhancedStatus::new(5, 3, 4), reason));
        }
        if !commands::is_safe_path(order.envelope.sender.as_str()) {
            let status = EnhancedStatus::new(5, 1, 7);
            return Some(Refusal::ours(status, "sender address cannot be sent"));
        }
        None
    }

    fn smtputf8_not_offered(&self) -> Failure {
        let peer = &self.line.peer;
        let reason = format!("SMTPUTF8 is required, but was not offered by host {peer}");
        Failure {
            scope: Scope::Endpoint,
            blame: Blame::Policy,
            refusal: peer.refusal(EnhancedStatus::new(5, 6, 7), reason),
        }
    }

    /// Chooses who is asked for in this transaction, within the server's LIMITS (RFC 9422).
    fn choose(&mut self, recipients: &[Recipient]) -> (Vec<Option<Outcome>>, VecDeque<usize>) {
        let limits = self.capabilities.limits;
        let asked_max = limits.rcpt_max.map_or(usize::MAX, |max| max as usize);
        let mut outcomes = vec![None; recipients.len()];
        let mut asked = VecDeque::with_capacity(recipients.len());
        for (index, recipient) in recipients.iter().enumerate() {
            if !commands::is_safe_path(recipient.address.as_str()) {
                let status = EnhancedStatus::new(5, 1, 3);
                outcomes[index] = Some(Outcome::Bounced(Refusal::ours(
                    status,
                    "recipient address cannot be sent",
                )));
            } else if asked.len() < asked_max && self.admits(recipient.address.domain()) {
                asked.push_back(index);
            }
        }
        (outcomes, asked)
    }

    /// Answers whether `domain` is within RCPTDOMAINMAX, and counts it.
    fn admits(&mut self, domain: &Domain) -> bool {
        let Some(max) = self.capabilities.limits.rcpt_domain_max else {
            return true;
        };
        if self.domains.contains(domain) {
            return true;
        }
        if self.domains.len() >= max as usize {
            // Whoever is left over needs another session.
            self.line.wear();
            return false;
        }
        self.domains.push(domain.clone());
        true
    }

    /// Nobody could be asked for: either all have an outcome, or this session has had its domains.
    fn rest_of_none(&self, outcomes: &[Option<Outcome>]) -> Rest {
        if outcomes.iter().all(Option::is_some) {
            Rest::Next
        } else {
            Rest::NoRoom
        }
    }

    fn send(
        &mut self,
        order: &Order<'_>,
        (smtputf8, is_behind): (bool, bool),
        outcomes: Vec<Option<Outcome>>,
        asked: VecDeque<usize>,
    ) {
        let uses = Uses {
            capabilities: self.capabilities,
            smtputf8,
            eight_bit: order.eight_bit,
        };
        let is_pipelined = self.capabilities.pipelining;
        // Whether a BDAT for nobody has a reply RFC 2033 does not say: by LMTP content goes by DATA.
        let may_chunk = self.capabilities.chunking && self.protocol == Protocol::Smtp;
        let whole = order.whole.filter(|_| may_chunk);
        let flight = &mut self.line.flight;
        let group = flight.group();
        // RFC 3030 §4.2: after a BDAT that failed the state is not known; RSET brings it about.
        if self.needs_rset || is_behind {
            flight.command(Step::Rset, |out| out.extend_from_slice(b"RSET\r\n"));
        }
        flight.command(Step::Mail, |out| {
            commands::mail(order.envelope, order.size, uses, out);
        });
        for index in &asked {
            flight.command(Step::Rcpt, |out| {
                commands::rcpt(&order.recipients[*index], uses, out);
            });
        }
        match whole {
            Some(content) => flight.bdat(content),
            None => flight.command(Step::Data, |out| out.extend_from_slice(b"DATA\r\n")),
        }
        if is_pipelined {
            flight.release_all();
        } else {
            flight.release_next();
        }
        let facts = Facts {
            group,
            is_lmtp: self.protocol == Protocol::Lmtp,
            is_pipelined,
            is_one_flight: is_pipelined && whole.is_some(),
            is_behind,
            is_reused: self.mails > 0,
            borne: self.has_accepted.then_some(self.mails),
            passes_dsn: self.capabilities.dsn,
        };
        self.mails += 1;
        self.needs_rset = true;
        let transaction = Transaction::new(outcomes, asked, whole.is_some(), facts);
        self.transactions.push_back(transaction);
    }
}

/// What does not change during the transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Its commands in the flight.
    pub(super) group: u64,
    /// Each accepted recipient has a reply to the content.
    pub(super) is_lmtp: bool,
    /// All commands are out at once.
    pub(super) is_pipelined: bool,
    /// And the content with them.
    pub(super) is_one_flight: bool,
    /// They went out while another transaction was unanswered.
    pub(super) is_behind: bool,
    /// The session has carried a transaction before.
    pub(super) is_reused: bool,
    /// How many it has carried, if one of them was accepted: the limit, if this one meets it.
    pub(super) borne: Option<u32>,
    /// The server takes over our DSN duties.
    pub(super) passes_dsn: bool,
}

/// Answers whether SMTPUTF8 must be used: because it was asked for, or because a local part needs it.
fn needs_smtputf8(order: &Order<'_>) -> bool {
    let sender = order.envelope.sender.0.as_ref();
    order.smtputf8
        || sender.is_some_and(|sender| !commands::is_ascii_able(sender))
        || order
            .recipients
            .iter()
            .any(|recipient| !commands::is_ascii_able(&recipient.address))
}
