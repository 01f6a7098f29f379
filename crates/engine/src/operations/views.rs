//! What the machines and the spool show, turned into answers.
//!
//! # Contract
//! * **Nothing shown is left out by accident**: what has public fields is destructured whole.

use remuda_dispatch::view::{
    CacheStatistics as Counted, ConnectionView, DestinationView, SessionState, Totals,
};
use remuda_mail::MessageId;
use remuda_spool::{AGE_BUCKETS, AgeRow, Attempt, Health, Listed, Queued, Shown, ShownEntry, State};

use super::{
    AttemptShown, CacheCounts, Connection, ConnectionFilter, ConnectionState, EntryShown, EntryStatus,
    MessageShown, Page, QueueCounts, QueueEntry, QueueFilter, RecipientShown, SpoolStatus, Summary,
    SummaryRow,
};

impl ConnectionFilter {
    /// Answers whether the session is asked for.
    pub fn takes(&self, view: &ConnectionView) -> bool {
        self.destination
            .as_ref()
            .is_none_or(|wanted| *wanted == view.destination)
            && self
                .endpoint
                .as_ref()
                .is_none_or(|wanted| *wanted == view.endpoint)
    }
}

impl QueueFilter {
    /// The spool's filter for it: with one entry more, which tells whether there is a next page.
    pub fn for_spool(&self) -> remuda_spool::Filter {
        let (state, deferred) = match self.status {
            None => (None, None),
            Some(EntryStatus::Held) => (Some(State::Held), None),
            Some(EntryStatus::Queued) => (Some(State::Waiting), Some(false)),
            Some(EntryStatus::Deferred) => (Some(State::Waiting), Some(true)),
        };
        remuda_spool::Filter {
            destination: self.destination.clone(),
            sender: self.sender.clone(),
            state,
            deferred,
            limit: self.limit.clamp(1, super::PAGE_MAX) + 1,
            after: self.after,
        }
    }

    /// The page from what the spool found with [`for_spool`](Self::for_spool).
    pub fn page(&self, mut found: Vec<Listed>) -> Page {
        let limit = self.limit.clamp(1, super::PAGE_MAX);
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|last| last.queued.id.0);
        Page {
            entries: found.into_iter().map(QueueEntry::from).collect(),
            next,
        }
    }
}

impl From<ConnectionView> for Connection {
    fn from(view: ConnectionView) -> Self {
        let ConnectionView {
            session,
            state,
            destination,
            endpoint,
            host,
            uses,
            age,
            idle,
        } = view;
        Connection {
            session: session.0,
            state: state.into(),
            destination: destination.to_string(),
            endpoint: endpoint.to_string(),
            host: host.to_string(),
            tls: "none".to_owned(),
            uses,
            age_seconds: age.as_secs_f64(),
            idle_seconds: idle.as_secs_f64(),
            transaction_ms: None,
        }
    }
}

impl From<SessionState> for ConnectionState {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Dialling => ConnectionState::Dialling,
            SessionState::Busy => ConnectionState::Busy,
            SessionState::Parked => ConnectionState::Parked,
            SessionState::Retiring => ConnectionState::Retiring,
        }
    }
}

impl From<&Totals> for QueueCounts {
    fn from(totals: &Totals) -> Self {
        QueueCounts {
            active: totals.active,
            deferred: totals.waiting.saturating_sub(totals.active),
            held: totals.held,
            destinations: totals.destinations,
        }
    }
}

impl From<&Counted> for CacheCounts {
    fn from(counted: &Counted) -> Self {
        let Counted {
            destination_hits,
            destination_misses,
            address_hits,
            address_misses,
            max_destinations,
            max_addresses,
            max_connections,
            handovers,
            closed_idle,
            closed_age,
            closed_count,
            closed_evicted,
            closed_dead,
            closed_drained,
            unfit,
        } = counted;
        let closed = [
            ("idle", closed_idle),
            ("age", closed_age),
            ("count", closed_count),
            ("evicted", closed_evicted),
            ("dead", closed_dead),
            ("drained", closed_drained),
        ];
        CacheCounts {
            destination_hits: *destination_hits,
            destination_misses: *destination_misses,
            address_hits: *address_hits,
            address_misses: *address_misses,
            max_destinations: *max_destinations,
            max_addresses: *max_addresses,
            max_connections: *max_connections,
            handovers: *handovers,
            closed: closed
                .into_iter()
                .map(|(cause, count)| (cause.to_owned(), *count))
                .collect(),
            unfit: unfit
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
        }
    }
}

impl From<&Health> for SpoolStatus {
    fn from(health: &Health) -> Self {
        SpoolStatus {
            writable: health.writable,
            reason: health.reason.clone(),
            writer_delay_ms: u64::try_from(health.writer_delay.as_millis()).unwrap_or(u64::MAX),
            free_disk: health.free_disk,
        }
    }
}

fn status_of(queued: &Queued) -> EntryStatus {
    match (queued.state, queued.attempts) {
        (State::Held, _) => EntryStatus::Held,
        (State::Waiting, 0) => EntryStatus::Queued,
        (State::Waiting, _) => EntryStatus::Deferred,
    }
}

impl From<Listed> for QueueEntry {
    fn from(listed: Listed) -> Self {
        let Listed { queued, last } = listed;
        let told = queued
            .recipients
            .iter()
            .find_map(|pending| pending.last.as_ref())
            .map(|refusal| refusal.words());
        QueueEntry {
            id: queued.message.to_string(),
            entry: queued.id.0,
            status: status_of(&queued),
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
            reason: told.or_else(|| last.map(|attempt| attempt.result)),
        }
    }
}

impl MessageShown {
    /// The message as the spool shows it.
    pub fn new(id: MessageId, shown: Shown) -> Self {
        let Shown {
            envelope,
            origin,
            size,
            arrived,
            expires,
            entries,
        } = shown;
        MessageShown {
            id: id.to_string(),
            sender: envelope.sender.to_string(),
            size,
            arrived: arrived.0,
            expires: expires.0,
            client: origin.client,
            helo: origin.helo,
            protocol: origin.protocol,
            entries: entries.into_iter().map(EntryShown::from).collect(),
        }
    }
}

impl From<ShownEntry> for EntryShown {
    fn from(shown: ShownEntry) -> Self {
        let ShownEntry { queued, attempts } = shown;
        let recipients = queued.recipients.iter().map(|pending| RecipientShown {
            address: pending.recipient.address.to_string(),
            reason: pending.last.as_ref().map(|refusal| refusal.words()),
        });
        EntryShown {
            entry: queued.id.0,
            status: status_of(&queued),
            destination: queued.destination.to_string(),
            due: queued.due.0,
            attempts: queued.attempts,
            recipients: recipients.collect(),
            last_attempts: attempts.into_iter().map(AttemptShown::from).collect(),
        }
    }
}

impl From<Attempt> for AttemptShown {
    fn from(attempt: Attempt) -> Self {
        let Attempt { at, relay, result } = attempt;
        AttemptShown { at, relay, result }
    }
}

impl Summary {
    /// The spool's rows, with what `dispatch` knows of suspensions.
    pub fn new(rows: Vec<AgeRow>, destinations: &[DestinationView]) -> Self {
        let row = |row: AgeRow| {
            let suspended = destinations
                .iter()
                .find(|view| view.destination == row.destination)
                .and_then(|view| view.suspended.clone());
            SummaryRow {
                destination: row.destination.to_string(),
                total: row.total,
                counts: row.counts.to_vec(),
                suspended_until: suspended.as_ref().map(|(until, _)| until.0),
                suspended_reason: suspended.map(|(_, reason)| reason),
            }
        };
        Summary {
            age_minutes: AGE_BUCKETS.to_vec(),
            destinations: rows.into_iter().map(row).collect(),
        }
    }
}
