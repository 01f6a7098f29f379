//! One message on its way in: from MAIL to the spool.
//!
//! # Contract
//! * **Recipients are grouped by destination**, each group in the order of RCPT; a repeated address counts
//!   once.
//! * **The content is stored behind our trace field**, completed as `header` says, never whole in memory.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use remuda_clock::Wall;
use remuda_mail::{Address, Destination, Envelope, MessageId, Recipient};
use remuda_spool::{Content, ContentWriter, Error, Expected, NewEntry, NewMessage, Origin};

use super::{
    header::{Additions, HeaderPass},
    trace::{Trace, date},
};
use crate::{settings::Settings, tls::Secured};

/// `Received:` fields from which on a message goes round in circles (RFC 5321 §6.3).
pub(super) const HOPS_MAX: usize = 50;

/// An accepted MAIL with its accepted RCPTs.
#[derive(Debug)]
pub(super) struct Transaction {
    pub envelope: Envelope,
    recipients: Vec<(Recipient, Destination)>,
    seen: HashSet<Address>,
    /// SIZE= of MAIL, octets.
    size: Option<u64>,
    /// The least limit of the domains concerned, octets.
    size_max: Option<u64>,
    /// Until the content begins.
    expected: Option<Expected>,
}

impl Transaction {
    pub(super) fn new(envelope: Envelope, size: Option<u64>, expected: Option<Expected>) -> Self {
        Transaction {
            envelope,
            recipients: Vec::new(),
            seen: HashSet::new(),
            size,
            size_max: None,
            expected,
        }
    }

    /// Adds a recipient, unless it is there.
    pub(super) fn add(&mut self, recipient: Recipient, destination: Destination) {
        if self.seen.insert(recipient.address.clone()) {
            self.recipients.push((recipient, destination));
        }
    }

    /// Holds the message to another limit, if there is one.
    pub(super) fn limit_size(&mut self, max: Option<u64>) {
        self.size_max = match (self.size_max, max) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// Answers whether the message is to be larger than a domain takes, by the client's own word.
    pub(super) fn is_too_large(&self) -> bool {
        self.size.zip(self.size_max).is_some_and(|(size, max)| size > max)
    }

    /// Hands over to the content.
    pub(super) fn expected(&mut self) -> Option<Expected> {
        self.expected.take()
    }

    /// How many they are.
    pub(super) fn recipients(&self) -> usize {
        self.recipients.len()
    }

    fn only_recipient(&self) -> Option<&Address> {
        match self.recipients.as_slice() {
            [(recipient, _)] => Some(&recipient.address),
            _ => None,
        }
    }

    fn into_entries(self) -> Vec<NewEntry> {
        let mut entries: Vec<NewEntry> = Vec::new();
        let mut places: HashMap<Destination, usize> = HashMap::new();
        for (recipient, destination) in self.recipients {
            let place = *places.entry(destination.clone()).or_insert_with(|| {
                entries.push(NewEntry {
                    destination,
                    recipients: Vec::new(),
                });
                entries.len() - 1
            });
            entries[place].recipients.push(recipient);
        }
        entries
    }
}

/// Who sends, for the trace.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub ip: IpAddr,
    pub helo: String,
    /// How it speaks, as [`protocol`](super::trace::protocol) says it.
    pub protocol: &'static str,
    /// What it has agreed on with us.
    pub tls: Option<Secured>,
    /// It is one of ours: in `relay.networks`, or logged in.
    pub is_ours: bool,
}

/// A message whose content is arriving.
#[derive(Debug)]
pub(super) struct Message {
    pub id: MessageId,
    client: Client,
    arrived: Wall,
    header: HeaderPass,
    /// Octets that have come, and may come.
    size: u64,
    size_max: Option<u64>,
    /// What the header pass made, not written yet.
    made: Vec<u8>,
    writer: ContentWriter,
}

impl Message {
    /// Begins with the trace field.
    pub(super) fn new(
        writer: ContentWriter,
        id: MessageId,
        client: Client,
        transaction: &Transaction,
        (hostname, arrived): (&str, Wall),
    ) -> Self {
        let trace = Trace {
            helo: &client.helo,
            client: client.ip,
            tls: client.tls.as_ref(),
            hostname,
            protocol: client.protocol,
            id,
            recipient: transaction.only_recipient(),
            arrived,
        };
        let made = trace.field().into_bytes();
        // RFC 6409 §8: for our own clients, not for mail that passes through.
        let additions = if client.is_ours {
            Additions {
                date: Some(format!("Date: {}\r\n", date(arrived))),
                message_id: Some(format!("Message-ID: <{id}@{hostname}>\r\n")),
            }
        } else {
            Additions::default()
        };
        Message {
            id,
            client,
            arrived,
            header: HeaderPass::new(additions),
            size: 0,
            size_max: transaction.size_max,
            made,
            writer,
        }
    }

    /// Takes a piece of content.
    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.size += piece.len() as u64;
        let body = self.header.pass(piece, &mut self.made);
        if !self.made.is_empty() {
            self.writer.write(&self.made).await?;
            self.made = Vec::new();
        }
        if body.is_empty() {
            Ok(())
        } else {
            self.writer.write(body).await
        }
    }

    /// Answers whether the message is larger than a domain concerned takes.
    pub(super) fn is_too_large(&self) -> bool {
        self.size_max.is_some_and(|max| self.size > max)
    }

    /// Answers whether the message has been through too many hands.
    pub(super) fn is_looping(&self) -> bool {
        self.header.received() > HOPS_MAX
    }

    /// Ends the content: what is to be stored.
    pub(super) async fn finish(
        mut self,
        transaction: Transaction,
        settings: &Settings,
    ) -> Result<NewMessage<Content>, Error> {
        self.header.finish(&mut self.made);
        self.writer.write(&self.made).await?;
        let delivery = &settings.delivery;
        let (lifetime, warning) = if transaction.envelope.sender.is_null() {
            // Nobody is there to be warned.
            (delivery.bounce_lifetime, None)
        } else {
            (delivery.queue_lifetime, delivery.delay_warning)
        };
        let expires = self.arrived + lifetime;
        Ok(NewMessage {
            id: self.id,
            envelope: transaction.envelope.clone(),
            origin: Origin {
                client: self.client.ip.to_string(),
                helo: self.client.helo,
                protocol: self.client.protocol.to_owned(),
            },
            arrived: self.arrived,
            expires,
            notice: warning.map_or(expires, |after| expires.min(self.arrived + after)),
            content: self.writer.finish().await?,
            entries: transaction.into_entries(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_grouped_by_destination_and_repeated_ones_count_once() {
        let mut transaction = Transaction::new(Envelope::default(), None, None);
        for address in ["a@x.test", "b@y.test", "c@x.test", "a@X.test"] {
            let address: Address = address.parse().unwrap();
            let destination = Destination::from_key(address.domain().as_str());
            transaction.add(Recipient::plain(address), destination);
        }
        assert_eq!(transaction.recipients(), 3);
        assert_eq!(transaction.only_recipient(), None);
        let entries = transaction.into_entries();
        let shown = |entry: &NewEntry| (entry.destination.to_string(), entry.recipients.len());
        let shown: Vec<_> = entries.iter().map(shown).collect();
        assert_eq!(shown, [("x.test".to_owned(), 2), ("y.test".to_owned(), 1)]);
    }
}
