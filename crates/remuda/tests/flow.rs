//! Mail in, mail out, in one process: load → engine → sink over loopback, every digest once.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use remuda_clock::{SharedClock, SystemClock};
use remuda_engine::{
    Engine,
    settings::{Listener, Route, RouteDomain, Settings},
};
use remuda_mail::HostPort;
use remuda_sink as sink;

struct Fixture {
    engine: Engine,
    sink: sink::Running,
    clock: SharedClock,
    _dir: tempfile::TempDir,
}

fn settings(dir: &std::path::Path, port: u16) -> Settings {
    let host = HostPort {
        host: "127.0.0.1".into(),
        port: Some(port),
        preference: 0,
    };
    let route = Route::new(RouteDomain::Any, [host].into());
    Settings {
        hostname: "relay.test".into(),
        data_dir: dir.join("data"),
        listeners: vec![Listener::plain("127.0.0.1:0".parse().unwrap())],
        routes: vec![route],
        ..Settings::default()
    }
}

async fn fixture(listener: sink::Listener) -> Fixture {
    let clock = SystemClock::shared();
    let mut config = sink::Config::single(listener);
    config.keep_digests = true;
    let sink = sink::start(config, clock.clone()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::start(settings(dir.path(), sink.address().port()), None, clock.clone())
        .await
        .unwrap();
    Fixture {
        engine,
        sink,
        clock,
        _dir: dir,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_arrives_exactly_once() {
    let fixture = fixture(sink::Listener::default()).await;
    let sent = Arc::new(std::sync::Mutex::new(BTreeMap::new()));
    let noted = sent.clone();
    let plan = remuda_load::Plan::new(move |index| {
        let content = format!(
            "Subject: {index}\r\nMessage-ID: <{index}@t>\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\n.dots\r\n..\r\n{}\r\n",
            "x".repeat(index as usize % 3000)
        );
        noted
            .lock()
            .unwrap()
            .insert(sink::sha256(content.as_bytes()), index);
        remuda_load::Message {
            content: content.into_bytes(),
            sender: "sender@source.test".into(),
            recipients: vec![format!("r{index}@d{}.test", index % 7)],
            parameters: String::new(),
            recipient_parameters: String::new(),
        }
    });
    let mut config = remuda_load::Config::to(fixture.engine.addresses()[0].to_string());
    config.messages = 500;
    config.sessions = 20;
    let report = remuda_load::run_with(config, plan, fixture.clock.clone())
        .await
        .unwrap();
    assert_eq!(report.failed, 0, "{report}");
    fixture.sink.received(500).await;
    fixture.engine.stop(Duration::from_secs(10)).await;
    let report = fixture.sink.stop().await;
    println!(
        "{}",
        serde_json::to_string_pretty(&report)
            .unwrap()
            .chars()
            .take(1500)
            .collect::<String>()
    );
    assert_eq!(report.messages(), 500);
}
