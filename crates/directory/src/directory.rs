//! The directory: look-ups from memory, changes through it, and the database's own word of changes.
//!
//! # Contract
//! * **A change that has returned is seen by every later look-up** (read your writes): the caches have forgotten
//!   what it touched before its caller hears of it, also when the caller is gone, or when it is not known whether
//!   it was committed (B14).
//! * **What the database pushes is forgotten at once**; where it may have missed something, everything is.
//!
//! # Not here
//! What an address means ([`crate::resolve`]), passwords ([`crate::credentials`]), switches of the cache
//! ([`crate::switches`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock};
use remuda_object_cache::{Cause, KeyRef, Source};
use tokio::sync::{mpsc, watch};

use crate::{
    caches::{Caches, Shelved},
    credentials::Credentials,
    found::{Found, Origin},
    load_times::LoadCounts,
    loader::Loader,
    model::{Kind, Object},
    ours,
    store::{
        By, ChangeError, Changed, Deletion, Import, ImportError, Imported, Missed, Page, Pushed, Store,
        StoreError, Touched,
    },
    switches::Switches,
};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) caches: Caches,
    pub(crate) loader: Arc<Loader>,
    pub(crate) clock: SharedClock,
    pub(crate) switches: Switches,
    pub(crate) credentials: Credentials,
    is_push_up: AtomicBool,
}

impl Directory {
    /// A directory over a store. Call [`tend`](Self::tend) for the database's own word of changes.
    pub fn new(store: Arc<dyn Store>, switches: Switches, clock: SharedClock) -> Self {
        let caches = Caches::new(switches.is_enabled(), |kind| switches.limits(kind));
        let news = caches.news().clone();
        let loader = Arc::new(Loader::new(store.clone(), clock.clone(), news));
        let inner = Inner {
            store,
            caches,
            loader,
            clock,
            switches,
            credentials: Credentials::new(),
            is_push_up: AtomicBool::new(false),
        };
        Directory {
            inner: Arc::new(inner),
        }
    }

    /// Hears of changes by others and gives memory back, until it is dropped.
    pub async fn tend(self) {
        let (tell, mut told) = mpsc::channel(PUSHED_MAX);
        let watching = self.inner.store.clone().watch(tell);
        let hearing = async {
            while let Some(pushed) = told.recv().await {
                self.hear(pushed);
            }
        };
        let sweeping = async {
            loop {
                self.inner.clock.sleep_until(self.now() + SWEEP_PAUSE).await;
                self.inner.caches.sweep(self.now());
            }
        };
        tokio::select! {
            () = async { tokio::join!(watching, hearing); } => {}
            () = sweeping => {}
        }
    }

    fn hear(&self, pushed: Pushed) {
        let inner = &self.inner;
        match pushed {
            Pushed::Changed(touched) => {
                let source = match inner.store.is_polled() {
                    true => Source::Poll,
                    false => Source::Push,
                };
                inner.caches.forget(&touched, source);
            }
            Pushed::Flush(why) => {
                tracing::debug!(?why, "object cache flushed");
                inner.caches.clear_all(cause(why));
            }
            Pushed::Up => inner.is_push_up.store(true, Ordering::Relaxed),
            Pushed::Down(reason) => {
                if inner.is_push_up.swap(false, Ordering::Relaxed) {
                    tracing::warn!(
                        reason,
                        "the directory's changes are not heard of; they show after the TTL"
                    );
                }
            }
        }
    }

    /// Answers whether the database tells of changes.
    pub fn is_push_up(&self) -> bool {
        self.inner.is_push_up.load(Ordering::Relaxed)
    }

    /// Answers whether the database is taken to be down.
    pub fn is_down(&self) -> bool {
        self.inner.loader.is_down()
    }

    /// What the store is, for people.
    pub fn describe(&self) -> String {
        self.inner.store.describe()
    }

    /// Statements sent for look-ups so far.
    pub fn loads(&self) -> u64 {
        self.inner.store.loads()
    }

    /// How long the loads of a kind have taken.
    pub fn load_times(&self, kind: Kind) -> LoadCounts {
        self.inner.loader.times.counts(kind)
    }

    /// Looks an object up by its name in normal form.
    pub async fn find<T: Shelved>(&self, name: &str) -> Found<T> {
        self.find_at(KeyRef::Name(name), self.now()).await
    }

    /// An object that memory has, by its name in normal form: no query.
    pub(crate) fn known<T: Shelved>(&self, name: &str, now: Monotonic) -> Option<Arc<T>> {
        let inner = &self.inner;
        inner
            .loader
            .known(T::shelf(&inner.caches), KeyRef::Name(name), now)
    }

    /// Answers whether a domain in normal form is certainly nobody's here; false: it must be asked for.
    pub fn is_elsewhere(&self, domain: &str) -> bool {
        self.is_elsewhere_at(domain, self.now())
    }

    pub(crate) fn is_elsewhere_at(&self, domain: &str, now: Monotonic) -> bool {
        let inner = &self.inner;
        let ours = inner.caches.ours();
        let ours = ours.and_then(|shelf| inner.loader.known_soon(shelf, KeyRef::Id(ours::ID), now));
        ours.is_some_and(|ours| ours.lacks(domain))
    }

    /// What memory has under a name, past its time too, without a question to the database.
    pub(crate) fn remembered<T: Shelved>(&self, name: &str) -> Option<(Arc<T>, Origin)> {
        let inner = &self.inner;
        inner
            .loader
            .remembered(T::shelf(&inner.caches), KeyRef::Name(name))
    }

    /// Looks an object up by its id.
    pub async fn find_by_id<T: Shelved>(&self, id: i64) -> Found<T> {
        self.find_at(KeyRef::Id(id), self.now()).await
    }

    /// Looks an object up as of `now`, for who has just read the clock.
    pub(crate) async fn find_at<T: Shelved>(&self, key: KeyRef<'_>, now: Monotonic) -> Found<T> {
        let inner = &self.inner;
        inner.loader.find(T::shelf(&inner.caches), key, now).await
    }

    /// Looks an object up in the database itself, as look-ups do: within their time, and not while it is down. What
    /// the cache has of it is forgotten if it is something else.
    pub(crate) async fn find_anew<T: Shelved>(&self, name: &str) -> Found<T> {
        let inner = &self.inner;
        let found = inner.loader.find_anew::<T>(name).await;
        if let Found::Found(object, _) = &found {
            let known = T::shelf(&inner.caches).peek(KeyRef::Name(name), self.now());
            let version = known.and_then(|known| known.value.and(known.version));
            if version != Some(object.head().version) {
                self.forget(&[Touched::One {
                    kind: T::KIND,
                    id: Some(object.head().id),
                    old: Some(name.into()),
                    new: None,
                }]);
            }
        }
        found
    }

    /// Tells of each change of what decides where mail goes (domains, their other names, routes), by us or by
    /// others, also where it is only possible, and when a database that was away answers again: a number that
    /// grows after the caches have forgotten what was before.
    pub fn rerouting(&self) -> watch::Receiver<u64> {
        self.inner.caches.rerouting()
    }

    /// Reads one object from the database, past the cache.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read(&self, kind: Kind, by: By<'_>) -> Result<Option<Object>, StoreError> {
        self.inner.store.load(kind, by).await
    }

    /// Reads objects from the database in order of name, past the cache.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(&self, kind: Kind, page: &Page) -> Result<Vec<Object>, StoreError> {
        self.inner.store.page(kind, page).await
    }

    /// Stores a new object.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn insert(&self, object: Object) -> Result<Object, ChangeError> {
        self.change(move |store| async move { store.insert(object).await })
            .await
    }

    /// Stores an object in place of the one with its id, also under another name.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update(&self, object: Object, based_on: Option<i64>) -> Result<Object, ChangeError> {
        self.change(move |store| async move { store.update(object, based_on).await })
            .await
    }

    /// Removes an object; answers with what it was.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete(&self, kind: Kind, name: &str, how: Deletion) -> Result<Object, ChangeError> {
        let name = name.to_owned();
        self.change(move |store| async move { store.delete(kind, By::Name(&name), how).await })
            .await
    }

    /// Stores all that comes, or nothing of it.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn import(&self, objects: mpsc::Receiver<Import>) -> Result<Imported, ImportError> {
        let directory = self.clone();
        let import = tokio::spawn(async move {
            let inner = &directory.inner;
            let imported = inner.store.import(objects).await;
            match &imported {
                Ok(imported) => inner.caches.forget(&imported.touched, Source::Admin),
                Err(ImportError::Unknown(_)) => inner.caches.clear_all(Cause::Push),
                Err(_) => {}
            }
            imported
        });
        import
            .await
            .unwrap_or_else(|panicked| Err(ImportError::Unknown(panicked.to_string())))
    }

    /// Carries a change out, as a task of its own: a caller that goes away leaves no old value behind.
    async fn change<C, F>(&self, change: C) -> Result<Object, ChangeError>
    where
        C: FnOnce(Arc<dyn Store>) -> F,
        F: Future<Output = Result<Changed, ChangeError>> + Send + 'static,
    {
        let (directory, change) = (self.clone(), change(self.inner.store.clone()));
        let task = tokio::spawn(async move {
            let changed = change.await;
            match &changed {
                Ok(changed) => directory.forget(&changed.touched),
                Err(ChangeError::Unknown { touched, .. }) => directory.forget(touched),
                Err(_) => {}
            }
            changed.map(|changed| changed.object)
        });
        task.await.unwrap_or_else(|panicked| {
            self.inner.caches.clear_all(Cause::Push);
            Err(ChangeError::Unknown {
                reason: panicked.to_string(),
                touched: Vec::new(),
            })
        })
    }

    pub(crate) fn forget(&self, touched: &[Touched]) {
        self.inner.caches.forget(touched, Source::Admin);
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.inner.loader.now()
    }
}

fn cause(why: Missed) -> Cause {
    match why {
        Missed::Connected => Cause::Reconnect,
        Missed::Unreadable => Cause::Push,
        Missed::Pruned | Missed::Replaced => Cause::Poll,
    }
}

/// Words of the database that may wait to be heard.
const PUSHED_MAX: usize = 64;
/// Between two sweeps of the caches.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
