//! Reports in the making: reads the original, lets [`report`](crate::report) write, routes the result.
//!
//! # Contract
//! * **No report is lost for want of the original**: when its content cannot be read, the report goes
//!   without the excerpt.
//! * **Nothing is read for outcomes that nobody is to be told of**, which is the common case.
//!
//! # Limits
//! The header is read up to 64 KiB; whole content up to [`report::FULL_MAX`].

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use remuda_clock::SharedClock;
use remuda_mail::{MessageId, Recipient};
use remuda_spool::{NewEntry, NewMessage, Origin, Queued, Settled, Spool};

use crate::{
    addressing::{Addressed, Addressing},
    report::{self, Due, Kind, Original, ReportContext, Shape},
    settings::Settings,
};

/// What calls for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Outcomes are final.
    Settled,
    /// The delay warning is due.
    Delayed,
}

/// Octets of header read for an excerpt.
const HEADERS_READ_MAX: usize = 64 * 1024;

/// All that composing needs, cheap to make for every settlement.
pub struct Reporter {
    spool: Spool,
    clock: SharedClock,
    addressing: Addressing,
    settings: Arc<Settings>,
}

impl Reporter {
    /// A reporter under the present configuration.
    pub fn new(
        spool: &Spool,
        clock: &SharedClock,
        addressing: &Addressing,
        settings: &Arc<Settings>,
    ) -> Self {
        Reporter {
            spool: spool.clone(),
            clock: clock.clone(),
            addressing: addressing.clone(),
            settings: settings.clone(),
        }
    }

    /// Writes the reports that are due, ready to be stored.
    pub async fn compose(
        &self,
        queued: &Queued,
        settled: &[Settled],
        occasion: Occasion,
    ) -> Vec<NewMessage<Bytes>> {
        let due: Vec<Due> = match occasion {
            Occasion::Settled => report::due_reports(&queued.envelope, settled),
            Occasion::Delayed => report::due_delay(&queued.envelope, settled).into_iter().collect(),
        };
        let mut reports = Vec::with_capacity(due.len());
        for due in due {
            let original = self.read(queued, due.kind).await;
            reports.extend(self.write(queued, &due, &original).await);
        }
        reports
    }

    async fn write(&self, queued: &Queued, due: &Due, original: &Original) -> Option<NewMessage<Bytes>> {
        let now = self.clock.now().wall;
        let id = self.spool.allocate_id();
        let context = ReportContext {
            hostname: self.settings.hostname.clone(),
            now,
            id,
        };
        let shape = Shape {
            kind: due.kind,
            id: queued.message,
            envelope: &queued.envelope,
            arrived: queued.arrived,
            expires: queued.expires,
            recipients: &due.recipients,
        };
        let composed = report::compose(&context, &shape, original)?;
        let to = self.addressing.report_to(&composed.recipient.address).await;
        tracing::info!(id = %queued.message, report = %id, kind = due.kind.as_str(), "report");
        let expires = now + self.settings.delivery.bounce_lifetime;
        Some(NewMessage {
            id,
            envelope: composed.envelope,
            origin: Origin {
                protocol: "DSN".to_owned(),
                ..Origin::default()
            },
            arrived: now,
            expires,
            // Nobody is told of a report's delay.
            notice: expires,
            content: composed.content,
            entries: entries(&composed.recipient, to),
        })
    }

    async fn read(&self, queued: &Queued, kind: Kind) -> Original {
        let full = report::wants_full(kind, &queued.envelope, queued.size);
        let max = if full { usize::MAX } else { HEADERS_READ_MAX };
        match self.read_content(queued.message, max, full).await {
            Ok(content) => Original {
                headers: header_of(&content),
                full: full.then_some(content),
            },
            Err(error) => {
                tracing::warn!(id = %queued.message, %error, "the original could not be read for its report");
                Original::default()
            }
        }
    }

    /// The content up to `max` octets, or, unless `full`, up to the end of its header.
    async fn read_content(
        &self,
        id: MessageId,
        max: usize,
        full: bool,
    ) -> Result<Bytes, remuda_spool::Error> {
        let mut reader = self.spool.content(id).await?;
        let mut content = BytesMut::new();
        while let Some(chunk) = reader.next().await? {
            content.extend_from_slice(&chunk);
            if content.len() >= max || (!full && header_end(&content).is_some()) {
                break;
            }
        }
        Ok(content.freeze())
    }
}

/// A report's recipient with everybody whom its address means, by destination.
fn entries(recipient: &Recipient, to: Vec<Addressed>) -> Vec<NewEntry> {
    let mut entries: Vec<NewEntry> = Vec::new();
    for Addressed {
        address, destination, ..
    } in to
    {
        let is_same = address == recipient.address;
        let one = Recipient {
            original: (!is_same).then(|| recipient.address.to_string()),
            address,
            ..recipient.clone()
        };
        match entries.iter_mut().find(|entry| entry.destination == destination) {
            Some(entry) => entry.recipients.push(one),
            None => entries.push(NewEntry {
                destination,
                recipients: vec![one],
            }),
        }
    }
    entries
}

fn header_of(content: &Bytes) -> Bytes {
    match header_end(content) {
        Some(end) => content.slice(..end),
        None => content.clone(),
    }
}

/// Behind the line break of the last header line.
fn header_end(content: &[u8]) -> Option<usize> {
    memchr::memmem::find(content, b"\r\n\r\n").map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_body_is_all_header() {
        let content = Bytes::from_static(b"A: b\r\n");
        assert_eq!(header_of(&content), content);
        assert_eq!(
            header_of(&Bytes::from_static(b"A: b\r\n\r\nbody")),
            Bytes::from_static(b"A: b\r\n")
        );
    }
}
