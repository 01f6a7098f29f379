//! The engine: everything between the configuration and the mail, started, reloaded and stopped as one.
//!
//! # Contract
//! * **Start is all or nothing**: a taken port, an unreadable directory or a damaged spool is an error,
//!   and nothing was changed on disk.
//! * **A reload drops no connection that still fits**; what needs a restart is said.
//! * **Stop accepts nothing more, finishes what is in hand, says QUIT**, within the deadline.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, before};
use remuda_dispatch::event;
use remuda_spool::{Options, Queued, Spool};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use remuda_directory::Directory;

use crate::{
    actor::{Actor, Input, Plan, Surroundings, tell_of_changes},
    addressing::Addressing,
    admission::{Gauge, raise_descriptor_limit, session_budget},
    handle::Handle,
    local::{Local, Mailboxes},
    metrics::Metrics,
    operations::Operations,
    parts::{Opening, Parts},
    receive::{self, Authenticator, Bound, Receiver},
    resolve::Resolver,
    route::Router,
    settings::Settings,
    start_error::StartError,
    tls::Clients,
    vault::Vault,
};

/// A running engine.
pub struct Engine {
    inputs: mpsc::UnboundedSender<Input>,
    clock: SharedClock,
    spool: Spool,
    receiver: Arc<receive::Running<Spool>>,
    handle: Arc<Handle>,
    plan: Mutex<Arc<Plan>>,
    actor: JoinHandle<()>,
    directory: Option<Directory>,
}

impl Engine {
    /// Opens the spool, begins to deliver what waits in it, and then accepts. `listeners`: sockets that
    /// the service manager has bound, used instead of the configured addresses.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(
        settings: Settings,
        listeners: Option<Vec<TcpListener>>,
        clock: SharedClock,
    ) -> Result<Engine, StartError> {
        Engine::start_with(settings, listeners, clock, Parts::default()).await
    }

    /// As [`start`](Self::start), made of other parts.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        mut settings: Settings,
        listeners: Option<Vec<TcpListener>>,
        clock: SharedClock,
        parts: Parts,
    ) -> Result<Engine, StartError> {
        let Parts {
            network,
            watch,
            mailboxes,
            authenticator,
            directory,
        } = parts;
        fit_descriptors(&mut settings)?;
        // Bound before anything is touched: a taken port leaves the disk as it is.
        let bound = receive::bind(&settings, listeners.unwrap_or_default(), &clock)?;
        let mut plan = plan(settings, &clock, None, None)?;
        let settings = plan.settings.clone();
        let spool = open_spool(&settings, &clock).await?;
        let directory = open_directory(directory, &spool).await?;
        plan.addressing = plan.addressing.with(directory.clone());
        let plan = Arc::new(plan);
        let (mailboxes, authenticator) = match &directory {
            Some(directory) => knowing(directory),
            None => (mailboxes, authenticator),
        };
        let backlog = spool
            .backlog()
            .await
            .map_err(|error| spool_error(&settings, error))?;
        let metrics = Arc::new(Metrics::new(&spool));
        let around = Surroundings {
            clock: clock.clone(),
            spool: spool.clone(),
            network,
            local: Arc::new(Local::new(mailboxes, clock.clone())),
            metrics: metrics.clone(),
            watch,
        };
        let (inputs, actor) =
            Actor::spawn(around, plan.clone(), backlog.into_iter().map(described).collect());
        hear_of_changes(directory.as_ref(), &inputs, &clock);
        let started = receiver(&plan, (bound, authenticator), &spool, &clock, &inputs);
        let receiver = or_stop(started, &actor, &spool).await?;
        metrics.register(|registry| receiver.metrics().register(registry));
        let receiver = Arc::new(receiver);
        let handle = Arc::new(Handle::new(
            inputs.clone(),
            spool.clone(),
            clock.clone(),
            metrics,
            receiver.clone(),
        ));
        let plan = Mutex::new(plan);
        Ok(Engine {
            inputs,
            clock,
            spool,
            receiver,
            handle,
            plan,
            actor,
            directory,
        })
    }

    /// The addresses that accept mail.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.receiver.addresses().to_vec()
    }

    /// What the operator may do.
    pub fn operations(&self) -> Arc<dyn Operations> {
        self.handle.clone()
    }

    /// Puts another configuration in force; answers with what of it needs a restart.
    ///
    /// # Errors
    /// The new configuration cannot be used; the old one stays.
    pub async fn reload(&self, mut settings: Settings) -> Result<Vec<String>, StartError> {
        fit_descriptors(&mut settings)?;
        let old = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let notes = keep_what_needs_a_restart(&old.settings, &mut settings);
        let plan = Arc::new(plan(
            settings,
            &self.clock,
            Some(&old.clients),
            self.directory.as_ref(),
        )?);
        self.receiver
            .reload(plan.settings.clone(), plan.addressing.clone())?;
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan.clone();
        // The actor is gone only when the engine stops; then there is nothing to reload.
        let _ = self.inputs.send(Input::Replanned(plan));
        Ok(notes)
    }

    /// Stops: accepts nothing more, finishes what is in hand for at most `deadline`, closes the spool.
    pub async fn stop(&self, deadline: Duration) {
        let until = self.clock.now().monotonic + deadline;
        self.handle.begin_stop();
        let receiving = async {
            if before(&*self.clock, until, self.receiver.stop()).await.is_none() {
                self.receiver.end();
            }
        };
        // Both at once: a client that takes all the time leaves none to say QUIT elsewhere.
        tokio::join!(receiving, self.stop_actor(until));
        self.spool.close().await;
        self.abort();
    }

    async fn stop_actor(&self, until: Monotonic) {
        let (told, ended) = oneshot::channel();
        if self.inputs.send(Input::Stop(told)).is_ok() && before(&*self.clock, until, ended).await.is_none() {
            tracing::warn!(
                "transactions in hand did not end in time; they are tried again after the next start"
            );
            let (logged, told) = oneshot::channel();
            let log = Box::new(move |actor: &mut Actor, now| {
                actor.log_statistics(now);
                let _ = logged.send(());
            });
            if self.inputs.send(Input::Call(log)).is_ok() {
                // The actor waits for nothing; if it is gone, it has logged them.
                let _ = told.await;
            }
        }
    }

    /// Ends at once. What was answered is on disk; what was in flight is repeated after the next start.
    pub fn abort(&self) {
        self.receiver.end();
        self.actor.abort();
    }
}

/// Leaves nothing running if the receiver did not start.
async fn or_stop<T>(
    started: Result<T, receive::Error>,
    actor: &JoinHandle<()>,
    spool: &Spool,
) -> Result<T, receive::Error> {
    if started.is_err() {
        actor.abort();
        spool.close().await;
    }
    started
}

/// Everything in the shell that the configuration decides. Those who spoke TLS before go on, with the sessions
/// that they can resume, if they trust whom they are to trust.
fn plan(
    settings: Settings,
    clock: &SharedClock,
    old: Option<&Arc<Clients>>,
    directory: Option<&Directory>,
) -> Result<Plan, StartError> {
    let resolver = Arc::new(Resolver::new(&settings, clock.clone())?);
    let router = Arc::new(Router::new(&settings));
    let addressing = Addressing::new(router, directory.cloned());
    let new = Arc::new(Clients::new(&settings.delivery.tls, clock)?);
    let clients = old.filter(|old| old.trusts_as(&new)).cloned().unwrap_or(new);
    let vault = Vault::new(&settings);
    Ok(Plan {
        settings: Arc::new(settings),
        addressing,
        resolver,
        clients,
        vault,
    })
}

async fn open_spool(settings: &Settings, clock: &SharedClock) -> Result<Spool, StartError> {
    let data_dir = settings.data_dir.clone();
    let in_data_dir = |error| StartError::DataDir {
        path: data_dir.display().to_string(),
        error,
    };
    std::fs::create_dir_all(&data_dir).map_err(in_data_dir)?;
    let options = Options {
        queue_memory: settings.limits.queue_memory,
        ..Options::new(&data_dir)
    };
    let clock = clock.clone();
    let opened = tokio::task::spawn_blocking(move || Spool::open(options, clock)).await;
    match opened {
        Ok(opened) => opened.map_err(|error| spool_error(settings, error)),
        Err(panic) => Err(in_data_dir(io::Error::other(panic))),
    }
}

/// Opens the directory, if there is one, once everything else is known to be ours.
async fn open_directory(opening: Option<Opening>, spool: &Spool) -> Result<Option<Directory>, StartError> {
    let Some(opening) = opening else {
        return Ok(None);
    };
    match opening.await {
        Ok(directory) => Ok(Some(directory)),
        Err(reason) => {
            spool.close().await;
            Err(StartError::Directory(reason))
        }
    }
}

/// Has the actor told of the directory's changes, for as long as it is there.
fn hear_of_changes(
    directory: Option<&Directory>,
    inputs: &mpsc::UnboundedSender<Input>,
    clock: &SharedClock,
) {
    if let Some(directory) = directory {
        let changes = directory.rerouting();
        tokio::spawn(tell_of_changes(changes, inputs.clone(), clock.clone()));
    }
}

/// Who knows mailboxes and logins, where there is a directory.
fn knowing(directory: &Directory) -> (Arc<dyn Mailboxes>, Option<Arc<dyn Authenticator>>) {
    let directory = Arc::new(directory.clone());
    (directory.clone(), Some(directory))
}

fn spool_error(settings: &Settings, error: remuda_spool::Error) -> StartError {
    StartError::Spool {
        path: settings.data_dir.display().to_string(),
        error,
    }
}

fn receiver(
    plan: &Plan,
    (bound, authenticator): (Bound, Option<Arc<dyn Authenticator>>),
    spool: &Spool,
    clock: &SharedClock,
    inputs: &mpsc::UnboundedSender<Input>,
) -> Result<receive::Running<Spool>, receive::Error> {
    let (health, inputs) = (spool.clone(), inputs.clone());
    Receiver {
        settings: plan.settings.clone(),
        addressing: plan.addressing.clone(),
        store: spool.clone(),
        clock: clock.clone(),
        gauge: Arc::new(Gauge::new(clock.clone(), move || health.health())),
        accepted: Arc::new(move |entries: Vec<Queued>| {
            // The actor is gone only when the engine has stopped; the spool has the message.
            let _ = inputs.send(Input::Accepted(entries));
        }),
        metrics: receive::Metrics::default(),
        authenticator,
        bound,
    }
    .start()
}

/// Raises the descriptor limit and derives from it how many inbound sessions there is room for.
fn fit_descriptors(settings: &mut Settings) -> Result<(), StartError> {
    let descriptors = raise_descriptor_limit();
    let (busy, parked) = (
        settings.delivery.sessions as usize,
        settings.connection_cache.connections,
    );
    let asked = settings.limits.sessions;
    let room = session_budget(descriptors, asked, busy, parked).map_err(StartError::Descriptors)?;
    if room < asked {
        tracing::warn!(
            descriptors,
            asked,
            room,
            "limits.sessions lowered to fit the descriptor limit"
        );
        settings.limits.sessions = room;
    }
    Ok(())
}

/// Keys that only a start can change stay as they are, and are named.
fn keep_what_needs_a_restart(old: &Settings, new: &mut Settings) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |key: &str| notes.push(format!("{key} changes with the next start"));
    if new.data_dir != old.data_dir {
        note("data_dir");
        new.data_dir = old.data_dir.clone();
    }
    let is_like = new.listeners.len() == old.listeners.len()
        && std::iter::zip(&new.listeners, &old.listeners).all(|(new, old)| new.is_like(old));
    if !is_like {
        note("[[listener]]");
        new.listeners = old.listeners.clone();
    }
    if new.limits.queue_memory != old.limits.queue_memory {
        note("limits.queue_memory");
        new.limits.queue_memory = old.limits.queue_memory;
    }
    notes
}

fn described(backlog: remuda_spool::Backlog) -> event::Backlog {
    let remuda_spool::Backlog {
        destination,
        waiting,
        held,
        due,
    } = backlog;
    event::Backlog {
        destination,
        waiting,
        held,
        due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_said_and_kept() {
        let old = Settings::default();
        let mut new = Settings {
            data_dir: "elsewhere".into(),
            ..Settings::default()
        };
        assert_eq!(
            keep_what_needs_a_restart(&old, &mut new),
            ["data_dir changes with the next start"]
        );
        assert_eq!(new, old);
    }
}
