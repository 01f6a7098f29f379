//! TLS with clients, over in-memory streams in paused time.

use super::{people::*, *};

const MESSAGE: &str = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@accepted.test>\r\nBDAT 1 LAST\r\nx";

#[tokio::test(start_paused = true)]
async fn a_message_comes_over_starttls_and_its_trace_says_so() {
    let world = World::new();
    let mut client = world.secure(STRANGER, STARTTLS).await;
    let codes = client.codes(format!("EHLO c.test\r\n{MESSAGE}"), 4).await;
    assert_eq!(codes, [250; 4]);
    let id = world.rig.queued.lock().unwrap()[0].message;
    let content = world.rig.content(id).await;
    let trace = "Received: from c.test ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 \
                 (256/256 bits)\r\n\t key-exchange X25519MLKEM768)\r\n\tby mx.test (Remuda) with ESMTPS id ";
    assert!(content.starts_with(trace), "{content}");
    let shown = world.rig.spool.show(id).await.unwrap().unwrap();
    assert_eq!(shown.origin.protocol, "ESMTPS");
    assert_eq!(client.codes("QUIT\r\n", 1).await, [221]);
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn tls_begins_with_the_connection_where_that_is_said() {
    let world = World::new();
    let mut client = world.secure(STRANGER, IMPLICIT).await;
    let hello = client.last("EHLO c.test\r\n", 1).await;
    assert!(
        hello.contains("AUTH PLAIN LOGIN") && !hello.contains("STARTTLS"),
        "{hello}"
    );
    assert_eq!(client.codes(MESSAGE, 3).await, [250; 3]);
    assert_eq!(client.codes("STARTTLS\r\n", 1).await, [503]);
}

#[tokio::test(start_paused = true)]
async fn tls_is_1_2_or_later() {
    let world = World::new();
    for (version, protocol) in [
        (&rustls::version::TLS12, "TLSv1.2"),
        (&rustls::version::TLS13, "TLSv1.3"),
    ] {
        let connector = world.files.connector(&[version]);
        let (stream, session) = world.rig.enter(STRANGER, Some(IMPLICIT), 1 << 20);
        let mut client = handshake(&connector, stream, session).await;
        assert_eq!(client.code().await, 220);
        client.codes(format!("EHLO c.test\r\n{MESSAGE}"), 4).await;
        let id = world.rig.queued.lock().unwrap().pop().unwrap().message;
        let content = world.rig.content(id).await;
        assert!(
            content.contains(&format!("(using {protocol} with cipher ")),
            "{content}"
        );
    }
    // A hello that offers TLS 1.1 at most: an alert and the end.
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2c, 1, 0]);
    let (mut stream, session) = world.rig.enter(STRANGER, Some(IMPLICIT), 1 << 20);
    stream.write_all(&hello).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said.first(), Some(&21), "{said:?}");
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tls_forgets_what_was_said_in_clear() {
    let world = World::new();
    let mut client = world.secure(STRANGER, STARTTLS).await;
    assert_eq!(client.codes("MAIL FROM:<a@b.test>\r\n", 1).await, [503]);
    let hello = client.last("EHLO other.test\r\n", 1).await;
    assert!(!hello.contains("STARTTLS"), "{hello}");
}

#[tokio::test(start_paused = true)]
async fn nothing_injected_in_clear_is_a_command_under_tls() {
    let world = World::new();
    let injected = format!("RSET\r\nEHLO evil.test\r\n{MESSAGE}");
    let mut client = world.clear(STRANGER, STARTTLS).await;
    client
        .send(format!("EHLO c.test\r\nSTARTTLS\r\n{injected}"))
        .await;
    let rest = client.rest().await;
    assert!(
        rest.ends_with("\r\n554 5.5.1 Nothing may follow STARTTLS before TLS is on\r\n"),
        "{rest}"
    );
    // What comes after the 220 is TLS's, which makes nothing of it.
    let mut client = world.clear(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\nSTARTTLS\r\n", 2).await;
    client.send(injected).await;
    let mut said = Vec::new();
    client.stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said.first(), Some(&21), "an alert: {said:?}");
    client.session.await.unwrap();
    assert!(world.rig.queued.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn garbage_in_place_of_a_handshake_ends_the_session() {
    let world = World::new();
    let long = vec![0x16; 100_000];
    for garbage in [
        &b"EHLO c.test\r\n"[..],
        &[0; 64],
        &[0xff; 64],
        &long,
        b"\x16\x03\x01\xff\xff",
        b"",
    ] {
        let (mut stream, session) = world.rig.enter(STRANGER, Some(IMPLICIT), 1 << 20);
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert!(!said.starts_with(b"220"), "{said:?}");
        session.await.unwrap();
    }
    assert_eq!(world.handshakes("failed"), 6);
    assert_eq!(world.rig.shared.metrics.sessions.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_ends_in_time() {
    let world = World::new();
    let (mut stream, session) = world.rig.enter(STRANGER, Some(IMPLICIT), 1 << 20);
    let begun = world.rig.now();
    // An octet now and then does not lengthen it.
    for octet in [22, 3, 1, 0, 200] {
        stream.write_all(&[octet]).await.unwrap();
        world.rig.pass(11).await;
    }
    session.await.unwrap();
    assert_eq!(world.rig.now().since(begun).as_secs(), 60);
    let mut client = world.clear(STRANGER, STARTTLS).await;
    client.codes("EHLO c.test\r\nSTARTTLS\r\n", 2).await;
    let begun = world.rig.now();
    assert_eq!(client.rest().await, "");
    assert_eq!(world.rig.now().since(begun).as_secs(), 60);
    assert_eq!(world.handshakes("timed_out"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_no_handshake() {
    let world = World::new();
    let (_stream, session) = world.rig.enter(STRANGER, Some(IMPLICIT), 1 << 20);
    world.rig.pass(1).await;
    let begun = world.rig.now();
    world.rig.phase.send_replace(Phase::Stopping);
    session.await.unwrap();
    assert_eq!(world.rig.now(), begun);
}

#[tokio::test(start_paused = true)]
async fn time_limits_and_stops_hold_under_tls() {
    let world = World::new();
    // The handshake begins the time for the next command.
    let mut slow = world.clear(STRANGER, STARTTLS).await;
    assert_eq!(slow.codes("EHLO c.test\r\n", 1).await, [250]);
    world.rig.pass(200).await;
    assert_eq!(slow.codes("STARTTLS\r\n", 1).await, [220]);
    let mut slow = handshake(&world.connector, slow.stream, slow.session).await;
    let begun = world.rig.now();
    assert_eq!(slow.reply().await, "421 4.4.2 Timed out waiting for you\r\n");
    assert_eq!(world.rig.now().since(begun).as_secs(), 300);
    assert_eq!(slow.rest().await, "");
    let mut idle = world.secure(STRANGER, IMPLICIT).await;
    let mut busy = world.secure(RELAY, STARTTLS).await;
    busy.codes(format!("{START}DATA\r\n"), 4).await;
    idle.send("").await;
    world.rig.phase.send_replace(Phase::Stopping);
    assert_eq!(idle.rest().await, "421 4.3.2 Shutting down\r\n");
    busy.send("x\r\n.\r\n").await;
    let rest = busy.rest().await;
    assert!(
        rest.starts_with("250 2.0.0 Ok: queued") && rest.ends_with("421 4.3.2 Shutting down\r\n"),
        "{rest}"
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_are_resumed_by_tickets() {
    let world = World::new();
    for _ in 0..3 {
        let mut client = world.secure(STRANGER, STARTTLS).await;
        assert_eq!(client.codes("EHLO c.test\r\nQUIT\r\n", 2).await, [250, 221]);
        client.rest().await;
    }
    assert_eq!((world.handshakes("full"), world.handshakes("resumed")), (1, 2));
    // Nothing has changed: a reload ends that as little.
    world
        .reload((*world.rig.shared.snapshot().settings).clone())
        .unwrap();
    let mut client = world.secure(STRANGER, STARTTLS).await;
    assert_eq!(client.codes("NOOP\r\n", 1).await, [250]);
    assert_eq!(world.handshakes("resumed"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_brings_the_new_certificate_and_a_broken_one_keeps_the_old() {
    let world = World::new();
    let settings = (*world.rig.shared.snapshot().settings).clone();
    let shown = |client: &Secure| client.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut before = world.secure(STRANGER, STARTTLS).await;
    let first = shown(&before);
    let second = world.files.renew();
    assert_eq!(shown(&world.secure(STRANGER, STARTTLS).await), first);
    world.reload(settings.clone()).unwrap();
    // A client that has the old one in mind, and so would resume, gets the new one.
    assert_eq!(shown(&world.secure(STRANGER, STARTTLS).await), second);
    // A session that was there goes on.
    assert_eq!(
        before.codes(format!("EHLO c.test\r\n{MESSAGE}"), 4).await,
        [250; 4]
    );
    let other = world.files.issue();
    std::fs::write(world.files.pem().key, other.key_pem).unwrap();
    let error = world.reload(settings.clone()).unwrap_err().to_string();
    assert!(
        error.contains("k.pem: it is the key of another certificate"),
        "{error}"
    );
    std::fs::remove_file(world.files.pem().certificate).unwrap();
    assert!(world.reload(settings).is_err());
    assert_eq!(shown(&world.secure(STRANGER, IMPLICIT).await), second);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_worth_a_handshake_only_to_be_sent_away() {
    let world = World::new();
    let mut settings = (*world.rig.shared.snapshot().settings).clone();
    settings.limits.memory = Some(1);
    world.reload(settings).unwrap();
    let (mut stream, session) = world.rig.enter(STRANGER, Some(IMPLICIT), 1 << 20);
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"");
    session.await.unwrap();
    assert_eq!(world.rig.shared.metrics.refused_sessions.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn large_content_passes_through_a_narrow_stream() {
    let world = World::new();
    let (stream, session) = world.rig.enter(RELAY, Some(IMPLICIT), 1000);
    let mut client = handshake(&world.connector, stream, session).await;
    client.code().await;
    let body = "x".repeat(998) + "\r\n";
    let message = format!("{START}DATA\r\n");
    assert_eq!(client.codes(message, 4).await, [250, 250, 250, 354]);
    client
        .send(format!(
            "Date: d\r\nMessage-ID: <m>\r\n\r\n{}.\r\n",
            body.repeat(500)
        ))
        .await;
    assert_eq!(client.code().await, 250);
    let stored = world.rig.stored().await;
    assert_eq!(stored[0].len(), 28 + 500_000);
}
