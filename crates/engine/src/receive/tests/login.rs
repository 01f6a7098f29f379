//! Logins, over in-memory streams in paused time.

use super::{logged::Logged, people::*, *};

const TO_ANYWHERE: &str = "RCPT TO:<c@other.test>\r\nBDAT 1 LAST\r\nx";

#[tokio::test(start_paused = true)]
async fn who_has_logged_in_may_send_anywhere_and_the_trace_says_so() {
    for (place, login) in [
        (STARTTLS, true),
        (IMPLICIT, true),
        (SUBMISSION, true),
        (STARTTLS, false),
    ] {
        let world = World::new();
        let mut client = world.secure(STRANGER, place).await;
        client.codes("EHLO c.test\r\n", 1).await;
        if login {
            assert_eq!(client.last(RIGHT, 1).await, "235 2.7.0 Logged in\r\n");
        }
        let codes = client
            .codes(format!("MAIL FROM:<me@home.test>\r\n{TO_ANYWHERE}"), 3)
            .await;
        if !login {
            assert_eq!(codes, [250, 554, 554]);
            continue;
        }
        assert_eq!(codes, [250; 3]);
        let id = world.rig.queued.lock().unwrap()[0].message;
        let content = world.rig.content(id).await;
        assert!(content.contains(" with ESMTPSA id "), "{content}");
        // RFC 6409 §8: completed as one of ours.
        assert!(content.contains("\r\nMessage-ID: <"), "{content}");
        assert!(
            !content.contains("me@home.test"),
            "nobody reads there who it was: {content}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_listener_takes_nothing_before_a_login() {
    let world = World::new();
    // In relay.networks, too.
    for ip in [STRANGER, RELAY] {
        let mut client = world.clear(ip, SUBMISSION).await;
        let said = client
            .last("EHLO c.test\r\nMAIL FROM:<me@home.test>\r\n", 2)
            .await;
        assert!(said.starts_with("530 5.7.0 "), "{said}");
        let mut client = world.secure(ip, SUBMISSION).await;
        let said = client
            .last("EHLO c.test\r\nMAIL FROM:<me@home.test>\r\n", 2)
            .await;
        assert!(said.starts_with("530 5.7.0 "), "{said}");
        assert_eq!(client.codes(TO_ANYWHERE, 2).await, [503, 503]);
    }
    assert_eq!(world.directory.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_logs_in_without_tls() {
    let world = World::new();
    for place in [STARTTLS, SUBMISSION] {
        let mut client = world.clear(RELAY, place).await;
        let hello = client.last("EHLO c.test\r\n", 1).await;
        assert!(!hello.contains("AUTH"), "{hello}");
        assert!(client.last(RIGHT, 1).await.starts_with("538 5.7.11 "));
        assert!(client.last("AUTH LOGIN\r\n", 1).await.starts_with("538 5.7.11 "));
    }
    let mut client = world.clear(RELAY, CLEAR).await;
    assert_eq!(
        client
            .codes(format!("EHLO c.test\r\n{RIGHT}STARTTLS\r\n"), 3)
            .await,
        [250, 502, 502]
    );
    assert_eq!(world.directory.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_logged_in_sends_as_an_address_of_its_own() {
    let world = World::new();
    for ip in [STRANGER, RELAY] {
        let mut client = world.logged_in(ip, SUBMISSION).await;
        for (sender, reply) in [
            ("me@home.test", "250 2.1.0"),
            ("also.me@home.test", "250 2.1.0"),
            ("boss@home.test", "553 5.7.1"),
            ("me@other.test", "553 5.7.1"),
            // Receipts and replies of machines have none (RFC 8098 §2.1); they stand for nobody.
            ("", "250 2.1.0"),
        ] {
            let said = client.last(format!("MAIL FROM:<{sender}>\r\nRSET\r\n"), 1).await;
            assert!(said.starts_with(reply), "{sender}: {said}");
            assert_eq!(client.code().await, 250);
        }
        world.directory.is_down.store(true, Ordering::Relaxed);
        for sender in ["me@home.test", ""] {
            let said = client.last(format!("MAIL FROM:<{sender}>\r\n"), 1).await;
            assert!(said.starts_with("451 4.3.0 "), "{said}");
        }
        world.directory.is_down.store(false, Ordering::Relaxed);
        // It holds from the next message on, without a sender, too.
        world.directory.is_barred.store(true, Ordering::Relaxed);
        for sender in ["me@home.test", ""] {
            assert_eq!(client.codes(format!("MAIL FROM:<{sender}>\r\n"), 1).await, [553]);
        }
        world.directory.is_barred.store(false, Ordering::Relaxed);
    }
    // Without a login nobody is asked, as before.
    let mut client = world.secure(RELAY, STARTTLS).await;
    let flight = "EHLO c.test\r\nMAIL FROM:<boss@home.test>\r\n";
    assert_eq!(client.codes(flight, 2).await, [250, 250]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_login_waits_longer_each_time_and_then_ends_the_session() {
    let world = World::new();
    let mut waits = Vec::new();
    for _ in 0..2 {
        let mut client = world.secure(STRANGER, STARTTLS).await;
        client.codes("EHLO c.test\r\n", 1).await;
        for _ in 0..5 {
            let begun = world.rig.now();
            assert!(client.last(WRONG, 1).await.starts_with("535 5.7.8 "));
            waits.push(world.rig.now().since(begun).as_secs());
        }
        assert_eq!(client.rest().await, "421 4.7.0 Too many refused logins\r\n");
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]);
    // Another client does not wait for that, nor does who is right.
    let begun = world.rig.now();
    world.logged_in(STRANGER, IMPLICIT).await;
    assert_eq!(world.rig.now(), begun);
    let mut other = world.secure("198.51.100.1", IMPLICIT).await;
    other.codes(format!("EHLO c.test\r\n{WRONG}"), 2).await;
    assert_eq!(world.rig.now().since(begun).as_secs(), 1);
    assert_eq!((world.logins("rejected"), world.logins("accepted")), (11, 1));
}

#[tokio::test(start_paused = true)]
async fn sessions_side_by_side_do_not_guess_faster() {
    let world = World::new();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = world.secure(STRANGER, IMPLICIT).await;
        client.codes("EHLO c.test\r\n", 1).await;
        clients.push(client);
    }
    let begun = world.rig.now();
    for client in &mut clients {
        client.send(WRONG).await;
    }
    for client in &mut clients {
        assert_eq!(client.code().await, 535);
    }
    assert_eq!(world.rig.now().since(begun).as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_cannot_be_asked_is_nobodys_failure() {
    let world = World::new();
    world.directory.is_down.store(true, Ordering::Relaxed);
    let begun = world.rig.now();
    let mut client = world.secure(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\n", 1).await;
    for _ in 0..20 {
        assert!(client.last(RIGHT, 1).await.starts_with("454 4.7.0 "));
    }
    assert_eq!(world.rig.now(), begun);
    world.directory.is_down.store(false, Ordering::Relaxed);
    assert!(
        client
            .last(BUSY, 1)
            .await
            .starts_with("454 4.7.0 Too many logins")
    );
    assert_eq!(client.codes(RIGHT, 1).await, [235]);
    assert_eq!(world.rig.now(), begun);
    assert_eq!((world.logins("unavailable"), world.logins("too_many")), (20, 1));
}

#[tokio::test(start_paused = true)]
async fn checks_in_flight_are_bounded_and_given_up_in_time() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let world = World::with(Directory {
        holds: Some(gate.clone()),
        ..Directory::default()
    });
    let mut clients = Vec::new();
    for n in 0..40 {
        let mut client = world.secure(&format!("198.51.100.{n}"), IMPLICIT).await;
        client.codes("EHLO c.test\r\n", 1).await;
        client.send(RIGHT).await;
        clients.push(client);
    }
    world.rig.pass(1).await;
    assert_eq!(
        world.directory.asked.load(Ordering::Relaxed),
        logins::CHECKS_MAX as u64
    );
    for _ in 0..20 {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    let begun = world.rig.now();
    let mut codes: Vec<u16> = Vec::new();
    for client in &mut clients {
        codes.push(client.code().await);
    }
    assert!(world.rig.now().since(begun) <= logins::CHECK_MAX);
    let accepted = codes.iter().filter(|code| **code == 235).count();
    assert!(
        accepted >= 16 && codes.iter().all(|code| [235, 454].contains(code)),
        "{codes:?}"
    );
    assert_eq!(
        world.directory.busy_max.load(Ordering::Relaxed),
        logins::CHECKS_MAX as u64
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_login_and_the_end_does_not() {
    let world = World::new();
    let mut client = world.secure(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\n", 1).await;
    client.send(WRONG).await;
    world.rig.phase.send_replace(Phase::Stopping);
    let rest = client.rest().await;
    assert!(
        rest.starts_with("535 ") && rest.ends_with("421 4.3.2 Shutting down\r\n"),
        "{rest}"
    );
    let world = World::with(Directory {
        holds: Some(Arc::new(tokio::sync::Notify::new())),
        ..Directory::default()
    });
    let mut client = world.secure(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\n", 1).await;
    client.send(RIGHT).await;
    world.rig.pass(1).await;
    let begun = world.rig.now();
    world.rig.phase.send_replace(Phase::Ended);
    client.session.await.unwrap();
    assert_eq!(world.rig.now(), begun);
}

#[tokio::test(start_paused = true)]
async fn hostile_logins_leave_the_session_in_order() {
    let world = World::new();
    let mut client = world.secure(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\n", 1).await;
    // Control characters, garbage, and far too much.
    for (line, code) in [
        ("AUTH PLAIN AG1lDQpSU0VUAHg=", 501),
        ("AUTH PLAIN AG1lAHgAeQ==", 501),
        ("AUTH PLAIN ////", 501),
        ("AUTH PLAIN *", 501),
        ("AUTH LOGIN AA==", 501),
        ("AUTH GSSAPI", 504),
        ("AUTH", 501),
    ] {
        assert_eq!(client.codes(format!("{line}\r\n"), 1).await, [code], "{line}");
    }
    assert_eq!(client.codes("AUTH LOGIN\r\n", 1).await, [334]);
    assert_eq!(
        client.codes(format!("{}\r\n", "A".repeat(20_000)), 1).await,
        [500]
    );
    assert_eq!(client.codes("AUTH PLAIN\r\n*\r\n", 2).await, [334, 501]);
    assert_eq!(world.directory.asked.load(Ordering::Relaxed), 0);
    assert_eq!(client.codes(RIGHT, 1).await, [235]);
    assert_eq!(client.codes(RIGHT, 1).await, [503]);
    // A client that goes in the middle of it leaves nothing behind.
    let mut client = world.secure(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\nAUTH LOGIN\r\n", 2).await;
    drop(client.stream);
    client.session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_password_is_logged_and_of_refused_logins_only_addresses() {
    let (logged, _here) = Logged::here();
    let world = World::new();
    let mut client = world.clear(STRANGER, STARTTLS).await;
    // hunter2 for me@home.test, said too early; then in the wrong field.
    let plain = "AUTH PLAIN AG1lQGhvbWUudGVzdABodW50ZXIy\r\n";
    client
        .codes(format!("EHLO c.test\r\n{plain}STARTTLS\r\n"), 3)
        .await;
    let mut client = handshake(&world.connector, client.stream, client.session).await;
    assert_eq!(
        client.codes(format!("EHLO c.test\r\n{plain}"), 2).await,
        [250, 535]
    );
    let login = "AUTH LOGIN\r\naHVudGVyMg==\r\naHVudGVyMg==\r\n";
    assert_eq!(client.codes(login, 3).await, [334, 334, 535]);
    assert_eq!(client.codes("AUTH PLAIN aHVudGVyMg==\r\n", 1).await, [501]);
    assert_eq!(client.codes(RIGHT, 1).await, [235]);
    let codes = client
        .codes(format!("MAIL FROM:<me@home.test>\r\n{TO_ANYWHERE}"), 3)
        .await;
    assert_eq!(codes, [250; 3]);
    let text = logged.text();
    for secret in ["hunter2", "aHVudGVyMg", "AG1lQGhvbWUudGVzd", "right"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let refused = |line: &&str| line.contains("message=login refused ");
    let refused: Vec<&str> = text.lines().filter(refused).collect();
    assert_eq!(refused.len(), 2, "{text}");
    assert!(
        refused[0].contains("login=me@home.test ") && !refused[1].contains("login="),
        "{refused:?}"
    );
    let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap();
    assert!(
        line("message=logged in ").contains("login=me@home.test "),
        "{text}"
    );
    let received = line("message=received ");
    assert!(
        received.contains("tls=\"TLSv1.3\" ") && received.contains("login=me@home.test "),
        "{received}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_names_of_metrics_are_there_from_the_start() {
    let world = World::new();
    let text = world.metrics();
    for result in ["accepted", "rejected", "unavailable", "too_many"] {
        assert!(
            text.contains(&format!("remuda_logins_total{{result=\"{result}\"}} 0")),
            "{text}"
        );
    }
    for result in ["full", "resumed", "failed", "timed_out"] {
        let name = format!("remuda_inbound_tls_handshakes_total{{result=\"{result}\"}} 0");
        assert!(text.contains(&name), "{text}");
    }
}

impl World {
    fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.rig.shared.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    fn count(&self, name: &str, result: &str) -> u64 {
        let start = format!("{name}_total{{result=\"{result}\"}} ");
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.expect("it is counted").parse().unwrap()
    }

    pub(super) fn logins(&self, result: &str) -> u64 {
        self.count("remuda_logins", result)
    }

    pub(super) fn handshakes(&self, result: &str) -> u64 {
        self.count("remuda_inbound_tls_handshakes", result)
    }
}
