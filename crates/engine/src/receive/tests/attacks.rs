//! Hostile clients, from their octets to what lies in the spool.

use super::*;

/// Where another server sees the end of a message, and what becomes of it when newlines are normalised.
const ENDS: [(&str, &str); 12] = [
    ("\n.\n", "\r\n.\r\n"),
    ("\n.\r\n", "\r\n.\r\n"),
    ("\r\n.\n", "\r\n\r\n"),
    ("\r.\r", "\r\n.\r\n"),
    ("\r.\r\n", "\r\n.\r\n"),
    ("\r\n.\r", "\r\n\r\n"),
    ("\r\n.\r\r\n", "\r\n\r\n\r\n"),
    ("\r\r\n.\r\r\n", "\r\n\r\n\r\n\r\n"),
    ("\n\r.\n\r", "\r\n\r\n.\r\n\r\n"),
    ("\r\n\0.\r\n", "\r\n\0.\r\n"),
    ("\n\0.\n", "\r\n\0.\r\n"),
    ("\r\n.\0\r\n", "\r\n\0\r\n"),
];

const SMUGGLED: &str = "MAIL FROM:<e@b.test>\r\nRCPT TO:<v@accepted.test>\r\nDATA\r\nSubject: smuggled\r\n";
const HEADER: &str = "Date: d\r\nMessage-ID: <m>\r\n\r\n";

fn has_bare(text: &str) -> bool {
    text.replace("\r\n", "").contains(['\r', '\n'])
}

#[tokio::test(start_paused = true)]
async fn no_message_is_smuggled_into_the_spool_by_data() {
    for (end, stored) in ENDS {
        for ip in [RELAY, STRANGER] {
            let rig = Rig::new(settings());
            let mut client = rig.connect(ip).await;
            client.codes(START, 3).await;
            let code = client.code_of_data(&format!("{HEADER}b{end}{SMUGGLED}")).await;
            let refused = ip == STRANGER && has_bare(end);
            assert_eq!(code, if refused { 550 } else { 250 }, "{end:?} from {ip}");
            let whole = format!("{HEADER}b{stored}{SMUGGLED}\r\n");
            let expected = if refused { vec![] } else { vec![whole] };
            assert_eq!(rig.stored().await, expected, "{end:?} from {ip}");
            assert_eq!(client.codes("QUIT\r\n", 1).await, [221]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_is_smuggled_through_the_spool_by_bdat() {
    for (end, _) in ENDS.into_iter().chain([("\r\n.\r\n", "")]) {
        for ip in [RELAY, STRANGER] {
            let rig = Rig::new(settings());
            let mut client = rig.connect(ip).await;
            client.codes(START, 3).await;
            let content = format!("{HEADER}b{end}{SMUGGLED}");
            let (first, last) = content.split_at(HEADER.len() + 2);
            let wire = format!(
                "BDAT {}\r\n{first}BDAT {} LAST\r\n{last}",
                first.len(),
                last.len()
            );
            let code = client.codes(wire, 2).await[1];
            let refused = ip == STRANGER && has_bare(end);
            assert_eq!(code, if refused { 550 } else { 250 }, "{end:?} from {ip}");
            // Line ends are sound, so the sender's dot-stuffing sees every line that there is.
            let normal = content
                .replace("\r\n", "\n")
                .replace('\r', "\n")
                .replace('\n', "\r\n");
            let expected = if refused { vec![] } else { vec![normal] };
            assert_eq!(rig.stored().await, expected, "{end:?} from {ip}");
            assert_eq!(client.codes("QUIT\r\n", 1).await, [221]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_at_any_octet_leaves_nothing_behind() {
    let rig = Rig::new(settings());
    let wires = [
        format!("{START}DATA\r\nx\r\n.\r\n"),
        format!("{START}BDAT 3\r\nx\r\nBDAT 1 LAST\r\ny"),
    ];
    for wire in wires {
        for end in 0..wire.len() {
            let mut client = rig.connect(RELAY).await;
            client.send(&wire[..end]).await;
            drop(client.stream);
            client.session.await.unwrap();
            assert!(rig.queued.lock().unwrap().is_empty(), "{:?}", &wire[..end]);
        }
        // A message that came whole is kept, though nobody hears the 250.
        let mut client = rig.connect(RELAY).await;
        client.send(&wire).await;
        drop(client.stream);
        client.session.await.unwrap();
        assert_eq!(rig.queued.lock().unwrap().drain(..).count(), 1);
    }
    assert_eq!(rig.shared.metrics.sessions.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_refused_content_is_no_message() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(STRANGER).await;
    client
        .codes("EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<c@other.test>\r\n", 3)
        .await;
    client
        .send(format!("DATA\r\n{}.\r\nQUIT\r\n", "Subject: x\r\n".repeat(50)))
        .await;
    let replies = client.rest().await;
    assert!(replies.starts_with("554 5.5.1") && replies.ends_with("421 4.7.0 Too many errors\r\n"));
    assert!(rig.queued.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn newlines_in_commands_are_answered_before_the_close() {
    let rig = Rig::new(settings());
    for line in ["NOOP\n", "MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\r\nQUIT\r\n"] {
        let mut client = rig.connect(RELAY).await;
        client.send(line).await;
        assert_eq!(
            client.rest().await,
            "500 5.5.2 Bare CR or LF; commands end with CRLF\r\n"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_a_client_says_becomes_a_header_line() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(RELAY).await;
    let hello =
        "EHLO x(\u{e9})<evil>;\"\\\r\nMAIL FROM:<>\r\nRCPT TO:<\"a;\\\"b\"@d.test>\r\nBDAT 1 LAST\r\nx";
    assert_eq!(client.codes(hello, 4).await, [250; 4]);
    let id = rig.queued.lock().unwrap()[0].message;
    let content = rig.content(id).await;
    let first = content.lines().next().unwrap();
    assert_eq!(first, "Received: from x????evil???? ([127.0.0.1])");
    assert_eq!(content.matches("Received").count(), 1);
}
