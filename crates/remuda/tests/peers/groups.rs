//! Groups of four messages in one write to real servers, with one refused at each place.
//!
//! What is compared is what the servers kept: sender and recipient of every copy. A server that took a message
//! under the sender of the one before would show here (design: Exim does without RSET between).

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use remuda_mail::{Endpoint, Envelope, Outcome, Recipient, Sender};
use remuda_smtp::client::{self, Client, Finished, Health, Want};
use remuda_testing::{
    exim::Exim,
    peer::{Mode, Peer, REFUSED_SENDER, REFUSED_SUBJECT, UNKNOWN},
    postfix::{Postfix, REFUSALS},
    wait::{PATIENCE, wait_until},
};

/// Which step of the faulty message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Mail,
    Recipient,
    Content,
}

/// One message of a group: each has a sender, a recipient and a content of its own.
struct Message {
    envelope: Envelope,
    recipients: Vec<Recipient>,
    content: String,
}

impl Message {
    fn new(group: &str, place: usize, fault: Option<Fault>) -> Self {
        let sender = match fault {
            Some(Fault::Mail) => REFUSED_SENDER.to_owned(),
            _ => format!("{group}-{place}@source.test"),
        };
        let recipient = match fault {
            Some(Fault::Recipient) => UNKNOWN.to_owned(),
            _ => format!("{group}-{place}"),
        };
        let subject = match fault {
            Some(Fault::Content) => REFUSED_SUBJECT.to_owned(),
            _ => format!("{group}-{place}"),
        };
        Message {
            envelope: Envelope {
                sender: Sender(Some(sender.parse().expect("an address"))),
                ..Envelope::default()
            },
            recipients: vec![Recipient::plain(
                format!("{recipient}@example.test").parse().expect("an address"),
            )],
            content: format!("Subject: {subject}\r\n\r\n{group}-{place}\r\n"),
        }
    }

    fn order(&self) -> client::Order<'_> {
        client::Order {
            envelope: &self.envelope,
            recipients: &self.recipients,
            size: self.content.len() as u64,
            smtputf8: false,
            eight_bit: false,
            whole: Some(self.content.as_bytes()),
        }
    }
}

/// A session by hand.
struct Session {
    stream: TcpStream,
    client: Client,
}

impl Session {
    fn open(peer: &dyn Peer) -> io::Result<Self> {
        let stream = TcpStream::connect(peer.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let name = client::Peer::new(peer.name(), Endpoint::Tcp(peer.address()));
        let mut session = Session {
            stream,
            client: Client::new(name, "us.test".into()),
        };
        while session.client.opening().is_none() {
            session.exchange()?;
        }
        Ok(session)
    }

    /// Writes what there is in one write, and reads once.
    fn exchange(&mut self) -> io::Result<()> {
        let output = self.client.output().to_vec();
        self.stream.write_all(&output)?;
        self.client.wrote(output.len());
        if self.client.want() != Want::Nothing {
            let mut octets = [0; 4096];
            let length = self.stream.read(&mut octets)?;
            assert!(length > 0, "the server hung up");
            self.client.receive(&octets[..length]);
        }
        Ok(())
    }

    /// Sends the messages in one flight.
    fn send(&mut self, messages: &[Message]) -> io::Result<Vec<Finished>> {
        self.client.begin(messages[0].order());
        for message in &messages[1..] {
            assert!(self.client.can_follow());
            self.client.follow(message.order()).expect("begun");
        }
        let mut results = Vec::new();
        while results.len() < messages.len() {
            self.exchange()?;
            results.extend(std::iter::from_fn(|| self.client.finished()));
        }
        Ok(results)
    }
}

fn groups_arrive_under_their_own_names(peer: &dyn Peer) {
    let mut expected = Vec::new();
    for fault in [Fault::Mail, Fault::Recipient, Fault::Content] {
        for place in 0..4 {
            let group = format!("{fault:?}{place}").to_lowercase();
            let message = |at| Message::new(&group, at, (at == place).then_some(fault));
            let messages: Vec<_> = (0..4).map(message).collect();
            let mut session = Session::open(peer).expect("it greets");
            let results = session.send(&messages).expect("it answers");
            for (at, finished) in results.iter().enumerate() {
                let is_refused = at == place;
                let outcome = finished.outcomes[0].as_ref();
                assert_eq!(
                    matches!(outcome, Some(Outcome::Bounced(_))),
                    is_refused,
                    "{group} {at}: {finished:?}\n{}",
                    peer.log()
                );
                assert_eq!(finished.accepted, !is_refused, "{group} {at}: {finished:?}");
                assert!(!finished.is_disorderly, "{group} {at}: {finished:?}");
                if !is_refused {
                    let name = format!("{group}-{at}");
                    expected.push((
                        format!("{name}@source.test"),
                        format!("{name}@example.test"),
                        name,
                    ));
                }
            }
            assert_eq!(results[3].health, Health::Sound, "{group}");
        }
    }
    wait_until(&format!("{} keeps them all", peer.name()), || {
        peer.messages().len() >= expected.len()
    });
    let body = |text: String| text.lines().last().unwrap_or_default().to_owned();
    let mut kept: Vec<_> = peer
        .kept()
        .into_iter()
        .map(|kept| (kept.sender.clone(), kept.recipient.clone(), body(kept.text())))
        .collect();
    kept.sort();
    expected.sort();
    assert_eq!(kept, expected);
}

#[test]
fn a_group_with_one_refused_arrives_at_a_real_postfix_under_its_own_names() {
    let postfix = Postfix::start(Mode::Keep, &REFUSALS).expect("the peer is there");
    groups_arrive_under_their_own_names(&postfix);
}

#[test]
fn a_group_with_one_refused_arrives_at_a_real_exim_under_its_own_names() {
    let exim = Exim::start(Mode::Keep).expect("the peer is there");
    groups_arrive_under_their_own_names(&exim);
}
