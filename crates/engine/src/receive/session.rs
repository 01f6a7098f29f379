//! One client's session: moves octets between the stream and the server machine, and answers what the
//! machine asks.
//!
//! # Contract
//! * **One read and one write a flight**: replies go out when the input is used up.
//! * **A half command, a slow one or a slow message ends the session in time** (421 4.4.2).
//! * **At a stop idle clients get 421; a transaction in hand is finished first.**
//! * **A reload is seen at the next transaction.**
//! * **What is refused for good is in the log**, with the reply that the client got.
//!
//! # Not here
//! The protocol (`remuda_smtp::server`), time limits (`remuda_smtp::deadlines`); the content (`submit`), TLS and
//! logins (`security`).

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_smtp::{
    deadlines::server::{COMMAND, CONTENT_BLOCK},
    server::{Answer, BareNewline, Event, Mail, Profile, Server, Wait, limits::content_wait_in_all},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Shared, Snapshot,
    accept::Visitor,
    authenticator::Identity,
    offers::Offer,
    recipient,
    store::Store,
    transaction::{Message, Transaction},
    wire::{Heard, Lost, Wire},
};
use crate::{admission::Admission, settings, tls::Secured};

/// A session and what it owns.
pub(super) struct Session<S, Io> {
    pub shared: Arc<Shared<S>>,
    pub snapshot: Arc<Snapshot>,
    pub client: IpAddr,
    /// The listener that it came by, as the settings count them.
    place: Option<usize>,
    /// What that offers.
    pub offer: Arc<Offer>,
    pub is_relay: bool,
    /// What TLS has agreed on, once it is on.
    pub tls: Option<Secured>,
    /// Who has logged in.
    pub identity: Option<Identity>,
    pub wire: Wire<Io>,
    pub server: Server,
    pub transaction: Option<Transaction>,
    pub message: Option<Message>,
    /// When the command that is awaited must be whole.
    pub command_until: Monotonic,
    /// Time spent waiting for this message's content.
    content_waited: Duration,
    read_size: usize,
}

/// Octets that a fresh session reads at once, and at most.
const READ_SIZE_MIN: usize = 4 * 1024;
const READ_SIZE_MAX: usize = 64 * 1024;
/// The same while no content is expected: what an idle session keeps.
const READ_SIZE_IDLE_MAX: usize = 16 * 1024;
/// Octets of content that are read at once from the first: most messages with one or two reads.
const READ_CONTENT_MIN: usize = 16 * 1024;

impl<S: Store, Io: AsyncRead + AsyncWrite + Unpin> Session<S, Io> {
    pub(super) fn new(shared: Arc<Shared<S>>, visitor: Visitor, wire: Wire<Io>) -> Self {
        let Visitor { ip: client, place } = visitor;
        let snapshot = shared.snapshot();
        let offer = snapshot.offer(place);
        let is_relay = snapshot.settings.is_relay_client(client);
        Session {
            server: Server::new(profile(&snapshot, &offer, is_relay)),
            shared,
            snapshot,
            client,
            place,
            offer,
            is_relay,
            tls: None,
            identity: None,
            wire,
            transaction: None,
            message: None,
            command_until: Monotonic::ZERO,
            content_waited: Duration::ZERO,
            read_size: READ_SIZE_MIN,
        }
    }

    /// Holds the session to its end.
    pub(super) async fn run(mut self) {
        let is_implicit = self.offer.at_once().is_some();
        match self.shared.admission(&self.snapshot) {
            Admission::RefuseConnect(reason) => {
                tracing::info!(client = %self.client, %reason, "connection refused");
                self.shared.metrics.refused_sessions.inc();
                // Nobody is worth a handshake now, only to be told so.
                if is_implicit {
                    return;
                }
                self.close("4.3.2", "Too busy, try again later");
            }
            _ if is_implicit && self.begin_tls().await.is_err() => return,
            _ => self.server.greet(&mut self.wire.output),
        }
        if self.converse().await.is_ok() {
            self.wire.farewell().await;
        }
    }

    async fn converse(&mut self) -> Result<(), Lost> {
        loop {
            let written = self.wire.output.len();
            let event = self.server.next(&mut self.wire.input, &mut self.wire.output);
            self.log_refusals(written);
            match event {
                Event::Read => self.listen().await?,
                Event::Flush => self.wire.flush().await?,
                Event::StartTls => {
                    self.wire.flush().await?;
                    self.begin_tls().await?;
                }
                Event::Login(credentials) => self.log_in(*credentials).await?,
                Event::Mail(mail) => self.mail(*mail).await?,
                Event::Rcpt(rcpt) => self.rcpt(*rcpt).await,
                Event::Begin => self.begin(),
                Event::Content(piece) => self.content(&piece).await,
                Event::Message => self.submit().await,
                Event::Dropped => (self.transaction, self.message) = (None, None),
                Event::Close => return Ok(()),
            }
        }
    }

    /// Logs what the machine itself refused for good since `written` octets of output. What is refused here is
    /// logged where it is decided.
    fn log_refusals(&self, written: usize) {
        for reply in refusals(&self.wire.output[written..]) {
            let from = self
                .transaction
                .as_ref()
                .map(|transaction| tracing::field::display(format!("<{}>", transaction.envelope.sender)));
            tracing::info!(client = %self.client, from, reply = %reply, "refused");
        }
    }

    /// Writes what was answered and waits for more.
    async fn listen(&mut self) -> Result<(), Lost> {
        let wait = self.server.wait();
        // Half a command is no transaction.
        if wait == Wait::Idle && self.wire.is_stopping() {
            self.close("4.3.2", "Shutting down");
            return Ok(());
        }
        let has_answered = !self.wire.output.is_empty();
        self.wire.flush().await?;
        let now = self.shared.clock.now().monotonic;
        let (size, deadline) = if let Wait::Content { octets } = wait {
            let left = content_wait_in_all(octets).saturating_sub(self.content_waited);
            (
                self.read_size.max(READ_CONTENT_MIN),
                now + left.min(CONTENT_BLOCK),
            )
        } else {
            self.content_waited = Duration::ZERO;
            // Not with every octet: a command must be whole in time.
            if has_answered {
                self.command_until = now + COMMAND;
            }
            (self.read_size.min(READ_SIZE_IDLE_MAX), self.command_until)
        };
        let heard = self.wire.read(size, deadline).await;
        if let Wait::Content { .. } = wait {
            self.content_waited += self.shared.clock.now().monotonic.since(now);
        }
        if self.wire.input.len() >= size {
            self.read_size = (size * 4).min(READ_SIZE_MAX);
        }
        match heard {
            Heard::Octets if wait == Wait::Idle => self.refresh(),
            Heard::Octets | Heard::Stopping => {}
            Heard::TimedOut => self.close("4.4.2", "Timed out waiting for you"),
            Heard::End => return Err(Lost),
        }
        Ok(())
    }

    /// Goes by the newest settings.
    fn refresh(&mut self) {
        let snapshot = self.shared.snapshot();
        if !Arc::ptr_eq(&snapshot, &self.snapshot) {
            self.is_relay = snapshot.settings.is_relay_client(self.client);
            self.offer = snapshot.offer(self.place);
            self.server
                .set_profile(profile(&snapshot, &self.offer, self.is_relay));
            self.snapshot = snapshot;
        }
    }

    fn close(&mut self, status: &'static str, text: &'static str) {
        let answer = Answer::new(421, status, text);
        self.server.close(&answer, &mut self.wire.output);
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.server.answer(answer, &mut self.wire.output);
    }

    async fn mail(&mut self, mail: Mail) -> Result<(), Lost> {
        let admission = self.shared.admission(&self.snapshot);
        if let Some(reason) = admission.reason() {
            tracing::info!(client = %self.client, %reason, "mail refused for now");
            self.answer(Answer::new(
                452,
                reason.status(),
                "Cannot take mail now, try again later",
            ));
            return Ok(());
        }
        if let Some(refusal) = self.sender_refusal(&mail.envelope.sender).await? {
            self.answer(refusal);
            return Ok(());
        }
        let expected = Some(self.shared.store.expect());
        let mut transaction = Transaction::new(mail.envelope, mail.size, expected);
        transaction.limit_size(self.sender_size_max(&transaction.envelope.sender).await);
        if transaction.is_too_large() {
            self.answer(recipient::too_large());
            return Ok(());
        }
        self.transaction = Some(transaction);
        self.answer(Answer::new(250, "2.1.0", "Ok"));
        Ok(())
    }
}

/// The lines of `replies` that end something for good: 5xx, and 421.
fn refusals(replies: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    replies
        .split(|octet| *octet == b'\n')
        .filter(|line| line.starts_with(b"5") || line.starts_with(b"421"))
        .map(|line| String::from_utf8_lossy(line.trim_ascii_end()))
}

/// What a client is told and held to.
fn profile(snapshot: &Snapshot, offer: &Offer, is_relay: bool) -> Profile {
    let settings = &snapshot.settings;
    Profile {
        hostname: settings.hostname.clone(),
        size_max: settings.limits.message_size,
        recipients_max: settings.limits.recipients_per_message,
        security: offer.security(),
        bare_newline: match settings.relay.bare_newline {
            settings::BareNewline::Normalize if is_relay => BareNewline::Normalize,
            _ => BareNewline::Reject,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::refusals;

    #[test]
    fn what_is_refused_for_good_is_in_the_log() {
        let replies =
            b"250-mx 5\r\n250 PIPELINING\r\n552 5.3.4 Too large\r\n452 4.5.3 Later\r\n421 4.7.0 Errors\r\n";
        let logged: Vec<_> = refusals(replies).collect();
        assert_eq!(logged, ["552 5.3.4 Too large", "421 4.7.0 Errors"]);
    }
}
