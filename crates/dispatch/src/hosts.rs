//! What is shown of endpoints, and forgotten of them.
//!
//! # Contract
//! * **A state is what decides**: paused, on trial and slow are told by the same questions by which mail is sent.
//! * **What is forgotten is tried at once**: who sleeps for want of it wakes.

use hashbrown::HashMap;
use remuda_clock::Now;
use remuda_hosts::Record;
use remuda_mail::{Endpoint, Way};

use crate::{
    Dispatch,
    sessions::State,
    view::{HostState, HostView},
};

impl Dispatch {
    /// What is remembered of endpoints, in the order of their addresses. O(n).
    pub fn hosts(&self, now: Now) -> Vec<HostView> {
        let mut seen: HashMap<Way, (std::sync::Arc<str>, usize)> = HashMap::new();
        for session in self.sessions.values() {
            let host = || (session.host.clone(), 0);
            let (_, parked) = seen.entry(session.way()).or_insert_with(host);
            *parked += usize::from(matches!(session.state, State::Parked));
        }
        let records = self.hosts.records().into_iter();
        records
            .map(|(way, record)| self.host_view(way, record, seen.get(&way), now))
            .collect()
    }

    fn host_view(
        &self,
        way: Way,
        record: &Record,
        seen: Option<&(std::sync::Arc<str>, usize)>,
        now: Now,
    ) -> HostView {
        let at = now.monotonic;
        let state = self.host_state(way, record, now);
        let next = match state {
            HostState::Paused => self.hosts.paused_until(way, at),
            HostState::Slow => self.hosts.next_trial(way),
            HostState::Used | HostState::Trial => None,
        };
        HostView {
            way,
            host: seen.map(|(host, _)| host.clone()),
            state,
            reason: reason(state, record),
            next_trial: next.map(|next| now.wall + (next - at)),
            transaction: record.speed.wait,
            opening: record.speed.opening,
            sessions: record.sessions,
            parked: seen.map_or(0, |(_, parked)| *parked),
            connections_max: record.room.limit(at),
            transactions_max: self.hosts.transactions_max(way, at),
            idle_max: self.hosts.idle_max(way, at),
            bears_reuse: self.hosts.bears_reuse(way, at),
            depth: self.hosts.depth(way, self.settings.pipeline_depth, at),
            failures: record.health.failures,
        }
    }

    fn host_state(&self, way: Way, record: &Record, now: Now) -> HostState {
        if record.health.is_on_trial {
            HostState::Trial
        } else if self.hosts.is_paused(way, now.monotonic) {
            HostState::Paused
        } else if self.hosts.is_slow(way) {
            HostState::Slow
        } else {
            HostState::Used
        }
    }

    /// Forgets what was learned of an endpoint.
    pub(crate) fn forget_host(&mut self, endpoint: Endpoint) {
        let records = self.hosts.records().into_iter();
        let ways: Vec<Way> = records
            .map(|(way, _)| way)
            .filter(|way| way.endpoint == endpoint)
            .collect();
        for way in ways {
            self.hosts.forgive(way);
            self.rouse(way);
            self.freed.push(way);
        }
    }
}

fn reason(state: HostState, record: &Record) -> String {
    match state {
        HostState::Paused | HostState::Trial => record.health.last_failure.clone(),
        HostState::Slow if record.speed.deferring > 0 => {
            format!("deferred the last {} transactions", record.speed.deferring)
        }
        HostState::Slow => "others of its preference are more than twice as fast".into(),
        HostState::Used => String::new(),
    }
}
