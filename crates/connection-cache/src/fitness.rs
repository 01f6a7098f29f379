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
//! Age and idle time: [`Limits`](crate::Limits) decide on those for every delivery alike.

use remuda_mail::{Capabilities, Facts, Requirements, ServiceLimits};

/// Why a session may not carry a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfit {
    /// Its endpoint is not in the destination's current address set (T74).
    Endpoint,
    /// It comes from another address of ours.
    Source,
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
    /// It was used more often than the destination bears (T22).
    Count,
}

impl Unfit {
    /// The word for the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Unfit::Endpoint => "endpoint",
            Unfit::Source => "source",
            Unfit::HeloName => "helo_name",
            Unfit::Smtputf8 => "smtputf8",
            Unfit::Size => "size",
            Unfit::RecipientDomain => "recipient_domain",
            Unfit::Used => "used",
            Unfit::Count => "count",
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
        source,
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
        sources,
        helo_name: helo_name_wanted,
        smtputf8: smtputf8_wanted,
        size: size_wanted,
        recipient_domain,
        fresh: fresh_wanted,
        reuse_count_max,
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
    let (source_wanted, helo_name_wanted) = match sources.of(*endpoint) {
        Some(wanted) => (Some(wanted.address), &wanted.helo_name),
        None => (None, helo_name_wanted),
    };
    if *source != source_wanted {
        return Err(Unfit::Source);
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
    fit_uses(*uses, (*fresh_wanted, *reuse_count_max))
}

/// Whether a session with so many uses is unused, if it must be, and within the limit of reuses (0 = none).
fn fit_uses(uses: u32, (fresh_wanted, reuse_count_max): (bool, u32)) -> Result<(), Unfit> {
    if fresh_wanted && uses > 0 {
        return Err(Unfit::Used);
    }
    if reuse_count_max > 0 && uses > reuse_count_max {
        return Err(Unfit::Count);
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

    /// Both ways: neither serves the other, and the name goes with the address.
    #[test]
    fn another_source_is_another_sender() {
        let ours = |n: u8, name: &str| remuda_mail::Source {
            address: [192, 0, 2, n].into(),
            helo_name: name.into(),
        };
        let (one, two) = (ours(101, "out1.test"), ours(102, "out2.test"));
        let from = |source: Option<&remuda_mail::Source>| {
            let mut facts = facts(1);
            if let Some(source) = source {
                facts.source = Some(source.address);
                facts.helo_name = source.helo_name.clone();
            }
            facts
        };
        let wanting = |source: Option<&remuda_mail::Source>| {
            let mut wanted = requirements("a.test", &[1]);
            wanted.sources.v4 = source.cloned().map(Into::into);
            wanted
        };
        let all = [None, Some(&one), Some(&two)];
        for has in all {
            for wants in all {
                let expected = if has == wants { Ok(()) } else { Err(Unfit::Source) };
                assert_eq!(
                    fitness(&from(has), &wanting(wants)),
                    expected,
                    "{has:?} {wants:?}"
                );
            }
        }
        let renamed = ours(101, "new.test");
        assert_eq!(
            fitness(&from(Some(&one)), &wanting(Some(&renamed))),
            Err(Unfit::HeloName)
        );
    }

    /// T22: the destination's limit counts, both for a session that is used up and for one that is not.
    #[test]
    fn a_session_is_used_as_often_as_the_destination_bears() {
        for (uses, max, fits) in [
            (0, 1, Ok(())),
            (1, 1, Ok(())),
            (2, 1, Err(Unfit::Count)),
            (2, 2, Ok(())),
            (1_000_000, 0, Ok(())),
        ] {
            let (mut facts, mut requirements) = (facts(1), requirements("a.test", &[1]));
            facts.uses = uses;
            requirements.reuse_count_max = max;
            assert_eq!(fitness(&facts, &requirements), fits, "{uses} {max}");
        }
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
