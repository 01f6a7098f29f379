//! AUTH PLAIN and LOGIN (RFC 4954), for those whom the listener knows.
//!
//! # Contract
//! * **Only the whole and exact answer is right.** Answers are compared as they should be written; nothing
//!   is decoded.
//! * **A listener with users takes mail from them only.**

use super::{Session, Step};
use crate::{login::Login, rule::Reply, violation::ViolationKind};

/// What the next line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of PLAIN.
    Plain,
    /// The user of LOGIN.
    Name,
    /// The password of LOGIN, after this answer for the user.
    Password(String),
}

impl Session {
    /// Whether the next line is an answer to a question of AUTH, not a command.
    pub fn asks(&self) -> bool {
        self.asked.is_some()
    }

    /// Answers AUTH.
    pub(super) fn auth(&mut self, mechanism: &str, initial: &str, scripted: Option<&Reply>) -> Step {
        if !self.offer.is_some_and(|offer| offer.auth) {
            return self.refuse(ViolationKind::UnknownCommand, "502 5.5.1 AUTH is not offered\r\n");
        }
        if self.user.is_some() || self.transaction.is_some() {
            return self.refuse(ViolationKind::BadSequence, "503 5.5.1 not now\r\n");
        }
        if let Some(reply) = scripted {
            return self.scripted(reply);
        }
        match (mechanism, initial) {
            ("PLAIN", "") => self.ask(Asked::Plain, "334 \r\n"),
            ("PLAIN", answer) => self.check(answer, Login::plain),
            ("LOGIN", "") => self.ask(Asked::Name, "334 VXNlcm5hbWU6\r\n"),
            ("LOGIN", name) => self.ask(Asked::Password(name.to_owned()), "334 UGFzc3dvcmQ6\r\n"),
            _ => self.refuse(ViolationKind::BadSyntax, "504 5.5.4 no such mechanism\r\n"),
        }
    }

    /// Takes an answer.
    pub fn answer_auth(&mut self, answer: &str) -> Step {
        self.is_group_end = true;
        match self.asked.take() {
            Some(Asked::Plain) => self.check(answer, Login::plain),
            Some(Asked::Name) => self.ask(Asked::Password(answer.to_owned()), "334 UGFzc3dvcmQ6\r\n"),
            Some(Asked::Password(name)) => self.check(&format!("{name} {answer}"), Login::name_and_password),
            None => Step::Continue,
        }
    }

    fn ask(&mut self, asked: Asked, question: &str) -> Step {
        self.asked = Some(asked);
        self.say(question)
    }

    fn check(&mut self, answer: &str, right: impl Fn(&Login) -> String) -> Step {
        let known = self.listener.auth.iter().find(|login| right(login) == answer);
        self.user = known.map(|login| login.user.clone());
        match self.user {
            Some(_) => self.say("235 2.7.0 welcome\r\n"),
            None => self.say("535 5.7.8 nobody known\r\n"),
        }
    }
}
