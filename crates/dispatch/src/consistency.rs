//! The books of `dispatch` held against each other, for tests.

use hashbrown::HashMap;
use remuda_mail::{Destination, Way};

use crate::{Dispatch, ceilings::Ceilings, deliveries::Stage, lines::Lack, sessions::State};

impl Dispatch {
    /// Panics if the books contradict each other, a limit is exceeded, or something could go on and does
    /// not. O(n).
    pub fn assert_consistent(&self) {
        self.schedule.assert_consistent();
        self.cache.assert_consistent();
        self.assert_sessions();
        self.assert_late();
        self.assert_deliveries();
        self.assert_slots();
        self.assert_ceilings();
        if !self.is_stopping && !self.is_stalled() {
            self.assert_nobody_waits_in_vain();
        }
    }

    fn assert_sessions(&self) {
        let mut at: HashMap<Way, u32> = HashMap::new();
        let (mut parked, mut lingering) = (0, 0);
        for (id, session) in &self.sessions {
            let is_busy = matches!(session.state, State::Busy(_));
            assert!(is_busy || session.behind.is_empty(), "nothing follows nothing");
            if session.is_counted() {
                *at.entry(session.way()).or_default() += 1;
            }
            match &session.state {
                State::Dialling(Some(delivery)) => {
                    let wait = self.deliveries[delivery].wait().expect("it waits for its dial");
                    assert_eq!(wait.dial, Some(*id));
                }
                State::Dialling(None) => assert!(self.orphans[&session.way()].contains(id)),
                State::Busy(first) => {
                    for delivery in [first].into_iter().chain(&session.behind) {
                        match &self.deliveries[delivery].stage {
                            Stage::Transacting(on, _) => assert_eq!(on, id, "one owner"),
                            other => panic!("a busy session's delivery is {other:?}"),
                        }
                    }
                    let under_way = 1 + session.behind.len() as u32;
                    assert!(under_way <= self.depth_max() + 1);
                }
                State::Lingering(until, _) => {
                    lingering += 1;
                    assert!(self.lingering.contains(&(*until, *id)));
                }
                State::Parked => {
                    parked += 1;
                    assert!(self.cache.get(*id).is_some(), "a parked session is in the cache");
                }
                State::Retiring => assert!(self.cache.get(*id).is_none()),
            }
        }
        assert_eq!(parked, self.cache.len());
        for (id, parked) in self.cache.parked() {
            let max = self
                .hosts
                .transactions_max(parked.facts.way(), self.now.monotonic);
            assert!(
                max.is_none_or(|max| parked.facts.uses < max),
                "{id:?} is parked at its endpoint's limit"
            );
        }
        assert_eq!(lingering, self.lingering.len());
        assert_eq!(at.values().sum::<u32>(), self.busy, "sessions are counted");
        for (way, count) in at {
            assert_eq!(self.hosts.sessions(way), count, "sessions by {way:?} are counted");
            let by_this = self.sessions.values().filter(|session| session.way() == way);
            let (open, dials): (Vec<_>, Vec<_>) = by_this.partition(|session| session.tls.is_some());
            assert_eq!(self.hosts.open(way) as usize, open.len(), "open by {way:?}");
            assert_eq!(self.hosts.dials(way) as usize, dials.len(), "dials by {way:?}");
        }
        for (way, dials) in &self.orphans {
            for dial in dials {
                let state = self.sessions.get(dial).map(|session| &session.state);
                assert!(matches!(state, Some(State::Dialling(None))), "{way:?}: {state:?}");
            }
        }
    }

    fn assert_late(&self) {
        for (at, dial) in &self.late {
            let session = &self.sessions[dial];
            let is_under_way = matches!(session.state, State::Dialling(_));
            assert!(is_under_way && session.late == Some(*at), "{dial:?}");
        }
        for dial in &self.late_orphans {
            let session = &self.sessions[dial];
            assert!(session.is_late && matches!(session.state, State::Dialling(None)));
        }
    }

    fn assert_deliveries(&self) {
        let mut unsettled = 0;
        for (id, delivery) in &self.deliveries {
            match &delivery.stage {
                Stage::Seeking => panic!("a delivery seeks only within an event"),
                Stage::Waiting(wait) => {
                    assert!(!wait.at.is_empty());
                    assert_eq!(wait.dial.is_some(), wait.lack == Lack::Nothing);
                    for way in &wait.at {
                        let mut line = self.lines.waiting_at(*way);
                        assert!(line.any(|waiting| waiting == (wait.ticket, *id)));
                    }
                }
                Stage::Transacting(session, _) => {
                    let session = &self.sessions[session];
                    let is_first = matches!(session.state, State::Busy(of) if of == *id);
                    assert!(is_first || session.behind.contains(id));
                }
                Stage::Benched => {
                    assert!(!delivery.has_slot);
                    assert!(self.sites[&delivery.entry.destination].benched.contains(id));
                }
                Stage::Local => {}
                Stage::Settling(_, since) => {
                    unsettled += 1;
                    assert!(self.unsettled.contains(&(*since, *id)));
                }
            }
        }
        assert_eq!(unsettled, self.unsettled.len());
        assert_eq!(self.in_hand.len(), self.deliveries.len());
    }

    /// Every slot of a window is held by a delivery that is not over, or by a lingering session.
    fn assert_slots(&self) {
        let mut slots: HashMap<&Destination, u32> = HashMap::new();
        let running = |stage: &Stage| !matches!(stage, Stage::Settling(..));
        for delivery in self
            .deliveries
            .values()
            .filter(|delivery| running(&delivery.stage) && delivery.has_slot)
        {
            *slots.entry(&delivery.entry.destination).or_default() += 1;
        }
        for session in self.sessions.values() {
            if matches!(session.state, State::Lingering(..)) {
                *slots.entry(&session.destination).or_default() += 1;
            }
        }
        for view in self.schedule.views() {
            let held = slots.remove(view.destination).unwrap_or(0);
            assert_eq!(view.busy, held, "slots of {}", view.destination);
        }
        assert!(slots.is_empty(), "slots of the forgotten: {slots:?}");
    }

    /// What is demanded of endpoints is what the sites demand.
    fn assert_ceilings(&self) {
        let mut all = Ceilings::default();
        for (endpoints, limit) in self.sites.values().filter_map(|site| site.ceiling.as_ref()) {
            all.set(endpoints, *limit);
        }
        assert_eq!(all, self.ceilings);
    }

    /// A limit that was met is raised when somebody asks, and nobody is woken for that.
    fn is_let_in(&self, way: Way) -> bool {
        let room = self.hosts.get(way).map(|record| &record.room);
        let limit = room.and_then(remuda_hosts::Room::limit_met);
        let used = self.hosts.open(way) + self.hosts.dials(way);
        let is_held_back = self.hosts.open(way) > 0 && self.hosts.is_failing(way);
        self.has_room(way) && limit.is_none_or(|limit| used < limit) && !is_held_back
    }

    fn assert_nobody_waits_in_vain(&self) {
        for (id, delivery) in &self.deliveries {
            let Some(wait) = delivery.wait() else { continue };
            let is_room = wait.hold.is_none() && wait.at.iter().any(|way| self.is_let_in(*way));
            match wait.lack {
                Lack::Nothing => {}
                Lack::Session => assert!(!self.has_session_left(), "{id:?} could have a session"),
                Lack::Endpoint => assert!(
                    !is_room || !self.has_session_left(),
                    "{id:?} could dial: {wait:?}; {:?}",
                    wait.at.iter().map(|way| self.hosts.get(*way)).collect::<Vec<_>>()
                ),
            }
        }
    }
}
