//! MAIL and RCPT, as far as the directory and the routes decide them.
//!
//! # Contract
//! * **A recipient is resolved once**; whom it means goes with the message (G13), everybody once (G12).
//! * **The least of all limits holds for the size**: the sender's domain, the recipients' domains, our own (G15).
//! * **A directory that does not answer is 451**, never a refusal.
//! * **Who is refused is in the log**, with the reply that the client got.

use remuda_directory::{
    model::Mailbox,
    resolve::{ADDRESSES_MAX, From},
};
use remuda_mail::{Address, Recipient, Sender};
use remuda_smtp::server::{Answer, ForwardPath, Rcpt};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{session::Session, store::Store};
use crate::addressing::{Addressed, Asking, Ruling, Verdict};

impl<S: Store, Io: AsyncRead + AsyncWrite + Unpin> Session<S, Io> {
    /// The greatest message that a sender's domain sends.
    pub(super) async fn sender_size_max(&mut self, sender: &Sender) -> Option<u64> {
        let address = sender.0.as_ref()?;
        self.snapshot.addressing.message_size(address).await
    }

    pub(super) async fn rcpt(&mut self, rcpt: Rcpt) {
        let (address, original) = match &rcpt.path {
            ForwardPath::Mailbox(address) => (address.clone(), None),
            ForwardPath::Postmaster => (self.snapshot.postmaster.clone(), Some("postmaster".to_owned())),
        };
        let Ruling {
            verdict,
            message_size,
        } = self.snapshot.addressing.resolve(&address, &self.asking()).await;
        let answer = match verdict {
            Verdict::Accepted(to) => match self.limit_size(message_size) {
                None => {
                    self.add(&rcpt, (&address, original.as_deref()), to);
                    return self.answer(Answer::new(250, "2.1.5", "Ok"));
                }
                Some(refusal) => refusal,
            },
            refused => refusal(&refused),
        };
        tracing::info!(client = %self.client, to = %format_args!("<{address}>"), reply = %answer, "recipient refused");
        self.shared.metrics.refused_recipients.inc();
        self.answer(answer);
    }

    fn asking(&self) -> Asking {
        let transaction = self.transaction.as_ref();
        let sender = transaction.and_then(|transaction| transaction.envelope.sender.0.as_ref());
        let login = self.identity.as_ref();
        let login = login.and_then(|identity| Mailbox::of(&identity.address).ok());
        Asking {
            may_relay: self.is_relay || self.identity.is_some(),
            from: From {
                sender: sender.cloned(),
                login,
            },
            budget: ADDRESSES_MAX
                .saturating_sub(transaction.map_or(0, |transaction| transaction.recipients())),
        }
    }

    /// Holds the message to another limit; the refusal, if it is known to be larger.
    fn limit_size(&mut self, max: Option<u64>) -> Option<Answer> {
        let transaction = self.transaction.as_mut()?;
        transaction.limit_size(max);
        transaction.is_too_large().then(too_large)
    }

    fn add(&mut self, rcpt: &Rcpt, (address, original): (&Address, Option<&str>), to: Vec<Addressed>) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        for addressed in to {
            let is_same = addressed.address == *address && original.is_none();
            let recipient = Recipient {
                original: (!is_same).then(|| original.unwrap_or(address.as_str()).to_owned()),
                address: addressed.address,
                orcpt: rcpt.orcpt.clone(),
                notify: rcpt.notify,
            };
            transaction.add(recipient, addressed.destination);
        }
    }
}

/// RFC 1870 §6.1.
pub(super) fn too_large() -> Answer {
    Answer::new(552, "5.3.4", "Message too large for this domain")
}

fn refusal(verdict: &Verdict) -> Answer {
    match verdict {
        Verdict::NotRelayed => Answer::new(554, "5.7.1", "Relaying refused"),
        Verdict::Refused(refusal) => {
            let (code, status, text) = refusal.reply();
            Answer::new(code, status, text)
        }
        Verdict::Accepted(_) | Verdict::Unavailable(_) => {
            Answer::new(451, "4.3.0", "Directory not available, try again later")
        }
    }
}
