//! Hosts that take their time, over dials and transactions, and a destination with always more mail for them.

use std::{collections::BTreeMap, time::Duration};

use remuda_clock::Monotonic;
use remuda_mail::{DeliveryId, SessionId};

use super::world::*;
use crate::{
    choice::Choice,
    command::Command,
    event::{Answer, Event, Undecided},
    settings::Settings,
};

pub(super) fn number(endpoint: remuda_mail::Endpoint) -> u8 {
    match endpoint.ip() {
        Some(std::net::IpAddr::V4(ip)) => ip.octets()[3],
        _ => 0,
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Accept,
    /// Ends behind the content.
    Lost,
    /// 5xx to the content.
    Reject,
    /// 4xx to the content.
    Defer,
}

/// The hosts, by the last octet of their address.
pub(super) struct Paced {
    pub(super) world: World,
    /// Milliseconds that each takes.
    pub(super) takes: BTreeMap<u8, u64>,
    dial_ms: u64,
    pub(super) kind: BTreeMap<u8, Kind>,
    /// Transactions that never end.
    pub(super) hang: Vec<DeliveryId>,
    since: BTreeMap<DeliveryId, Monotonic>,
    dialled: BTreeMap<SessionId, Monotonic>,
    pub(super) at: BTreeMap<SessionId, u8>,
    seen: usize,
    /// Every transaction: when, where to and why; and every dial.
    pub(super) went: Vec<(Monotonic, u8, Choice)>,
    pub(super) dials: Vec<(Monotonic, u8)>,
}

impl Paced {
    /// Ten sessions at these hosts, which are dialled in so much time.
    pub(super) fn new(settings: Settings, takes: &[(u8, u64)], dial_ms: u64) -> Self {
        let settings = Settings {
            initial_concurrency: 10,
            concurrency: 10,
            pipeline_depth: 1,
            ..settings
        };
        let mut world = World::new(settings);
        world.checks = false;
        let ids: Vec<u8> = takes.iter().map(|(id, _)| *id).collect();
        world.serve("a.test", &ids);
        for _ in 0..30 {
            world.accept("a.test");
        }
        Paced {
            world,
            takes: takes.iter().copied().collect(),
            dial_ms,
            kind: BTreeMap::new(),
            hang: Vec::new(),
            since: BTreeMap::new(),
            dialled: BTreeMap::new(),
            at: BTreeMap::new(),
            seen: 0,
            went: Vec::new(),
            dials: Vec::new(),
        }
    }

    fn look(&mut self) {
        let now = self.world.now.monotonic;
        for command in &self.world.log[self.seen..] {
            match command {
                Command::Dial {
                    session, endpoint, ..
                } => {
                    self.at.insert(*session, number(*endpoint));
                    self.dials.push((now, number(*endpoint)));
                    self.dialled.insert(*session, now);
                }
                Command::Transact {
                    session,
                    delivery,
                    choice,
                    ..
                } => {
                    self.went.push((now, self.at[session], *choice));
                    self.since.insert(*delivery, now);
                }
                _ => {}
            }
        }
        self.seen = self.world.log.len();
    }

    fn settle(&mut self) {
        self.look();
        while let Some(command) = self.world.next(|c| !is_transact(c) && !is_dial(c)) {
            let event = self.world.good_answer(&command);
            self.world.tell(event);
            self.look();
        }
    }

    fn end(&self, command: &Command) -> Option<Monotonic> {
        match command {
            Command::Transact {
                session, delivery, ..
            } => {
                if self.hang.contains(delivery) {
                    return None;
                }
                let since = self.since[delivery];
                Some(since + Duration::from_millis(self.takes[&self.at[session]]))
            }
            Command::Dial { session, .. } => {
                Some(self.dialled[session] + Duration::from_millis(self.dial_ms))
            }
            _ => None,
        }
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, for_ms: u64) {
        let until = self.world.now.monotonic + Duration::from_millis(for_ms);
        loop {
            self.settle();
            let next = self
                .world
                .todo
                .iter()
                .enumerate()
                .filter_map(|(place, command)| Some((self.end(command)?, place)))
                .min();
            let deadline = self.world.dispatch.next_deadline();
            let at = next.map(|n| n.0).into_iter().chain(deadline).min();
            let Some(at) = at.filter(|at| *at <= until) else {
                let rest = until - self.world.now.monotonic;
                return self.world.wait(rest.as_millis() as u64);
            };
            let rest = at - self.world.now.monotonic;
            self.world
                .wait(rest.as_millis() as u64 + u64::from(!rest.subsec_nanos().is_multiple_of(1_000_000)));
            match next.filter(|n| n.0 <= at) {
                None => drop(self.world.tell(Event::Tick)),
                Some((_, place)) => {
                    let command = self.world.todo[place].clone();
                    if is_dial(&command) {
                        self.world.todo.remove(place);
                        let event = self.world.good_answer(&command);
                        self.world.tell(event);
                    } else if let Command::Transact {
                        session, delivery, ..
                    } = command
                    {
                        self.world.todo.remove(place);
                        self.finish(delivery, session);
                    }
                }
            }
            self.look();
        }
    }

    fn finish(&mut self, delivery: DeliveryId, session: SessionId) {
        let host = self.at[&session];
        let kind = self.kind.get(&host).copied().unwrap_or(Kind::Accept);
        let waited = Duration::from_millis(self.takes[&host]);
        let answer = match kind {
            Kind::Accept => {
                let after = self.world.free(session);
                Answer {
                    waited,
                    ..answer(1, 0, 0, Undecided::NextTransaction, after)
                }
            }
            Kind::Reject => {
                let after = self.world.free(session);
                Answer {
                    waited,
                    accepted: false,
                    ..answer(1, 0, 0, Undecided::NextTransaction, after)
                }
            }
            Kind::Defer => {
                let after = self.world.free(session);
                Answer {
                    waited,
                    accepted: false,
                    ..answer(0, 1, 0, Undecided::NextTransaction, after)
                }
            }
            Kind::Lost => {
                let after = self.world.lose(session);
                Answer {
                    waited,
                    ..answer(0, 1, 0, Undecided::PerhapsAccepted, after)
                }
            }
        };
        self.world.tell(answered(session, delivery, answer));
        self.world.accept("a.test");
    }

    /// The share of a host in the transactions from the `since`th on.
    pub(super) fn share(&self, host: u8, since: usize) -> f64 {
        let all = &self.went[since..];
        all.iter().filter(|(_, one, _)| *one == host).count() as f64 / all.len() as f64
    }
}
