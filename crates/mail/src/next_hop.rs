//! Where routing sends a recipient: the next-hop, and the destination it is scheduled under.
//!
//! A destination is the recipient's domain when its MX decides, else the route's host list as written:
//! all domains of one smart host are one destination and share transactions. Routes to the same hosts that
//! differ in what they demand of TLS or say at AUTH are different destinations.
//!
//! # Contract
//! * **A destination's text is its key** everywhere: in the spool, the schedule, the cache, the API.
//! * **A destination says nothing about how to reach it**: [`NextHop`] does, and a reload may change it.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Domain, HopPolicy, HostPort};

/// The key under which deliveries are scheduled and sessions are found. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Destination(Arc<str>);

impl Destination {
    /// The destination with this key, as read back from the spool or given by an operator.
    pub fn from_key(key: &str) -> Self {
        Destination(key.into())
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where routing sends a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The domain's MX (or, without one, its addresses) decides (RFC 5321 §5.1).
    Mx(Domain),
    /// A route's hosts; `look_up_mx`: their MX instead of their addresses.
    Hosts {
        /// In the order of the configuration.
        hosts: Arc<[HostPort]>,
        /// The route says `mx = true`.
        look_up_mx: bool,
        /// What the route says about TLS and AUTH.
        policy: Arc<HopPolicy>,
    },
    /// An address literal (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// A mailbox here: a Maildir, or what is behind the LMTP server that `[local]` names.
    Local,
    /// The postmaster's Maildir, while all other mail here goes by LMTP.
    Postmaster,
}

impl NextHop {
    /// The key to schedule under.
    pub fn destination(&self) -> Destination {
        match self {
            NextHop::Mx(domain) => Destination::from_key(domain.as_str()),
            NextHop::Literal(ip) => Destination::from_key(&format!("[{ip}]")),
            NextHop::Local => Destination::from_key("local"),
            NextHop::Postmaster => Destination::from_key("local:postmaster"),
            NextHop::Hosts {
                hosts,
                look_up_mx,
                policy,
            } => {
                let list = hosts
                    .iter()
                    .map(HostPort::to_string)
                    .collect::<Vec<_>>()
                    .join(",");
                let mark = if *look_up_mx { "mx:" } else { "" };
                Destination::from_key(&format!("{mark}{list}{policy}"))
            }
        }
    }

    /// How its hosts are to be spoken to; the default where no route says anything.
    pub fn policy(&self) -> HopPolicy {
        match self {
            NextHop::Hosts { policy, .. } => HopPolicy::clone(policy),
            NextHop::Mx(_) | NextHop::Literal(_) | NextHop::Local | NextHop::Postmaster => {
                HopPolicy::default()
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CredentialsId, HopLogin, TlsLevel, TlsMode};

    fn hop(look_up_mx: bool, policy: HopPolicy) -> NextHop {
        let host = HostPort {
            host: "2001:db8::1".into(),
            port: Some(2700),
            preference: 0,
        };
        NextHop::Hosts {
            hosts: [host].into(),
            look_up_mx,
            policy: policy.into(),
        }
    }

    #[test]
    fn all_domains_of_one_smart_host_are_one_destination() {
        let plain = hop(false, HopPolicy::default());
        assert_eq!(plain.destination().as_str(), "[2001:db8::1]:2700");
        assert_ne!(hop(true, HopPolicy::default()).destination(), plain.destination());
    }

    #[test]
    fn routes_that_differ_in_policy_are_different_destinations() {
        let login = |in_clear| {
            Some(HopLogin {
                username: "me".into(),
                credentials: CredentialsId(7),
                in_clear,
                route: None,
            })
        };
        let policies = [
            HopPolicy::default(),
            HopPolicy {
                tls: Some(TlsLevel::May),
                ..HopPolicy::default()
            },
            HopPolicy {
                tls: Some(TlsLevel::Verify),
                tls_names: ["a.test".into(), "b.test".into()].into(),
                ..HopPolicy::default()
            },
            HopPolicy {
                tls_mode: TlsMode::Implicit,
                ..HopPolicy::default()
            },
            HopPolicy {
                protocol: crate::Protocol::Lmtp,
                ..HopPolicy::default()
            },
            HopPolicy {
                login: login(false),
                ..HopPolicy::default()
            },
            HopPolicy {
                login: login(true),
                ..HopPolicy::default()
            },
            HopPolicy {
                login: login(false).map(|login| HopLogin {
                    route: Some(".a.test".into()),
                    ..login
                }),
                ..HopPolicy::default()
            },
        ];
        let keys: std::collections::BTreeSet<_> = policies
            .iter()
            .map(|policy| hop(false, policy.clone()).destination())
            .collect();
        assert_eq!(keys.len(), policies.len());
        let verified = hop(false, policies[2].clone()).destination();
        assert_eq!(
            verified.as_str(),
            "[2001:db8::1]:2700;tls=verify;name=a.test;name=b.test"
        );
    }
}
