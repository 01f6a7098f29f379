//! A session's message: from the first octet of content to the reply that says it is on disk.
//!
//! # Contract
//! * **250 to a message follows its commit**, and it is scheduled only then.
//! * **What cannot be stored is refused at its end**, for now.
//!
//! # Not here
//! What is written around the content: `transaction`, `trace`, `header`.

use remuda_smtp::server::Answer;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    recipient,
    session::Session,
    store::{self, Store},
    trace::protocol,
    transaction::{Client, Message, Transaction},
};

impl<S: Store, Io: AsyncRead + AsyncWrite + Unpin> Session<S, Io> {
    pub(super) fn begin(&mut self) {
        let (Some(transaction), Some(hello)) = (&mut self.transaction, self.server.hello()) else {
            return;
        };
        let client = Client {
            ip: self.client,
            helo: hello.name.clone(),
            protocol: protocol(
                transaction.envelope.smtputf8,
                hello.extended,
                self.tls.is_some(),
                self.identity.is_some(),
            ),
            tls: self.tls,
            is_ours: self.is_relay || self.identity.is_some(),
        };
        let id = self.shared.store.allocate_id();
        let writer = self.shared.store.writer(id, transaction.expected());
        let stamp = (&*self.snapshot.settings.hostname, self.shared.clock.now().wall);
        self.message = Some(Message::new(writer, id, client, transaction, stamp));
    }

    pub(super) async fn content(&mut self, piece: &[u8]) {
        let Some(message) = &mut self.message else { return };
        let refusal = match message.push(piece).await {
            Ok(()) if message.is_too_large() => recipient::too_large(),
            Ok(()) if message.is_looping() => {
                tracing::warn!(id = %message.id, client = %self.client, "mail loop");
                Answer::new(554, "5.4.6", "Too many hops: the message goes round in circles")
            }
            Ok(()) => return,
            Err(error) => {
                tracing::error!(id = %message.id, %error, "content not stored");
                store::refusal(&error)
            }
        };
        self.message = None;
        self.server.fail_content(refusal);
    }

    pub(super) async fn submit(&mut self) {
        let answer = match (self.transaction.take(), self.message.take()) {
            (Some(transaction), Some(message)) => self.store(transaction, message).await,
            // The machine announces a message only behind both.
            _ => Answer::new(451, "4.3.0", "The message got lost here, send it again"),
        };
        self.answer(answer);
    }

    async fn store(&mut self, transaction: Transaction, message: Message) -> Answer {
        let id = message.id;
        let sender = transaction.envelope.sender.clone();
        let recipients = transaction.recipients();
        let stored = async {
            let message = message.finish(transaction, &self.snapshot.settings).await?;
            let size = message.content.size();
            Ok((self.shared.store.store(message).await?, size))
        };
        match stored.await {
            Ok((queued, size)) => {
                self.shared.metrics.messages.inc();
                self.shared.metrics.bytes.inc_by(size);
                tracing::info!(
                    %id,
                    client = %self.client,
                    from = %format_args!("<{sender}>"),
                    size,
                    recipients,
                    tls = self.tls.map(|tls| tls.protocol.as_str()),
                    login = self.identity.as_ref().map(|login| tracing::field::display(&login.address)),
                    "received"
                );
                (self.shared.accepted)(queued);
                Answer::new(250, "2.0.0", format!("Ok: queued as {id}"))
            }
            Err(error) => {
                let error: remuda_spool::Error = error;
                tracing::error!(%id, client = %self.client, %error, "message not stored");
                store::refusal(&error)
            }
        }
    }
}
