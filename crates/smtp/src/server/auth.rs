//! AUTH (RFC 4954): PLAIN (RFC 4616) and LOGIN, from the client's octets to one login and its password.
//!
//! ```text
//!   AUTH PLAIN [response]  ─▶ 334 ─▶ response ──────────────────────┐
//!   AUTH LOGIN [name]      ─▶ 334 Username: ─▶ 334 Password: ───────┴▶ Event::Login
//! ```
//!
//! # Contract
//! * **Nothing is asked before TLS**, nor without EHLO, within a transaction, or after a login.
//! * **A broken exchange is over** (501), `*` cancels it, and the next line is a command again.
//! * **A login is a name and a password without control characters**: no octet of it ends a line or a text.
//! * **A session ends after [`LOGINS_REFUSED_MAX`] refusals**, with 421 behind the last.
//! * **No password is in a log, in `Debug` or in a panic.**
//!
//! # Not here
//! Whether the password is right, and how long the answer to a wrong one waits: the engine.

use std::str;

use bytes::BytesMut;
use remuda_mail::{Credentials, Secret};

use super::{
    Event, Server,
    answer::Answer,
    input::{Line, take_line},
    limits::{AUTH_LINE_MAX, LOGINS_REFUSED_MAX},
    machine::{Phase, Question},
};
use crate::base64;

/// What we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

/// What the client's next line is to be.
#[derive(Debug)]
pub(super) enum Exchange {
    /// All of PLAIN.
    Plain,
    /// LOGIN's name.
    Name,
    /// LOGIN's password.
    Password { name: String },
}

/// What a response leads to.
enum Turn {
    Asks(Exchange),
    Said(Credentials),
    Ends(Answer),
}

impl Mechanism {
    /// The one of this name (RFC 4422 §3.1: in any case).
    pub(super) fn named(name: &str) -> Option<Self> {
        [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)]
            .into_iter()
            .find_map(|(known, mechanism)| known.eq_ignore_ascii_case(name).then_some(mechanism))
    }
}

impl Exchange {
    fn new(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::Name,
        }
    }

    /// What we ask for, behind 334.
    fn challenge(&self) -> String {
        match self {
            Exchange::Plain => String::new(),
            Exchange::Name => base64::encode(b"Username:"),
            Exchange::Password { .. } => base64::encode(b"Password:"),
        }
    }

    /// Takes a response in base64.
    fn take(self, response: &str) -> Turn {
        let Some(text) = base64::decode(response).and_then(|octets| String::from_utf8(octets).ok()) else {
            return Turn::Ends(malformed());
        };
        match self {
            Exchange::Plain => plain(&text),
            Exchange::Name if is_sound(&text) => Turn::Asks(Exchange::Password { name: text }),
            Exchange::Password { name } if is_sound(&text) => Turn::Said(credentials(&name, &text)),
            Exchange::Name | Exchange::Password { .. } => Turn::Ends(malformed()),
        }
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`.
fn plain(text: &str) -> Turn {
    let mut parts = text.split('\0');
    let (Some(act_as), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Turn::Ends(malformed());
    };
    if !is_sound(name) || !is_sound(password) {
        return Turn::Ends(malformed());
    }
    // Nobody acts for another here; and the password is not even looked at.
    if !act_as.is_empty() && act_as != name {
        return Turn::Ends(Answer::login_refused());
    }
    Turn::Said(credentials(name, password))
}

fn credentials(name: &str, password: &str) -> Credentials {
    Credentials {
        username: name.into(),
        password: Secret::new(password),
    }
}

/// RFC 4616 §2 wants one character at least, and its preparation (RFC 4013 §2.3) allows no controls.
fn is_sound(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// RFC 4954 §4: what cannot be decoded.
fn malformed() -> Answer {
    Answer::new(501, "5.5.2", "Cannot decode this response")
}

impl Server {
    pub(super) fn auth(
        &mut self,
        mechanism: Option<Mechanism>,
        initial: Option<&Secret>,
        output: &mut BytesMut,
    ) -> Option<Event> {
        if let Some(refusal) = self.auth_refusal() {
            return self.say(refusal, output);
        }
        let Some(mechanism) = mechanism else {
            return self.say(Answer::new(504, "5.5.4", "PLAIN and LOGIN only"), output);
        };
        let exchange = Exchange::new(mechanism);
        match initial.map(Secret::reveal) {
            None => self.ask(exchange, output),
            // RFC 4954 §4: an empty response; no mechanism of ours has one.
            Some("=") => self.end_auth(&malformed(), output),
            Some(response) => self.turn(exchange.take(response), output),
        }
    }

    /// Why a login may not begin, if it may not.
    fn auth_refusal(&self) -> Option<Answer> {
        if !self.profile().security.offers_auth {
            Some(Answer::new(502, "5.5.1", "AUTH not offered here"))
        } else if let Some(refusal) = self.out_of_place() {
            Some(refusal)
        } else if self.is_logged_in() {
            // RFC 4954 §4: once a session.
            Some(Answer::new(503, "5.5.1", "Logged in already"))
        } else if !self.is_encrypted() {
            Some(Answer::new(538, "5.7.11", "AUTH needs TLS; STARTTLS first"))
        } else {
            None
        }
    }

    fn ask(&mut self, exchange: Exchange, output: &mut BytesMut) -> Option<Event> {
        Answer::new(334, "", exchange.challenge()).write(output);
        self.phase = Phase::Auth(exchange);
        None
    }

    /// Reads the response that was asked for.
    pub(super) fn read_response(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        let line = match take_line(input, AUTH_LINE_MAX) {
            Line::Whole(line) => line,
            Line::Unfinished => return Some(Event::Read),
            Line::TooLong => {
                let answer = Answer::new(500, "5.5.6", "Line too long");
                self.phase = Phase::Overlong { skipped: 0, answer };
                return None;
            }
            Line::Bare => {
                self.bare_newline(output);
                return None;
            }
        };
        let Phase::Auth(exchange) = std::mem::replace(&mut self.phase, Phase::Commands) else {
            return None;
        };
        let turn = match str::from_utf8(&line[..line.len() - 2]) {
            Ok("*") => Turn::Ends(Answer::new(501, "5.7.0", "Login cancelled")),
            Ok(response) => exchange.take(response),
            Err(_) => Turn::Ends(malformed()),
        };
        self.turn(turn, output)
    }

    fn turn(&mut self, turn: Turn, output: &mut BytesMut) -> Option<Event> {
        match turn {
            Turn::Asks(exchange) => self.ask(exchange, output),
            Turn::Said(credentials) => {
                self.phase = Phase::Asked(Question::Login);
                Some(Event::Login(Box::new(credentials)))
            }
            Turn::Ends(answer) => self.end_auth(&answer, output),
        }
    }

    fn end_auth(&mut self, answer: &Answer, output: &mut BytesMut) -> Option<Event> {
        self.phase = Phase::Commands;
        if answer.code == LOGIN_REFUSED {
            self.refuse_login(answer, output);
        } else {
            self.reply(answer, output);
        }
        None
    }

    /// Says that a login was refused; the last one that a session has ends it.
    pub(super) fn refuse_login(&mut self, answer: &Answer, output: &mut BytesMut) {
        self.reply(answer, output);
        self.logins_refused += 1;
        if self.logins_refused >= LOGINS_REFUSED_MAX && !matches!(self.phase, Phase::Closed) {
            self.close(&Answer::new(421, "4.7.0", "Too many refused logins"), output);
        }
    }
}

/// RFC 4954 §6: the code of credentials that are not right.
pub(super) const LOGIN_REFUSED: u16 = 535;
