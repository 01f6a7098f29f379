//! The part for people.

use remuda_mail::{Outcome, Refusal};
use remuda_spool::model::Settled;

use super::{
    Kind, ReportContext, Shape,
    text::{self, Charset},
};

/// The part's content: what happened, to whom, and what the other side said about it.
pub(super) fn write(context: &ReportContext, shape: &Shape<'_>, charset: Charset, is_full: bool) -> String {
    let host = text::token(&context.hostname);
    let mut out = text::fold("", &format!("This is the mail system at host {host}."), "");
    out += "\r\n";
    out += &text::fold("", &opening(shape), "");
    let attached = if is_full { "Your message" } else { "Its header" };
    out += "\r\n";
    out += &text::fold("", &format!("{attached} is attached."), "");
    for one in shape.recipients {
        out += "\r\n";
        out += &recipient(one, charset);
    }
    out
}

fn opening(shape: &Shape<'_>) -> String {
    match shape.kind {
        Kind::Failure => "Your message could not be delivered to the recipients below. \
                          It will not be tried again for them."
            .into(),
        Kind::Delay => format!(
            "Your message has not been delivered to the recipients below yet. This is a warning only: \
             you need not send it again. It will be tried until {}.",
            text::date(shape.expires)
        ),
        Kind::Success => "Your message was delivered to the recipients below, or passed on to a mail \
                          system that sends no further reports."
            .into(),
    }
}

fn recipient(one: &Settled, charset: Charset) -> String {
    let address = text::words(one.recipient.address.as_str(), charset);
    let mut out = text::fold(
        "",
        &format!("<{address}>: {}", story(&one.outcome, charset)),
        MARGIN,
    );
    if let Some(original) = &one.recipient.original {
        let original = text::words(original, charset);
        out += &text::fold(MARGIN, &format!("(addressed as <{original}>)"), MARGIN);
    }
    out
}

fn story(outcome: &Outcome, charset: Charset) -> String {
    match outcome {
        Outcome::Delivered(receipt) if receipt.relay == "local" => "delivered".into(),
        Outcome::Delivered(receipt) => format!(
            "taken by {}, which said: {}",
            text::words(&receipt.relay, charset),
            text::words(&receipt.reply.to_string(), charset)
        ),
        Outcome::Deferred(refusal) | Outcome::Bounced(refusal) => refused(refusal, charset),
    }
}

fn refused(refusal: &Refusal, charset: Charset) -> String {
    let words = text::words(&refusal.words(), charset);
    match &refusal.reply {
        Some(_) => words,
        None if words.is_empty() => format!("no reason is known ({})", refusal.status),
        None => format!("{words} ({})", refusal.status),
    }
}

/// Of every line of a recipient but the first.
const MARGIN: &str = "    ";
