//! Every command in every state.

use super::*;

/// The states, each with what leads there.
const STATES: [(&str, &str); 7] = [
    ("start", ""),
    ("ready", "EHLO c.test\r\n"),
    ("mail", "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n"),
    (
        "no rcpt",
        "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<no@d.test>\r\n",
    ),
    (
        "rcpt",
        "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n",
    ),
    (
        "chunks",
        "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 3\r\nabc",
    ),
    (
        "bad chunks",
        "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 1001\r\n",
    ),
];

/// Each command with its reply in each state.
const TABLE: [(&str, [u16; 7]); 25] = [
    ("EHLO c.test\r\n", [250; 7]),
    ("HELO c.test\r\n", [250; 7]),
    ("MAIL FROM:<a@b.test>\r\n", [503, 250, 503, 503, 503, 503, 503]),
    ("MAIL FROM:<>\r\n", [503, 250, 503, 503, 503, 503, 503]),
    (
        "MAIL FROM:<a@b.test> SIZE=1001\r\n",
        [503, 552, 503, 503, 503, 503, 503],
    ),
    ("RCPT TO:<c@d.test>\r\n", [503, 503, 250, 250, 250, 503, 503]),
    ("RCPT TO:<postmaster>\r\n", [503, 503, 250, 250, 250, 503, 503]),
    ("RCPT TO:<no@d.test>\r\n", [503, 503, 550, 550, 550, 503, 503]),
    ("RCPT TO:<>\r\n", [501; 7]),
    (
        "RCPT TO:<j\u{fc}@d.test>\r\n",
        [503, 503, 553, 553, 553, 503, 503],
    ),
    ("DATA\r\n", [503, 503, 554, 554, 354, 503, 503]),
    ("BDAT 0\r\n", [503, 503, 554, 554, 250, 250, 552]),
    ("BDAT 0 LAST\r\n", [503, 503, 554, 554, 250, 250, 552]),
    ("BDAT 5 LAST\r\nNOOP\n", [503, 503, 554, 554, 250, 250, 552]),
    ("RSET\r\n", [250; 7]),
    ("NOOP\r\n", [250; 7]),
    ("VRFY c\r\n", [252; 7]),
    ("EXPN list\r\n", [502; 7]),
    ("HELP\r\n", [214; 7]),
    ("QUIT\r\n", [221; 7]),
    ("STARTTLS\r\n", [502; 7]),
    ("AUTH PLAIN AGEAYg==\r\n", [502; 7]),
    ("WHAT\r\n", [500; 7]),
    ("BDAT many\r\n", [501; 7]),
    ("NOOP\n", [500; 7]),
];

#[test]
fn server_states_answer_every_command() {
    for (command, codes) in TABLE {
        for ((state, before), code) in STATES.iter().zip(codes) {
            let mut rig = Rig::new(BareNewline::Normalize);
            rig.say(before);
            if *state == "bad chunks" {
                rig.say(vec![b'x'; 1001]);
            }
            assert_eq!(rig.codes(command), [code], "{command:?} in {state}");
            let closes = code == 221 || command == "NOOP\n" || command == "BDAT many\r\n";
            assert_eq!(rig.closed, closes, "{command:?} in {state}");
        }
    }
}

#[test]
fn after_every_command_in_every_state_a_reset_leads_to_the_next_message() {
    let message = "RSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n";
    for (command, _) in TABLE {
        for (state, before) in STATES {
            let mut rig = Rig::new(BareNewline::Normalize);
            rig.say(before);
            if state == "bad chunks" {
                rig.say(vec![b'x'; 1001]);
            }
            rig.say(command);
            if rig.closed {
                continue;
            }
            if rig.output.ends_with(b"End with CRLF.CRLF\r\n") {
                rig.say(".\r\n");
            }
            rig.messages.clear();
            rig.say("EHLO c.test\r\n");
            assert_eq!(rig.codes(message), [250, 250, 250, 354], "{command:?} in {state}");
            assert_eq!(rig.codes("x\r\n.\r\n"), [250]);
            assert_eq!(rig.messages, [b"x\r\n"], "{command:?} in {state}");
        }
    }
}

#[test]
fn a_flight_costs_one_write() {
    let mut rig = Rig::new(BareNewline::Reject);
    rig.say("EHLO c.test\r\n");
    let before = rig.writes;
    let flight = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<no@d.test>\r\nBDAT 3 LAST\r\nabc";
    assert_eq!(rig.codes(flight), [250, 250, 550, 250]);
    assert_eq!(rig.codes([flight; 4].concat()).len(), 16);
    assert_eq!(rig.writes - before, 2);
    assert_eq!(rig.messages.len(), 5);
}

#[test]
fn replies_do_not_depend_on_how_the_input_is_cut() {
    let wire = "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n\r\n..\r\n.\r\n\
                MAIL FROM:<a@b.test>\r\nRCPT TO:<no@d.test>\r\nBDAT 6 LAST\r\nQUIT\r\nBDAT 2\r\nxxNOOP x\r\nQUIT\r\n";
    let mut whole = Rig::new(BareNewline::Reject);
    whole.say(wire);
    for step in 1..20 {
        let mut rig = Rig::new(BareNewline::Reject);
        for piece in wire.as_bytes().chunks(step) {
            rig.say(piece);
        }
        assert_eq!(
            rig.output.escape_ascii().to_string(),
            whole.output.escape_ascii().to_string()
        );
        assert_eq!(rig.messages, whole.messages);
        assert!(rig.closed);
    }
}
