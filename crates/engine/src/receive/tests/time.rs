//! Time limits, stopping, reloading. Time is paused: it moves only when everybody waits.

use super::*;
use remuda_clock::Monotonic;

impl Rig {
    pub(super) async fn pass(&self, seconds: u64) {
        let until = self.now() + Duration::from_secs(seconds);
        self.shared.clock.sleep_until(until).await;
    }

    pub(super) fn now(&self) -> Monotonic {
        self.shared.clock.now().monotonic
    }
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_a_client_ends() {
    let states = [
        ("", 0, 300),
        ("EHL", 0, 300),
        ("EHLO c.test\r\n", 1, 300),
        ("EHLO c.test\r\nMAIL FROM:<>\r\n", 2, 300),
        (START, 3, 300),
        (
            "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n",
            4,
            180,
        ),
        (
            "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\nx\r\n.",
            4,
            180,
        ),
        (
            "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 2\r\nx",
            3,
            180,
        ),
        (
            "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 1\r\nx",
            4,
            180,
        ),
        ("BDAT 5 LAST\r\nx", 0, 180),
    ];
    for (wire, replies, seconds) in states {
        let rig = Rig::new(settings());
        let mut client = rig.connect(STRANGER).await;
        client.codes(wire, replies).await;
        let begun = rig.now();
        assert_eq!(
            client.reply().await,
            "421 4.4.2 Timed out waiting for you\r\n",
            "{wire:?}"
        );
        assert_eq!(rig.now().since(begun).as_secs(), seconds, "{wire:?}");
        assert_eq!(client.rest().await, "");
        assert!(rig.queued.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_must_be_whole_in_time() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(STRANGER).await;
    let begun = rig.now();
    for octet in ["N", "O", "O", "P"] {
        client.send(octet).await;
        rig.pass(70).await;
    }
    assert_eq!(client.rest().await, "421 4.4.2 Timed out waiting for you\r\n");
    assert_eq!(rig.now().since(begun).as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn content_that_drips_in_is_cut_off() {
    let rig = Rig::new(settings());
    for start in ["DATA\r\n", "BDAT 100000 LAST\r\n"] {
        let mut client = rig.connect(STRANGER).await;
        client.codes(START, 3).await;
        client.send(start).await;
        if start == "DATA\r\n" {
            client.reply().await;
        }
        let begun = rig.now();
        let mut sent = 0;
        while !client.session.is_finished() && sent < 100 {
            let _ = client.stream.write_all(b"x").await;
            rig.pass(30).await;
            sent += 1;
        }
        assert!(sent < 15, "{sent}");
        assert!(rig.now().since(begun) < Duration::from_secs(400));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_steady_client_is_served() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(STRANGER).await;
    client.codes(format!("{START}DATA\r\n"), 4).await;
    for _ in 0..100 {
        client.send(format!("{}\r\n", "x".repeat(10_000))).await;
        rig.pass(8).await;
    }
    assert_eq!(client.codes(".\r\n", 1).await, [250]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_replies_is_left() {
    let rig = Rig::new(settings());
    let mut client = rig.connect_in_silence(STRANGER, 64);
    client
        .stream
        .write_all(b"HELP\r\nHELP\r\nHELP\r\n")
        .await
        .unwrap();
    let begun = rig.now();
    client.session.await.unwrap();
    assert_eq!(rig.now().since(begun).as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_idle_clients_away_and_finishes_messages() {
    let rig = Rig::new(settings());
    let mut idle = rig.connect(STRANGER).await;
    idle.codes("EHLO c.test\r\nNOO", 1).await;
    let mut silent = rig.connect(STRANGER).await;
    let mut busy = rig.connect(RELAY).await;
    busy.codes(format!("{START}DATA\r\n"), 4).await;
    silent.send("").await;
    rig.phase.send_replace(Phase::Stopping);
    assert_eq!(idle.rest().await, "421 4.3.2 Shutting down\r\n");
    assert_eq!(silent.rest().await, "421 4.3.2 Shutting down\r\n");
    busy.send("x\r\n.\r\nMAIL FROM:<>\r\n").await;
    assert_eq!(busy.code().await, 250);
    assert_eq!(busy.code().await, 250);
    busy.send("RCPT TO:<c@d.test>\r\nBDAT 1 LAST\r\nx").await;
    let rest = busy.rest().await;
    assert!(rest.ends_with("\r\n421 4.3.2 Shutting down\r\n"), "{rest}");
    assert_eq!(rig.queued.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_ends_everything_at_once() {
    let rig = Rig::new(settings());
    let mut busy = rig.connect(RELAY).await;
    busy.codes(format!("{START}DATA\r\n"), 4).await;
    let begun = rig.now();
    rig.phase.send_replace(Phase::Ended);
    assert_eq!(busy.rest().await, "");
    assert_eq!(rig.now(), begun);
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_seen_at_the_next_transaction() {
    let rig = Rig::new(settings());
    let mut client = rig.connect(STRANGER).await;
    client.codes("EHLO c.test\r\nMAIL FROM:<>\r\n", 2).await;
    let mut settings = settings();
    settings.relay.networks[0].prefix = 0;
    settings.limits.message_size = 5;
    let addressing = Addressing::new(Arc::new(Router::new(&settings)), None);
    let snapshot = Snapshot::new(Arc::new(settings), addressing, vec![]).unwrap();
    *rig.shared.snapshot.write().unwrap() = Arc::new(snapshot);
    assert_eq!(client.codes("RCPT TO:<x@other.test>\r\n", 1).await, [554]);
    assert_eq!(
        client
            .codes("RCPT TO:<x@accepted.test>\r\nBDAT 7 LAST\r\n1234567", 2)
            .await,
        [250, 250]
    );
    assert_eq!(
        client
            .codes("MAIL FROM:<>\r\nRCPT TO:<x@other.test>\r\n", 2)
            .await,
        [250, 250]
    );
    assert_eq!(client.codes("BDAT 7 LAST\r\n1234567", 1).await, [552]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_small() {
    let rig = Rig::new(settings());
    let (_here, there) = duplex(64);
    let visitor = Visitor {
        ip: RELAY.parse().unwrap(),
        place: None,
    };
    let session = serve(rig.shared.clone(), there, visitor, rig.phase.subscribe());
    assert!(
        std::mem::size_of_val(&session) < 8 * 1024,
        "{}",
        std::mem::size_of_val(&session)
    );
}
