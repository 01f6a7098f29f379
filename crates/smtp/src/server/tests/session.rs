//! Sessions as clients hold them: extensions, limits, several messages.

use super::*;

#[test]
fn ehlo_announces_what_is_there() {
    let mut rig = Rig::new(BareNewline::Reject);
    let reply = rig.say("EHLO c.test\r\n");
    for line in [
        "250-mx.test",
        "250-PIPELINING",
        "250-SIZE 1000",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-ENHANCEDSTATUSCODES",
        "250-CHUNKING",
        "250-DSN",
        "250-HELP",
        "250 LIMITS RCPTMAX=3",
    ] {
        assert!(reply.lines().any(|l| l == line), "{line} in {reply}");
    }
    assert_eq!(rig.say("HELO c.test\r\n"), "250 mx.test\r\n");
}

#[test]
fn helo_is_enough_for_mail() {
    let mut rig = Rig::new(BareNewline::Reject);
    rig.say("HELO old client(x)\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n");
    assert_eq!(rig.codes("x\r\n.\r\n"), [250]);
    assert_eq!(rig.server.hello().map(|hello| hello.name.as_str()), Some("old"));
}

#[test]
fn names_of_clients_are_fit_for_a_header() {
    let mut rig = Rig::new(BareNewline::Reject);
    rig.say("EHLO a(b)<c>;\"d\\\u{e9}\r\n");
    assert_eq!(
        rig.server.hello().map(|hello| hello.name.as_str()),
        Some("a?b??c???d??")
    );
}

#[test]
fn messages_follow_each_other_without_a_cap() {
    let mut rig = Rig::new(BareNewline::Reject);
    rig.say("EHLO c.test\r\n");
    for _ in 0..2000 {
        let flight = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n";
        assert_eq!(rig.codes(flight), [250, 250, 354]);
        assert_eq!(rig.codes("x\r\n.\r\nRSET\r\n"), [250, 250]);
    }
    assert_eq!(rig.messages.len(), 2000);
}

#[test]
fn too_many_recipients_are_put_off_and_the_others_served() {
    let mut rig = Rig::in_transaction(BareNewline::Reject);
    let flight = "RCPT TO:<c@d.test>\r\n".repeat(100) + "DATA\r\n";
    let codes = rig.codes(flight);
    assert_eq!(codes[..3], [250, 250, 452]);
    assert_eq!(codes[100], 354);
    assert!(!rig.closed);
}

#[test]
fn too_large_content_is_read_to_its_end_and_refused() {
    let mut rig = Rig::in_transaction(BareNewline::Reject);
    rig.say("DATA\r\n");
    assert_eq!(rig.say("x".repeat(1200)), "");
    assert_eq!(
        rig.say("\r\n.\r\nNOOP\r\n"),
        "552 5.3.4 Message too large\r\n250 2.0.0 Ok\r\n"
    );
    assert!(rig.messages.is_empty());
    // What is exactly the limit is taken.
    rig.say("MAIL FROM:<> SIZE=1000\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
    assert_eq!(rig.codes("x".repeat(998) + "\r\n.\r\n"), [250]);
    assert_eq!(rig.messages[0].len(), 1000);
}

#[test]
fn a_chunk_that_is_too_large_is_refused_and_passed_over() {
    let mut rig = Rig::in_transaction(BareNewline::Reject);
    assert_eq!(rig.codes("BDAT 600\r\n".to_owned() + &"x".repeat(600)), [250]);
    assert_eq!(
        rig.codes("BDAT 600\r\n".to_owned() + &"QUIT\r\n".repeat(100)),
        [552]
    );
    assert_eq!(rig.codes("BDAT 6 LAST\r\nQUIT\r\n"), [552]);
    assert_eq!(rig.codes("MAIL FROM:<>\r\n"), [250]);
    assert!(rig.messages.is_empty());
}

#[test]
fn chunks_are_one_message() {
    let mut rig = Rig::in_transaction(BareNewline::Reject);
    assert_eq!(
        rig.say("BDAT 4\r\na\r\n.BDAT 3\r\n\r\n\rBDAT 3 LAST\r\n\nbc"),
        "250 2.0.0 4 octets taken\r\n250 2.0.0 3 octets taken\r\n250 2.0.0 Ok: queued\r\n"
    );
    assert_eq!(rig.messages, [b"a\r\n.\r\n\r\nbc\r\n"]);
}

#[test]
fn a_client_that_errs_on_and_on_is_cut_off() {
    let mut rig = Rig::new(BareNewline::Reject);
    let replies = rig.say("WHAT\r\n".repeat(100));
    assert!(rig.closed);
    assert_eq!(replies.lines().count(), 22);
    assert!(replies.ends_with("421 4.7.0 Too many errors\r\n"));
}

#[test]
fn a_client_that_only_chats_is_cut_off() {
    let mut rig = Rig::new(BareNewline::Reject);
    rig.say("EHLO c.test\r\n");
    rig.say("NOOP\r\n".repeat(2000));
    assert!(rig.closed);
    assert!(
        rig.output
            .ends_with(b"421 4.7.0 Too many commands without mail\r\n")
    );
}

#[test]
fn a_transaction_inherits_nothing() {
    let mut rig = Rig::new(BareNewline::Reject);
    rig.say("EHLO c.test\r\nMAIL FROM:<a@b.test> SMTPUTF8\r\n");
    assert_eq!(rig.codes("RCPT TO:<jürgen@d.test>\r\nRSET\r\n"), [250, 250]);
    assert_eq!(
        rig.codes("MAIL FROM:<a@b.test>\r\nRCPT TO:<jürgen@d.test>\r\n"),
        [250, 553]
    );
    // RFC 3030: whoever sends messages as flights needs no RSET behind a refused one.
    assert_eq!(
        rig.codes("BDAT 2 LAST\r\nxxMAIL FROM:<b@b.test>\r\nDATA\r\n"),
        [554, 250, 554]
    );
}

#[test]
fn the_shells_refusal_waits_for_the_end_of_the_content() {
    let mut rig = Rig::in_transaction(BareNewline::Reject);
    rig.say("DATA\r\nhello\r\n");
    rig.server.fail_content(Answer::new(452, "4.3.1", "Disk full"));
    assert_eq!(rig.say("more\r\n"), "");
    assert_eq!(rig.say(".\r\n"), "452 4.3.1 Disk full\r\n");
    assert_eq!(rig.codes("MAIL FROM:<>\r\n"), [250]);
}
