//! What separates two sessions, one rule at a time, by pairs, and against a naive model.

use std::time::Duration;

use proptest::prelude::*;
use remuda_mail::{CredentialsId, Endpoint, Protocol, Source, Sources, TlsMode, TlsProtocol};

use super::*;
use crate::tests::{endpoint, facts, requirements};

const NOW: Monotonic = Monotonic::ZERO;

/// T74: the current address set decides, whatever the cache remembers.
#[test]
fn only_the_current_address_set_is_served() {
    let wanted = requirements("a.test", &[1]);
    assert_eq!(fitness(&facts(1), &wanted, NOW), Ok(()));
    assert_eq!(fitness(&facts(2), &wanted, NOW), Err(Unfit::Endpoint));
}

/// T59: two ports of one address are two endpoints.
#[test]
fn ports_are_never_mixed() {
    let mut other = facts(1);
    other.endpoint = remuda_mail::Endpoint::Tcp(std::net::SocketAddr::new(endpoint(1).ip().unwrap(), 2525));
    assert_eq!(
        fitness(&other, &requirements("a.test", &[1]), NOW),
        Err(Unfit::Endpoint)
    );
}

/// T51: LMTP and SMTP are never mixed, though it is the same host and port.
#[test]
fn protocols_are_never_mixed() {
    for (has, wants) in [(Protocol::Smtp, Protocol::Lmtp), (Protocol::Lmtp, Protocol::Smtp)] {
        let (mut facts, mut wanted) = (facts(1), requirements("a.test", &[1]));
        (facts.protocol, wanted.protocol) = (has, wants);
        assert_eq!(fitness(&facts, &wanted, NOW), Err(Unfit::Protocol));
        wanted.protocol = has;
        assert_eq!(fitness(&facts, &wanted, NOW), Ok(()));
    }
}

#[test]
fn another_helo_name_is_another_sender() {
    let mut wanted = requirements("a.test", &[1]);
    wanted.helo_name = "other.test".into();
    assert_eq!(fitness(&facts(1), &wanted, NOW), Err(Unfit::HeloName));
}

fn ours(n: u8, name: &str) -> Source {
    Source {
        address: [192, 0, 2, n].into(),
        helo_name: name.into(),
    }
}

/// Makes a session come from a source.
fn leave_by(facts: &mut Facts, source: &Source) {
    facts.source = Some(source.address);
    facts.helo_name = source.helo_name.clone();
}

/// Both ways: neither serves the other, and the name goes with the address.
#[test]
fn another_source_is_another_sender() {
    let (one, two) = (ours(101, "out1.test"), ours(102, "out2.test"));
    let from = |source: Option<&Source>| {
        let mut facts = facts(1);
        if let Some(source) = source {
            leave_by(&mut facts, source);
        }
        facts
    };
    let wanting = |source: Option<&Source>| {
        let mut wanted = requirements("a.test", &[1]);
        wanted.sources.v4 = source.cloned().map(Into::into);
        wanted
    };
    let all = [None, Some(&one), Some(&two)];
    for has in all {
        for wants in all {
            let expected = if has == wants { Ok(()) } else { Err(Unfit::Source) };
            assert_eq!(
                fitness(&from(has), &wanting(wants), NOW),
                expected,
                "{has:?} {wants:?}"
            );
        }
    }
    let renamed = ours(101, "new.test");
    assert_eq!(
        fitness(&from(Some(&one)), &wanting(Some(&renamed)), NOW),
        Err(Unfit::HeloName)
    );
}

/// T22: the destination's limit counts, both for a session that is used up and for one that is not.
#[test]
fn a_session_is_used_as_often_as_the_destination_bears() {
    for (uses, max, fits) in [
        (0, 1, Ok(())),
        (1, 1, Ok(())),
        (2, 1, Err(Unfit::Count)),
        (2, 2, Ok(())),
        (1_000_000, 0, Ok(())),
    ] {
        let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
        facts.uses = uses;
        requirements.reuse_count_max = max;
        assert_eq!(fitness(&facts, &requirements, NOW), fits, "{uses} {max}");
    }
}

/// T60: recorded features decide, so a session with SMTPUTF8 serves both kinds of mail.
#[test]
fn smtputf8_is_needed_only_by_those_who_ask() {
    for (offered, wanted, fits) in [
        (false, false, Ok(())),
        (true, false, Ok(())),
        (true, true, Ok(())),
        (false, true, Err(Unfit::Smtputf8)),
    ] {
        let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
        facts.capabilities.smtputf8 = offered;
        requirements.smtputf8 = wanted;
        assert_eq!(fitness(&facts, &requirements, NOW), fits, "{offered} {wanted}");
    }
}

/// T41: the limit travels with the session.
#[test]
fn a_size_limit_is_remembered_on_reuse() {
    let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
    requirements.size = 5000;
    assert_eq!(fitness(&facts, &requirements, NOW), Ok(()));
    facts.capabilities.size_max = Some(1000);
    assert_eq!(fitness(&facts, &requirements, NOW), Err(Unfit::Size));
    facts.capabilities.size_max = Some(5000);
    assert_eq!(fitness(&facts, &requirements, NOW), Ok(()));
}

/// RFC 9422 §4.3: the limit is the whole session's.
#[test]
fn a_session_that_has_had_its_domains_takes_no_new_one() {
    let domain = |name: &str| name.parse::<Domain>().unwrap();
    for (max, domains, fits) in [
        (None, &["b.test"][..], Ok(())),
        (Some(2), &["b.test"], Ok(())),
        (Some(1), &["b.test"], Err(Unfit::RecipientDomain)),
        (Some(1), &["a.test"], Ok(())),
        (Some(1), &[], Ok(())),
    ] {
        let (mut facts, requirements) = (facts(1), requirements("a.test", &[1]));
        facts.capabilities.limits.rcpt_domain_max = max;
        facts.recipient_domains = domains.iter().copied().map(domain).collect();
        assert_eq!(fitness(&facts, &requirements, NOW), fits, "{max:?} {domains:?}");
    }
}

#[test]
fn a_delivery_that_a_used_session_failed_takes_only_an_unused_one() {
    let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
    requirements.fresh = true;
    assert_eq!(fitness(&facts, &requirements, NOW), Err(Unfit::Used));
    facts.uses = 0;
    assert_eq!(fitness(&facts, &requirements, NOW), Ok(()));
}

fn encrypted(names: &[&str]) -> Tls {
    let authenticated = match names {
        [] => Authenticated::Nobody,
        names => Authenticated::Names(names.iter().map(|name| Arc::from(*name)).collect()),
    };
    Tls::Encrypted {
        protocol: TlsProtocol::Tls13,
        authenticated,
    }
}

fn clear(why: Clear) -> Tls {
    Tls::Clear(why)
}

/// T52: a stronger session serves a weaker need, never the other way round.
#[test]
fn stronger_serves_weaker_and_never_the_other_way_round() {
    let fresh = clear(Clear::HandshakeFailed(NOW));
    for (tls, none, may, encrypt, verify) in [
        (clear(Clear::ByPolicy), "", "tls", "tls", "tls"),
        (clear(Clear::NotOffered), "", "", "tls", "tls"),
        (fresh, "", "", "tls", "tls"),
        (encrypted(&[]), "", "", "", "identity"),
        (encrypted(&["other.test"]), "", "", "", "identity"),
        (encrypted(&["mx.test"]), "", "", "", ""),
    ] {
        for (level, expected) in [
            (TlsLevel::None, none),
            (TlsLevel::May, may),
            (TlsLevel::Encrypt, encrypt),
            (TlsLevel::Verify, verify),
        ] {
            let (mut facts, mut wanted) = (facts(1), requirements("a.test", &[1]));
            facts.tls = tls.clone();
            wanted.tls.level = level;
            let verdict = fitness(&facts, &wanted, NOW).err().map_or("", Unfit::as_str);
            assert_eq!(verdict, expected, "{tls:?} for {level:?}");
        }
    }
}

#[test]
fn a_failed_handshake_excuses_clear_for_an_hour() {
    let (mut facts, mut wanted) = (facts(1), requirements("a.test", &[1]));
    facts.tls = clear(Clear::HandshakeFailed(NOW));
    wanted.tls.level = TlsLevel::May;
    let hour = Duration::from_secs(3600);
    assert_eq!(
        fitness(&facts, &wanted, NOW + (hour - Duration::from_nanos(1))),
        Ok(())
    );
    assert_eq!(fitness(&facts, &wanted, NOW + hour), Err(Unfit::Tls));
    wanted.tls.level = TlsLevel::None;
    assert_eq!(fitness(&facts, &wanted, NOW + hour), Ok(()), "whoever wants none");
}

/// One of the names that are wanted is enough; without any it is the host as this destination names it.
#[test]
fn the_right_host_is_one_of_those_named_or_the_one_called() {
    let (mut facts, mut wanted) = (facts(1), requirements("a.test", &[2, 1]));
    wanted.hosts = ["two.test".into(), "one.test".into()].into();
    wanted.tls.level = TlsLevel::Verify;
    for (proved, named, fits) in [
        (&["one.test"][..], &[][..], true),
        (&["two.test"], &[], false),
        (&["two.test"], &["two.test"], true),
        (&["one.test"], &["two.test"], false),
        (&["x.test", "b.test"], &["a.test", "b.test"], true),
    ] {
        facts.tls = encrypted(proved);
        wanted.tls.names = named.iter().map(|name| Arc::from(*name)).collect();
        assert_eq!(
            fitness(&facts, &wanted, NOW).is_ok(),
            fits,
            "{proved:?} {named:?}"
        );
    }
}

/// T51.
#[test]
fn implicit_tls_is_never_mixed_with_starttls() {
    for (mode, is_tls_implicit, fits) in [
        (TlsMode::ByPort, false, true),
        (TlsMode::ByPort, true, false),
        (TlsMode::Implicit, true, true),
        (TlsMode::Implicit, false, false),
    ] {
        let (mut facts, mut wanted) = (facts(1), requirements("a.test", &[1]));
        facts.tls = encrypted(&[]);
        facts.is_tls_implicit = is_tls_implicit;
        wanted.tls.level = TlsLevel::May;
        wanted.tls.mode = mode;
        let verdict = fitness(&facts, &wanted, NOW);
        assert_eq!(verdict.is_ok(), fits, "{mode:?} {is_tls_implicit}");
        assert!(fits || verdict == Err(Unfit::TlsMode));
    }
}

/// A destination's need, as a change of a plain one, and the session that a dial for it gets.
type Need = (&'static str, fn(&mut Facts, &mut Requirements));

const NEEDS: [Need; 11] = [
    ("none", |_, _| ()),
    ("may", |facts, wanted| {
        facts.tls = clear(Clear::NotOffered);
        wanted.tls.level = TlsLevel::May;
    }),
    ("encrypt", |facts, wanted| {
        facts.tls = encrypted(&[]);
        wanted.tls.level = TlsLevel::Encrypt;
    }),
    ("verify", |facts, wanted| {
        facts.tls = encrypted(&["mx.test"]);
        wanted.tls.level = TlsLevel::Verify;
    }),
    ("verify x", |facts, wanted| {
        facts.tls = encrypted(&["x.test"]);
        wanted.tls.level = TlsLevel::Verify;
        wanted.tls.names = ["x.test".into()].into();
    }),
    ("user 1", |facts, wanted| {
        (facts.credentials, wanted.credentials) = (Some(CredentialsId(1)), Some(CredentialsId(1)));
    }),
    ("user 2", |facts, wanted| {
        (facts.credentials, wanted.credentials) = (Some(CredentialsId(2)), Some(CredentialsId(2)));
    }),
    ("helo", |facts, wanted| {
        (facts.helo_name, wanted.helo_name) = ("two.test".into(), "two.test".into());
    }),
    ("utf8", |facts, wanted| {
        facts.capabilities.smtputf8 = true;
        wanted.smtputf8 = true;
    }),
    ("from 1", |facts, wanted| come_from(facts, wanted, 1)),
    ("from 2", |facts, wanted| come_from(facts, wanted, 2)),
];

/// Both sources have one name, so that the address alone separates them.
fn come_from(facts: &mut Facts, wanted: &mut Requirements, n: u8) {
    let source = ours(n, "us.test");
    leave_by(facts, &source);
    wanted.sources.v4 = Some(source.into());
}

/// What a session for the first is to a message of the second; every pair of differences, both ways.
const PAIRS: &str = "
          none        may       encrypt   verify    verify x  user 1      user 2      helo      utf8        from 1 from 2
none      -           tls       tls       tls       tls       credentials credentials helo_name smtputf8    source source
may       -           -         tls       tls       tls       credentials credentials helo_name smtputf8    source source
encrypt   -           -         -         identity  identity  credentials credentials helo_name smtputf8    source source
verify    -           -         -         -         identity  credentials credentials helo_name smtputf8    source source
verify x  -           -         -         identity  -         credentials credentials helo_name smtputf8    source source
user 1    credentials tls       tls       tls       tls       -           credentials helo_name credentials source source
user 2    credentials tls       tls       tls       tls       credentials -           helo_name credentials source source
helo      helo_name   helo_name helo_name helo_name helo_name helo_name   helo_name   -         helo_name   source source
utf8      -           tls       tls       tls       tls       credentials credentials helo_name -           source source
from 1    source      source    source    source    source    source      source      source    source      -      source
from 2    source      source    source    source    source    source      source      source    source      source -
";

#[test]
fn every_pair_of_differences_is_separated_both_ways() {
    let rows = PAIRS.lines().filter(|line| !line.trim().is_empty()).skip(1);
    let made = |change: fn(&mut Facts, &mut Requirements)| {
        let (mut facts, mut wanted) = (facts(1), requirements("a.test", &[1]));
        change(&mut facts, &mut wanted);
        (facts, wanted)
    };
    for ((name, session), row) in NEEDS.iter().zip(rows) {
        let expected: Vec<&str> = row.strip_prefix(name).unwrap().split_ascii_whitespace().collect();
        let found: Vec<&str> = NEEDS
            .iter()
            .map(|(_, need)| fitness(&made(*session).0, &made(*need).1, NOW))
            .map(|verdict| verdict.err().map_or("-", Unfit::as_str))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

fn any_names() -> impl Strategy<Value = Arc<[Arc<str>]>> {
    let name = prop_oneof![Just("mx.test"), Just("b.test"), Just("c.test")];
    proptest::collection::vec(name.prop_map(Arc::from), 0..3).prop_map(Arc::from)
}

fn any_credentials() -> impl Strategy<Value = Option<CredentialsId>> {
    proptest::option::of((1..3u64).prop_map(CredentialsId))
}

fn any_source() -> impl Strategy<Value = Option<Source>> {
    let source = (1..3u8, prop_oneof![Just("us.test"), Just("two.test")]);
    proptest::option::of(source.prop_map(|(n, name)| ours(n, name)))
}

/// A limit of recipient domains, and those there have been.
fn any_domains() -> impl Strategy<Value = (Option<u32>, Vec<Domain>)> {
    let domain = prop_oneof![Just("a.test"), Just("b.test")];
    let had = proptest::collection::vec(domain.prop_map(|name| name.parse().unwrap()), 0..3);
    (proptest::option::of(1..3u32), had)
}

fn any_tls() -> impl Strategy<Value = Tls> {
    prop_oneof![
        Just(clear(Clear::ByPolicy)),
        Just(clear(Clear::NotOffered)),
        (0..8u64).prop_map(|n| clear(Clear::HandshakeFailed(NOW + Duration::from_secs(n * 900)))),
        any_names().prop_map(|names| Tls::Encrypted {
            protocol: TlsProtocol::Tls12,
            authenticated: Authenticated::Names(names),
        }),
        Just(encrypted(&[])),
    ]
}

prop_compose! {
    fn any_facts()(
        (n, is_465) in (1..4u8, any::<bool>()),
        is_tls_implicit in any::<bool>(),
        tls in any_tls(),
        credentials in any_credentials(),
        source in any_source(),
        helo_name in prop_oneof![Just("us.test"), Just("two.test")],
        uses in 0..4u32,
        smtputf8 in any::<bool>(),
        size_max in proptest::option::of(500..1500u64),
        (domain_max, domains) in any_domains(),
        protocol in any_protocol(),
    ) -> Facts {
        let mut facts = Facts { protocol, is_tls_implicit, tls, credentials, uses, ..facts(n) };
        facts.source = source.map(|source| source.address);
        facts.helo_name = helo_name.into();
        facts.endpoint = port(facts.endpoint, is_465);
        facts.capabilities.smtputf8 = smtputf8;
        facts.capabilities.size_max = size_max;
        facts.capabilities.limits.rcpt_domain_max = domain_max;
        facts.recipient_domains = domains;
        facts
    }
}

prop_compose! {
    fn any_requirements()(
        set in proptest::collection::vec((1..4u8, any::<bool>()), 0..4),
        level in prop_oneof![
            Just(TlsLevel::None), Just(TlsLevel::May), Just(TlsLevel::Encrypt), Just(TlsLevel::Verify)
        ],
        mode in prop_oneof![Just(TlsMode::ByPort), Just(TlsMode::StartTls), Just(TlsMode::Implicit)],
        names in any_names(),
        credentials in any_credentials(),
        source in any_source(),
        helo_name in prop_oneof![Just("us.test"), Just("two.test")],
        (fresh, reuse_count_max) in (any::<bool>(), 0..4u32),
        smtputf8 in any::<bool>(),
        size in 500..1500u64,
        protocol in any_protocol(),
    ) -> Requirements {
        Requirements {
            protocol,
            endpoints: set.iter().map(|(n, is_465)| port(endpoint(*n), *is_465)).collect(),
            hosts: set.iter().map(|(n, _)| if *n == 1 { "mx.test".into() } else { "b.test".into() }).collect(),
            sources: Sources { v4: source.map(Arc::new), v6: None },
            helo_name: helo_name.into(),
            fresh,
            reuse_count_max,
            tls: TlsPolicy { level, mode, names },
            credentials,
            smtputf8,
            size,
            ..requirements("a.test", &[])
        }
    }
}

fn any_protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![4 => Just(Protocol::Smtp), 1 => Just(Protocol::Lmtp)]
}

fn port(endpoint: Endpoint, is_465: bool) -> Endpoint {
    let port = if is_465 { 465 } else { 25 };
    Endpoint::Tcp(std::net::SocketAddr::new(endpoint.ip().unwrap(), port))
}

/// All that speaks against it, each thing asked by itself and in the words of the specification.
fn objections(facts: &Facts, wanted: &Requirements, now: Monotonic) -> Vec<Unfit> {
    let mut against = Vec::new();
    let mut unless = |is_met: bool, reason| {
        if !is_met {
            against.push(reason);
        }
    };
    let is_encrypted = matches!(facts.tls, Tls::Encrypted { .. });
    unless(wanted.endpoints.contains(&facts.endpoint), Unfit::Endpoint);
    unless(facts.protocol == wanted.protocol, Unfit::Protocol);
    // All endpoints here are of one family.
    let source = wanted.sources.v4.as_deref();
    unless(facts.source == source.map(|source| source.address), Unfit::Source);
    let helo_name = source.map_or(&wanted.helo_name, |source| &source.helo_name);
    unless(facts.helo_name == *helo_name, Unfit::HeloName);
    let wants_implicit = match wanted.tls.mode {
        _ if wanted.tls.level == TlsLevel::None => false,
        TlsMode::ByPort => facts.endpoint.port() == Some(465),
        mode => mode == TlsMode::Implicit,
    };
    unless(facts.is_tls_implicit == wants_implicit, Unfit::TlsMode);
    // May: clear that was not offered, or whose handshake failed within the hour, never by policy.
    let excuse = match facts.tls {
        Tls::Clear(Clear::NotOffered) => true,
        Tls::Clear(Clear::HandshakeFailed(at)) => now.since(at) < Duration::from_secs(3600),
        _ => false,
    };
    let is_excused = wanted.tls.level == TlsLevel::May && excuse;
    unless(
        wanted.tls.level == TlsLevel::None || is_encrypted || is_excused,
        Unfit::Tls,
    );
    if wanted.tls.level == TlsLevel::Verify && is_encrypted {
        let mut right: Vec<Arc<str>> = wanted.tls.names.to_vec();
        if right.is_empty() {
            let host = |at: usize| wanted.hosts[at].clone();
            right.extend(
                wanted
                    .endpoints
                    .iter()
                    .position(|one| *one == facts.endpoint)
                    .map(host),
            );
        }
        let is_right = match &facts.tls {
            Tls::Encrypted {
                authenticated: Authenticated::Names(names),
                ..
            } => names.iter().any(|name| right.contains(name)),
            _ => false,
        };
        unless(is_right, Unfit::Identity);
    }
    unless(facts.credentials == wanted.credentials, Unfit::Credentials);
    unless(facts.capabilities.smtputf8 || !wanted.smtputf8, Unfit::Smtputf8);
    unless(
        facts.capabilities.size_max.is_none_or(|max| max >= wanted.size),
        Unfit::Size,
    );
    unless(
        takes_domain(facts, &wanted.recipient_domain),
        Unfit::RecipientDomain,
    );
    unless(!wanted.fresh || facts.uses == 0, Unfit::Used);
    unless(
        wanted.reuse_count_max == 0 || facts.uses <= wanted.reuse_count_max,
        Unfit::Count,
    );
    against
}

/// One that it has had, or one more than those.
fn takes_domain(facts: &Facts, domain: &Domain) -> bool {
    let (had, max) = (
        &facts.recipient_domains,
        facts.capabilities.limits.rcpt_domain_max,
    );
    had.contains(domain) || max.is_none_or(|max| had.len() < max as usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn nothing_is_carried_that_its_requirements_forbid(
        facts in any_facts(),
        wanted in any_requirements(),
        seconds in 0..9000u64,
    ) {
        let now = NOW + Duration::from_secs(seconds);
        let objections = objections(&facts, &wanted, now);
        prop_assert_eq!(fitness(&facts, &wanted, now).err(), objections.first().copied());
    }

    #[test]
    fn what_serves_a_need_serves_every_weaker_one(
        facts in any_facts(),
        wanted in any_requirements(),
        level in prop_oneof![Just(TlsLevel::None), Just(TlsLevel::May), Just(TlsLevel::Encrypt)],
        size in 0..500u64,
    ) {
        let mut weaker = wanted.clone();
        weaker.tls.level = level.min(wanted.tls.level);
        weaker.smtputf8 = false;
        weaker.size = size;
        // Whether TLS begins with the connection is no matter of strength.
        prop_assume!(wanted.tls.is_implicit(facts.endpoint) == weaker.tls.is_implicit(facts.endpoint));
        if fitness(&facts, &wanted, NOW).is_ok() {
            prop_assert_eq!(fitness(&facts, &weaker, NOW), Ok(()));
        }
    }
}
