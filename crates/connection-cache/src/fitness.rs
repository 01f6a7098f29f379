//! Whether a session may carry a delivery: the one place that separates two sessions.
//!
//! The keys of the cache only find candidates. What a session has proved ([`Facts`]) and what a delivery
//! demands ([`Requirements`]) meet here, both destructured without `..`, so that a new field on either
//! side does not compile until somebody has decided what it separates.
//!
//! # Contract
//! * **A stronger session serves a weaker need, never the other way round.**
//! * **The verdict depends on nothing else**: not on how the session was found; on the time only as far as
//!   `may` is content with clear for [`HANDSHAKE_MEMORY`] after a handshake failed.
//!
//! # Not here
//! Age and idle time: [`Limits`](crate::Limits) decide on those for every delivery alike.

use std::{net::IpAddr, sync::Arc};

use remuda_clock::Monotonic;
use remuda_mail::{
    Authenticated, Capabilities, Clear, Domain, Facts, HANDSHAKE_MEMORY, Requirements, ServiceLimits, Source,
    Tls, TlsLevel, TlsPolicy,
};

/// Why a session may not carry a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfit {
    /// Its endpoint is not in the destination's current address set (T74).
    Endpoint,
    /// SMTP is spoken on it where LMTP is wanted, or the other way round (T51).
    Protocol,
    /// It comes from another address of ours.
    Source,
    /// It introduced itself with another name.
    HeloName,
    /// It began with TLS and should not have, or the other way round (T51).
    TlsMode,
    /// It is in clear and must not be (T52).
    Tls,
    /// It is with nobody who is known to be the right one.
    Identity,
    /// It has shown other credentials, or some where none are wanted (T56).
    Credentials,
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
            Unfit::Protocol => "protocol",
            Unfit::Source => "source",
            Unfit::HeloName => "helo_name",
            Unfit::TlsMode => "tls_mode",
            Unfit::Tls => "tls",
            Unfit::Identity => "identity",
            Unfit::Credentials => "credentials",
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
pub fn fitness(facts: &Facts, requirements: &Requirements, now: Monotonic) -> Result<(), Unfit> {
    let Facts {
        endpoint,
        protocol,
        source,
        host: _,
        helo_name,
        is_tls_implicit,
        tls,
        credentials,
        capabilities,
        opened: _,
        uses,
        last_used: _,
        refused_in_a_row: _,
        recipient_domains,
    } = facts;
    let Requirements {
        destination: _,
        protocol: protocol_wanted,
        endpoints,
        hosts,
        sources,
        helo_name: helo_name_wanted,
        tls: tls_wanted,
        credentials: credentials_wanted,
        smtputf8: smtputf8_wanted,
        size: size_wanted,
        recipient_domain,
        fresh: fresh_wanted,
        reuse_count_max,
    } = requirements;
    let Some(place) = endpoints.iter().position(|allowed| allowed == endpoint) else {
        return Err(Unfit::Endpoint);
    };
    if protocol != protocol_wanted {
        return Err(Unfit::Protocol);
    }
    sender_fitness((*source, helo_name), sources.of(*endpoint), helo_name_wanted)?;
    if *is_tls_implicit != tls_wanted.is_implicit(*endpoint) {
        return Err(Unfit::TlsMode);
    }
    tls_fitness(tls, tls_wanted, hosts.get(place), now)?;
    if credentials != credentials_wanted {
        return Err(Unfit::Credentials);
    }
    let domain = (recipient_domain, &recipient_domains[..]);
    capability_fitness(capabilities, *smtputf8_wanted, *size_wanted, domain)?;
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

/// Answers whether a session comes from where it must, under the name that goes with it; `helo_name`: the name
/// that goes with no source.
fn sender_fitness(
    (source, said): (Option<IpAddr>, &Arc<str>),
    wanted: Option<&Arc<Source>>,
    helo_name: &Arc<str>,
) -> Result<(), Unfit> {
    if source != wanted.map(|wanted| wanted.address) {
        return Err(Unfit::Source);
    }
    if said != wanted.map_or(helo_name, |wanted| &wanted.helo_name) {
        return Err(Unfit::HeloName);
    }
    Ok(())
}

/// Answers whether what a session's server offers is enough; `domain`: the recipients' one, and those that the
/// session has had.
fn capability_fitness(
    capabilities: &Capabilities,
    smtputf8_wanted: bool,
    size: u64,
    (domain, had): (&Domain, &[Domain]),
) -> Result<(), Unfit> {
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
        starttls: _,
        auth_plain: _,
        auth_login: _,
    } = capabilities;
    if smtputf8_wanted && !smtputf8 {
        return Err(Unfit::Smtputf8);
    }
    if size_max.is_some_and(|max| size > max) {
        return Err(Unfit::Size);
    }
    if rcpt_domain_max.is_some_and(|max| had.len() >= max as usize) && !had.contains(domain) {
        return Err(Unfit::RecipientDomain);
    }
    Ok(())
}

/// Answers whether what a session has of TLS is what is demanded of a host that is called `host`.
fn tls_fitness(tls: &Tls, wanted: &TlsPolicy, host: Option<&Arc<str>>, now: Monotonic) -> Result<(), Unfit> {
    let TlsPolicy {
        level,
        mode: _,
        names,
    } = wanted;
    match (level, tls) {
        (TlsLevel::None, _) | (TlsLevel::May | TlsLevel::Encrypt, Tls::Encrypted { .. }) => Ok(()),
        (TlsLevel::May, Tls::Clear(Clear::NotOffered)) => Ok(()),
        (TlsLevel::May, Tls::Clear(Clear::HandshakeFailed(at))) if now - *at < HANDSHAKE_MEMORY => Ok(()),
        (TlsLevel::May | TlsLevel::Encrypt | TlsLevel::Verify, Tls::Clear(_)) => Err(Unfit::Tls),
        (TlsLevel::Verify, Tls::Encrypted { authenticated, .. }) => {
            let proved = match authenticated {
                Authenticated::Nobody => &[][..],
                Authenticated::Names(names) => names,
            };
            let mut accepted = names.iter().chain(host.filter(|_| names.is_empty()));
            if accepted.any(|name| proved.contains(name)) {
                Ok(())
            } else {
                Err(Unfit::Identity)
            }
        }
    }
}

#[cfg(test)]
mod tests;
