//! The part for programs: message/delivery-status (RFC 3464 §2, RFC 6533 §3).

use remuda_mail::{EnhancedStatus, Outcome, Recipient, Refusal, Reply};
use remuda_spool::model::Settled;

use super::{
    Kind, ReportContext, Shape,
    text::{self, Charset},
};

/// The part's content: one group of fields for the message, one for each recipient.
pub(super) fn write(context: &ReportContext, shape: &Shape<'_>, charset: Charset) -> String {
    let mut out = format!("Reporting-MTA: dns; {}\r\n", text::token(&context.hostname));
    if let Some(envid) = shape.envelope.envid.as_deref().filter(|id| !id.is_empty()) {
        out += &text::fold("Original-Envelope-Id: ", &text::words(envid, charset), " ");
    }
    out += &format!("X-Remuda-Queue-Id: {}\r\n", shape.id);
    out += &format!("Arrival-Date: {}\r\n", text::date(shape.arrived));
    for one in shape.recipients {
        out += "\r\n";
        out += &group(context, shape, one, charset);
    }
    out
}

fn group(context: &ReportContext, shape: &Shape<'_>, one: &Settled, charset: Charset) -> String {
    let facts = Facts::of(&one.outcome);
    let mut out = original_recipient(&one.recipient, charset);
    out += &final_recipient(&one.recipient, charset);
    out += &format!("Action: {}\r\n", action(shape.kind, &one.outcome));
    out += &format!("Status: {}\r\n", facts.status);
    if let Some(host) = facts.relay.and_then(remote_host) {
        out += &format!("Remote-MTA: dns; {host}\r\n");
    }
    if let Some((kind, said)) = facts.diagnostic(charset) {
        out += &text::fold(&format!("Diagnostic-Code: {kind}; "), &said, "    ");
    }
    out += &format!("Last-Attempt-Date: {}\r\n", text::date(context.now));
    if shape.kind == Kind::Delay {
        out += &format!("Will-Retry-Until: {}\r\n", text::date(shape.expires));
    }
    out
}

/// RFC 3461 §6.3 (d): as the ORCPT said, decoded.
fn original_recipient(recipient: &Recipient, charset: Charset) -> String {
    let Some(orcpt) = &recipient.orcpt else {
        return String::new();
    };
    let kind = text::token(&orcpt.address_type);
    let address = if kind.eq_ignore_ascii_case("utf-8") {
        text::utf8_address(&orcpt.address, charset)
    } else {
        text::words(&orcpt.address, charset)
    };
    text::fold(&format!("Original-Recipient: {kind}; "), &address, " ")
}

fn final_recipient(recipient: &Recipient, charset: Charset) -> String {
    let address = recipient.address.as_str();
    if recipient.address.is_ascii() {
        text::fold("Final-Recipient: rfc822; ", address, " ")
    } else {
        text::fold(
            "Final-Recipient: utf-8; ",
            &text::utf8_address(address, charset),
            " ",
        )
    }
}

/// RFC 3464 §2.3.3.
fn action(kind: Kind, outcome: &Outcome) -> &'static str {
    match (kind, outcome) {
        (Kind::Failure, _) => "failed",
        (Kind::Delay, _) => "delayed",
        (Kind::Success, Outcome::Delivered(receipt)) if receipt.relay != LOCAL => "relayed",
        (Kind::Success, _) => "delivered",
    }
}

/// What an outcome tells, whatever it is.
struct Facts<'a> {
    status: EnhancedStatus,
    relay: Option<&'a str>,
    reply: Option<&'a Reply>,
    reason: &'a str,
}

impl<'a> Facts<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Delivered(receipt) => Facts {
                status: receipt.reply.status(),
                relay: Some(receipt.relay.as_str()).filter(|at| *at != LOCAL),
                reply: Some(&receipt.reply).filter(|_| receipt.relay != LOCAL),
                reason: "",
            },
            Outcome::Deferred(refusal) | Outcome::Bounced(refusal) => Facts::of_refusal(refusal),
        }
    }

    fn of_refusal(refusal: &'a Refusal) -> Self {
        Facts {
            status: refusal.status,
            relay: refusal.relay.as_deref(),
            reply: refusal.reply.as_ref(),
            reason: &refusal.reason,
        }
    }

    /// The receiver's words as `smtp`, else ours under a type of our own (RFC 3464 §2.1.2).
    fn diagnostic(&self, charset: Charset) -> Option<(&'static str, String)> {
        match self.reply {
            Some(reply) => Some(("smtp", text::words(&reply.to_string(), charset))),
            None if self.reason.is_empty() => None,
            None => Some(("x-remuda", text::words(self.reason, charset))),
        }
    }
}

/// The host of `host[address]:port`; an address that has no name as a literal.
fn remote_host(relay: &str) -> Option<String> {
    let host = relay.split('[').next().filter(|host| !host.is_empty())?;
    Some(match host.parse::<std::net::IpAddr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => text::token(host),
    })
}

/// The relay of a receipt for a Maildir.
const LOCAL: &str = "local";
