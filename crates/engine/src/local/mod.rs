//! Local delivery: the postmaster's Maildir.
//!
//! A message is written to `tmp`, synced, moved to `new`, and the directory synced: a reader sees whole
//! messages only, and what is there survives a crash.
//!
//! # Contract
//! * **Delivered means on disk**: content and name are synced before the outcome says so.
//! * **Nothing is overwritten**: names are unique by time, process and queue id.
//! * **Trouble with the disk defers**, and leaves nothing in `tmp` behind.
//! * **Only the roles of this host have a mailbox here**; anybody else bounces (5.1.1).
//! * **Memory is one piece of content**, whatever its size.
//!
//! Lines end in LF in the file, as readers of a Maildir expect. A crash between the move and the
//! settlement delivers once more, under another name.
//!
//! # Not here
//! Who is local (`route`). Accounts, quotas, other mailboxes.

mod file;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use remuda_clock::SharedClock;
use remuda_mail::{EnhancedStatus, Outcome, Receipt, Recipient, Refusal, Reply};
use remuda_spool::Queued;

use self::file::{Name, NewFile};
use crate::{
    route,
    session::content::{ContentSource, Unreadable},
    settings::Settings,
};

/// The postmaster's mailbox.
#[derive(Clone)]
pub struct Maildir {
    directory: PathBuf,
    hostname: Arc<str>,
    clock: SharedClock,
}

/// Why a message is not in the mailbox.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error("{0}")]
    Content(#[from] Unreadable),
    #[error("cannot write to the postmaster's Maildir: {0}")]
    Disk(#[from] io::Error),
}

impl Maildir {
    /// The Maildir `mail/postmaster` under `data_dir`; nothing is touched before the first delivery.
    pub fn new(settings: &Settings, clock: SharedClock) -> Self {
        Maildir {
            directory: settings.data_dir.join("mail").join("postmaster"),
            hostname: settings.hostname.clone(),
            clock,
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Delivers one message to one recipient.
    pub async fn deliver(
        &self,
        source: &dyn ContentSource,
        queued: &Queued,
        recipient: &Recipient,
    ) -> Outcome {
        if !route::is_role(&recipient.address) {
            let text = format!("no mailbox {} here", recipient.address);
            return Outcome::Bounced(Refusal::ours(NO_MAILBOX, text));
        }
        match self.write(source, queued, recipient).await {
            Ok(()) => Outcome::Delivered(receipt()),
            Err(error) => {
                tracing::error!(id = %queued.message, directory = %self.directory.display(), %error, "local delivery failed");
                let status = match &error {
                    DeliverError::Disk(error) if is_full(error) => FULL,
                    _ => TROUBLE,
                };
                Outcome::Deferred(Refusal::ours(status, error.to_string()))
            }
        }
    }

    async fn write(
        &self,
        source: &dyn ContentSource,
        queued: &Queued,
        recipient: &Recipient,
    ) -> Result<(), DeliverError> {
        let mut content = source.content(queued.message).await?;
        let mut file = NewFile::create(self.directory.clone(), self.name(queued)).await?;
        file.write(trace(queued, recipient).into()).await?;
        while let Some(piece) = content.next().await? {
            file.write(piece).await?;
        }
        Ok(file.keep().await?)
    }

    /// A name as the Maildir specification wants it, but for the counter that makes it unique.
    fn name(&self, queued: &Queued) -> Name {
        let millis = self.clock.now().wall.0.max(0);
        let (seconds, micros) = (millis / 1000, millis % 1000 * 1000);
        let process = std::process::id();
        let safe = |c| {
            if matches!(c, '/' | ':') || char::is_control(c) {
                '_'
            } else {
                c
            }
        };
        Name {
            stem: format!("{seconds}.M{micros}P{process}Q{}", queued.message),
            host: self.hostname.chars().map(safe).collect(),
        }
    }
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

fn receipt() -> Receipt {
    Receipt {
        reply: Reply {
            code: 250,
            enhanced: Some(EnhancedStatus::new(2, 0, 0)),
            text: "delivered to the postmaster's Maildir".into(),
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

/// RFC 3463 X.1.1: bad destination mailbox address.
const NO_MAILBOX: EnhancedStatus = EnhancedStatus::new(5, 1, 1);
/// RFC 3463 X.3.1: mail system full.
const FULL: EnhancedStatus = EnhancedStatus::new(4, 3, 1);
/// RFC 3463 X.3.0: other mail system status.
const TROUBLE: EnhancedStatus = EnhancedStatus::new(4, 3, 0);

#[cfg(test)]
mod tests;
