//! Hostile input: smuggling, injection, oversize, half commands.

use super::*;

/// What a smuggler puts where another server sees the end of the message, and what it is stored as
/// when it comes by DATA from a client whose newlines are normalised.
const ENDS: [(&str, &str); 19] = [
    ("\n.\n", "\r\n.\r\n"),
    ("\n.\r\n", "\r\n.\r\n"),
    ("\r\n.\n", "\r\n\r\n"),
    ("\r.\r", "\r\n.\r\n"),
    ("\r.\r\n", "\r\n.\r\n"),
    ("\r\n.\r", "\r\n\r\n"),
    ("\r\n.\r\r\n", "\r\n\r\n\r\n"),
    ("\r\r\n.\r\r\n", "\r\n\r\n\r\n\r\n"),
    ("\n.\r", "\r\n.\r\n"),
    ("\r.\n", "\r\n.\r\n"),
    ("\n\r.\n\r", "\r\n\r\n.\r\n\r\n"),
    ("\r\n\0.\r\n", "\r\n\0.\r\n"),
    ("\r\n.\0\r\n", "\r\n\0\r\n"),
    ("\r\0\n.\r\0\n", "\r\n\0\r\n.\r\n\0\r\n"),
    ("\n\0.\n", "\r\n\0.\r\n"),
    ("\r\n .\r\n", "\r\n .\r\n"),
    ("\r\n. \r\n", "\r\n \r\n"),
    ("\r\n..\r\n", "\r\n.\r\n"),
    ("\u{85}.\u{85}", "\u{85}.\u{85}"),
];

const SMUGGLED: &str = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\nSubject: smuggled\r\n";

fn has_bare(text: &str) -> bool {
    text.replace("\r\n", "").contains(['\r', '\n'])
}

#[test]
fn no_message_is_smuggled_by_data() {
    for (end, stored) in ENDS {
        for (policy, step) in [
            (BareNewline::Normalize, 1),
            (BareNewline::Normalize, 4096),
            (BareNewline::Reject, 1),
            (BareNewline::Reject, 4096),
        ] {
            let mut rig = Rig::in_transaction(policy);
            rig.say("DATA\r\n");
            rig.recipients.clear();
            let wire = format!("Subject: a\r\n\r\nb{end}{SMUGGLED}\r\n.\r\n");
            let mut codes = Vec::new();
            for piece in wire.as_bytes().chunks(step) {
                codes.extend(rig.codes(piece));
            }
            let refused = policy == BareNewline::Reject && has_bare(end);
            assert_eq!(codes, [if refused { 550 } else { 250 }], "{end:?} {policy:?}");
            assert!(rig.recipients.is_empty(), "{end:?}");
            let whole = format!("Subject: a\r\n\r\nb{stored}{SMUGGLED}\r\n").into_bytes();
            let expected = if refused { vec![] } else { vec![whole] };
            assert_eq!(rig.messages, expected, "{end:?} {policy:?}");
        }
    }
}

#[test]
fn no_message_is_smuggled_by_bdat() {
    for (end, _) in ENDS.into_iter().chain([("\r\n.\r\n", "")]) {
        for policy in [BareNewline::Normalize, BareNewline::Reject] {
            for cut in 0..=end.len() {
                let mut rig = Rig::in_transaction(policy);
                rig.recipients.clear();
                let content = format!("Subject: a\r\n\r\nb{end}{SMUGGLED}");
                // The cut between two chunks goes through the end's octets.
                let (first, last) = content.as_bytes().split_at(16 + cut);
                let mut wire = format!("BDAT {}\r\n", first.len()).into_bytes();
                wire.extend(first);
                wire.extend(format!("BDAT {} LAST\r\n", last.len()).bytes());
                wire.extend(last);
                let codes = rig.codes(&wire);
                let refused = policy == BareNewline::Reject && has_bare(end);
                assert_eq!(codes.last(), Some(&if refused { 550 } else { 250 }), "{end:?}");
                assert!(rig.recipients.is_empty() && !rig.closed);
                let expected = if refused { vec![] } else { vec![normal(&content)] };
                assert_eq!(rig.messages, expected, "{end:?} {policy:?}");
            }
        }
    }
}

/// A naive normalisation, for comparison.
fn normal(text: &str) -> Vec<u8> {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    lines.replace('\n', "\r\n").into_bytes()
}

#[test]
fn newlines_in_commands_end_the_session() {
    for line in [
        "MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\r\n",
        "MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\r\n",
        "MAIL FROM:<a@b.test>\r\r\n",
        "MAIL FROM:<\"a\r\n",
        "NOOP\n",
        "\n",
        "NOOP\r\0\n",
        "BDAT 3\nabc",
        "DATA\n",
    ] {
        let mut rig = Rig::new(BareNewline::Normalize);
        rig.say("EHLO c.test\r\n");
        let codes = rig.codes(line);
        if line == "MAIL FROM:<\"a\r\n" {
            assert_eq!(codes, [501], "{line:?}");
        } else {
            assert_eq!(codes, [500], "{line:?}");
            assert!(rig.closed, "{line:?}");
        }
    }
}

#[test]
fn controls_and_foreign_octets_are_refused() {
    let mut rig = Rig::new(BareNewline::Normalize);
    rig.say("EHLO c.test\r\n");
    for line in [
        &b"MAIL FROM:<a\0@b.test>\r\n"[..],
        b"MAIL FROM:<a@b.test> ENVID=a\0b\r\n",
        b"MAIL FROM:<a\x1b[2J@b.test>\r\n",
        b"MAIL FROM:<a@b.test> ENVID=+0D+0ARCPT\r\n",
        b"MAIL FROM:<\xff\xfe@b.test>\r\n",
        b"NOOP\0\r\n",
        b"\0\0\0\r\n",
    ] {
        let codes = rig.codes(line);
        assert!(
            matches!(codes[..], [500 | 501]),
            "{} {codes:?}",
            line.escape_ascii()
        );
    }
    assert!(!rig.closed);
}

#[test]
fn overlong_lines_are_refused_and_the_session_goes_on() {
    let mut rig = Rig::new(BareNewline::Normalize);
    let line = format!("NOOP {}\r\n", "x".repeat(10_000));
    assert_eq!(rig.codes(format!("{line}NOOP\r\n")), [500, 250]);
    for piece in line.as_bytes().chunks(100) {
        rig.say(piece);
        assert!(rig.input.len() <= 4096);
    }
    assert_eq!(rig.codes("NOOP\r\n"), [250]);
    assert_eq!(rig.codes(format!("{}\n", "x".repeat(5000))), [500]);
    assert!(rig.closed);
}

#[test]
fn a_line_without_end_ends_the_session() {
    let mut rig = Rig::new(BareNewline::Normalize);
    for _ in 0..100 {
        rig.say([b'x'; 1000]);
    }
    assert!(rig.closed);
    assert!(rig.output.starts_with(b"500 5.5.2"));
}

#[test]
fn garbage_behind_a_refused_data_is_read_as_commands_and_ends_soon() {
    let mut rig = Rig::new(BareNewline::Normalize);
    rig.say("EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<no@d.test>\r\n");
    let body = "Subject: x\r\n".repeat(50);
    let codes = rig.codes(format!("DATA\r\n{body}.\r\nQUIT\r\n"));
    assert_eq!(codes[..2], [554, 500]);
    assert_eq!(codes.last(), Some(&421));
    assert!(rig.closed && rig.messages.is_empty());
}

#[test]
fn octets_of_a_refused_chunk_are_never_commands() {
    for before in ["", "EHLO c.test\r\n", "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n"] {
        let mut rig = Rig::new(BareNewline::Normalize);
        rig.say(before);
        let codes = rig.codes("BDAT 24 LAST\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nNOOP\r\n");
        assert_eq!(codes[1..], [250], "{before:?}");
        assert!(!rig.closed);
    }
}

#[test]
fn absurd_chunks_end_the_session() {
    for size in ["2097152", "9223372036854775807", "18446744073709551615"] {
        for before in ["", "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"] {
            let mut rig = Rig::new(BareNewline::Normalize);
            rig.say("EHLO c.test\r\n");
            rig.say(before);
            assert_eq!(rig.codes(format!("BDAT {size} LAST\r\nx")), [552]);
            assert!(rig.closed);
        }
    }
}

#[test]
fn content_without_end_ends_the_session_and_is_not_kept() {
    let mut rig = Rig::in_transaction(BareNewline::Normalize);
    rig.say("DATA\r\n");
    let mut sent = 0;
    while !rig.closed {
        rig.say([b'x'; 4096]);
        sent += 4096;
        assert!(sent < 2_000_000);
    }
    assert!(rig.output.ends_with(b"552 5.3.4 Message too large\r\n"));
    assert!(rig.messages.is_empty());
}

#[test]
fn a_million_recipients_cost_no_memory() {
    let mut rig = Rig::in_transaction(BareNewline::Normalize);
    let flight = "RCPT TO:<c@d.test>\r\n".repeat(500);
    for _ in 0..2000 {
        rig.say(&flight);
        rig.output.clear();
    }
    assert!(!rig.closed);
    assert_eq!(rig.recipients.len(), 3);
    assert!(rig.input.capacity() < 64 * 1024);
}

#[test]
fn a_half_command_does_nothing() {
    let wire = "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n";
    for end in 0..wire.len() {
        let mut rig = Rig::new(BareNewline::Reject);
        rig.say(&wire[..end]);
        assert!(rig.messages.is_empty());
        let whole_lines = wire[..end.min(wire.len() - 6)].matches("\r\n").count();
        let replies = String::from_utf8_lossy(&rig.output).into_owned();
        let answered = replies.lines().filter(|line| line.as_bytes()[3] == b' ').count();
        assert_eq!(answered, whole_lines.min(4), "{:?}", &wire[..end]);
    }
}
