//! Who logs in, and whose address is whose (reference §5.3.14).
//!
//! # Contract
//! * **Only what the database says now refuses**: before a wrong password is one, the row is read again, a few
//!   times a second at most for an account; so a password changed by SQL works at once.
//! * **A database that is down refuses nobody** (D9): the answer is unavailable, also where a stale account would
//!   have let him in.
//! * **An unknown user takes as long as a wrong password.**
//! * **Hashes are checked off the runtime's threads**, [`CHECKS_MAX`] at a time.

pub mod hash;
mod memo;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use remuda_clock::Monotonic;
use remuda_mail::{Address, Secret};
use tokio::sync::Semaphore;

use self::memo::Memo;
use crate::{
    directory::Directory,
    found::{Cause, Found, Origin},
    model::{Account, Alias, Domain, Kind, Mailbox, Object},
    resolve::{From, Stop, Walk, before_separator},
    store::{By, Touched},
};

/// The answer to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// It is who it says.
    Accepted(Mailbox),
    /// It is not, or there is none.
    Rejected,
    /// Nobody knows now.
    Unavailable(Cause),
    /// Too many log in at the same time.
    Busy,
}

/// Whether an address belongs to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owns {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Nobody knows now.
    Unavailable(Cause),
}

/// What logins need.
pub(crate) struct Credentials {
    memo: Arc<Memo>,
    pub(crate) checks: Arc<Semaphore>,
    /// When the rows of which accounts were read again lately.
    read_again: Mutex<HashMap<i64, Vec<Monotonic>>>,
    /// What an unknown user's password is checked against.
    nobody: OnceLock<Secret>,
}

impl Credentials {
    pub(crate) fn new() -> Self {
        Credentials {
            memo: Arc::new(Memo::new()),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            read_again: Mutex::default(),
            nobody: OnceLock::new(),
        }
    }

    /// Answers whether an account's row may be read again now.
    fn may_read_again(&self, id: i64, now: Monotonic) -> bool {
        let mut all = self.read_again.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= READ_AGAIN_ACCOUNTS_MAX {
            all.retain(|_, times| times.iter().any(|at| now.since(*at) < READ_AGAIN_WINDOW));
        }
        if all.len() >= READ_AGAIN_ACCOUNTS_MAX {
            return false;
        }
        let times = all.entry(id).or_default();
        times.retain(|at| now.since(*at) < READ_AGAIN_WINDOW);
        let may = times.len() < READ_AGAIN_MAX;
        if may {
            times.push(now);
        }
        may
    }
}

impl Directory {
    /// Checks a login: an account's address, or one under another name of its domain, and a password.
    pub async fn authenticate(&self, login: &str, password: &Secret) -> Login {
        let account = match self.account_of(login).await {
            Ok(account) => account,
            Err(cause) => return Login::Unavailable(cause),
        };
        let Some((account, origin)) = account else {
            return self.reject(password).await;
        };
        let Some(is_right) = self.is_right(&account, password).await else {
            return Login::Busy;
        };
        if is_right && account.head.active {
            return Login::Accepted(account.address.clone());
        }
        self.look_again(account, origin, password).await
    }

    /// The account of a login that is in a domain in use.
    async fn account_of(&self, login: &str) -> Result<Option<(Arc<Account>, Origin)>, Cause> {
        let Ok(name) = Mailbox::typed(login) else {
            return Ok(None);
        };
        let Some((_, name)) = self.home(name.address()).await? else {
            return Ok(None);
        };
        // Stale credentials let nobody in (§5.3.6): who knows what has changed.
        match self.find::<Account>(name.as_str()).await {
            Found::Found(_, Origin::Stale) => Err(Cause::Database),
            Found::Found(account, origin) => Ok(Some((account, origin))),
            Found::NotFound(_) => Ok(None),
            Found::Unavailable(cause) => Err(cause),
        }
    }

    /// The domain of an address, and its name there; None: the domain is not ours or out of use.
    async fn home(&self, address: &Address) -> Result<Option<(Arc<Domain>, Mailbox)>, Cause> {
        match Walk::new(self, &From::default(), 0).home(address).await {
            Ok(home) => Ok(home),
            Err(Stop::Refused(_)) => Ok(None),
            Err(Stop::Unavailable(cause)) => Err(cause),
        }
    }

    /// A password that does not fit what is remembered may fit what the database says now.
    async fn look_again(&self, account: Arc<Account>, origin: Origin, password: &Secret) -> Login {
        if origin != Origin::Cache || !self.inner.credentials.may_read_again(account.head.id, self.now()) {
            return Login::Rejected;
        }
        let current = match self.read(Kind::Account, By::Id(account.head.id)).await {
            Ok(Some(Object::Account(current))) => current,
            Ok(_) => return Login::Rejected,
            Err(_) => return Login::Unavailable(Cause::Database),
        };
        if current.head.version == account.head.version && current.hash == account.hash {
            return Login::Rejected;
        }
        self.forget(&[Touched::One {
            kind: Kind::Account,
            id: Some(current.head.id),
            old: Some(account.address.as_str().into()),
            new: Some(current.address.as_str().into()),
        }]);
        match self.is_right(&current, password).await {
            Some(true) if current.head.active => Login::Accepted(current.address),
            Some(_) => Login::Rejected,
            None => Login::Busy,
        }
    }

    async fn reject(&self, password: &Secret) -> Login {
        let credentials = &self.inner.credentials;
        let nobody = match credentials.nobody.get() {
            Some(nobody) => nobody.clone(),
            None => match hash::hash("nobody") {
                Ok(hash) => credentials.nobody.get_or_init(|| hash).clone(),
                Err(_) => return Login::Rejected,
            },
        };
        match self.check(nobody, password.clone()).await {
            Some(_) => Login::Rejected,
            None => Login::Busy,
        }
    }

    /// Answers whether a password fits; None: too many are being checked.
    async fn is_right(&self, account: &Account, password: &Secret) -> Option<bool> {
        let Some(hash) = account.hash.clone() else {
            return Some(false);
        };
        let (memo, now) = (&self.inner.credentials.memo, self.now());
        if memo.knows(account, password.reveal(), now) {
            return Some(true);
        }
        let fits = self.check(hash, password.clone()).await?;
        if fits {
            memo.keep(account, password.reveal(), now);
        }
        Some(fits)
    }

    async fn check(&self, hash: Secret, password: Secret) -> Option<bool> {
        let checks = self.inner.credentials.checks.clone();
        let slot = remuda_clock::before(
            self.inner.clock.as_ref(),
            self.now() + CHECK_WAIT_MAX,
            checks.acquire_owned(),
        );
        let slot = slot.await?.ok()?;
        let check = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            hash::fits(password.reveal(), hash.reveal())
        });
        check.await.ok()
    }

    /// Answers whether an account may send as `sender`: its own address, also with something behind the separator,
    /// or an alias that names it; under any name of the domain. Who is out of use owns nothing.
    pub async fn owns(&self, account: &Mailbox, sender: &Address) -> Owns {
        match self.is_owner(account, sender).await {
            Ok(true) => Owns::Yes,
            Ok(false) => Owns::No,
            Err(cause) => Owns::Unavailable(cause),
        }
    }

    async fn is_in_use(&self, account: &Mailbox) -> Result<bool, Cause> {
        match self.find::<Account>(account.as_str()).await {
            Found::Found(account, Origin::Stale) if !account.head.active => Err(Cause::Database),
            Found::Found(account, _) => Ok(account.head.active),
            Found::NotFound(_) => Ok(false),
            Found::Unavailable(cause) => Err(cause),
        }
    }

    async fn is_owner(&self, account: &Mailbox, sender: &Address) -> Result<bool, Cause> {
        let Some((domain, sender)) = self.home(sender).await? else {
            return Ok(false);
        };
        if !self.is_in_use(account).await? {
            return Ok(false);
        }
        if sender == *account {
            return Ok(true);
        }
        match self.find::<Alias>(sender.as_str()).await {
            Found::Found(alias, _) => return Ok(alias.head.active && alias.targets.contains(account)),
            Found::NotFound(_) => {}
            Found::Unavailable(cause) => return Err(cause),
        }
        if before_separator(&domain, &sender).as_ref() != Some(account) {
            return Ok(false);
        }
        // The very address may be somebody else's.
        match self.find::<Account>(sender.as_str()).await {
            Found::Found(..) => Ok(false),
            Found::NotFound(_) => Ok(true),
            Found::Unavailable(cause) => Err(cause),
        }
    }
}

/// Hashes checked at a time: each takes a processor and 19 MiB for some time.
const CHECKS_MAX: usize = 4;
/// How long a login waits for its turn.
const CHECK_WAIT_MAX: Duration = Duration::from_secs(10);
/// An account's row is read again so often in [`READ_AGAIN_WINDOW`].
const READ_AGAIN_MAX: usize = 5;
const READ_AGAIN_WINDOW: Duration = Duration::from_secs(5);
/// Accounts whose rows are read again in a window.
const READ_AGAIN_ACCOUNTS_MAX: usize = 10_000;
