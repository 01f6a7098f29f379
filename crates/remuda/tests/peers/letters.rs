//! What is sent: contents of every form that must survive, and the load generator that sends them.

use std::net::SocketAddr;

use remuda_clock::SystemClock;
use remuda_load::{Config, Message, Plan, Report, run_with};
use tokio::runtime::Runtime;

/// A message and its envelope.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The value of its field X-Remuda-Test.
    pub id: String,
    pub sender: String,
    pub recipients: Vec<String>,
    /// Parameters of MAIL.
    pub parameters: &'static str,
    pub content: Vec<u8>,
}

impl Letter {
    /// With a full header, from `writer@home.test` to two recipients of `domain`.
    pub fn new(id: &str, domain: &str, body: &[u8]) -> Letter {
        let header = format!(
            "From: <writer@home.test>\r\nTo: <one@{domain}>, <two@{domain}>\r\n\
             Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <{id}@home.test>\r\n\
             Subject: {id}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\nX-Remuda-Test: {id}\r\n\r\n"
        );
        Letter {
            id: id.to_owned(),
            sender: "writer@home.test".to_owned(),
            recipients: vec![format!("one@{domain}"), format!("two@{domain}")],
            parameters: "BODY=8BITMIME",
            content: [header.as_bytes(), body].concat(),
        }
    }

    fn message(&self) -> Message {
        Message {
            content: self.content.clone(),
            sender: self.sender.clone(),
            recipients: self.recipients.clone(),
            parameters: self.parameters.to_owned(),
            recipient_parameters: String::new(),
        }
    }
}

/// One letter of each form that every server passes on unchanged.
pub fn every_form(domain: &str) -> Vec<Letter> {
    let many_lines: Vec<u8> = (0..4000)
        .flat_map(|n| format!(".{n:06} {}\r\n", "x".repeat(70)).into_bytes())
        .collect();
    let longest_line = [vec![b'y'; 990], b"\r\n".to_vec()].concat();
    let forms: [(&str, &[u8]); 7] = [
        ("plain", b"hello\r\n"),
        ("dots", b".\r\n..\r\n...\r\n.a\r\n\r\n.\r\nRSET\r\n.\r\n"),
        ("utf-8", "Grüße, 例え, \u{1f4ee}\r\n.ü\r\n".as_bytes()),
        ("eight-bit", b"\xe4\xf6\xfc\xff\x80\r\n.\xe4\r\n"),
        ("empty", b""),
        ("many-lines", &many_lines),
        ("longest-line", &longest_line),
    ];
    forms
        .iter()
        .map(|(name, body)| Letter::new(name, domain, body))
        .collect()
}

/// Sends letters over two sessions; each must be accepted for all its recipients.
pub fn send(to: SocketAddr, letters: &[Letter]) {
    let mut config = Config::to(to.to_string());
    config.messages = letters.len() as u64;
    config.sessions = 2;
    let messages: Vec<Message> = letters.iter().map(Letter::message).collect();
    let report = load(config, Plan::new(move |index| messages[index as usize].clone()));
    assert_eq!((report.failed, report.refused_recipients), (0, 0), "{report}");
}

/// Runs the load generator to its end.
pub fn load(config: Config, plan: Plan) -> Report {
    let runtime = Runtime::new().expect("a runtime");
    runtime
        .block_on(run_with(config, plan, SystemClock::shared()))
        .expect("a run that can begin")
}
