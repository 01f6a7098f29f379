//! Contents of every size and form arrive unchanged, exactly once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use remuda_clock::SystemClock;
use remuda_sink::{self as sink, Listener, ViolationKind, sha256};

use crate::world::{Message, World, arrived_within, route};

const DOMAINS: u64 = 24;
const MIB: usize = 1024 * 1024;

/// Messages by digest.
type Digests = BTreeMap<String, u64>;

/// The content as sent, and as it is stored: a header that ends without an empty line gets one.
fn content(index: u64) -> (Vec<u8>, Vec<u8>) {
    let header = format!("X-Remuda-Test: {index}\r\nSubject: one of many\r\n");
    let with = |body: &[u8]| {
        let mut content = format!("{header}\r\n").into_bytes();
        content.extend_from_slice(body);
        (content.clone(), content)
    };
    let line = |octet: u8, length: usize| {
        let mut line = vec![octet; length];
        line.extend_from_slice(b"\r\n");
        line
    };
    if index % 700 == 13 {
        return with(&line(b'x', 98).repeat((1 + index as usize % 10) * MIB / 100));
    }
    match index % 10 {
        0 => with(b".\r\n..\r\n...\r\n.dot\r\n. \r\n\r\n.\r\n"),
        1 => with(
            "naïve café \u{1f40e}\r\n"
                .repeat(1 + index as usize % 50)
                .as_bytes(),
        ),
        2 => with(&line(b'l', 998).repeat(1 + index as usize % 20)),
        3 => with(&line(b'o', 3000 + index as usize % 100_000)),
        4 => (Vec::new(), Vec::new()),
        5 => {
            let body = format!("no header at all {index}\r\n.second line\r\n").into_bytes();
            (body.clone(), [b"\r\n", &body[..]].concat())
        }
        6 => (header.clone().into_bytes(), header.into_bytes()),
        7 => with(b""),
        8 => with(&line(b's', 78).repeat(index as usize % 3000)),
        _ => with(&line(b'b', 126).repeat(256 * 1024 / 128 - 2 + index as usize % 4)),
    }
}

fn message(index: u64, content: Vec<u8>) -> Message {
    Message {
        parameters: if content.is_ascii() { "" } else { "BODY=8BITMIME" }.to_owned(),
        content,
        sender: format!("s{}@source.test", index % 20),
        recipients: vec![format!("r{index}@d{}.test", index % DOMAINS)],
        ..Message::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_digest_arrives_exactly_once() {
    let is_soak = std::env::var_os("REMUDA_SOAK").is_some();
    let messages = if is_soak { 20_000 } else { 2_000 };
    let by_data = Listener {
        chunking: false,
        ..Listener::default()
    };
    let step_by_step = Listener {
        pipelining: false,
        chunking: false,
        ..Listener::default()
    };
    let config = sink::Config {
        listeners: vec![Listener::default(), by_data, step_by_step],
        keep_digests: true,
        ..sink::Config::default()
    };
    let sinks = sink::start(config, SystemClock::shared()).await.unwrap();
    let hosts = sinks.addresses().to_vec();
    let routes = (0..DOMAINS as usize).map(|n| {
        let second = hosts[(n / hosts.len()) % hosts.len()];
        route(&format!("d{n}.test"), &[hosts[n % hosts.len()], second])
    });
    // Strangers' mail: nothing is added but the trace.
    let world = World::start_with(routes.collect(), |settings| settings.relay.networks.clear()).await;
    let sent: Arc<Mutex<Digests>> = Arc::default();
    let noted = sent.clone();
    world
        .send_many(messages, 20, move |index| {
            let (content, stored) = content(index);
            *noted.lock().unwrap().entry(sha256(&stored)).or_default() += 1;
            message(index, content)
        })
        .await;
    arrived_within(&sinks, messages, Duration::from_secs(600)).await;
    world.empty().await;
    world.stop().await;
    let report = sinks.stop().await;
    let mut got = Digests::new();
    for received in report.received() {
        *got.entry(received.sha256_without_trace.clone()).or_default() += 1;
    }
    let sent = sent.lock().unwrap();
    let differing: Vec<_> = got
        .iter()
        .filter(|(digest, count)| sent.get(*digest) != Some(count))
        .collect();
    assert_eq!(got.len(), sent.len(), "{differing:?}");
    assert!(differing.is_empty(), "{differing:?}");
    // Long lines were sent on purpose, and none may be broken.
    let violations: Vec<_> = report
        .violations()
        .filter(|violation| violation.kind != ViolationKind::ContentLineTooLong)
        .collect();
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(
        files_left(world.data_dir()),
        0,
        "content files of settled messages"
    );
}

/// Files of large contents that are still there.
fn files_left(data_dir: &std::path::Path) -> usize {
    std::fs::read_dir(data_dir.join("spool")).unwrap().count()
}
