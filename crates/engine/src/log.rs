//! The delivery log: one line per recipient and attempt, with Postfix's field names and meaning
//! (contract.md, "Delivery log").
//!
//! # Contract
//! * **A line per recipient of every delivery that ends**, with what the recipient ended with.
//! * **`delays=a/b/c/d`** adds up: before the active queue, in it, getting a session up to MAIL, and from
//!   MAIL to the final reply; two significant digits and at most two decimals, as Postfix prints them.
//! * **`cache=` stands wherever a session was looked for**, also where none was got, and then with the last
//!   `unfit=` and the `choice=` of the last dial.

use std::{fmt, time::Duration};

use remuda_clock::Now;
use remuda_connection_cache::Unfit;
use remuda_dispatch::{choice::Choice, command::Found, search::Search};
use remuda_mail::{Outcome, TlsProtocol};

use crate::actor::delivery::{Decided, Via};

/// What all lines of one delivery share.
pub struct Subject<'a> {
    /// The queue id.
    pub id: remuda_mail::MessageId,
    /// The sender, empty for `<>`.
    pub sender: &'a str,
    /// When the message came.
    pub arrived: remuda_clock::Wall,
    /// When the entry came into memory.
    pub loaded: Now,
    /// Now.
    pub now: Now,
    /// What was considered for those who got no session.
    pub search: &'a Search,
}

impl Subject<'_> {
    /// How the session was found, why there, and why another was not taken.
    fn found(&self, via: Option<&Via>) -> (Option<Found>, Option<Choice>, Option<Unfit>) {
        let search = self.search;
        match via {
            Some(via) => (via.found, via.choice, via.unfit),
            None => (search.found_nothing(), search.choice(), search.unfit()),
        }
    }
}

/// Writes one recipient's line.
pub fn delivery(subject: &Subject<'_>, decided: &Decided) {
    let via = decided.via.as_deref();
    let (found, choice, unfit) = subject.found(via);
    let ended = via.map_or(subject.now, |via| via.answered).wall;
    let (status, dsn, words) = match &decided.outcome {
        Outcome::Delivered(receipt) => ("sent", receipt.reply.status(), receipt.reply.to_string()),
        Outcome::Deferred(refusal) => ("deferred", refusal.status, refusal.words()),
        Outcome::Bounced(refusal) => ("bounced", refusal.status, refusal.words()),
    };
    tracing::info!(
        target: "delivery",
        id = %subject.id,
        from = %format_args!("<{}>", subject.sender),
        to = %format_args!("<{}>", decided.recipient.address),
        orig_to = decided.recipient.original.as_ref().map(|to| tracing::field::display(format!("<{to}>"))),
        relay = decided.relay().unwrap_or("none"),
        source = via.and_then(|via| via.source).map(tracing::field::display),
        tls = via.and_then(|via| via.tls).map(TlsProtocol::as_str),
        conn_use = via.map(|via| via.uses).filter(|uses| *uses > 1),
        delay = %Seconds(ended.since(subject.arrived)),
        delays = %Delays { subject, via },
        dsn = %dsn,
        status,
        reply = words.as_str(),
        cache = found.map(cache_word),
        choice = choice.map(Choice::as_str),
        unfit = unfit.map(Unfit::as_str),
        duplicate = decided.may_be_duplicate.then_some("possible"),
        "delivery"
    );
}

/// The word of `cache=`.
pub fn cache_word(found: Found) -> &'static str {
    match found {
        Found::Destination => "destination",
        Found::Address => "address",
        Found::Handover => "handover",
        Found::Miss => "miss",
        Found::Off => "off",
    }
}

/// `a/b/c/d`.
struct Delays<'a> {
    subject: &'a Subject<'a>,
    via: Option<&'a Via>,
}

impl fmt::Display for Delays<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject {
            arrived, loaded, now, ..
        } = self.subject;
        let before = loaded.wall.since(*arrived);
        let (active, setup, transfer) = match self.via {
            None => (now.monotonic - loaded.monotonic, Duration::ZERO, Duration::ZERO),
            Some(via) => {
                let started = via.started.monotonic.max(loaded.monotonic);
                let sent = via
                    .mail_sent
                    .map_or(via.answered.monotonic, |sent| sent.monotonic);
                (
                    started - loaded.monotonic,
                    sent - started,
                    via.answered.monotonic - sent,
                )
            }
        };
        write!(
            f,
            "{}/{}/{}/{}",
            Seconds(before),
            Seconds(active),
            Seconds(setup),
            Seconds(transfer)
        )
    }
}

/// A duration as Postfix logs it.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let decimals = match seconds {
            s if s >= 9.95 => 0,
            s if s >= 0.995 => 1,
            _ => 2,
        };
        let text = format!("{seconds:.decimals$}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        f.write_str(text)
    }
}

/// A wall time as RFC 3339, UTC, in seconds.
pub fn timestamp(at: remuda_clock::Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.0.to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_significant_digits_and_two_decimals_at_most() {
        for (millis, text) in [
            (0, "0"),
            (4, "0"),
            (12, "0.01"),
            (128, "0.13"),
            (1250, "1.2"),
            (12_345, "12"),
            (3_600_000, "3600"),
        ] {
            assert_eq!(Seconds(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
