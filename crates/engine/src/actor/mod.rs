//! The actor: the one task that owns `dispatch`, feeds it events and carries its commands out.
//!
//! ```text
//!   receive ─accepted─▶ ┌────────┐ ─orders──▶ session tasks ─reports─┐
//!   spool ──loaded────▶ │ actor  │ ─load────▶ spool                  │
//!   resolve ─answers──▶ │dispatch│ ─settle──▶ spool (with reports)   │
//!   admin ──queries───▶ └────────┘ ◀─────────────────────────────────┘
//! ```
//!
//! It holds what `dispatch` only counts: the entries in memory with their recipients, the deliveries in
//! hand, the sessions' order channels. Everything that waits (disk, DNS, network) runs in a task of its
//! own and comes back as an [`Input`].
//!
//! # Contract
//! * **It decides nothing.** Every choice is a command of `dispatch`; here are only its consequences.
//! * **Nothing is scheduled before its commit has returned**: `Accepted` inputs come after `store`.
//! * **An entry that was settled or withdrawn is not brought back** by a load that was under way.
//!
//! # Limits
//! The input channel has no bound of its own: what fills it is bounded by sessions, window, the spool's
//! write queue and admission.

mod considered;
pub mod delivery;
mod entries;
mod execute;
#[cfg(test)]
pub mod fixture;
mod headings;
mod inputs;
mod moving;
mod notices;
mod operator;
mod reconsider;
mod settle;
mod taught;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use remuda_clock::{Monotonic, Now, SharedClock};
use remuda_dispatch::{
    Dispatch,
    command::Command,
    event::{Backlog, Event},
};
use remuda_mail::{DeliveryId, Destination, EntryId, SessionId, TlsProtocol, Way};
use remuda_spool::Spool;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use self::{delivery::Delivery, entries::Entries};
use crate::{
    addressing::Addressing,
    local::Local,
    metrics::Metrics,
    network::Network,
    reporting::Reporter,
    resolve::Resolver,
    session::{
        guard::guarded,
        order::{Order, Report},
    },
    settings::Settings,
    tls::Clients,
    vault::Vault,
};
pub use headings::tell_of_changes;
pub use inputs::Input;

/// Told of every command of `dispatch`, before it is carried out.
pub type Watch = Arc<dyn Fn(Now, &Command) + Send + Sync>;

/// What the actor works with and does not own.
pub struct Surroundings {
    /// Time.
    pub clock: SharedClock,
    /// The durable store.
    pub spool: Spool,
    /// Connects sessions.
    pub network: Arc<dyn Network>,
    /// Delivers to Maildirs.
    pub local: Arc<Local>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Who sees the decisions.
    pub watch: Watch,
}

/// What the configuration decides in the shell; replaced as a whole by a reload.
pub struct Plan {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// Where recipients go, by the configuration and by what the directory knows.
    pub addressing: Addressing,
    /// How destinations are found.
    pub resolver: Arc<Resolver>,
    /// How TLS is made.
    pub clients: Arc<Clients>,
    /// Whom routes log in as.
    pub vault: Vault,
}

/// The task's state.
pub struct Actor {
    around: Surroundings,
    plan: Arc<Plan>,
    dispatch: Dispatch,
    entries: Entries,
    deliveries: HashMap<DeliveryId, Delivery>,
    sessions: HashMap<SessionId, Session>,
    inputs: mpsc::UnboundedSender<Input>,
    reports: mpsc::UnboundedSender<(SessionId, Report)>,
    /// Entries whose settlement has not been committed.
    settling: HashSet<EntryId>,
    notices: notices::Watch,
    /// Entries whose end could not be recorded: until the next start nothing is tried with them.
    unrecorded: HashSet<EntryId>,
    /// The operator's changes under way.
    changes: operator::Changes,
    /// Entries on their way to another destination.
    moving: HashSet<EntryId>,
    /// Destinations deferred since the directory did not answer.
    unasked: BTreeSet<Destination>,
    /// Reloads so far.
    reloads: u64,
    /// Told once everything in hand has ended.
    stopping: Option<oneshot::Sender<()>>,
    next_statistics: Monotonic,
    statistics_since: remuda_clock::Wall,
    commands: Vec<Command>,
}

/// What the actor is told.
type Inbox = mpsc::UnboundedReceiver<Input>;
/// What sessions say.
type Reported = mpsc::UnboundedReceiver<(SessionId, Report)>;

/// Turns between two looks at the clock when there is always something to do.
const TURNS_MAX: u64 = 256;

/// A session's task as the actor knows it.
struct Session {
    orders: mpsc::Sender<Order>,
    way: Way,
    dialled: Now,
    is_open: bool,
    tls: Option<TlsProtocol>,
    /// As whom it logs in.
    user: Option<Arc<str>>,
}

impl Actor {
    /// Starts the task on what the spool holds. Inputs go to the sender returned.
    pub fn spawn(
        around: Surroundings,
        plan: Arc<Plan>,
        backlog: Vec<Backlog>,
    ) -> (mpsc::UnboundedSender<Input>, JoinHandle<()>) {
        let (mut actor, inbox, reported) = Actor::new(around, plan);
        let inputs = actor.inputs.clone();
        let task = tokio::spawn(async move {
            let now = actor.around.clock.now();
            actor.handle(Event::Started(backlog), now);
            actor.run(inbox, reported).await;
        });
        (inputs, task)
    }

    /// The state at start, with what it is told by.
    fn new(around: Surroundings, plan: Arc<Plan>) -> (Self, Inbox, Reported) {
        let now = around.clock.now();
        let (inputs, inbox) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::unbounded_channel();
        let seed = now.wall.0.unsigned_abs();
        let actor = Actor {
            dispatch: Dispatch::new(plan.settings.dispatch(seed), now),
            entries: Entries::default(),
            deliveries: HashMap::new(),
            sessions: HashMap::new(),
            inputs,
            reports,
            settling: HashSet::new(),
            notices: notices::Watch::from(now),
            unrecorded: HashSet::new(),
            changes: operator::Changes::default(),
            moving: HashSet::new(),
            unasked: BTreeSet::new(),
            reloads: 0,
            stopping: None,
            next_statistics: now.monotonic + plan.settings.status_update_time,
            statistics_since: now.wall,
            commands: Vec::new(),
            around,
            plan,
        };
        (actor, inbox, reported)
    }

    /// The decisions, to be looked at.
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// As whom an open session is logged in; a reload that takes the credentials away changes nothing of it.
    pub fn user(&self, session: SessionId) -> Option<&str> {
        let known = self.sessions.get(&session).filter(|known| known.is_open)?;
        known.user.as_deref()
    }

    /// The configuration in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Runs until every [`Input`] sender but its own is gone or it has stopped.
    async fn run(mut self, mut inbox: Inbox, mut reports: Reported) {
        for turn in 1_u64.. {
            // However much comes in, what is due by time is not put off for ever.
            if turn.is_multiple_of(TURNS_MAX) {
                self.time_passes();
            }
            let deadline = self.next_deadline();
            let clock = self.around.clock.clone();
            tokio::select! {
                biased;
                Some((session, report)) = reports.recv() => self.session_reports(session, report),
                Some(input) = inbox.recv() => self.take_in(input),
                () = clock.sleep_until(deadline) => self.time_passes(),
            }
            if self.stopping.as_ref().is_some_and(|_| self.is_idle()) {
                self.log_statistics(self.around.clock.now());
                if let Some(told) = self.stopping.take() {
                    let _ = told.send(());
                }
                return;
            }
        }
    }

    fn next_deadline(&self) -> Monotonic {
        self.dispatch
            .next_deadline()
            .unwrap_or(Monotonic::NEVER)
            .min(self.next_statistics)
            .min(self.notices.next())
    }

    fn time_passes(&mut self) {
        let now = self.around.clock.now();
        if now.monotonic >= self.next_statistics {
            self.log_statistics(now);
        }
        self.look_at_notices(now);
        self.handle(Event::Tick, now);
    }

    /// Feeds one event to `dispatch` and carries out what it orders.
    fn handle(&mut self, event: Event, now: Now) {
        let mut commands = std::mem::take(&mut self.commands);
        self.dispatch.handle(event, now, &mut commands);
        for command in commands.drain(..) {
            (self.around.watch)(now, &command);
            self.execute(command, now);
        }
        self.commands = commands;
    }

    fn reporter(&self) -> Reporter {
        let plan = &self.plan;
        Reporter::new(
            &self.around.spool,
            &self.around.clock,
            &plan.addressing,
            &plan.settings,
        )
    }

    /// Nothing is in flight, nothing waits for its commit, no session is open. Dials are nobody's by then.
    fn is_idle(&self) -> bool {
        self.deliveries.is_empty()
            && self.settling.is_empty()
            && self.notices.is_settled()
            && self.sessions.values().all(|session| !session.is_open)
    }
}

/// Runs `work` in a task and sends what it makes of it to the actor; a panic inside becomes `fallen()`.
fn in_background<F, G>(inputs: &mpsc::UnboundedSender<Input>, work: F, fallen: G)
where
    F: Future<Output = Input> + Send + 'static,
    G: FnOnce() -> Input + Send + 'static,
{
    let inputs = inputs.clone();
    tokio::spawn(async move {
        let input = guarded(work).await.unwrap_or_else(|panicked| {
            tracing::error!(?panicked, "a task of the engine panicked; this is a defect");
            fallen()
        });
        // The actor is gone only when the process ends.
        let _ = inputs.send(input);
    });
}
