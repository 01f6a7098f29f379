//! The state machine: which command is in order, and what becomes of it.

use bytes::BytesMut;

use super::{
    Event, Hello, Profile, Wait,
    answer::Answer,
    auth::{Exchange, LOGIN_REFUSED},
    command::{Command, Mail, Rcpt},
    incoming::{Incoming, Section},
    limits::{ERRORS_MAX, IDLE_COMMANDS_MAX, REPLIES_MAX},
};

/// One session with a client.
#[derive(Debug)]
pub struct Server {
    profile: Profile,
    pub(super) hello: Option<Hello>,
    is_encrypted: bool,
    is_logged_in: bool,
    pub(super) logins_refused: u32,
    pub(super) phase: Phase,
    pub(super) transaction: Option<Transaction>,
    /// Errors in a row.
    errors: u32,
    /// Commands in a row that brought no mail.
    idle_commands: u32,
}

/// An accepted MAIL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    smtputf8: bool,
    pub recipients: usize,
}

/// What the next octets are.
#[derive(Debug)]
pub(super) enum Phase {
    /// Commands.
    Commands,
    /// The rest of an overlong line, of which this many octets were skipped.
    Overlong { skipped: usize, answer: Answer },
    /// A response of AUTH.
    Auth(Exchange),
    /// TLS's.
    Handshake,
    /// Commands once the shell has answered.
    Asked(Question),
    /// Content; between two chunks commands.
    Content(Box<Incoming>),
    /// A chunk that was refused before it began.
    Skip { octets: u64, left: u64, answer: Answer },
    /// Nobody's: the session is over.
    Closed,
}

#[derive(Debug)]
pub(super) enum Question {
    Mail { smtputf8: bool },
    Rcpt,
    Message,
    Login,
}

impl Server {
    /// A session that has not been greeted.
    pub fn new(profile: Profile) -> Self {
        Server {
            profile,
            hello: None,
            is_encrypted: false,
            is_logged_in: false,
            logins_refused: 0,
            phase: Phase::Commands,
            transaction: None,
            errors: 0,
            idle_commands: 0,
        }
    }

    /// Greets the client (220).
    pub fn greet(&mut self, output: &mut BytesMut) {
        let text = format!("{} ESMTP Remuda", self.profile.hostname);
        Answer::new(220, "", text).write(output);
    }

    /// Goes on under TLS: before the greeting, or after [`Event::StartTls`]. What the client had said before is
    /// forgotten (RFC 3207 §4.2); our counts of its errors are not its words, and stay.
    pub fn secured(&mut self) {
        (self.hello, self.transaction) = (None, None);
        self.is_encrypted = true;
        self.phase = Phase::Commands;
    }

    /// Ends the session with `answer`, wherever it stands: refused at connect, shut down, timed out.
    pub fn close(&mut self, answer: &Answer, output: &mut BytesMut) {
        answer.write(output);
        self.phase = Phase::Closed;
    }

    /// Goes by another profile from the next transaction on; owed only when [`Wait::Idle`].
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// What the session goes by.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What the client said of itself last.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Answers whether TLS is on.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Answers whether the client has logged in.
    pub fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    pub(super) fn has_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// What the machine needs octets for, after [`Event::Read`].
    pub fn wait(&self) -> Wait {
        match &self.phase {
            // Between two chunks too: a client must not stretch a message by cutting it small.
            Phase::Content(incoming) => Wait::Content {
                octets: incoming.wire,
            },
            Phase::Skip { octets, left, .. } => Wait::Content {
                octets: octets - left,
            },
            _ if self.transaction.is_some() => Wait::Command,
            _ => Wait::Idle,
        }
    }

    /// Reads on in `input`, writes replies to `output`, and says what the shell has to do.
    ///
    /// # Panics
    /// When the last event asked and was not answered, or told to begin TLS and it was not.
    pub fn next(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Event {
        loop {
            if output.len() > REPLIES_MAX {
                return Event::Flush;
            }
            let event = match &mut self.phase {
                Phase::Commands => self.read_command(input, output),
                Phase::Overlong { .. } => self.skip_line(input, output),
                Phase::Auth(_) => self.read_response(input, output),
                Phase::Skip { .. } => self.skip_chunk(input, output),
                Phase::Content(incoming) if incoming.section == Section::Between => {
                    self.read_command(input, output)
                }
                Phase::Content(_) => self.read_content(input, output),
                Phase::Handshake => unreachable!("the handshake has not ended"),
                Phase::Asked(question) => unreachable!("{question:?} was not answered"),
                Phase::Closed => Some(Event::Close),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// Answers the last event's question.
    pub fn answer(&mut self, answer: Answer, output: &mut BytesMut) {
        let phase = std::mem::replace(&mut self.phase, Phase::Commands);
        if let Phase::Asked(question) = phase {
            if answer.is_positive() && matches!(question, Question::Rcpt | Question::Message) {
                (self.errors, self.idle_commands) = (0, 0);
            }
            match question {
                Question::Message => self.transaction = None,
                Question::Login if answer.code == LOGIN_REFUSED => {
                    return self.refuse_login(&answer, output);
                }
                _ if !answer.is_positive() => {}
                Question::Mail { smtputf8 } => {
                    self.transaction = Some(Transaction {
                        smtputf8,
                        recipients: 0,
                    });
                }
                Question::Login => self.is_logged_in = true,
                Question::Rcpt => {
                    if let Some(transaction) = &mut self.transaction {
                        transaction.recipients += 1;
                    }
                }
            }
        }
        self.reply(&answer, output);
    }

    /// Refuses the message whose content is arriving; the client is told at its end.
    pub fn fail_content(&mut self, answer: Answer) {
        if let Phase::Content(incoming) = &mut self.phase {
            incoming.fail(answer);
        }
    }

    /// Writes a reply, counts errors, and closes where that is due.
    pub(super) fn reply(&mut self, answer: &Answer, output: &mut BytesMut) {
        answer.write(output);
        if answer.code >= 500 {
            self.errors += 1;
        }
        if answer.closes {
            self.phase = Phase::Closed;
        } else if self.errors > ERRORS_MAX {
            self.close(&Answer::new(421, "4.7.0", "Too many errors"), output);
        }
    }

    pub(super) fn execute(
        &mut self,
        command: Command,
        input: &BytesMut,
        output: &mut BytesMut,
    ) -> Option<Event> {
        if command.is_chatter() {
            self.idle_commands += 1;
            if self.idle_commands > IDLE_COMMANDS_MAX {
                self.close(
                    &Answer::new(421, "4.7.0", "Too many commands without mail"),
                    output,
                );
                return None;
            }
        }
        match command {
            Command::Ehlo(name) => self.greet_back(&name, true, output),
            Command::Helo(name) => self.greet_back(&name, false, output),
            Command::Mail(mail) => self.mail(mail, output),
            Command::Rcpt(rcpt) => self.rcpt(rcpt, output),
            Command::Data => self.data(output),
            Command::Bdat { octets, is_last } => self.bdat(octets, is_last, output),
            Command::Rset => {
                Answer::new(250, "2.0.0", "Ok").write(output);
                self.drop_transaction()
            }
            Command::StartTls => self.start_tls(input, output),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial.as_ref(), output),
            Command::Noop => self.say(Answer::new(250, "2.0.0", "Ok"), output),
            // RFC 5321 §3.5.3: never said who exists, always willing to try.
            Command::Vrfy => self.say(Answer::new(252, "2.1.5", "Send it and see"), output),
            Command::Expn => self.say(Answer::new(502, "5.5.1", "No lists shown"), output),
            Command::Help => self.say(Answer::new(214, "2.0.0", COMMANDS), output),
            Command::Quit => self.say(Answer::new(221, "2.0.0", "Bye").closing(), output),
        }
    }

    pub(super) fn say(&mut self, answer: Answer, output: &mut BytesMut) -> Option<Event> {
        self.reply(&answer, output);
        None
    }

    fn mail(&mut self, mail: Box<Mail>, output: &mut BytesMut) -> Option<Event> {
        let refusal = if self.hello.is_none() {
            Answer::new(503, "5.5.1", "EHLO or HELO first")
        } else if self.profile.security.needs_login && !self.is_logged_in {
            Answer::needs_login(self.is_encrypted)
        } else if self.transaction.is_some() {
            Answer::new(503, "5.5.1", "One MAIL at a time; RSET drops it")
        } else if mail.names_submitter && !self.takes_logins() {
            Answer::not_offered()
        } else if mail.size.is_some_and(|size| size > self.profile.size_max) {
            Answer::too_large()
        } else {
            self.phase = Phase::Asked(Question::Mail {
                smtputf8: mail.envelope.smtputf8,
            });
            return Some(Event::Mail(mail));
        };
        self.say(refusal, output)
    }

    fn rcpt(&mut self, rcpt: Box<Rcpt>, output: &mut BytesMut) -> Option<Event> {
        let refusal = match self.transaction {
            None => Answer::new(503, "5.5.1", "MAIL first"),
            Some(_) if matches!(self.phase, Phase::Content(_)) => Answer::between_chunks(),
            Some(transaction) if !transaction.smtputf8 && !rcpt.is_ascii() => Answer::needs_smtputf8(),
            // RFC 5321 §4.5.3.1.10.
            Some(transaction) if transaction.recipients >= self.profile.recipients_max => Answer::new(
                452,
                "4.5.3",
                "Too many recipients; send the rest in another message",
            ),
            Some(_) => {
                self.phase = Phase::Asked(Question::Rcpt);
                return Some(Event::Rcpt(rcpt));
            }
        };
        self.say(refusal, output)
    }

    /// Ends a transaction that brought no message.
    pub(super) fn drop_transaction(&mut self) -> Option<Event> {
        self.phase = Phase::Commands;
        self.forget_transaction()
    }

    pub(super) fn forget_transaction(&mut self) -> Option<Event> {
        self.transaction.take().map(|_| Event::Dropped)
    }
}

/// What HELP says: the commands that every session has.
const COMMANDS: &str = "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; RFC 5321";
