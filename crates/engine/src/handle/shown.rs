//! The spool's and the machine's values as the operator sees them.

use remuda_clock::Wall;
use remuda_dispatch::view::{ConnectionView, SessionState};
use remuda_mail::{Clear, MessageId, Tls, TlsProtocol};
use remuda_spool::{AgeRow, Attempt, Considered, Listed, Pending, Queued, Shown, ShownEntry, State};

use crate::operations::*;

pub(super) fn connection(user: Option<&str>, view: ConnectionView) -> Connection {
    Connection {
        session: view.session.0,
        state: match view.state {
            SessionState::Dialling => ConnectionState::Dialling,
            SessionState::Busy => ConnectionState::Busy,
            SessionState::Settling => ConnectionState::Settling,
            SessionState::Parked => ConnectionState::Parked,
            SessionState::Retiring => ConnectionState::Retiring,
        },
        destination: view.destination.to_string(),
        endpoint: view.endpoint.to_string(),
        host: view.host.to_string(),
        source: view.source.map(|source| source.to_string()),
        user: user.map(str::to_owned),
        tls: tls(view.tls.as_ref()).to_owned(),
        clear: clear(view.tls.as_ref()).map(str::to_owned),
        uses: view.uses,
        transactions_max: view.transactions_max,
        age_seconds: view.age.as_secs_f64(),
        idle_seconds: view.idle.as_secs_f64(),
        transaction_ms: view.transaction.map(|wait| wait.as_secs_f64() * 1000.0),
        message: view.message.map(|message| message.to_string()),
    }
}

/// The version; none for a session in clear, nothing known of one that is being opened.
fn tls(tls: Option<&Tls>) -> &'static str {
    match tls {
        None => "-",
        Some(Tls::Clear(_)) => "none",
        Some(tls) => tls.protocol().map_or("none", TlsProtocol::as_str),
    }
}

/// Why a session is in clear.
fn clear(tls: Option<&Tls>) -> Option<&'static str> {
    match tls? {
        Tls::Clear(Clear::ByPolicy) => Some("by policy"),
        Tls::Clear(Clear::NotOffered) => Some("not offered"),
        Tls::Clear(Clear::HandshakeFailed(_)) => Some("handshake failed"),
        Tls::Encrypted { .. } => None,
    }
}

fn status(queued: &Queued) -> EntryStatus {
    match (queued.state, queued.attempts) {
        (State::Held, _) => EntryStatus::Held,
        (State::Waiting, 0) => EntryStatus::Queued,
        (State::Waiting, _) => EntryStatus::Deferred,
    }
}

pub(super) fn entry(listed: Listed) -> QueueEntry {
    let Listed { queued, last } = listed;
    QueueEntry {
        id: queued.message.to_string(),
        entry: queued.id.0,
        status: status(&queued),
        destination: queued.destination.to_string(),
        sender: queued.envelope.sender.to_string(),
        recipients: queued
            .recipients
            .iter()
            .map(|pending| pending.recipient.address.to_string())
            .collect(),
        size: queued.size,
        arrived: queued.arrived.0,
        expires: queued.expires.0,
        due: queued.due.0,
        attempts: queued.attempts,
        reason: last.map(|attempt| attempt.result),
    }
}

pub(super) fn message(id: MessageId, message: Shown) -> MessageShown {
    MessageShown {
        id: id.to_string(),
        sender: message.envelope.sender.to_string(),
        size: message.size,
        arrived: message.arrived.0,
        expires: message.expires.0,
        client: message.origin.client,
        helo: message.origin.helo,
        protocol: message.origin.protocol,
        entries: message.entries.into_iter().map(shown_entry).collect(),
    }
}

fn shown_entry(entry: ShownEntry) -> EntryShown {
    let ShownEntry { queued, attempts } = entry;
    EntryShown {
        entry: queued.id.0,
        status: status(&queued),
        destination: queued.destination.to_string(),
        due: queued.due.0,
        attempts: queued.attempts,
        recipients: queued.recipients.iter().map(recipient).collect(),
        last_attempts: attempts.into_iter().map(attempt).collect(),
    }
}

fn recipient(pending: &Pending) -> RecipientShown {
    let reason = pending
        .last
        .as_ref()
        .map(|last| format!("{}: {}", last.status, last.words()));
    RecipientShown {
        address: pending.recipient.address.to_string(),
        reason,
        may_be_duplicate: pending.may_be_duplicate,
    }
}

fn attempt(attempt: Attempt) -> AttemptShown {
    AttemptShown {
        at: attempt.at,
        relay: attempt.relay,
        result: attempt.result,
        considered: attempt.considered.into_iter().map(considered).collect(),
        considered_more: attempt.considered_more,
    }
}

fn considered(considered: Considered) -> ConsideredShown {
    ConsideredShown {
        by: considered.by,
        endpoint: considered.endpoint,
        session: considered.session,
        verdict: considered.verdict,
        reason: considered.reason,
    }
}

pub(super) fn summary_row(row: AgeRow, suspended: Option<(Wall, String)>) -> SummaryRow {
    let (until, reason) = suspended.map_or((None, None), |(until, reason)| (Some(until.0), Some(reason)));
    SummaryRow {
        destination: row.destination.to_string(),
        total: row.total,
        counts: row.counts.to_vec(),
        suspended_until: until,
        suspended_reason: reason,
    }
}

pub(super) fn selection(selection: &Selection) -> remuda_spool::Selection {
    match selection {
        Selection::Message(id) => remuda_spool::Selection::Message(*id),
        Selection::Destination(destination) => remuda_spool::Selection::Destination(destination.clone()),
        Selection::All => remuda_spool::Selection::All,
    }
}

#[cfg(test)]
mod tests {
    use remuda_clock::Monotonic;
    use remuda_mail::Authenticated;

    use super::*;

    #[test]
    fn a_session_in_clear_says_why() {
        let protocol = TlsProtocol::Tls13;
        let authenticated = Authenticated::Nobody;
        for (tls, why) in [
            (Tls::Clear(Clear::ByPolicy), Some("by policy")),
            (Tls::Clear(Clear::NotOffered), Some("not offered")),
            (
                Tls::Clear(Clear::HandshakeFailed(Monotonic::ZERO)),
                Some("handshake failed"),
            ),
            (
                Tls::Encrypted {
                    protocol,
                    authenticated,
                },
                None,
            ),
        ] {
            assert_eq!(clear(Some(&tls)), why);
        }
        assert_eq!(clear(None), None, "it is being opened");
    }
}
