//! Sessions: one task each, from dial to QUIT. It executes; `dispatch` decides.
//!
//! ```text
//!   spawn ─dial─▶ Opened ─Transact─▶ Transacted{Free} ─Watch─▶ (parked) ─Retire─▶ Ended
//!            │                           │                        │
//!            ▼                           ▼                        ▼
//!       DialFailed                Transacted{Gone}              Died
//! ```
//!
//! # Contract
//! * **Every dial has one answer and every `Transact` one `Transacted`**, in their order, whatever the server,
//!   the network or a panic does; a transaction that arrives while the session dies is answered as unsent.
//! * **Transactions may follow each other** without waiting; one that cannot follow waits for those before.
//! * **Dropping the order sender retires the session**, after the transaction in hand.
//! * **After `DialFailed`, `Transacted` with `Gone`, or `Ended` the task takes no more orders.** After
//!   `Died` it answers orders that were on their way, until the sender is dropped.
//! * **A session says QUIT when it is left in order**, waits a second at most, and has reported before.
//! * **A parked session is read**: whatever comes or its end is its death. What only TLS says (tickets, new
//!   keys) does not come from the server.
//!
//! # Not here
//! What is said on the wire: `remuda_smtp::client`. Where connections come from: `network`.

pub mod content;
pub mod dial;
pub mod gate;
pub(crate) mod guard;
pub mod order;
mod run;
mod spooled;
mod transact;
mod wire;

use std::sync::Arc;

use remuda_clock::{SharedClock, before};
use remuda_dispatch::{
    event::{After, Death, DialStep, Undecided},
    settings::PIPELINE_DEPTH_MAX,
};
use remuda_mail::{Facts, SessionId};
use remuda_smtp::{
    client::{Client, Peer},
    deadlines::client::QUIT,
};
use tokio::sync::mpsc;

pub(crate) use self::transact::undecided;
use self::{
    content::ContentSource,
    dial::{Means, NotOpened},
    gate::Gate,
    guard::{Panicked, guarded},
    order::{DialOrder, Order, Report, TransactOrder, Transacted},
    run::Run,
    transact::our_failure,
    wire::Wire,
};

/// Orders that may wait for a session's task: as many transactions as may be under way, and what ends it.
const ORDERS_MAX: usize = PIPELINE_DEPTH_MAX as usize + 4;

/// Where sessions report to.
pub type Reports = mpsc::UnboundedSender<(SessionId, Report)>;

/// Spawns the task of one session, which dials at once.
pub fn spawn(order: DialOrder, means: Means, reports: Reports) -> mpsc::Sender<Order> {
    let (sender, orders) = mpsc::channel(ORDERS_MAX);
    let task = Task {
        id: order.session,
        relay: Peer::new(&order.host, order.endpoint).relay().clone(),
        orders,
        reports,
    };
    tokio::spawn(async move {
        let clock = means.clock.clone();
        let reports = task.reports.clone();
        let connected = move || drop(reports.send((order.session, Report::Connected)));
        let dialled = dial::dial(&order, means, connected);
        task.run(dialled, &clock).await;
    });
    sender
}

/// The task's ends of the channels.
struct Task {
    id: SessionId,
    relay: Arc<str>,
    orders: mpsc::Receiver<Order>,
    reports: Reports,
}

/// An open session.
struct Session {
    wire: Wire,
    client: Client,
    facts: Facts,
    source: Arc<dyn ContentSource>,
    gate: Option<Arc<dyn Gate>>,
    clock: SharedClock,
}

impl Task {
    async fn run(mut self, dialled: impl Future<Output = Result<Session, NotOpened>>, clock: &SharedClock) {
        let opened = tokio::select! {
            opened = guarded(dialled) => opened,
            // Nothing but the end can be ordered of a session that is not open.
            _ = self.orders.recv() => return self.report(Report::Ended),
        };
        match opened {
            Ok(Ok(session)) => {
                self.report(Report::Opened(Box::new(session.facts.clone())));
                self.serve(session).await;
            }
            Ok(Err(not_opened)) => {
                let NotOpened {
                    step, failure, left, ..
                } = not_opened;
                let failure = Box::new(failure);
                self.report(Report::DialFailed { step, failure });
                if let Some((wire, client)) = left {
                    quit(wire, client, clock).await;
                }
            }
            Err(panicked) => {
                let failure = Box::new(self.struck(&panicked));
                let step = DialStep::Connect;
                self.report(Report::DialFailed { step, failure });
            }
        }
    }

    /// Carries out orders until the session ends.
    async fn serve(mut self, mut session: Session) {
        let mut is_parked = false;
        loop {
            let order = if is_parked {
                tokio::select! {
                    biased;
                    order = self.orders.recv() => order,
                    death = session.wire.disturbed(&mut session.client) => return self.died(session, death).await,
                }
            } else {
                self.orders.recv().await
            };
            match order {
                Some(Order::Transact(order)) => {
                    is_parked = false;
                    match self.transact(&mut session, order).await {
                        Left::Free => {}
                        Left::Spent => {
                            self.answer_the_late();
                            return session.quit().await;
                        }
                        Left::Unsound => return self.answer_the_late(),
                    }
                }
                Some(Order::Watch) => {
                    is_parked = true;
                    session.client.rest();
                }
                Some(Order::Retire) | None => {
                    session.quit().await;
                    return self.report(Report::Ended);
                }
            }
        }
    }

    /// Runs a transaction and those that come while it is under way, and reports each.
    async fn transact(&mut self, session: &mut Session, order: Box<TransactOrder>) -> Left {
        let mut run = Run::new(order);
        let mut left = Left::Free;
        while !run.is_over() {
            match guarded(session.next_result(&mut run, &mut self.orders)).await {
                Ok(transacted) => {
                    run.has_results = true;
                    if transacted.session == After::Gone {
                        left = Left::Spent;
                    }
                    self.report(Report::Transacted(Box::new(transacted)));
                }
                Err(panicked) => {
                    let cause = Undecided::Failed(self.struck(&panicked));
                    for order in run.into_orders() {
                        let transacted = undecided(&order, self.relay.clone(), cause.clone());
                        self.report(Report::Transacted(Box::new(transacted)));
                    }
                    return Left::Unsound;
                }
            }
        }
        left
    }

    /// The session takes no more orders: answers what has come meanwhile.
    fn answer_the_late(&mut self) {
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Transact(order) = order {
                let transacted = undecided(&order, self.relay.clone(), Undecided::Unsent);
                self.report(Report::Transacted(Box::new(transacted)));
            }
        }
    }

    /// A parked session ended or spoke: closes it, and answers whatever was ordered meanwhile.
    async fn died(mut self, session: Session, cause: Death) {
        let (uses, limit_met) = (session.facts.uses, session.client.limit_met());
        drop(session);
        self.report(Report::Died { cause, limit_met });
        while let Some(order) = self.orders.recv().await {
            match order {
                Order::Transact(order) => {
                    let transacted = undecided(&order, self.relay.clone(), Undecided::Unsent);
                    self.report(Report::Transacted(Box::new(Transacted {
                        uses,
                        limit_met,
                        death: Some(cause),
                        ..transacted
                    })));
                }
                Order::Retire => return self.report(Report::Ended),
                Order::Watch => {}
            }
        }
    }

    fn struck(&self, panicked: &Panicked) -> remuda_mail::Failure {
        tracing::error!(session = %self.id, relay = %self.relay, panic = %panicked.0, "a session's task panicked");
        our_failure("internal error while delivering")
    }

    fn report(&self, report: Report) {
        // Nobody listens any more when the program ends.
        let _ = self.reports.send((self.id, report));
    }
}

/// What a transaction left of its session.
enum Left {
    /// All of it.
    Free,
    /// Enough for QUIT, perhaps.
    Spent,
    /// Nothing that may be touched.
    Unsound,
}

impl Session {
    async fn quit(self) {
        quit(self.wire, self.client, &self.clock).await;
    }
}

/// Says QUIT, if the session is in order, and closes it; takes a second at most.
async fn quit(mut wire: Wire, mut client: Client, clock: &SharedClock) {
    client.quit();
    wire.begins();
    let deadline = clock.now().monotonic + QUIT;
    let said = guarded(wire.advance(&mut client));
    // Whether it was said or not: the connection is closed.
    let _ = before(&**clock, deadline, said).await;
}

#[cfg(test)]
mod tests;
