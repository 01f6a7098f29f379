//! The cache against a naive model, over random histories.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    tests::{at, destination, endpoint, facts, limits, requirements},
    *,
};

#[derive(Clone, Debug)]
enum Step {
    Park { endpoint: u8, utf8: bool },
    Bind { name: u8, endpoint: u8 },
    TakeByDestination { name: u8, set: Vec<u8>, utf8: bool },
    TakeByEndpoint { endpoint: u8, utf8: bool },
    Remove(usize),
    Shorten { index: usize, millis: u64 },
    Expire,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4u8, any::<bool>()).prop_map(|(endpoint, utf8)| Step::Park { endpoint, utf8 }),
        2 => (0..3u8, 1..4u8).prop_map(|(name, endpoint)| Step::Bind { name, endpoint }),
        2 => (0..3u8, prop::collection::vec(1..4u8, 0..4), any::<bool>())
            .prop_map(|(name, set, utf8)| Step::TakeByDestination { name, set, utf8 }),
        2 => (1..4u8, any::<bool>()).prop_map(|(endpoint, utf8)| Step::TakeByEndpoint { endpoint, utf8 }),
        1 => (0..8usize).prop_map(Step::Remove),
        1 => (0..8usize, 1..3000u64).prop_map(|(index, millis)| Step::Shorten { index, millis }),
        1 => Just(Step::Expire),
        3 => (1..1500u64).prop_map(Step::Wait),
    ]
}

/// Everything in one list, searched from end to end.
#[derive(Default)]
struct Model {
    parked: Vec<(SessionId, Facts, Monotonic)>,
    bound: Vec<(u8, u8, Monotonic)>,
    /// The latest end of a session whose endpoint tolerates less.
    shortened: Vec<(SessionId, Monotonic)>,
}

impl Model {
    fn ends(&self, at: usize) -> Monotonic {
        let (session, facts, since) = &self.parked[at];
        let ends = (*since + limits().idle_max).min(limits().life_ends(*session, facts.opened));
        let shortened = self.shortened.iter().filter(|(id, _)| id == session);
        shortened.map(|(_, end)| *end).chain([ends]).min().unwrap_or(ends)
    }

    fn park(&mut self, session: SessionId, facts: Facts, now: Monotonic) -> Option<SessionId> {
        if limits().check(session, &facts, now).is_err() {
            return Some(session);
        }
        let endpoint = facts.endpoint;
        self.parked.push((session, facts, now));
        let here = |parked: &(SessionId, Facts, Monotonic)| parked.1.endpoint == endpoint;
        let surplus = if self.parked.iter().filter(|p| here(p)).count() > limits().sessions_per_endpoint_max {
            self.parked.iter().position(here)
        } else {
            (self.parked.len() > limits().sessions_max).then_some(0)
        };
        surplus.map(|index| self.parked.remove(index).0)
    }

    fn take(&mut self, wanted: &Requirements, endpoints: &[Endpoint], now: Monotonic) -> Option<SessionId> {
        let index = (0..self.parked.len()).rev().find(|index| {
            let facts = &self.parked[*index].1;
            endpoints.contains(&facts.endpoint)
                && self.ends(*index) > now
                && wanted.endpoints.contains(&facts.endpoint)
                && (!wanted.smtputf8 || facts.capabilities.smtputf8)
        })?;
        Some(self.parked.remove(index).0)
    }
}

fn name(n: u8) -> String {
    format!("d{n}.test")
}

proptest! {
    #[test]
    fn cache_agrees_with_model(steps in prop::collection::vec(step(), 1..120)) {
        let (mut cache, mut model) = (ConnectionCache::new(limits()), Model::default());
        let mut now = at(0);
        let mut id_next = 0;
        for step in steps {
            match step {
                Step::Park { endpoint, utf8 } => {
                    let mut facts = facts(endpoint);
                    facts.capabilities.smtputf8 = utf8;
                    facts.opened = now;
                    let session = SessionId(id_next);
                    id_next += 1;
                    let gone = cache.park(session, facts.clone(), destination("x.test"), now);
                    prop_assert_eq!(gone.map(|(id, _)| id), model.park(session, facts, now));
                }
                Step::Bind { name: n, endpoint: e } => {
                    cache.bind(&destination(&name(n)), endpoint(e), now);
                    model.bound.retain(|bound| (bound.0, bound.1) != (n, e));
                    model.bound.push((n, e, now + limits().idle_max));
                }
                Step::TakeByDestination { name: n, set, utf8 } => {
                    let mut wanted = requirements(&name(n), &set);
                    wanted.smtputf8 = utf8;
                    let bound: Vec<_> = model.bound.iter()
                        .filter(|bound| bound.0 == n && bound.2 > now)
                        .map(|bound| endpoint(bound.1))
                        .collect();
                    let taken = cache.take_by_destination(&wanted, |_| true, now);
                    prop_assert_eq!(taken.map(|(id, _)| id), model.take(&wanted, &bound, now));
                }
                Step::TakeByEndpoint { endpoint: e, utf8 } => {
                    let mut wanted = requirements("any.test", &[e]);
                    wanted.smtputf8 = utf8;
                    let taken = cache.take_by_endpoint(endpoint(e), &wanted, now);
                    prop_assert_eq!(taken.map(|(id, _)| id), model.take(&wanted, &[endpoint(e)], now));
                }
                Step::Remove(index) => {
                    let there = (index < model.parked.len()).then(|| model.parked.remove(index).0);
                    let session = there.unwrap_or(SessionId(u64::MAX));
                    prop_assert_eq!(cache.remove(session).is_some(), there.is_some());
                }
                Step::Shorten { index, millis } => {
                    if let Some((session, _, since)) = model.parked.get(index) {
                        let idle_max = Duration::from_millis(millis);
                        cache.shorten_idle(*session, idle_max);
                        model.shortened.push((*session, *since + idle_max));
                    }
                }
                Step::Expire => {
                    let mut gone: Vec<_> = cache.expire(now).into_iter().map(|(id, _)| id).collect();
                    let ended: Vec<_> = (0..model.parked.len()).filter(|i| model.ends(*i) <= now).collect();
                    let mut expected: Vec<_> =
                        ended.into_iter().rev().map(|index| model.parked.remove(index).0).collect();
                    gone.sort();
                    expected.sort();
                    prop_assert_eq!(gone, expected);
                }
                Step::Wait(millis) => now += Duration::from_millis(millis),
            }
            cache.assert_consistent();
            prop_assert_eq!(cache.len(), model.parked.len());
            prop_assert!(cache.next_deadline().is_some() || model.parked.is_empty());
        }
    }
}
