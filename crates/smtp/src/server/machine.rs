//! The state machine: which command is in order, and what becomes of it.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{
    Event, Hello, Profile, Wait,
    answer::{Answer, write_lines},
    command::{Command, Mail, Rcpt},
    incoming::{Incoming, Section, read_max},
    limits::{ERRORS_MAX, IDLE_COMMANDS_MAX, REPLIES_MAX},
};

/// One session with a client.
#[derive(Debug)]
pub struct Server {
    profile: Profile,
    hello: Option<Hello>,
    pub(super) phase: Phase,
    transaction: Option<Transaction>,
    /// Errors in a row.
    errors: u32,
    /// Commands in a row that brought no mail.
    idle_commands: u32,
}

/// An accepted MAIL.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    smtputf8: bool,
    recipients: usize,
}

/// What the next octets are.
#[derive(Debug)]
pub(super) enum Phase {
    /// Commands.
    Commands,
    /// The rest of an overlong line, of which this many octets were skipped.
    Overlong(usize),
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
}

impl Server {
    /// A session that has not been greeted.
    pub fn new(profile: Profile) -> Self {
        Server {
            profile,
            hello: None,
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
    /// When the last event asked and was not answered.
    pub fn next(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Event {
        loop {
            if output.len() > REPLIES_MAX {
                return Event::Flush;
            }
            let event = match &mut self.phase {
                Phase::Commands => self.read_command(input, output),
                Phase::Overlong(_) => self.skip_line(input, output),
                Phase::Skip { .. } => self.skip_chunk(input, output),
                Phase::Content(incoming) if incoming.section == Section::Between => {
                    self.read_command(input, output)
                }
                Phase::Content(_) => self.read_content(input, output),
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
            if answer.is_positive() && !matches!(question, Question::Mail { .. }) {
                (self.errors, self.idle_commands) = (0, 0);
            }
            match question {
                Question::Message => self.transaction = None,
                _ if !answer.is_positive() => {}
                Question::Mail { smtputf8 } => {
                    self.transaction = Some(Transaction {
                        smtputf8,
                        recipients: 0,
                    });
                }
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

    pub(super) fn execute(&mut self, command: Command, output: &mut BytesMut) -> Option<Event> {
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
            Command::Noop => self.say(Answer::new(250, "2.0.0", "Ok"), output),
            // RFC 5321 §3.5.3: never said who exists, always willing to try.
            Command::Vrfy => self.say(Answer::new(252, "2.1.5", "Send it and see"), output),
            Command::Expn => self.say(Answer::new(502, "5.5.1", "No lists shown"), output),
            Command::Help => self.say(
                Answer::new(
                    214,
                    "2.0.0",
                    "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; RFC 5321",
                ),
                output,
            ),
            Command::Quit => self.say(Answer::new(221, "2.0.0", "Bye").closing(), output),
        }
    }

    pub(super) fn say(&mut self, answer: Answer, output: &mut BytesMut) -> Option<Event> {
        self.reply(&answer, output);
        None
    }

    /// EHLO and HELO (RFC 5321 §4.1.1.1); both end a transaction (§4.1.4).
    fn greet_back(&mut self, name: &str, extended: bool, output: &mut BytesMut) -> Option<Event> {
        self.hello = Some(Hello {
            name: tame(name),
            extended,
        });
        let first = Cow::Borrowed(&*self.profile.hostname);
        if extended {
            let lines = [
                first,
                "PIPELINING".into(),
                format!("SIZE {}", self.profile.size_max).into(),
                "8BITMIME".into(),
                "SMTPUTF8".into(),
                "ENHANCEDSTATUSCODES".into(),
                "CHUNKING".into(),
                "DSN".into(),
                "HELP".into(),
                format!("LIMITS RCPTMAX={}", self.profile.recipients_max).into(),
            ];
            write_lines(250, &lines, output);
        } else {
            write_lines(250, &[first], output);
        }
        self.drop_transaction()
    }

    fn mail(&mut self, mail: Box<Mail>, output: &mut BytesMut) -> Option<Event> {
        let refusal = if self.hello.is_none() {
            Answer::new(503, "5.5.1", "EHLO or HELO first")
        } else if self.transaction.is_some() {
            Answer::new(503, "5.5.1", "One MAIL at a time; RSET drops it")
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

    /// Why content may not begin, if it may not.
    fn content_refusal(&self) -> Option<Answer> {
        match self.transaction {
            None => Some(Answer::new(503, "5.5.1", "MAIL first")),
            Some(transaction) if transaction.recipients == 0 => {
                Some(Answer::new(554, "5.5.1", "No valid recipients"))
            }
            Some(_) => None,
        }
    }

    fn data(&mut self, output: &mut BytesMut) -> Option<Event> {
        if matches!(self.phase, Phase::Content(_)) {
            return self.say(Answer::between_chunks(), output);
        }
        if let Some(refusal) = self.content_refusal() {
            return self.say(refusal, output);
        }
        Answer::new(354, "", "End with CRLF.CRLF").write(output);
        self.phase = Phase::Content(Box::new(self.incoming(Section::Data)));
        Some(Event::Begin)
    }

    fn incoming(&self, section: Section) -> Incoming {
        Incoming::new(section, self.profile.size_max, self.profile.bare_newline)
    }

    fn bdat(&mut self, octets: u64, is_last: bool, output: &mut BytesMut) -> Option<Event> {
        // Beyond any hope, and too much to be read for a reply's sake.
        if octets > read_max(self.profile.size_max) {
            return self.say(Answer::too_large().closing(), output);
        }
        if let Phase::Content(incoming) = &mut self.phase {
            incoming.begin_chunk(octets, is_last);
            return None;
        }
        if let Some(answer) = self.content_refusal() {
            self.phase = Phase::Skip {
                octets,
                left: octets,
                answer,
            };
            // A client that sends whole messages in one flight goes on with the next MAIL.
            return if is_last { self.forget_transaction() } else { None };
        }
        let mut incoming = self.incoming(Section::Between);
        incoming.begin_chunk(octets, is_last);
        self.phase = Phase::Content(Box::new(incoming));
        Some(Event::Begin)
    }

    /// Ends a transaction that brought no message.
    pub(super) fn drop_transaction(&mut self) -> Option<Event> {
        self.phase = Phase::Commands;
        self.forget_transaction()
    }

    fn forget_transaction(&mut self) -> Option<Event> {
        self.transaction.take().map(|_| Event::Dropped)
    }
}

/// A HELO name fit for a header and a log: anything else becomes `?`.
fn tame(name: &str) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%+/".contains(c);
    name.chars().map(|c| if fit(c) { c } else { '?' }).collect()
}
