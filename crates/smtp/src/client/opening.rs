//! The opening of a session: greeting, EHLO (LMTP: LHLO), and HELO where EHLO is refused; TLS and AUTH where they are
//! wanted.
//!
//! ```text
//!   greeting ─▶ EHLO ─▶ [STARTTLS ─220─▶ handshake (the shell's) ─▶ EHLO] ─▶ [AUTH …] ─▶ ready
//! ```
//!
//! # Contract
//! * **What was said before the handshake is forgotten** (RFC 3207 §4.2), and an octet behind the 220 ends
//!   the session: it was put there by somebody in between.
//! * **TLS that is required is had or nothing is sent**; TLS that is wanted gives way to a host that does not
//!   offer it, or says that it cannot now.
//! * **A password goes out over TLS**, unless the operator allows clear.
//! * **What a policy forbids is nobody's fault**: it says nothing about the host to others.

mod auth;

use std::fmt;

use remuda_mail::{Blame, Class, Credentials, EnhancedStatus, Failure, Protocol, Reply, Scope};

use self::auth::Mechanism;
use super::{Client, Refused, State, Step, commands, ehlo};

/// What is to come of an opening besides an introduction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// What is spoken: by LMTP we say LHLO.
    pub protocol: Protocol,
    /// How TLS is to be had.
    pub tls: WantedTls,
    /// Whom to log in as.
    pub login: Option<Login>,
}

/// How TLS is to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedTls {
    /// Not at all.
    #[default]
    None,
    /// The connection began with it.
    Begun,
    /// By STARTTLS where it is offered.
    IfOffered,
    /// By STARTTLS, or not at all.
    Required,
}

/// Whom to log in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// As whom, and with what proof.
    pub credentials: Credentials,
    /// Also without TLS.
    pub in_clear: bool,
}

/// Where an opening stands.
#[derive(Debug, Default)]
pub(super) struct Opening {
    security: Security,
    /// What is said goes over TLS.
    is_encrypted: bool,
    /// The server waits for the handshake.
    pub(super) awaits_handshake: bool,
    /// The mechanism that is under way.
    mechanism: Option<Mechanism>,
}

impl Opening {
    pub(super) fn new(security: Security) -> Self {
        Opening {
            is_encrypted: security.tls == WantedTls::Begun,
            security,
            ..Opening::default()
        }
    }
}

impl Client {
    /// The handshake that [`Want::Handshake`](super::Want::Handshake) asked for has succeeded: nothing that
    /// was said before it counts.
    pub fn secured(&mut self) {
        if let State::Opening(opening) = &mut self.state {
            debug_assert!(opening.awaits_handshake, "a handshake that was asked for");
            opening.awaits_handshake = false;
            opening.is_encrypted = true;
            self.capabilities = remuda_mail::Capabilities::default();
            self.introduce();
        }
    }

    pub(super) fn on_opening_reply(&mut self, step: Step, reply: &Reply) {
        match (step, reply.class()) {
            (Step::Greeting, Class::Positive) => self.introduce(),
            (Step::Ehlo, Class::Positive) => {
                self.capabilities = ehlo::capabilities(reply);
                self.secure();
            }
            // RFC 5321 §4.1.1.1: a server that refuses EHLO may take HELO. RFC 2033 §4.1: LMTP has none.
            (Step::Ehlo, Class::Permanent) if self.protocol == Protocol::Smtp => {
                self.introduce_as(Step::Helo, "HELO");
            }
            (Step::Helo, Class::Positive) => self.secure(),
            (Step::StartTls, _) if reply.code == 220 => self.await_handshake(),
            (Step::StartTls, Class::Transient | Class::Permanent) if reply.code != 421 => {
                self.starttls_refused(reply);
            }
            (Step::Auth, _) if reply.code != 421 => self.on_auth_reply(reply),
            _ => {
                let failure = self.line.peer.turned_away(step, reply, Scope::Endpoint);
                self.refuse(step, failure);
            }
        }
    }

    fn opening_of(&mut self) -> Option<&mut Opening> {
        match &mut self.state {
            State::Opening(opening) => Some(opening),
            _ => None,
        }
    }

    /// After an introduction: STARTTLS if it is wanted, then AUTH.
    fn secure(&mut self) {
        let is_offered = self.capabilities.starttls;
        let Some(opening) = self.opening_of() else { return };
        match opening.security.tls {
            WantedTls::IfOffered | WantedTls::Required if !opening.is_encrypted && is_offered => {
                self.say(Step::StartTls, b"STARTTLS\r\n");
            }
            WantedTls::Required if !opening.is_encrypted => {
                let peer = &self.line.peer;
                let reason = format!("TLS is required, but was not offered by host {peer}");
                self.forbid(Step::StartTls, EnhancedStatus::new(4, 7, 4), reason);
            }
            _ => self.log_in(),
        }
    }

    fn await_handshake(&mut self) {
        if let Some(opening) = self.opening_of() {
            opening.awaits_handshake = true;
        }
    }

    /// The host cannot, now: `may` goes on without.
    fn starttls_refused(&mut self, reply: &Reply) {
        let is_required = self
            .opening_of()
            .is_some_and(|opening| opening.security.tls == WantedTls::Required);
        if !is_required {
            return self.log_in();
        }
        self.forbid_as_said(Step::StartTls, reply);
    }

    /// Answers whether the shell is to make a handshake; octets that came behind the 220 end the session
    /// instead.
    pub(super) fn check_handshake(&mut self) {
        let is_awaited = matches!(&self.state, State::Opening(opening) if opening.awaits_handshake);
        if is_awaited && !self.parser.is_empty() {
            self.on_breach("sent more behind the reply to STARTTLS");
        }
    }

    fn introduce(&mut self) {
        let verb = match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        self.introduce_as(Step::Ehlo, verb);
    }

    fn introduce_as(&mut self, step: Step, verb: &str) {
        let name = if commands::is_safe_word(&self.helo_name) {
            &*self.helo_name
        } else {
            "localhost"
        };
        self.line
            .flight
            .command(step, |out| commands::introduce(verb, name, out));
        self.line.flight.release_all();
    }

    fn say(&mut self, step: Step, command: &[u8]) {
        self.line
            .flight
            .command(step, |out| out.extend_from_slice(command));
        self.line.flight.release_all();
    }

    /// Ends the opening because of what the operator demands: no fault of the host.
    fn forbid(&mut self, step: Step, status: EnhancedStatus, reason: String) {
        let failure = Failure {
            scope: Scope::Endpoint,
            blame: Blame::Policy,
            refusal: self.line.peer.refusal(status, reason),
        };
        self.refuse(step, failure);
    }

    /// The same for what the host refused.
    fn forbid_as_said(&mut self, step: Step, reply: &Reply) {
        let failure = self.line.peer.turned_away(step, reply, Scope::Endpoint);
        let failure = Failure {
            blame: Blame::Policy,
            ..failure
        };
        self.refuse(step, failure);
    }

    pub(super) fn refuse(&mut self, step: Step, failure: Failure) {
        self.state = State::Refused(Box::new(Refused { step, failure }));
        self.line.flight.clear();
    }
}

impl fmt::Debug for Client {
    /// Without what is on its way: that may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.line.peer)
            .field("state", &self.state)
            .field("capabilities", &self.capabilities)
            .field("health", &self.line.health)
            .finish_non_exhaustive()
    }
}
