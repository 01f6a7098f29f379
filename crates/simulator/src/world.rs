//! The shell around `dispatch`: modelled time, hosts and spool instead of the engine's.
//!
//! ```text
//!   agenda ──what happens──▶ world ──event──▶ dispatch
//!     ▲                        ▲                 │
//!     └──── what comes of it ──┴──── commands ◀──┘
//! ```
//!
//! # Contract
//! * **It decides nothing**: every choice is a command of `dispatch`; here are only its consequences.
//! * **It reports as the engine does**: each command that has an answer gets exactly one, and a dial tells of its
//!   connection before.

mod execute;

use std::{sync::Arc, time::Duration};

use hashbrown::HashMap;
use remuda_clock::{Monotonic, Now, Wall};
use remuda_dispatch::{
    Dispatch,
    command::Command,
    event::{Entry, Event},
};
use remuda_mail::{DeliveryId, Destination, Endpoint, EntryId, SessionId};

use crate::{
    agenda::Agenda,
    draw::Draw,
    figures::{Deliveries, Figures, Tally, ratio, shares},
    peers::{Failing, Peers},
    plan::Plan,
    run::Run,
    scenario::Arrival,
    series::Recorder,
    sessions::Session,
    spool::Spool,
};

/// What will happen.
#[derive(Debug)]
enum Happening {
    /// A message comes.
    Arrives,
    /// The spool has read.
    Loaded(Destination, usize),
    /// DNS has answered.
    Resolved(Destination),
    /// A host has taken a connection.
    Connected(SessionId),
    /// It has greeted.
    Opened(SessionId),
    /// A dial has failed.
    Failed(SessionId, Box<Failing>),
    /// A transaction is answered.
    Answered(SessionId),
    /// A parked session ends by itself.
    Died(SessionId),
    /// QUIT was said.
    Ended(SessionId),
    /// Outcomes are on disk.
    Committed(DeliveryId, EntryId, Left),
}

/// What a settlement leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// For later.
    Until(Wall),
}

/// The whole world.
pub(crate) struct World<'r> {
    run: Run<'r>,
    watch: &'r mut dyn FnMut(Duration, &Command),
    dispatch: Dispatch,
    now: Now,
    agenda: Agenda<Happening>,
    spool: Spool<'r>,
    peers: Peers<'r>,
    places: HashMap<Endpoint, usize>,
    sessions: HashMap<SessionId, Session>,
    arrivals: Draw,
    /// Messages that have still to come.
    to_come: u32,
    commands: Vec<Command>,
    tallies: Vec<Tally>,
    /// Of each host: its line in the picture.
    lines: Vec<usize>,
    recorder: Recorder,
    deliveries: Deliveries,
    bounced: u64,
    deferrals: u64,
}

impl<'r> World<'r> {
    pub(crate) fn new(run: Run<'r>, watch: &'r mut dyn FnMut(Duration, &Command)) -> Self {
        let plan = run.plan;
        let now = Now {
            monotonic: Monotonic::ZERO,
            wall: run.began,
        };
        let (lines, names) = lines(plan);
        World {
            dispatch: Dispatch::new(run.settings.clone(), now),
            now,
            agenda: Agenda::new(),
            spool: Spool::new(&plan.sites, run.mail.size),
            peers: Peers::new(&plan.hosts, run.connect_timeout, run.seed ^ SERVICES),
            places: plan.hosts.iter().map(|host| host.endpoint).zip(0..).collect(),
            sessions: HashMap::new(),
            arrivals: Draw::new(run.seed ^ ARRIVALS),
            to_come: run.mail.messages,
            commands: Vec::new(),
            tallies: vec![Tally::default(); plan.hosts.len()],
            lines,
            recorder: Recorder::new(names.len()),
            deliveries: Deliveries::default(),
            bounced: 0,
            deferrals: 0,
            run,
            watch,
        }
    }

    pub(crate) fn run(mut self) -> Figures {
        self.begin();
        while (self.to_come > 0 || self.spool.left() > 0) && self.step() {}
        self.finish()
    }

    fn begin(&mut self) {
        match self.run.mail.arrival {
            Arrival::AtOnce => {
                while self.to_come > 0 {
                    self.store();
                }
                let backlogs = self.spool.backlogs();
                self.tell(Event::Started(backlogs));
            }
            Arrival::Rate(rate) => {
                let first = self.now.monotonic + self.arrivals.gap(rate);
                self.agenda.put(first, Happening::Arrives);
            }
            Arrival::Senders(senders) => {
                for _ in 0..senders.min(self.to_come) {
                    self.agenda.put(self.now.monotonic, Happening::Arrives);
                }
            }
        }
    }

    /// Lets the next thing happen. Answers whether there was one within the time limit.
    fn step(&mut self) -> bool {
        let (due, tick) = (self.agenda.next_at(), self.dispatch.next_deadline());
        let Some(at) = due.into_iter().chain(tick).min() else {
            return false;
        };
        if let Some(end) = self.run.duration.filter(|end| at.since_start() > *end) {
            self.move_to(Monotonic::ZERO + end);
            return false;
        }
        self.move_to(at);
        // What happens at a deadline comes before the tick: each event lets time pass in `dispatch` too.
        if due.is_some_and(|due| due <= at) {
            if let Some((_, happening)) = self.agenda.take() {
                self.happen(happening);
            }
        } else {
            self.agenda.pass(self.now.monotonic);
            self.tell(Event::Tick);
        }
        true
    }

    fn move_to(&mut self, at: Monotonic) {
        let at = at.max(self.now.monotonic);
        self.now = Now {
            monotonic: at,
            wall: self.run.began + at.since_start(),
        };
    }

    /// Feeds one event to `dispatch` and carries out what it orders.
    fn tell(&mut self, event: Event) {
        let mut commands = std::mem::take(&mut self.commands);
        self.dispatch.handle(event, self.now, &mut commands);
        let since_start = self.now.monotonic.since_start();
        for command in commands.drain(..) {
            (self.watch)(since_start, &command);
            self.execute(command);
        }
        self.commands = commands;
    }

    /// A message comes into the spool.
    fn store(&mut self) -> Option<Entry> {
        self.to_come = self.to_come.checked_sub(1)?;
        let site = self.arrivals.place(self.run.plan.sites.len());
        let id = self.spool.store(site, self.now.wall);
        match self.run.mail.arrival {
            Arrival::AtOnce => None,
            Arrival::Rate(_) | Arrival::Senders(_) => self.spool.entry(id),
        }
    }

    /// A message comes, and under a rate the next one is on its way.
    fn arrives(&mut self) {
        if let Some(entry) = self.store() {
            self.tell(Event::Accepted(entry));
        }
        if let Arrival::Rate(rate) = self.run.mail.arrival
            && self.to_come > 0
        {
            let next = self.now.monotonic + self.arrivals.gap(rate);
            self.agenda.put(next, Happening::Arrives);
        }
    }

    /// A message has been tried for the first time: its sender has another.
    fn tried(&mut self, entry: EntryId) {
        if self.spool.is_first_try(entry) && matches!(self.run.mail.arrival, Arrival::Senders(_)) {
            self.agenda.put(self.now.monotonic, Happening::Arrives);
        }
    }

    /// A session to a host begins (`true`) or ends.
    fn count(&mut self, host: usize, begins: bool) {
        self.recorder.change(self.lines[host], begins, self.now.monotonic);
        let tally = &mut self.tallies[host];
        tally.open = if begins {
            tally.open + 1
        } else {
            tally.open.saturating_sub(1)
        };
        tally.peak = tally.peak.max(tally.open);
    }

    /// A session is no more.
    fn strike(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        let age = self.age(&session);
        let tally = &mut self.tallies[session.host];
        tally.session_time += age;
        tally.dials_failed += u64::from(!session.is_open);
        if session.is_let_in {
            self.peers.disconnected(session.host);
        }
        self.count(session.host, false);
        Some(session)
    }

    fn age(&self, session: &Session) -> Duration {
        self.now.monotonic - session.facts.opened
    }

    fn finish(mut self) -> Figures {
        for session in self.sessions.values() {
            let age = self.age(session);
            self.tallies[session.host].session_time += age;
        }
        let plan = self.run.plan;
        let seconds = self.now.monotonic.since_start().as_secs_f64();
        let hosts = plan.hosts.iter().map(|host| (host.name.clone(), host.group));
        let (hosts, groups, whole) = shares(&self.tallies, hosts, &plan.groups, seconds);
        Figures {
            policy: self.run.policy,
            seconds,
            accepted: self.spool.accepted(),
            delivered: self.deliveries.count(),
            bounced: self.bounced,
            left: self.spool.left(),
            deferrals: self.deferrals,
            rate: self.deliveries.rate(),
            steady_rate: self.deliveries.steady_rate(),
            delay: self.deliveries.delay(),
            dials: whole.dials,
            dials_failed: whole.dials_failed,
            reuse: ratio(
                whole.transactions as f64,
                (whole.dials - whole.dials_failed) as f64,
            ),
            hosts,
            groups,
            series: self.recorder.finish(self.now.monotonic),
            lines: lines(plan).1,
        }
    }
}

/// Which line of a picture each host belongs to, and the lines' names: hosts if they are few, else groups.
fn lines(plan: &Plan) -> (Vec<usize>, Vec<Arc<str>>) {
    if plan.hosts.len() <= LINES_MAX {
        let names = plan.hosts.iter().map(|host| host.name.clone()).collect();
        return ((0..plan.hosts.len()).collect(), names);
    }
    (
        plan.hosts.iter().map(|host| host.group).collect(),
        plan.groups.clone(),
    )
}

/// Lines that can be told apart.
const LINES_MAX: usize = 8;
/// Sets apart the draws that share a scenario's seed.
const SERVICES: u64 = 0x5e71_1ce5;
const ARRIVALS: u64 = 0xa771_7a15;
