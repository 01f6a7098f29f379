//! A scenario laid out: every host with its address, every domain with who serves it.
//!
//! # Contract
//! * **The same scenario and seed give the same plan.**
//! * **What is named is there**: a domain's hosts exist, phases are in order, names are given once.
//!
//! # Limits
//! [`HOSTS_MAX`] hosts, as many domains.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use hashbrown::{HashMap, HashSet};

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use remuda_mail::{Destination, Domain, Endpoint};
use toml::Spanned;

use crate::scenario::{DomainGroup, Fault, HostGroup, HostState, Scenario, Service};

/// All hosts and domains.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of their groups.
    pub hosts: Vec<PlannedHost>,
    /// In the order of their groups.
    pub sites: Vec<Site>,
    /// The names of the groups of hosts.
    pub groups: Vec<Arc<str>>,
}

/// One host.
#[derive(Clone, Debug)]
pub struct PlannedHost {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its place in [`Plan::groups`].
    pub group: usize,
    /// What it is like.
    pub model: Arc<Model>,
}

/// What hosts of a group are like.
#[derive(Clone, Debug)]
pub struct Model {
    /// From the dial to the connection.
    pub connect: Duration,
    /// From the connection to the greeting.
    pub greeting: Duration,
    /// Connections at once.
    pub session_limit: Option<u32>,
    /// Transactions of a connection.
    pub close_after: Option<u32>,
    /// The first begins at zero.
    phases: Vec<Conduct>,
}

/// What a host does from a time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conduct {
    at: Duration,
    /// For a transaction.
    pub service: Service,
    /// What it does.
    pub state: HostState,
}

/// A domain and who serves it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its destination.
    pub destination: Destination,
    /// Its name.
    pub domain: Domain,
    /// Places in [`Plan::hosts`] with their preference.
    pub servers: Vec<(usize, u16)>,
}

impl Model {
    /// What it does at a time since the start.
    pub fn conduct(&self, at: Duration) -> Conduct {
        let begun = self.phases.partition_point(|phase| phase.at <= at);
        self.phases[begun.max(1) - 1]
    }

    fn new(group: &HostGroup) -> Result<Model, Fault> {
        let mut phases = vec![Conduct {
            at: Duration::ZERO,
            service: group.service,
            state: group.state,
        }];
        for phase in &group.phases {
            let (span, phase) = (phase.span(), phase.get_ref());
            if phases.last().is_some_and(|last| last.at >= phase.at) {
                return Err(Fault {
                    span,
                    key: "host.phase.at",
                    message: "is not later than the phase before; write phases in order of time".to_owned(),
                });
            }
            phases.push(Conduct {
                at: phase.at,
                service: phase.service.unwrap_or(group.service),
                state: phase.state,
            });
        }
        Ok(Model {
            connect: group.connect,
            greeting: group.greeting,
            session_limit: group.session_limit,
            close_after: group.close_after,
            phases,
        })
    }
}

impl Plan {
    /// Lays out a scenario.
    ///
    /// # Errors
    /// The first thing that does not go with the others.
    pub fn new(scenario: &Scenario) -> Result<Plan, Fault> {
        let mut plan = Plan {
            hosts: Vec::new(),
            sites: Vec::new(),
            groups: Vec::new(),
        };
        let mut named: HashMap<String, Vec<usize>> = HashMap::new();
        for group in &scenario.hosts {
            plan.add_hosts(group, &mut named)?;
        }
        let mut rng = StdRng::seed_from_u64(scenario.seed);
        let mut taken = HashSet::new();
        for group in &scenario.domains {
            plan.add_domains(group, &named, &mut taken, &mut rng)?;
        }
        Ok(plan)
    }

    fn add_hosts(&mut self, group: &HostGroup, named: &mut HashMap<String, Vec<usize>>) -> Result<(), Fault> {
        let fault = |message: String| Fault {
            span: group.name.span(),
            key: "host.name",
            message,
        };
        let model = Arc::new(Model::new(group)?);
        let first = self.hosts.len();
        if first + group.count as usize > HOSTS_MAX {
            return Err(fault(format!("more than {HOSTS_MAX} hosts in all")));
        }
        for name in members(&group.name, group.count) {
            let place = self.hosts.len();
            let twice = format!("{name:?} is the name of another host or group; write one name once");
            if named.insert(name.clone(), vec![place]).is_some() {
                return Err(fault(twice));
            }
            self.hosts.push(PlannedHost {
                name: name.into(),
                endpoint: endpoint(place),
                group: self.groups.len(),
                model: model.clone(),
            });
        }
        let name = group.name.get_ref().clone();
        self.groups.push(name.as_str().into());
        if group.count > 1 {
            let all = (first..self.hosts.len()).collect();
            let twice = format!("{name:?} is the name of another host or group; write one name once");
            if named.insert(name, all).is_some() {
                return Err(fault(twice));
            }
        }
        Ok(())
    }

    fn add_domains(
        &mut self,
        group: &DomainGroup,
        named: &HashMap<String, Vec<usize>>,
        taken: &mut HashSet<String>,
        rng: &mut StdRng,
    ) -> Result<(), Fault> {
        let all = servers(group, named)?;
        if self.sites.len() + group.count as usize > HOSTS_MAX {
            let message = format!("more than {HOSTS_MAX} domains in all");
            return Err(of_domain(group, "domain.count", message));
        }
        for name in members(&group.name, group.count) {
            let domain = domain(group, &name)?;
            if !taken.insert(name) {
                let message = format!("{:?} is there twice; write one name once", domain.as_str());
                return Err(of_domain(group, "domain.name", message));
            }
            let servers = match group.choose {
                Some(choose) => some_of(&all, choose as usize, rng),
                None => all.clone(),
            };
            self.sites.push(Site {
                destination: Destination::from_key(domain.as_str()),
                domain,
                servers,
            });
        }
        Ok(())
    }
}

fn of_domain(group: &DomainGroup, key: &'static str, message: String) -> Fault {
    Fault {
        span: group.name.span(),
        key,
        message,
    }
}

fn domain(group: &DomainGroup, name: &str) -> Result<Domain, Fault> {
    format!("{name}.test").parse().map_err(|_| {
        let message = format!("{name:?} is no domain; write letters and digits");
        of_domain(group, "domain.name", message)
    })
}

/// The names of a group's members.
fn members(name: &Spanned<String>, count: u32) -> impl Iterator<Item = String> {
    let name = name.get_ref().clone();
    (1..=count).map(move |place| match count {
        1 => name.clone(),
        _ => format!("{name}-{place}"),
    })
}

/// All hosts that a group of domains names, with their preference.
fn servers(group: &DomainGroup, named: &HashMap<String, Vec<usize>>) -> Result<Vec<(usize, u16)>, Fault> {
    if !group.preference.is_empty() && group.preference.len() != group.hosts.len() {
        let message = "write one number for each of hosts, or none".to_owned();
        return Err(of_domain(group, "domain.preference", message));
    }
    let mut all = Vec::new();
    for (index, name) in group.hosts.iter().enumerate() {
        let Some(places) = named.get(name.get_ref()) else {
            return Err(Fault {
                span: name.span(),
                key: "domain.hosts",
                message: format!(
                    "{:?} is no host or group; write the name of a [[host]]",
                    name.get_ref()
                ),
            });
        };
        let preference = group.preference.get(index).copied().unwrap_or(PREFERENCE);
        all.extend(places.iter().map(|place| (*place, preference)));
    }
    let chosen = group.choose.map_or(1, |choose| choose as usize);
    if all.is_empty() {
        let message = "is empty; write the name of a [[host]]".to_owned();
        return Err(of_domain(group, "domain.hosts", message));
    }
    if chosen > all.len() {
        let message = format!(
            "{chosen} of {} hosts; write at most as many as there are",
            all.len()
        );
        return Err(of_domain(group, "domain.choose", message));
    }
    Ok(all)
}

/// So many of them, in their order. Cost: the number chosen.
fn some_of(all: &[(usize, u16)], count: usize, rng: &mut StdRng) -> Vec<(usize, u16)> {
    let mut places: Vec<usize> = rand::seq::index::sample(rng, all.len(), count).into_vec();
    places.shuffle(rng);
    places.sort_unstable();
    places.into_iter().map(|place| all[place]).collect()
}

/// The address of a host: 10.0.0.1 and on.
fn endpoint(place: usize) -> Endpoint {
    let offset = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
    let base = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    Endpoint::Tcp((Ipv4Addr::from(base.saturating_add(offset)), 25).into())
}

/// Hosts, and domains, of a scenario.
pub const HOSTS_MAX: usize = 1_000_000;
/// Where the scenario names none.
const PREFERENCE: u16 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        let mail = "[mail]\nmessages = 1\n";
        Scenario::parse(&format!("{text}\n{mail}")).unwrap().1
    }

    #[test]
    fn groups_become_hosts_with_addresses_and_domains_with_servers() {
        let plan = plan(
            "[[host]]\nname = 'a'\nservice = '1ms'\n[[host]]\nname = 'b'\ncount = 2\nservice = '1ms'\n\
             [[domain]]\nname = 'd'\ncount = 2\nhosts = ['b', 'a']\npreference = [20, 10]\n\
             [[domain]]\nname = 'e'\nhosts = ['b-2']",
        );
        let names: Vec<&str> = plan.hosts.iter().map(|host| &*host.name).collect();
        assert_eq!(names, ["a", "b-1", "b-2"]);
        assert_eq!(plan.hosts[2].endpoint.to_string(), "10.0.0.3:25");
        let sites: Vec<_> = plan.sites.iter().map(|site| site.destination.as_str()).collect();
        assert_eq!(sites, ["d-1.test", "d-2.test", "e.test"]);
        assert_eq!(plan.sites[1].servers, [(1, 20), (2, 20), (0, 10)]);
        assert_eq!(plan.sites[2].servers, [(2, PREFERENCE)]);
    }

    #[test]
    fn the_same_scenario_and_seed_give_the_same_plan() {
        let chosen = |seed: u32| {
            let plan = plan(&format!(
                "seed = {seed}\n[[host]]\nname = 'a'\ncount = 100\nservice = '1ms'\n\
                 [[domain]]\nname = 'd'\ncount = 50\nhosts = ['a']\nchoose = 2"
            ));
            plan.sites
                .into_iter()
                .map(|site| site.servers)
                .collect::<Vec<_>>()
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        assert!(
            chosen(1)
                .iter()
                .all(|servers| servers.len() == 2 && servers[0] != servers[1])
        );
    }

    #[test]
    fn a_phase_lasts_until_the_next() {
        let plan = plan(
            "[[host]]\nname = 'a'\nservice = '50ms'\n\
             [[host.phase]]\nat = '10s'\nservice = '2s'\n[[host.phase]]\nat = '20s'\nstate = 'refuses'\n\
             [[domain]]\nname = 'd'\nhosts = ['a']",
        );
        let model = &plan.hosts[0].model;
        let at = |secs| {
            let conduct = model.conduct(Duration::from_secs(secs));
            (conduct.service.mean().as_millis(), conduct.state)
        };
        assert_eq!(at(0), (50, HostState::Works));
        assert_eq!(at(9), (50, HostState::Works));
        assert_eq!(at(10), (2000, HostState::Works));
        assert_eq!(at(20), (50, HostState::Refuses));
    }
}
