//! Who is to be told what.

use remuda_mail::{Envelope, Outcome};
use remuda_spool::model::Settled;

use super::Kind;

/// One report that has to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// What it says.
    pub kind: Kind,
    /// Of whom; not empty.
    pub recipients: Vec<Settled>,
}

/// The reports that final outcomes call for: at most one failure and one success report. Deferrals call
/// for none here: see [`due_delay`].
pub fn due_reports(envelope: &Envelope, settled: &[Settled]) -> Vec<Due> {
    let failed = |one: &Settled| matches!(one.outcome, Outcome::Bounced(_)) && one.recipient.wants_failure();
    // RFC 3461 §6.2.1 (c): with a DSN host the duty was passed on; else "relayed" is ours to say.
    let succeeded = |one: &Settled| match &one.outcome {
        Outcome::Delivered(receipt) => !receipt.passed_dsn && one.recipient.wants_success(),
        _ => false,
    };
    [
        due(envelope, Kind::Failure, settled, failed),
        due(envelope, Kind::Success, settled, succeeded),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The warning about recipients that wait, when its time has come.
pub fn due_delay(envelope: &Envelope, waiting: &[Settled]) -> Option<Due> {
    due(envelope, Kind::Delay, waiting, |one| {
        !one.outcome.is_final() && one.recipient.wants_delay()
    })
}

fn due(
    envelope: &Envelope,
    kind: Kind,
    settled: &[Settled],
    is_told: impl Fn(&Settled) -> bool,
) -> Option<Due> {
    // RFC 5321 §4.5.5, RFC 3461 §5.2.1 (e): never a report to <>.
    if envelope.sender.is_null() {
        return None;
    }
    let recipients: Vec<Settled> = settled.iter().filter(|one| is_told(one)).cloned().collect();
    (!recipients.is_empty()).then_some(Due { kind, recipients })
}
