//! A tiny shell: a spool in memory, name servers in a table, and sessions that do what a test says.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use remuda_clock::{Monotonic, Now, Wall};
use remuda_mail::{
    Authenticated, Blame, Capabilities, Clear, DeliveryId, Destination, Endpoint, EnhancedStatus, EntryId,
    Facts, Failure, HopPolicy, MessageId, Refusal, Scope, SessionId, Tls, TlsLevel, TlsProtocol,
};

use crate::{
    Dispatch,
    command::{Command, Flight, Rest, RetireCause, Security},
    event::{
        After, Answer, Backlog, Candidate, Conduct, Death, DialStep, Entry, Event, Resolution, Undecided,
        Unresolved,
    },
    settings::Settings,
};

/// The whole world around a `Dispatch`.
pub(super) struct World {
    pub(super) dispatch: Dispatch,
    pub(super) now: Now,
    /// What lies in the spool; true: on hold.
    pub(super) spool: BTreeMap<EntryId, (Entry, bool)>,
    waiting: BTreeMap<Destination, BTreeSet<(Wall, EntryId)>>,
    /// Servers by destination: endpoint and preference; none: refused for ever.
    pub(super) dns: BTreeMap<Destination, Vec<(Endpoint, u16)>>,
    /// What routes say about TLS and AUTH.
    pub(super) policies: BTreeMap<Destination, HopPolicy>,
    /// Every server offers STARTTLS.
    pub(super) offers_tls: bool,
    pub(super) sessions: BTreeMap<SessionId, Peer>,
    pub(super) deliveries: BTreeMap<DeliveryId, (EntryId, Option<Rest>)>,
    /// Commands that have not been answered.
    pub(super) todo: VecDeque<Command>,
    /// Every command ever given.
    pub(super) log: Vec<Command>,
    pub(super) bounced: Vec<EntryId>,
    pub(super) done: Vec<EntryId>,
    pub(super) checks: bool,
    limits: super::limits::LimitWatch,
    /// What servers offer.
    pub(super) offers: Capabilities,
    id_next: u64,
}

/// The other end of a session.
pub(super) struct Peer {
    pub(super) facts: Facts,
    pub(super) state: PeerState,
    /// Deliveries under way, the next answer's first.
    pub(super) under_way: VecDeque<DeliveryId>,
    /// The connection has ended; some are still to be answered.
    pub(super) is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerState {
    Dialling,
    Free,
    Busy,
    Watched,
    Retiring,
}

pub(super) fn endpoint(n: u8) -> Endpoint {
    Endpoint::Tcp(SocketAddr::from(([192, 0, 2, n], 25)))
}

pub(super) fn to(name: &str) -> Destination {
    Destination::from_key(name)
}

pub(super) fn settings() -> Settings {
    Settings {
        helo_name: "us.test".into(),
        seed: 7,
        ..Settings::default()
    }
}

pub(super) fn refusal(class: u8, words: &str) -> Refusal {
    Refusal::ours(EnhancedStatus::new(class, 4, 1), words)
}

pub(super) fn failure(scope: Scope) -> Failure {
    Failure {
        scope,
        blame: Blame::Network,
        refusal: refusal(4, "connection refused"),
    }
}

/// What a dial brings of TLS: what is demanded, or what may be had.
fn tls_of(security: &Security, host: &std::sync::Arc<str>, is_offered: bool) -> Tls {
    let encrypted = |authenticated| Tls::Encrypted {
        protocol: TlsProtocol::Tls13,
        authenticated,
    };
    match (security.tls.level, security.failed_handshake) {
        (TlsLevel::None, _) => Tls::Clear(Clear::ByPolicy),
        (TlsLevel::May, Some(at)) => Tls::Clear(Clear::HandshakeFailed(at)),
        (TlsLevel::May, None) if !is_offered => Tls::Clear(Clear::NotOffered),
        (TlsLevel::May | TlsLevel::Encrypt, _) => encrypted(Authenticated::Nobody),
        (TlsLevel::Verify, _) => encrypted(Authenticated::Names(security.tls.names_of(host))),
    }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Now {
            monotonic: Monotonic::ZERO + Duration::from_secs(1000),
            wall: Wall(1_000_000_000),
        };
        World {
            dispatch: Dispatch::new(settings, now),
            now,
            spool: BTreeMap::new(),
            waiting: BTreeMap::new(),
            dns: BTreeMap::new(),
            policies: BTreeMap::new(),
            offers_tls: false,
            sessions: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            todo: VecDeque::new(),
            log: Vec::new(),
            bounced: Vec::new(),
            done: Vec::new(),
            checks: true,
            limits: super::limits::LimitWatch::default(),
            offers: Capabilities::default(),
            id_next: 1,
        }
    }

    /// A world where `name` is served by these endpoints at one preference.
    pub(super) fn serve(&mut self, name: &str, endpoints: &[u8]) {
        let servers = endpoints.iter().map(|n| (endpoint(*n), 10)).collect();
        self.dns.insert(to(name), servers);
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now = self.now.later(Duration::from_millis(millis));
    }

    /// Reports an event, checks what it led to and returns it.
    pub(super) fn tell(&mut self, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        let is_reload = matches!(event, Event::Reconfigured(_));
        self.dispatch.handle(event, self.now, &mut out);
        for command in &out {
            self.check(command);
            if needs_answer(command) {
                self.todo.push_back(command.clone());
            }
        }
        self.log.extend(out.iter().cloned());
        if self.checks {
            self.dispatch.assert_consistent();
            self.limits.check(&self.dispatch, self.now.monotonic, is_reload);
        }
        out
    }

    /// Sessions are only used as their state allows.
    fn check(&mut self, command: &Command) {
        let state = |session: &SessionId, sessions: &BTreeMap<SessionId, Peer>| {
            sessions.get(session).map(|peer| peer.state)
        };
        match command {
            Command::Dial { .. } => self.dialled(command),
            Command::Transact {
                session,
                delivery,
                entry,
                flight,
                ..
            } => {
                let before = state(session, &self.sessions);
                let is_fit = match flight {
                    Flight::Behind => before == Some(PeerState::Busy),
                    Flight::Split | Flight::Whole => {
                        matches!(before, Some(PeerState::Free | PeerState::Watched))
                    }
                };
                assert!(is_fit, "{command:?} on {before:?}");
                assert!(self.spool.contains_key(entry), "what is done is not sent again");
                self.check_limit(*session, *entry);
                self.set(*session, PeerState::Busy);
                if let Some(peer) = self.sessions.get_mut(session) {
                    assert!(!peer.is_lost, "nothing follows on a session that has ended");
                    peer.under_way.push_back(*delivery);
                }
                self.deliveries.insert(*delivery, (*entry, None));
                self.check_policy(*session, *entry);
            }
            Command::Watch { session } => {
                assert_eq!(state(session, &self.sessions), Some(PeerState::Free));
                self.set(*session, PeerState::Watched);
            }
            Command::Retire { session, .. } => {
                let before = state(session, &self.sessions);
                let may_end = Some(PeerState::Free) == before || Some(PeerState::Watched) == before;
                assert!(may_end || before == Some(PeerState::Dialling), "{before:?}");
                // A dial that is given up has no other answer.
                let is_its_dial =
                    |command: &Command| matches!(command, Command::Dial { session: of, .. } if of == session);
                self.todo.retain(|command| !is_its_dial(command));
                self.set(*session, PeerState::Retiring);
            }
            Command::Settle {
                delivery,
                entry,
                rest,
                ..
            } => {
                let old = self.deliveries.insert(*delivery, (*entry, Some(rest.clone())));
                assert!(!matches!(old, Some((_, Some(_)))), "settled once");
            }
            Command::DeliverLocally { delivery, entry } => {
                self.deliveries.insert(*delivery, (*entry, None));
            }
            Command::Load { .. } | Command::Resolve { .. } | Command::Unload { .. } => {}
        }
    }

    /// What a dial brings when all goes well.
    fn dialled(&mut self, command: &Command) {
        let Command::Dial {
            session,
            endpoint,
            protocol,
            host,
            source,
            helo_name,
            security,
            ..
        } = command
        else {
            return;
        };
        let facts = Facts {
            endpoint: *endpoint,
            protocol: *protocol,
            source: *source,
            host: host.clone(),
            helo_name: helo_name.clone(),
            is_tls_implicit: security.tls.is_implicit(*endpoint),
            tls: tls_of(security, host, self.offers_tls),
            credentials: security.login.as_ref().map(|login| login.credentials),
            capabilities: self.offers,
            opened: self.now.monotonic,
            uses: 0,
            last_used: self.now.monotonic,
            refused_in_a_row: 0,
            recipient_domains: Vec::new(),
        };
        let peer = Peer {
            facts,
            state: PeerState::Dialling,
            under_way: VecDeque::new(),
            is_lost: false,
        };
        let old = self.sessions.insert(*session, peer);
        assert!(old.is_none(), "ids are given once");
    }

    /// Nothing is carried that its route forbids.
    fn check_policy(&self, session: SessionId, entry: EntryId) {
        let facts = &self.sessions[&session].facts;
        let Some(policy) = self.policies.get(&self.spool[&entry].0.destination) else {
            assert_eq!(facts.credentials, None, "nobody's user");
            return;
        };
        let login = policy.login.as_ref().map(|login| login.credentials);
        assert_eq!(facts.credentials, login, "{policy:?}");
        let is_encrypted = facts.tls.protocol().is_some();
        match (policy.tls, &facts.tls) {
            (Some(TlsLevel::May), Tls::Clear(why)) => assert_ne!(*why, Clear::ByPolicy),
            (Some(TlsLevel::Encrypt), _) => assert!(is_encrypted, "{facts:?}"),
            (Some(TlsLevel::Verify), tls) => assert!(
                matches!(
                    tls,
                    Tls::Encrypted {
                        authenticated: Authenticated::Names(_),
                        ..
                    }
                ),
                "{facts:?}"
            ),
            _ => {}
        }
    }

    /// No session goes past a limit that was learned or announced.
    fn check_limit(&self, session: SessionId, entry: EntryId) {
        let peer = &self.sessions[&session];
        let facts = &peer.facts;
        let uses = facts.uses + u32::try_from(peer.under_way.len()).unwrap_or(u32::MAX);
        let now = self.now.monotonic;
        let max = self.dispatch.hosts.transactions_max(facts.way(), now);
        assert!(max.is_none_or(|max| uses < max), "{session:?} goes past {max:?}");
        let limits = facts.capabilities.limits;
        assert!(
            limits.mail_max.is_none_or(|max| uses < max),
            "{session:?} goes past MAILMAX"
        );
        let domains = &facts.recipient_domains;
        let has_room = limits
            .rcpt_domain_max
            .is_none_or(|max| domains.len() < max as usize);
        let domain = &self.spool[&entry].0.recipient_domain;
        assert!(
            has_room || domains.contains(domain),
            "{session:?} goes past RCPTDOMAINMAX"
        );
    }

    fn set(&mut self, session: SessionId, state: PeerState) {
        if let Some(peer) = self.sessions.get_mut(&session) {
            peer.state = state;
        }
    }

    pub(super) fn entry(&mut self, name: &str) -> Entry {
        let id = self.id_next;
        self.id_next += 1;
        Entry {
            id: EntryId(id),
            message: MessageId(id),
            destination: to(name),
            recipients: 1,
            recipient_domain: name.parse().expect("a domain"),
            size: 1000,
            smtputf8: false,
            arrived: self.now.wall,
            expires: self.now.wall + Duration::from_secs(5 * 86_400),
            due: self.now.wall,
        }
    }

    /// Puts an entry into the spool without telling anybody.
    pub(super) fn store(&mut self, entry: Entry) {
        let due = (entry.due, entry.id);
        self.waiting
            .entry(entry.destination.clone())
            .or_default()
            .insert(due);
        self.spool.insert(entry.id, (entry, false));
    }

    pub(super) fn accept(&mut self, name: &str) -> Vec<Command> {
        let entry = self.entry(name);
        self.accept_entry(entry)
    }

    pub(super) fn accept_entry(&mut self, entry: Entry) -> Vec<Command> {
        self.store(entry.clone());
        self.tell(Event::Accepted(entry))
    }

    /// Takes an entry out of what waits in the spool; `held`: it stays there on hold.
    pub(super) fn withdraw(&mut self, id: EntryId, held: bool) {
        let Some((entry, is_held)) = self.spool.get_mut(&id) else {
            return;
        };
        *is_held = held;
        let (destination, due) = (entry.destination.clone(), entry.due);
        self.waiting
            .entry(destination.clone())
            .or_default()
            .remove(&(due, id));
        if !held {
            self.spool.remove(&id);
        }
        self.tell(Event::Withdrawn {
            destination,
            entry: id,
            held,
        });
    }

    /// Ends a hold.
    pub(super) fn release(&mut self, id: EntryId) {
        let Some((entry, is_held)) = self.spool.get_mut(&id) else {
            return;
        };
        *is_held = false;
        let (destination, due) = (entry.destination.clone(), entry.due);
        self.waiting
            .entry(destination.clone())
            .or_default()
            .insert((due, id));
        self.tell(Event::Restored {
            destination,
            entry: id,
            due,
        });
    }

    /// What the spool would report at a start.
    pub(super) fn backlogs(&self) -> Vec<Backlog> {
        self.waiting
            .iter()
            .map(|(destination, waiting)| Backlog {
                destination: destination.clone(),
                waiting: waiting.len() as u64,
                held: 0,
                due: waiting.first().map(|(due, _)| *due),
            })
            .collect()
    }

    fn heads(&self, destination: &Destination, limit: usize) -> (Vec<Entry>, Option<Wall>) {
        let none = BTreeSet::new();
        let waiting = self.waiting.get(destination).unwrap_or(&none);
        let due = waiting.iter().take_while(|(due, _)| *due <= self.now.wall);
        let entries: Vec<Entry> = due.take(limit).map(|(_, id)| self.spool[id].0.clone()).collect();
        let next_due = waiting.iter().nth(entries.len()).map(|(due, _)| *due);
        (entries, next_due)
    }

    /// Takes the first unanswered command that `wanted` names.
    pub(super) fn next(&mut self, wanted: impl Fn(&Command) -> bool) -> Option<Command> {
        let place = self.todo.iter().position(wanted)?;
        self.todo.remove(place)
    }

    /// The event with which a command is answered when all goes well.
    pub(super) fn good_answer(&mut self, command: &Command) -> Event {
        match command {
            Command::Load { destination, limit } => {
                let (entries, next_due) = self.heads(destination, *limit);
                Event::Loaded {
                    destination: destination.clone(),
                    entries,
                    next_due,
                }
            }
            Command::Resolve { destination } => Event::Resolved {
                destination: destination.clone(),
                answer: self.look_up(destination),
            },
            Command::Dial { session, .. } => {
                self.set(*session, PeerState::Free);
                Event::Opened {
                    session: *session,
                    facts: self.sessions[session].facts.clone(),
                }
            }
            Command::Transact {
                session,
                delivery,
                entry,
                ..
            } => {
                let _ = entry;
                let recipients = self.dispatch.deliveries[delivery].unfinished;
                if self.sessions[session].is_lost {
                    let after = self.lose(*session);
                    let answer = answer(0, 0, recipients, Undecided::LostEarly, after);
                    return answered(*session, *delivery, answer);
                }
                let after = self.free(*session);
                answered(
                    *session,
                    *delivery,
                    answer(recipients, 0, 0, Undecided::NextTransaction, after),
                )
            }
            Command::DeliverLocally { delivery, entry } => {
                let recipients = self.spool[entry].0.recipients;
                Event::Answered {
                    session: None,
                    delivery: *delivery,
                    answer: answer(recipients, 0, 0, Undecided::NextTransaction, After::Gone),
                }
            }
            Command::Settle { delivery, .. } => self.commit(*delivery),
            Command::Retire { session, .. } => {
                self.sessions.remove(session);
                Event::Ended { session: *session }
            }
            Command::Watch { .. } | Command::Unload { .. } => Event::Tick,
        }
    }

    pub(super) fn look_up(&self, destination: &Destination) -> Result<Resolution, Unresolved> {
        let valid_until = self.now.monotonic + Duration::from_secs(60);
        match self.dns.get(destination) {
            Some(servers) => Ok(Resolution {
                policy: self.policies.get(destination).cloned().unwrap_or_default(),
                candidates: servers
                    .iter()
                    .map(|(endpoint, preference)| Candidate {
                        endpoint: *endpoint,
                        host: format!("mx{}", endpoint.ip().unwrap()).into(),
                        preference: *preference,
                    })
                    .collect(),
                valid_until,
            }),
            None => Err(Unresolved {
                refusal: refusal(5, "no such domain"),
                valid_until,
            }),
        }
    }

    /// A transaction on the session is over, and it goes on.
    pub(super) fn free(&mut self, session: SessionId) -> After {
        let now = self.now.monotonic;
        let Some(peer) = self.sessions.get_mut(&session) else {
            return After::Gone;
        };
        let delivery = peer.under_way.pop_front();
        let entry = delivery.and_then(|delivery| self.deliveries.get(&delivery));
        let entry = entry.and_then(|(entry, _)| self.spool.get(entry));
        let domain = entry.map(|(entry, _)| entry.recipient_domain.clone());
        peer.facts.uses += 1;
        peer.facts.last_used = now;
        if peer.facts.capabilities.limits.rcpt_domain_max.is_some()
            && let Some(domain) = domain
            && !peer.facts.recipient_domains.contains(&domain)
        {
            peer.facts.recipient_domains.push(domain);
        }
        if !peer.under_way.is_empty() {
            return After::Going;
        }
        peer.state = PeerState::Free;
        After::Free(Box::new(peer.facts.clone()))
    }

    /// A parked session ends by itself.
    pub(super) fn die(&mut self, session: SessionId, limit_met: Option<u32>) {
        self.sessions.remove(&session);
        let cause = Death::Fin;
        self.tell(Event::Died {
            session,
            cause,
            limit_met,
        });
    }

    /// A session is no more.
    pub(super) fn lose(&mut self, session: SessionId) -> After {
        if let Some(peer) = self.sessions.get_mut(&session) {
            peer.under_way.pop_front();
            peer.is_lost = true;
            if peer.under_way.is_empty() {
                self.sessions.remove(&session);
            }
        }
        After::Gone
    }

    /// Applies a settlement as the spool does.
    pub(super) fn commit(&mut self, delivery: DeliveryId) -> Event {
        let (id, rest) = self.deliveries.remove(&delivery).expect("settled once");
        let left = match rest.expect("a settlement was ordered") {
            Rest::Nobody => {
                self.done.push(id);
                self.strike(id);
                None
            }
            Rest::Bounce { .. } => {
                self.bounced.push(id);
                self.strike(id);
                None
            }
            Rest::Defer { until, .. } => self.defer(id, until),
        };
        Event::Settled { delivery, left }
    }

    fn strike(&mut self, id: EntryId) {
        if let Some((entry, _)) = self.spool.remove(&id) {
            let due = (entry.due, id);
            self.waiting.entry(entry.destination).or_default().remove(&due);
        }
    }

    fn defer(&mut self, id: EntryId, until: Wall) -> Option<Entry> {
        let (entry, is_held) = self.spool.get_mut(&id)?;
        let waiting = self.waiting.entry(entry.destination.clone()).or_default();
        waiting.remove(&(entry.due, id));
        entry.due = until;
        if !*is_held {
            waiting.insert((until, id));
        }
        Some(entry.clone())
    }

    /// Answers every command well, in order, until nothing is left to answer now.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..1_000_000 {
            let Some(command) = self.todo.pop_front() else {
                return;
            };
            let event = self.good_answer(&command);
            self.tell(event);
        }
        panic!("it never ends");
    }

    /// Answers the first command of this kind well and returns what followed.
    pub(super) fn answer(&mut self, wanted: impl Fn(&Command) -> bool) -> Vec<Command> {
        let command = self.next(wanted).expect("the command was given");
        let event = self.good_answer(&command);
        self.tell(event)
    }

    /// Answers the first transaction that waits for it.
    pub(super) fn answer_transaction(
        &mut self,
        answer: impl Fn(&mut World, SessionId) -> Answer,
    ) -> Vec<Command> {
        let command = self.next(is_transact).expect("a transaction was ordered");
        let Command::Transact {
            session, delivery, ..
        } = command
        else {
            return Vec::new();
        };
        let answer = answer(self, session);
        self.tell(answered(session, delivery, answer))
    }

    /// Lets the first dial that waits for an answer fail.
    pub(super) fn fail_dial(&mut self) -> Vec<Command> {
        self.fail_dial_that(is_dial)
    }

    /// Lets the first dial fail that is `wanted`.
    pub(super) fn fail_dial_that(&mut self, wanted: impl Fn(&Command) -> bool) -> Vec<Command> {
        self.end_dial(wanted, DialStep::Connect, failure(Scope::Endpoint))
    }

    /// Lets the first dial fail so.
    pub(super) fn fail_dial_with(&mut self, step: DialStep, failure: Failure) -> Vec<Command> {
        self.end_dial(is_dial, step, failure)
    }

    fn end_dial(
        &mut self,
        wanted: impl Fn(&Command) -> bool,
        step: DialStep,
        failure: Failure,
    ) -> Vec<Command> {
        let command = self.next(wanted).expect("a dial was ordered");
        let Command::Dial { session, .. } = command else {
            return Vec::new();
        };
        self.sessions.remove(&session);
        self.tell(Event::DialFailed {
            session,
            step,
            failure,
        })
    }

    /// How many commands of a kind there were.
    pub(super) fn count(&self, wanted: impl Fn(&Command) -> bool) -> usize {
        self.log.iter().filter(|command| wanted(command)).count()
    }
}

pub(super) fn answered(session: SessionId, delivery: DeliveryId, answer: Answer) -> Event {
    Event::Answered {
        session: Some(session),
        delivery,
        answer,
    }
}

pub(super) fn answer(
    finished: u32,
    deferred: u32,
    undecided: u32,
    cause: Undecided,
    session: After,
) -> Answer {
    Answer {
        finished,
        deferred,
        undecided,
        begun: cause != Undecided::Unsent,
        cause,
        death: None,
        accepted: finished > 0,
        waited: Duration::from_millis(20),
        conduct: Conduct::default(),
        session,
        limit_met: None,
    }
}

fn needs_answer(command: &Command) -> bool {
    !matches!(command, Command::Watch { .. } | Command::Unload { .. })
}

pub(super) fn is_transact(command: &Command) -> bool {
    matches!(command, Command::Transact { .. })
}

pub(super) fn is_dial(command: &Command) -> bool {
    matches!(command, Command::Dial { .. })
}

pub(super) fn is_resolve(command: &Command) -> bool {
    matches!(command, Command::Resolve { .. })
}

pub(super) fn is_settle(command: &Command) -> bool {
    matches!(command, Command::Settle { .. })
}

pub(super) fn is_retire(command: &Command) -> bool {
    matches!(command, Command::Retire { .. })
}

pub(super) fn is_watch(command: &Command) -> bool {
    matches!(command, Command::Watch { .. })
}

pub(super) fn is_load(command: &Command) -> bool {
    matches!(command, Command::Load { .. })
}

pub(super) fn is_unload(command: &Command) -> bool {
    matches!(command, Command::Unload { .. })
}

impl World {
    /// Answers commands well until one of this kind waits for an answer.
    pub(super) fn settle_down_until(&mut self, wanted: impl Fn(&Command) -> bool) {
        while !self.todo.iter().any(&wanted) {
            let command = self.todo.pop_front().expect("such a command is given in the end");
            let event = self.good_answer(&command);
            self.tell(event);
        }
    }
}

impl World {
    /// Makes all that waits due now, as "retry now" does in the spool.
    pub(super) fn make_due(&mut self) {
        let now = self.now.wall;
        for (id, (entry, is_held)) in &mut self.spool {
            if !*is_held {
                let waiting = self.waiting.entry(entry.destination.clone()).or_default();
                waiting.remove(&(entry.due, *id));
                waiting.insert((now, *id));
                entry.due = now;
            }
        }
    }
}

pub(super) fn sessions_used(world: &World) -> Vec<u64> {
    let used = |command: &Command| match command {
        Command::Transact { session, .. } => Some(session.0),
        _ => None,
    };
    world.log.iter().filter_map(used).collect()
}

pub(super) fn retire_causes(world: &World) -> Vec<RetireCause> {
    let cause = |command: &Command| match command {
        Command::Retire { cause, .. } => Some(*cause),
        _ => None,
    };
    world.log.iter().filter_map(cause).collect()
}

pub(super) fn rests(world: &World) -> Vec<Rest> {
    let rest = |command: &Command| match command {
        Command::Settle { rest, .. } => Some(rest.clone()),
        _ => None,
    };
    world.log.iter().filter_map(rest).collect()
}
