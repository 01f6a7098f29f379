//! Reload, stop and the operator's wishes.

use remuda_mail::EntryId;

use super::world::*;
use crate::{
    command::{Command, Rest, RetireCause},
    event::{Event, Undecided},
    view::SessionState,
};

/// A world in which `n` sessions to a.test are parked.
fn with_parked(n: usize) -> World {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    let mut world = World::new(settings);
    world.serve("a.test", &[1]);
    for _ in 0..n {
        world.accept("a.test");
    }
    world.settle_down();
    assert_eq!(world.dispatch.totals().parked_sessions, n as u64);
    world
}

fn drained(world: &World) -> usize {
    let is_drained = |command: &Command| {
        matches!(
            command,
            Command::Retire {
                cause: RetireCause::Drained,
                ..
            }
        )
    };
    world.count(is_drained)
}

/// T80, T86: QUIT on all that is free, nothing new.
#[test]
fn a_stop_retires_what_is_parked_and_starts_nothing() {
    let mut world = with_parked(3);
    world.tell(Event::Stopping);
    assert_eq!(drained(&world), 3);
    let before = world.log.len();
    world.accept("a.test");
    assert!(
        world.log[before..]
            .iter()
            .all(|command| !is_transact(command) && !is_dial(command))
    );
}

#[test]
fn a_transaction_in_hand_ends_before_its_session_is_retired() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.tell(Event::Stopping);
    assert_eq!(world.count(is_retire), 0);
    world.answer(is_transact);
    assert_eq!(drained(&world), 1);
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

#[test]
fn what_waits_for_a_session_goes_back_at_a_stop_and_its_dial_is_retired() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.tell(Event::Stopping);
    assert_eq!(world.count(is_unload), 1);
    world.settle_down();
    assert_eq!((drained(&world), world.count(is_transact)), (1, 0));
    assert_eq!(world.spool.len(), 1);
}

#[test]
fn what_a_stop_interrupts_is_due_at_once_with_its_outcomes_recorded() {
    let mut world = World::new(settings());
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.tell(Event::Stopping);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
    let now = world.now.wall;
    assert_eq!(world.count(|command| matches!(command, Command::Settle { rest: Rest::Defer { until, .. }, .. } if *until == now)), 1);
}

/// Design §5: reload keeps what still fits.
#[test]
fn a_reload_keeps_sessions_that_still_fit() {
    let mut world = with_parked(3);
    let mut tighter = settings();
    tighter.cache.connections = 2;
    world.tell(Event::Reconfigured(Box::new(tighter)));
    assert_eq!(world.dispatch.totals().parked_sessions, 2);
    let mut renamed = settings();
    renamed.helo_name = "other.test".into();
    world.tell(Event::Reconfigured(Box::new(renamed)));
    assert_eq!(world.dispatch.totals().parked_sessions, 0);
    assert_eq!(drained(&world), 2);
}

#[test]
fn after_a_reload_servers_are_asked_for_again() {
    let mut world = with_parked(2);
    world.tell(Event::Reconfigured(Box::new(settings())));
    world.accept("a.test");
    assert_eq!(world.count(is_resolve), 2);
    world.settle_down();
    assert_eq!(
        (world.done.len(), world.count(is_dial)),
        (3, 2),
        "on a session that is there"
    );
}

#[test]
fn a_session_dialled_under_another_name_is_retired() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    let mut renamed = settings();
    renamed.helo_name = "other.test".into();
    world.tell(Event::Reconfigured(Box::new(renamed)));
    world.answer(is_dial);
    assert_eq!(
        (drained(&world), world.count(is_transact), world.count(is_dial)),
        (1, 0, 2)
    );
}

#[test]
fn higher_limits_serve_who_waits_at_once() {
    let mut tight = settings();
    tight.sessions_per_endpoint = 1;
    let mut world = World::new(tight);
    world.serve("a.test", &[1]);
    world.serve("b.test", &[1]);
    for name in ["a.test", "b.test"] {
        world.accept(name);
        world.answer(is_resolve);
    }
    assert_eq!(world.count(is_dial), 1);
    world.tell(Event::Reconfigured(Box::new(settings())));
    assert_eq!(world.count(is_dial), 2);
    world.settle_down();
    assert_eq!(world.done.len(), 2);
}

#[test]
fn the_operator_retires_parked_sessions_by_endpoint_or_destination() {
    let mut world = with_parked(2);
    let other = |destination, endpoint| Event::RetireParked {
        destination,
        endpoint,
    };
    world.tell(other(Some(to("b.test")), None));
    world.tell(other(None, Some(endpoint(9))));
    assert_eq!(drained(&world), 0);
    world.tell(other(Some(to("a.test")), Some(endpoint(1))));
    assert_eq!(drained(&world), 2);
    assert_eq!(world.dispatch.statistics().closed_drained, 2);
}

#[test]
fn a_message_withdrawn_before_its_turn_is_not_delivered() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.accept("a.test");
    world.withdraw(EntryId(1), false);
    world.withdraw(EntryId(2), true);
    world.settle_down();
    assert_eq!(world.count(is_transact), 0);
    let totals = world.dispatch.totals();
    assert_eq!((totals.waiting, totals.held, totals.active), (0, 1, 0));
}

#[test]
fn a_message_withdrawn_while_it_waits_for_a_dial_is_not_delivered() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.withdraw(EntryId(1), false);
    assert_eq!(world.count(is_unload), 1);
    world.settle_down();
    assert_eq!(world.count(is_transact), 0);
    assert_eq!(world.dispatch.totals().waiting, 0);
}

#[test]
fn a_message_withdrawn_in_flight_goes_to_no_other_host() {
    let mut world = World::new(settings());
    world
        .dns
        .insert(to("a.test"), vec![(endpoint(1), 10), (endpoint(2), 20)]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.withdraw(EntryId(1), true);
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
    assert_eq!((world.count(is_dial), world.count(is_settle)), (1, 1));
    world.settle_down();
    let totals = world.dispatch.totals();
    assert_eq!((totals.waiting, totals.held), (0, 1), "it is on hold");
}

#[test]
fn a_message_put_on_hold_in_flight_and_delivered_is_held_no_more() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.withdraw(EntryId(1), true);
    world.settle_down();
    assert_eq!(world.done.len(), 1);
    assert_eq!(world.dispatch.totals().held, 0);
}

#[test]
fn a_message_held_and_released_in_flight_is_tried_again() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    world.accept("a.test");
    world.answer(is_resolve);
    world.answer(is_dial);
    world.withdraw(EntryId(1), true);
    world.release(EntryId(1));
    world.answer_transaction(|world, session| {
        let after = world.free(session);
        answer(0, 1, 0, Undecided::NextTransaction, after)
    });
    world.settle_down();
    let totals = world.dispatch.totals();
    assert_eq!((totals.waiting, totals.held), (1, 0));
    world.wait(4000 * 1000);
    world.tell(Event::Tick);
    world.settle_down();
    assert_eq!(world.done, [EntryId(1)]);
    assert_eq!(world.dispatch.totals().waiting, 0);
}

#[test]
fn a_released_message_is_delivered_and_retry_now_ends_a_suspension() {
    let mut world = World::new(settings());
    world.serve("a.test", &[1]);
    for _ in 0..5 {
        world.accept("a.test");
    }
    world.answer(is_resolve);
    for _ in 0..5 {
        world.fail_dial();
    }
    world.settle_down();
    assert_eq!(world.done.len(), 0);
    world.tell(Event::Wakened {
        destination: to("a.test"),
        due: world.now.wall,
        added: 0,
        from_held: 0,
        thaw: true,
    });
    world.make_due();
    world.settle_down();
    assert_eq!(world.done.len(), 5);
    assert_eq!(world.count(is_resolve), 2, "its servers are asked for afresh");
}

#[test]
fn views_show_every_session_and_destination() {
    let mut world = with_parked(1);
    world.serve("b.test", &[2]);
    world.accept("b.test");
    world.answer(is_resolve);
    world.wait(500);
    let connections: Vec<_> = world.dispatch.connections(world.now).collect();
    let states: Vec<_> = connections.iter().map(|view| (view.state, view.uses)).collect();
    assert_eq!(states, [(SessionState::Parked, 1), (SessionState::Dialling, 0)]);
    assert_eq!(connections[0].idle.as_millis(), 500);
    let view = world
        .dispatch
        .destination(&to("b.test"), world.now)
        .expect("it has mail");
    assert_eq!((view.waiting, view.active, view.busy, view.window), (1, 1, 1, 5));
    let totals = world.dispatch.totals();
    assert_eq!(
        (totals.busy_sessions, totals.parked_sessions, totals.destinations),
        (1, 1, 1)
    );
}
