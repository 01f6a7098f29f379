//! A run: the sessions at work, and the sums when all messages are decided.
//!
//! # Contract
//! * **Sessions take message after message** until none is left; a slow one takes fewer.
//! * **A session that ends is replaced for the next message**; a message that finds no connection fails.
//! * **A message is sent again only if the server had not begun with it**, once, when a used session is
//!   found dead.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use remuda_clock::SharedClock;
use tokio::{net::lookup_host, task::JoinSet};

use crate::{
    client::{Broken, Client},
    config::{Config, Error},
    message::{Message, Plan},
    report::{Outcome, Report, Result as End, Tally},
    session::{Sent, Session},
};

/// Sends generated messages as `config` has it.
///
/// # Errors
/// When the configuration cannot work or the server's name has no address. A server that cannot be
/// reached is no error: the messages fail.
pub async fn run(config: Config, clock: SharedClock) -> Result<Report, Error> {
    let plan = Plan::generated(&config);
    run_with(config, plan, clock).await
}

/// Sends the messages of `plan`; size and addresses of `config` have no meaning then.
///
/// # Errors
/// As [`run`].
pub async fn run_with(config: Config, plan: Plan, clock: SharedClock) -> Result<Report, Error> {
    config.check()?;
    let addresses: Vec<SocketAddr> = lookup_host(&config.to)
        .await
        .map_err(|error| Error::Resolve {
            server: config.to.clone(),
            error,
        })?
        .collect();
    let began = clock.now().monotonic;
    let job = Arc::new(Job {
        next: AtomicU64::new(0),
        config,
        plan,
        addresses,
        clock: clock.clone(),
    });
    let mut workers = JoinSet::new();
    for _ in 0..job.config.sessions {
        workers.spawn(work(job.clone()));
    }
    let mut tally = Tally::default();
    while let Some(done) = workers.join_next().await {
        match done {
            Ok(worker) => tally.merge(worker),
            Err(error) => resume(error),
        }
    }
    Ok(tally.finish(clock.now().monotonic - began))
}

/// A worker panics only in the caller's plan: the panic is the caller's.
fn resume(error: tokio::task::JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

/// What the workers of a run share.
struct Job {
    next: AtomicU64,
    config: Config,
    plan: Plan,
    addresses: Vec<SocketAddr>,
    clock: SharedClock,
}

impl Job {
    /// The next message nobody has taken.
    fn take(&self) -> Option<u64> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.config.messages).then_some(index)
    }

    /// Connects and says EHLO.
    async fn begin(&self, tally: &mut Tally) -> Result<Session, End> {
        let client = Client::connect(&self.addresses, self.clock.clone(), self.config.timeout).await;
        let client = client.map_err(|broken| match broken {
            Broken::TimedOut => End::TimedOut,
            Broken::Lost | Broken::NoReply => End::NotConnected,
        })?;
        tally.connections += 1;
        Session::begin(client, &self.config.helo_name).await
    }

    /// Sends a message over the session there is, else over a new one: also when the old one turns
    /// out to be dead before the server has begun with the message.
    async fn send(&self, session: &mut Option<Session>, message: &Message, tally: &mut Tally) -> Sent {
        if let Some(mut parked) = session.take() {
            let sent = parked.send(message).await;
            if sent.is_usable {
                *session = Some(parked);
            }
            if !sent.is_untouched {
                return sent;
            }
        }
        let mut fresh = match self.begin(tally).await {
            Ok(fresh) => fresh,
            Err(end) => return Sent::broken(end),
        };
        let sent = fresh.send(message).await;
        if sent.is_usable {
            *session = Some(fresh);
        }
        sent
    }
}

/// Sends messages one after the other until none is left.
async fn work(job: Arc<Job>) -> Tally {
    let mut tally = Tally::default();
    let mut session = None;
    while let Some(index) = job.take() {
        let message = (job.plan.source)(index);
        let began = job.clock.now().monotonic;
        let sent = job.send(&mut session, &message, &mut tally).await;
        let outcome = Outcome {
            index,
            result: sent.end,
            refused_recipients: sent.refused_recipients,
            latency: job.clock.now().monotonic - began,
        };
        tally.add(&outcome);
        if let Some(observer) = &job.plan.observer {
            observer(&outcome);
        }
        if job.config.reconnect
            && let Some(session) = session.take()
        {
            session.end().await;
        }
    }
    if let Some(session) = session {
        session.end().await;
    }
    tally
}
