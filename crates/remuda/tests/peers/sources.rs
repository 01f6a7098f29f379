//! `[[source]]` and `[[destination]]` from the file to the wire, over a reload.

use std::net::IpAddr;

use remuda_testing::wait::wait_until;
use serde_json::Value;

use crate::{
    home::{Home, Remuda},
    sink::Sink,
};

fn send(home: &Home, remuda: &Remuda) {
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
        "b@dest.test",
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Waits for the line of a delivery from this address.
fn logged(remuda: &Remuda, source: &str) {
    wait_until(&format!("a delivery from {source} is logged"), || {
        let is_it =
            |line: &&str| line.contains("delivery id=") && line.contains(&format!(" source={source} "));
        remuda
            .log()
            .lines()
            .filter(is_it)
            .any(|line| line.contains(" status=sent "))
    });
}

#[test]
fn a_source_is_in_the_log_and_the_list_and_a_reload_changes_it() {
    let sink = Sink::new();
    let sections = |source: &str| {
        format!(
            "{}[[source]]\naddress = {source:?}\n[[destination]]\nmatch = \"127.0.0.1\"\nconcurrency = 1\nrate = \"50/s\"\n\
             [connection_cache]\ndestinations = [\"*\"]\nidle_time_limit = \"60s\"\n",
            sink.route("dest.test")
        )
    };
    let home = Home::new(&sections("127.0.0.2"));
    assert_eq!(home.run(["check"]).code, Some(0));
    let mut remuda = home.start();
    send(&home, &remuda);
    sink.wait_for(1);
    logged(&remuda, "127.0.0.2");
    let shown: Value = serde_json::from_str(&remuda.ask(&["connections", "--json"])).expect("JSON");
    assert!(shown.to_string().contains("\"source\":\"127.0.0.2\""), "{shown}");
    home.configure(&Home::text(&sections("127.0.0.3")));
    remuda.reload(1);
    send(&home, &remuda);
    sink.wait_for(2);
    logged(&remuda, "127.0.0.3");
    let clients: Vec<IpAddr> = sink.report().listeners[0].clients.keys().copied().collect();
    assert_eq!(clients, [IpAddr::from([127, 0, 0, 2]), [127, 0, 0, 3].into()]);
    remuda.stop();
}
