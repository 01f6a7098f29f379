//! Loading: one query for each miss, as a task of its own.
//!
//! # Contract
//! * **A caller that goes away ends no load** (C9), and a load that panics is one that failed (C10).
//! * **Loads leave connections to others**: no more than [`LOADS_MAX`] at a time (D15).
//! * **A caller waits [`WAIT_MAX`] at most** (C11); the load goes on.
//! * **The database is spared while it is down** ([`crate::breaker`]).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, before};
use remuda_object_cache::{Answer, Cache, Key, KeyRef, Loaded, LookUp, Ticket};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    breaker::Breaker,
    caches::News,
    found::{Cause, Found, Origin},
    model::Entity,
    store::{By, Store, StoreError},
};

/// What waits for a load.
pub type Waiter<T> = oneshot::Sender<Answer<T>>;

/// What all loads share.
pub(crate) struct Loader {
    store: Arc<dyn Store>,
    clock: SharedClock,
    slots: Semaphore,
    breaker: Mutex<Breaker>,
    /// Told when the database answers again.
    news: News,
}

impl Loader {
    pub(crate) fn new(store: Arc<dyn Store>, clock: SharedClock, news: News) -> Self {
        Loader {
            store,
            clock,
            slots: Semaphore::new(LOADS_MAX),
            breaker: Mutex::default(),
            news,
        }
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.clock.now().monotonic
    }

    /// Answers whether the database is taken to be down.
    pub(crate) fn is_down(&self) -> bool {
        self.breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_open()
    }

    /// Looks an object up.
    pub(crate) async fn find<T: Entity>(
        self: &Arc<Self>,
        cache: &Arc<Cache<T, Waiter<T>>>,
        key: KeyRef<'_>,
    ) -> Found<T> {
        let mut answer = None;
        let waiter = || {
            let (tell, told) = oneshot::channel();
            answer = Some(told);
            tell
        };
        match cache.look_up(key, self.now(), waiter) {
            LookUp::Hit { value, refresh } => {
                if let Some(ticket) = refresh {
                    self.begin(cache.clone(), key.to_key(), ticket);
                }
                return Found::Found(value, Origin::Cache);
            }
            LookUp::Absent => return Found::NotFound(Origin::Cache),
            LookUp::Failing(Some(value)) => return Found::Found(value, Origin::Stale),
            LookUp::Failing(None) => return Found::Unavailable(Cause::Database),
            LookUp::Crowded => return Found::Unavailable(Cause::Crowded),
            LookUp::Joined => {}
            LookUp::Load(ticket) => drop(self.begin(cache.clone(), key.to_key(), ticket)),
            LookUp::Bypass(ticket) => answer = Some(self.begin(cache.clone(), key.to_key(), ticket)),
        }
        match answer {
            Some(answer) => self.wait(answer).await,
            None => Found::Unavailable(Cause::Database),
        }
    }

    /// Looks an object up by name in the database itself.
    pub(crate) async fn find_anew<T: Entity>(self: &Arc<Self>, name: &str) -> Found<T> {
        let query = self.clone().query::<T>(Key::Name(name.into()));
        match before(self.clock.as_ref(), self.now() + WAIT_MAX, query).await {
            Some(loaded) => found(loaded.into()),
            None => Found::Unavailable(Cause::Late),
        }
    }

    async fn wait<T: Entity>(&self, answer: oneshot::Receiver<Answer<T>>) -> Found<T> {
        match before(self.clock.as_ref(), self.now() + WAIT_MAX, answer).await {
            Some(answer) => answer.map_or(Found::Unavailable(Cause::Database), found),
            None => Found::Unavailable(Cause::Late),
        }
    }

    /// Begins a load, and tells its own caller too.
    fn begin<T: Entity>(
        self: &Arc<Self>,
        cache: Arc<Cache<T, Waiter<T>>>,
        key: Key,
        ticket: Ticket,
    ) -> oneshot::Receiver<Answer<T>> {
        let (tell, told) = oneshot::channel();
        let loader = self.clone();
        tokio::spawn(async move {
            let query = tokio::spawn(loader.clone().query::<T>(key));
            let loaded = query.await.unwrap_or_else(|panicked| {
                tracing::error!(%panicked, kind = %T::KIND, "loading an object panicked; this is a defect");
                Loaded::Failed
            });
            let finished = cache.finish(ticket, loaded, loader.now());
            for waiter in finished.waiters {
                // Who is gone needs no answer.
                drop(waiter.send(finished.answer.clone()));
            }
            drop(tell.send(finished.answer));
        });
        told
    }

    async fn query<T: Entity>(self: Arc<Self>, key: Key) -> Loaded<T> {
        let Ok(_slot) = self.slots.acquire().await else {
            return Loaded::Failed;
        };
        if !self.with_breaker(|breaker, now| breaker.may_try(now)) {
            return Loaded::Failed;
        }
        let by = match &key {
            Key::Id(id) => By::Id(*id),
            Key::Name(name) => By::Name(name),
        };
        match self.store.load(T::KIND, by).await {
            Ok(object) => {
                if self.with_breaker(|breaker, _| breaker.succeeded()) {
                    tracing::info!("the directory database answers again");
                    self.news.tell();
                }
                match object.map(T::from_object) {
                    Some(Some(object)) => Loaded::Found(Arc::new(object)),
                    Some(None) => Loaded::Failed,
                    None => Loaded::NotFound,
                }
            }
            Err(error) => {
                self.failed(&error, T::KIND.as_str());
                Loaded::Failed
            }
        }
    }

    fn failed(&self, error: &StoreError, kind: &str) {
        let is_news = match error {
            StoreError::Unavailable(_) => self.with_breaker(Breaker::failed),
            // The next query may be a good one.
            StoreError::Query(_) | StoreError::Senseless { .. } => true,
        };
        if is_news {
            tracing::error!(%error, kind, "the directory cannot be read; mail that needs it is answered with 451");
        }
    }

    fn with_breaker<R>(&self, ask: impl FnOnce(&mut Breaker, Monotonic) -> R) -> R {
        let now = self.now();
        ask(
            &mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        )
    }
}

fn found<T>(answer: Answer<T>) -> Found<T> {
    match answer {
        Answer::Found(value) => Found::Found(value, Origin::Database),
        Answer::NotFound => Found::NotFound(Origin::Database),
        Answer::Stale(value) => Found::Found(value, Origin::Stale),
        Answer::Unavailable => Found::Unavailable(Cause::Database),
    }
}

/// Queries for look-ups at a time.
pub(crate) const LOADS_MAX: usize = 8;
/// How long a caller waits.
const WAIT_MAX: Duration = Duration::from_secs(5);
