//! A watch over the limits of the operator's rules, after every event of every test.
//!
//! It remembers only what can be seen from outside, and knows nothing of how limits are kept: nothing may
//! begin above a limit. What is above it because the limit came later (a reload) may end in peace.

use std::collections::BTreeMap;

use remuda_clock::Monotonic;
use remuda_mail::{DeliveryId, Destination, Way};

use crate::{Dispatch, settings::Rule};

/// What it saw last.
#[derive(Default)]
pub(super) struct LimitWatch {
    ways: BTreeMap<Way, u32>,
    busy: BTreeMap<String, u32>,
    starts: BTreeMap<String, Monotonic>,
    seen: u64,
}

impl LimitWatch {
    /// Panics if something has begun above a limit.
    pub(super) fn check(&mut self, dispatch: &Dispatch, now: Monotonic, is_reload: bool) {
        self.check_ways(dispatch);
        self.check_busy(dispatch, is_reload);
        self.check_pace(dispatch, now, is_reload);
    }

    fn check_ways(&mut self, dispatch: &Dispatch) {
        let mut ways: BTreeMap<Way, u32> = BTreeMap::new();
        for session in dispatch.sessions.values().filter(|session| session.is_counted()) {
            *ways.entry(session.way()).or_default() += 1;
        }
        for (way, count) in &ways {
            let users = dispatch
                .sites
                .values()
                .filter(|site| site.endpoints.contains(&way.endpoint));
            let demands = users.filter_map(|site| site.rule.as_ref()?.sessions_per_endpoint);
            let max = demands
                .chain([dispatch.settings.sessions_per_endpoint])
                .min()
                .unwrap_or(0)
                .max(1);
            let before = self.ways.get(way).copied().unwrap_or(0);
            assert!(
                *count <= before || *count <= max,
                "{count} sessions by {way:?}, {max} allowed"
            );
        }
        self.ways = ways;
    }

    fn check_busy(&mut self, dispatch: &Dispatch, is_reload: bool) {
        let mut busy: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for (destination, rule) in ruled(dispatch) {
            let here = dispatch.schedule.view(destination).map_or(0, |view| view.busy);
            let Some(max) = rule.concurrency else { continue };
            let sum = busy.entry(gate(destination, rule)).or_insert((0, max));
            sum.0 += here;
        }
        for (key, (count, max)) in &busy {
            let before = self.busy.get(key).copied().unwrap_or(0);
            assert!(
                is_reload || *count <= before || count <= max,
                "{count} in hand for {key}, {max} allowed"
            );
        }
        self.busy = busy.into_iter().map(|(key, (count, _))| (key, count)).collect();
    }

    fn check_pace(&mut self, dispatch: &Dispatch, now: Monotonic, is_reload: bool) {
        if is_reload {
            self.starts.clear();
        }
        for id in self.seen..dispatch.delivery_next {
            let Some(delivery) = dispatch.deliveries.get(&DeliveryId(id)) else {
                continue;
            };
            let destination = &delivery.entry.destination;
            let rule = dispatch
                .sites
                .get(destination)
                .and_then(|site| site.rule.as_ref());
            let Some((rule, rate)) = rule.and_then(|rule| Some((rule, rule.rate?))) else {
                continue;
            };
            let key = gate(destination, rule);
            let last = self.starts.insert(key.clone(), now);
            let is_early = last.is_some_and(|last| (now - last) * rate.messages < rate.per);
            assert!(!is_early, "{key} starts too early");
        }
        self.seen = dispatch.delivery_next;
    }
}

/// All destinations under rules.
fn ruled(dispatch: &Dispatch) -> impl Iterator<Item = (&Destination, &Rule)> {
    let sites = dispatch.sites.iter();
    sites.filter_map(|(destination, site)| Some((destination, &**site.rule.as_ref()?)))
}

/// Whose limit it is.
fn gate(destination: &Destination, rule: &Rule) -> String {
    if rule.pattern.is_of_hosts() {
        rule.pattern.to_string()
    } else {
        format!("={destination}")
    }
}
