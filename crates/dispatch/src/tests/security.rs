//! Destinations on one server that demand different things of their sessions.

use remuda_connection_cache::Unfit;
use remuda_mail::{
    Blame, Clear, CredentialsId, HopLogin, HopPolicy, Scope, SessionId, Tls, TlsLevel, TlsProtocol,
};

use super::world::*;
use crate::{
    command::{Command, Security},
    event::{DialStep, Event},
    settings::{Pattern, Rule, Settings},
};

fn level(level: TlsLevel) -> HopPolicy {
    HopPolicy {
        tls: Some(level),
        ..HopPolicy::default()
    }
}

fn user(id: u64) -> HopPolicy {
    HopPolicy {
        login: Some(HopLogin {
            username: format!("user{id}").into(),
            credentials: CredentialsId(id),
            in_clear: true,
            route: None,
        }),
        ..HopPolicy::default()
    }
}

/// `a.test` and `b.test` on one server, under these policies.
fn two(settings: Settings, a: &HopPolicy, b: &HopPolicy) -> World {
    let mut world = World::new(settings);
    for (name, policy) in [("a.test", a), ("b.test", b)] {
        world.serve(name, &[1]);
        world.policies.insert(to(name), policy.clone());
    }
    world
}

fn listed() -> Settings {
    let mut settings = settings();
    settings.cache.destinations.insert("*".into());
    settings
}

fn carriers(world: &World) -> Vec<(u64, Option<Unfit>)> {
    let carrier = |command: &Command| match command {
        Command::Transact { session, unfit, .. } => Some((session.0, *unfit)),
        _ => None,
    };
    world.log.iter().filter_map(carrier).collect()
}

fn dials(world: &World) -> Vec<Security> {
    let security = |command: &Command| match command {
        Command::Dial { security, .. } => Some(security.clone()),
        _ => None,
    };
    world.log.iter().filter_map(security).collect()
}

/// Issue 3, "What must be seen" 4: each pair both ways. A session of the first, parked; then mail of the
/// second.
#[test]
fn a_parked_session_is_taken_only_by_whom_it_serves() {
    let verified = HopPolicy {
        tls_names: ["x.test".into()].into(),
        ..level(TlsLevel::Verify)
    };
    let [none, may, encrypt, verify] =
        [TlsLevel::None, TlsLevel::May, TlsLevel::Encrypt, TlsLevel::Verify].map(level);
    for (first, second, unfit) in [
        (&none, &may, Some(Unfit::Tls)),
        (&may, &none, None),
        (&may, &encrypt, Some(Unfit::Tls)),
        (&encrypt, &may, None),
        (&encrypt, &verify, Some(Unfit::Identity)),
        (&verify, &encrypt, None),
        (&verify, &verified, Some(Unfit::Identity)),
        (&verified, &verify, Some(Unfit::Identity)),
        (&verify, &none, None),
        (&none, &verify, Some(Unfit::Tls)),
        (&user(1), &user(2), Some(Unfit::Credentials)),
        (&user(1), &may, Some(Unfit::Credentials)),
        (&may, &user(1), Some(Unfit::Credentials)),
        (&user(1), &user(1), None),
    ] {
        let mut world = two(listed(), first, second);
        for name in ["a.test", "b.test"] {
            world.accept(name);
            world.settle_down();
        }
        let second_session = if unfit.is_none() { 1 } else { 2 };
        assert_eq!(
            carriers(&world),
            [(1, None), (second_session, unfit)],
            "{first:?} {second:?}"
        );
        let counted = unfit.map(|unfit| world.dispatch.statistics().unfit[unfit.as_str()]);
        assert!(counted.is_none_or(|count| count > 0));
    }
}

/// The same when the session is freed while the other waits for its place: it is not handed on, and the other
/// gets the place in its turn however much mail the first has.
#[test]
fn whoever_needs_another_session_is_not_starved_by_those_who_share_one() {
    let mut settings = settings();
    settings.sessions_per_endpoint = 1;
    settings.concurrency = 1;
    let mut world = two(settings, &level(TlsLevel::None), &level(TlsLevel::Encrypt));
    for name in ["a.test", "b.test", "a.test", "a.test", "a.test", "b.test"] {
        world.accept(name);
    }
    world.settle_down();
    let order: Vec<u64> = world.done.iter().map(|id| id.0).collect();
    assert_eq!(order.len(), 6);
    assert!(order.iter().position(|id| *id == 2) <= Some(1), "{order:?}");
    for (command, peer_is_encrypted) in world.log.iter().filter_map(|command| match command {
        Command::Transact { entry, session, .. } => Some((
            (*entry, *session),
            dials(&world)[session.0 as usize - 1].tls.level == TlsLevel::Encrypt,
        )),
        _ => None,
    }) {
        let is_of_b = [2, 6].contains(&command.0.0);
        assert!(!is_of_b || peer_is_encrypted, "{command:?}");
    }
}

#[test]
fn a_dial_is_adopted_only_by_whom_it_was_made_for() {
    for (second, dials) in [
        (level(TlsLevel::May), 2),
        (level(TlsLevel::Encrypt), 3),
        (user(1), 3),
    ] {
        let mut world = two(settings(), &level(TlsLevel::May), &second);
        world.accept("a.test");
        world.answer(is_resolve);
        world.answer(is_dial);
        world.accept("a.test");
        // The first session is freed and takes the second message: its dial is nobody's.
        world.answer(is_transact);
        world.accept("b.test");
        world.answer(is_resolve);
        // What is parked or free by then does not serve b, or is busy.
        assert_eq!(world.count(is_dial), dials, "{second:?}");
    }
}

#[test]
fn the_level_of_the_route_goes_before_that_of_all() {
    let mut settings = settings();
    settings.tls_level = TlsLevel::Encrypt;
    let mut world = two(settings, &HopPolicy::default(), &level(TlsLevel::None));
    world.accept("a.test");
    world.accept("b.test");
    world.settle_down();
    let levels: Vec<TlsLevel> = dials(&world).iter().map(|dial| dial.tls.level).collect();
    assert_eq!(levels, [TlsLevel::Encrypt, TlsLevel::None]);
}

/// A `[[destination]]` by name or by host goes before what is for all; its going counts from the next answer on.
#[test]
fn the_level_of_a_rule_goes_behind_the_routes_and_before_that_of_all() {
    for pattern in [
        Pattern::Domains(".test".to_owned()),
        Pattern::Host("mx192.0.2.1".to_owned()),
    ] {
        let rule = Rule {
            pattern: pattern.clone(),
            tls: Some(TlsLevel::Verify),
            ..Rule::default()
        };
        let general = Settings {
            tls_level: TlsLevel::None,
            ..settings()
        };
        let ruled = Settings {
            rules: vec![rule],
            ..general.clone()
        };
        let mut world = two(ruled, &HopPolicy::default(), &level(TlsLevel::May));
        world.serve("c.example", &[2]);
        for name in ["a.test", "b.test", "c.example"] {
            world.accept(name);
            world.settle_down();
        }
        world.tell(Event::Reconfigured(Box::new(general)));
        world.tell(Event::RetireParked {
            destination: None,
            endpoint: None,
        });
        world.accept("a.test");
        world.settle_down();
        let levels: Vec<TlsLevel> = dials(&world).iter().map(|dial| dial.tls.level).collect();
        let expected = [TlsLevel::Verify, TlsLevel::May, TlsLevel::None, TlsLevel::None];
        assert_eq!(levels, expected, "{pattern}");
        assert_eq!(world.done.len(), 4);
    }
}

/// A reload that demands more leaves what is parked for those who demand less.
#[test]
fn a_reload_that_demands_more_is_not_served_by_what_is_parked() {
    let mut world = two(listed(), &HopPolicy::default(), &level(TlsLevel::May));
    world.accept("a.test");
    world.settle_down();
    let mut settings = listed();
    settings.tls_level = TlsLevel::Encrypt;
    world.tell(Event::Reconfigured(Box::new(settings)));
    world.accept("a.test");
    world.settle_down();
    world.accept("b.test");
    world.settle_down();
    let carriers = carriers(&world);
    assert_eq!(carriers[..2], [(1, None), (2, Some(Unfit::Tls))]);
    assert_eq!(world.done.len(), 3);
    let levels: Vec<TlsLevel> = dials(&world).iter().map(|dial| dial.tls.level).collect();
    assert_eq!(levels, [TlsLevel::May, TlsLevel::Encrypt]);
}

/// A failed handshake is remembered for the endpoint, for an hour, and for `may` only.
#[test]
fn a_failed_handshake_is_remembered_for_may_only() {
    let mut world = two(settings(), &level(TlsLevel::May), &level(TlsLevel::Encrypt));
    world.accept("a.test");
    world.answer(is_resolve);
    let failed = world.now.monotonic;
    if let Some(peer) = world.sessions.get_mut(&SessionId(1)) {
        peer.facts.tls = Tls::Clear(Clear::HandshakeFailed(failed));
    }
    world.settle_down();
    for name in ["a.test", "b.test"] {
        world.wait(60_000);
        world.accept(name);
        world.settle_down();
    }
    world.wait(3_600_000);
    world.accept("a.test");
    world.settle_down();
    let known: Vec<_> = dials(&world).iter().map(|dial| dial.failed_handshake).collect();
    assert_eq!(known, [None, Some(failed), None, None]);
    assert_eq!(world.done.len(), 4);
}

#[test]
fn a_handshake_that_succeeds_ends_the_memory() {
    let mut world = two(settings(), &level(TlsLevel::May), &level(TlsLevel::Encrypt));
    world.accept("a.test");
    world.answer(is_resolve);
    let failed = world.now.monotonic;
    if let Some(peer) = world.sessions.get_mut(&SessionId(1)) {
        peer.facts.tls = Tls::Clear(Clear::HandshakeFailed(failed));
    }
    world.settle_down();
    for name in ["b.test", "a.test"] {
        world.wait(60_000);
        world.accept(name);
        world.settle_down();
    }
    assert_eq!(dials(&world)[2].failed_handshake, None);
}

/// Design §6: what a policy demands and a host does not give pauses that destination and no host.
#[test]
fn a_policy_that_is_not_met_says_nothing_about_the_host() {
    let mut world = two(settings(), &level(TlsLevel::Encrypt), &level(TlsLevel::May));
    world.accept("a.test");
    world.answer(is_resolve);
    let command = world.next(is_dial).unwrap();
    let Command::Dial { session, .. } = command else {
        panic!()
    };
    world.sessions.remove(&session);
    let mut failure = failure(Scope::Endpoint);
    failure.blame = Blame::Policy;
    world.tell(Event::DialFailed {
        session,
        step: DialStep::Tls,
        failure,
    });
    world.settle_down();
    assert!(
        !world
            .dispatch
            .hosts
            .is_paused(endpoint(1).into(), world.now.monotonic)
    );
    let view = world.dispatch.destination(&to("a.test"), world.now).unwrap();
    assert_eq!(view.waiting, 1, "it is deferred");
    world.accept("b.test");
    world.settle_down();
    assert_eq!(world.done.len(), 1);
}

/// The trial at a pause's end is answered also by a host that is there and does not give what is demanded.
#[test]
fn a_policy_that_is_not_met_ends_a_pause() {
    let mut world = two(settings(), &level(TlsLevel::Encrypt), &level(TlsLevel::May));
    world.accept("b.test");
    world.answer(is_resolve);
    world.fail_dial();
    world.settle_down();
    assert!(
        world
            .dispatch
            .hosts
            .is_paused(endpoint(1).into(), world.now.monotonic)
    );
    world.wait(2000);
    world.accept("a.test");
    world.answer(is_resolve);
    let command = world.next(is_dial).unwrap();
    let Command::Dial { session, .. } = command else {
        panic!()
    };
    assert!(
        world
            .dispatch
            .hosts
            .is_paused(endpoint(1).into(), world.now.monotonic),
        "on trial"
    );
    world.sessions.remove(&session);
    let mut failure = failure(Scope::Endpoint);
    failure.blame = Blame::Policy;
    let step = DialStep::Tls;
    world.tell(Event::DialFailed {
        session,
        step,
        failure,
    });
    assert!(
        !world
            .dispatch
            .hosts
            .is_paused(endpoint(1).into(), world.now.monotonic)
    );
}

/// What a dial brings is held against what was demanded, whatever the shell says.
#[test]
fn a_session_that_lacks_what_was_demanded_carries_nothing() {
    let mut world = two(settings(), &level(TlsLevel::Encrypt), &level(TlsLevel::May));
    world.accept("a.test");
    world.answer(is_resolve);
    if let Some(peer) = world.sessions.get_mut(&SessionId(1)) {
        peer.facts.tls = Tls::Clear(Clear::NotOffered);
    }
    world.settle_down();
    assert_eq!((world.count(is_transact), world.done.len()), (0, 0));
    assert_eq!(world.count(is_dial), 1, "and it is not tried for ever");
}

#[test]
fn what_protects_a_session_is_shown() {
    let mut world = two(listed(), &level(TlsLevel::Encrypt), &level(TlsLevel::May));
    world.accept("a.test");
    world.answer(is_resolve);
    let shown = |world: &World| world.dispatch.connections(world.now).next().unwrap().tls;
    assert_eq!(shown(&world), None, "not before it is open");
    world.settle_down();
    let protocol = shown(&world).as_ref().and_then(Tls::protocol);
    assert_eq!(protocol, Some(TlsProtocol::Tls13));
}

/// The destination is the same, with other credentials: what has shown the old ones carries nothing more.
#[test]
fn a_rerouted_destination_starts_nothing_before_its_servers_are_known_anew() {
    let mut world = two(listed(), &user(1), &user(1));
    world.accept("a.test");
    world.settle_down();
    let a = to("a.test");
    world.policies.insert(a.clone(), user(2));
    world.accept("b.test");
    world.settle_down();
    world.tell(Event::Rerouted {
        destination: a.clone(),
    });
    let before = world.count(is_resolve);
    world.accept("a.test");
    assert_eq!(world.count(is_resolve), before + 1);
    world.settle_down();
    let ids = dials(&world)
        .into_iter()
        .map(|security| security.login.unwrap().credentials.0);
    assert_eq!(ids.collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        carriers(&world),
        [(1, None), (1, None), (2, Some(Unfit::Credentials))]
    );
}

#[test]
fn an_answer_that_was_asked_for_before_a_reroute_is_not_believed() {
    let mut world = two(listed(), &user(1), &user(1));
    world.accept("a.test");
    let a = to("a.test");
    let old = world.look_up(&a);
    world.tell(Event::Rerouted {
        destination: a.clone(),
    });
    world.policies.insert(a.clone(), user(2));
    world.todo.retain(|command| !is_resolve(command));
    let asked = world.tell(Event::Resolved {
        destination: a,
        answer: old,
    });
    assert!(
        asked.iter().any(is_resolve) && !asked.iter().any(is_dial),
        "{asked:?}"
    );
    world.settle_down();
    let ids = dials(&world)
        .into_iter()
        .map(|security| security.login.unwrap().credentials.0);
    assert_eq!(ids.collect::<Vec<_>>(), [2]);
}
