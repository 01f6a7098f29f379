//! What is remembered of hosts, as the operator sees it.
//!
//! # Contract
//! * **Those in trouble come first**: paused, on trial, slow, then who has failed and is not tried yet, then the
//!   busiest; whatever the limit cuts off is the least of interest.
//! * **A limit and a filter change no count**: how many there are is said of all.

use std::cmp::Reverse;

use remuda_dispatch::view::{self, HostView};
use remuda_mail::Endpoint;

use super::Handle;
use crate::operations::{ForgottenHosts, HOSTS_MAX, Host, HostFilter, HostState, Hosts, OperationError};

impl Handle {
    pub(super) async fn read_hosts(&self, filter: HostFilter) -> Result<Hosts, OperationError> {
        // Thousands are put in order here and not in the actor, which has mail to think of.
        let views = self.ask(|actor, now| actor.dispatch().hosts(now)).await?;
        Ok(answer(views, filter))
    }

    pub(super) async fn forget(&self, endpoint: Endpoint) -> Result<ForgottenHosts, OperationError> {
        match self
            .ask(move |actor, now| actor.forget_host(endpoint, now))
            .await?
        {
            0 => Err(OperationError::NoSuchHost(endpoint)),
            known => Ok(ForgottenHosts {
                forgotten: known as u64,
            }),
        }
    }
}

fn answer(mut views: Vec<HostView>, filter: HostFilter) -> Hosts {
    let mut hosts = Hosts {
        known: views.len() as u64,
        states: HostState::ALL.map(|state| (state, 0)).into(),
        hosts: Vec::new(),
    };
    for view in &views {
        *hosts.states.entry(state(view.state)).or_default() += 1;
    }
    views.retain(|view| filter.state.is_none_or(|wanted| wanted == state(view.state)));
    views.sort_by_key(|view| {
        let sessions = view.sessions as usize + view.parked;
        let is_well = view.failures == 0;
        (state(view.state), is_well, Reverse(sessions), view.way)
    });
    views.truncate(filter.limit.min(HOSTS_MAX));
    hosts.hosts = views.into_iter().map(host).collect();
    hosts
}

fn state(state: view::HostState) -> HostState {
    match state {
        view::HostState::Used => HostState::Used,
        view::HostState::Slow => HostState::Slow,
        view::HostState::Paused => HostState::Paused,
        view::HostState::Trial => HostState::Trial,
    }
}

/// Every field has its place: a new one does not compile until somebody has decided.
fn host(view: HostView) -> Host {
    let HostView {
        way,
        host,
        state: now,
        reason,
        next_trial,
        transaction,
        opening,
        sessions,
        parked,
        connections_max,
        transactions_max,
        idle_max,
        bears_reuse,
        depth,
        failures,
    } = view;
    let millis = |time: std::time::Duration| time.as_micros() as f64 / 1000.0;
    Host {
        endpoint: way.endpoint.to_string(),
        host: host.map(|host| host.to_string()),
        source: way.source.map(|source| source.to_string()),
        state: state(now),
        reason: (!reason.is_empty()).then_some(reason),
        next_trial: next_trial.map(|at| at.0),
        transaction_ms: transaction.map(millis),
        opening_ms: opening.map(millis),
        sessions,
        parked: parked as u64,
        connections_max,
        transactions_max,
        idle_max_seconds: idle_max.map(|time| time.as_secs_f64()),
        bears_reuse,
        depth,
        failures,
    }
}

#[cfg(test)]
mod tests {
    use remuda_clock::Wall;
    use remuda_mail::Way;

    use super::*;

    fn view(port: u16, state: view::HostState) -> HostView {
        HostView {
            way: Way::from(Endpoint::Tcp(([192, 0, 2, 1], port).into())),
            host: None,
            state,
            reason: String::new(),
            next_trial: None,
            transaction: None,
            opening: None,
            sessions: 0,
            parked: 0,
            connections_max: None,
            transactions_max: None,
            idle_max: None,
            bears_reuse: true,
            depth: 1,
            failures: 0,
        }
    }

    fn mixed() -> Vec<HostView> {
        let used = |port, sessions, parked| HostView {
            sessions,
            parked,
            ..view(port, view::HostState::Used)
        };
        let failed = HostView {
            failures: 2,
            ..used(4, 0, 0)
        };
        vec![
            used(1, 0, 0),
            used(2, 1, 4),
            used(3, 3, 0),
            failed,
            view(5, view::HostState::Slow),
            view(6, view::HostState::Trial),
            view(7, view::HostState::Paused),
        ]
    }

    fn ports(hosts: &Hosts) -> Vec<&str> {
        let port = |host: &'_ Host| host.endpoint.rfind(':').map_or(0, |at| at + 1);
        hosts
            .hosts
            .iter()
            .map(|host| &host.endpoint[port(host)..])
            .collect()
    }

    fn asked(state: Option<HostState>, limit: usize) -> Hosts {
        answer(mixed(), HostFilter { state, limit })
    }

    #[test]
    fn those_in_trouble_come_first_and_then_the_busiest() {
        let hosts = asked(None, 100);
        assert_eq!(ports(&hosts), ["7", "6", "5", "4", "2", "3", "1"]);
        assert_eq!(ports(&asked(None, 4)), ["7", "6", "5", "4"]);
        assert_eq!(ports(&asked(Some(HostState::Used), 2)), ["4", "2"]);
    }

    #[test]
    fn a_limit_and_a_filter_change_no_count() {
        for hosts in [asked(None, 100), asked(None, 0), asked(Some(HostState::Slow), 1)] {
            assert_eq!(hosts.known, 7);
            let counts: Vec<_> = hosts.states.values().copied().collect();
            assert_eq!(counts, [1, 1, 1, 4], "{:?}", hosts.states);
        }
        let none = answer(Vec::new(), HostFilter::default());
        assert_eq!(none.states.len(), 4, "every state is there, at zero");
    }

    #[test]
    fn no_limit_is_beyond_the_bound() {
        let views = (0..HOSTS_MAX + 1).map(|n| view(n as u16, view::HostState::Used));
        let filter = HostFilter {
            state: None,
            limit: usize::MAX,
        };
        assert_eq!(answer(views.collect(), filter).hosts.len(), HOSTS_MAX);
    }

    #[test]
    fn units_are_in_the_names() {
        let seconds = std::time::Duration::from_secs_f64;
        let shown = host(HostView {
            reason: "connection refused".into(),
            next_trial: Some(Wall(1_000)),
            transaction: Some(std::time::Duration::from_nanos(12_500_300)),
            opening: Some(seconds(0.25)),
            idle_max: Some(seconds(1.5)),
            ..view(25, view::HostState::Paused)
        });
        assert_eq!(
            (shown.transaction_ms, shown.opening_ms, shown.idle_max_seconds),
            (Some(12.5), Some(250.0), Some(1.5))
        );
        assert_eq!(
            (shown.reason.as_deref(), shown.next_trial),
            (Some("connection refused"), Some(1_000))
        );
    }
}
