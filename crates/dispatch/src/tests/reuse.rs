//! Sessions are handed on, shared, parked and found again.

use std::time::Duration;

use remuda_connection_cache::Unfit;
use remuda_mail::SessionId;

use super::world::*;
use crate::{
    command::{Command, Found, RetireCause},
    event::{After, Death, Event, Undecided},
    settings::Settings,
};

/// One session at a time to each destination and endpoint.
fn narrow() -> Settings {
    let mut settings = settings();
    settings.concurrency = 1;
    settings.sessions_per_endpoint = 1;
    settings
}

fn founds(world: &World) -> Vec<Found> {
    let found = |command: &Command| match command {
        Command::Transact { found, .. } => Some(*found),
        _ => None,
    };
    world.log.iter().filter_map(found).collect()
}

fn unfits(world: &World) -> Vec<Option<Unfit>> {
    let unfit = |command: &Command| match command {
        Command::Transact { unfit, .. } => Some(*unfit),
        _ => None,
    };
    world.log.iter().filter_map(unfit).collect()
}

/// T12: the first session is handed on and serves all three.
#[test]
fn a_freed_session_carries_its_destinations_next_message() {
    let mut world = World::new(narrow());
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(world.count(is_dial), 1);
    assert_eq!(founds(&world), [Found::Miss, Found::Handover, Found::Handover]);
    assert_eq!(world.dispatch.statistics().handovers, 2);
}

/// Design §5: a single message says nothing about the next.
#[test]
fn a_session_of_a_single_message_is_retired() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    assert_eq!(retire_causes(&world), [RetireCause::NotParked]);
    assert_eq!(world.count(is_watch), 0);
}

/// T01.
#[test]
fn a_listed_destination_is_always_parked() {
    let mut settings = settings();
    settings.cache.destinations.insert("a.test".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    assert_eq!((world.count(is_watch), world.count(is_retire)), (1, 0));
}

/// T10 and T14 as design §5 has them: what a burst leaves behind waits for the next message.
#[test]
fn after_a_burst_the_next_message_finds_a_session() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..5 {
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(world.dispatch.totals().parked_sessions, 5);
    world.wait(500);
    world.accept("a.test");
    assert_eq!(founds(&world).last(), Some(&Found::Destination));
    assert_eq!(world.count(is_dial), 5);
}

/// T03: surplus ages out, exactly at its time, with QUIT.
#[test]
fn parked_sessions_are_retired_at_the_idle_limit() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..2 {
        world.accept("a.test");
    }
    world.settle_down();
    let parked_at = world.now.monotonic;
    assert_eq!(
        world.dispatch.next_deadline(),
        Some(parked_at + Duration::from_secs(2))
    );
    world.wait(1999);
    world.tell(Event::Tick);
    assert_eq!(world.count(is_retire), 0);
    world.wait(1);
    world.tell(Event::Tick);
    assert_eq!(retire_causes(&world), [RetireCause::Idle; 2]);
    assert_eq!(world.dispatch.statistics().closed_idle, 2);
}

/// T50: one miss by destination, one hit by address, and then it is filed under both.
#[test]
fn another_destination_on_the_same_server_takes_the_session() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.serve("b.test", &[1]);
    for name in ["a.test", "b.test", "b.test", "a.test"] {
        world.accept(name);
        world.settle_down();
    }
    let by = [
        Found::Miss,
        Found::Address,
        Found::Destination,
        Found::Destination,
    ];
    assert_eq!(founds(&world), by);
    assert_eq!(sessions_used(&world), [1; 4]);
}

/// T05.
#[test]
fn one_parked_session_is_given_to_one_delivery() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    for _ in 0..4 {
        world.accept("a.test");
    }
    assert_eq!(world.count(is_dial), 4, "one took it, three dial");
    world.settle_down();
    assert_eq!(world.done.len(), 5);
}

/// Design §3: the session goes to the next in turn that waits for its endpoint, not to its destination.
#[test]
fn a_freed_session_goes_to_the_next_destination_in_line() {
    let mut world = World::new(narrow());
    world.serve("a.test", &[1]);
    world.serve("b.test", &[1]);
    for name in ["a.test", "a.test", "b.test", "a.test"] {
        world.accept(name);
    }
    world.settle_down();
    assert_eq!(world.count(is_dial), 1, "one server, one session");
    let order: Vec<_> = world.done.iter().map(|id| id.0).collect();
    assert_eq!(order, [1, 3, 2, 4], "b does not wait for all of a");
}

/// Design §5: a dial in progress loses to a session that becomes free, and is not wasted.
#[test]
fn a_session_freed_during_a_dial_serves_the_next_in_turn() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.accept("a.test");
    assert_eq!(world.count(is_dial), 2, "the second message dials");
    world.answer(is_transact);
    assert_eq!(sessions_used(&world), [1, 1], "the freed session wins");
    world.settle_down();
    assert_eq!(
        (world.count(is_watch), world.count(is_dial)),
        (2, 2),
        "the dialled one is parked"
    );
}

#[test]
fn a_dial_that_nobody_waits_for_is_adopted() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.accept("a.test");
    world.answer(is_transact);
    world.accept("a.test");
    assert_eq!(
        world.count(is_dial),
        2,
        "the third message takes over the second's dial"
    );
    world.answer(is_dial);
    assert_eq!(sessions_used(&world), [1, 1, 2]);
}

/// Issue 3, "What must be seen" 2, reduced: a thousand domains on one host share its sessions, in turn.
#[test]
fn a_thousand_domains_share_one_server() {
    let mut world = World::new(settings());
    world.checks = false;
    let names: Vec<String> = (0..1000).map(|n| format!("d{n}.test")).collect();
    for name in &names {
        world.serve(name, &[1]);
    }
    for _ in 0..3 {
        for name in &names {
            world.accept(name);
        }
    }
    world.settle_down();
    world.dispatch.assert_consistent();
    assert_eq!(world.count(is_dial), 20, "sessions_per_endpoint");
    assert_eq!(world.done.len(), 3000);
    let last_of_first_round = world.done.iter().rposition(|id| id.0 <= 1000);
    assert!(
        last_of_first_round < Some(1100),
        "nobody gets a second turn long before others their first"
    );
}

/// T60, T41: what the session has proved decides.
#[test]
fn mail_that_needs_smtputf8_does_not_take_a_session_without_it() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    let mut entry = world.entry("a.test");
    entry.smtputf8 = true;
    world.accept_entry(entry);
    assert_eq!(world.count(is_dial), 2);
    world.settle_down();
    assert_eq!(founds(&world)[1], Found::Miss);
    assert_eq!(unfits(&world), [None, Some(Unfit::Smtputf8)]);
    assert_eq!(world.dispatch.statistics().unfit.get("smtputf8"), Some(&2));
}

/// T20: the clock starts before connect.
#[test]
fn a_session_too_old_is_retired_instead_of_handed_on() {
    let mut settings = narrow();
    settings.cache.reuse_time_limit = Duration::from_secs(10);
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..2 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.wait(6000);
    world.answer(is_dial);
    world.wait(5000);
    world.answer(is_transact);
    assert_eq!(retire_causes(&world), [RetireCause::Age]);
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 2]);
}

/// T22: count limit 1 is two transactions a session.
#[test]
fn a_count_limit_is_kept() {
    let mut settings = narrow();
    settings.cache.reuse_count_limit = 1;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..4 {
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 1, 2, 2]);
}

#[test]
fn without_caching_each_message_has_its_own_session() {
    let mut settings = narrow();
    settings.cache.on_demand = false;
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..3 {
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(founds(&world), [Found::Off; 3]);
    assert_eq!(sessions_used(&world), [1, 2, 3]);
    assert!(
        world.dispatch.statistics().destination_misses == 0,
        "the cache is not asked"
    );
}

/// T30, T31: a session that dies while parked is gone, silently.
#[test]
fn a_session_that_died_is_not_taken() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    world.sessions.remove(&SessionId(1));
    world.tell(Event::Died {
        session: SessionId(1),
        limit_met: None,
        cause: Death::Reset,
    });
    let counts = world.dispatch.statistics();
    assert_eq!((counts.closed_dead, counts.usage.deaths["reset"]), (1, 1));
    world.accept("a.test");
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 2]);
    assert_eq!(world.done.len(), 2);
}

/// Design §4: at most `pipeline_depth` + 1 transactions of a session wait for their commit.
#[test]
fn a_session_waits_for_the_disk_with_its_uncommitted_deliveries() {
    let mut world = World::new(Settings {
        pipeline_depth: 1,
        ..narrow()
    });
    world.serve("a.test", &[1]);
    for _ in 0..4 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.answer(is_dial);
    world.answer(is_transact);
    world.answer(is_transact);
    assert_eq!(world.count(is_transact), 2, "the third waits");
    assert_eq!(
        world.count(is_dial),
        1,
        "its slot is not given to another session"
    );
    world.answer(is_settle);
    assert_eq!(world.count(is_transact), 3);
    world.settle_down();
    assert_eq!(world.done.len(), 4);
}

/// Design §4: when the oldest is older than a second no new one starts, on no session.
#[test]
fn nothing_starts_while_the_disk_is_stalled() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.serve("b.test", &[2]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.answer(is_transact);
    world.wait(1001);
    world.accept("b.test");
    assert_eq!(world.count(is_resolve), 1, "b does not even begin");
    world.answer(is_settle);
    assert_eq!(world.count(is_resolve), 2);
    world.settle_down();
    assert_eq!(world.done.len(), 2);
}

/// T70: the first server that works is filed under the destination, so that the dead one is not waited for.
#[test]
fn a_backup_that_works_while_the_best_is_dead_is_found_by_destination() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.settle_down();
    world.accept("a.test");
    world.settle_down();
    assert_eq!(founds(&world), [Found::Miss, Found::Destination]);
    assert_eq!(
        world
            .dispatch
            .destination(&to("a.test"), world.now)
            .map(|view| view.window),
        Some(6)
    );
}

/// T71: the best host answers 4xx; the backup takes it and is filed by its address only.
#[test]
fn a_backup_used_after_a_deferral_is_not_filed_under_the_destination() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
    world.answer(is_dial);
    world.settle_down();
    assert_eq!(world.done.len(), 1);
    world.accept("a.test");
    assert_eq!(
        sessions_used(&world),
        [1, 2, 1],
        "the best host's session is the one filed"
    );
}

/// T74: the current address set decides.
#[test]
fn a_server_that_left_the_address_set_is_not_used() {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    settings.cache.idle_time_limit = Duration::from_secs(600);
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.settle_down();
    world.serve("a.test", &[2]);
    world.wait(61_000);
    world.accept("a.test");
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 2]);
}

#[test]
fn a_session_that_the_peer_ended_is_not_offered() {
    let mut world = World::new(narrow());
    world.serve("a.test", &[1]);
    for _ in 0..2 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    world.answer(is_dial);
    world.answer_transaction(|world, session| {
        let after = world.lose(session);
        assert_eq!(after, After::Gone);
        answer(1, 0, 0, Undecided::NextTransaction, after)
    });
    world.settle_down();
    assert_eq!(sessions_used(&world), [1, 2]);
    let left = (world.count(is_watch), world.count(is_retire));
    assert_eq!(left, (1, 0), "only the second is there to be parked");
}

/// Many domains on one server, each with a message now and then: what comes close together is the server's mail.
#[test]
fn a_session_is_kept_for_the_other_domains_of_its_server() {
    let mut world = World::new(settings());
    for n in 0..20 {
        let name = format!("d{n}.test");
        world.serve(&name, &[1]);
        world.accept(&name);
        world.settle_down();
        world.wait(500);
        world.tell(Event::Tick);
        world.settle_down();
    }
    // The first message says nothing about the next; from the second on the session is kept.
    assert_eq!((world.done.len(), world.count(is_dial)), (20, 2));
}
