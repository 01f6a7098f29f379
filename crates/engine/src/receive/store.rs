//! What the receiving side needs of the spool.
//!
//! # Contract
//! * **`store` returns after the commit**, or nothing was accepted.

use std::future::Future;

use remuda_mail::MessageId;
use remuda_smtp::server::Answer;
use remuda_spool::{Content, ContentWriter, Error, Expected, NewMessage, Queued, Spool};

/// The spool; tests put failures in between.
pub trait Store: Send + Sync + 'static {
    /// A message is on its way while this is held.
    fn expect(&self) -> Expected;

    /// A queue id for the next message.
    fn allocate_id(&self) -> MessageId;

    /// Begins its content.
    fn writer(&self, id: MessageId, expected: Option<Expected>) -> ContentWriter;

    /// Makes it durable.
    fn store(&self, message: NewMessage<Content>) -> impl Future<Output = Result<Vec<Queued>, Error>> + Send;
}

impl Store for Spool {
    fn expect(&self) -> Expected {
        Spool::expect(self)
    }

    fn allocate_id(&self) -> MessageId {
        Spool::allocate_id(self)
    }

    fn writer(&self, id: MessageId, expected: Option<Expected>) -> ContentWriter {
        Spool::writer(self, id, expected)
    }

    async fn store(&self, message: NewMessage<Content>) -> Result<Vec<Queued>, Error> {
        Spool::store(self, message).await
    }
}

/// What a client is told when its message could not be stored: come back (contract.md, "SMTP replies").
pub(super) fn refusal(error: &Error) -> Answer {
    match error {
        Error::Overloaded | Error::Closed => {
            Answer::new(452, "4.3.2", "Too busy to store the message, try again later")
        }
        _ => Answer::new(452, "4.3.1", "Cannot store the message now, try again later"),
    }
}
