//! A session's TLS and login: what the machine announces, done.
//!
//! # Contract
//! * **A handshake ends in time**, and at a stop at once: nothing is in hand yet.
//! * **A wrong login is answered late**, as `logins` says; the end of the server does not wait for it.
//! * **Who has logged in sends as an address of its own** (553 5.7.1), or without a sender while the account may
//!   send at all; where that cannot be told now, later (451 4.3.0).
//! * **No password is logged**, and of a refused login the name only where it is an address: people type their
//!   passwords into the wrong field.

use remuda_mail::{Address, Credentials, Sender};
use remuda_smtp::{
    deadlines::server::{COMMAND, HANDSHAKE},
    server::Answer,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    authenticator::{Identity, Login, Owns},
    logins::CHECK_MAX,
    session::Session,
    store::Store,
    wire::Lost,
};
use crate::tls::Problem;

impl<S: Store, Io: AsyncRead + AsyncWrite + Unpin> Session<S, Io> {
    /// Makes the handshake, and tells the machine.
    pub(super) async fn begin_tls(&mut self) -> Result<(), Lost> {
        let Some(acceptor) = self.offer.acceptor().cloned() else {
            return Err(Lost);
        };
        let deadline = self.shared.clock.now().monotonic + HANDSHAKE;
        let made = self.wire.secure(&acceptor, deadline).await;
        self.shared.metrics.handshake(made.as_ref());
        match made {
            Ok(secured) => {
                self.tls = Some(secured);
                self.server.secured();
                self.command_until = self.shared.clock.now().monotonic + COMMAND;
                Ok(())
            }
            Err(problem) => {
                tracing::info!(client = %self.client, problem = %said_of(&problem), "TLS handshake failed");
                Err(Lost)
            }
        }
    }

    /// Checks a login and answers it.
    pub(super) async fn log_in(&mut self, credentials: Credentials) -> Result<(), Lost> {
        let shared = self.shared.clone();
        let check = shared.logins.check(self.client, &credentials);
        let (login, told_at) = self.wire.unless_ended(check).await?;
        self.shared.metrics.login(&login);
        self.wire.pause(told_at).await?;
        let answer = match login {
            Login::Accepted(identity) => {
                tracing::info!(client = %self.client, login = %identity.address, "logged in");
                self.identity = Some(identity);
                Answer::new(235, "2.7.0", "Logged in")
            }
            Login::Rejected => {
                let answer = Answer::login_refused();
                let login = credentials.username.parse::<Address>().ok();
                let login = login.as_ref().map(tracing::field::display);
                tracing::info!(client = %self.client, login, reply = %answer, "login refused");
                answer
            }
            Login::Unavailable => {
                tracing::warn!(client = %self.client, "login cannot be checked");
                Answer::new(454, "4.7.0", "Cannot check logins now, try again later")
            }
            Login::TooMany => {
                tracing::info!(client = %self.client, "login put off: too many");
                Answer::new(454, "4.7.0", "Too many logins, try again later")
            }
        };
        self.answer(answer);
        Ok(())
    }

    /// Why one who has logged in may not send as `sender`, if that is so.
    pub(super) async fn sender_refusal(&mut self, sender: &Sender) -> Result<Option<Answer>, Lost> {
        let Some(identity) = self.identity.clone() else {
            return Ok(None);
        };
        let owns = self.ask_owner(&identity, sender.0.as_ref()).await?;
        let answer = match owns {
            Owns::Yes => return Ok(None),
            Owns::No => Answer::new(553, "5.7.1", "You may not send as this address"),
            Owns::Unavailable => Answer::new(451, "4.3.0", "Cannot check the sender now, try again later"),
        };
        tracing::info!(
            client = %self.client,
            login = %identity.address,
            from = %format_args!("<{sender}>"),
            reply = %answer,
            "sender refused"
        );
        Ok(Some(answer))
    }

    async fn ask_owner(&mut self, identity: &Identity, sender: Option<&Address>) -> Result<Owns, Lost> {
        let shared = self.shared.clone();
        let Some(authenticator) = shared.logins.authenticator() else {
            return Ok(Owns::Unavailable);
        };
        let deadline = shared.clock.now().monotonic + CHECK_MAX;
        let asked = authenticator.owns(identity, sender.unwrap_or(&identity.address));
        let owns = self
            .wire
            .unless_ended(remuda_clock::before(&*shared.clock, deadline, asked));
        Ok(owns.await?.unwrap_or(Owns::Unavailable))
    }
}

/// The problem in words that fit a client: most of them are about a server's certificate.
fn said_of(problem: &Problem) -> String {
    match problem {
        Problem::Handshake(what) => what.clone(),
        Problem::TimedOut => "it took too long".to_owned(),
        other => other.to_string(),
    }
}
