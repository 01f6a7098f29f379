//! The server as a whole: octets in, replies and messages out.

mod attacks;
mod login;
mod session;
mod states;

use bytes::BytesMut;

use super::{Answer, BareNewline, Event, Profile, Security, Server};

/// A server, and a shell that grants everything but recipients that begin with `no` and passwords that are not
/// `right`; for `later` it cannot tell.
pub(super) struct Rig {
    pub server: Server,
    pub input: BytesMut,
    /// Everything answered.
    pub output: Vec<u8>,
    /// The content of each complete message.
    pub messages: Vec<Vec<u8>>,
    /// Its recipients.
    pub recipients: Vec<String>,
    pub closed: bool,
    /// Writes that a shell would have made.
    pub writes: usize,
    /// Names that were said with whatever password.
    pub logins: Vec<String>,
    content: Option<Vec<u8>>,
}

impl Rig {
    pub fn new(bare_newline: BareNewline) -> Self {
        Rig::with(Profile {
            hostname: "mx.test".into(),
            size_max: 1000,
            recipients_max: 3,
            bare_newline,
            security: Security::default(),
        })
    }

    /// On a listener that offers STARTTLS and AUTH; `needs_login` as on one for submission.
    pub fn secure(needs_login: bool) -> Self {
        let mut rig = Rig::new(BareNewline::Reject);
        let profile = Profile {
            security: Security {
                offers_starttls: true,
                offers_auth: true,
                needs_login,
            },
            ..rig.server.profile().clone()
        };
        rig.server.set_profile(profile);
        rig
    }

    pub fn with(profile: Profile) -> Self {
        Rig {
            server: Server::new(profile),
            input: BytesMut::new(),
            output: Vec::new(),
            messages: Vec::new(),
            recipients: Vec::new(),
            closed: false,
            writes: 0,
            logins: Vec::new(),
            content: None,
        }
    }

    /// After EHLO, MAIL and RCPT, with nothing noted.
    pub fn in_transaction(bare_newline: BareNewline) -> Self {
        let mut rig = Rig::new(bare_newline);
        rig.say("EHLO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
        rig.output.clear();
        rig
    }

    /// Sends octets in one read; the replies to them.
    pub fn say(&mut self, octets: impl AsRef<[u8]>) -> String {
        let start = self.output.len();
        self.input.extend_from_slice(octets.as_ref());
        let mut output = BytesMut::new();
        while !self.closed {
            let event = self.server.next(&mut self.input, &mut output);
            match event {
                Event::Read => break,
                Event::Flush => self.flush(&mut output),
                Event::Close => {
                    self.flush(&mut output);
                    self.closed = true;
                }
                event => self.serve(event, &mut output),
            }
        }
        self.flush(&mut output);
        String::from_utf8(self.output[start..].to_vec()).unwrap()
    }

    /// The codes of the replies, one for each.
    pub fn codes(&mut self, octets: impl AsRef<[u8]>) -> Vec<u16> {
        let replies = self.say(octets);
        let is_last = |line: &&str| line.as_bytes()[3] == b' ';
        replies
            .lines()
            .filter(is_last)
            .map(|line| line[..3].parse().unwrap())
            .collect()
    }

    fn flush(&mut self, output: &mut BytesMut) {
        if !output.is_empty() {
            self.writes += 1;
            self.output.extend_from_slice(&output.split());
        }
    }

    fn serve(&mut self, event: Event, output: &mut BytesMut) {
        match event {
            Event::Mail(_) => self.server.answer(Answer::new(250, "2.1.0", "Ok"), output),
            Event::Rcpt(rcpt) => {
                let shown = format!("{:?}", rcpt.path);
                let refused = shown.contains("<no");
                self.recipients.push(shown);
                let answer = match refused {
                    true => Answer::new(550, "5.1.1", "No such user"),
                    false => Answer::new(250, "2.1.5", "Ok"),
                };
                self.server.answer(answer, output);
            }
            Event::StartTls => {
                self.flush(output);
                assert!(self.input.is_empty(), "what came in clear is no part of TLS");
                self.server.secured();
            }
            Event::Login(credentials) => {
                self.logins.push(credentials.username.to_string());
                let answer = match credentials.password.reveal() {
                    "right" => Answer::new(235, "2.7.0", "Welcome"),
                    "later" => Answer::new(454, "4.7.0", "Cannot tell now"),
                    _ => Answer::login_refused(),
                };
                self.server.answer(answer, output);
            }
            Event::Begin => self.content = Some(Vec::new()),
            Event::Content(piece) => self.content.as_mut().expect("Begin came before").extend(piece),
            Event::Message => {
                let content = self.content.take().expect("Begin came before");
                self.messages.push(content);
                self.server
                    .answer(Answer::new(250, "2.0.0", "Ok: queued"), output);
            }
            Event::Dropped => self.content = None,
            Event::Read | Event::Flush | Event::Close => unreachable!("not served"),
        }
    }
}
