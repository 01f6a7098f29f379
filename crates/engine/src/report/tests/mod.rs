//! Reports, read back by a parser of mail and compared line by line.

mod due;
mod hostile;
mod structure;

use mail_parser::{Message, MessageParser, MimeHeaders};
use remuda_mail::{EnhancedStatus, OriginalRecipient, Outcome, Receipt, Refusal, Reply};

use super::*;

fn reply(code: u16, enhanced: &str, text: &str) -> Reply {
    Reply {
        code,
        enhanced: enhanced.parse().ok(),
        text: text.into(),
    }
}

fn bounced(text: &str) -> Outcome {
    Outcome::Bounced(Refusal {
        status: EnhancedStatus::new(5, 1, 1),
        reply: Some(reply(550, "5.1.1", text)),
        reason: String::new(),
        relay: Some("mx.b.test[192.0.2.1]:25".into()),
    })
}

fn deferred() -> Outcome {
    Outcome::Deferred(Refusal::ours(
        EnhancedStatus::new(4, 4, 1),
        "connect: connection refused",
    ))
}

fn delivered(relay: &str, passed_dsn: bool) -> Outcome {
    Outcome::Delivered(Receipt {
        reply: reply(250, "2.0.0", "Ok: queued"),
        relay: relay.into(),
        passed_dsn,
    })
}

fn settled(address: &str, outcome: Outcome) -> Settled {
    Settled {
        recipient: Recipient::plain(address.parse().unwrap()),
        outcome,
        may_be_duplicate: false,
    }
}

fn from(sender: &str) -> Envelope {
    Envelope {
        sender: Sender(Some(sender.parse().unwrap())),
        ..Envelope::default()
    }
}

fn context() -> ReportContext {
    ReportContext {
        hostname: "mx.home.test".into(),
        now: Wall(1_795_000_000_000),
        id: MessageId(1_795_000_000_000_001),
    }
}

fn original() -> Original {
    let headers = "From: a@home.test\r\nSubject: hello\r\nMessage-ID: <one@home.test>\r\n";
    Original {
        headers: headers.into(),
        full: Some(format!("{headers}\r\nthe body\r\n").into()),
    }
}

fn shape<'a>(kind: Kind, envelope: &'a Envelope, recipients: &'a [Settled]) -> Shape<'a> {
    Shape {
        kind,
        id: MessageId(7_000_000_000_000_000),
        envelope,
        arrived: Wall(1_794_999_000_000),
        expires: Wall(1_795_432_000_000),
        recipients,
    }
}

fn report(kind: Kind, envelope: &Envelope, recipients: &[Settled]) -> String {
    let composed = compose(&context(), &shape(kind, envelope, recipients), &original()).unwrap();
    String::from_utf8(composed.content.to_vec()).unwrap()
}

fn parse(content: &[u8]) -> Message<'_> {
    MessageParser::default().parse(content).unwrap()
}

/// `type/subtype` of the report and of its parts, in order.
fn types(content: &[u8]) -> Vec<String> {
    let message = parse(content);
    let of = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
    };
    message.parts.iter().map(of).collect()
}

/// The value of a field in the text, unfolded.
fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.split("\r\n").skip_while(|line| {
        !line
            .to_lowercase()
            .starts_with(&format!("{}:", name.to_lowercase()))
    });
    let mut value = lines.next()?.split_once(':')?.1.trim().to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push(' ');
        value.push_str(line.trim());
    }
    Some(value)
}
