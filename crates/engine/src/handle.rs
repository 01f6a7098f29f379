//! The operator's side of the engine: [`Operations`] answered from the actor and the spool.
//!
//! # Contract
//! * **The spool changes first, the actor hears of it next**, and the answer comes after both; the actor
//!   hears of it also when nobody waits for the answer any more, or the spool fails half way.
//! * **A stopping engine says so** instead of keeping anybody waiting.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use remuda_clock::{Monotonic, Now, SharedClock};
use remuda_dispatch::view;
use remuda_mail::{Address, Destination, Endpoint, MessageId};
use remuda_spool::{AGE_BUCKETS, Filter, Spool, State};
use tokio::sync::{mpsc, oneshot};

use crate::{
    actor::{Actor, Input},
    metrics::{HOSTS_SHOWN_MAX, Metrics, Rate, Snapshot},
    operations::*,
    receive,
};

mod change;
mod connections;
mod hosts;
mod names;
mod shown;
mod statistics;

/// Answers the operator.
pub struct Handle {
    inputs: mpsc::UnboundedSender<Input>,
    spool: Spool,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    receiver: Arc<receive::Running<Spool>>,
    started: Monotonic,
    is_stopping: AtomicBool,
    rates: Mutex<Gauged>,
}

/// Counts as they were when last looked at, and the rates that follow.
#[derive(Default)]
struct Gauged {
    received: (u64, Rate),
    delivered: (u64, Rate),
}

impl Handle {
    /// A handle on a running engine.
    pub fn new(
        inputs: mpsc::UnboundedSender<Input>,
        spool: Spool,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        receiver: Arc<receive::Running<Spool>>,
    ) -> Self {
        let started = clock.now().monotonic;
        let (is_stopping, rates) = (AtomicBool::new(false), Mutex::default());
        Handle {
            inputs,
            spool,
            clock,
            metrics,
            receiver,
            started,
            is_stopping,
            rates,
        }
    }

    /// From now on the engine is stopping.
    pub fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Runs `question` in the actor.
    async fn ask<T, F>(&self, question: F) -> Result<T, OperationError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Actor, Now) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let call = Box::new(move |actor: &mut Actor, now: Now| {
            // Who asked may have gone away.
            let _ = answer.send(question(actor, now));
        });
        self.inputs
            .send(Input::Call(call))
            .map_err(|_| OperationError::Stopping)?;
        answered.await.map_err(|_| OperationError::Stopping)
    }

    async fn snapshot(&self) -> Result<Snapshot, OperationError> {
        self.ask(|actor, now| {
            let dispatch = actor.dispatch();
            let busiest = dispatch.breakdown(view::BreakdownBy::Endpoint, HOSTS_SHOWN_MAX);
            Snapshot {
                totals: dispatch.totals(),
                statistics: dispatch.statistics(),
                hosts: dispatch.hosts(now),
                busiest: busiest.rows.into_iter().map(|row| row.name).collect(),
            }
        })
        .await
    }

    /// The rates of the last minute. They are as fine as the page is looked at.
    fn rates(&self, now: Monotonic) -> Rates {
        let mut gauged = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = |gauge: &mut (u64, Rate), count: u64| {
            gauge.1.add(now, count.saturating_sub(gauge.0));
            gauge.0 = count;
            gauge.1.per_second(now)
        };
        let received = self.receiver.metrics().messages.get();
        let delivered = self.metrics.delivered();
        Rates {
            received_per_second: per_second(&mut gauged.received, received),
            delivered_per_second: per_second(&mut gauged.delivered, delivered),
        }
    }

    async fn read_status(&self) -> Result<Status, OperationError> {
        let now = self.clock.now();
        let (totals, plan) = self
            .ask(|actor, _| (actor.dispatch().totals(), actor.plan().clone()))
            .await?;
        let settings = &plan.settings;
        let (admission, _) = self.receiver.admission();
        let health = self.spool.health();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: settings.hostname.to_string(),
            uptime_seconds: (now.monotonic - self.started).as_secs_f64(),
            state: match self.is_stopping.load(Ordering::Relaxed) {
                true => ServiceState::Stopping,
                false => ServiceState::Ready,
            },
            admission: AdmissionStatus {
                state: admission.as_str().to_owned(),
                reason: admission.reason().map(ToString::to_string),
            },
            queue: QueueCounts {
                active: totals.active,
                deferred: totals.waiting.saturating_sub(totals.active),
                held: totals.held,
                destinations: totals.destinations,
            },
            sessions: SessionCounts {
                inbound: self.receiver.sessions() as u64,
                inbound_max: settings.limits.sessions as u64,
                busy: totals.busy_sessions,
                busy_max: u64::from(settings.delivery.sessions),
                parked: totals.parked_sessions,
                parked_max: settings.connection_cache.connections as u64,
            },
            rates: self.rates(now.monotonic),
            spool: SpoolStatus {
                writable: health.writable,
                reason: health.reason,
                writer_delay_ms: health.writer_delay.as_millis() as u64,
                free_disk: health.free_disk,
            },
        })
    }

    async fn read_page(&self, filter: QueueFilter) -> Result<Page, OperationError> {
        let limit = if filter.limit == 0 {
            PAGE_DEFAULT
        } else {
            filter.limit.min(PAGE_MAX)
        };
        let (state, deferred) = match filter.status {
            None => (None, None),
            Some(EntryStatus::Held) => (Some(State::Held), None),
            Some(EntryStatus::Queued) => (Some(State::Waiting), Some(false)),
            Some(EntryStatus::Deferred) => (Some(State::Waiting), Some(true)),
        };
        let filter = Filter {
            destination: self.named_if_any(filter.destination).await?,
            sender: filter.sender,
            state,
            deferred,
            limit,
            after: filter.after,
        };
        let listed = self.spool.list(filter).await.map_err(spool_error)?;
        let next = listed
            .last()
            .filter(|_| listed.len() == limit)
            .map(|last| last.queued.id.0);
        Ok(Page {
            entries: listed.into_iter().map(shown::entry).collect(),
            next,
        })
    }

    async fn read_message(&self, id: MessageId) -> Result<MessageShown, OperationError> {
        let shown = self.spool.show(id).await.map_err(spool_error)?;
        shown
            .map(|message| shown::message(id, message))
            .ok_or(OperationError::NoSuchMessage(id))
    }

    async fn read_summary(&self) -> Result<Summary, OperationError> {
        let rows = self
            .spool
            .summary(self.clock.now().wall)
            .await
            .map_err(spool_error)?;
        let names: Vec<Destination> = rows.iter().map(|row| row.destination.clone()).collect();
        let mut suspended: HashMap<Destination, _> = self
            .ask(move |actor, now| {
                let views = names
                    .into_iter()
                    .filter_map(|name| actor.dispatch().destination(&name, now));
                views
                    .filter_map(|view| Some((view.destination, view.suspended?)))
                    .collect()
            })
            .await?;
        let destinations = rows.into_iter().map(|row| {
            let suspension = suspended.remove(&row.destination);
            shown::summary_row(row, suspension)
        });
        Ok(Summary {
            age_minutes: AGE_BUCKETS.to_vec(),
            destinations: destinations.collect(),
        })
    }

    async fn change(&self, verb: Verb, selection: Selection) -> Result<Changed, OperationError> {
        if let Selection::Message(id) = &selection
            && self.spool.show(*id).await.map_err(spool_error)?.is_none()
        {
            return Err(OperationError::NoSuchMessage(*id));
        }
        let selection = match selection {
            Selection::Destination(typed) => {
                let ways: &[names::Way] = match verb {
                    Verb::Delete => &names::IN_FULL,
                    Verb::Retry | Verb::Hold | Verb::Release => &names::FREELY,
                };
                Selection::Destination(self.named(typed, ways).await?)
            }
            other => other,
        };
        let now = self.clock.now().wall;
        let change = change::change(self.inputs.clone(), self.spool.clone(), (verb, selection), now);
        // In a task of its own: who asked may go away, and the actor must hear of it all the same.
        let ended = tokio::spawn(change).await;
        ended.unwrap_or_else(|_| Err(OperationError::Spool("internal error".to_owned())))
    }
}

impl Operations for Handle {
    fn status(&self) -> Pending<'_, Result<Status, OperationError>> {
        Box::pin(self.read_status())
    }

    fn connections(&self, filter: ConnectionFilter) -> Pending<'_, Result<Vec<Connection>, OperationError>> {
        Box::pin(self.read_connections(filter))
    }

    fn retire_parked(&self, filter: ConnectionFilter) -> Pending<'_, Result<RetiredParked, OperationError>> {
        Box::pin(self.retire(filter))
    }

    fn cache_statistics(&self) -> Pending<'_, Result<CacheStatistics, OperationError>> {
        Box::pin(self.read_statistics())
    }

    fn cache_breakdown(
        &self,
        by: BreakdownBy,
        rows_max: usize,
    ) -> Pending<'_, Result<Breakdown, OperationError>> {
        Box::pin(self.read_breakdown(by, rows_max))
    }

    fn hosts(&self, filter: HostFilter) -> Pending<'_, Result<Hosts, OperationError>> {
        Box::pin(self.read_hosts(filter))
    }

    fn forget_host(&self, endpoint: Endpoint) -> Pending<'_, Result<ForgottenHosts, OperationError>> {
        Box::pin(self.forget(endpoint))
    }

    fn queue_list(&self, filter: QueueFilter) -> Pending<'_, Result<Page, OperationError>> {
        Box::pin(self.read_page(filter))
    }

    fn queue_show(&self, id: MessageId) -> Pending<'_, Result<MessageShown, OperationError>> {
        Box::pin(self.read_message(id))
    }

    fn queue_summary(&self) -> Pending<'_, Result<Summary, OperationError>> {
        Box::pin(self.read_summary())
    }

    fn queue_change(&self, verb: Verb, selection: Selection) -> Pending<'_, Result<Changed, OperationError>> {
        Box::pin(self.change(verb, selection))
    }

    fn next_hop(&self, address: Address) -> Pending<'_, Result<String, OperationError>> {
        Box::pin(async move {
            let addressing = self.ask(|actor, _| actor.plan().addressing.clone()).await?;
            let destination = addressing.destination(&address).await;
            let destination = destination.map_err(|why| OperationError::Unroutable(why.to_string()))?;
            Ok(destination.to_string())
        })
    }

    fn metrics_text(&self) -> Pending<'_, Result<String, OperationError>> {
        Box::pin(async { Ok(self.metrics.text(&self.snapshot().await?)) })
    }
}

fn spool_error(error: remuda_spool::Error) -> OperationError {
    OperationError::Spool(error.to_string())
}
