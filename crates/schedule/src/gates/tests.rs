//! Gates: one test a rule, and random histories in which no limit is exceeded.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use remuda_clock::Now;

use super::*;
use crate::{Limits, tests::entry};

fn to(name: &str) -> Destination {
    Destination::from_key(name)
}

fn at(millis: u64) -> Now {
    Now::default().later(Duration::from_millis(millis))
}

fn schedule() -> Schedule {
    let limits = Limits {
        initial_concurrency: 5,
        concurrency_max: 20,
        active_max: 1000,
        minimal_backoff: Duration::from_secs(300),
        maximal_backoff: Duration::from_secs(4000),
        seed: 7,
    };
    Schedule::new(limits, at(0))
}

fn shared(busy_max: Option<u32>, space: Option<u64>) -> Terms {
    let limits = GateLimits {
        busy_max,
        space: space.map(Duration::from_millis),
    };
    Terms {
        concurrency_max: busy_max,
        gate: Some((GateKey::Shared("mx:.test".into()), limits)),
    }
}

/// Three entries for each of these.
fn fill(schedule: &mut Schedule, names: &[&str], terms: &Terms) {
    for (place, name) in names.iter().enumerate() {
        schedule.set_terms(&to(name), terms.clone());
        for id in 0..3 {
            schedule.accepted(entry(place as u64 * 10 + id, name));
        }
    }
}

fn start(schedule: &mut Schedule) -> Option<String> {
    let destination = schedule.next_ready()?;
    schedule.start(&destination)?;
    schedule.assert_consistent();
    Some(destination.as_str().to_owned())
}

fn all(schedule: &mut Schedule) -> Vec<String> {
    std::iter::from_fn(|| start(schedule)).collect()
}

#[test]
fn members_of_a_gate_share_its_slots_in_turn() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a", "b", "c"], &shared(Some(2), None));
    assert_eq!(all(&mut schedule), ["a", "b"]);
    let mut order = Vec::new();
    for name in ["a", "b", "c", "a", "b", "c"] {
        schedule.release(&to(name));
        order.extend(all(&mut schedule));
    }
    assert_eq!(
        order,
        ["c", "a", "b", "c", "a", "b"],
        "nobody passes those who wait"
    );
}

#[test]
fn a_member_that_ends_a_delivery_does_not_pass_those_who_wait() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a", "b"], &shared(Some(1), None));
    assert_eq!(all(&mut schedule), ["a"]);
    schedule.release(&to("a"));
    assert!(schedule.peek(&to("a")).is_none() && schedule.start(&to("a")).is_none());
    assert!(schedule.peek(&to("b")).is_some());
}

#[test]
fn starts_are_evenly_spaced_to_the_moment() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a", "b"], &shared(None, Some(600)));
    assert_eq!(all(&mut schedule), ["a"]);
    for (place, name) in ["b", "a", "b"].into_iter().enumerate() {
        let opens = at(600 * (place as u64 + 1));
        assert_eq!(schedule.next_deadline(), Some(opens.monotonic));
        schedule.advance(at(600 * (place as u64 + 1) - 1));
        assert_eq!(start(&mut schedule), None, "a millisecond too early");
        schedule.advance(opens);
        assert_eq!(all(&mut schedule), [name]);
    }
    schedule.advance(at(60_000));
    assert_eq!(all(&mut schedule).len(), 1, "idle time is no credit");
}

#[test]
fn a_gate_of_ones_own_holds_up_nobody_else() {
    let mut schedule = schedule();
    for name in ["a", "b"] {
        let space = Some(Duration::from_secs(1));
        let limits = GateLimits {
            busy_max: None,
            space,
        };
        let gate = Some((GateKey::Of(to(name)), limits));
        let concurrency_max = None;
        fill(
            &mut schedule,
            &[name],
            &Terms {
                concurrency_max,
                gate,
            },
        );
    }
    assert_eq!(all(&mut schedule), ["a", "b"]);
    schedule.advance(at(1000));
    assert_eq!(all(&mut schedule), ["a", "b"]);
}

#[test]
fn a_promise_that_is_not_kept_goes_to_the_next() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a", "b"], &shared(Some(1), None));
    assert_eq!(schedule.next_ready(), Some(to("a")));
    schedule.set_blocked(&to("a"), true);
    assert_eq!(all(&mut schedule), ["b"]);
    schedule.set_blocked(&to("a"), false);
    assert_eq!(all(&mut schedule), [""; 0]);
    schedule.release(&to("b"));
    assert_eq!(all(&mut schedule), ["a"]);
}

#[test]
fn who_waited_at_a_gate_that_is_gone_goes_on() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a", "b"], &shared(None, Some(1000)));
    assert_eq!(all(&mut schedule), ["a"]);
    for name in ["a", "b"] {
        schedule.set_terms(&to(name), Terms::default());
    }
    assert_eq!(all(&mut schedule).len(), 5);
    schedule.advance(at(1000));
    assert_eq!(schedule.next_deadline(), None, "nothing is left of it");
}

#[test]
fn a_lower_limit_holds_starts_until_enough_has_ended() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a", "b"], &shared(Some(4), None));
    assert_eq!(all(&mut schedule).len(), 4);
    for name in ["a", "b"] {
        schedule.set_terms(&to(name), shared(Some(2), None));
    }
    for name in ["a", "a"] {
        schedule.release(&to(name));
        assert_eq!(start(&mut schedule), None);
    }
    schedule.release(&to("b"));
    assert_eq!(all(&mut schedule).len(), 1);
}

#[test]
fn a_rate_is_remembered_without_members() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a"], &shared(None, Some(1000)));
    assert_eq!(all(&mut schedule), ["a"]);
    schedule.set_terms(&to("a"), Terms::default());
    fill(&mut schedule, &["b"], &shared(None, Some(1000)));
    assert!(!all(&mut schedule).contains(&"b".to_owned()));
    schedule.advance(at(1000));
    assert_eq!(all(&mut schedule), ["b"]);
}

#[test]
fn riders_keep_the_pace_and_let_others_have_their_turn() {
    let mut schedule = schedule();
    fill(&mut schedule, &["a"], &shared(Some(1), Some(600)));
    assert_eq!(all(&mut schedule), ["a"]);
    assert!(schedule.is_full(&to("a")), "its gate is");
    assert!(schedule.peek_rider(&to("a")).is_none(), "too early");
    schedule.advance(at(600));
    assert!(schedule.ride(&to("a")).is_some());
    assert!(schedule.ride(&to("a")).is_none(), "that was a start too");
    fill(&mut schedule, &["b"], &shared(Some(1), Some(600)));
    schedule.advance(at(1200));
    assert!(schedule.ride(&to("a")).is_none(), "somebody waits for the slot");
    schedule.release(&to("a"));
    assert_eq!(all(&mut schedule), ["b"]);
}

#[test]
fn a_window_ends_where_the_terms_say() {
    let mut schedule = schedule();
    let terms = |max| Terms {
        concurrency_max: Some(max),
        gate: None,
    };
    fill(&mut schedule, &["a"], &terms(2));
    assert_eq!(all(&mut schedule).len(), 2);
    for _ in 0..30 {
        schedule.feedback(&to("a"), crate::Feedback::Positive);
    }
    assert_eq!(schedule.view(&to("a")).map(|view| view.window), Some(2));
    schedule.set_terms(&to("a"), terms(50));
    for _ in 0..2 {
        schedule.feedback(&to("a"), crate::Feedback::Positive);
    }
    assert_eq!(schedule.view(&to("a")).map(|view| view.window), Some(4));
}

#[derive(Clone, Debug)]
enum Step {
    Accept(u8),
    Turn,
    /// A destination starts out of turn, as when its session goes to its next message.
    StartOn(u8),
    /// A delivery rides on a session of its destination's, without a slot.
    Ride(u8),
    End(usize),
    GiveBack(usize),
    Block(u8, bool),
    Suspend(u8),
    Wait(u64),
    UntilDeadline,
    Terms(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..4u8).prop_map(Step::Accept),
        6 => Just(Step::Turn),
        2 => (0..4u8).prop_map(Step::StartOn),
        2 => (0..4u8).prop_map(Step::Ride),
        4 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => (0..4u8, any::<bool>()).prop_map(|(name, on)| Step::Block(name, on)),
        1 => (0..4u8).prop_map(Step::Suspend),
        2 => (1..400u64).prop_map(Step::Wait),
        3 => Just(Step::UntilDeadline),
        2 => (0..4u8, 0..5u8).prop_map(|(name, terms)| Step::Terms(name, terms)),
    ]
}

fn some_terms(name: u8, which: u8) -> Terms {
    let own = GateLimits {
        busy_max: None,
        space: Some(Duration::from_millis(250)),
    };
    match which {
        0 => Terms::default(),
        1 => shared(Some(2), Some(300)),
        2 => Terms {
            concurrency_max: Some(1),
            gate: Some((
                GateKey::Shared("mx:other".into()),
                GateLimits {
                    busy_max: Some(1),
                    space: None,
                },
            )),
        },
        _ => Terms {
            concurrency_max: Some(3),
            gate: Some((GateKey::Of(to(&name.to_string())), own)),
        },
    }
}

/// What a naive keeper of the rules remembers.
#[derive(Default)]
struct Keeper {
    terms: BTreeMap<u8, Terms>,
    busy: Vec<(u8, crate::Entry)>,
    starts: HashMap<GateKey, Monotonic>,
}

impl Keeper {
    fn started(&mut self, name: u8, entry: crate::Entry, now: Monotonic) {
        self.busy.push((name, entry));
        let gate = |name: &u8| self.terms.get(name).and_then(|terms| terms.gate.clone());
        let Some((key, limits)) = gate(&name) else { return };
        let at_gate = self
            .busy
            .iter()
            .filter(|(of, _)| gate(of).is_some_and(|(other, _)| other == key));
        assert!(
            limits.busy_max.is_none_or(|max| at_gate.count() <= max as usize),
            "{key:?}"
        );
        self.paced(name, now);
    }

    fn paced(&mut self, name: u8, now: Monotonic) {
        let Some((key, limits)) = self.terms.get(&name).and_then(|terms| terms.gate.clone()) else {
            return;
        };
        let last = self.starts.insert(key, now);
        assert!(last.is_none_or(|last| limits.space.is_none_or(|space| now - last >= space)));
    }
}

proptest! {
    #[test]
    fn no_start_exceeds_a_limit(steps in prop::collection::vec(step(), 1..300)) {
        let (mut schedule, mut keeper, mut now, mut id) = (schedule(), Keeper::default(), at(0), 0);
        for step in steps {
            let name_of = |name: u8| to(&name.to_string());
            match step {
                Step::Accept(name) => {
                    id += 1;
                    schedule.accepted(entry(id, &name.to_string()));
                }
                Step::Turn => if let Some(next) = schedule.next_ready() {
                    let entry = schedule.start(&next).expect("its turn");
                    keeper.started(next.as_str().parse().unwrap(), entry, now.monotonic);
                },
                Step::StartOn(name) => if let Some(entry) = schedule.start(&name_of(name)) {
                    keeper.started(name, entry, now.monotonic);
                },
                Step::Ride(name) => if let Some(entry) = schedule.ride(&name_of(name)) {
                    keeper.paced(name, now.monotonic);
                    schedule.settled(&entry.destination, entry.id, None);
                },
                Step::End(which) if !keeper.busy.is_empty() => {
                    let (_, entry) = keeper.busy.swap_remove(which % keeper.busy.len());
                    schedule.release(&entry.destination);
                    schedule.settled(&entry.destination, entry.id, None);
                }
                Step::GiveBack(which) if !keeper.busy.is_empty() => {
                    let (_, entry) = keeper.busy.swap_remove(which % keeper.busy.len());
                    schedule.give_back(&entry);
                }
                Step::End(_) | Step::GiveBack(_) => {}
                Step::Block(name, is_blocked) => schedule.set_blocked(&name_of(name), is_blocked),
                Step::Suspend(name) => {
                    let until = now.monotonic + Duration::from_millis(500);
                    schedule.suspend(&name_of(name), until, "test".to_owned());
                }
                Step::Wait(millis) => now = now.later(Duration::from_millis(millis)),
                Step::UntilDeadline => if let Some(deadline) = schedule.next_deadline() {
                    now = now.later(deadline - now.monotonic);
                },
                Step::Terms(name, which) => {
                    keeper.terms.insert(name, some_terms(name, which));
                    schedule.set_terms(&name_of(name), some_terms(name, which));
                }
            }
            schedule.advance(now);
            schedule.assert_consistent();
        }
    }
}
