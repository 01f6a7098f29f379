//! The walk from an address to everybody who gets its mail.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use remuda_mail::Address;

use super::{From, Refusal, Resolution, Step, StepFound, Target, Verdict};
use crate::{
    caches::Shelved,
    directory::Directory,
    found::{Cause, Found, Origin},
    model::{Account, Alias, Domain, DomainAlias, List, Mailbox},
};

/// One resolution under way.
pub(crate) struct Walk<'a> {
    directory: &'a Directory,
    pub(super) from: &'a From,
    budget: usize,
    /// To be entered.
    waiting: VecDeque<Address>,
    /// Entered, by name.
    entered: HashSet<Arc<str>>,
    targets: Vec<Target>,
    known: HashSet<Address>,
    /// Why some get nothing; the first tells the sender when nobody is left.
    refusal: Option<Refusal>,
    has_looped: bool,
    steps: Option<Vec<Step>>,
}

/// Why a walk ends at once.
pub(crate) enum Stop {
    Refused(Refusal),
    Unavailable(Cause),
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

/// Whether an address has been dealt with.
#[derive(PartialEq)]
enum Dealt {
    Yes,
    No,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(directory: &'a Directory, from: &'a From, budget: usize) -> Self {
        Walk {
            directory,
            from,
            budget,
            waiting: VecDeque::new(),
            entered: HashSet::new(),
            targets: Vec::new(),
            known: HashSet::new(),
            refusal: None,
            has_looped: false,
            steps: None,
        }
    }

    /// Keeps every step.
    pub(super) fn record(&mut self) {
        self.steps = Some(Vec::new());
    }

    pub(super) fn steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }

    pub(super) async fn resolve(&mut self, address: &Address) -> Resolution {
        let mut resolution = Resolution {
            verdict: Verdict::Refused(Refusal::Unknown),
            is_ours: true,
            message_size: None,
        };
        resolution.verdict = match self.walk(address, &mut resolution).await {
            Ok(()) => self.end(),
            Err(Stop::Refused(refusal)) => Verdict::Refused(refusal),
            Err(Stop::Unavailable(cause)) => Verdict::Unavailable(cause),
        };
        resolution
    }

    async fn walk(&mut self, address: &Address, resolution: &mut Resolution) -> Result<(), Stop> {
        match self.home(address).await? {
            Some((domain, name)) => {
                resolution.message_size = domain.message_size;
                self.enter(&domain, name).await?;
            }
            None => {
                resolution.is_ours = false;
                self.deliver(Target::Remote(address.clone()))?;
            }
        }
        while let Some(address) = self.waiting.pop_front() {
            match self.home(&address).await? {
                Some((domain, name)) => self.enter(&domain, name).await?,
                None => self.deliver(Target::Remote(address))?,
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Verdict {
        if !self.targets.is_empty() {
            return Verdict::Deliver(std::mem::take(&mut self.targets));
        }
        match self.refusal {
            Some(refusal) => Verdict::Refused(refusal),
            None if self.has_looped => Verdict::Refused(Refusal::Loop),
            None => Verdict::Refused(Refusal::Unknown),
        }
    }

    /// The domain of an address that is ours, and its name there; None: it is not ours.
    pub(crate) async fn home(&mut self, address: &Address) -> Result<Option<(Arc<Domain>, Mailbox)>, Stop> {
        // Too long once folded: then it is nobody's.
        let Ok(name) = Mailbox::of(address) else {
            return Ok(None);
        };
        let domain = match self.domain(name.domain()).await? {
            Named::Domain(domain, None) => return Ok(Some((domain, name))),
            Named::Domain(domain, Some(_)) => domain,
            Named::Disabled(origin) => return Err(refused(Refusal::Disabled, origin)),
            Named::Nobodys => return Ok(None),
        };
        let moved = format!("{}@{}", name.address().local_part(), domain.name);
        match Mailbox::typed(&moved) {
            Ok(name) => Ok(Some((domain, name))),
            Err(_) => Err(Stop::Refused(Refusal::Unknown)),
        }
    }

    /// What a domain's name means: its own, or another name of it.
    pub(super) async fn domain(&mut self, name: &str) -> Result<Named, Stop> {
        let mut found = self.find::<Domain>(name).await?;
        let mut by_other = None;
        if found.is_none() {
            let Some((other, origin)) = self.find::<DomainAlias>(name).await? else {
                return Ok(Named::Nobodys);
            };
            if !other.head.active {
                return Ok(Named::Disabled(origin));
            }
            by_other = Some(origin);
            found = self.find::<Domain>(other.domain.as_str()).await?;
        }
        Ok(match found {
            Some((domain, _)) if domain.head.active => Named::Domain(domain, by_other),
            Some((_, origin)) => Named::Disabled(origin),
            None => Named::Nobodys,
        })
    }

    /// Finds who has a name in a domain of ours.
    async fn enter(&mut self, domain: &Domain, name: Mailbox) -> Result<(), Stop> {
        if !self.is_new(&name) {
            return Ok(());
        }
        if self.mailbox(&name).await? == Dealt::Yes {
            return Ok(());
        }
        if let Some(base) = before_separator(domain, &name) {
            if !self.is_new(&base) {
                return Ok(());
            }
            if self.mailbox(&base).await? == Dealt::Yes {
                return Ok(());
            }
        }
        match &domain.catch_all {
            Some(catch_all) => self.waiting.push_back(catch_all.address().clone()),
            None => self.leave_out(Refusal::Unknown),
        }
        Ok(())
    }

    fn is_new(&mut self, name: &Mailbox) -> bool {
        let is_new = self.entered.insert(name.as_str().into());
        self.has_looped |= !is_new;
        is_new
    }

    async fn mailbox(&mut self, name: &Mailbox) -> Result<Dealt, Stop> {
        if let Some((account, origin)) = self.find::<Account>(name.as_str()).await? {
            self.account(&account, origin)?;
        } else if let Some((alias, origin)) = self.find::<Alias>(name.as_str()).await? {
            self.alias(&alias, origin)?;
        } else if let Some((list, origin)) = self.find::<List>(name.as_str()).await? {
            self.list(&list, origin).await?;
        } else {
            return Ok(Dealt::No);
        }
        Ok(Dealt::Yes)
    }

    fn account(&mut self, account: &Account, origin: Origin) -> Result<(), Stop> {
        if !account.head.active {
            return self.disabled(origin);
        }
        let forward = account.forward.as_ref().filter(|to| **to != account.address);
        if forward.is_none() || account.forward_keep {
            self.deliver(Target::Local(account.address.clone()))?;
        }
        if let Some(to) = forward {
            self.waiting.push_back(to.address().clone());
        }
        Ok(())
    }

    fn alias(&mut self, alias: &Alias, origin: Origin) -> Result<(), Stop> {
        if !alias.head.active {
            return self.disabled(origin);
        }
        self.queue(&alias.targets)
    }

    async fn list(&mut self, list: &List, origin: Origin) -> Result<(), Stop> {
        // Who has left the list since must not get its mail, and nobody expands it again later.
        if origin == Origin::Stale {
            return Err(Stop::Unavailable(Cause::Database));
        }
        if !list.head.active {
            return self.disabled(origin);
        }
        self.permit(list).await?;
        self.queue(&list.members)
    }

    fn queue(&mut self, addresses: &[Mailbox]) -> Result<(), Stop> {
        if addresses.len() > self.budget {
            return Err(Stop::Refused(Refusal::TooMany));
        }
        self.waiting
            .extend(addresses.iter().map(|one| one.address().clone()));
        Ok(())
    }

    fn deliver(&mut self, target: Target) -> Result<(), Stop> {
        if !self.known.insert(target.address().clone()) {
            return Ok(());
        }
        if self.targets.len() >= self.budget {
            return Err(Stop::Refused(Refusal::TooMany));
        }
        self.targets.push(target);
        Ok(())
    }

    fn disabled(&mut self, origin: Origin) -> Result<(), Stop> {
        match origin {
            Origin::Stale => Err(Stop::Unavailable(Cause::Database)),
            Origin::Cache | Origin::Database => {
                self.leave_out(Refusal::Disabled);
                Ok(())
            }
        }
    }

    fn leave_out(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// Looks an object up by name; None: there is certainly none.
    pub(super) async fn find<T: Shelved>(&mut self, name: &str) -> Result<Option<(Arc<T>, Origin)>, Stop> {
        let began = self.steps.is_some().then(|| self.directory.now());
        let found = self.directory.find::<T>(name).await;
        if let Some(began) = began {
            let micros = self.directory.now().since(began).as_micros();
            let step = Step {
                kind: T::KIND,
                name: name.to_owned(),
                found: step_found(&found),
                micros: u64::try_from(micros).unwrap_or(u64::MAX),
            };
            self.steps.get_or_insert_default().push(step);
        }
        match found {
            Found::Found(object, origin) => Ok(Some((object, origin))),
            Found::NotFound(_) => Ok(None),
            Found::Unavailable(cause) => Err(Stop::Unavailable(cause)),
        }
    }
}

fn step_found<T: Shelved>(found: &Found<T>) -> StepFound {
    match found {
        Found::Found(object, origin) => StepFound::Yes(*origin, object.head().active),
        Found::NotFound(origin) => StepFound::No(*origin),
        Found::Unavailable(cause) => StepFound::Unavailable(*cause),
    }
}

/// A refusal, unless what it is based on is stale.
fn refused(refusal: Refusal, origin: Origin) -> Stop {
    match origin {
        Origin::Stale => Stop::Unavailable(Cause::Database),
        Origin::Cache | Origin::Database => Stop::Refused(refusal),
    }
}

/// The mailbox of `mailbox+detail` (RFC 5233), where the domain does that.
pub(crate) fn before_separator(domain: &Domain, name: &Mailbox) -> Option<Mailbox> {
    if !domain.plus_addressing || domain.plus_separator.is_empty() {
        return None;
    }
    let (base, _) = name.address().local_part().split_once(&domain.plus_separator)?;
    Mailbox::typed(&format!("{base}@{}", name.domain())).ok()
}
