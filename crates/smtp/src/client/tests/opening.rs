//! Openings with TLS and AUTH.

use remuda_mail::{Blame, Credentials, Failure, Scope, Secret};

use super::*;

const OFFERS: &str = "250-mx.test\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250 PIPELINING\r\n";
const OFFERS_LOGIN: &str = "250-mx.test\r\n250 AUTH LOGIN\r\n";

fn login(in_clear: bool) -> Option<Login> {
    Some(Login {
        credentials: Credentials {
            username: "me".into(),
            password: Secret::new("secret"),
        },
        in_clear,
    })
}

/// A machine that has said its first EHLO.
fn introduced(tls: WantedTls, login: Option<Login>) -> Client {
    let endpoint = Endpoint::Tcp("192.0.2.1:25".parse().unwrap());
    let peer = Peer::new("mx.test", endpoint);
    let mut client = Client::with(
        peer,
        "us.test".into(),
        Security {
            tls,
            login,
            ..Security::default()
        },
    );
    hear(&mut client, "220 mx.test\r\n");
    client
}

/// Reads what the server says, and answers what is said to it.
fn hear(client: &mut Client, said: &str) -> String {
    client.receive(said.as_bytes());
    sent(client)
}

fn encrypted(login: Option<Login>) -> Client {
    let mut client = introduced(WantedTls::Required, login);
    hear(&mut client, OFFERS);
    hear(&mut client, "220 go\r\n");
    assert_eq!(client.want(), Want::Handshake);
    client.secured();
    assert_eq!(sent(&mut client), "EHLO us.test\r\n");
    client
}

fn refused(client: &Client) -> (Step, &Failure) {
    match client.opening() {
        Some(Err(refused)) => (refused.step, &refused.failure),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_begins_behind_starttls_and_what_was_said_before_is_forgotten() {
    for tls in [WantedTls::IfOffered, WantedTls::Required] {
        let mut client = introduced(tls, None);
        assert_eq!(hear(&mut client, OFFERS), "STARTTLS\r\n");
        assert_eq!(hear(&mut client, "220 go\r\n"), "");
        assert_eq!((client.want(), client.opening()), (Want::Handshake, None));
        client.secured();
        assert_eq!(sent(&mut client), "EHLO us.test\r\n");
        hear(&mut client, "250 mx.test\r\n");
        let Some(Ok(capabilities)) = client.opening() else {
            panic!()
        };
        assert!(capabilities.esmtp && !capabilities.pipelining && !capabilities.starttls);
    }
}

#[test]
fn who_refuses_ehlo_over_tls_offers_nothing() {
    let mut client = encrypted(None);
    hear(&mut client, "502 no\r\n");
    hear(&mut client, "250 old\r\n");
    assert_eq!(client.opening(), Some(Ok(&Capabilities::default())));
}

#[test]
fn after_the_handshake_starttls_is_not_said_again() {
    let mut client = encrypted(None);
    assert_eq!(hear(&mut client, OFFERS), "");
    assert!(matches!(client.opening(), Some(Ok(_))));
}

/// The injection of RFC 3207 §6 and CVE-2011-0411: whatever stands behind the 220 is not from the server.
#[test]
fn any_octet_behind_the_220_ends_the_session() {
    for behind in ["2", "250 ok\r\n", "250-a\r\n250 STARTTLS\r\n", "\r\n", "x"] {
        for cut in 0..=behind.len() {
            let mut client = introduced(WantedTls::IfOffered, None);
            hear(&mut client, OFFERS);
            let (first, second) = behind.split_at(cut);
            client.receive(format!("220 go\r\n{first}").as_bytes());
            client.receive(second.as_bytes());
            let (step, failure) = refused(&client);
            assert_eq!(
                (step, failure.blame),
                (Step::StartTls, Blame::Peer),
                "{behind:?} {cut}"
            );
            assert_eq!(client.want(), Want::Nothing);
            client.quit();
            assert_eq!(sent(&mut client), "", "nothing more is said to whoever that is");
        }
    }
}

#[test]
fn without_an_offer_may_goes_on_and_a_duty_fails_without_fault_of_the_host() {
    for ehlo in [PLAIN, "502 no\r\n"] {
        let mut client = introduced(WantedTls::IfOffered, None);
        if !hear(&mut client, ehlo).is_empty() {
            hear(&mut client, "250 old\r\n");
        }
        assert!(matches!(client.opening(), Some(Ok(_))));

        let mut client = introduced(WantedTls::Required, None);
        if !hear(&mut client, ehlo).is_empty() {
            hear(&mut client, "250 old\r\n");
        }
        let (step, failure) = refused(&client);
        assert_eq!(
            (step, failure.scope, failure.blame),
            (Step::StartTls, Scope::Endpoint, Blame::Policy)
        );
        assert_eq!(failure.refusal.status.to_string(), "4.7.4");
        assert_eq!(
            failure.refusal.words(),
            "TLS is required, but was not offered by host mx.test[192.0.2.1]:25"
        );
        client.quit();
        assert_eq!(sent(&mut client), "QUIT\r\n");
    }
}

#[test]
fn a_refused_starttls_lets_may_go_on_with_what_was_offered() {
    let mut client = introduced(WantedTls::IfOffered, None);
    hear(&mut client, OFFERS);
    hear(&mut client, "454 4.7.0 not now\r\n");
    assert!(matches!(client.opening(), Some(Ok(capabilities)) if capabilities.pipelining));

    let mut client = introduced(WantedTls::Required, None);
    hear(&mut client, OFFERS);
    hear(&mut client, "554 5.7.3 never\r\n");
    let (_, failure) = refused(&client);
    assert_eq!((failure.blame, failure.refusal.status.class), (Blame::Policy, 4));
    assert!(
        failure
            .refusal
            .words()
            .contains("554 5.7.3 never (in reply to STARTTLS command)")
    );
}

#[test]
fn auth_follows_the_second_introduction() {
    let mut client = encrypted(login(false));
    // printf '\0me\0secret' | base64
    assert_eq!(hear(&mut client, OFFERS), "AUTH PLAIN AG1lAHNlY3JldA==\r\n");
    assert_eq!(client.opening(), None);
    hear(&mut client, "235 2.7.0 welcome\r\n");
    assert!(matches!(client.opening(), Some(Ok(_))));

    let mut client = encrypted(login(false));
    assert_eq!(hear(&mut client, OFFERS_LOGIN), "AUTH LOGIN\r\n");
    assert_eq!(hear(&mut client, "334 VXNlcm5hbWU6\r\n"), "bWU=\r\n");
    assert_eq!(hear(&mut client, "334 UGFzc3dvcmQ6\r\n"), "c2VjcmV0\r\n");
    hear(&mut client, "235 ok\r\n");
    assert!(matches!(client.opening(), Some(Ok(_))));
}

#[test]
fn a_password_goes_out_over_tls_unless_clear_is_allowed() {
    for (tls, in_clear, is_said) in [
        (WantedTls::None, false, false),
        (WantedTls::None, true, true),
        (WantedTls::Begun, false, true),
    ] {
        let mut client = introduced(tls, login(in_clear));
        let said = hear(&mut client, "250-mx.test\r\n250 AUTH PLAIN\r\n");
        assert_eq!(said.starts_with("AUTH PLAIN "), is_said, "{tls:?} {in_clear}");
        if !is_said {
            let (step, failure) = refused(&client);
            assert_eq!((step, failure.blame), (Step::Auth, Blame::Policy));
            assert_eq!(failure.refusal.status.to_string(), "4.7.11");
        }
    }
    // STARTTLS that is not had, for now.
    let mut client = introduced(WantedTls::IfOffered, login(false));
    hear(&mut client, OFFERS);
    assert_eq!(hear(&mut client, "454 not now\r\n"), "");
    assert_eq!(refused(&client).0, Step::Auth);
}

#[test]
fn a_refused_password_defers_and_is_no_fault_of_the_host() {
    for reply in ["535 5.7.8 who?\r\n", "454 4.7.0 later\r\n", "500 what\r\n"] {
        let mut client = encrypted(login(false));
        hear(&mut client, OFFERS);
        hear(&mut client, reply);
        let (step, failure) = refused(&client);
        assert_eq!(
            (step, failure.scope, failure.blame),
            (Step::Auth, Scope::Endpoint, Blame::Policy)
        );
        assert_eq!(failure.refusal.status.class, 4);
        assert!(failure.refusal.words().ends_with("(in reply to AUTH command)"));
    }
    let mut client = encrypted(login(false));
    hear(&mut client, PLAIN);
    assert!(
        refused(&client)
            .1
            .refusal
            .words()
            .contains("offers neither AUTH PLAIN nor AUTH LOGIN")
    );
}

#[test]
fn a_secret_is_never_shown() {
    let mut client = introduced(WantedTls::None, login(true));
    client.receive(b"250-mx.test\r\n250 AUTH PLAIN\r\n");
    let shown = format!("{client:?}");
    assert!(!shown.contains("secret") && !shown.contains("AG1l"), "{shown}");
    assert!(!shown.contains("83, 101"), "nor as octets: {shown}");
}

/// What the server says next, in each state.
const EVENTS: [&str; 11] = [
    "220 go",
    "235 in",
    "250 ok",
    "334 more",
    "421 bye",
    "454 later",
    "535 no",
    "500 what",
    "777 odd",
    "noise",
    "closed",
];

fn states() -> Vec<(&'static str, Client)> {
    let heard = |tls, login, said: &[&str]| {
        let mut client = introduced(tls, login);
        for said in said {
            hear(&mut client, said);
        }
        client
    };
    let over_tls = |offers, said: &[&str]| {
        let mut client = encrypted(login(false));
        hear(&mut client, offers);
        for said in said {
            hear(&mut client, said);
        }
        client
    };
    vec![
        ("starttls, may", heard(WantedTls::IfOffered, None, &[OFFERS])),
        ("starttls, encrypt", heard(WantedTls::Required, None, &[OFFERS])),
        (
            "handshake",
            heard(WantedTls::Required, None, &[OFFERS, "220 go\r\n"]),
        ),
        ("second ehlo", encrypted(None)),
        ("second helo", {
            let mut client = encrypted(None);
            hear(&mut client, "502 no\r\n");
            client
        }),
        ("auth plain", over_tls(OFFERS, &[])),
        ("auth login", over_tls(OFFERS_LOGIN, &[])),
        ("auth name", over_tls(OFFERS_LOGIN, &["334 a\r\n"])),
        (
            "auth password",
            over_tls(OFFERS_LOGIN, &["334 a\r\n", "334 b\r\n"]),
        ),
    ]
}

fn answer(client: &mut Client, event: &str) -> String {
    match event {
        "closed" => client.lost(&Loss::Closed),
        event => client.receive(format!("{event}\r\n").as_bytes()),
    }
    match client.opening() {
        Some(Err(refused)) => {
            assert!(!refused.failure.refusal.is_permanent());
            format!("{:?}", refused.failure.blame).to_lowercase()
        }
        Some(Ok(_)) => "ready".to_owned(),
        None if client.want() == Want::Handshake => "handshake".to_owned(),
        None => format!("> {}", sent(client).split(['\r', ' ']).next().unwrap()),
    }
}

#[test]
fn every_state_of_a_secured_opening_answers_every_reply() {
    let mut table = String::new();
    for (index, (name, _)) in states().iter().enumerate() {
        for event in EVENTS {
            let answer = answer(&mut states().remove(index).1, event);
            table.push_str(&format!("{name} | {event} | {answer}\n"));
        }
    }
    assert_eq!(
        table,
        include_str!("opening.txt"),
        "the table as it is now:\n{table}"
    );
}
