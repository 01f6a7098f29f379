//! Whether a session may carry a delivery: the one place that separates two sessions.
//!
//! The keys of the cache only find candidates. What a session has proved ([`Facts`]) and what a delivery
//! demands ([`Requirements`]) meet here, both destructured without `..`, so that a new field on either
//! side does not compile until somebody has decided what it separates.
//!
//! # Contract
//! * **A stronger session serves a weaker need, never the other way round.**
//! * **The verdict depends on nothing else**: not on how the session was found, nor on the time.
//!
//! # Not here
//! Age, idle time and use counts: [`Limits`](crate::Limits) decide on those for every delivery alike.

use remuda_mail::{Capabilities, Facts, Requirements, ServiceLimits};

/// Why a session may not carry a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfit {
    /// Its endpoint is not in the destination's current address set (T74).
    Endpoint,
    /// It introduced itself with another name.
    HeloName,
    /// SMTPUTF8 is needed and not offered (T60).
    Smtputf8,
    /// The content is larger than its SIZE limit (T41).
    Size,
    /// It has had as many recipient domains as its server takes (RFC 9422 RCPTDOMAINMAX).
    RecipientDomain,
    /// It has been used, and the delivery needs one that has not.
    Used,
}

impl Unfit {
    /// The word for the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Unfit::Endpoint => "endpoint",
            Unfit::HeloName => "helo_name",
            Unfit::Smtputf8 => "smtputf8",
            Unfit::Size => "size",
            Unfit::RecipientDomain => "recipient_domain",
            Unfit::Used => "used",
        }
    }
}

/// Answers whether a session with these facts may carry a delivery with these requirements.
///
/// # Errors
/// The first reason found against it.
pub fn fitness(facts: &Facts, requirements: &Requirements) -> Result<(), Unfit> {
    let Facts {
        endpoint,
        host: _,
        helo_name,
        capabilities,
        opened: _,
        uses,
        last_used: _,
        refused_in_a_row: _,
        recipient_domains,
    } = facts;
    let Requirements {
        destination: _,
        endpoints,
        helo_name: helo_name_wanted,
        smtputf8: smtputf8_wanted,
        size: size_wanted,
        recipient_domain,
        fresh: fresh_wanted,
    } = requirements;
    let Capabilities {
        esmtp: _,
        pipelining: _,
        chunking: _,
        eight_bit_mime: _,
        smtputf8,
        dsn: _,
        enhanced_status_codes: _,
        size: _,
        size_max,
        limits:
            ServiceLimits {
                mail_max: _,
                rcpt_max: _,
                rcpt_domain_max,
            },
    } = capabilities;
    if !endpoints.contains(endpoint) {
        return Err(Unfit::Endpoint);
    }
    if helo_name != helo_name_wanted {
        return Err(Unfit::HeloName);
    }
    if *smtputf8_wanted && !smtputf8 {
        return Err(Unfit::Smtputf8);
    }
    if size_max.is_some_and(|max| *size_wanted > max) {
        return Err(Unfit::Size);
    }
    let is_full = rcpt_domain_max.is_some_and(|max| recipient_domains.len() >= max as usize);
    if is_full && !recipient_domains.contains(recipient_domain) {
        return Err(Unfit::RecipientDomain);
    }
    if *fresh_wanted && *uses > 0 {
        return Err(Unfit::Used);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{endpoint, facts, requirements};

    /// T74: the current address set decides, whatever the cache remembers.
    #[test]
    fn only_the_current_address_set_is_served() {
        let wanted = requirements("a.test", &[1]);
        assert_eq!(fitness(&facts(1), &wanted), Ok(()));
        assert_eq!(fitness(&facts(2), &wanted), Err(Unfit::Endpoint));
    }

    /// T59: two ports of one address are two endpoints.
    #[test]
    fn ports_are_never_mixed() {
        let mut other = facts(1);
        other.endpoint = remuda_mail::Endpoint(std::net::SocketAddr::new(endpoint(1).0.ip(), 2525));
        assert_eq!(
            fitness(&other, &requirements("a.test", &[1])),
            Err(Unfit::Endpoint)
        );
    }

    #[test]
    fn another_helo_name_is_another_sender() {
        let mut wanted = requirements("a.test", &[1]);
        wanted.helo_name = "other.test".into();
        assert_eq!(fitness(&facts(1), &wanted), Err(Unfit::HeloName));
    }

    /// T60: recorded features decide, so a session with SMTPUTF8 serves both kinds of mail.
    #[test]
    fn smtputf8_is_needed_only_by_those_who_ask() {
        for (offered, wanted, fits) in [
            (false, false, Ok(())),
            (true, false, Ok(())),
            (true, true, Ok(())),
            (false, true, Err(Unfit::Smtputf8)),
        ] {
            let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
            facts.capabilities.smtputf8 = offered;
            requirements.smtputf8 = wanted;
            assert_eq!(fitness(&facts, &requirements), fits, "{offered} {wanted}");
        }
    }

    /// T41: the limit travels with the session.
    #[test]
    fn a_size_limit_is_remembered_on_reuse() {
        let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
        requirements.size = 5000;
        assert_eq!(fitness(&facts, &requirements), Ok(()));
        facts.capabilities.size_max = Some(1000);
        assert_eq!(fitness(&facts, &requirements), Err(Unfit::Size));
        facts.capabilities.size_max = Some(5000);
        assert_eq!(fitness(&facts, &requirements), Ok(()));
    }

    /// RFC 9422 §4.3: the limit is the whole session's.
    #[test]
    fn a_session_that_has_had_its_domains_takes_no_new_one() {
        let domain = |name: &str| name.parse::<remuda_mail::Domain>().unwrap();
        for (max, domains, fits) in [
            (None, &["b.test"][..], Ok(())),
            (Some(2), &["b.test"], Ok(())),
            (Some(1), &["b.test"], Err(Unfit::RecipientDomain)),
            (Some(1), &["a.test"], Ok(())),
            (Some(1), &[], Ok(())),
        ] {
            let (mut facts, requirements) = (facts(1), requirements("a.test", &[1]));
            facts.capabilities.limits.rcpt_domain_max = max;
            facts.recipient_domains = domains.iter().copied().map(domain).collect();
            assert_eq!(fitness(&facts, &requirements), fits, "{max:?} {domains:?}");
        }
    }

    #[test]
    fn a_delivery_that_a_used_session_failed_takes_only_an_unused_one() {
        let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
        requirements.fresh = true;
        assert_eq!(fitness(&facts, &requirements), Err(Unfit::Used));
        facts.uses = 0;
        assert_eq!(fitness(&facts, &requirements), Ok(()));
    }
}
