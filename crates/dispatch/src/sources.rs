//! Which of our addresses a destination's mail leaves by.
//!
//! Receivers build an opinion of each address that sends to them, so a destination keeps the one it has. The
//! first choice is by rendezvous: each pair of destination and address has a score, the highest wins. It needs
//! no memory, is the same after a restart, and a new address takes over only its own share.
//!
//! # Contract
//! * **A destination keeps its source while it works**, also over a reload that still names it.
//! * **It moves on** to the source with the next score when this one cannot be used on this machine, or when
//!   [`TRIES`] dials in a row from it were refused or not answered.
//! * **Each family has its own.** Endpoints of a family without a source are dialled from the address that the
//!   system chooses: a list of IPv4 addresses does not keep mail from hosts that have only IPv6.
//!
//! # Not here
//! Where a failing host is remembered: `hosts`, by source and endpoint.

use std::{net::IpAddr, sync::Arc};

use remuda_clock::Monotonic;
use remuda_mail::{Destination, Failure, NextHop, SessionId, Source, Sources, Way};

use crate::{Dispatch, answers::is_of_the_host, event::DialStep, sessions::State};

/// A destination's sources, and how they did.
#[derive(Debug, Default)]
pub(crate) struct Whence {
    current: Sources,
    /// Dials in a row that failed, by family: IPv4, IPv6.
    failures: [u32; 2],
    has_moved: bool,
}

impl Whence {
    /// The first choice for a destination.
    pub(crate) fn new(destination: &Destination, all: &[Arc<Source>]) -> Self {
        // Our addresses are for the world: local mail does not leave by them.
        let all = if *destination == NextHop::Local.destination() {
            &[]
        } else {
            all
        };
        Whence {
            current: Sources {
                v4: ranked(destination, all, true).first().cloned(),
                v6: ranked(destination, all, false).first().cloned(),
            },
            failures: [0; 2],
            has_moved: false,
        }
    }

    /// Where its mail comes from now.
    pub(crate) fn sources(&self) -> &Sources {
        &self.current
    }

    /// Answers whether it holds more than the first choice, which can be made again at any time.
    pub(crate) fn is_telling(&self) -> bool {
        self.has_moved || self.failures != [0; 2]
    }

    /// Other sources are configured.
    pub(crate) fn reconfigure(&mut self, destination: &Destination, all: &[Arc<Source>]) {
        let kept = |current: &Option<Arc<Source>>, first: Option<Arc<Source>>| {
            let address = current.as_ref().map(|source| source.address);
            let same = all.iter().find(|source| Some(source.address) == address);
            same.cloned().or(first)
        };
        let Whence { current: first, .. } = Whence::new(destination, all);
        self.current = Sources {
            v4: kept(&self.current.v4, first.v4),
            v6: kept(&self.current.v6, first.v6),
        };
    }

    /// A dial from there succeeded.
    pub(crate) fn worked(&mut self, source: IpAddr) {
        if self.is_current(source) {
            self.failures[family(source)] = 0;
        }
    }

    /// A host refused a dial from there, or did not answer it.
    pub(crate) fn refused(&mut self, source: IpAddr, destination: &Destination, all: &[Arc<Source>]) {
        if !self.is_current(source) {
            return;
        }
        self.failures[family(source)] += 1;
        if self.failures[family(source)] >= TRIES {
            self.move_on(source, destination, all);
        }
    }

    /// This machine could not use the address.
    pub(crate) fn unusable(&mut self, source: IpAddr, destination: &Destination, all: &[Arc<Source>]) {
        if self.is_current(source) {
            self.move_on(source, destination, all);
        }
    }

    fn is_current(&self, source: IpAddr) -> bool {
        let Sources { v4, v6 } = &self.current;
        [v4, v6].into_iter().flatten().any(|ours| ours.address == source)
    }

    fn move_on(&mut self, source: IpAddr, destination: &Destination, all: &[Arc<Source>]) {
        let ranked = ranked(destination, all, source.is_ipv4());
        let place = ranked.iter().position(|ours| ours.address == source);
        let next = place.and_then(|place| ranked.get((place + 1) % ranked.len()));
        match source {
            IpAddr::V4(_) => self.current.v4 = next.cloned(),
            IpAddr::V6(_) => self.current.v6 = next.cloned(),
        }
        self.failures[family(source)] = 0;
        self.has_moved = true;
    }
}

impl Dispatch {
    /// A dial has succeeded: so far its source is in order.
    pub(crate) fn credit_source(&mut self, dial: SessionId) {
        let Some(session) = self.sessions.get(&dial) else {
            return;
        };
        if let (Some(source), Some(site)) = (session.source, self.sites.get_mut(&session.destination)) {
            site.whence.worked(source);
        }
    }

    /// A dial has failed: the way is avoided for a while, unless the fault was ours.
    pub(crate) fn blame_way(&mut self, way: Way, dialled: Monotonic, failure: &Failure) {
        if is_of_the_host(failure) {
            let (words, now) = (failure.refusal.words(), self.now.monotonic);
            self.hosts.failed(way, (dialled, &words), now, &mut self.rng);
            self.sleep_on(way);
        } else {
            self.hosts.undialled(way);
            self.rouse(way);
        }
    }

    /// A dial has failed. Answers whether its delivery may try the same host from another source, because
    /// this one could not be used and the host was not spoken to.
    pub(crate) fn blame_source(&mut self, dial: SessionId, step: DialStep, failure: &Failure) -> bool {
        let all = &self.settings.sources;
        let Some(session) = self.sessions.get(&dial) else {
            return false;
        };
        let mut owner = match session.state {
            State::Dialling(Some(owner)) => self.deliveries.get_mut(&owner),
            _ => None,
        };
        let destination = owner
            .as_ref()
            .map_or(&session.destination, |delivery| &delivery.entry.destination);
        if let (Some(source), Some(site)) = (session.source, self.sites.get_mut(destination)) {
            match step {
                DialStep::Source => site.whence.unusable(source, destination, all),
                DialStep::Connect | DialStep::Greeting | DialStep::Helo if is_of_the_host(failure) => {
                    site.whence.refused(source, destination, all);
                }
                // What comes behind the introduction is no matter of where we come from.
                DialStep::Connect | DialStep::Greeting | DialStep::Helo | DialStep::Tls | DialStep::Auth => {}
            }
        }
        let Some(delivery) = owner.as_mut().filter(|_| step == DialStep::Source) else {
            return false;
        };
        delivery.sources_failed += 1;
        (delivery.sources_failed as usize) < all.len()
    }
}

fn family(source: IpAddr) -> usize {
    usize::from(source.is_ipv6())
}

/// The sources of one family, in the order in which the destination uses them.
fn ranked(destination: &Destination, all: &[Arc<Source>], is_v4: bool) -> Vec<Arc<Source>> {
    let mut ranked: Vec<_> = all
        .iter()
        .filter(|source| source.address.is_ipv4() == is_v4)
        .map(|source| (score(destination, source.address), source.clone()))
        .collect();
    ranked.sort_by_key(|(score, source)| (std::cmp::Reverse(*score), source.address));
    ranked.into_iter().map(|(_, source)| source).collect()
}

/// FNV-1a over both names, mixed: the same on every machine and in every version.
fn score(destination: &Destination, source: IpAddr) -> u64 {
    let text = format!("{destination} {source}");
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3)
    });
    // FNV's high bits hardly depend on the last octets.
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    mixed ^ (mixed >> 33)
}

/// Dials in a row that must fail before a destination moves on.
const TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(addresses: &[&str]) -> Vec<Arc<Source>> {
        let source = |address: &&str| {
            Arc::new(Source {
                address: address.parse().unwrap(),
                helo_name: format!("out-{address}.test").into(),
            })
        };
        addresses.iter().map(source).collect()
    }

    fn to(name: &str) -> Destination {
        Destination::from_key(name)
    }

    fn v4(whence: &Whence) -> Option<IpAddr> {
        whence.sources().v4.as_ref().map(|source| source.address)
    }

    const THREE: [&str; 4] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];

    #[test]
    fn destinations_are_spread_and_each_has_the_same_source_every_time() {
        let all = sources(&THREE);
        let chosen = |name: u32, all: &[Arc<Source>]| v4(&Whence::new(&to(&format!("d{name}.test")), all));
        for source in &all[..3] {
            let share = (0..900)
                .filter(|name| chosen(*name, &all) == Some(source.address))
                .count();
            assert!(
                (200..400).contains(&share),
                "{} has {share} of 900",
                source.address
            );
        }
        for name in 0..900 {
            let (three, two) = (chosen(name, &all), chosen(name, &all[..2]));
            assert!(
                three == two || three == Some(all[2].address),
                "a new one takes only its share"
            );
        }
    }

    #[test]
    fn each_family_has_its_own() {
        let whence = Whence::new(&to("a.test"), &sources(&["192.0.2.1"]));
        assert!(whence.sources().v4.is_some() && whence.sources().v6.is_none());
        let whence = Whence::new(&to("a.test"), &sources(&THREE));
        assert_eq!(
            whence.sources().v6.as_ref().map(|v6| v6.address),
            Some("2001:db8::1".parse().unwrap())
        );
        let none = Whence::new(&to("a.test"), &[]);
        assert_eq!(none.sources(), &Sources::default());
    }

    #[test]
    fn a_source_that_is_refused_several_times_in_a_row_gives_way() {
        let (all, name) = (sources(&THREE), to("a.test"));
        let mut whence = Whence::new(&name, &all);
        let first = v4(&whence).unwrap();
        for _ in 0..TRIES - 1 {
            whence.refused(first, &name, &all);
        }
        whence.worked(first);
        for _ in 0..TRIES - 1 {
            whence.refused(first, &name, &all);
        }
        assert_eq!(v4(&whence), Some(first), "a success in between is enough");
        whence.refused(first, &name, &all);
        let second = v4(&whence).unwrap();
        assert_ne!(second, first);
        whence.refused(first, &name, &all);
        whence.unusable(first, &name, &all);
        assert_eq!(
            v4(&whence),
            Some(second),
            "what is late says nothing of the second"
        );
    }

    #[test]
    fn unusable_sources_are_gone_through_in_turn() {
        let (all, name) = (sources(&THREE), to("a.test"));
        let mut whence = Whence::new(&name, &all);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let source = v4(&whence).unwrap();
            seen.insert(source);
            whence.unusable(source, &name, &all);
        }
        assert_eq!(seen.len(), 3);
        let only = sources(&["192.0.2.1"]);
        let mut whence = Whence::new(&name, &only);
        whence.unusable(only[0].address, &name, &only);
        assert_eq!(v4(&whence), Some(only[0].address), "there is no other");
    }

    #[test]
    fn a_reload_keeps_what_it_still_names() {
        let (all, name) = (sources(&THREE), to("a.test"));
        let mut whence = Whence::new(&name, &all);
        let first = v4(&whence).unwrap();
        whence.unusable(first, &name, &all);
        let second = v4(&whence).unwrap();
        let mut renamed = all.clone();
        for source in &mut renamed {
            Arc::make_mut(source).helo_name = "new.test".into();
        }
        whence.reconfigure(&name, &renamed);
        assert_eq!(v4(&whence), Some(second), "not back to the first");
        assert_eq!(&*whence.sources().v4.as_ref().unwrap().helo_name, "new.test");
        let rest: Vec<_> = all
            .into_iter()
            .filter(|source| source.address != second)
            .collect();
        whence.reconfigure(&name, &rest);
        assert!(v4(&whence).is_some_and(|source| source != second));
    }
}
