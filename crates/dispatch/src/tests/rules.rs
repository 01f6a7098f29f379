//! Rules of the operator's: concurrency, rate, sessions of an endpoint, reuses, and their coming and going.

use std::time::Duration;

use super::world::*;
use crate::{
    command::{Command, RetireCause},
    event::Event,
    settings::{Pattern, Rate, Rule, Settings},
};

/// The name of the host behind `endpoint(1)`.
const HOST: &str = "mx192.0.2.1";

fn of_host() -> Rule {
    Rule {
        pattern: Pattern::Host(HOST.to_owned()),
        ..Rule::default()
    }
}

fn of(domain: &str) -> Rule {
    Rule {
        pattern: Pattern::Domain(domain.to_owned()),
        ..Rule::default()
    }
}

fn under(rules: &[Rule]) -> Settings {
    Settings {
        rules: rules.to_vec(),
        ..settings()
    }
}

/// Three destinations on one host.
fn world(rules: &[Rule]) -> World {
    let mut world = World::new(under(rules));
    for name in ["a.test", "b.test", "c.test"] {
        world.serve(name, &[1]);
    }
    world
}

/// Accepts so many messages for each, with their servers known.
fn fill(world: &mut World, names: &[&str], messages: usize) {
    for name in names {
        for _ in 0..messages {
            world.accept(name);
        }
        if let Some(command) = world.next(is_resolve) {
            let event = world.good_answer(&command);
            world.tell(event);
        }
    }
}

fn in_hand(world: &World, names: &[&str]) -> u32 {
    let busy = |name: &&str| {
        world
            .dispatch
            .destination(&to(name), world.now)
            .map_or(0, |view| view.busy)
    };
    names.iter().map(busy).sum()
}

const ALL: [&str; 3] = ["a.test", "b.test", "c.test"];

#[test]
fn a_host_rules_concurrency_is_shared_by_all_that_it_serves() {
    let mut world = world(&[Rule {
        concurrency: Some(2),
        ..of_host()
    }]);
    world.serve("other.test", &[2]);
    fill(&mut world, &ALL, 4);
    fill(&mut world, &["other.test"], 4);
    assert_eq!((in_hand(&world, &ALL), in_hand(&world, &["other.test"])), (2, 4));
    let mut served = Vec::new();
    while let Some(command) = world.next(|command| !matches!(command, Command::Watch { .. })) {
        if let Command::Transact { entry, .. } = &command {
            served.push(world.spool[entry].0.destination.as_str().to_owned());
        }
        let event = world.good_answer(&command);
        world.tell(event);
        assert!(in_hand(&world, &ALL) <= 2);
    }
    assert_eq!(world.done.len(), 16);
    served.retain(|name| name != "other.test");
    for round in served[1..10].chunks(3) {
        assert_eq!(round, ALL, "in turn: {served:?}");
    }
}

/// Design §5, Storing: whoever waits at the gate is likely to want the same endpoint.
#[test]
fn a_session_is_kept_for_those_who_wait_at_the_gate() {
    let mut world = world(&[Rule {
        concurrency: Some(1),
        ..of_host()
    }]);
    fill(&mut world, &ALL, 1);
    world.settle_down();
    assert_eq!((world.done.len(), world.count(is_dial)), (3, 1));
}

#[test]
fn a_domain_rules_concurrency_is_its_own_window() {
    let mut world = world(&[Rule {
        concurrency: Some(1),
        ..of("a.test")
    }]);
    fill(&mut world, &ALL, 4);
    assert_eq!(in_hand(&world, &["a.test"]), 1);
    assert_eq!(in_hand(&world, &["b.test"]), 4);
    world.settle_down();
    assert_eq!(world.done.len(), 12);
}

#[test]
fn a_host_rules_rate_spaces_the_starts_of_all_that_it_serves() {
    let rate = Rate {
        messages: 100,
        per: Duration::from_secs(60),
    };
    let mut world = world(&[Rule {
        rate: Some(rate),
        ..of_host()
    }]);
    fill(&mut world, &ALL, 2);
    let start = world.now.monotonic;
    for place in 1..6 {
        world.settle_down();
        assert_eq!(world.done.len(), place);
        let opens = start + Duration::from_millis(600) * place as u32;
        while world.now.monotonic < opens {
            // Sessions that idle out are the only other reason to wake up.
            let deadline = world.dispatch.next_deadline().expect("mail waits");
            assert!(deadline <= opens, "the wake-up is exact");
            assert_eq!(world.done.len(), place);
            world.now = world.now.later(deadline - world.now.monotonic);
            world.tell(Event::Tick);
        }
    }
    world.settle_down();
    assert_eq!(world.done.len(), 6);
}

#[test]
fn a_domain_rules_rate_holds_up_nobody_else() {
    let rate = Rate {
        messages: 1,
        per: Duration::from_secs(60),
    };
    let suffix = Pattern::Domains(".test".to_owned());
    let mut world = world(&[Rule {
        pattern: suffix,
        rate: Some(rate),
        ..Rule::default()
    }]);
    fill(&mut world, &ALL, 2);
    world.settle_down();
    assert_eq!(world.done.len(), 3, "one each");
}

#[test]
fn a_paced_bounce_would_help_nobody() {
    let rate = Rate {
        messages: 1,
        per: Duration::from_secs(3600),
    };
    let mut world = world(&[Rule {
        rate: Some(rate),
        ..of("gone.test")
    }]);
    for _ in 0..3 {
        world.accept("gone.test");
    }
    world.settle_down();
    assert_eq!(world.bounced.len(), 3);
}

#[test]
fn the_lowest_limit_of_an_endpoints_destinations_counts_for_all() {
    let mut world = world(&[Rule {
        sessions_per_endpoint: Some(1),
        ..of("a.test")
    }]);
    fill(&mut world, &["b.test"], 2);
    assert_eq!(world.count(is_dial), 2, "nobody demands less");
    fill(&mut world, &["a.test", "b.test"], 1);
    assert_eq!(world.count(is_dial), 2);
    world.settle_down();
    assert_eq!(world.done.len(), 4);
    let raising = Rule {
        sessions_per_endpoint: Some(100),
        ..of("a.test")
    };
    let mut settings = under(&[raising]);
    settings.sessions_per_endpoint = 1;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    fill(&mut world, &["a.test"], 3);
    assert_eq!(world.count(is_dial), 1, "a rule does not raise it");
}

#[test]
fn a_limit_of_sessions_ends_with_the_memory_of_its_destination() {
    let mut world = world(&[Rule {
        sessions_per_endpoint: Some(1),
        ..of("a.test")
    }]);
    fill(&mut world, &["a.test"], 1);
    world.settle_down();
    fill(&mut world, &["b.test"], 2);
    assert_eq!(world.count(is_dial), 2, "one of a.test, one of b.test");
    while world.dispatch.destination(&to("a.test"), world.now).is_some() {
        world.wait(1000);
        world.tell(Event::Tick);
    }
    assert_eq!(world.count(is_dial), 3, "who waited goes on");
    world.settle_down();
    assert_eq!(world.done.len(), 3);
}

/// T22, by destination: limit 1 is two transactions a session.
#[test]
fn a_rules_reuse_count_is_kept_for_its_destination() {
    let rule = Rule {
        reuse_count_limit: Some(1),
        ..of("a.test")
    };
    let mut settings = under(&[rule]);
    settings.cache.destinations = ["*".to_owned()].into();
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..6 {
        world.accept("a.test");
        world.settle_down();
    }
    assert_eq!(world.done.len(), 6);
    let retired = |command: &Command| {
        matches!(
            command,
            Command::Retire {
                cause: RetireCause::Count,
                ..
            }
        )
    };
    assert_eq!((world.count(is_dial), world.count(retired)), (3, 3));
}

#[test]
fn a_rule_lifts_the_general_reuse_count_too() {
    for (own, dials) in [(None, 3), (Some(0), 1)] {
        let mut settings = under(&[Rule {
            reuse_count_limit: own,
            ..of("a.test")
        }]);
        settings.cache.reuse_count_limit = 1;
        settings.cache.destinations = ["*".to_owned()].into();
        let mut world = World::new(settings);
        world.serve("a.test", &[1]);
        for _ in 0..6 {
            world.accept("a.test");
            world.settle_down();
        }
        assert_eq!((world.count(is_dial), world.done.len()), (dials, 6), "{own:?}");
    }
}

#[test]
fn a_session_is_not_used_more_often_than_its_next_destination_bears() {
    let mut settings = under(&[Rule {
        reuse_count_limit: Some(1),
        ..of("b.test")
    }]);
    settings.cache.destinations = ["*".to_owned()].into();
    let mut world = World::new(settings);
    for name in ["a.test", "b.test"] {
        world.serve(name, &[1]);
    }
    for name in ["a.test", "a.test", "a.test", "b.test"] {
        world.accept(name);
        world.settle_down();
    }
    assert_eq!((world.count(is_dial), world.done.len()), (2, 4));
}

#[test]
fn what_waited_for_a_rule_that_is_gone_goes_on() {
    let rate = Rate {
        messages: 1,
        per: Duration::from_secs(3600),
    };
    let strict = Rule {
        concurrency: Some(1),
        sessions_per_endpoint: Some(1),
        rate: Some(rate),
        ..of_host()
    };
    let mut world = world(&[strict]);
    fill(&mut world, &ALL, 2);
    world.settle_down();
    assert_eq!(world.done.len(), 1);
    world.tell(Event::Reconfigured(Box::new(settings())));
    world.settle_down();
    assert_eq!(world.done.len(), 6);
}

#[test]
fn a_rule_that_appears_holds_from_the_next_start() {
    let mut world = world(&[]);
    fill(&mut world, &ALL, 2);
    assert_eq!(in_hand(&world, &ALL), 6);
    world.tell(Event::Reconfigured(Box::new(under(&[Rule {
        concurrency: Some(1),
        ..of_host()
    }]))));
    fill(&mut world, &ALL, 1);
    while in_hand(&world, &ALL) > 1 {
        let before = in_hand(&world, &ALL);
        let command = world.next(|_| true).expect("deliveries end");
        let event = world.good_answer(&command);
        world.tell(event);
        assert!(in_hand(&world, &ALL) <= before, "nothing starts above the limit");
    }
    world.settle_down();
    assert_eq!(world.done.len(), 9);
}

#[test]
fn messages_follow_messages_as_far_as_the_rule_of_each_allows() {
    for (own, behind) in [(None, 3), (Some(1), 0), (Some(2), 1), (Some(6), 5)] {
        let rule = Rule {
            concurrency: Some(1),
            pipeline_depth: own,
            ..of("a.test")
        };
        let mut world = world(&[rule]);
        world.trust_all();
        fill(&mut world, &["a.test"], 9);
        world.settle_down_until(is_transact);
        assert_eq!(world.count(is_transact), 1 + behind, "{own:?}");
        world.settle_down();
        assert_eq!(world.done.len(), 9);
    }
}

#[test]
fn a_destination_has_the_pipeline_depth_of_its_rule() {
    let mut world = world(&[Rule {
        pipeline_depth: Some(1),
        ..of_host()
    }]);
    assert_eq!(
        world.dispatch.pipeline_depth(&to("a.test")),
        4,
        "its host is not known"
    );
    fill(&mut world, &["a.test"], 1);
    assert_eq!(world.dispatch.pipeline_depth(&to("a.test")), 1);
    world.tell(Event::Reconfigured(Box::new(settings())));
    assert_eq!(world.dispatch.pipeline_depth(&to("a.test")), 4);
}
