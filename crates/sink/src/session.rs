//! The receiver's state machine: a command in, a reply into the buffer, and what to do next.
//!
//! It knows nothing of sockets and time; [`connection`](crate::connection) feeds it, and decides with
//! the script when and whether a reply goes out.
//!
//! # Contract
//! * **Protocol errors come first**: a command at the wrong time gets the reply it deserves and is a
//!   violation, whatever the script has for it.
//! * **What follows a refused MAIL in the same flight is no violation**: the client could not know
//!   (RFC 2920 §3.1).
//! * **Only a final reply of 2xx makes a message accepted.**

mod auth;
mod checks;
mod content;
mod transaction;

use std::{collections::HashSet, sync::Arc};

use crate::{
    certificate::TlsMode,
    command::{Command, Path, Verb},
    config::{Keep, Listener},
    offer::{self, Offer},
    report::Accepted,
    rule::Reply,
    selector::Point,
    violation::ViolationKind,
};

use self::{auth::Asked, checks::Refusal, transaction::Transaction};

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next command.
    Continue,
    /// The handshake, once the reply is out.
    StartTls,
    /// The content of DATA.
    Data,
    /// A chunk, whatever its fate.
    Chunk { length: u64, is_last: bool },
    /// The end, once the replies are out.
    Close,
}

/// The state of one connection's conversation.
#[derive(Debug)]
pub(crate) struct Session {
    listener: Arc<Listener>,
    keeps: Keep,
    connection: u64,
    /// Replies that have not been sent.
    pub out: Vec<u8>,
    /// Violations that have not been counted.
    pub violations: Vec<ViolationKind>,
    /// Violations inside the content, with the text around them.
    pub content_violations: Vec<(ViolationKind, String)>,
    /// Transactions that have ended but whose reply has not been sent.
    pub ended: Vec<Option<Accepted>>,
    /// The last command must be the last of its group (RFC 2920 §3.1).
    pub is_group_end: bool,
    offer: Option<Offer>,
    is_encrypted: bool,
    /// What AUTH has asked for.
    asked: Option<Asked>,
    /// Who has logged in.
    user: Option<String>,
    transaction: Option<Transaction>,
    /// MAIL was refused in the flight that is being read.
    was_mail_refused: bool,
    mails: u64,
    transactions: u64,
    domains: HashSet<String>,
}

impl Session {
    pub fn new(listener: Arc<Listener>, keeps: Keep, connection: u64) -> Self {
        Session {
            listener,
            keeps,
            connection,
            out: Vec::new(),
            violations: Vec::new(),
            content_violations: Vec::new(),
            ended: Vec::new(),
            is_group_end: false,
            offer: None,
            is_encrypted: false,
            asked: None,
            user: None,
            transaction: None,
            was_mail_refused: false,
            mails: 0,
            transactions: 0,
            domains: HashSet::new(),
        }
    }

    /// Whether TLS begins with the connection.
    pub fn is_tls_implicit(&self) -> bool {
        self.listener.tls.is_some() && self.listener.tls_mode == TlsMode::Implicit
    }

    /// Whether several commands may come at once.
    pub fn offers_pipelining(&self) -> bool {
        self.offer.is_some_and(|offer| offer.pipelining)
    }

    /// The replies have been sent: the client knows them now.
    pub fn replies_are_out(&mut self) {
        self.out.clear();
        self.is_group_end = false;
        self.was_mail_refused = false;
    }

    /// Greets; says whether the conversation goes on.
    pub fn greet(&mut self, scripted: Option<&Reply>) -> Step {
        match scripted {
            Some(reply) => self.scripted(reply),
            None => {
                let greeting = format!("220 {} ESMTP sink\r\n", self.listener.hostname);
                self.say(&greeting)
            }
        }
    }

    /// The point of the script that a command is, with its address.
    pub fn point<'a>(command: &Command<'a>) -> Option<(Point, &'a str)> {
        match command {
            Command::Ehlo | Command::Helo => Some((Point::Helo, "")),
            Command::Mail(path) => Some((Point::Mail, path.address)),
            Command::Rcpt(path) => Some((Point::Rcpt, path.address)),
            Command::Data => Some((Point::Data, "")),
            Command::StartTls => Some((Point::StartTls, "")),
            Command::Auth(..) => Some((Point::Auth, "")),
            Command::Rset => Some((Point::Rset, "")),
            Command::Quit => Some((Point::Quit, "")),
            // BDAT is answered behind its chunk.
            _ => None,
        }
    }

    /// Answers a command.
    pub fn answer(&mut self, command: &Command<'_>, scripted: Option<&Reply>) -> Step {
        self.is_group_end = command.ends_group();
        match command {
            Command::Ehlo => self.hello(Offer::of(&self.listener, self.is_encrypted), scripted),
            Command::Helo => self.hello(Offer::default(), scripted),
            Command::Mail(path) => self.mail(path, scripted),
            Command::Rcpt(path) => self.rcpt(path, scripted),
            Command::Data => self.data(scripted),
            Command::Bdat { length, is_last } => Step::Chunk {
                length: *length,
                is_last: *is_last,
            },
            Command::StartTls => self.start_tls(scripted),
            Command::Auth(mechanism, initial) => self.auth(mechanism, initial, scripted),
            Command::Rset => {
                self.transaction = None;
                self.scripted_or(scripted, "250 2.0.0 ok\r\n")
            }
            Command::Quit => {
                self.scripted_or(scripted, "221 2.0.0 bye\r\n");
                Step::Close
            }
            Command::Noop => self.say("250 2.0.0 ok\r\n"),
            Command::Vrfy => self.say("252 2.1.5 send it and see\r\n"),
            Command::Expn => self.say("502 5.5.1 no lists here\r\n"),
            Command::Help => self.say("214 2.0.0 a scripted receiver for tests\r\n"),
            Command::Malformed(verb, why) => self.malformed(*verb, why),
            Command::Unknown => {
                self.violations.push(ViolationKind::UnknownCommand);
                self.say("500 5.5.1 unknown command\r\n")
            }
        }
    }

    fn hello(&mut self, offer: Offer, scripted: Option<&Reply>) -> Step {
        if let Some(reply) = scripted {
            if reply.is_positive() {
                self.offer = Some(Offer::default());
            }
            return self.scripted(reply);
        }
        self.transaction = None;
        self.offer = Some(offer);
        if offer == Offer::default() {
            let reply = format!("250 {}\r\n", self.listener.hostname);
            self.say(&reply)
        } else {
            let reply = offer::ehlo_reply(&self.listener, offer);
            self.say(&reply)
        }
    }

    fn start_tls(&mut self, scripted: Option<&Reply>) -> Step {
        if !self.offer.is_some_and(|offer| offer.starttls) {
            return self.refuse(
                ViolationKind::UnknownCommand,
                "502 5.5.1 STARTTLS is not offered\r\n",
            );
        }
        if self.transaction.is_some() {
            return self.refuse(
                ViolationKind::BadSequence,
                "503 5.5.1 not inside a transaction\r\n",
            );
        }
        match scripted {
            Some(reply) if reply.code() != 220 => self.scripted(reply),
            Some(reply) => {
                self.scripted(reply);
                Step::StartTls
            }
            None => {
                self.say("220 2.0.0 go ahead\r\n");
                Step::StartTls
            }
        }
    }

    /// The handshake has succeeded: the client has to introduce itself again (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        self.is_encrypted = true;
        self.offer = None;
        self.transaction = None;
    }

    fn mail(&mut self, path: &Path<'_>, scripted: Option<&Reply>) -> Step {
        self.mails += 1;
        let declared = match self.check_mail(path) {
            Ok(declared) => declared,
            Err(refusal) => {
                self.was_mail_refused = true;
                return self.refuse_by(refusal);
            }
        };
        if let Some(reply) = scripted.filter(|reply| !reply.is_positive()) {
            self.was_mail_refused = true;
            return self.scripted(reply);
        }
        self.transaction = Some(Transaction::new(path, declared));
        self.scripted_or(scripted, "250 2.1.0 ok\r\n")
    }

    fn rcpt(&mut self, path: &Path<'_>, scripted: Option<&Reply>) -> Step {
        if self.transaction.is_none() {
            return self.without_transaction("503 5.5.1 MAIL first\r\n");
        }
        let mut refusal = self.check_rcpt(path).err();
        if refusal.is_none() && scripted.is_none_or(Reply::is_positive) {
            refusal = self.check_domain(path).err();
        }
        let is_accepted = refusal.is_none() && scripted.is_none_or(Reply::is_positive);
        if let Some(transaction) = &mut self.transaction {
            if is_accepted {
                transaction.add(path);
            } else {
                transaction.was_rcpt_refused = true;
            }
        }
        match refusal {
            Some(refusal) => self.refuse_by(refusal),
            None => self.scripted_or(scripted, "250 2.1.5 ok\r\n"),
        }
    }

    fn malformed(&mut self, verb: Verb, why: &str) -> Step {
        self.violations.push(ViolationKind::BadSyntax);
        match verb {
            Verb::Mail => self.was_mail_refused = true,
            Verb::Rcpt => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.was_rcpt_refused = true;
                }
            }
            Verb::Helo | Verb::Data | Verb::Bdat | Verb::Other => {}
        }
        let reply = format!("501 5.5.4 {why}\r\n");
        self.say(&reply);
        // Nobody knows where the next command begins.
        if verb == Verb::Bdat {
            Step::Close
        } else {
            Step::Continue
        }
    }

    /// RCPT, DATA or BDAT without MAIL: no violation when the client cannot know yet.
    fn without_transaction(&mut self, reply: &str) -> Step {
        if !self.was_mail_refused {
            self.violations.push(ViolationKind::BadSequence);
        }
        self.say(reply)
    }

    fn refuse(&mut self, kind: ViolationKind, reply: &str) -> Step {
        self.violations.push(kind);
        self.say(reply)
    }

    fn refuse_by(&mut self, refusal: Refusal) -> Step {
        self.violations.extend(refusal.kind);
        self.say(refusal.reply)
    }

    fn scripted_or(&mut self, scripted: Option<&Reply>, usual: &str) -> Step {
        match scripted {
            Some(reply) => self.scripted(reply),
            None => self.say(usual),
        }
    }

    fn scripted(&mut self, reply: &Reply) -> Step {
        reply.write(&mut self.out);
        if reply.code() == 421 {
            Step::Close
        } else {
            Step::Continue
        }
    }

    fn say(&mut self, reply: &str) -> Step {
        self.out.extend_from_slice(reply.as_bytes());
        if reply.starts_with("421") {
            Step::Close
        } else {
            Step::Continue
        }
    }
}
