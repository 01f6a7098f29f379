//! EHLO and HELO (RFC 5321 §4.1.1.1), what we offer, and STARTTLS (RFC 3207).
//!
//! # Contract
//! * **STARTTLS is offered until TLS is on, AUTH only then.**
//! * **Nothing may follow STARTTLS before the handshake** (RFC 3207 §4.2, CVE-2011-0411): octets that do end the
//!   session. They would be commands that somebody on the way had put in.
//! * **TLS forgets what was said before it**: the client says EHLO again.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{
    Event, Hello, Server,
    answer::{Answer, write_lines},
    machine::Phase,
};

impl Server {
    /// Both end a transaction (RFC 5321 §4.1.4).
    pub(super) fn greet_back(&mut self, name: &str, extended: bool, output: &mut BytesMut) -> Option<Event> {
        self.hello = Some(Hello {
            name: tame(name),
            extended,
        });
        let first = Cow::Borrowed(&*self.profile().hostname);
        if extended {
            let mut lines = vec![first];
            lines.extend(self.offers());
            write_lines(250, &lines, output);
        } else {
            write_lines(250, &[first], output);
        }
        self.drop_transaction()
    }

    fn offers(&self) -> Vec<Cow<'static, str>> {
        let profile = self.profile();
        let mut offers = vec![
            "PIPELINING".into(),
            format!("SIZE {}", profile.size_max).into(),
            "8BITMIME".into(),
            "SMTPUTF8".into(),
            "ENHANCEDSTATUSCODES".into(),
            "CHUNKING".into(),
            "DSN".into(),
            "HELP".into(),
            format!("LIMITS RCPTMAX={}", profile.recipients_max).into(),
        ];
        if profile.security.offers_starttls && !self.is_encrypted() {
            offers.push("STARTTLS".into());
        }
        if self.takes_logins() {
            offers.push("AUTH PLAIN LOGIN".into());
        }
        offers
    }

    /// Answers whether AUTH is offered now.
    pub(super) fn takes_logins(&self) -> bool {
        self.profile().security.offers_auth && self.is_encrypted()
    }

    pub(super) fn start_tls(&mut self, input: &BytesMut, output: &mut BytesMut) -> Option<Event> {
        let refusal = if self.is_encrypted() {
            Answer::new(503, "5.5.1", "TLS is on already")
        } else if !self.profile().security.offers_starttls {
            Answer::new(502, "5.5.1", "STARTTLS not offered here")
        } else if let Some(refusal) = self.out_of_place() {
            refusal
        } else if !input.is_empty() {
            Answer::new(554, "5.5.1", "Nothing may follow STARTTLS before TLS is on").closing()
        } else {
            Answer::new(220, "2.0.0", "Go ahead with TLS").write(output);
            self.phase = Phase::Handshake;
            return Some(Event::StartTls);
        };
        self.say(refusal, output)
    }

    /// Why an extension that changes the session has no place here, if it has none.
    pub(super) fn out_of_place(&self) -> Option<Answer> {
        if matches!(self.phase, Phase::Content(_)) {
            Some(Answer::between_chunks())
        } else if !self.hello().is_some_and(|hello| hello.extended) {
            Some(Answer::new(503, "5.5.1", "EHLO first"))
        } else if self.has_transaction() {
            Some(Answer::new(
                503,
                "5.5.1",
                "Not within a transaction; RSET drops it",
            ))
        } else {
            None
        }
    }
}

/// A HELO name fit for a header and a log: anything else becomes `?`.
fn tame(name: &str) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%+/".contains(c);
    name.chars().map(|c| if fit(c) { c } else { '?' }).collect()
}
