//! Opening a session: connect, TLS, greeting, EHLO, AUTH.
//!
//! # Contract
//! * **A handshake that `may` fail is made up for once**: by a new connection in clear, which says when and why
//!   it is in clear.
//! * **What a policy demands and is not had is nobody's fault** ([`Blame::Policy`]): other destinations may use
//!   the host.

mod connect;

use std::sync::Arc;

use remuda_clock::{Monotonic, SharedClock, before};
use remuda_dispatch::event::DialStep;
use remuda_mail::{Blame, Clear, EnhancedStatus, Facts, Failure, Scope, Tls, TlsLevel};
use remuda_smtp::{
    client::{Client, Peer, Security, Step, Want, WantedTls},
    deadlines::client::HANDSHAKE,
};

use super::{Session, content::ContentSource, gate::Gate, order::DialOrder, wire::Wire};
use crate::{
    network::{Network, Transport},
    tls::{Clients, Problem},
};

/// A session that did not come about.
pub(super) struct NotOpened {
    pub(super) step: DialStep,
    pub(super) failure: Failure,
    /// The connection, when there is one to say QUIT on.
    pub(super) left: Option<(Wire, Client)>,
    /// The handshake has failed: `may` goes on without.
    is_without_tls: bool,
}

/// What sessions are made of.
#[derive(Clone)]
pub struct Means {
    /// Connections.
    pub network: Arc<dyn Network>,
    /// TLS over them.
    pub clients: Arc<Clients>,
    /// Contents.
    pub source: Arc<dyn ContentSource>,
    /// Who is named to the server; None: everybody.
    pub gate: Option<Arc<dyn Gate>>,
    /// Time.
    pub clock: SharedClock,
}

/// Opens a session.
pub(super) async fn dial(
    order: &DialOrder,
    means: Means,
    connected: impl Fn() + Sync,
) -> Result<Session, NotOpened> {
    let peer = Peer::new(&order.host, order.endpoint);
    let dial = Dial {
        order,
        means: &means,
        peer: &peer,
        connected: &connected,
    };
    let failed = order.security.failed_handshake;
    match dial.open(failed).await {
        Err(not_opened) if not_opened.is_without_tls && dial.may_go_without(failed) => {
            let reason = not_opened.failure.refusal.reason;
            tracing::info!(relay = %peer, reason, "no TLS with this host for an hour; goes on in clear");
            let now = means.clock.now().monotonic;
            dial.open(Some(now)).await
        }
        opened => opened,
    }
}

struct Dial<'a> {
    order: &'a DialOrder,
    means: &'a Means,
    peer: &'a Peer,
    /// Told of the TCP connection.
    connected: &'a (dyn Fn() + Sync),
}

impl Dial<'_> {
    /// Makes one connection and opens it; `failed`: in clear, because a handshake failed at that time.
    async fn open(&self, failed: Option<Monotonic>) -> Result<Session, NotOpened> {
        // The session's age counts from before connect (T20).
        let opened = self.means.clock.now().monotonic;
        let mut transport = connect::connect(self.order, self.peer, self.means).await?;
        (self.connected)();
        let mut tls = None;
        if self.order.security.tls.is_implicit(self.order.endpoint) {
            let (encrypted, had) = self.handshake(transport).await?;
            (transport, tls) = (encrypted, Some(had));
        }
        let wanted = self.wanted_tls(failed, tls.is_some());
        let mut wire = Wire::new(transport, self.means.clock.clone());
        let mut client = self.client(wanted);
        wire.begins();
        wire.advance(&mut client).await;
        if client.want() == Want::Handshake {
            let (encrypted, had) = self.handshake(wire.into_transport()).await?;
            tls = Some(had);
            wire = Wire::new(encrypted, self.means.clock.clone());
            client.secured();
            wire.begins();
            wire.advance(&mut client).await;
        }
        match client.opening() {
            Some(Ok(_)) => {
                let tls = tls.unwrap_or(Tls::Clear(match (failed, wanted) {
                    (Some(at), _) => Clear::HandshakeFailed(at),
                    (None, WantedTls::None) => Clear::ByPolicy,
                    (None, _) => Clear::NotOffered,
                }));
                Ok(self.session(wire, client, opened, tls))
            }
            Some(Err(refused)) => {
                let (step, failure) = (dial_step(refused.step), refused.failure.clone());
                Err(NotOpened {
                    left: Some((wire, client)),
                    ..not_opened(step, failure)
                })
            }
            None => Err(not_opened(DialStep::Helo, ours(self.peer))),
        }
    }

    fn may_go_without(&self, failed: Option<Monotonic>) -> bool {
        let tls = &self.order.security.tls;
        tls.level == TlsLevel::May && failed.is_none() && !tls.is_implicit(self.order.endpoint)
    }

    fn wanted_tls(&self, failed: Option<Monotonic>, is_begun: bool) -> WantedTls {
        match self.order.security.tls.level {
            _ if is_begun => WantedTls::Begun,
            TlsLevel::None => WantedTls::None,
            TlsLevel::May if failed.is_some() => WantedTls::None,
            TlsLevel::May => WantedTls::IfOffered,
            TlsLevel::Encrypt | TlsLevel::Verify => WantedTls::Required,
        }
    }

    fn client(&self, tls: WantedTls) -> Client {
        let login = self.order.security.login.clone().map(|(_, login)| login);
        let security = Security {
            protocol: self.order.protocol,
            tls,
            login,
        };
        Client::with(self.peer.clone(), self.order.helo_name.clone(), security)
    }

    async fn handshake(&self, transport: Box<dyn Transport>) -> Result<(Box<dyn Transport>, Tls), NotOpened> {
        let DialOrder {
            security,
            host,
            endpoint,
            ..
        } = self.order;
        let clock = &self.means.clock;
        let deadline = clock.now().monotonic + HANDSHAKE;
        let made = self
            .means
            .clients
            .handshake(transport, &security.tls, host, *endpoint);
        let made = before(&**clock, deadline, made).await;
        made.unwrap_or(Err(Problem::TimedOut)).map_err(|problem| {
            tracing::debug!(relay = %self.peer, %problem, "no TLS");
            let failure = self.untrusted(&problem);
            NotOpened {
                is_without_tls: true,
                ..not_opened(DialStep::Tls, failure)
            }
        })
    }

    /// RFC 3463 X.7.5: cryptographic failure.
    fn untrusted(&self, problem: &Problem) -> Failure {
        let reason = if problem.is_of_certificate() {
            format!("cannot verify host {}: {problem}", self.peer)
        } else {
            format!("no TLS with host {}: {problem}", self.peer)
        };
        Failure {
            scope: Scope::Endpoint,
            blame: Blame::Policy,
            refusal: self.peer.refusal(EnhancedStatus::new(4, 7, 5), reason),
        }
    }

    fn session(&self, mut wire: Wire, client: Client, opened: Monotonic, tls: Tls) -> Session {
        let order = self.order;
        // A greeting that was delayed says nothing of how long a message takes.
        wire.take_waited();
        let facts = Facts {
            endpoint: order.endpoint,
            protocol: order.protocol,
            source: order.source,
            host: order.host.clone(),
            helo_name: order.helo_name.clone(),
            is_tls_implicit: order.security.tls.is_implicit(order.endpoint),
            tls,
            credentials: order.security.login.as_ref().map(|(id, _)| *id),
            capabilities: client.opening().and_then(Result::ok).copied().unwrap_or_default(),
            opened,
            uses: 0,
            last_used: self.means.clock.now().monotonic,
            refused_in_a_row: 0,
            recipient_domains: Vec::new(),
        };
        Session {
            wire,
            client,
            facts,
            source: self.means.source.clone(),
            gate: self.means.gate.clone(),
            clock: self.means.clock.clone(),
        }
    }
}

fn dial_step(step: Step) -> DialStep {
    match step {
        Step::Greeting => DialStep::Greeting,
        Step::StartTls => DialStep::Tls,
        Step::Auth => DialStep::Auth,
        _ => DialStep::Helo,
    }
}

fn not_opened(step: DialStep, failure: Failure) -> NotOpened {
    NotOpened {
        step,
        failure,
        left: None,
        is_without_tls: false,
    }
}

/// The machine stopped without an answer, which it does not.
fn ours(peer: &Peer) -> Failure {
    let status = EnhancedStatus::new(4, 3, 0);
    Failure {
        scope: Scope::Session,
        blame: Blame::Us,
        refusal: peer.refusal(status, "internal error while opening a session".into()),
    }
}
