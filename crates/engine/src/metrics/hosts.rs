//! What is remembered of hosts, copied into the registry at a scrape.
//!
//! # Contract
//! * **Bounded in number**: hosts are counted by state, and shown one by one only where most mail goes, at most
//!   [`SHOWN_MAX`] (source, endpoint) in all.
//! * **A host that is no longer among them is gone from the page**, and not shown as it was.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeGaugeValue, EncodeMetric, MetricEncoder},
    metrics::MetricType,
    registry::Registry,
};
use remuda_dispatch::view::{HostState, HostView};

/// The copies.
pub(super) struct CopiedHosts {
    states: Rows<u64>,
    transaction: Rows<f64>,
    opening: Rows<f64>,
    sessions: Rows<u64>,
    connections_max: Rows<u64>,
    state: Rows<u64>,
    next_trial: Rows<f64>,
}

type Labels = Vec<(&'static str, String)>;

/// A gauge for each of some labels; all of them are replaced at once.
#[derive(Clone, Debug)]
struct Rows<V>(Arc<Mutex<Vec<(Labels, V)>>>);

impl<V> Rows<V> {
    fn new() -> Self {
        Rows(Arc::default())
    }

    fn take(&self, rows: impl Iterator<Item = (Labels, V)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows.collect();
    }
}

impl<V: EncodeGaugeValue> EncodeMetric for Rows<V> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().try_for_each(|(labels, value)| {
            let mut row = encoder.encode_family(labels)?;
            row.encode_gauge(value)
        })
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl CopiedHosts {
    pub(super) fn register(to: &mut Registry) -> Self {
        let copied = CopiedHosts {
            states: Rows::new(),
            transaction: Rows::new(),
            opening: Rows::new(),
            sessions: Rows::new(),
            connections_max: Rows::new(),
            state: Rows::new(),
            next_trial: Rows::new(),
        };
        copied.name(to);
        copied.take(&[], &[]);
        copied
    }

    fn name(&self, to: &mut Registry) {
        to.register(
            "remuda_hosts",
            "Hosts of which something is remembered",
            self.states.clone(),
        );
        to.register(
            "remuda_host_transaction_seconds",
            "Smoothed time that a transaction waits for replies, at the busiest hosts",
            self.transaction.clone(),
        );
        to.register(
            "remuda_host_opening_seconds",
            "Smoothed time from a dial to a session",
            self.opening.clone(),
        );
        to.register("remuda_host_sessions", "Sessions open now", self.sessions.clone());
        to.register(
            "remuda_host_connections_max",
            "Connections that a host allows, where that was learned",
            self.connections_max.clone(),
        );
        to.register(
            "remuda_host_state",
            "1 for the state that a host is in",
            self.state.clone(),
        );
        to.register(
            "remuda_host_next_trial_timestamp_seconds",
            "When a paused or slow host is tried next",
            self.next_trial.clone(),
        );
    }

    /// `busiest`: the endpoints that most mail went to, busiest first.
    pub(super) fn take(&self, views: &[HostView], busiest: &[String]) {
        self.states.take(HostState::ALL.into_iter().map(|state| {
            let count = views.iter().filter(|view| view.state == state).count();
            (vec![("state", state.as_str().to_owned())], count as u64)
        }));
        let shown = shown(views, busiest);
        let rows = || shown.iter().map(|view| (labels(view), *view));
        self.transaction
            .take(rows().filter_map(|(labels, view)| Some((labels, view.transaction?.as_secs_f64()))));
        self.opening
            .take(rows().filter_map(|(labels, view)| Some((labels, view.opening?.as_secs_f64()))));
        self.connections_max
            .take(rows().filter_map(|(labels, view)| Some((labels, u64::from(view.connections_max?)))));
        self.next_trial
            .take(rows().filter_map(|(labels, view)| Some((labels, view.next_trial?.0 as f64 / 1000.0))));
        self.sessions.take(rows().flat_map(|(labels, view)| {
            let counts = [("busy", u64::from(view.sessions)), ("parked", view.parked as u64)];
            by_state(labels, counts)
        }));
        self.state.take(rows().flat_map(|(labels, view)| {
            let is_it = |state: HostState| (state.as_str(), u64::from(state == view.state));
            by_state(labels, HostState::ALL.map(is_it))
        }));
    }
}

/// The rows of one host that differ by `state`.
fn by_state<const N: usize>(
    labels: Labels,
    counts: [(&'static str, u64); N],
) -> impl Iterator<Item = (Labels, u64)> {
    counts.into_iter().map(move |(state, count)| {
        let mut labels = labels.clone();
        labels.push(("state", state.to_owned()));
        (labels, count)
    })
}

/// Those that are shown one by one, busiest first.
fn shown<'a>(views: &'a [HostView], busiest: &[String]) -> Vec<&'a HostView> {
    let ranks: HashMap<&str, usize> = busiest.iter().map(String::as_str).zip(0..).collect();
    let mut ranked: Vec<(usize, &HostView)> = views
        .iter()
        .filter_map(|view| Some((*ranks.get(view.way.endpoint.to_string().as_str())?, view)))
        .collect();
    ranked.sort_by_key(|(rank, view)| (*rank, view.way));
    ranked.truncate(SHOWN_MAX);
    ranked.into_iter().map(|(_, view)| view).collect()
}

fn labels(view: &HostView) -> Labels {
    let endpoint = [("endpoint", view.way.endpoint.to_string())].into_iter();
    let source = view.way.source.map(|source| ("source", source.to_string()));
    endpoint.chain(source).collect()
}

/// Hosts shown one by one: some hundred series.
pub(crate) const SHOWN_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;
    use remuda_clock::Wall;
    use remuda_mail::{Endpoint, Way};

    use super::*;

    fn view(port: u16, source: Option<[u8; 4]>) -> HostView {
        HostView {
            way: Way {
                endpoint: Endpoint::Tcp(([192, 0, 2, 1], port).into()),
                source: source.map(Into::into),
            },
            host: None,
            state: HostState::Used,
            reason: String::new(),
            next_trial: None,
            transaction: Some(Duration::from_millis(50)),
            opening: None,
            sessions: 2,
            parked: 3,
            connections_max: Some(5),
            transactions_max: None,
            idle_max: None,
            bears_reuse: true,
            depth: 1,
            failures: 0,
        }
    }

    fn paused(port: u16) -> HostView {
        HostView {
            state: HostState::Paused,
            next_trial: Some(Wall(12_500)),
            transaction: None,
            connections_max: None,
            ..view(port, None)
        }
    }

    fn text(scrapes: &[(&[HostView], &[String])]) -> String {
        let mut registry = Registry::default();
        let copied = CopiedHosts::register(&mut registry);
        for (views, busiest) in scrapes {
            copied.take(views, busiest);
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    fn named(ports: impl IntoIterator<Item = u16>) -> Vec<String> {
        ports
            .into_iter()
            .map(|port| format!("192.0.2.1:{port}"))
            .collect()
    }

    #[test]
    fn the_busiest_hosts_are_shown_one_by_one() {
        let views = [view(1, None), paused(2), view(3, Some([192, 0, 2, 9]))];
        let text = text(&[(&views, &named([3, 2]))]);
        for line in [
            "remuda_hosts{state=\"used\"} 2",
            "remuda_hosts{state=\"paused\"} 1",
            "remuda_hosts{state=\"slow\"} 0",
            "remuda_host_transaction_seconds{endpoint=\"192.0.2.1:3\",source=\"192.0.2.9\"} 0.05",
            "remuda_host_sessions{endpoint=\"192.0.2.1:2\",state=\"busy\"} 2",
            "remuda_host_sessions{endpoint=\"192.0.2.1:2\",state=\"parked\"} 3",
            "remuda_host_connections_max{endpoint=\"192.0.2.1:3\",source=\"192.0.2.9\"} 5",
            "remuda_host_state{endpoint=\"192.0.2.1:2\",state=\"paused\"} 1",
            "remuda_host_state{endpoint=\"192.0.2.1:2\",state=\"used\"} 0",
            "remuda_host_next_trial_timestamp_seconds{endpoint=\"192.0.2.1:2\"} 12.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
        }
        assert!(
            !text.contains("192.0.2.1:1\""),
            "it is not among the busiest\n{text}"
        );
    }

    #[test]
    fn hosts_in_metrics_are_bounded_in_number() {
        let views: Vec<HostView> = (1..=200).map(|port| view(port, None)).collect();
        let text = text(&[(&views, &named(1..=200))]);
        let times = text.matches("remuda_host_transaction_seconds{").count();
        assert_eq!(times, SHOWN_MAX);
        let from = |n: u8| view(1, Some([192, 0, 2, n]));
        let views: Vec<HostView> = (1..=200).map(from).collect();
        assert_eq!(shown(&views, &named([1])).len(), SHOWN_MAX, "sources count too");
        assert!(
            text.contains("remuda_hosts{state=\"used\"} 200"),
            "all are counted"
        );
    }

    #[test]
    fn a_host_that_is_no_longer_among_them_is_gone() {
        let views = [view(1, None), view(2, None)];
        let text = text(&[(&views, &named([1])), (&views, &named([2]))]);
        assert!(
            !text.contains("192.0.2.1:1\"") && text.contains("192.0.2.1:2\""),
            "{text}"
        );
    }
}
