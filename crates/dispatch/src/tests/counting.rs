//! What is counted, and what a delivery says of its way to a session.

use remuda_connection_cache::{Opening, Unfit};
use remuda_mail::SessionId;

use super::world::*;
use crate::{
    choice::Choice,
    command::{Command, Found, Rest},
    event::{Death, Event, Undecided},
    search::{By, Considered, Search},
    settings::Settings,
    view::{BreakdownBy, Figures, SessionState},
};

impl World {
    /// Issue 3, "What must be seen" 6: the counts are those of the commands given, once every session has
    /// ended.
    pub(super) fn assert_counted(&self) {
        let counts = self.dispatch.statistics();
        let of = |wanted: fn(&Command) -> bool| self.count(wanted) as u64;
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        let usage = &counts.usage;
        assert_eq!(sum(&counts.transactions()), of(is_transact));
        let dials_failed: u64 = usage.dials_failed.values().sum();
        assert_eq!(usage.opened + dials_failed, of(is_dial));
        assert_eq!(sum(&counts.closed()), usage.opened, "every session ends once");
        assert_eq!(usage.uses.count(), usage.opened);
        assert_eq!(usage.uses.sum() + usage.not_begun, of(is_transact));
        assert_eq!(usage.deaths.values().sum::<u64>(), counts.closed_dead);
        let totals = Figures {
            hits: counts.destination_hits + counts.address_hits,
            misses: usage.fresh + usage.uncached,
            handovers: counts.handovers,
            again: usage.again,
            dials: of(is_dial),
            deaths: counts.closed_dead,
            unfit: counts.unfit.values().sum(),
        };
        for by in [BreakdownBy::Destination, BreakdownBy::Endpoint] {
            for rows_max in [0, 2, 100] {
                let table = self.dispatch.breakdown(by, rows_max);
                assert!(table.rows.len() <= rows_max);
                let mut all = table.other;
                table.rows.iter().for_each(|row| all.add(&row.figures));
                assert_eq!(all, totals, "{by:?}, {rows_max} rows");
            }
        }
    }
}

fn listed() -> World {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    World::new(settings)
}

/// The last settlement's record.
fn search(world: &World) -> Search {
    let found = world.log.iter().rev().find_map(|command| match command {
        Command::Settle { search, .. } => Some(search.clone()),
        _ => None,
    });
    found.expect("something was settled")
}

/// Ends the next transaction with a deferral of its recipient.
fn defer(world: &mut World) {
    world.settle_down_until(is_transact);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
}

#[test]
fn only_reuse_saves_round_trips() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    assert_eq!(world.dispatch.statistics().usage.round_trips_saved, 0);
    for _ in 0..3 {
        world.accept("a.test");
        world.settle_down();
    }
    let usage = world.dispatch.statistics().usage;
    let cost = Opening::of(&world.sessions[&SessionId(1)].facts);
    assert_eq!(usage.round_trips_saved, 3 * cost.round_trips);
    assert_eq!((usage.opened, usage.fresh, usage.idle_ms.count()), (1, 1, 3));
}

#[test]
fn the_first_use_of_a_session_saves_nothing_though_it_was_parked() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.accept("a.test");
    world.answer(is_resolve);
    // The first session serves both; the second opens for nobody and is parked unused.
    world.answer(is_dial);
    world.answer(is_transact);
    world.answer(is_transact);
    world.settle_down();
    world.accept("a.test");
    world.accept("a.test");
    world.settle_down();
    let counts = world.dispatch.statistics();
    let cost = Opening::of(&world.sessions[&SessionId(2)].facts);
    assert_eq!((counts.handovers, counts.destination_hits), (1, 2));
    assert_eq!(world.sessions[&SessionId(2)].facts.uses, 1);
    assert_eq!(counts.usage.round_trips_saved, 2 * cost.round_trips);
}

#[test]
fn a_session_found_dead_is_counted_by_cause_and_its_order_as_not_begun() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    world.accept("a.test");
    world.answer_transaction(|world, session| {
        let mut answer = answer(0, 0, 1, Undecided::Unsent, world.lose(session));
        answer.death = Some(Death::Data);
        answer
    });
    let counts = world.dispatch.statistics();
    assert_eq!((counts.usage.deaths["data"], counts.closed_dead), (1, 1));
    assert_eq!((counts.usage.not_begun, counts.usage.uses.sum()), (1, 1));
}

/// What is under way behind the last answer of a session did not find it dead: that answer ended it.
#[test]
fn the_first_answer_of_a_session_that_is_gone_tells_how_it_ended() {
    let mut world = World::new(Settings {
        initial_concurrency: 1,
        concurrency: 1,
        ..settings()
    });
    world.trust_all();
    world.serve("a.test", &[1]);
    for _ in 0..4 {
        world.accept("a.test");
    }
    world.settle_down_until(is_transact);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(1, 0, 0, Undecided::NextTransaction, after)
    });
    world.answer_transaction(|world, session| {
        let after = world.lose(session);
        answer(1, 0, 0, Undecided::NextTransaction, after)
    });
    for _ in 0..2 {
        world.answer_transaction(|world, session| {
            let after = world.lose(session);
            answer(0, 0, 1, Undecided::Unsent, after)
        });
    }
    let counts = world.dispatch.statistics();
    assert_eq!((counts.usage.failed, counts.closed_dead), (1, 0));
    assert_eq!((counts.handovers, counts.usage.fresh), (3, 1));
    assert_eq!((counts.usage.not_begun, counts.usage.uses.sum()), (2, 2));
    let cost = counts.usage.round_trips_saved;
    assert!(cost == 3 || cost == 4, "one reuse was begun: {cost}");
}

#[test]
fn a_message_to_many_counts_its_further_transactions_apart() {
    let mut settings = settings();
    settings.recipients_per_transaction = 1;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    let mut entry = world.entry("a.test");
    entry.recipients = 3;
    world.accept_entry(entry);
    world.settle_down_until(is_transact);
    for left in [2, 1, 0] {
        world.answer_transaction(|world, session| {
            let after = world.free(session);
            answer(1, 0, left, Undecided::NextTransaction, after)
        });
    }
    let usage = world.dispatch.statistics().usage;
    assert_eq!((usage.fresh, usage.again, usage.round_trips_saved), (1, 2, 0));
}

#[test]
fn a_deferred_delivery_says_what_it_considered_and_did() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    let at = endpoint(1);
    let mut entry = world.entry("a.test");
    entry.smtputf8 = true;
    world.accept_entry(entry);
    defer(&mut world);
    assert_eq!(
        search(&world).steps(),
        [
            Considered::Unfit(By::Destination, SessionId(1), at, Unfit::Smtputf8),
            Considered::Unfit(By::Address, SessionId(1), at, Unfit::Smtputf8),
            Considered::Dialled(SessionId(2), at, Choice::Only),
            Considered::Taken(SessionId(2), at, Found::Miss),
        ]
    );
}

/// `unfit=` of the delivery log: also a freed session that was refused is a candidate.
#[test]
fn a_freed_session_that_is_not_fit_is_told_of_and_logged() {
    let mut settings = settings();
    settings.sessions_per_endpoint = 1;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.serve("b.test", &[1]);
    world.accept("a.test");
    world.settle_down_until(is_transact);
    let mut entry = world.entry("b.test");
    entry.smtputf8 = true;
    world.accept_entry(entry);
    world.answer(is_resolve);
    world.answer(is_transact);
    defer(&mut world);
    let at = endpoint(1);
    let steps = search(&world);
    assert_eq!(
        steps.steps(),
        [
            Considered::NoneParked(By::Destination, None),
            Considered::Full(Some(at)),
            Considered::Unfit(By::Freed, SessionId(1), at, Unfit::Smtputf8),
            // Parked since somebody waits at its endpoint, and looked at again.
            Considered::Unfit(By::Address, SessionId(1), at, Unfit::Smtputf8),
            Considered::Dialled(SessionId(2), at, Choice::Only),
            Considered::Taken(SessionId(2), at, Found::Miss),
        ]
    );
    let unfit = world.log.iter().rev().find_map(|command| match command {
        Command::Transact { unfit, .. } => Some(*unfit),
        _ => None,
    });
    assert_eq!(unfit, Some(Some(Unfit::Smtputf8)));
}

/// A host that is done with takes its refusals with it: `unfit=` is of the host that the line names.
#[test]
fn the_next_host_begins_without_the_refusals_of_the_last() {
    let mut world = listed();
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.settle_down();
    let mut entry = world.entry("a.test");
    entry.smtputf8 = true;
    world.accept_entry(entry);
    world.fail_dial();
    world.settle_down();
    let unfit = |command: &Command| match command {
        Command::Transact { unfit, .. } => Some(*unfit),
        _ => None,
    };
    let unfit: Vec<_> = world.log.iter().filter_map(unfit).collect();
    assert_eq!(unfit, [None, None]);
}

#[test]
fn a_delivery_says_that_nothing_was_parked_or_caching_is_off() {
    for (on_demand, first) in [
        (
            true,
            vec![
                Considered::NoneParked(By::Destination, None),
                Considered::NoneParked(By::Address, Some(endpoint(1))),
            ],
        ),
        (false, vec![Considered::Off]),
    ] {
        let mut settings = settings();
        settings.cache.on_demand = on_demand;
        let mut world = World::new(settings);
        world.serve("a.test", &[1]);
        world.accept("a.test");
        defer(&mut world);
        let found = if on_demand { Found::Miss } else { Found::Off };
        let steps = search(&world);
        assert_eq!(steps.steps()[..first.len()], first);
        assert_eq!(
            steps.steps()[first.len()..],
            [
                Considered::Dialled(SessionId(1), endpoint(1), Choice::Only),
                Considered::Taken(SessionId(1), endpoint(1), found),
            ]
        );
    }
}

#[test]
fn a_failed_dial_and_the_next_host_are_told() {
    let mut world = World::new(settings());
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    defer(&mut world);
    let steps = search(&world);
    assert!(
        steps
            .steps()
            .contains(&Considered::DialFailed(SessionId(1), endpoint(1)))
    );
    assert_eq!(
        steps.steps().last(),
        Some(&Considered::Taken(SessionId(2), endpoint(2), Found::Miss))
    );
}

#[test]
fn what_expires_tells_what_its_last_attempt_considered() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    let mut entry = world.entry("a.test");
    entry.expires = remuda_clock::Wall(world.now.wall.0 + 1000);
    world.accept_entry(entry);
    world.answer(is_resolve);
    world.wait(1000);
    world.fail_dial();
    assert!(matches!(&rests(&world)[..], [Rest::Bounce { .. }]));
    assert_eq!(search(&world).found_nothing(), Some(Found::Miss));
}

#[test]
fn a_dial_tells_why_it_goes_there() {
    let mut world = listed();
    world.serve("a.test", &[1, 2]);
    world.accept("a.test");
    world.answer(is_resolve);
    let choice = |world: &World| {
        world
            .dispatch
            .deliveries
            .values()
            .next()
            .and_then(|one| one.search.choice())
    };
    assert_eq!(choice(&world), Some(Choice::Better));
    world.fail_dial();
    assert_eq!(choice(&world), Some(Choice::Fallback));
}

/// Over dials that fail, hand-overs, deferrals and a session that dies; over any history: `histories`.
#[test]
fn every_transaction_and_every_session_is_counted_once() {
    let mut world = listed();
    world.serve("a.test", &[1, 2]);
    world.serve("b.test", &[2]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    defer(&mut world);
    for name in ["b.test", "a.test", "b.test", "b.test"] {
        world.accept(name);
    }
    world.settle_down();
    let parked: Vec<_> = world.dispatch.connections(world.now).collect();
    assert!(!parked.is_empty());
    world.die(parked[0].session, None);
    world.tell(Event::Stopping);
    world.settle_down();
    assert_eq!(world.dispatch.connections(world.now).count(), 0, "all have ended");
    world.assert_counted();
    let counts = world.dispatch.statistics();
    assert_eq!(counts.closed_dead, 1);
    assert!(counts.usage.dials_failed.values().sum::<u64>() == 1 && counts.usage.fresh > 0);
}

#[test]
fn what_is_delivered_keeps_no_record() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    assert_eq!(search(&world), Search::default());
}

#[test]
fn a_busy_session_names_its_message_and_every_one_its_hosts_time() {
    let mut world = listed();
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down_until(is_transact);
    let shown = world.dispatch.connections(world.now).next().expect("one session");
    assert_eq!(shown.state, SessionState::Busy);
    assert_eq!(shown.message, Some(remuda_mail::MessageId(1)));
    world.settle_down();
    let shown = world.dispatch.connections(world.now).next().expect("one session");
    assert_eq!((shown.state, shown.message), (SessionState::Parked, None));
    assert!(shown.transaction.is_some());
}
