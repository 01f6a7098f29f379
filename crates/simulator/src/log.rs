//! The decision log: what `dispatch` orders, one line each, in a form that two shells can compare.
//!
//! ```text
//!   t=0ms dial #1 fast
//!   t=20ms transact message 1 on #1 fast
//!   t=70ms settle 1 done
//!   t=300070ms retire #1 fast age
//! ```
//!
//! # Contract
//! * **The same decisions give the same lines**, whatever ids the spool gives: messages are numbered in the
//!   order in which they are first sent.
//! * **Only decisions that the world sees are lines**: dials, transactions, parking, ends, outcomes.

use std::{sync::Arc, time::Duration};

use hashbrown::HashMap;
use remuda_dispatch::command::{Command, Rest, RetireCause};
use remuda_mail::{EntryId, SessionId};

/// Writes lines.
#[derive(Debug, Default)]
pub struct Log {
    hosts: HashMap<SessionId, Arc<str>>,
    numbers: HashMap<EntryId, usize>,
}

impl Log {
    /// The line of a command that was given so long after the start; None for one that is no decision of
    /// this kind.
    pub fn line(&mut self, since_start: Duration, command: &Command) -> Option<String> {
        let text = match command {
            Command::Dial { session, host, .. } => {
                self.hosts.insert(*session, host.clone());
                format!("dial {}", self.session(*session))
            }
            Command::Transact { session, entry, .. } => {
                format!(
                    "transact message {} on {}",
                    self.number(*entry),
                    self.session(*session)
                )
            }
            Command::Watch { session } => format!("watch {}", self.session(*session)),
            Command::Retire { session, cause } => {
                let text = format!("retire {} {}", self.session(*session), word(*cause));
                self.hosts.remove(session);
                text
            }
            Command::Settle { entry, rest, .. } => {
                let outcome = match rest {
                    Rest::Nobody => "done",
                    Rest::Defer { .. } => "deferred",
                    Rest::Bounce { .. } => "bounced",
                };
                format!("settle {} {outcome}", self.number(*entry))
            }
            Command::Load { .. }
            | Command::Resolve { .. }
            | Command::DeliverLocally { .. }
            | Command::Unload { .. } => return None,
        };
        Some(format!("t={}ms {text}", since_start.as_millis()))
    }

    fn session(&self, session: SessionId) -> String {
        let host = self.hosts.get(&session).map_or("?", |host| host);
        format!("#{session} {host}")
    }

    fn number(&mut self, entry: EntryId) -> usize {
        let next = self.numbers.len() + 1;
        *self.numbers.entry(entry).or_insert(next)
    }
}

fn word(cause: RetireCause) -> &'static str {
    match cause {
        RetireCause::Idle => "idle",
        RetireCause::Age => "age",
        RetireCause::Count => "count",
        RetireCause::Evicted => "evicted",
        RetireCause::Drained => "drained",
        RetireCause::NotParked => "not parked",
        RetireCause::Worn => "worn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_decisions_give_the_same_lines_whatever_the_ids() {
        let lines = |ids: [u64; 2]| -> Vec<String> {
            let mut log = Log::default();
            let settle = |id| Command::Settle {
                delivery: remuda_mail::DeliveryId(id),
                entry: EntryId(id),
                rest: Rest::Nobody,
                search: remuda_dispatch::search::Search::default(),
            };
            let mut lines = Vec::new();
            for (millis, command) in [(0, settle(ids[1])), (7, settle(ids[0])), (9, settle(ids[1]))] {
                lines.extend(log.line(Duration::from_millis(millis), &command));
            }
            lines
        };
        assert_eq!(
            lines([1, 2]),
            [
                "t=0ms settle 1 done",
                "t=7ms settle 2 done",
                "t=9ms settle 1 done"
            ]
        );
        assert_eq!(lines([1, 2]), lines([700, 900]));
    }

    #[test]
    fn only_decisions_that_the_world_sees_are_lines() {
        let mut log = Log::default();
        assert_eq!(
            log.line(Duration::ZERO, &Command::Unload { entry: EntryId(1) }),
            None
        );
        let session = SessionId(4);
        let watch = log.line(Duration::ZERO, &Command::Watch { session });
        assert_eq!(watch.as_deref(), Some("t=0ms watch #4 ?"));
        let cause = RetireCause::NotParked;
        let retire = log.line(Duration::from_secs(1), &Command::Retire { session, cause });
        assert_eq!(retire.as_deref(), Some("t=1000ms retire #4 ? not parked"));
    }
}
