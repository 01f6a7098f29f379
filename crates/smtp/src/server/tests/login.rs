//! STARTTLS and AUTH: every command in every state of a session that may have them, and those who abuse it.

use super::*;
use crate::{
    base64::{decode, encode},
    server::limits::{AUTH_LINE_MAX, LOGINS_REFUSED_MAX},
};

fn plain(text: &str) -> String {
    encode(text.replace('|', "\0").as_bytes())
}

const TLS: &str = "EHLO c.test\r\nSTARTTLS\r\n";

/// Under TLS, after EHLO, with nothing noted.
fn under_tls() -> Rig {
    let mut rig = Rig::secure(false);
    rig.say(TLS);
    rig.say("EHLO c.test\r\n");
    rig.output.clear();
    rig
}

/// A state with what leads there, in reads.
type State = (&'static str, &'static [&'static str]);

const RIGHT: &str = "AUTH PLAIN AG1lAHJpZ2h0\r\n";
const MAIL: &str = "MAIL FROM:<a@b.test>\r\n";
const RCPT: &str = "RCPT TO:<c@d.test>\r\n";

const STATES: [State; 9] = [
    ("start", &[]),
    ("clear", &["EHLO c.test\r\n"]),
    ("clear helo", &["HELO c.test\r\n"]),
    ("clear mail", &["EHLO c.test\r\n", MAIL]),
    ("tls start", &[TLS]),
    ("tls", &[TLS, "EHLO c.test\r\n"]),
    ("tls mail", &[TLS, "EHLO c.test\r\n", MAIL]),
    ("logged in", &[TLS, "EHLO c.test\r\n", RIGHT]),
    (
        "chunks",
        &[TLS, "EHLO c.test\r\n", RIGHT, MAIL, RCPT, "BDAT 3\r\nabc"],
    ),
];

/// Each command with its reply in each state, where logins are offered.
const OFFERED: [(&str, [u16; 9]); 14] = [
    ("EHLO c.test\r\n", [250; 9]),
    ("STARTTLS\r\n", [503, 220, 503, 503, 503, 503, 503, 503, 503]),
    ("STARTTLS now\r\n", [501; 9]),
    (RIGHT, [503, 538, 503, 503, 503, 235, 503, 503, 503]),
    (
        "AUTH PLAIN AG1lAHdyb25n\r\n",
        [503, 538, 503, 503, 503, 535, 503, 503, 503],
    ),
    (
        "AUTH PLAIN AG1lAGxhdGVy\r\n",
        [503, 538, 503, 503, 503, 454, 503, 503, 503],
    ),
    ("AUTH PLAIN\r\n", [503, 538, 503, 503, 503, 334, 503, 503, 503]),
    ("auth login\r\n", [503, 538, 503, 503, 503, 334, 503, 503, 503]),
    ("AUTH CRAM-MD5\r\n", [503, 538, 503, 503, 503, 504, 503, 503, 503]),
    ("AUTH\r\n", [501; 9]),
    ("AUTH PLAIN a b\r\n", [501; 9]),
    (MAIL, [503, 250, 250, 503, 503, 250, 503, 250, 503]),
    (
        "MAIL FROM:<a@b.test> AUTH=<>\r\n",
        [503, 555, 555, 503, 503, 250, 503, 250, 503],
    ),
    (RCPT, [503, 503, 503, 250, 503, 503, 250, 503, 503]),
];

/// The same where mail needs a login: only there MAIL is answered otherwise.
const NEEDED: [(&str, [u16; 9]); 3] = [
    (MAIL, [503, 530, 530, 530, 503, 530, 530, 250, 503]),
    ("MAIL FROM:<>\r\n", [503, 530, 530, 530, 503, 530, 530, 250, 503]),
    (RCPT, [503, 503, 503, 503, 503, 503, 503, 503, 503]),
];

fn assert_answers(table: &[(&str, [u16; 9])], needs_login: bool) {
    for (command, codes) in table {
        for ((state, before), code) in STATES.iter().zip(codes) {
            let mut rig = Rig::secure(needs_login);
            for read in *before {
                rig.say(read);
            }
            assert_eq!(rig.codes(command), [*code], "{command:?} in {state}");
            assert!(!rig.closed, "{command:?} in {state}");
        }
    }
}

#[test]
fn server_states_answer_starttls_auth_and_mail() {
    assert_answers(&OFFERED, false);
}

#[test]
fn where_a_login_is_needed_nothing_is_taken_before_it() {
    assert_answers(&NEEDED, true);
    let mut rig = Rig::secure(true);
    let flight = format!("EHLO c.test\r\n{MAIL}{RCPT}DATA\r\nBDAT 2 LAST\r\nxx");
    assert_eq!(rig.codes(flight), [250, 530, 503, 503, 503]);
    assert!(rig.say(MAIL).starts_with("530 5.7.0 STARTTLS first"));
    rig.say("STARTTLS\r\n");
    assert!(
        rig.say(format!("EHLO c.test\r\n{MAIL}"))
            .ends_with("530 5.7.0 Log in first\r\n")
    );
}

#[test]
fn starttls_is_offered_until_tls_is_on_and_auth_only_then() {
    let mut rig = Rig::secure(false);
    let clear = rig.say("EHLO c.test\r\n");
    assert!(
        clear.contains("250 STARTTLS\r\n") && !clear.contains("AUTH"),
        "{clear}"
    );
    assert!(!rig.say("HELO c.test\r\n").contains("STARTTLS"));
    rig.say(TLS);
    let secured = rig.say("EHLO c.test\r\n");
    assert!(
        secured.contains("250 AUTH PLAIN LOGIN\r\n") && !secured.contains("STARTTLS"),
        "{secured}"
    );
    // Before the greeting, where TLS begins with the connection.
    let mut rig = Rig::secure(false);
    rig.server.secured();
    assert!(rig.say("EHLO c.test\r\n").contains("AUTH PLAIN LOGIN"));
}

#[test]
fn tls_forgets_what_was_said_before_it() {
    let mut rig = Rig::secure(false);
    rig.say("EHLO clear.test\r\n");
    assert_eq!(rig.codes("STARTTLS\r\n"), [220]);
    assert_eq!(rig.server.hello(), None);
    assert!(rig.server.is_encrypted());
    assert_eq!(rig.codes(MAIL), [503]);
}

#[test]
fn nothing_may_follow_starttls_before_the_handshake() {
    // CVE-2011-0411: what somebody on the way puts behind STARTTLS is not a command under TLS.
    for behind in ["M", "MAIL FROM:<evil@b.test>\r\n", "\r\n", "\u{16}\u{3}\u{1}"] {
        let mut rig = Rig::secure(false);
        rig.say("EHLO c.test\r\n");
        let said = rig.say(format!("STARTTLS\r\n{behind}"));
        assert!(
            said.starts_with("554 5.5.1 ") && said.lines().count() == 1,
            "{said}"
        );
        assert!(rig.closed && !rig.server.is_encrypted());
    }
    // RFC 3207 §4: it may be the last of a flight.
    let mut rig = Rig::secure(false);
    assert_eq!(rig.codes("EHLO c.test\r\nNOOP\r\nSTARTTLS\r\n"), [250, 250, 220]);
    // Where it is refused, nothing changes, and what follows is in clear as before.
    assert_eq!(rig.codes("STARTTLS\r\nNOOP\r\n"), [503, 250]);
}

#[test]
fn plain_and_login_lead_to_one_name_and_password() {
    let both = format!("{}\r\n", plain("|me|right"));
    for reads in [
        vec![format!("AUTH PLAIN {both}")],
        vec!["AUTH PLAIN\r\n".to_owned(), both.clone()],
        vec![format!("AUTH PLAIN {}\r\n", plain("me|me|right"))],
        vec!["AUTH LOGIN\r\n".into(), "bWU=\r\n".into(), "cmlnaHQ=\r\n".into()],
        vec!["AUTH LOGIN bWU=\r\n".into(), "cmlnaHQ=\r\n".into()],
        // Nobody waits for a challenge whose words are known.
        vec!["AUTH LOGIN\r\nbWU=\r\ncmlnaHQ=\r\n".to_owned()],
    ] {
        let mut rig = under_tls();
        let mut last = String::new();
        for read in &reads {
            last = rig.say(read);
        }
        assert!(last.ends_with("235 2.7.0 Welcome\r\n"), "{reads:?}: {last}");
        assert_eq!(rig.logins, ["me"]);
        assert!(rig.server.is_logged_in());
        assert_eq!(rig.codes(MAIL), [250]);
    }
    let mut rig = under_tls();
    assert_eq!(rig.say("AUTH PLAIN\r\n"), "334 \r\n");
    let mut rig = under_tls();
    for (line, asked) in [("AUTH LOGIN", "Username:"), ("bWU=", "Password:")] {
        let said = rig.say(format!("{line}\r\n"));
        let challenge = said
            .strip_prefix("334 ")
            .and_then(|rest| rest.strip_suffix("\r\n"));
        assert_eq!(challenge.and_then(decode), Some(asked.into()));
    }
}

#[test]
fn a_broken_exchange_is_over_and_a_star_cancels_it() {
    let responses = [
        ("*", "501 5.7.0"),
        ("", "501 5.5.2"),
        ("=", "501 5.5.2"),
        ("****", "501 5.5.2"),
        ("bWU", "501 5.5.2"),
        ("\u{e9}", "501 5.5.2"),
        ("/w==", "501 5.5.2"),
    ];
    for (response, reply) in responses {
        for before in ["AUTH PLAIN\r\n", "AUTH LOGIN\r\n", "AUTH LOGIN bWU=\r\n"] {
            let mut rig = under_tls();
            rig.say(before);
            let said = rig.say(format!("{response}\r\nNOOP\r\n"));
            assert!(said.starts_with(reply), "{response:?} to {before:?}: {said}");
            assert!(said.ends_with("\r\n250 2.0.0 Ok\r\n"), "{said}");
            assert!(rig.logins.is_empty() && !rig.server.is_logged_in());
        }
    }
}

#[test]
fn a_login_is_a_name_and_a_password_without_control_characters() {
    for text in [
        "me|right",
        "|me|",
        "||right",
        "|me|right|",
        "me",
        "|me\r\nRSET|right",
        "|me|ri\nght",
        "|m\u{7f}|x",
        "|me|\u{85}",
    ] {
        let mut rig = under_tls();
        let said = rig.say(format!("AUTH PLAIN {}\r\n", plain(text)));
        assert!(said.starts_with("501 5.5.2"), "{text:?}: {said}");
        assert!(rig.logins.is_empty(), "{text:?}");
    }
    for (name, password) in [
        ("m\0e", "right"),
        ("me", "ri\0ght"),
        ("me\r\n", "x"),
        ("me", "x\r"),
    ] {
        let mut rig = under_tls();
        let name = format!("AUTH LOGIN {}\r\n", encode(name.as_bytes()));
        let codes = rig.codes(name + &encode(password.as_bytes()) + "\r\n");
        assert!(codes.contains(&501), "{codes:?}");
        assert!(rig.logins.is_empty());
    }
}

#[test]
fn nobody_acts_for_another() {
    let mut rig = under_tls();
    let said = rig.say(format!("AUTH PLAIN {}\r\n", plain("boss|me|right")));
    assert_eq!(said, "535 5.7.8 Name or password is wrong\r\n");
    assert!(rig.logins.is_empty() && !rig.server.is_logged_in());
}

#[test]
fn a_session_ends_after_some_refusals() {
    let mut rig = under_tls();
    for _ in 1..LOGINS_REFUSED_MAX {
        assert_eq!(rig.codes("AUTH PLAIN AG1lAHdyb25n\r\n"), [535]);
    }
    // Neither what cannot be told nor a cancelled one counts.
    assert_eq!(
        rig.codes("AUTH PLAIN AG1lAGxhdGVy\r\nAUTH PLAIN\r\n*\r\n"),
        [454, 334, 501]
    );
    let said = rig.say("AUTH PLAIN AG1lAHdyb25n\r\nNOOP\r\n");
    assert_eq!(
        said,
        "535 5.7.8 Name or password is wrong\r\n421 4.7.0 Too many refused logins\r\n"
    );
    assert!(rig.closed);
}

#[test]
fn no_number_of_wrong_passwords_wears_the_machine_out() {
    let mut tries = 0;
    while tries < 100_000 {
        let mut rig = under_tls();
        let flight = "AUTH PLAIN AG1lAHdyb25n\r\n".repeat(100);
        rig.say(flight);
        assert!(rig.closed && !rig.server.is_logged_in());
        assert_eq!(rig.logins.len(), LOGINS_REFUSED_MAX as usize);
        assert!(rig.output.len() < 1000);
        tries += 100;
    }
}

#[test]
fn an_overlong_response_ends_the_exchange_and_not_the_session() {
    for before in ["AUTH PLAIN\r\n", "AUTH LOGIN\r\n", "AUTH LOGIN bWU=\r\n"] {
        let mut rig = under_tls();
        rig.say(before);
        assert_eq!(rig.say("A".repeat(AUTH_LINE_MAX)), "");
        assert_eq!(
            rig.say("A".repeat(AUTH_LINE_MAX) + "\r\nNOOP\r\n"),
            "500 5.5.6 Line too long\r\n250 2.0.0 Ok\r\n"
        );
        let mut rig = under_tls();
        rig.say(before);
        rig.say("A".repeat(1 << 20));
        assert!(rig.closed && rig.output.ends_with(b"500 5.5.6 Line too long\r\n"));
        assert!(rig.input.len() <= 1 << 20);
    }
    // As long as it may be.
    let mut rig = under_tls();
    rig.say("AUTH PLAIN\r\n");
    let long = encode(format!("\0me\0{}", "x".repeat(9_000)).as_bytes());
    assert_eq!(rig.codes(long + "\r\n"), [535]);
    // A command line is no place for that.
    let mut rig = under_tls();
    assert_eq!(rig.codes(format!("AUTH PLAIN {}\r\n", "A".repeat(5000))), [500]);
    assert!(!rig.closed);
}

#[test]
fn a_bare_newline_in_a_response_ends_the_session() {
    for response in ["AG1lAHJpZ2h0\n", "AG1l\rAHJpZ2h0\r\n", "AG1lAHJpZ2h0\rNOOP\r\n"] {
        let mut rig = under_tls();
        rig.say("AUTH PLAIN\r\n");
        assert!(
            rig.say(response).starts_with("500 5.5.2 Bare CR or LF"),
            "{response:?}"
        );
        assert!(rig.closed && rig.logins.is_empty());
    }
}

#[test]
fn no_password_is_in_debug() {
    let mut rig = under_tls();
    rig.say("AUTH LOGIN bWU=\r\n");
    assert!(format!("{:?}", rig.server).contains("Password"));
    rig.input.extend_from_slice(b"aHVudGVyMg==\r\n");
    let event = rig.server.next(&mut rig.input, &mut BytesMut::new());
    let shown = format!("{event:?} {:?}", rig.server);
    assert!(matches!(event, Event::Login(_)), "{shown}");
    let initial = super::super::command::parse(b"AUTH PLAIN AG1lAGh1bnRlcjI=\r\n");
    let shown = format!("{shown} {initial:?}");
    for secret in ["hunter2", "aHVudGVyMg==", "AG1lAGh1bnRlcjI="] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn replies_do_not_depend_on_how_a_login_is_cut() {
    let wire = "EHLO c.test\r\nAUTH LOGIN\r\nbWU=\r\nd3Jvbmc=\r\nAUTH PLAIN\r\nAG1lAHJpZ2h0\r\n\
                MAIL FROM:<a@b.test> AUTH=<>\r\nRSET\r\nQUIT\r\n";
    let mut whole = Rig::secure(true);
    whole.server.secured();
    whole.say(wire);
    for step in 1..20 {
        let mut rig = Rig::secure(true);
        rig.server.secured();
        for piece in wire.as_bytes().chunks(step) {
            rig.say(piece);
        }
        assert_eq!(rig.output, whole.output);
        assert!(rig.closed);
    }
}
