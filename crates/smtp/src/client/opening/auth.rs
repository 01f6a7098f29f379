//! AUTH to a route's host (RFC 4954): PLAIN (RFC 4616), else LOGIN.
//!
//! # Contract
//! * **Nothing is said of a password that the operator does not allow**: without TLS only if told so.
//! * **What a server asks in between is answered with what is due**, whatever it says; more questions than
//!   the mechanism has end the opening.

use remuda_mail::{Class, EnhancedStatus, Reply};

use crate::base64;

use super::{super::Client, Login, Opening, Step};

/// How to log in, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// All is said with the command.
    Plain,
    /// The user's name is due.
    LoginName,
    /// The password is due.
    LoginPassword,
    /// All of LOGIN is said.
    LoginSaid,
}

impl Client {
    /// Logs in if that is wanted; else the session is ready.
    pub(super) fn log_in(&mut self) {
        let (offers_plain, offers_login) = (self.capabilities.auth_plain, self.capabilities.auth_login);
        let Some(opening) = self.opening_of() else { return };
        let Some(login) = opening.security.login.clone() else {
            return self.ready();
        };
        if !opening.is_encrypted && !login.in_clear {
            let reason = format!("AUTH needs TLS, which there is not with host {}", self.line.peer);
            return self.forbid(Step::Auth, EnhancedStatus::new(4, 7, 11), reason);
        }
        if offers_plain {
            self.begin_auth(Mechanism::Plain, &format!("AUTH PLAIN {}\r\n", plain(&login)));
        } else if offers_login {
            self.begin_auth(Mechanism::LoginName, "AUTH LOGIN\r\n");
        } else {
            let reason = format!("host {} offers neither AUTH PLAIN nor AUTH LOGIN", self.line.peer);
            self.forbid(Step::Auth, EnhancedStatus::new(4, 7, 4), reason);
        }
    }

    fn begin_auth(&mut self, mechanism: Mechanism, command: &str) {
        if let Some(opening) = self.opening_of() {
            opening.mechanism = Some(mechanism);
        }
        self.say(Step::Auth, command.as_bytes());
    }

    pub(super) fn on_auth_reply(&mut self, reply: &Reply) {
        match reply.class() {
            Class::Positive => self.ready(),
            Class::Intermediate => match self.opening_of().and_then(next_answer) {
                Some(answer) => self.say(Step::Auth, answer.as_bytes()),
                None => {
                    let failure = self.line.peer.broke_protocol(
                        Step::Auth,
                        "asked for more than AUTH has",
                        remuda_mail::Scope::Endpoint,
                    );
                    self.refuse(Step::Auth, failure);
                }
            },
            // Whom it does not know it may know by another route.
            Class::Transient | Class::Permanent => self.forbid_as_said(Step::Auth, reply),
            Class::Invalid => {
                let scope = remuda_mail::Scope::Endpoint;
                let failure = self.line.peer.turned_away(Step::Auth, reply, scope);
                self.refuse(Step::Auth, failure);
            }
        }
    }

    fn ready(&mut self) {
        self.state = super::State::Ready;
    }
}

/// What LOGIN answers next.
fn next_answer(opening: &mut Opening) -> Option<String> {
    let credentials = &opening.security.login.as_ref()?.credentials;
    let (said, then) = match opening.mechanism? {
        Mechanism::LoginName => (&*credentials.username, Mechanism::LoginPassword),
        Mechanism::LoginPassword => (credentials.password.reveal(), Mechanism::LoginSaid),
        Mechanism::Plain | Mechanism::LoginSaid => return None,
    };
    let answer = format!("{}\r\n", base64::encode(said.as_bytes()));
    opening.mechanism = Some(then);
    Some(answer)
}

/// RFC 4616 §2: authorization identity (none), name, password.
fn plain(login: &Login) -> String {
    let credentials = &login.credentials;
    base64::encode(format!("\0{}\0{}", credentials.username, credentials.password.reveal()).as_bytes())
}
