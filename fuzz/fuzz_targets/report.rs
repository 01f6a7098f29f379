//! Any words of a server, any original: a report has CRLF only, lines of at most 998 octets, and no field
//! or part that we did not write.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use remuda_clock::Wall;
use remuda_engine::report::{Kind, Original, ReportContext, Shape, compose};
use remuda_mail::{EnhancedStatus, Envelope, MessageId, Outcome, Recipient, Refusal, Reply, Return, Sender};
use remuda_spool::Settled;

fuzz_target!(|data: (u8, String, String, Vec<u8>)| {
    let (head, words, envid, original) = data;
    let envelope = Envelope {
        sender: Sender("sender@source.test".parse().ok()),
        smtputf8: head & 1 != 0,
        ret: Some(if head & 2 != 0 {
            Return::Full
        } else {
            Return::Headers
        }),
        envid: Some(envid),
        ..Envelope::default()
    };
    let refusal = Refusal {
        status: EnhancedStatus::new(5, 1, 1),
        reply: Some(Reply {
            code: 550,
            enhanced: None,
            text: words.clone(),
        }),
        reason: words.clone(),
        relay: Some(words),
    };
    let recipient = Recipient::plain("r@d.test".parse().expect("an address"));
    let settled = [Settled {
        recipient,
        outcome: Outcome::Bounced(refusal),
        may_be_duplicate: false,
    }];
    let context = ReportContext {
        hostname: "relay.test".into(),
        now: Wall(0),
        id: MessageId(7),
    };
    let kind = if head & 4 != 0 { Kind::Failure } else { Kind::Delay };
    let shape = Shape {
        kind,
        id: MessageId(6),
        envelope: &envelope,
        arrived: Wall(0),
        expires: Wall(1),
        recipients: &settled,
    };
    let original = Bytes::from(original);
    let original = Original {
        headers: original.clone(),
        full: Some(original),
    };
    let composed = compose(&context, &shape, &original).expect("there is a sender");
    check(&composed.content);
});

fn check(content: &[u8]) {
    for line in content.split(|octet| *octet == b'\n') {
        assert!(line.len() <= 999, "a line of {} octets", line.len());
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!text.contains(&b'\r'), "a bare CR");
    }
    let lone = content
        .windows(2)
        .any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
    assert!(!lone, "a bare LF");
    let text = String::from_utf8_lossy(content);
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    for line in header.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
        let name = line.split(':').next().unwrap_or_default();
        let known = [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Auto-Submitted",
        ];
        let mime = ["MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
        assert!(known.contains(&name) || mime.contains(&name), "field {name}");
    }
}
