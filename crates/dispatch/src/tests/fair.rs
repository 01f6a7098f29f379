//! What holds of the choice among hosts whatever they do (issue 4, "What must be seen" 5).

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use remuda_clock::Monotonic;
use remuda_hosts::{TRIAL_MAX, TRIAL_SHARE};
use remuda_mail::{DeliveryId, Endpoint, Failure, Refusal, Reply, Scope, SessionId};

use super::world::*;
use crate::{
    choice::Choice,
    command::Command,
    event::{Answer, DialStep, Event, Undecided},
    settings::Settings,
};

/// How a host does from some moment on.
#[derive(Clone, Copy, Debug)]
struct Mood {
    takes_ms: u64,
    refuses: bool,
    defers: bool,
    connections_max: usize,
}

fn mood() -> impl Strategy<Value = Mood> {
    let takes = prop_oneof![4 => 10..200u64, 1 => 1000..4000u64];
    let weighted = |weight| prop::bool::weighted(weight);
    let limit = prop_oneof![3 => Just(usize::MAX), 1 => 1..4usize];
    (takes, weighted(0.1), weighted(0.1), limit).prop_map(|(takes_ms, refuses, defers, connections_max)| {
        Mood {
            takes_ms,
            refuses,
            defers,
            connections_max,
        }
    })
}

/// Four hosts, the last of a worse preference, and always more mail than they take.
struct Town {
    world: World,
    moods: [Mood; 4],
    ends: BTreeMap<(Monotonic, DeliveryId), SessionId>,
    at: BTreeMap<SessionId, usize>,
    /// When each was used or dialled last, and how many deliveries went elsewhere since.
    last: [(Monotonic, u32); 4],
    seen: usize,
}

impl Town {
    fn new(moods: [Mood; 4], seed: u64) -> Self {
        let mut world = World::new(Settings {
            seed,
            initial_concurrency: 8,
            concurrency: 8,
            sessions_per_endpoint: 5,
            pipeline_depth: 1,
            // What is deferred comes back.
            minimal_backoff: Duration::from_secs(1),
            maximal_backoff: Duration::from_secs(2),
            ..settings()
        });
        world.checks = false;
        let servers = (1..=4).map(|n| (endpoint(n), if n == 4 { 20 } else { 10 }));
        world.dns.insert(to("a.test"), servers.collect());
        for _ in 0..30 {
            world.accept("a.test");
        }
        let now = world.now.monotonic;
        Town {
            world,
            moods,
            ends: BTreeMap::new(),
            at: BTreeMap::new(),
            last: [(now, 0); 4],
            seen: 0,
        }
    }

    fn place(endpoint: Endpoint) -> usize {
        match endpoint.ip() {
            Some(std::net::IpAddr::V4(ip)) => usize::from(ip.octets()[3]) - 1,
            _ => 0,
        }
    }

    /// Notes what was ordered, and holds it against the rules.
    fn look(&mut self) {
        let now = self.world.now.monotonic;
        for command in &self.world.log[self.seen..] {
            match command {
                Command::Dial {
                    session, endpoint, ..
                } => {
                    self.at.insert(*session, Self::place(*endpoint));
                    let (open, dials) = (
                        self.world.dispatch.hosts.open((*endpoint).into()),
                        self.world.dispatch.hosts.dials((*endpoint).into()),
                    );
                    let limit = self.world.dispatch.hosts.connections_max((*endpoint).into(), now);
                    assert!(
                        limit.is_none_or(|limit| open + dials <= limit),
                        "{open} open, {dials} dialled of {limit:?}"
                    );
                    assert!(self.world.dispatch.hosts.sessions((*endpoint).into()) <= 5);
                }
                Command::Transact {
                    session,
                    delivery,
                    choice,
                    ..
                } => {
                    let place = self.at[session];
                    let takes = Duration::from_millis(self.moods[place].takes_ms);
                    self.ends.insert((now + takes, *delivery), *session);
                    let is_worse = place == 3;
                    assert!(!is_worse || *choice == Choice::Fallback || self.are_best_paused());
                    for (other, last) in self.last.iter_mut().enumerate() {
                        *last = if other == place {
                            (now, 0)
                        } else {
                            (last.0, last.1 + 1)
                        };
                    }
                }
                _ => {}
            }
        }
        self.seen = self.world.log.len();
    }

    fn are_best_paused(&self) -> bool {
        let now = self.world.now.monotonic;
        (1..=3).all(|n| self.world.dispatch.hosts.is_paused(endpoint(n).into(), now))
    }

    /// Answers what takes no time.
    fn settle(&mut self) {
        self.look();
        while let Some(command) = self.world.next(|command| !is_transact(command)) {
            let event = match &command {
                Command::Dial {
                    session, endpoint, ..
                } => self.dialled(*session, *endpoint, &command),
                _ => self.world.good_answer(&command),
            };
            self.world.tell(event);
            self.look();
        }
    }

    fn dialled(&mut self, session: SessionId, to: Endpoint, command: &Command) -> Event {
        let place = Self::place(to);
        let mood = self.moods[place];
        let open = self.world.dispatch.hosts.open(to.into()) as usize;
        if !mood.refuses && open < mood.connections_max {
            return self.world.good_answer(command);
        }
        self.world.sessions.remove(&session);
        let now = self.world.now.monotonic;
        self.last[place] = (now, 0);
        let (step, code) = match mood.refuses {
            true => (DialStep::Connect, None),
            false => (DialStep::Greeting, Some(421)),
        };
        let reply = code.map(|code| Reply {
            code,
            enhanced: None,
            text: "too many".into(),
        });
        Event::DialFailed {
            session,
            step,
            failure: Failure {
                refusal: Refusal {
                    reply,
                    ..refusal(4, "refused")
                },
                ..failure(Scope::Endpoint)
            },
        }
    }

    fn run(&mut self, for_ms: u64) {
        let until = self.world.now.monotonic + Duration::from_millis(for_ms);
        loop {
            self.settle();
            let end = self.ends.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.world.dispatch.next_deadline();
            let Some(at) = end.into_iter().chain(deadline).min().filter(|at| *at <= until) else {
                return;
            };
            self.world.now = self.world.now.later(at - self.world.now.monotonic);
            // Wall time is in milliseconds.
            self.world.wait(u64::from(end != Some(at)));
            match self.ends.first_key_value().map(|(key, session)| (*key, *session)) {
                Some(((end, delivery), session)) if end <= at => {
                    self.ends.remove(&(end, delivery));
                    self.finish(delivery, session);
                }
                _ => drop(self.world.tell(Event::Tick)),
            }
            self.assert_nobody_starves();
        }
    }

    fn finish(&mut self, delivery: DeliveryId, session: SessionId) {
        self.world
            .next(|command| matches!(command, Command::Transact { delivery: of, .. } if *of == delivery));
        let mood = self.moods[self.at[&session]];
        let after = self.world.free(session);
        let answer = Answer {
            waited: Duration::from_millis(mood.takes_ms),
            accepted: !mood.defers,
            ..answer(
                u32::from(!mood.defers),
                u32::from(mood.defers),
                0,
                Undecided::NextTransaction,
                after,
            )
        };
        self.world.tell(answered(session, delivery, answer));
        self.look();
        self.world.accept("a.test");
    }

    /// One of the best that answers, and lets somebody in, is used within the bound.
    fn assert_nobody_starves(&self) {
        let now = self.world.now.monotonic;
        for place in 0..3 {
            let way = endpoint(place as u8 + 1).into();
            let (last, elsewhere) = self.last[place];
            let is_busy = self.world.dispatch.hosts.sessions(way) > 0;
            if is_busy || self.moods[place].refuses || self.world.dispatch.hosts.is_failing(way) {
                continue;
            }
            let is_over = now - last > TRIAL_MAX + SLACK && elsewhere > TRIAL_SHARE + 8;
            assert!(
                !is_over,
                "host {place} was passed over for {:?}, {elsewhere} times",
                now - last
            );
        }
    }
}

/// A trial begins with the next delivery that seeks a session: the longest transaction may come before.
const SLACK: Duration = Duration::from_secs(5);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn nobody_starves_no_limit_is_passed_and_preferences_hold(
        seed in any::<u64>(),
        first in prop::array::uniform4(mood()),
        changes in prop::collection::vec((0..4usize, mood(), 1000..40_000u64), 1..4),
    ) {
        let mut town = Town::new(first, seed);
        town.run(5000);
        for (place, mood, time) in changes {
            town.moods[place] = mood;
            town.run(time);
        }
    }
}
