//! Sessions over TLS: what opens, what is told, what is dead.

use remuda_mail::{Authenticated, Blame, Clear, CredentialsId, Scope, Tls, TlsLevel, TlsProtocol};
use remuda_smtp::deadlines::client::HANDSHAKE;
use remuda_testing::certificates::{Authority, Validity};
use rustls::HandshakeKind;

use super::{secure::*, *};

fn nobody(clock: &Arc<SystemClock>) -> Arc<Clients> {
    clients(clock.clone())
}

fn paused() -> Arc<SystemClock> {
    Arc::new(SystemClock::paused())
}

/// How a handshake begins.
const CLIENT_HELLO: &str = "\u{16}\u{3}\u{1}";

/// A session over STARTTLS whose server does `acts` then.
async fn open(acts: Vec<Act>) -> (Arc<Servers>, Dialled) {
    let servers = Servers::new(vec![[starttls(&any_server()), acts].concat()]);
    let mut dialled = dial(&servers, &nobody(&paused()), level(TlsLevel::May));
    dialled.opened().await;
    (servers, dialled)
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_over_tls_with_what_is_offered_there() {
    let servers = Servers::new(vec![[starttls(&any_server()), success()].concat()]);
    let mut dialled = dial(&servers, &nobody(&paused()), level(TlsLevel::May));
    let facts = dialled.opened().await;
    assert_eq!(
        facts.tls,
        Tls::Encrypted {
            protocol: TlsProtocol::Tls13,
            authenticated: Authenticated::Nobody,
        }
    );
    assert!(facts.capabilities.esmtp && !facts.capabilities.pipelining && !facts.is_tls_implicit);
    let answer = dialled.transact().await;
    assert_eq!(words(&answer), "delivered");
    let heard = servers.heard().await.text;
    assert!(
        heard.starts_with("EHLO us.test\r\nSTARTTLS\r\nEHLO us.test\r\nMAIL FROM:<>\r\n"),
        "{heard}"
    );
}

#[tokio::test(start_paused = true)]
async fn implicit_tls_is_there_from_the_first_octet() {
    let mut acts = vec![Act::Handshake(any_server()), Act::Say("220 mx.test\r\n")];
    acts.extend([
        Act::Hear("EHLO us.test\r\n"),
        Act::Say("250-mx.test\r\n250 STARTTLS\r\n"),
    ]);
    let servers = Servers::new(vec![[acts, success()].concat()]);
    let mut dialled = dial(&servers, &nobody(&paused()), implicit(TlsLevel::Encrypt));
    let facts = dialled.opened().await;
    assert!(facts.is_tls_implicit && facts.tls.protocol() == Some(TlsProtocol::Tls13));
    dialled.transact().await;
    assert!(servers.heard().await.text.starts_with("EHLO us.test\r\nMAIL"));
}

#[tokio::test(start_paused = true)]
async fn an_older_version_is_named() {
    let issued = Authority::new()
        .unwrap()
        .issue(&["mx.test"], Validity::Now)
        .unwrap();
    let config = server_of(&issued, &[&rustls::version::TLS12]);
    let servers = Servers::new(vec![[starttls(&config), success()].concat()]);
    let mut dialled = dial(&servers, &nobody(&paused()), level(TlsLevel::Encrypt));
    assert_eq!(dialled.opened().await.tls.protocol(), Some(TlsProtocol::Tls12));
    assert_eq!(words(&dialled.transact().await), "delivered");
}

/// Whether its issuer is trusted, whom it is for, when it holds, who is wanted (else the host), and what is
/// said.
type Row = (
    bool,
    &'static [&'static str],
    Validity,
    &'static [&'static str],
    Result<&'static str, &'static str>,
);

const CERTIFICATES: &[Row] = &[
    (true, &["mx.test"], Validity::Now, &[], Ok("mx.test")),
    (true, &["*.b.test"], Validity::Now, &["x.b.test"], Ok("x.b.test")),
    (
        true,
        &["b.test", "c.test"],
        Validity::Now,
        &["a.test", "c.test"],
        Ok("c.test"),
    ),
    (
        true,
        &["b.test", "192.0.2.7"],
        Validity::Now,
        &[],
        Err("wanted mx.test, its certificate is for b.test, 192.0.2.7"),
    ),
    (
        true,
        &["mx.test"],
        Validity::Now,
        &["a.test", "b.test"],
        Err("wanted a.test, b.test, its certificate is for mx.test"),
    ),
    (
        true,
        &["mx.test"],
        Validity::Past,
        &[],
        Err("its certificate expired on 2021-02-01T00:00:00Z"),
    ),
    (
        true,
        &["mx.test"],
        Validity::Future,
        &[],
        Err("its certificate is valid only from 2090-02-01T00:00:00Z on"),
    ),
    (
        false,
        &["mx.test"],
        Validity::Now,
        &[],
        Err("its certificate has an unknown issuer"),
    ),
];

/// What the operator reads, and what the session proves.
#[tokio::test(start_paused = true)]
async fn verify_wants_a_trusted_certificate_for_a_wanted_name() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let clock = paused();
    let clients = trusting(&ours, &clock);
    for (is_ours, names, validity, wanted, expected) in CERTIFICATES {
        let issuer = if *is_ours { &ours } else { &theirs };
        let config = server(&issuer.issue(names, *validity).unwrap());
        let servers = Servers::new(vec![[starttls(&config), vec![Act::Stall]].concat()]);
        let mut security = level(TlsLevel::Verify);
        security.tls.names = wanted.iter().map(|name| Arc::from(*name)).collect();
        let mut dialled = dial(&servers, &clients, security);
        match expected {
            Ok(name) => {
                let Tls::Encrypted { authenticated, .. } = dialled.opened().await.tls else {
                    panic!("in clear")
                };
                assert_eq!(authenticated, Authenticated::Names([Arc::from(*name)].into()));
            }
            Err(why) => {
                let (step, failure) = dialled.failed().await;
                assert_eq!(
                    (step, failure.scope, failure.blame),
                    (DialStep::Tls, Scope::Endpoint, Blame::Policy)
                );
                assert_eq!(failure.refusal.status.to_string(), "4.7.5");
                let words = format!("cannot verify host mx.test[192.0.2.1]:25: {why}");
                assert_eq!(failure.refusal.words(), words);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_handshake_is_made_up_for_once_in_clear_for_may_only() {
    let broken = || {
        [
            in_clear(),
            vec![
                Act::Hear("STARTTLS\r\n"),
                Act::Say("220 go\r\n"),
                Act::Hear(CLIENT_HELLO),
                Act::Say("no TLS here\r\n"),
            ],
        ]
        .concat()
    };
    let plain = || [in_clear(), vec![Act::Stall]].concat();
    for (of, opens) in [
        (TlsLevel::May, true),
        (TlsLevel::Encrypt, false),
        (TlsLevel::Verify, false),
    ] {
        let servers = Servers::new(vec![broken(), plain()]);
        let mut dialled = dial(&servers, &nobody(&paused()), level(of));
        if opens {
            let facts = dialled.opened().await;
            let now = dialled.clock.now().monotonic;
            assert_eq!(facts.tls, Tls::Clear(Clear::HandshakeFailed(now)));
            assert!(facts.capabilities.pipelining);
        } else {
            let (step, failure) = dialled.failed().await;
            assert_eq!((step, failure.blame), (DialStep::Tls, Blame::Policy));
            assert!(
                failure
                    .refusal
                    .words()
                    .starts_with("no TLS with host mx.test[192.0.2.1]:25: the TLS handshake failed: ")
            );
            assert_eq!(servers.unused(), 1, "once");
        }
    }
    // The second one fails too: that is all.
    let servers = Servers::new(vec![broken(), vec![]]);
    let mut dialled = dial(&servers, &nobody(&paused()), level(TlsLevel::May));
    assert_eq!(dialled.failed().await.0, DialStep::Greeting);
}

#[tokio::test(start_paused = true)]
async fn a_known_failure_is_not_tried_again() {
    let servers = Servers::new(vec![[in_clear(), vec![Act::Stall]].concat()]);
    let mut security = level(TlsLevel::May);
    let failed = remuda_clock::Monotonic::ZERO + Duration::from_secs(5);
    security.failed_handshake = Some(failed);
    let mut dialled = dial(&servers, &nobody(&paused()), security);
    let facts = dialled.opened().await;
    assert_eq!(facts.tls, Tls::Clear(Clear::HandshakeFailed(failed)));
    drop(dialled.orders);
    assert_eq!(servers.heard().await.text, "EHLO us.test\r\nQUIT\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_session_in_clear_says_why() {
    let acts = || [in_clear(), vec![Act::Stall]].concat();
    let without = || {
        vec![
            Act::Say("220 mx.test\r\n"),
            Act::Hear("EHLO"),
            Act::Say("250 mx.test\r\n"),
            Act::Stall,
        ]
    };
    for (acts, of, why) in [
        (acts(), TlsLevel::None, Clear::ByPolicy),
        (without(), TlsLevel::May, Clear::NotOffered),
    ] {
        let servers = Servers::new(vec![acts]);
        let mut dialled = dial(&servers, &nobody(&paused()), level(of));
        assert_eq!(dialled.opened().await.tls, Tls::Clear(why));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_has_its_limit() {
    let stalled = || {
        [
            in_clear(),
            vec![Act::Hear("STARTTLS\r\n"), Act::Say("220 go\r\n"), Act::Stall],
        ]
        .concat()
    };
    let servers = Servers::new(vec![stalled()]);
    let mut dialled = dial(&servers, &nobody(&paused()), level(TlsLevel::Encrypt));
    let (_, failure) = dialled.failed().await;
    assert!(failure.refusal.words().ends_with("the TLS handshake timed out"));
    assert_eq!(dialled.clock.now().monotonic.since_start(), HANDSHAKE);
}

/// RFC 3207 §6: what somebody in between put behind the 220 is not taken for the server's.
#[tokio::test(start_paused = true)]
async fn octets_behind_the_220_end_the_session_and_are_no_reason_for_clear() {
    let acts = [
        in_clear(),
        vec![
            Act::Hear("STARTTLS\r\n"),
            Act::Say("220 go\r\n250 ok\r\n"),
            Act::Stall,
        ],
    ]
    .concat();
    let servers = Servers::new(vec![acts, vec![]]);
    let mut dialled = dial(&servers, &nobody(&paused()), level(TlsLevel::May));
    let (step, failure) = dialled.failed().await;
    assert_eq!(
        (step, failure.blame, servers.unused()),
        (DialStep::Tls, Blame::Peer, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_second_handshake_with_a_host_is_resumed() {
    let authority = Authority::new().unwrap();
    let config = server(&authority.issue(&["mx.test"], Validity::Now).unwrap());
    let clock = paused();
    let clients = trusting(&authority, &clock);
    let mut kinds = Vec::new();
    for of in [
        TlsLevel::May,
        TlsLevel::Encrypt,
        TlsLevel::Verify,
        TlsLevel::Verify,
    ] {
        let servers = Servers::new(vec![[starttls(&config), success(), vec![Act::Stall]].concat()]);
        let mut dialled = dial(&servers, &clients, level(of));
        let facts = dialled.opened().await;
        let is_known = matches!(
            facts.tls,
            Tls::Encrypted {
                authenticated: Authenticated::Names(_),
                ..
            }
        );
        assert_eq!(is_known, of == TlsLevel::Verify, "also when it is resumed");
        // The tickets come with the first reply.
        dialled.transact().await;
        drop(dialled);
        kinds.push(servers.heard().await.handshake.unwrap());
    }
    let (full, resumed) = (HandshakeKind::Full, HandshakeKind::Resumed);
    assert_eq!(
        kinds,
        [full, resumed, full, resumed],
        "those who trust anybody share nothing with verify"
    );
}

/// A resumed session shows the certificate of the first one; whoever wants another name does not get it.
#[tokio::test(start_paused = true)]
async fn a_resumed_session_is_held_to_the_name_too() {
    let authority = Authority::new().unwrap();
    let config = server(&authority.issue(&["mx.test"], Validity::Now).unwrap());
    let clients = trusting(&authority, &paused());
    let mut security = level(TlsLevel::Verify);
    for names in [&["mx.test"][..], &["mx.test", "other.test"]] {
        let servers = Servers::new(vec![[starttls(&config), success()].concat()]);
        security.tls.names = names.iter().map(|name| Arc::from(*name)).collect();
        let mut dialled = dial(&servers, &clients, security.clone());
        let Tls::Encrypted { authenticated, .. } = dialled.opened().await.tls else {
            panic!("in clear")
        };
        assert_eq!(authenticated, Authenticated::Names(["mx.test".into()].into()));
        dialled.transact().await;
    }
}

#[tokio::test(start_paused = true)]
async fn tickets_and_new_keys_are_not_data() {
    let acts = [
        success(),
        vec![Act::Await, Act::NewKeys, Act::Await],
        success(),
        vec![Act::Await, Act::NewKeys],
        success(),
    ]
    .concat();
    let (servers, mut dialled) = open(acts).await;
    dialled.transact().await;
    dialled.watch().await;
    servers.go();
    // New keys while it is parked, and it is taken all the same.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    servers.go();
    let answer = dialled.transact().await;
    assert_eq!((words(&answer).as_str(), answer.uses), ("delivered", 2));
    // New keys that nobody has read when the next transaction begins.
    servers.go();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(words(&dialled.transact().await), "delivered");
}

#[tokio::test(start_paused = true)]
async fn a_parked_session_that_ends_or_speaks_through_tls_is_dead() {
    for (last, death) in [
        (vec![Act::CloseTls], Death::Fin),
        (vec![Act::Say("421 bye\r\n"), Act::Stall], Death::Data),
        // Without TLS's own farewell it is a FIN all the same.
        (vec![], Death::Fin),
    ] {
        let (servers, mut dialled) = open([success(), vec![Act::Await], last].concat()).await;
        dialled.transact().await;
        dialled.watch().await;
        servers.go();
        assert!(matches!(dialled.report().await, Report::Died { cause, .. } if cause == death));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_died_unseen_through_tls_sends_nothing() {
    for (last, death) in [
        (vec![Act::CloseTls], Death::Fin),
        (vec![Act::Say("421 bye\r\n"), Act::Stall], Death::Data),
        // Without TLS's own farewell it is a FIN all the same.
        (vec![], Death::Fin),
    ] {
        let (servers, mut dialled) = open([success(), vec![Act::Await], last].concat()).await;
        dialled.transact().await;
        servers.go();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let answer = dialled.transact().await;
        assert_eq!(
            (words(&answer).as_str(), &answer.cause, answer.death),
            ("open", &Undecided::Unsent, Some(death))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_logs_in_does_it_over_tls_and_the_session_says_so() {
    const OFFERS: &str = "250-mx.test\r\n250 AUTH PLAIN\r\n";
    let acts = |reply| {
        let mut acts = in_clear();
        acts.extend([Act::Hear("STARTTLS\r\n"), Act::Say("220 go\r\n")]);
        acts.extend(encrypted(&any_server(), OFFERS));
        acts.extend([
            Act::Hear("AUTH PLAIN AG1lAHNlY3JldA==\r\n"),
            Act::Say(reply),
            Act::Stall,
        ]);
        acts
    };
    let servers = Servers::new(vec![acts("235 2.7.0 in\r\n")]);
    let mut dialled = dial(&servers, &nobody(&paused()), with_login(level(TlsLevel::May)));
    assert_eq!(dialled.opened().await.credentials, Some(CredentialsId(7)));

    let servers = Servers::new(vec![acts("535 5.7.8 who are you\r\n")]);
    let mut dialled = dial(&servers, &nobody(&paused()), with_login(level(TlsLevel::May)));
    let (step, failure) = dialled.failed().await;
    assert_eq!((step, failure.blame), (DialStep::Auth, Blame::Policy));
    assert_eq!(
        failure.refusal.words(),
        "host mx.test[192.0.2.1]:25 said: 535 5.7.8 who are you (in reply to AUTH command)"
    );
    // It is in order otherwise.
    assert!(servers.heard().await.text.ends_with("QUIT\r\n"));
}

#[tokio::test(start_paused = true)]
async fn nobody_logs_in_after_a_handshake_that_failed() {
    let broken = [
        in_clear(),
        vec![
            Act::Hear("STARTTLS\r\n"),
            Act::Say("220 go\r\n"),
            Act::Hear(CLIENT_HELLO),
            Act::Say("no TLS here\r\n"),
        ],
    ]
    .concat();
    let plain = vec![
        Act::Say("220 mx.test\r\n"),
        Act::Hear("EHLO"),
        Act::Say("250-mx.test\r\n250 AUTH PLAIN\r\n"),
        Act::Stall,
    ];
    let servers = Servers::new(vec![broken, plain]);
    let mut dialled = dial(&servers, &nobody(&paused()), with_login(level(TlsLevel::May)));
    assert_eq!(dialled.failed().await.0, DialStep::Auth);
    servers.heard().await;
    assert_eq!(servers.heard().await.text, "EHLO us.test\r\nQUIT\r\n");
}
