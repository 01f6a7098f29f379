//! How content begins: DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030 §2).
//!
//! # Contract
//! * **Content begins only behind an accepted recipient.**
//! * **The octets of a refused BDAT are passed over**, whatever they look like; more than anybody would read ends the
//!   session.

use bytes::BytesMut;

use super::{
    Event, Server,
    answer::Answer,
    incoming::{Incoming, Section, read_max},
    machine::Phase,
};

impl Server {
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

    pub(super) fn data(&mut self, output: &mut BytesMut) -> Option<Event> {
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
        let profile = self.profile();
        Incoming::new(section, profile.size_max, profile.bare_newline)
    }

    pub(super) fn bdat(&mut self, octets: u64, is_last: bool, output: &mut BytesMut) -> Option<Event> {
        // Beyond any hope, and too much to be read for a reply's sake.
        if octets > read_max(self.profile().size_max) {
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
}
