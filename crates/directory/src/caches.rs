//! The six caches, one for each kind of object.
//!
//! # Contract
//! * **Each kind has limits and counters of its own**; the switch is common to all.
//! * **What is touched is forgotten in its kind alone**; a flush forgets all.
//! * **The names of domains are forgotten with any domain, domain alias or route** ([`crate::ours`]), and whose an
//!   address is with any account, alias or list of that name ([`crate::whose`]).
//! * **Where domains, their other names or routes are forgotten, that is told** afterwards.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use remuda_clock::Monotonic;
use remuda_object_cache::{Cache, Cached, Cause, Change, Limits, Source, Statistics};
use tokio::sync::watch;

use crate::{
    loader::Waiter,
    model::{Account, Alias, Domain, DomainAlias, Entity, Kind, List, Route},
    ours::{self, Ours},
    store::Touched,
    whose::{self, ADDRESSED, Whose},
};

/// A cache with what waits for its loads.
pub type Shelf<T> = Arc<Cache<T, Waiter<T>>>;

/// One for each kind.
pub struct Caches {
    domain: Shelf<Domain>,
    domain_alias: Shelf<DomainAlias>,
    account: Shelf<Account>,
    alias: Shelf<Alias>,
    list: Shelf<List>,
    route: Shelf<Route>,
    whose: Shelf<Whose>,
    ours: Shelf<Ours>,
    /// The names of domains are kept.
    are_ours_kept: AtomicBool,
    news: News,
}

/// Tells of changes of what decides where mail goes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct News(watch::Sender<u64>);

impl News {
    pub(crate) fn tell(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

/// A type that has a cache.
pub trait Shelved: Entity {
    /// The one.
    #[doc(hidden)]
    fn shelf(caches: &Caches) -> &Shelf<Self>;
}

/// Carries out `$do` on the cache of a kind.
macro_rules! on {
    ($caches:expr, $kind:expr, $shelf:ident => $do:expr) => {
        match $kind {
            Kind::Domain => {
                let $shelf = &$caches.domain;
                $do
            }
            Kind::DomainAlias => {
                let $shelf = &$caches.domain_alias;
                $do
            }
            Kind::Account => {
                let $shelf = &$caches.account;
                $do
            }
            Kind::Alias => {
                let $shelf = &$caches.alias;
                $do
            }
            Kind::List => {
                let $shelf = &$caches.list;
                $do
            }
            Kind::Route => {
                let $shelf = &$caches.route;
                $do
            }
        }
    };
}

impl Caches {
    pub(crate) fn new(is_enabled: bool, limits: impl Fn(Kind) -> Limits) -> Self {
        fn shelf<T: Cached>(is_enabled: bool, limits: Limits) -> Shelf<T> {
            Arc::new(Cache::new(is_enabled, limits))
        }
        let names = ours::limits(NAMED.map(&limits));
        Caches {
            whose: shelf(is_enabled, whose::limits(ADDRESSED.map(&limits))),
            ours: shelf(is_enabled, names),
            are_ours_kept: AtomicBool::new(is_enabled && !names.ttl.is_zero()),
            domain: shelf(is_enabled, limits(Kind::Domain)),
            domain_alias: shelf(is_enabled, limits(Kind::DomainAlias)),
            account: shelf(is_enabled, limits(Kind::Account)),
            alias: shelf(is_enabled, limits(Kind::Alias)),
            list: shelf(is_enabled, limits(Kind::List)),
            route: shelf(is_enabled, limits(Kind::Route)),
            news: News(watch::Sender::new(0)),
        }
    }

    /// The names of domains, where they are kept.
    pub(crate) fn ours(&self) -> Option<&Shelf<Ours>> {
        self.are_ours_kept.load(Ordering::Relaxed).then_some(&self.ours)
    }

    /// Whose addresses are.
    pub(crate) fn whose(&self) -> &Shelf<Whose> {
        &self.whose
    }

    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    pub(crate) fn rerouting(&self) -> watch::Receiver<u64> {
        self.news.0.subscribe()
    }

    /// Forgets what has been touched.
    pub(crate) fn forget(&self, touched: &[Touched], source: Source) {
        for kind in Kind::ALL {
            let mut changes = Vec::new();
            let mut is_all = false;
            for one in touched {
                match one {
                    Touched::One {
                        kind: of,
                        id,
                        old,
                        new,
                    } if *of == kind => changes.push(Change {
                        id: *id,
                        old: old.clone(),
                        new: new.clone(),
                    }),
                    Touched::All(of) if *of == kind => is_all = true,
                    Touched::One { .. } | Touched::All(_) => {}
                }
            }
            if is_all {
                self.clear(kind, cause(source));
            } else if !changes.is_empty() {
                if ADDRESSED.contains(&kind) {
                    self.whose.invalidate(&whose::changes(&changes), source);
                }
                self.forgetting(kind, cause(source), || {
                    on!(self, kind, shelf => shelf.invalidate(&changes, source));
                });
            }
        }
    }

    /// Lets the cache of a kind forget something; before, the names of its kind, and afterwards it is told.
    fn forgetting<R>(&self, kind: Kind, cause: Cause, forget: impl FnOnce() -> R) -> R {
        if !NAMED.contains(&kind) {
            return forget();
        }
        self.ours.clear(cause);
        let forgotten = forget();
        self.news.tell();
        forgotten
    }

    /// Forgets all of a kind; answers how many that was.
    pub(crate) fn clear(&self, kind: Kind, cause: Cause) -> usize {
        if ADDRESSED.contains(&kind) {
            self.whose.clear(cause);
        }
        self.forgetting(kind, cause, || on!(self, kind, shelf => shelf.clear(cause)))
    }

    /// Forgets all of every kind.
    pub(crate) fn clear_all(&self, cause: Cause) {
        for kind in Kind::ALL {
            self.clear(kind, cause);
        }
    }

    pub(crate) fn set_limits(&self, kind: Kind, limits: Limits, now: Monotonic) {
        on!(self, kind, shelf => shelf.set_limits(limits, now));
        if NAMED.contains(&kind) {
            let names = ours::limits(NAMED.map(|kind| self.limits(kind)));
            self.ours.set_limits(names, now);
            self.keep_ours();
        }
        if ADDRESSED.contains(&kind) {
            let least = whose::limits(ADDRESSED.map(|kind| self.limits(kind)));
            self.whose.set_limits(least, now);
        }
    }

    pub(crate) fn limits(&self, kind: Kind) -> Limits {
        on!(self, kind, shelf => shelf.limits())
    }

    pub(crate) fn switch(&self, is_enabled: bool) {
        for kind in Kind::ALL {
            on!(self, kind, shelf => switch(shelf, is_enabled));
        }
        switch(&self.ours, is_enabled);
        switch(&self.whose, is_enabled);
        self.keep_ours();
        self.news.tell();
    }

    fn keep_ours(&self) {
        let are_kept = self.ours.is_enabled() && !self.ours.limits().ttl.is_zero();
        self.are_ours_kept.store(are_kept, Ordering::Relaxed);
    }

    pub(crate) fn statistics(&self, kind: Kind) -> Statistics {
        on!(self, kind, shelf => shelf.statistics())
    }

    pub(crate) fn reset_statistics(&self) {
        for kind in Kind::ALL {
            on!(self, kind, shelf => shelf.reset_statistics());
        }
    }

    /// Gives memory back, a slice at a time.
    pub(crate) fn sweep(&self, now: Monotonic) {
        for kind in Kind::ALL {
            on!(self, kind, shelf => shelf.sweep(now, SWEEP_SLICE));
        }
        self.ours.sweep(now, SWEEP_SLICE);
        self.whose.sweep(now, SWEEP_SLICE);
    }
}

fn switch<T: Cached>(shelf: &Shelf<T>, is_enabled: bool) {
    match is_enabled {
        true => shelf.enable(),
        false => shelf.disable(),
    }
}

/// What decides where mail goes: whose names [`Ours`] has, and whose changes are told.
const NAMED: [Kind; 3] = [Kind::Domain, Kind::DomainAlias, Kind::Route];

/// A flush for many changes that are told at once. Not [`Cause::Admin`]: it is for coherence, and the rates go on.
fn cause(source: Source) -> Cause {
    match source {
        Source::Poll => Cause::Poll,
        Source::Push | Source::Admin => Cause::Push,
    }
}

/// Writes [`Shelved`] for a type and its field.
macro_rules! shelved {
    ($($type:ident: $field:ident),*) => {
        $(impl Shelved for $type {
            fn shelf(caches: &Caches) -> &Shelf<Self> {
                &caches.$field
            }
        })*
    };
}

shelved!(Domain: domain, DomainAlias: domain_alias, Account: account, Alias: alias, List: list, Route: route);

/// Entries looked at in a sweep of one cache.
const SWEEP_SLICE: usize = 1000;
