//! One scenario in both: the engine under paused time, and the simulator.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use remuda_clock::{Clock, Monotonic, Now, SharedClock, SystemClock, Timer, Wall};
use remuda_dispatch::command::Command;
use remuda_engine::{
    Engine, Parts,
    operations::Status,
    settings::{Route, RouteDomain, Settings},
};
use remuda_mail::{Body, Destination, Envelope, HostPort, NextHop, Recipient, Sender};
use remuda_simulator::{Log, Plan, Run, Scenario, plan::PlannedHost};
use remuda_spool::{NewEntry, NewMessage, Options, Origin, Spool};

use crate::peer::Hosts;

/// What is the same in both.
pub struct Stage {
    scenario: Scenario,
    plan: Plan,
    settings: Settings,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// The hosts and messages of a scenario, under other limits.
    pub fn new(text: &str, change: impl Fn(&mut Settings)) -> Self {
        let (scenario, plan) = Scenario::parse(text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let host = |host: &PlannedHost| HostPort {
            host: host.endpoint.ip().expect("an address").to_string().into(),
            port: None,
            preference: 0,
        };
        let route = Route::new(RouteDomain::Any, plan.hosts.iter().map(host).collect());
        let mut settings = Settings {
            data_dir: directory.path().join("data"),
            routes: vec![route],
            ..Settings::defaults("relay.test")
        };
        change(&mut settings);
        Stage {
            scenario,
            plan,
            settings,
            _directory: directory,
        }
    }

    /// What the engine decides, and when it began.
    pub async fn engine(&self) -> (Vec<String>, Now) {
        let clock: SharedClock = Arc::new(SomeDay(SystemClock::paused()));
        self.fill(&clock).await;
        let decisions = Arc::new(Mutex::new(Vec::<(Now, Command)>::new()));
        let seen = decisions.clone();
        let watch = Arc::new(move |now, command: &Command| seen.lock().unwrap().push((now, command.clone())));
        let hosts = Arc::new(Hosts::new(&self.plan, clock.clone()));
        let parts = Parts {
            network: hosts,
            watch,
            ..Parts::default()
        };
        let started = Engine::start_with(self.settings.clone(), None, clock.clone(), parts).await;
        let engine = started.unwrap();
        let operations = engine.operations();
        let is_gone = |status: &Status| status.queue.active + status.queue.deferred == 0;
        let mut patience = 0..PATIENCE;
        while !is_gone(&operations.status().await.unwrap()) {
            patience.next().expect("the mail is delivered in the end");
            clock.sleep_until(clock.now().monotonic + STEP).await;
        }
        engine.stop(STEP).await;
        let decisions = std::mem::take(&mut *decisions.lock().unwrap());
        let began = decisions[0].0;
        let mut log = Log::default();
        let line = |(now, command): &(Now, Command)| log.line(now.monotonic - began.monotonic, command);
        (decisions.iter().filter_map(line).collect(), began)
    }

    /// What the simulator decides if it begins then.
    pub fn simulator(&self, began: Now) -> Vec<String> {
        let (mut log, mut lines) = (Log::default(), Vec::new());
        let run = Run {
            plan: &self.plan,
            mail: self.scenario.mail,
            // The engine's seed is the time at which it begins.
            settings: self.settings.dispatch(began.wall.0.unsigned_abs()),
            connect_timeout: self.settings.delivery.connect_timeout,
            seed: 0,
            duration: None,
            began: began.wall,
            policy: None,
        };
        run.go(&mut |at, command| lines.extend(log.line(at, command)));
        lines
    }

    /// Puts the mail into the spool.
    async fn fill(&self, clock: &SharedClock) {
        let spool = Spool::open(Options::new(&self.settings.data_dir), clock.clone()).unwrap();
        let hop = NextHop::Hosts {
            hosts: self.settings.routes[0].hosts.clone(),
            look_up_mx: false,
            policy: Arc::default(),
        };
        for _ in 0..self.scenario.mail.messages {
            store(&spool, clock, hop.destination()).await;
        }
        spool.close().await;
    }
}

async fn store(spool: &Spool, clock: &SharedClock, destination: Destination) {
    let id = spool.allocate_id();
    let mut content = spool.writer(id, None);
    content
        .write("Subject: x\r\n\r\nNobody reads this.\r\n".as_bytes())
        .await
        .unwrap();
    let now = clock.now().wall;
    let expires = now + Duration::from_secs(5 * 24 * 3600);
    let message = NewMessage {
        id,
        envelope: Envelope {
            sender: Sender::NULL,
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        origin: Origin::default(),
        arrived: now,
        expires,
        notice: expires,
        content: content.finish().await.unwrap(),
        entries: vec![NewEntry {
            destination,
            recipients: vec![Recipient::plain("somebody@d.test".parse().unwrap())],
        }],
    };
    spool.store(message).await.unwrap();
}

/// Paused time that begins on the same day in every run: the engine's seed is that time.
struct SomeDay(SystemClock);

impl Clock for SomeDay {
    fn now(&self) -> Now {
        let monotonic = self.0.now().monotonic;
        Now {
            monotonic,
            wall: Wall(1_800_000_000_000) + monotonic.since_start(),
        }
    }

    fn sleep_until(&self, deadline: Monotonic) -> Timer {
        self.0.sleep_until(deadline)
    }
}

/// How often the engine is looked at, in its own time.
const STEP: Duration = Duration::from_secs(1);
/// Looks after which something hangs.
const PATIENCE: usize = 3600;
