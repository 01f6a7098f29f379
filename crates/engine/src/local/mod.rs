//! Local delivery: Maildirs, of accounts and of the postmaster.
//!
//! A message is written to `tmp`, synced, moved to `new`, and the directory synced: a reader sees whole
//! messages only, and what is there survives a crash.
//!
//! # Contract
//! * **Delivered means on disk**: content and name are synced before the outcome says so.
//! * **Nothing is overwritten**: names are unique by time, process, count and queue id.
//! * **Trouble with the disk defers**, and leaves nothing in `tmp` behind.
//! * **Who has a mailbox is asked at each attempt**: without one a recipient bounces (5.1.1), and so it does with
//!   a disabled (5.2.1) or full one (5.2.2). While nobody can say it waits, and that is no attempt (D7, D8).
//! * **The roles of this host always have one**, the postmaster's, without a quota; elsewhere a role without a
//!   mailbox of its own has that.
//! * **A slow disk delays local mail only**: at most [`DELIVERIES_MAX`] deliveries are at work at a time.
//! * **Memory is one piece of content** a delivery, whatever its size.
//!
//! Lines end in LF in the file, as readers of a Maildir expect. A crash between the move and the
//! settlement delivers once more, under another name.
//!
//! # Not here
//! Who is local (`route`). LMTP: it goes over sessions like other mail (`session`), past a gate of ours (`standing`).

mod file;
mod mailboxes;
mod quota;
mod standing;
mod template;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use remuda_clock::SharedClock;
use remuda_mail::{Address, EnhancedStatus, Outcome, Receipt, Recipient, Refusal, Reply};
use remuda_spool::Queued;
use tokio::sync::Semaphore;

use self::{
    file::{NewFile, NotKept},
    standing::{LmtpGate, NOT_AVAILABLE, Standing, standing},
    template::{HOME, POSTMASTER},
};
pub use self::{
    mailboxes::{Mailbox, Mailboxes, Nobody},
    template::{NAME_LENGTH_MAX, Template, TemplateError},
};
use crate::{
    session::{
        content::{ContentSource, Unreadable},
        gate::Gate,
    },
    settings::{LocalDelivery, Settings},
};

/// Delivers to Maildirs. One for the engine's life, whatever the configuration is.
pub struct Local {
    mailboxes: Arc<dyn Mailboxes>,
    clock: SharedClock,
    permits: Semaphore,
    /// Messages so far, for their names.
    count: AtomicU64,
}

/// What became of recipients.
#[derive(Debug)]
pub struct Delivered {
    /// One for each, in their order.
    pub outcomes: Vec<Outcome>,
    /// Those who wait do so because nobody could say whether they have a mailbox.
    pub is_unasked: bool,
}

/// A Maildir that is to be written to.
struct Place {
    directory: PathBuf,
    quota: Option<u64>,
    receipt: &'static str,
}

/// Why a message is not in the mailbox.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error("{0}")]
    Content(#[from] Unreadable),
    #[error("cannot write to the Maildir: {0}")]
    Disk(#[from] io::Error),
    #[error("cannot write to the Maildir: {0}")]
    NotKept(#[from] NotKept),
}

impl Local {
    /// Delivers to whom `mailboxes` knows; nothing is touched before the first delivery.
    pub fn new(mailboxes: Arc<dyn Mailboxes>, clock: SharedClock) -> Self {
        Local {
            mailboxes,
            clock,
            permits: Semaphore::new(DELIVERIES_MAX),
            count: AtomicU64::new(0),
        }
    }

    /// Delivers one message to its recipients here.
    pub async fn deliver(
        &self,
        settings: &Settings,
        source: &dyn ContentSource,
        (queued, recipients): (&Queued, &[Recipient]),
    ) -> Delivered {
        let _permit = self.permits.acquire().await;
        let mut outcomes = Vec::with_capacity(recipients.len());
        let (mut unasked, mut waiting) = (0, 0);
        for recipient in recipients {
            let outcome = match self.place(settings, &recipient.address).await {
                Ok(place) => {
                    self.deliver_to(&place, &settings.hostname, source, (queued, recipient))
                        .await
                }
                Err(outcome) => outcome,
            };
            if let Outcome::Deferred(refusal) = &outcome {
                waiting += 1;
                unasked += usize::from(refusal.status == NOT_AVAILABLE);
            }
            outcomes.push(outcome);
        }
        Delivered {
            outcomes,
            is_unasked: waiting > 0 && unasked == waiting,
        }
    }

    /// Who is named to an LMTP server: whom a Maildir would take mail for.
    pub fn gate(&self, settings: &Settings) -> Arc<dyn Gate> {
        Arc::new(LmtpGate {
            mailboxes: self.mailboxes.clone(),
            hostname: settings.hostname.clone(),
        })
    }

    /// Where an address's mail is kept, or what becomes of it without a place.
    async fn place(&self, settings: &Settings, address: &Address) -> Result<Place, Outcome> {
        let quota = match standing(&*self.mailboxes, &settings.hostname, address).await? {
            Standing::Mailbox { quota } => quota,
            Standing::Postmaster => {
                return Ok(Place {
                    directory: postmaster_directory(settings),
                    quota: None,
                    receipt: "delivered to the postmaster's Maildir",
                });
            }
        };
        let LocalDelivery::Maildir(template) = &settings.local else {
            let text = "local mail goes by LMTP since the configuration has changed";
            return Err(Outcome::Deferred(Refusal::ours(TROUBLE, text)));
        };
        match template.directory(&settings.data_dir, address) {
            Some(directory) => Ok(Place {
                directory,
                quota,
                receipt: "delivered to the Maildir",
            }),
            None => {
                let text = format!("{address} is too long for the name of a Maildir");
                Err(Outcome::Bounced(Refusal::ours(TOO_LONG, text)))
            }
        }
    }

    async fn deliver_to(
        &self,
        place: &Place,
        hostname: &str,
        source: &dyn ContentSource,
        (queued, recipient): (&Queued, &Recipient),
    ) -> Outcome {
        let name = self.name(queued, hostname);
        let error = match self.write(place, name, source, (queued, recipient)).await {
            Ok(()) => return Outcome::Delivered(receipt(place.receipt)),
            Err(error) => error,
        };
        if matches!(error, DeliverError::NotKept(NotKept::OverQuota)) {
            let quota = place.quota.unwrap_or_default();
            let text = format!(
                "mailbox {} is full: its quota is {quota} octets",
                recipient.address
            );
            return Outcome::Bounced(Refusal::ours(OVER_QUOTA, text));
        }
        tracing::error!(id = %queued.message, directory = %place.directory.display(), %error, "local delivery failed");
        let status = match &error {
            DeliverError::Disk(error) | DeliverError::NotKept(NotKept::Disk(error)) if is_full(error) => FULL,
            _ => TROUBLE,
        };
        Outcome::Deferred(Refusal::ours(status, error.to_string()))
    }

    async fn write(
        &self,
        place: &Place,
        name: String,
        source: &dyn ContentSource,
        (queued, recipient): (&Queued, &Recipient),
    ) -> Result<(), DeliverError> {
        let mut content = source.content(queued.message).await?;
        let mut file = NewFile::create(place.directory.clone(), name).await?;
        file.write(trace(queued, recipient).into()).await?;
        while let Some(piece) = content.next().await? {
            file.write(piece).await?;
        }
        Ok(file.keep(place.quota, self.time_of_day()).await?)
    }

    /// A name as the Maildir specification wants it.
    fn name(&self, queued: &Queued, hostname: &str) -> String {
        let millis = self.clock.now().wall.0.max(0);
        let (seconds, micros) = (millis / 1000, millis % 1000 * 1000);
        let process = std::process::id();
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let safe = |c| {
            // A comma begins what is told of a message.
            if matches!(c, '/' | ':' | ',') || char::is_control(c) {
                '_'
            } else {
                c
            }
        };
        let host: String = hostname.chars().map(safe).collect();
        format!("{seconds}.M{micros}P{process}R{count}Q{}.{host}", queued.message)
    }

    fn time_of_day(&self) -> SystemTime {
        let millis = self.clock.now().wall.0.max(0).unsigned_abs();
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }
}

/// Where the postmaster's Maildir is.
pub fn postmaster_directory(settings: &Settings) -> PathBuf {
    settings.data_dir.join(Path::new(HOME).join(POSTMASTER))
}

/// RFC 5321 §4.4: final delivery adds the return path. Addresses hold no line breaks.
fn trace(queued: &Queued, recipient: &Recipient) -> String {
    let mut fields = format!("Return-Path: <{}>\r\n", queued.envelope.sender);
    if let Some(original) = &recipient.original {
        let original = original.replace(char::is_control, " ");
        fields += &format!("X-Original-To: {original}\r\n");
    }
    fields + &format!("Delivered-To: {}\r\n", recipient.address)
}

fn receipt(text: &str) -> Receipt {
    Receipt {
        reply: Reply {
            code: 250,
            enhanced: Some(EnhancedStatus::new(2, 0, 0)),
            text: text.into(),
        },
        relay: "local".into(),
        passed_dsn: false,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Deliveries at work at a time. Each has a blocking thread of the runtime at most, which has 512 for all.
pub const DELIVERIES_MAX: usize = 32;

/// RFC 3463 X.2.2: mailbox full.
const OVER_QUOTA: EnhancedStatus = EnhancedStatus::new(5, 2, 2);
/// RFC 3463 X.1.3: bad destination mailbox address syntax.
const TOO_LONG: EnhancedStatus = EnhancedStatus::new(5, 1, 3);
/// RFC 3463 X.3.1: mail system full.
const FULL: EnhancedStatus = EnhancedStatus::new(4, 3, 1);
/// RFC 3463 X.3.0: other mail system status.
const TROUBLE: EnhancedStatus = EnhancedStatus::new(4, 3, 0);

#[cfg(test)]
mod tests;
