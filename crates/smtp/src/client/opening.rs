//! The opening of a session: greeting, EHLO, and HELO where EHLO is refused.

use remuda_mail::{Class, Failure, Reply, Scope};

use super::{Client, Refused, State, Step, commands, ehlo};

impl Client {
    pub(super) fn on_opening_reply(&mut self, step: Step, reply: &Reply) {
        match (step, reply.class()) {
            (Step::Greeting, Class::Positive) => self.introduce(Step::Ehlo, "EHLO"),
            (Step::Ehlo, Class::Positive) => {
                self.capabilities = ehlo::capabilities(reply);
                self.state = State::Ready;
            }
            // RFC 5321 §4.1.1.1: a server that refuses EHLO may take HELO.
            (Step::Ehlo, Class::Permanent) => self.introduce(Step::Helo, "HELO"),
            (Step::Helo, Class::Positive) => self.state = State::Ready,
            _ => {
                let failure = self.line.peer.turned_away(step, reply, Scope::Endpoint);
                self.refuse(step, failure);
            }
        }
    }

    fn introduce(&mut self, step: Step, verb: &str) {
        let name = if commands::is_safe_word(&self.helo_name) {
            &*self.helo_name
        } else {
            "localhost"
        };
        self.line
            .flight
            .command(step, |out| commands::introduce(verb, name, out));
        self.line.flight.release_all();
    }

    pub(super) fn refuse(&mut self, step: Step, failure: Failure) {
        self.state = State::Refused(Box::new(Refused { step, failure }));
        self.line.flight.clear();
    }
}
