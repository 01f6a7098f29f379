//! Loading: one query for each miss, as a task of its own.
//!
//! # Contract
//! * **A caller that goes away ends no load** (C9), and a load that panics is one that failed (C10).
//! * **Loads leave connections to others**: no more than [`LOADS_MAX`] at a time (D15).
//! * **A caller waits [`WAIT_MAX`] at most** (C11), and [`WAIT_DOWN_MAX`] while the database is known to be down, then has
//!   what is remembered, if anything; the load goes on. So nobody is still put off for an outage that has ended.
//! * **The database is spared while it is down** ([`crate::breaker`]).
//! * **How long each load took is counted** ([`crate::load_times`]), its wait for a turn included.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, before};
use remuda_object_cache::{Answer, Cache, Cached, Key, KeyRef, Loaded, LookUp, Ticket};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    breaker::Breaker,
    caches::News,
    found::{Cause, Found, Origin},
    load_times::LoadTimes,
    model::{Entity, Kind},
    store::{Answering, By, Store, StoreError},
};

/// What waits for a load.
pub type Waiter<T> = oneshot::Sender<Answer<T>>;

/// What can be read from a store by a key.
pub(crate) trait Loadable: Cached {
    /// The kind that it counts as.
    const KIND: Kind;

    /// One query.
    fn load<'a>(store: &'a dyn Store, by: By<'a>) -> Answering<'a, Result<Loaded<Self>, StoreError>>
    where
        Self: Sized;
}

impl<T: Entity> Loadable for T {
    const KIND: Kind = <T as Entity>::KIND;

    fn load<'a>(store: &'a dyn Store, by: By<'a>) -> Answering<'a, Result<Loaded<T>, StoreError>> {
        Box::pin(async move {
            Ok(
                match store.load(<T as Entity>::KIND, by).await?.map(T::from_object) {
                    Some(Some(object)) => Loaded::Found(Arc::new(object)),
                    Some(None) => Loaded::Failed,
                    None => Loaded::NotFound,
                },
            )
        })
    }
}

/// What all loads share.
pub(crate) struct Loader {
    store: Arc<dyn Store>,
    clock: SharedClock,
    slots: Semaphore,
    breaker: Mutex<Breaker>,
    pub(crate) times: LoadTimes,
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
            times: LoadTimes::default(),
            news,
        }
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }

    /// Answers whether the database is taken to be down.
    pub(crate) fn is_down(&self) -> bool {
        self.breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_open()
    }

    /// An object that memory has as of `now`: no query, and no count but that of a hit. For who has other places to
    /// look before it must be read.
    pub(crate) fn known<T: Loadable>(
        self: &Arc<Self>,
        cache: &Arc<Cache<T, Waiter<T>>>,
        key: KeyRef<'_>,
        now: Monotonic,
    ) -> Option<Arc<T>> {
        let (value, refresh) = cache.hit(key, now)?;
        if let Some(ticket) = refresh {
            self.begin(cache.clone(), key.to_key(), ticket);
        }
        Some(value)
    }

    /// As [`known`](Self::known), and begins to read what is not there; nobody waits for it. A database that is down is
    /// asked by those who wait.
    pub(crate) fn known_soon<T: Loadable>(
        self: &Arc<Self>,
        cache: &Arc<Cache<T, Waiter<T>>>,
        key: KeyRef<'_>,
        now: Monotonic,
    ) -> Option<Arc<T>> {
        let (value, load) = match cache.look_up(key, now, || oneshot::channel().0) {
            LookUp::Hit { value, refresh } => (Some(value), refresh),
            LookUp::Load(ticket) => (None, Some(ticket)),
            LookUp::Absent | LookUp::Joined | LookUp::Bypass(_) | LookUp::Failing(_) | LookUp::Crowded => {
                (None, None)
            }
        };
        match load {
            Some(ticket) if self.is_down() => drop(cache.finish(ticket, Loaded::Failed, now)),
            Some(ticket) => drop(self.begin(cache.clone(), key.to_key(), ticket)),
            None => {}
        }
        value
    }

    /// Looks an object up as of `now`. It has waited unless its origin is the cache.
    pub(crate) async fn find<T: Loadable>(
        self: &Arc<Self>,
        cache: &Arc<Cache<T, Waiter<T>>>,
        key: KeyRef<'_>,
        now: Monotonic,
    ) -> Found<T> {
        let mut answer = None;
        let waiter = || {
            let (tell, told) = oneshot::channel();
            answer = Some(told);
            tell
        };
        match cache.look_up(key, now, waiter) {
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
            Some(answer) => self.wait(cache, key, answer).await,
            None => Found::Unavailable(Cause::Database),
        }
    }

    /// Looks an object up by name in the database itself.
    pub(crate) async fn find_anew<T: Loadable>(self: &Arc<Self>, name: &str) -> Found<T> {
        let query = self.clone().query::<T>(Key::Name(name.into()));
        match before(self.clock.as_ref(), self.now() + self.wait_max(), query).await {
            Some(loaded) => found(loaded.into()),
            None => Found::Unavailable(Cause::Late),
        }
    }

    fn wait_max(&self) -> Duration {
        match self.is_down() {
            true => WAIT_DOWN_MAX,
            false => WAIT_MAX,
        }
    }

    async fn wait<T: Loadable>(
        &self,
        cache: &Cache<T, Waiter<T>>,
        key: KeyRef<'_>,
        answer: oneshot::Receiver<Answer<T>>,
    ) -> Found<T> {
        if let Some(answer) = before(self.clock.as_ref(), self.now() + self.wait_max(), answer).await {
            return answer.map_or(Found::Unavailable(Cause::Database), found);
        }
        match self.remembered(cache, key) {
            Some((value, origin)) => Found::Found(value, origin),
            None => Found::Unavailable(Cause::Late),
        }
    }

    /// What memory has under a key, past its time too, for one who cannot wait for the database.
    pub(crate) fn remembered<T: Loadable>(
        &self,
        cache: &Cache<T, Waiter<T>>,
        key: KeyRef<'_>,
    ) -> Option<(Arc<T>, Origin)> {
        let (value, is_fresh) = cache.remembered(key, self.now())?;
        let origin = if is_fresh { Origin::Cache } else { Origin::Stale };
        Some((value, origin))
    }

    /// Begins a load, and tells its own caller too.
    fn begin<T: Loadable>(
        self: &Arc<Self>,
        cache: Arc<Cache<T, Waiter<T>>>,
        key: Key,
        ticket: Ticket,
    ) -> oneshot::Receiver<Answer<T>> {
        let (tell, told) = oneshot::channel();
        let loader = self.clone();
        tokio::spawn(async move {
            let began = loader.now();
            let query = tokio::spawn(loader.clone().query::<T>(key));
            let loaded = query.await.unwrap_or_else(|panicked| {
                tracing::error!(%panicked, kind = %T::KIND, "loading an object panicked; this is a defect");
                Loaded::Failed
            });
            let now = loader.now();
            loader.times.add(T::KIND, now.since(began));
            let finished = cache.finish(ticket, loaded, now);
            for waiter in finished.waiters {
                // Who is gone needs no answer.
                drop(waiter.send(finished.answer.clone()));
            }
            drop(tell.send(finished.answer));
        });
        told
    }

    /// Asks the database, past the cache: in turn, and not while it is down.
    pub(crate) async fn query<T: Loadable>(self: Arc<Self>, key: Key) -> Loaded<T> {
        let Ok(_slot) = self.slots.acquire().await else {
            return Loaded::Failed;
        };
        let (may_try, sent) = self.with_breaker(|breaker, now| (breaker.may_try(now), now));
        if !may_try {
            return Loaded::Failed;
        }
        let by = match &key {
            Key::Id(id) => By::Id(*id),
            Key::Name(name) => By::Name(name),
        };
        match T::load(&*self.store, by).await {
            Ok(loaded) => {
                if self.with_breaker(Breaker::succeeded) {
                    tracing::info!("the directory database answers again");
                    self.news.tell();
                }
                loaded
            }
            Err(error) => {
                self.failed(&error, T::KIND.as_str(), sent);
                Loaded::Failed
            }
        }
    }

    fn failed(&self, error: &StoreError, kind: &str, sent: Monotonic) {
        let is_news = match error {
            StoreError::Unavailable(_) => self.with_breaker(|breaker, now| breaker.failed(sent, now)),
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
/// How long who tries a database that is down.
const WAIT_DOWN_MAX: Duration = Duration::from_secs(2);
