//! The walk from an address to everybody who gets its mail.

use std::{collections::VecDeque, sync::Arc};

use remuda_clock::Monotonic;
use remuda_mail::Address;

use super::{
    ADDRESSES_MAX, From, Refusal, Resolution, Step, Target, Verdict,
    ask::{Holder, Named, PASSED_ON_MAX},
    seen::Seen,
};
use crate::{
    directory::Directory,
    found::{Cause, Origin},
    model::{Account, Alias, Domain, List, Mailbox},
};

/// One resolution under way.
pub(crate) struct Walk<'a> {
    pub(super) directory: &'a Directory,
    pub(super) from: &'a From,
    budget: usize,
    /// The time, as of the last wait: what comes from memory takes none.
    pub(super) now: Monotonic,
    /// To be entered.
    waiting: VecDeque<Mailbox>,
    /// Addresses that aliases and lists have named so far.
    named: usize,
    entered: Seen<Mailbox>,
    targets: Vec<Target>,
    /// Targets elsewhere. An account has one name and is entered once.
    remote: Seen<Address>,
    /// Why some get nothing; the first tells the sender when nobody is left.
    refusal: Option<Refusal>,
    has_looped: bool,
    /// Something past its time has been gone by.
    pub(super) is_stale: bool,
    pub(super) steps: Option<Vec<Step>>,
    /// Asks the database itself.
    pub(super) is_anew: bool,
    /// The walk has met an address in this domain of ours, which is none any more.
    pub(super) gone: Option<Box<str>>,
}

/// Why a walk ends at once.
pub(crate) enum Stop {
    Refused(Refusal),
    Unavailable(Cause),
}

/// Where an address is.
enum Home {
    /// In this domain of ours, under this name.
    Here(Arc<Domain>, Mailbox),
    /// Not with us.
    Elsewhere(Mailbox),
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
            now: directory.now(),
            waiting: VecDeque::new(),
            named: 0,
            entered: Seen::new(),
            targets: Vec::new(),
            remote: Seen::new(),
            refusal: None,
            has_looped: false,
            is_stale: false,
            steps: None,
            is_anew: false,
            gone: None,
        }
    }

    /// Begins anew, where a domain was gone by that is gone.
    fn restarted(&mut self, gone: &str) -> Self {
        self.directory.forget_domain(gone);
        Walk {
            steps: self.steps.take(),
            is_anew: self.is_anew,
            ..Walk::new(self.directory, self.from, self.budget)
        }
    }

    /// Asks the database itself.
    pub(super) fn past_the_cache(mut self) -> Self {
        self.is_anew = true;
        self
    }

    /// Keeps every step.
    pub(super) fn record(&mut self) {
        self.steps = Some(Vec::new());
    }

    /// Answers whether anything that was gone by is past its time: then nothing is refused.
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale
    }

    pub(super) fn steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }

    pub(super) async fn resolve(&mut self, address: &Address) -> Resolution {
        let mut resolution = self.resolve_once(address).await;
        for _ in 1..PASSED_ON_MAX {
            let Some(gone) = self.gone.take() else { break };
            *self = self.restarted(&gone);
            resolution = self.resolve_once(address).await;
        }
        resolution
    }

    async fn resolve_once(&mut self, address: &Address) -> Resolution {
        let mut resolution = Resolution {
            verdict: Verdict::Refused(Refusal::Unknown),
            is_ours: true,
            message_size: None,
        };
        resolution.verdict = match self.walk(address, &mut resolution).await {
            Ok(()) => self.end(),
            Err(Stop::Refused(refusal)) => self.refused(refusal),
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
                return self.pass_on(address);
            }
        }
        while let Some(name) = self.waiting.pop_front() {
            match self.find_home(name).await {
                Ok(Home::Here(domain, name)) => self.enter(&domain, name).await?,
                Ok(Home::Elsewhere(name)) => self.deliver(Target::Remote(name.into_address()))?,
                // Its domain is out of use, not that of those who are left.
                Err(Stop::Refused(refusal)) => self.leave_out(refusal),
                Err(unavailable) => return Err(unavailable),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Verdict {
        if !self.targets.is_empty() {
            return Verdict::Deliver(std::mem::take(&mut self.targets));
        }
        match self.refusal {
            Some(refusal) => self.refused(refusal),
            None if self.has_looped => self.refused(Refusal::Loop),
            None => self.refused(Refusal::Unknown),
        }
    }

    /// A refusal, unless anything stale has led to it: its targets, its catch-all, its name may be others by now.
    fn refused(&self, refusal: Refusal) -> Verdict {
        match self.is_stale {
            true => Verdict::Unavailable(Cause::Database),
            false => Verdict::Refused(refusal),
        }
    }

    /// The domain of an address that is ours, and its name there; None: it is not ours.
    pub(crate) async fn home(&mut self, address: &Address) -> Result<Option<(Arc<Domain>, Mailbox)>, Stop> {
        // Too long once folded: then it is nobody's.
        let Ok(name) = Mailbox::of(address) else {
            return Ok(None);
        };
        match self.find_home(name).await? {
            Home::Here(domain, name) => Ok(Some((domain, name))),
            Home::Elsewhere(_) => Ok(None),
        }
    }

    async fn find_home(&mut self, name: Mailbox) -> Result<Home, Stop> {
        let domain = match self.domain(name.domain()).await? {
            Named::Domain(domain, None) => return Ok(Home::Here(domain, name)),
            Named::Domain(domain, Some(_)) => domain,
            Named::Disabled(_) => return Err(self.stop(Refusal::Disabled)),
            Named::Nobodys => return Ok(Home::Elsewhere(name)),
        };
        let moved = format!("{}@{}", name.address().local_part(), domain.name);
        match Mailbox::typed(&moved) {
            Ok(name) => Ok(Home::Here(domain, name)),
            Err(_) => Err(self.stop(Refusal::Unknown)),
        }
    }

    /// As [`refused`](Self::refused), for what ends the walk.
    fn stop(&self, refusal: Refusal) -> Stop {
        match self.is_stale {
            true => Stop::Unavailable(Cause::Database),
            false => Stop::Refused(refusal),
        }
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
            Some(catch_all) if *catch_all != name => self.waiting.push_back(catch_all.clone()),
            // Nobody has the catch-all's own address.
            Some(_) | None => self.leave_out(Refusal::Unknown),
        }
        Ok(())
    }

    fn is_new(&mut self, name: &Mailbox) -> bool {
        let is_new = self.entered.insert(name);
        self.has_looped |= !is_new;
        is_new
    }

    async fn mailbox(&mut self, name: &Mailbox) -> Result<Dealt, Stop> {
        match self.holder(name).await? {
            None => return Ok(Dealt::No),
            Some(Holder::Account(account, origin)) => self.account(&account, origin)?,
            Some(Holder::Alias(alias, origin)) => self.alias(&alias, origin)?,
            Some(Holder::List(list, origin)) => self.list(&list, origin).await?,
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
            self.waiting.push_back(to.clone());
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
        self.named += addresses.len();
        // Each may cost a query, also where nobody gets anything in the end.
        if addresses.len() > self.budget || self.named > ADDRESSES_MAX {
            return Err(Stop::Refused(Refusal::TooMany));
        }
        self.waiting.extend(addresses.iter().cloned());
        Ok(())
    }

    /// What is not ours is its own only target. Every relayed message comes here.
    fn pass_on(&mut self, address: &Address) -> Result<(), Stop> {
        if self.budget == 0 {
            return Err(Stop::Refused(Refusal::TooMany));
        }
        self.targets.push(Target::Remote(address.clone()));
        Ok(())
    }

    fn deliver(&mut self, target: Target) -> Result<(), Stop> {
        if let Target::Remote(address) = &target
            && !self.remote.insert(address)
        {
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
}

/// The mailbox of `mailbox+detail` (RFC 5233), where the domain does that.
pub(crate) fn before_separator(domain: &Domain, name: &Mailbox) -> Option<Mailbox> {
    if !domain.plus_addressing || domain.plus_separator.is_empty() {
        return None;
    }
    let (base, _) = name.address().local_part().split_once(&domain.plus_separator)?;
    Mailbox::typed(&format!("{base}@{}", name.domain())).ok()
}
