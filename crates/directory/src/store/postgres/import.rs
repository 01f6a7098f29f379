//! Imports: many objects in one transaction.
//!
//! Accounts come in thousands, so a run of them is stored by one statement. Whatever is against that (a limit, an
//! unknown domain, a name that is taken) is found out one by one: the run is undone, and each is stored as a change is.
//!
//! # Contract
//! * **All of it or nothing**, also when the sender gives up.
//! * **The error names the line that cannot be stored**, the first in order.
//! * **One import at a time**; the second waits.
//! * **A catch-all may come before its account**: those are looked at when all has come.
//! * **It is not told again** by the watch of this store ([`super::own`]).
//! * **Files hold no passwords**: where none comes, the old one stays.

use remuda_clock::before;
use remuda_mail::Secret;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::mpsc;

use super::super::{ChangeError, Import, ImportError, Imported, StoreError, rules};
use super::{
    PostgresStore,
    change::{Fate, Which, held, insert, replace, touched},
    error::{Trouble, code, store_error},
    place, statements,
};
use crate::model::{Account, Kind, Mailbox, Object};

type Line = (u64, Box<Object>);

impl PostgresStore {
    /// Stores all that comes.
    pub(super) async fn import_all(
        &self,
        mut objects: mpsc::Receiver<Import>,
    ) -> Result<Imported, ImportError> {
        self.within(self.limits.change_max, self.ready()).await?;
        let broken = |error: sqlx::Error| ImportError::Store(store_error(&error));
        let mut connection = self.sound(&self.changes).await.map_err(broken)?;
        let mut tx = connection.begin().await.map_err(broken)?;
        let lock = sqlx::query_scalar("SELECT pg_backend_pid() FROM pg_advisory_xact_lock($1)").bind(LOCK);
        let backend: i32 = lock.fetch_one(&mut *tx).await.map_err(broken)?;
        let mut imported = Imported::default();
        let mut catch_alls = Vec::new();
        loop {
            let (run, is_end) = next_run(&mut objects).await;
            self.store_run(&mut tx, &run, &mut imported).await?;
            catch_alls.extend(run.into_iter().filter(|(_, object)| has_catch_all(object)));
            match is_end {
                Some(true) => break,
                Some(false) => return Err(ImportError::GivenUp),
                None => (),
            }
        }
        self.look_at(&mut tx, &catch_alls).await?;
        imported.touched = touched(&mut tx).await.map_err(broken)?;
        let backend = backend.unsigned_abs();
        self.own_imports.note(backend, &imported.touched);
        let fate = self.commit(tx).await;
        if fate.is_err() {
            self.own_imports.take_back(backend);
        }
        match fate {
            Ok(()) => Ok(imported),
            Err(Fate::Nothing(error)) => Err(error.into()),
            Err(Fate::Unknown(reason)) => Err(ImportError::Unknown(reason)),
        }
    }

    async fn store_run(
        &self,
        tx: &mut PgConnection,
        run: &[Line],
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        if let Some(accounts) = accounts(run)
            && let Some(created) = self.in_time(store_accounts(tx, &accounts)).await?
        {
            imported.created += created;
            imported.replaced += accounts.len() as u64 - created;
            return Ok(());
        }
        for (line, object) in run {
            match self.of_line(*line, store_one(tx, object)).await? {
                true => imported.created += 1,
                false => imported.replaced += 1,
            }
        }
        Ok(())
    }

    /// Looks at the catch-alls of domains, as far as they are still the domains' own.
    async fn look_at(&self, tx: &mut PgConnection, catch_alls: &[Line]) -> Result<(), ImportError> {
        for (line, object) in catch_alls {
            let look = async {
                let now = held(tx, Kind::Domain, &Which::Name(object.name().to_owned())).await?;
                place::has_catch_all(tx, &now).await
            };
            self.of_line(*line, look).await?;
        }
        Ok(())
    }

    /// What is done for a line, in time.
    async fn of_line<T>(
        &self,
        line: u64,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, ImportError> {
        match before(&*self.clock, self.deadline(), work).await {
            Some(answer) => answer.map_err(|trouble| match ChangeError::from(trouble) {
                ChangeError::Store(error) => error.into(),
                error => ImportError::Line { line, error },
            }),
            None => Err(self.late().into()),
        }
    }

    async fn in_time<T>(
        &self,
        future: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        match before(&*self.clock, self.deadline(), future).await {
            Some(answer) => answer.map_err(|error| store_error(&error)),
            None => Err(self.late()),
        }
    }

    fn deadline(&self) -> remuda_clock::Monotonic {
        self.clock.now().monotonic + self.limits.change_max
    }

    fn late(&self) -> StoreError {
        StoreError::Unavailable(format!("no answer within {:?}", self.limits.change_max))
    }
}

/// What has come, and whether it was the end: true, that all has come; false, that it was given up.
async fn next_run(objects: &mut mpsc::Receiver<Import>) -> (Vec<Line>, Option<bool>) {
    let mut run = Vec::new();
    while run.len() < RUN_MAX {
        match objects.recv().await {
            Some(Import::Object(line, object)) => run.push((line, object)),
            Some(Import::End) => return (run, Some(true)),
            None => return (run, Some(false)),
        }
    }
    (run, None)
}

/// The accounts, if all are, and each is sound alone.
fn accounts(run: &[Line]) -> Option<Vec<&Account>> {
    let one = |(_, object): &'_ Line| rules::check(object).is_ok();
    if !run.iter().all(one) {
        return None;
    }
    run.iter()
        .map(|(_, object)| match &**object {
            Object::Account(account) => Some(account),
            _ => None,
        })
        .collect()
}

/// Stores accounts whose domains are there and have no limit, and gives how many are new; None: nothing was done,
/// something is against it.
async fn store_accounts(tx: &mut PgConnection, accounts: &[&Account]) -> Result<Option<u64>, sqlx::Error> {
    let mut domains: Vec<&str> = accounts.iter().map(|one| one.address.domain()).collect();
    domains.sort_unstable();
    domains.dedup();
    let held = sqlx::query(statements::HOLD_UNLIMITED).bind(&domains);
    if held.fetch_all(&mut *tx).await?.len() < domains.len() {
        return Ok(None);
    }
    let mut part = tx.begin().await?;
    match put_accounts(&mut part, accounts).await {
        Ok(created) => {
            part.commit().await?;
            Ok(Some(created.unsigned_abs()))
        }
        // A constraint is against it (classes 21, 22 and 23): the transaction goes on from where it was.
        Err(error) if code(&error).is_some_and(|code| code.starts_with('2')) => {
            part.rollback().await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Gives how many are new.
async fn put_accounts(tx: &mut PgConnection, accounts: &[&Account]) -> Result<i64, sqlx::Error> {
    let texts = |column: fn(&Account) -> Option<&str>| -> Vec<Option<&str>> {
        accounts.iter().map(|one| column(one)).collect()
    };
    let flags =
        |column: fn(&Account) -> bool| -> Vec<bool> { accounts.iter().map(|one| column(one)).collect() };
    // Sound alone: no quota is more than a database can hold.
    let quota = |one: &&Account| one.quota.and_then(|quota| i64::try_from(quota).ok());
    sqlx::query_scalar(statements::PUT_ACCOUNTS)
        .bind(flags(|one| one.head.active))
        .bind(texts(|one| Some(one.address.address().local_part())))
        .bind(texts(|one| Some(one.address.domain())))
        .bind(texts(|one| one.hash.as_ref().map(Secret::reveal)))
        .bind(accounts.iter().map(quota).collect::<Vec<Option<i64>>>())
        .bind(texts(|one| one.forward.as_ref().map(Mailbox::as_str)))
        .bind(flags(|one| one.forward_keep))
        .fetch_one(tx)
        .await
}

/// Stores one, and answers whether it is new.
async fn store_one(tx: &mut PgConnection, object: &Object) -> Result<bool, Trouble> {
    match held(tx, object.kind(), &Which::Name(object.name().to_owned())).await {
        Ok(old) => replace(tx, &with_secret(object, &old), &old).await.map(|_| false),
        Err(Trouble::Refused(ChangeError::NoSuch(_))) => insert(tx, object).await.map(|_| true),
        Err(trouble) => Err(trouble),
    }
}

/// The object, with the old one's secret if it brings none.
fn with_secret(object: &Object, old: &Object) -> Object {
    let mut object = object.clone();
    match (&mut object, old) {
        (Object::Account(new), Object::Account(old)) => new.hash = new.hash.take().or(old.hash.clone()),
        (Object::Route(new), Object::Route(old)) => {
            new.password = new.password.take().or(old.password.clone())
        }
        _ => (),
    }
    object
}

fn has_catch_all(object: &Object) -> bool {
    matches!(object, Object::Domain(domain) if domain.catch_all.is_some())
}

/// Objects that are stored together, and held in memory.
const RUN_MAX: usize = 1000;

/// Of the lock that an import takes, among all advisory locks of the database.
const LOCK: i64 = 0x7265_6d75_6462;
