//! Sessions against scripted servers in memory, under paused time.

mod endings;
mod limits;
mod peer;
mod secure;
mod talk;
mod tls;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use remuda_clock::{Clock, SystemClock};
use remuda_dispatch::command::Flight;
use remuda_mail::{DeliveryId, Endpoint, Envelope, Facts, Failure, MessageId, Outcome, Recipient, Sender};
use tokio::sync::mpsc;

use crate::{settings, tls::Clients};

use self::peer::{Peer, Script};
use super::{
    content::{Boxed, Content, ContentSource, Unreadable},
    *,
};

/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(30);

/// A session's task with its ends in the test's hands.
struct Fixture {
    clock: Arc<SystemClock>,
    orders: mpsc::Sender<Order>,
    reports: mpsc::UnboundedReceiver<(SessionId, Report)>,
    peer: Peer,
    deliveries: u64,
}

impl Fixture {
    /// Dials a server that does what `script` says.
    fn new(script: Script) -> Self {
        Fixture::with(script, Store::default())
    }

    fn with(script: Script, store: Store) -> Self {
        let clock = Arc::new(SystemClock::paused());
        let source = script.source;
        let peer = Peer::new(script, clock.clone());
        let (sender, reports) = mpsc::unbounded_channel();
        let order = DialOrder {
            session: SessionId(7),
            endpoint: Endpoint::Tcp("192.0.2.1:25".parse().unwrap()),
            protocol: remuda_mail::Protocol::default(),
            host: "mx.test".into(),
            source,
            helo_name: "us.test".into(),
            connect_timeout: CONNECT,
            security: order::Security::default(),
        };
        let means = Means {
            network: peer.network(),
            clients: clients(clock.clone()),
            source: Arc::new(store),
            gate: None,
            clock: clock.clone(),
        };
        let orders = spawn(order, means, sender);
        Fixture {
            clock,
            orders,
            reports,
            peer,
            deliveries: 0,
        }
    }

    /// What the task says next, but for that it has connected.
    async fn report(&mut self) -> Report {
        loop {
            let (session, report) = self
                .reports
                .recv()
                .await
                .expect("the task reports before it ends");
            assert_eq!(session, SessionId(7));
            if !matches!(report, Report::Connected) {
                return report;
            }
        }
    }

    async fn opened(&mut self) -> Facts {
        match self.report().await {
            Report::Opened(facts) => *facts,
            other => panic!("not opened: {other:?}"),
        }
    }

    async fn dial_failed(&mut self) -> (DialStep, Failure) {
        match self.report().await {
            Report::DialFailed { step, failure } => (step, *failure),
            other => panic!("dialled: {other:?}"),
        }
    }

    fn order(&mut self, addresses: &[&str], content: &str) -> TransactOrder {
        self.deliveries += 1;
        let recipient = |address: &&str| Recipient::plain(address.parse().unwrap());
        TransactOrder {
            delivery: DeliveryId(self.deliveries),
            message: MessageId(1),
            envelope: Arc::new(Envelope {
                sender: Sender(Some("a@b.test".parse().unwrap())),
                ..Envelope::default()
            }),
            size: content.len() as u64,
            smtputf8: false,
            eight_bit: false,
            flight: Flight::Whole,
            reply_within: Duration::from_secs(5),
            recipients: addresses.iter().map(recipient).collect(),
            asked: None,
        }
    }

    /// Orders a transaction of the store's default message and awaits its answer.
    async fn transact(&mut self, addresses: &[&str]) -> Transacted {
        let order = self.order(addresses, HELLO);
        self.run(order).await
    }

    async fn run(&mut self, order: TransactOrder) -> Transacted {
        let (delivery, count) = (order.delivery, order.recipients.len());
        self.orders.send(Order::Transact(Box::new(order))).await.unwrap();
        let answer = self.answer().await;
        assert_eq!((answer.delivery, answer.outcomes.len()), (delivery, count));
        answer
    }

    async fn answer(&mut self) -> Transacted {
        match self.report().await {
            Report::Transacted(answer) => *answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().monotonic.since_start()
    }

    /// Waits until the task and the server are over; answers what the server heard.
    async fn heard(mut self) -> String {
        drop(self.orders);
        while self.reports.recv().await.is_some() {}
        self.peer.heard().await
    }
}

/// TLS for who trusts nobody in particular.
fn clients(clock: SharedClock) -> Arc<Clients> {
    Arc::new(Clients::new(&settings::Tls::default(), &clock).unwrap())
}

/// The message of most tests.
const HELLO: &str = "Subject: hello\r\n\r\n.dot\r\n";

/// Contents for tests; every message has the same.
struct Store {
    pieces: Vec<Bytes>,
    size: u64,
    fails: bool,
    panics: bool,
}

impl Default for Store {
    fn default() -> Self {
        Store::of(vec![Bytes::from_static(HELLO.as_bytes())])
    }
}

impl Store {
    fn of(pieces: Vec<Bytes>) -> Self {
        Store {
            size: pieces.iter().map(|piece| piece.len() as u64).sum(),
            pieces,
            fails: false,
            panics: false,
        }
    }
}

impl ContentSource for Store {
    fn content(&self, _: MessageId) -> Boxed<'_, Result<Box<dyn Content>, Unreadable>> {
        assert!(!self.panics, "the store is broken");
        let reading = Reading {
            pieces: self.pieces.clone().into_iter(),
            size: self.size,
            fails: self.fails,
        };
        Box::pin(async move { Ok(Box::new(reading) as Box<dyn Content>) })
    }
}

struct Reading {
    pieces: std::vec::IntoIter<Bytes>,
    size: u64,
    fails: bool,
}

impl Content for Reading {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Unreadable>> {
        let piece = self.pieces.next();
        let fails = self.fails && piece.is_none();
        Box::pin(async move {
            if fails {
                return Err(Unreadable("disk".into()));
            }
            Ok(piece)
        })
    }
}

fn word(outcome: &Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Delivered(_)) => "delivered",
        Some(Outcome::Deferred(_)) => "deferred",
        Some(Outcome::Bounced(_)) => "bounced",
        None => "open",
    }
}

fn words(answer: &Transacted) -> String {
    answer.outcomes.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn free(answer: &Transacted) -> &Facts {
    match &answer.session {
        After::Free(facts) => facts,
        After::Going | After::Gone => panic!("gone: {answer:?}"),
    }
}

fn failed(answer: &Transacted) -> &Failure {
    match &answer.cause {
        Undecided::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}
