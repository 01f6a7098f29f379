//! Messages as clients send them.

use super::*;
use remuda_mail::{Destination, Notify, Return};

#[tokio::test(start_paused = true)]
async fn a_message_is_stored_with_its_trace_and_scheduled_behind_its_commit() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(RELAY).await;
    let start = "EHLO c.test\r\nMAIL FROM:<a@b.test> SIZE=30 RET=HDRS ENVID=x+2By\r\n\
                 RCPT TO:<c@d.test> NOTIFY=NEVER\r\nDATA\r\n";
    assert_eq!(client.codes(start, 4).await, [250, 250, 250, 354]);
    assert!(rig.queued.lock().unwrap().is_empty());
    let reply = client
        .last("Date: d\r\nMessage-ID: <m>\r\n\r\n..\r\n.\r\n", 1)
        .await;
    let queued = rig.queued.lock().unwrap().clone();
    assert_eq!(queued.len(), 1);
    let id = queued[0].message;
    assert_eq!(reply, format!("250 2.0.0 Ok: queued as {id}\r\n"));
    assert_eq!(queued[0].destination, Destination::from_key("d.test"));
    assert_eq!(queued[0].recipients[0].recipient.notify, Some(Notify::NEVER));
    assert_eq!(queued[0].envelope.ret, Some(Return::Headers));
    assert_eq!(queued[0].envelope.envid.as_deref(), Some("x+y"));
    let content = rig.content(id).await;
    let trace = format!(
        "Received: from c.test ([127.0.0.1])\r\n\tby mx.test (Remuda) with ESMTP id {id}\r\n\tfor <c@d.test>;\r\n\t"
    );
    assert!(content.starts_with(&trace), "{content}");
    assert!(
        content.ends_with("\r\nDate: d\r\nMessage-ID: <m>\r\n\r\n.\r\n"),
        "{content}"
    );
    assert_eq!(queued[0].size, content.len() as u64);
    assert_eq!(
        (rig.shared.metrics.messages.get(), rig.shared.metrics.bytes.get()),
        (1, queued[0].size)
    );
    let shown = rig.spool.show(id).await.unwrap().unwrap();
    assert_eq!(
        (shown.origin.client.as_str(), shown.origin.protocol.as_str()),
        (RELAY, "ESMTP")
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_reach_the_postmaster_and_accepting_routes_only() {
    let rig = Rig::new(settings());
    for (ip, to, reply) in [
        (STRANGER, "postmaster", "250 2.1.5"),
        (STRANGER, "Postmaster@mx.test", "250 2.1.5"),
        (STRANGER, "POSTMASTER", "250 2.1.5"),
        (STRANGER, "x@accepted.test", "250 2.1.5"),
        (STRANGER, "x@sub.accepted.test", "554 5.7.1"),
        (STRANGER, "x@other.test", "554 5.7.1"),
        (STRANGER, "postmaster@other.test", "554 5.7.1"),
        (STRANGER, "x@mx.test", "550 5.1.1"),
        (STRANGER, "x@[192.0.2.1]", "554 5.7.1"),
        (RELAY, "x@other.test", "250 2.1.5"),
        (RELAY, "x@[192.0.2.1]", "250 2.1.5"),
        (RELAY, "x@mx.test", "550 5.1.1"),
        ("::ffff:127.0.0.1", "x@other.test", "250 2.1.5"),
        ("::1", "x@other.test", "554 5.7.1"),
    ] {
        let mut client = rig.connect(ip).await;
        let line = format!("EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<{to}>\r\n");
        let answer = client.last(line, 3).await;
        assert!(answer.starts_with(reply), "{ip} {to}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_postmasters_mail_stays_here_or_goes_where_the_settings_say() {
    let message = "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<PostMaster>\r\nBDAT 1 LAST\r\nx";
    let rig = Rig::new(settings());
    assert_eq!(rig.connect(STRANGER).await.codes(message, 4).await[3], 250);
    assert_eq!(rig.queued.lock().unwrap()[0].destination.as_str(), "local");
    let rig = Rig::new(Settings {
        postmaster: Some("admin@other.test".parse().unwrap()),
        ..settings()
    });
    assert_eq!(rig.connect(STRANGER).await.codes(message, 4).await[3], 250);
    let queued = rig.queued.lock().unwrap()[0].clone();
    assert_eq!(queued.destination.as_str(), "other.test");
    let recipient = &queued.recipients[0].recipient;
    assert_eq!(recipient.address.as_str(), "admin@other.test");
    assert_eq!(recipient.original.as_deref(), Some("postmaster"));
}

#[tokio::test(start_paused = true)]
async fn date_and_message_id_are_added_for_our_own_clients_only() {
    let rig = Rig::new(settings());
    for ip in [RELAY, STRANGER] {
        let mut client = rig.connect(ip).await;
        client.codes(START, 3).await;
        assert_eq!(
            client.codes("BDAT 17 LAST\r\nSubject: s\r\n\r\nb\r\n", 1).await,
            [250]
        );
    }
    let stored = rig.stored().await;
    assert!(stored[0].starts_with("Subject: s\r\nDate: "), "{}", stored[0]);
    assert!(stored[0].contains("\r\nMessage-ID: <") && stored[0].ends_with("@mx.test>\r\n\r\nb\r\n"));
    assert_eq!(stored[1], "Subject: s\r\n\r\nb\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_message_without_header_gets_its_empty_line() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(STRANGER).await;
    client.codes(START, 3).await;
    assert_eq!(client.codes("BDAT 13 LAST\r\nhello, world\n", 1).await, [550]);
    for wire in ["BDAT 12 LAST\r\nhello, world", "BDAT 0 LAST\r\n"] {
        client
            .codes("MAIL FROM:<>\r\nRCPT TO:<c@accepted.test>\r\n", 2)
            .await;
        assert_eq!(client.codes(wire, 1).await, [250]);
    }
    assert_eq!(rig.stored().await, ["\r\nhello, world\r\n", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_goes_round_in_circles_is_refused_after_its_end() {
    let rig = Rig::new(settings());
    for (hops, code) in [(50, 250), (51, 554)] {
        let mut client = rig.connect(STRANGER).await;
        client.codes(START, 3).await;
        assert_eq!(client.code_of_data(&"Received: x\r\n".repeat(hops)).await, code);
        assert_eq!(client.codes("NOOP\r\n", 1).await, [250]);
    }
    assert_eq!(rig.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_spool_cannot_take_is_put_off_and_taken_later() {
    let rig = Rig::new(settings());
    for (error, reply) in [
        (Error::Full, "452 4.3.1"),
        (Error::ReadOnly, "452 4.3.1"),
        (Error::Overloaded, "452 4.3.2"),
        (Error::Closed, "452 4.3.2"),
    ] {
        *rig.failure.lock().unwrap() = Some(error);
        let mut client = rig.connect(RELAY).await;
        client.codes(START, 3).await;
        let answer = client.last("BDAT 1 LAST\r\nx", 1).await;
        assert!(answer.starts_with(reply), "{answer}");
        assert!(rig.queued.lock().unwrap().is_empty());
        *rig.failure.lock().unwrap() = None;
        let again = "MAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nBDAT 1 LAST\r\nx";
        assert_eq!(client.codes(again, 3).await, [250, 250, 250]);
        rig.queued.lock().unwrap().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_said_at_mail_and_forgotten_when_it_is_over() {
    let rig = Rig::new(settings());
    rig.free_disk.store(999, Ordering::Relaxed);
    let mut client = rig.connect(RELAY).await;
    let answer = client.last("EHLO c.test\r\nMAIL FROM:<>\r\n", 2).await;
    assert!(answer.starts_with("452 4.3.1"), "{answer}");
    rig.free_disk.store(1000, Ordering::Relaxed);
    let clock = rig.shared.clock.clone();
    clock
        .sleep_until(clock.now().monotonic + Duration::from_secs(1))
        .await;
    assert_eq!(client.codes("MAIL FROM:<>\r\n", 1).await, [250]);
}

#[tokio::test(start_paused = true)]
async fn recipients_are_limited_and_grouped() {
    let mut settings = settings();
    settings.limits.recipients_per_message = 3;
    let rig = Rig::new(settings);
    let mut client = rig.connect(RELAY).await;
    let flight = "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<1@x.test>\r\nRCPT TO:<2@y.test>\r\n\
                  RCPT TO:<3@X.test>\r\nRCPT TO:<4@x.test>\r\nBDAT 1 LAST\r\nx";
    assert_eq!(client.codes(flight, 7).await, [250, 250, 250, 250, 250, 452, 250]);
    let queued = rig.queued.lock().unwrap().clone();
    let shown: Vec<_> = queued
        .iter()
        .map(|q| (q.destination.as_str(), q.recipients.len()))
        .collect();
    assert_eq!(shown, [("x.test", 2), ("y.test", 1)]);
    assert!(!rig.content(queued[0].message).await.contains("for <"));
}

#[tokio::test(start_paused = true)]
async fn large_messages_stream_through_a_bounded_window() {
    let rig = Rig::new(settings());
    let mut client = rig.connect_in_silence(STRANGER, 64 * 1024);
    assert_eq!(client.code().await, 220);
    client.codes(format!("{START}DATA\r\n"), 4).await;
    let line = format!("{}\r\n", "x".repeat(998));
    let mut expected = String::from("A: b\r\n\r\n");
    client.send(&expected).await;
    for _ in 0..10_000 {
        client.send(&line).await;
        expected.push_str(&line);
    }
    assert_eq!(client.codes(".\r\n", 1).await, [250]);
    assert!(rig.stored().await[0] == expected);
}

#[tokio::test(start_paused = true)]
async fn content_over_the_limit_is_refused_after_its_end() {
    let mut settings = settings();
    settings.limits.message_size = 1000;
    let rig = Rig::new(settings);
    let mut client = rig.connect(RELAY).await;
    let answer = client.last("EHLO c.test\r\nMAIL FROM:<> SIZE=1001\r\n", 2).await;
    assert!(answer.starts_with("552 5.3.4"), "{answer}");
    client.codes("MAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\n", 2).await;
    assert_eq!(client.code_of_data(&"x".repeat(1001)).await, 552);
    assert!(rig.queued.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn international_mail_needs_and_keeps_its_parameter() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(RELAY).await;
    client.codes("EHLO c.test\r\n", 1).await;
    let answer = client
        .last("MAIL FROM:<a@b.test>\r\nRCPT TO:<jürgen@d.test>\r\n", 2)
        .await;
    assert!(answer.starts_with("553 5.6.7"), "{answer}");
    let flight =
        "RSET\r\nMAIL FROM:<jörg@b.test> SMTPUTF8\r\nRCPT TO:<jürgen@bücher.test>\r\nBDAT 1 LAST\r\nx";
    assert_eq!(client.codes(flight, 4).await, [250; 4]);
    let queued = rig.queued.lock().unwrap()[0].clone();
    assert!(queued.envelope.smtputf8 && !queued.header_8bit);
    assert_eq!(queued.destination.as_str(), "xn--bcher-kva.test");
    assert!(rig.content(queued.message).await.contains("with UTF8SMTP id"));
}

impl Client {
    /// The code of the reply to content sent by DATA.
    pub async fn code_of_data(&mut self, content: &str) -> u16 {
        assert_eq!(self.codes("DATA\r\n", 1).await, [354]);
        self.codes(format!("{content}\r\n.\r\n"), 1).await[0]
    }
}
