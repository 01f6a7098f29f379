//! A store before a store, for tests: it counts, stops and fails.
//!
//! ```text
//!   who asks ──▶ Double ──▶ BeforeSent ──▶ the real store ──▶ AfterRows ──▶ the answer
//!                  └─ log, faults
//!   who changes ──▶ Double ──▶ the real store ──▶ Committed ──▶ the reply
//! ```
//!
//! # Contract
//! * **What comes through is the real store's answer**, unchanged.
//! * **Every question is in the log**, also one that fails.
//! * **A question stands at a barrier until that is opened**, and the barrier says when one has come.
//! * **A lost reply is that of a change that was made** (B14).
//!
//! # Not here
//! Faults that a real database can show: they are shown on a real one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc};

use super::{
    Answering, By, ChangeError, Changed, Deletion, Import, ImportError, Imported, Owner, Page, Pushed, Store,
    StoreError,
};
use crate::model::{Kind, Object};

/// Where a question can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A look-up's statement has not been sent.
    BeforeSent,
    /// A look-up's rows have come, and nobody has seen them.
    AfterRows,
    /// A change is committed, and whoever makes it has not heard of it.
    Committed,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every question is refused.
    Refuse,
    /// No question is ever answered.
    Hang,
    /// The next question is refused, the ones after it are not.
    Once,
    /// Changes are made, and the reply to their commit is lost.
    LoseReply,
    /// The next look-up panics, the ones after it do not.
    Panic,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// See [`Store::load`].
    Load,
    /// See [`Store::page`].
    Page,
    /// See [`Store::whose`].
    Whose,
    /// See [`Store::insert`].
    Insert,
    /// See [`Store::update`].
    Update,
    /// See [`Store::delete`].
    Delete,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What was asked.
    pub verb: Verb,
    /// Of which kind.
    pub kind: Kind,
    /// The name, or the id in digits; empty for a page.
    pub key: String,
}

/// The double.
pub struct Double {
    real: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: Vec<Query>,
    fault: Option<Fault>,
    barriers: Vec<(Kind, Point, Arc<Standing>)>,
    told: Vec<mpsc::Sender<Pushed>>,
}

impl Double {
    /// A double before `real`, that does nothing yet.
    pub fn new(real: Arc<dyn Store>) -> Arc<Double> {
        Arc::new(Double {
            real,
            state: Mutex::default(),
        })
    }

    /// All that was asked, oldest first.
    pub fn log(&self) -> Vec<Query> {
        self.state().log.clone()
    }

    /// Look-ups of a kind so far.
    pub fn loads_of(&self, kind: Kind) -> usize {
        let of = |query: &&Query| query.verb == Verb::Load && query.kind == kind;
        self.state().log.iter().filter(of).count()
    }

    /// From now on this goes wrong; None: nothing.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Stops every later question for a kind at a point.
    pub fn hold(&self, kind: Kind, point: Point) -> Barrier {
        let standing = Arc::new(Standing {
            come: Semaphore::new(0),
            way: Semaphore::new(0),
        });
        self.state().barriers.push((kind, point, standing.clone()));
        Barrier(standing)
    }

    /// Tells this to all who watch, as if the database had.
    pub async fn tell(&self, pushed: Pushed) {
        let told = self.state().told.clone();
        for to in told {
            // Who is gone needs no news.
            let _ = to.send(pushed.clone()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, verb: Verb, kind: Kind, key: String) {
        self.state().log.push(Query { verb, kind, key });
    }

    /// Does what goes wrong with a question; answers whether the reply is to be lost.
    async fn suffer(&self) -> Result<bool, StoreError> {
        let fault = {
            let mut state = self.state();
            let fault = state.fault;
            if matches!(fault, Some(Fault::Once | Fault::Panic)) {
                state.fault = None;
            }
            fault
        };
        match fault {
            None => Ok(false),
            Some(Fault::LoseReply) => Ok(true),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Panic) => panic!("a test wants it"),
            Some(Fault::Refuse | Fault::Once) => Err(StoreError::Unavailable("a test refuses it".into())),
        }
    }

    async fn stand(&self, at: Kind, here: Point) {
        let standing: Vec<Arc<Standing>> = {
            let state = self.state();
            let here = state
                .barriers
                .iter()
                .filter(|(kind, point, _)| (*kind, *point) == (at, here));
            here.map(|(.., standing)| standing.clone()).collect()
        };
        for one in standing {
            one.come.add_permits(1);
            // An error says that the way is open.
            let _ = one.way.acquire().await;
        }
    }

    async fn change(
        &self,
        kind: Kind,
        making: Answering<'_, Result<Changed, ChangeError>>,
    ) -> Result<Changed, ChangeError> {
        let is_lost = self.suffer().await?;
        let changed = making.await?;
        self.stand(kind, Point::Committed).await;
        if is_lost {
            return Err(ChangeError::Unknown {
                reason: "a test has lost the reply".into(),
                touched: changed.touched,
            });
        }
        Ok(changed)
    }
}

impl Store for Double {
    fn load<'a>(&'a self, kind: Kind, by: By<'a>) -> Answering<'a, Result<Option<Object>, StoreError>> {
        Box::pin(async move {
            self.note(Verb::Load, kind, key(by));
            self.stand(kind, Point::BeforeSent).await;
            self.suffer().await?;
            let answer = self.real.load(kind, by).await;
            self.stand(kind, Point::AfterRows).await;
            answer
        })
    }

    fn page<'a>(&'a self, kind: Kind, page: &'a Page) -> Answering<'a, Result<Vec<Object>, StoreError>> {
        Box::pin(async move {
            self.note(Verb::Page, kind, String::new());
            self.suffer().await?;
            self.real.page(kind, page).await
        })
    }

    fn domain_names(&self, max: usize) -> Answering<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            self.stand(Kind::Domain, Point::BeforeSent).await;
            self.suffer().await?;
            let answer = self.real.domain_names(max).await;
            self.stand(Kind::Domain, Point::AfterRows).await;
            answer
        })
    }

    fn whose<'a>(&'a self, address: &'a str) -> Answering<'a, Result<Owner, StoreError>> {
        Box::pin(async move {
            self.note(Verb::Whose, Kind::Account, address.to_owned());
            self.suffer().await?;
            self.real.whose(address).await
        })
    }

    fn insert(&self, object: Object) -> Answering<'_, Result<Changed, ChangeError>> {
        let kind = object.kind();
        self.note(Verb::Insert, kind, object.name().to_owned());
        Box::pin(self.change(kind, self.real.insert(object)))
    }

    fn update(&self, object: Object, based_on: Option<i64>) -> Answering<'_, Result<Changed, ChangeError>> {
        let kind = object.kind();
        self.note(Verb::Update, kind, object.name().to_owned());
        Box::pin(self.change(kind, self.real.update(object, based_on)))
    }

    fn delete<'a>(
        &'a self,
        kind: Kind,
        by: By<'a>,
        how: Deletion,
    ) -> Answering<'a, Result<Changed, ChangeError>> {
        self.note(Verb::Delete, kind, key(by));
        Box::pin(self.change(kind, self.real.delete(kind, by, how)))
    }

    fn import(&self, objects: mpsc::Receiver<Import>) -> Answering<'_, Result<Imported, ImportError>> {
        Box::pin(async move {
            let is_lost = self.suffer().await?;
            let imported = self.real.import(objects).await?;
            match is_lost {
                true => Err(ImportError::Unknown("a test has lost the reply".into())),
                false => Ok(imported),
            }
        })
    }

    fn watch(self: Arc<Self>, to: mpsc::Sender<Pushed>) -> Answering<'static, ()> {
        self.state().told.push(to.clone());
        self.real.clone().watch(to)
    }

    fn is_polled(&self) -> bool {
        self.real.is_polled()
    }

    fn loads(&self) -> u64 {
        self.real.loads()
    }

    fn describe(&self) -> String {
        format!("a double of {}", self.real.describe())
    }
}

/// A place where look-ups stand until it is opened, or dropped.
pub struct Barrier(Arc<Standing>);

struct Standing {
    come: Semaphore,
    way: Semaphore,
}

impl Barrier {
    /// Waits until one more look-up has come to stand here.
    pub async fn reached(&self) {
        if let Ok(come) = self.0.come.acquire().await {
            come.forget();
        }
    }

    /// Lets all go on who stand here, and all who will come.
    pub fn open(&self) {
        self.0.way.close();
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        self.open();
    }
}

fn key(by: By<'_>) -> String {
    match by {
        By::Id(id) => id.to_string(),
        By::Name(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use remuda_clock::SystemClock;

    use super::*;
    use crate::store::{
        Missed,
        sqlite::SqliteStore,
        suite::{account, add, domain},
    };

    async fn double() -> (tempfile::TempDir, Arc<Double>) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("directory.db");
        let store = SqliteStore::open(path, SystemClock::shared()).await.unwrap();
        add(&store, [domain("ex.com"), account("bob@ex.com")]).await;
        (place, Double::new(Arc::new(store)))
    }

    fn look(double: &Arc<Double>) -> tokio::task::JoinHandle<Result<Option<Object>, StoreError>> {
        let double = double.clone();
        tokio::spawn(async move { double.load(Kind::Account, By::Name("bob@ex.com")).await })
    }

    #[tokio::test]
    async fn a_look_up_stands_at_a_barrier_until_it_is_opened() {
        let (_place, double) = double().await;
        let (before, after) = (
            double.hold(Kind::Account, Point::BeforeSent),
            double.hold(Kind::Account, Point::AfterRows),
        );
        let (first, second) = (look(&double), look(&double));
        before.reached().await;
        before.reached().await;
        assert_eq!(double.loads(), 0, "nothing was sent");
        assert!(
            double.load(Kind::Domain, By::Id(1)).await.unwrap().is_some(),
            "another kind"
        );
        before.open();
        after.reached().await;
        after.reached().await;
        assert!(!first.is_finished() && !second.is_finished());
        drop(after);
        assert!(first.await.unwrap().unwrap().is_some() && second.await.unwrap().unwrap().is_some());
        assert_eq!(double.loads_of(Kind::Account), 2);
    }

    #[tokio::test]
    async fn every_question_is_in_the_log_also_one_that_fails() {
        let (_place, double) = double().await;
        double.fail(Some(Fault::Once));
        assert!(look(&double).await.unwrap().is_err());
        assert!(look(&double).await.unwrap().unwrap().is_some());
        double.fail(Some(Fault::Refuse));
        for _ in 0..2 {
            assert!(look(&double).await.unwrap().is_err());
            let refused = double.insert(domain("ex.net")).await;
            assert!(matches!(refused, Err(ChangeError::Store(_))));
        }
        double.fail(None);
        assert_eq!(double.loads_of(Kind::Account), 4);
        assert_eq!(double.loads(), 1);
        assert_eq!(double.log().len(), 6);
    }

    #[tokio::test]
    async fn a_lost_reply_is_that_of_a_change_that_was_made() {
        let (_place, double) = double().await;
        double.fail(Some(Fault::LoseReply));
        let lost = double
            .delete(Kind::Account, By::Name("bob@ex.com"), Deletion::default())
            .await;
        assert!(matches!(lost, Err(ChangeError::Unknown { touched, .. }) if touched.len() == 1));
        assert_eq!(look(&double).await.unwrap(), Ok(None));
    }

    #[tokio::test]
    async fn a_question_that_hangs_is_never_answered() {
        let (_place, double) = double().await;
        double.fail(Some(Fault::Hang));
        let hanging = look(&double);
        tokio::task::yield_now().await;
        double.fail(None);
        assert!(look(&double).await.unwrap().unwrap().is_some());
        assert!(!hanging.is_finished());
    }

    #[tokio::test]
    async fn what_a_test_tells_is_told() {
        let (_place, double) = double().await;
        let (to, mut told) = mpsc::channel(4);
        tokio::spawn(double.clone().watch(to));
        assert_eq!(told.recv().await, Some(Pushed::Flush(Missed::Connected)));
        assert_eq!(told.recv().await, Some(Pushed::Up));
        double.tell(Pushed::Flush(Missed::Unreadable)).await;
        assert_eq!(told.recv().await, Some(Pushed::Flush(Missed::Unreadable)));
    }
}
