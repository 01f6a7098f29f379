//! What a walk asks: objects by their names, and who has an address.
//!
//! # Contract
//! * **Whoever is remembered to have an address has it**, while the database does not say who does: an address is one
//!   thing, so that an alias need not wait for the word that no account has its name.
//! * **Nobody has an address by one word about all** ([`crate::whose`]), and whoever it passes on to meanwhile is found.
//! * **What was gone by that is stale is noted**, and so is every step where somebody wants to see them.

use std::sync::Arc;

use remuda_clock::Monotonic;
use remuda_object_cache::KeyRef;

use super::{
    Step, StepFound,
    walk::{Stop, Walk},
};
use crate::{
    caches::Shelved,
    found::{Cause, Found, Origin},
    model::{Account, Alias, Domain, DomainAlias, Kind, List, Mailbox},
    store::{Owner, rules::domain_of},
};

/// Who has an address.
pub(super) enum Holder {
    Account(Arc<Account>, Origin),
    Alias(Arc<Alias>, Origin),
    List(Arc<List>, Origin),
}

/// What a domain's name means.
pub(super) enum Named {
    /// A domain of ours. The origin of the word that this is another name of it; None: it is its own.
    Domain(Arc<Domain>, Option<Origin>),
    /// One that is out of use, or whose other name is, and where that comes from.
    Disabled(Origin),
    /// None of ours.
    Nobodys,
}

impl Walk<'_> {
    /// What a domain's name means: its own, or another name of it.
    pub(super) async fn domain(&mut self, name: &str) -> Result<Named, Stop> {
        if self.is_nobodys::<Domain>(name) {
            return Ok(Named::Nobodys);
        }
        if let Some(named) = self.named(name).await? {
            return Ok(named);
        }
        for _ in 1..PASSED_ON_MAX {
            let was_anew = std::mem::replace(&mut self.is_anew, true);
            let named = self.named(name).await;
            self.is_anew = was_anew;
            if let Some(named) = named? {
                return Ok(named);
            }
        }
        Err(Stop::Unavailable(Cause::Database))
    }

    /// What a domain's name means, by what is known of it; None: that is of several times and contradicts itself.
    async fn named(&mut self, name: &str) -> Result<Option<Named>, Stop> {
        let in_use = |domain: Arc<Domain>, origin, by_other| match domain.head.active {
            true => Named::Domain(domain, by_other),
            false => Named::Disabled(origin),
        };
        let (found, no_domain) = self.look::<Domain>(name).await?;
        if let Some((domain, origin)) = found {
            return Ok(Some(in_use(domain, origin, None)));
        }
        let (other, no_other) = self.look::<DomainAlias>(name).await?;
        let Some((other, by_other)) = other else {
            // It may have passed to a domain since memory heard that there is none.
            let may_be_old = no_domain == Origin::Cache && no_other == Origin::Database;
            return Ok((!may_be_old).then_some(Named::Nobodys));
        };
        if !other.head.active {
            return Ok(Some(Named::Disabled(by_other)));
        }
        match self.find::<Domain>(other.domain.as_str()).await? {
            Some((domain, origin)) => Ok(Some(in_use(domain, origin, Some(by_other)))),
            None if self.is_stale => Err(Stop::Unavailable(Cause::Database)),
            // A domain has its other names with it: it has been renamed.
            None => Ok(None),
        }
    }

    /// Who has an address; None: certainly nobody.
    pub(super) async fn holder(&mut self, name: &Mailbox) -> Result<Option<Holder>, Stop> {
        match self.ask(name.as_str()).await {
            // An account would have been found.
            Err(unavailable) => self.recalled(name.as_str()).map(Some).ok_or(unavailable),
            answer => answer,
        }
    }

    /// One address is one thing: what memory has of it as an alias or a list needs no query that says it is no account,
    /// and no room to keep that in.
    async fn ask(&mut self, name: &str) -> Result<Option<Holder>, Stop> {
        if let Some(alias) = self.known(name) {
            return Ok(Some(Holder::Alias(alias, Origin::Cache)));
        }
        if let Some(list) = self.known(name) {
            return Ok(Some(Holder::List(list, Origin::Cache)));
        }
        if let Some(account) = self.held(name, Holder::Account).await? {
            return Ok(Some(account));
        }
        let was_anew = self.is_anew;
        let held = self.ask_whose(name).await;
        self.is_anew = was_anew;
        held
    }

    /// Who has an address that memory or the database knows as no account's.
    async fn ask_whose(&mut self, name: &str) -> Result<Option<Holder>, Stop> {
        for _ in 0..PASSED_ON_MAX {
            let kind = match self.whose(name).await? {
                Owner::One(kind, _) => kind,
                Owner::Nobody => return Ok(None),
                Owner::NoDomain => {
                    self.gone = Some(domain_of(name).into());
                    return Err(Stop::Unavailable(Cause::Database));
                }
            };
            // What is known to be no account's was so before this word.
            self.is_anew |= kind == Kind::Account;
            let held = match kind {
                Kind::Account => self.held(name, Holder::Account).await?,
                Kind::Alias => self.held(name, Holder::Alias).await?,
                _ => self.held(name, Holder::List).await?,
            };
            if held.is_some() {
                return Ok(held);
            }
            // It has passed on since one of the two words.
            self.is_anew = true;
        }
        Err(Stop::Unavailable(Cause::Database))
    }

    /// What has an address, if it is of this type.
    async fn held<T: Shelved>(
        &mut self,
        name: &str,
        holder: fn(Arc<T>, Origin) -> Holder,
    ) -> Result<Option<Holder>, Stop> {
        let found = self.find(name).await?;
        Ok(found.map(|(one, origin)| holder(one, origin)))
    }

    /// Whose an address is. Nobody's is as good a word on aliases and lists.
    async fn whose(&mut self, name: &str) -> Result<Owner, Stop> {
        let began = self.now;
        let found = self.directory.whose(name, self.is_anew, began).await;
        self.has_waited_for(&found);
        match found {
            Found::Found(whose, _) => Ok(whose.owner),
            Found::NotFound(origin) => {
                self.note::<Alias>(name, &Found::NotFound(origin), began);
                self.note::<List>(name, &Found::NotFound(origin), self.now);
                Ok(Owner::Nobody)
            }
            Found::Unavailable(cause) => Err(Stop::Unavailable(cause)),
        }
    }

    fn recalled(&mut self, name: &str) -> Option<Holder> {
        if let Some((alias, origin)) = self.recall(name) {
            return Some(Holder::Alias(alias, origin));
        }
        let (list, origin) = self.recall(name)?;
        Some(Holder::List(list, origin))
    }

    /// Answers whether memory knows that no domain, no other name of one and no route has this name.
    pub(super) fn is_nobodys<T: Shelved>(&mut self, name: &str) -> bool {
        let is_nobodys = !self.is_anew && self.directory.is_elsewhere_at(name, self.now);
        if is_nobodys {
            self.note::<T>(name, &Found::NotFound(Origin::Cache), self.now);
        }
        is_nobodys
    }

    /// Looks an object up by name; None: there is certainly none.
    pub(crate) async fn find<T: Shelved>(&mut self, name: &str) -> Result<Option<(Arc<T>, Origin)>, Stop> {
        self.look(name).await.map(|(found, _)| found)
    }

    /// As [`find`](Self::find), with where the answer comes from.
    async fn look<T: Shelved>(&mut self, name: &str) -> Result<(Option<(Arc<T>, Origin)>, Origin), Stop> {
        let began = self.now;
        let found = match self.is_anew {
            true => self.directory.find_anew::<T>(name).await,
            false => self.directory.find_at::<T>(KeyRef::Name(name), began).await,
        };
        self.has_waited_for(&found);
        self.note(name, &found, began);
        match found {
            Found::Found(object, origin) => Ok((Some((object, origin)), origin)),
            Found::NotFound(origin) => Ok((None, origin)),
            Found::Unavailable(cause) => Err(Stop::Unavailable(cause)),
        }
    }

    /// Reads the clock again, unless the answer was in memory and nobody looks at the steps.
    fn has_waited_for<T>(&mut self, found: &Found<T>) {
        if !is_from_memory(found) || self.steps.is_some() {
            self.now = self.directory.now();
        }
    }

    /// An object that memory has.
    fn known<T: Shelved>(&mut self, name: &str) -> Option<Arc<T>> {
        if self.is_anew {
            return None;
        }
        let object = self.directory.known::<T>(name, self.now)?;
        self.note(name, &Found::Found(object.clone(), Origin::Cache), self.now);
        Some(object)
    }

    /// What memory has under a name, past its time too.
    fn recall<T: Shelved>(&mut self, name: &str) -> Option<(Arc<T>, Origin)> {
        if self.is_anew {
            return None;
        }
        let (object, origin) = self.directory.remembered::<T>(name)?;
        self.note(name, &Found::Found(object.clone(), origin), self.now);
        Some((object, origin))
    }

    fn note<T: Shelved>(&mut self, name: &str, found: &Found<T>, began: Monotonic) {
        self.is_stale |= matches!(found, Found::Found(_, Origin::Stale));
        if let Some(steps) = &mut self.steps {
            let micros = self.now.since(began).as_micros();
            steps.push(Step {
                kind: T::KIND,
                name: name.to_owned(),
                found: step_found(found),
                micros: u64::try_from(micros).unwrap_or(u64::MAX),
            });
        }
    }
}

/// Whether a look-up has waited for nothing.
fn is_from_memory<T>(found: &Found<T>) -> bool {
    matches!(
        found,
        Found::Found(_, Origin::Cache) | Found::NotFound(Origin::Cache)
    )
}

fn step_found<T: Shelved>(found: &Found<T>) -> StepFound {
    match found {
        Found::Found(object, origin) => StepFound::Yes(*origin, object.head().active),
        Found::NotFound(origin) => StepFound::No(*origin),
        Found::Unavailable(cause) => StepFound::Unavailable(*cause),
    }
}

/// How often a name may pass on while it is asked for.
pub(super) const PASSED_ON_MAX: usize = 3;
