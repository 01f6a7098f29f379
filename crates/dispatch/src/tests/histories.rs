//! Random legal histories: whatever the world does, nothing is lost, doubled or left behind.

use std::time::Duration;

use proptest::prelude::*;
use remuda_mail::{
    Blame, Clear, CredentialsId, DeliveryId, EntryId, HopLogin, HopPolicy, Reply, Scope, SessionId, Source,
    Tls, TlsLevel, Way,
};

use super::world::*;
use crate::{
    command::Command,
    event::{Answer, DialStep, Event, Undecided, Unresolved},
    settings::{EndpointChoice, Pattern, Rate, Rule, Settings},
};

/// One thing that the world does; numbers choose among what is possible.
#[derive(Clone, Debug)]
enum Step {
    Accept { site: u8, recipients: u32, utf8: bool },
    Answer { which: usize, how: u8 },
    Die { which: usize, limit: bool },
    Wait(u64),
    UntilDeadline,
    Withdraw { which: usize, held: bool },
    Wake { site: u8 },
    RetireParked,
    Connect { which: usize },
    Forget { host: u8 },
    Reroute { site: u8 },
    Reload(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6u8, 1..4u32, prop::bool::weighted(0.1))
            .prop_map(|(site, recipients, utf8)| Step::Accept { site, recipients, utf8 }),
        14 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Answer { which, how }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, limit)| Step::Die { which, limit }),
        3 => (1..3000u64).prop_map(Step::Wait),
        2 => Just(Step::UntilDeadline),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, held)| Step::Withdraw { which, held }),
        1 => (0..6u8).prop_map(|site| Step::Wake { site }),
        1 => Just(Step::RetireParked),
        3 => any::<usize>().prop_map(|which| Step::Connect { which }),
        1 => (1..5u8).prop_map(|host| Step::Forget { host }),
        1 => (0..5u8).prop_map(|site| Step::Reroute { site }),
        1 => any::<u8>().prop_map(Step::Reload),
    ]
}

/// Six destinations on four endpoints: alone, shared, with a backup, unresolvable.
fn world(seed: u64, on_demand: bool, rules: u8) -> World {
    let mut settings = ruled(rules);
    settings.seed = seed;
    settings.cache.on_demand = on_demand;
    let mut world = World::new(settings);
    world.offers.limits.mail_max = seed.is_multiple_of(3).then_some(4);
    world.offers.limits.rcpt_domain_max = seed.is_multiple_of(4).then_some(2);
    world.trust_all();
    world.serve("s0.test", &[1]);
    world.serve("s1.test", &[1]);
    world.serve("s2.test", &[1, 2]);
    world
        .dns
        .insert(to("s3.test"), vec![(endpoint(3), 10), (endpoint(4), 20)]);
    world.serve("s4.test", &[2, 3, 4]);
    // Each pair that shares an endpoint demands different things of its sessions.
    let levels = [
        TlsLevel::None,
        TlsLevel::Encrypt,
        TlsLevel::May,
        TlsLevel::Verify,
        TlsLevel::May,
    ];
    for (site, level) in (0u8..).zip(levels) {
        let mut policy = HopPolicy {
            tls: Some(level),
            ..HopPolicy::default()
        };
        policy.login = (site == 4).then(|| HopLogin {
            username: "me".into(),
            credentials: CredentialsId(seed),
            in_clear: true,
            route: None,
        });
        if !seed.is_multiple_of(3) {
            world.policies.insert(to(&name(site)), policy);
        }
    }
    world.offers_tls = seed.is_multiple_of(2);
    world
}

fn tight() -> Settings {
    let mut settings = settings();
    settings.sessions = 6;
    settings.sessions_per_endpoint = 3;
    settings.active_messages = 40;
    settings.addresses_per_delivery = 2;
    settings.cache.connections = 4;
    settings.cache.connections_per_endpoint = 2;
    settings.cache.reuse_time_limit = Duration::from_secs(20);
    settings
}

/// `tight`, with rules and sources that come and go by the bits of `which`.
fn ruled(which: u8) -> Settings {
    let per_second = |messages| Rate {
        messages,
        per: Duration::from_secs(1),
    };
    let all = [
        Rule {
            pattern: Pattern::Host("mx192.0.2.1".to_owned()),
            concurrency: Some(2),
            rate: Some(per_second(7)),
            sessions_per_endpoint: Some(1 + u32::from(which) % 2),
            ..Rule::default()
        },
        Rule {
            pattern: Pattern::Hosts(".0.2.3".to_owned()),
            concurrency: Some(1),
            pipeline_depth: Some(2),
            reuse_count_limit: Some(1),
            ..Rule::default()
        },
        Rule {
            pattern: Pattern::Domain("s4.test".to_owned()),
            concurrency: Some(2),
            rate: Some(per_second(2)),
            ..Rule::default()
        },
    ];
    let is_in = |place: usize| which >> place & 1 == 1;
    let rules = all.into_iter().enumerate().filter(|(place, _)| is_in(*place));
    let source = |n: u8| Source {
        address: [198, 51, 100, n].into(),
        helo_name: format!("out{n}.test").into(),
    };
    Settings {
        rules: rules.map(|(_, rule)| rule).collect(),
        sources: (4..7)
            .filter(|n| is_in(usize::from(*n)))
            .map(|n| source(n).into())
            .collect(),
        ..tight()
    }
}

fn name(site: u8) -> String {
    format!("s{site}.test")
}

impl World {
    /// Every server takes several transactions at once, and has shown it.
    pub(super) fn trust_all(&mut self) {
        self.offers.pipelining = true;
        self.offers.chunking = true;
        let sources = (4..7).map(|n| Some([198, 51, 100, n].into()));
        for source in sources.chain([None]) {
            for n in 1..=4 {
                let endpoint = endpoint(n);
                for _ in 0..40 {
                    self.dispatch
                        .hosts
                        .answered_in_order(Way { endpoint, source }, false);
                }
            }
        }
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Accept {
                site,
                recipients,
                utf8,
            } => {
                let mut entry = self.entry(&name(site));
                entry.recipients = recipients;
                entry.smtputf8 = utf8;
                self.accept_entry(entry);
            }
            Step::Answer { which, how } => {
                if !self.todo.is_empty() {
                    let place = self.first_on_its_session(which % self.todo.len());
                    let command = self.todo.remove(place).expect("in range");
                    let event = self.some_answer(&command, how);
                    self.tell(event);
                }
            }
            Step::Die { which, limit } => self.die_some(which, limit),
            Step::Wait(millis) => {
                self.wait(millis);
                self.tell(Event::Tick);
            }
            Step::UntilDeadline => self.until_deadline(),
            Step::Withdraw { which, held } => {
                let waiting: Vec<EntryId> = self
                    .spool
                    .iter()
                    .filter(|(_, (_, is_held))| !is_held)
                    .map(|(id, _)| *id)
                    .collect();
                if !waiting.is_empty() {
                    self.withdraw(waiting[which % waiting.len()], held);
                }
            }
            Step::Wake { site } => {
                self.tell(Event::Wakened {
                    destination: to(&name(site)),
                    due: self.now.wall,
                    added: 0,
                    from_held: 0,
                    thaw: true,
                });
            }
            Step::RetireParked => {
                self.tell(Event::RetireParked {
                    destination: None,
                    endpoint: Some(endpoint(1)),
                });
            }
            Step::Connect { which } => {
                self.connect_some(which);
            }
            Step::Forget { host } => {
                let endpoint = endpoint(host);
                self.tell(Event::HostForgotten { endpoint });
            }
            Step::Reroute { site } => self.reroute(site),
            Step::Reload(which) => {
                let mut settings = ruled(which);
                settings.cache.idle_time_limit = Duration::from_secs(2 + u64::from(which) % 2);
                if which.is_multiple_of(3) {
                    settings.endpoint_choice = EndpointChoice::Random;
                }
                self.tell(Event::Reconfigured(Box::new(settings)));
            }
        }
    }

    fn reroute(&mut self, site: u8) {
        let destination = to(&name(site));
        self.tell(Event::Rerouted { destination });
    }

    /// Some dial under way has connected.
    fn connect_some(&mut self, which: usize) {
        let dials = self.todo.iter().filter_map(|command| match command {
            Command::Dial { session, .. } => Some(*session),
            _ => None,
        });
        let dials: Vec<SessionId> = dials.collect();
        if !dials.is_empty() {
            let session = dials[which % dials.len()];
            self.tell(Event::Connected { session });
        }
    }

    /// Some parked session ends by itself.
    fn die_some(&mut self, which: usize, limit: bool) {
        let watched: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, peer)| peer.state == PeerState::Watched)
            .map(|(session, _)| *session)
            .collect();
        if !watched.is_empty() {
            let session = watched[which % watched.len()];
            let uses = self.sessions[&session].facts.uses;
            self.die(session, Some(uses).filter(|uses| limit && *uses > 0));
        }
    }

    /// Transactions on one session are answered in their order.
    fn first_on_its_session(&self, place: usize) -> usize {
        let Command::Transact { session, .. } = &self.todo[place] else {
            return place;
        };
        let first = self.sessions[session].under_way.front();
        let is_first = |command: &Command| matches!(command, Command::Transact { delivery, .. } if Some(delivery) == first);
        self.todo.iter().position(is_first).expect("it is under way")
    }

    /// Some legal answer; about half of them are good.
    fn some_answer(&mut self, command: &Command, how: u8) -> Event {
        match command {
            Command::Load { destination, .. } if how.is_multiple_of(8) => Event::LoadFailed {
                destination: destination.clone(),
            },
            Command::Resolve { destination } if how.is_multiple_of(5) => Event::Resolved {
                destination: destination.clone(),
                answer: Err(Unresolved {
                    refusal: refusal(4, "SERVFAIL"),
                    valid_until: self.now.monotonic + Duration::from_secs(5),
                }),
            },
            Command::Dial { .. } => self.some_dial(command, how),
            Command::Transact {
                session, delivery, ..
            } if how.is_multiple_of(2) => {
                let answer = self.some_end(*session, *delivery, how);
                answered(*session, *delivery, answer)
            }
            _ => self.good_answer(command),
        }
    }

    /// Answers a dial, in one of its ways.
    fn some_dial(&mut self, command: &Command, how: u8) -> Event {
        let Command::Dial {
            session,
            source,
            security,
            ..
        } = command
        else {
            return Event::Tick;
        };
        let (step, blame) = match source {
            Some(_) if how.is_multiple_of(7) => (DialStep::Source, Blame::Us),
            _ if how.is_multiple_of(6) => (DialStep::Tls, Blame::Policy),
            _ if how.is_multiple_of(3) => (DialStep::Connect, Blame::Network),
            _ if how.is_multiple_of(11) => (DialStep::Greeting, Blame::Peer),
            _ => {
                let is_failed = how.is_multiple_of(5) && security.tls.level == TlsLevel::May;
                if let Some(peer) = self.sessions.get_mut(session).filter(|_| is_failed) {
                    peer.facts.tls = Tls::Clear(Clear::HandshakeFailed(self.now.monotonic));
                }
                return self.good_answer(command);
            }
        };
        self.sessions.remove(session);
        let mut failure = failure(Scope::Endpoint);
        failure.blame = blame;
        if step == DialStep::Greeting {
            failure.refusal.reply = Some(Reply {
                code: 421,
                enhanced: None,
                text: "too many".into(),
            });
        }
        Event::DialFailed {
            session: *session,
            step,
            failure,
        }
    }

    /// Some legal end of a transaction that is not the best.
    fn some_end(&mut self, session: SessionId, delivery: DeliveryId, how: u8) -> Answer {
        let total = self.dispatch.deliveries[&delivery].unfinished;
        let some = u32::from(how / 16) % (total + 1);
        let rest = total - some;
        let before = self.sessions[&session].facts.uses;
        let limit_met = Some(before).filter(|uses| *uses > 0);
        let kind = how / 2 % 11;
        let is_lost = self.sessions[&session].is_lost || matches!(kind, 2..=4 | 6..);
        let after = if how % 32 < 16 && !is_lost {
            self.free(session)
        } else {
            self.lose(session)
        };
        let of_session = failure(Scope::Session);
        let mut answer = match kind {
            0 => answer(some, rest, 0, Undecided::NextTransaction, after),
            1 => answer(some, 0, rest, Undecided::NextTransaction, after),
            2 => answer(0, 0, total, Undecided::Unsent, after),
            3 => answer(0, 0, total, Undecided::LostEarly, after),
            4 => answer(some, 0, rest, Undecided::Failed(of_session), after),
            5 => answer(
                some,
                0,
                rest,
                Undecided::Failed(failure(Scope::Transaction)),
                after,
            ),
            6 => answer(0, 0, total, Undecided::Limited(of_session), after),
            7 => answer(0, 0, total, Undecided::NoRoom, after),
            // The final reply was lost: some may be sent it again.
            8 => answer(some, 0, rest, Undecided::PerhapsAccepted, after),
            9 => answer(some, rest, 0, Undecided::PerhapsAccepted, after),
            _ => Answer {
                limit_met: Some(before + 1),
                ..answer(total, 0, 0, Undecided::NextTransaction, after)
            },
        };
        answer.conduct.is_disorderly = how.is_multiple_of(64);
        answer.waited = Duration::from_millis(u64::from(how) * 20);
        let may_be_limit = matches!(
            answer.cause,
            Undecided::Unsent | Undecided::LostEarly | Undecided::Limited(_)
        );
        if may_be_limit && how.is_multiple_of(3) {
            answer.limit_met = limit_met;
        }
        answer
    }

    /// Lets time pass until something is to be done; that must be done then, or put off.
    fn until_deadline(&mut self) {
        let Some(deadline) = self.dispatch.next_deadline() else {
            return;
        };
        self.now = self.now.later(deadline - self.now.monotonic);
        // Wall time is in milliseconds: what is due within this one is due.
        self.wait(1);
        self.tell(Event::Tick);
        let next = self.dispatch.next_deadline();
        assert!(next.is_none_or(|next| next > self.now.monotonic), "no busy loop");
    }

    /// All goes well from here: everything that is not on hold is delivered or bounces.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            self.settle_down();
            if self.spool.values().all(|(_, is_held)| *is_held) && self.sessions.is_empty() {
                return;
            }
            assert!(
                self.dispatch.next_deadline().is_some(),
                "something waits for nothing: {:?}",
                self.spool
            );
            self.until_deadline();
        }
        panic!("it does not come to an end: {:?}", self.spool);
    }
}

proptest! {

    /// Issue 3, "What must be seen" 7: any order of events keeps the invariants.
    #[test]
    fn no_history_loses_a_message_or_a_session(
        seed in any::<u64>(),
        on_demand in prop::bool::weighted(0.9),
        rules in any::<u8>(),
        steps in prop::collection::vec(step(), 1..160),
    ) {
        let mut world = world(seed, on_demand, rules);
        for step in steps {
            world.take_step(step);
        }
        world.finish();
        let totals = world.dispatch.totals();
        let held = world.spool.len() as u64;
        prop_assert_eq!((totals.waiting, totals.held, totals.active), (0, held, 0));
        prop_assert_eq!((totals.busy_sessions, totals.parked_sessions), (0, 0));
        prop_assert!(world.deliveries.is_empty());
        world.assert_counted();
    }

    #[test]
    fn a_stop_ends_every_session_and_keeps_every_message(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = world(seed, true, 255);
        for step in steps {
            world.take_step(step);
        }
        let before = world.log.len();
        world.tell(Event::Stopping);
        world.settle_down();
        prop_assert!(world.sessions.is_empty(), "every session is ended");
        world.assert_counted();
        let begun = world.log[before..].iter().filter(|c| is_dial(c) || is_load(c) || is_transact(c)).count();
        prop_assert_eq!(begun, 0, "nothing starts");
    }

    /// The same settings, events and times give the same commands.
    #[test]
    fn a_seed_replays_a_run(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..60)) {
        let run = |steps: Vec<Step>| {
            let mut world = world(seed, true, 255);
            for step in steps {
                world.take_step(step);
            }
            world.log
        };
        prop_assert_eq!(run(steps.clone()), run(steps));
    }
}
