//! Which rule of the operator's a destination is under, and what follows from it.
//!
//! A rule names a next-hop domain, or the host that serves it. The second needs the destination's servers, so
//! that rules are matched whenever those become known; the site keeps the result.
//!
//! # Contract
//! * **One rule at most.** The domain exactly, else its longest suffix, else the name of a best MX host exactly,
//!   else the longest suffix of one. A suffix `.example.org` is of names below `example.org`, not of itself.
//!   Of two hosts the more closely named one decides, of equals the first.
//! * **Names are compared without case.**
//! * **A route's hosts are its domains**, since they are its next-hop: as written, or without their port.
//!
//! # Not here
//! How limits are kept: `schedule` (concurrency, rate), `ceilings` (sessions of an endpoint), the fitness of a
//! session (reuses, TLS).

use std::{sync::Arc, time::Duration};

use hashbrown::HashMap;
use remuda_mail::{Destination, TlsLevel};
use remuda_schedule::{GateKey, GateLimits, Terms};

use crate::{
    Dispatch,
    ceilings::Ceiling,
    settings::{Pattern, Rate, Rule},
    sites::{Resolved, hosts_of},
};

/// All rules, by what they match.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    by_pattern: HashMap<Pattern, Arc<Rule>>,
}

impl Rules {
    /// Of two rules for the same the first counts.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut by_pattern = HashMap::new();
        for rule in rules {
            by_pattern
                .entry(rule.pattern.clone())
                .or_insert_with(|| Arc::new(rule.clone()));
        }
        Rules { by_pattern }
    }

    /// The rule of a destination that is served best by these hosts.
    pub(crate) fn of(&self, destination: &Destination, best_hosts: &[Arc<str>]) -> Option<Arc<Rule>> {
        if self.by_pattern.is_empty() {
            return None;
        }
        let domains = || hosts_of(destination);
        let hosts = || best_hosts.iter().map(|host| host.trim_end_matches('.'));
        self.exact(domains(), Pattern::Domain)
            .or_else(|| self.longest(domains(), Pattern::Domains))
            .or_else(|| self.exact(hosts(), Pattern::Host))
            .or_else(|| self.longest(hosts(), Pattern::Hosts))
    }

    fn exact<'n>(
        &self,
        mut names: impl Iterator<Item = &'n str>,
        pattern: impl Fn(String) -> Pattern,
    ) -> Option<Arc<Rule>> {
        names.find_map(|name| self.by_pattern.get(&pattern(name.to_ascii_lowercase())).cloned())
    }

    fn longest<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        pattern: impl Fn(String) -> Pattern,
    ) -> Option<Arc<Rule>> {
        let mut best: Option<(usize, Arc<Rule>)> = None;
        for name in names {
            let mut parents = name.match_indices('.').map(|(dot, _)| &name[dot..]);
            let found = parents.find_map(|parent| {
                let rule = self.by_pattern.get(&pattern(parent.to_ascii_lowercase()))?;
                Some((parent.len(), rule.clone()))
            });
            if let Some((length, rule)) = found
                && best.as_ref().is_none_or(|(other, _)| length > *other)
            {
                best = Some((length, rule));
            }
        }
        best.map(|(_, rule)| rule)
    }
}

impl Rule {
    /// What the schedule has to know of it.
    fn terms(&self, destination: &Destination) -> Terms {
        let is_shared = self.pattern.is_of_hosts();
        let limits = GateLimits {
            busy_max: self.concurrency.filter(|_| is_shared),
            space: self.rate.map(Rate::space),
        };
        let key = if is_shared {
            GateKey::Shared(self.pattern.to_string().into())
        } else {
            GateKey::Of(destination.clone())
        };
        Terms {
            concurrency_max: self.concurrency,
            gate: Some((key, limits)).filter(|_| limits != GateLimits::default()),
        }
    }
}

impl Rate {
    /// Between two starts: rounded up, so that no more than `messages` fit into any span of `per`.
    fn space(self) -> Duration {
        let messages = u128::from(self.messages.max(1));
        let nanos = self.per.as_nanos().div_ceil(messages);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// How much TLS a destination gets that is served best by these hosts, if its route does not say.
pub fn level_of(
    rules: &[Rule],
    destination: &Destination,
    best_hosts: &[Arc<str>],
    general: TlsLevel,
) -> TlsLevel {
    let rule = Rules::new(rules).of(destination, best_hosts);
    rule.and_then(|rule| rule.tls).unwrap_or(general)
}

impl Dispatch {
    /// Puts a destination under the rule that is for it now.
    pub(crate) fn apply_rule(&mut self, destination: &Destination) {
        let Some(site) = self.sites.get_mut(destination) else {
            return;
        };
        // Without servers there are only bounces, and those need no pace.
        let has_servers = !matches!(site.servers, Resolved::Never(..));
        let rule = self
            .rules
            .of(destination, &site.best_hosts)
            .filter(|_| has_servers);
        let terms = rule.as_ref().map(|rule| rule.terms(destination));
        let limit = rule.as_ref().and_then(|rule| rule.sessions_per_endpoint);
        let wanted = limit.map(|limit| (site.endpoints.clone(), limit));
        site.rule = rule;
        let lifted = if site.ceiling == wanted {
            None
        } else {
            if let Some((endpoints, limit)) = &wanted {
                self.ceilings.set(endpoints, *limit);
            }
            std::mem::replace(&mut site.ceiling, wanted)
        };
        self.lift(lifted);
        self.schedule.set_terms(destination, terms.unwrap_or_default());
    }

    /// A destination is forgotten, and with it what its rule demanded.
    pub(crate) fn release_rule(&mut self, destination: &Destination, ceiling: Option<Ceiling>) {
        self.lift(ceiling);
        self.schedule.set_terms(destination, Terms::default());
    }

    /// How much TLS a destination gets that is served best by these hosts, if its route does not say.
    pub(crate) fn tls_level(&self, destination: &Destination, best_hosts: &[Arc<str>]) -> TlsLevel {
        let rule = self.rules.of(destination, best_hosts);
        rule.and_then(|rule| rule.tls).unwrap_or(self.settings.tls_level)
    }

    /// How many messages of a destination may be in flight on one session.
    pub(crate) fn pipeline_depth(&self, destination: &Destination) -> u32 {
        let rule = self.sites.get(destination).and_then(|site| site.rule.as_ref());
        let own = rule.and_then(|rule| rule.pipeline_depth);
        own.unwrap_or(self.settings.pipeline_depth).max(1)
    }

    /// How many of any.
    #[cfg(test)]
    pub(crate) fn depth_max(&self) -> u32 {
        let own = self.settings.rules.iter().filter_map(|rule| rule.pipeline_depth);
        own.chain([self.settings.pipeline_depth, 1]).max().unwrap_or(1)
    }

    /// Reuses that a destination bears; 0 = no limit.
    pub(crate) fn reuse_count_max(&self, destination: &Destination) -> u32 {
        self.own_reuse_count_max(destination)
            .unwrap_or(self.settings.cache.reuse_count_limit)
    }

    /// The same, where a rule says so.
    pub(crate) fn own_reuse_count_max(&self, destination: &Destination) -> Option<u32> {
        self.sites.get(destination)?.rule.as_ref()?.reuse_count_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[&str]) -> Rules {
        let rule = |text: &&str| Rule {
            pattern: pattern(text),
            ..Rule::default()
        };
        Rules::new(&patterns.iter().map(rule).collect::<Vec<_>>())
    }

    fn pattern(text: &str) -> Pattern {
        match (text.strip_prefix("mx:"), text) {
            (Some(name), _) if name.starts_with('.') => Pattern::Hosts(name.to_owned()),
            (Some(name), _) => Pattern::Host(name.to_owned()),
            (None, name) if name.starts_with('.') => Pattern::Domains(name.to_owned()),
            (None, name) => Pattern::Domain(name.to_owned()),
        }
    }

    fn matched(rules: &Rules, destination: &str, hosts: &[&str]) -> Option<String> {
        let hosts: Vec<Arc<str>> = hosts.iter().map(|host| (*host).into()).collect();
        let rule = rules.of(&Destination::from_key(destination), &hosts);
        rule.map(|rule| rule.pattern.to_string())
    }

    const ALL: [&str; 8] = [
        "mail.example.org",
        ".example.org",
        ".org",
        "mx:mx1.example.com",
        "mx:.example.com",
        "mx:.com",
        "192.0.2.1",
        "relay.test:587",
    ];

    #[test]
    fn the_most_specific_rule_is_for_a_destination() {
        let all = rules(&ALL);
        for (destination, hosts, expected) in [
            (
                "mail.example.org",
                &["mx1.example.com"][..],
                Some("mail.example.org"),
            ),
            ("a.mail.example.org", &[], Some(".example.org")),
            ("example.org", &[], Some(".org")),
            ("org", &[], None),
            ("a.net", &["mx1.example.com"], Some("mx:mx1.example.com")),
            ("a.net", &["mx2.example.com"], Some("mx:.example.com")),
            ("a.net", &["example.com"], Some("mx:.com")),
            ("a.net", &["notexample.com"], Some("mx:.com")),
            ("a.net", &["mx.other.net"], None),
            ("a.net", &[], None),
        ] {
            assert_eq!(
                matched(&all, destination, hosts).as_deref(),
                expected,
                "{destination} {hosts:?}"
            );
        }
    }

    #[test]
    fn the_host_that_is_named_most_closely_decides() {
        let all = rules(&ALL);
        for (hosts, expected) in [
            (["a.b.com", "mx9.example.com"], "mx:.example.com"),
            (["mx9.example.com", "a.b.com"], "mx:.example.com"),
            (["mx9.example.com", "mx1.example.com"], "mx:mx1.example.com"),
            (["a.b.com", "elsewhere.net"], "mx:.com"),
        ] {
            assert_eq!(
                matched(&all, "a.net", &hosts).as_deref(),
                Some(expected),
                "{hosts:?}"
            );
        }
    }

    #[test]
    fn names_match_without_case_and_final_dot() {
        let all = rules(&ALL);
        assert_eq!(
            matched(&all, "a.net", &["MX1.Example.COM."]).as_deref(),
            Some("mx:mx1.example.com")
        );
        assert_eq!(
            matched(&all, "A.Example.ORG", &[]).as_deref(),
            Some(".example.org")
        );
    }

    #[test]
    fn a_routes_hosts_are_its_domains() {
        let all = rules(&ALL);
        for (destination, expected) in [
            ("relay.test:587", Some("relay.test:587")),
            ("other.test,relay.test:587=10", Some("relay.test:587")),
            ("relay.test:25", None),
            ("192.0.2.1:2525", Some("192.0.2.1")),
            ("mx:mail.example.org", Some("mail.example.org")),
            ("mx:x.example.org=10", Some(".example.org")),
        ] {
            assert_eq!(
                matched(&all, destination, &[]).as_deref(),
                expected,
                "{destination}"
            );
        }
    }

    #[test]
    fn starts_are_never_closer_than_the_rate_allows() {
        for (messages, seconds) in [(100, 60), (7, 1), (1, 3600), (999_983, 1)] {
            let per = Duration::from_secs(seconds);
            let space = Rate { messages, per }.space();
            assert!(space * messages >= per && (space - Duration::from_nanos(1)) * messages < per);
        }
    }
}
