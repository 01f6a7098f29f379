//! `remuda hosts`: what it shows of a host that works and of one that is dead, and what forgetting does.

use std::net::{Ipv4Addr, SocketAddr};

use remuda_sink::Listener;
use remuda_testing::{
    free_port,
    wait::{wait_for, wait_until},
};
use serde_json::Value;

use crate::{
    home::{Home, Remuda},
    sink::{Sink, route},
};

fn send(home: &Home, remuda: &Remuda, recipient: &str) {
    let to = remuda.smtp.to_string();
    let ended = home.run([
        "load",
        "--to",
        &to,
        "--messages",
        "1",
        "--sessions",
        "1",
        "--size",
        "500",
        "--from",
        "a@source.test",
        "--rcpt",
        recipient,
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// What `remuda hosts --json` says of an endpoint; null when it says nothing.
fn host(remuda: &Remuda, endpoint: SocketAddr) -> Value {
    let answer: Value = serde_json::from_str(&remuda.ask(&["hosts", "--json"])).expect("JSON");
    let hosts = answer["hosts"].as_array().expect("hosts");
    assert_eq!(answer["known"], hosts.len());
    let mut hosts = hosts
        .iter()
        .filter(|host| host["endpoint"] == endpoint.to_string());
    hosts.next().cloned().unwrap_or_default()
}

/// Waits until a host has failed so often that its pause lasts for seconds.
fn paused(remuda: &Remuda, endpoint: SocketAddr) -> Value {
    wait_for("the host is paused for long", || {
        let host = host(remuda, endpoint);
        let failures = host["failures"].as_u64().unwrap_or_default();
        (host["state"] == "paused" && failures >= 3).then_some(host)
    })
}

#[test]
fn a_host_shows_its_time_a_dead_one_why_and_what_is_forgotten_is_tried_at_once() {
    let sink = Sink::new();
    let dead = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().expect("a port")));
    let home = Home::new(&format!(
        "{}{}[delivery]\nminimal_backoff = \"100ms\"\nmaximal_backoff = \"100ms\"\n",
        sink.route("dest.test"),
        route("dead.test", dead)
    ));
    let mut remuda = home.start();
    send(&home, &remuda, "b@dest.test");
    let used = wait_for("the time of the host is known", || {
        let host = host(&remuda, sink.address());
        host["transaction_ms"].is_f64().then_some(host)
    });
    assert_eq!((&used["state"], &used["reason"]), (&"used".into(), &Value::Null));
    assert!(used["opening_ms"].is_f64(), "{used}");
    let line = format!(
        "remuda_host_transaction_seconds{{endpoint=\"{}\"}} ",
        sink.address()
    );
    let metrics = remuda.metrics();
    for line in [line.as_str(), "remuda_choices_total{choice=\"only\"} 1\n"] {
        assert!(metrics.contains(line), "{line} missing in\n{metrics}");
    }

    send(&home, &remuda, "b@dead.test");
    let shown = paused(&remuda, dead);
    let reason = shown["reason"].as_str().expect("a reason");
    assert!(reason.contains("refused"), "{shown}");
    assert!(shown["next_trial"].is_i64(), "{shown}");
    shows_the_dead(&remuda, dead);

    paused(&remuda, dead);
    let back = Sink::with(Listener {
        listen: dead,
        ..Listener::default()
    });
    assert_eq!(
        remuda.ask(&["hosts", "forget", &dead.to_string()]),
        "forgotten: 1\n"
    );
    let forgotten = host(&remuda, dead);
    assert_eq!(
        (&forgotten["state"], &forgotten["failures"]),
        (&"used".into(), &0.into())
    );
    back.wait_for(1);
    remuda.wait_until_empty();
    remuda.stop();
}

/// The table, the metrics and the queue's summary name it too.
fn shows_the_dead(remuda: &Remuda, dead: SocketAddr) {
    wait_until("the table shows the paused host and no other", || {
        let table = remuda.ask(&["hosts", "--state", "paused"]);
        let rows: Vec<&str> = table.lines().collect();
        rows.len() == 2 && rows[1].starts_with(&dead.to_string()) && rows[1].contains("refused")
    });
    wait_until("the metrics count it", || {
        remuda.metrics().contains("remuda_hosts{state=\"paused\"} 1\n")
    });
    wait_until("its destination is suspended", || {
        let summary = remuda.ask(&["queue", "summary"]);
        let mut rows = summary.lines().filter(|line| line.starts_with(&dead.to_string()));
        rows.any(|row| row.contains("until ") && row.contains("refused"))
    });
}
