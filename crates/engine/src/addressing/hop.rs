//! Next-hops: by a route of the directory, by one of the configuration, or by MX.
//!
//! ```text
//!   domain ─▶ directory's route? ─▶ [[route]]? ─▶ MX      within each kind the most specific
//! ```
//!
//! # Contract
//! * **A route of the directory comes first**, however specific a `[[route]]` is; but mail for our own hostname
//!   stays here unless one names exactly that, and its postmaster's whatever there is.
//! * **Nothing goes past a route that might exist**: while the directory does not answer, or has one that cannot be
//!   used, there is no next-hop, and the mail waits.
//! * **It is a next-hop like that of a `[[route]]`**: the same keys, the same hosts taken as they are named. What it
//!   says at AUTH is said under TLS only.
//!
//! # Not here
//! The look-up itself (`remuda_directory::resolve`). Who may send there ([`super`]).

use std::sync::Arc;

use remuda_directory::{found::Cause, model};
use remuda_mail::{Address, Credentials, Domain, HopLogin, HopPolicy, HostPort, NextHop, TlsLevel};

use super::Addressing;
use crate::{route::direct, vault};

/// A next-hop, with what of it only the shell may know.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// The next-hop.
    pub next: NextHop,
    /// What a route of the directory says at AUTH.
    pub credentials: Option<Credentials>,
}

/// Why nobody knows now where mail goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    /// The directory does not answer.
    #[error("cannot find out now where mail goes: {0}")]
    Unavailable(&'static str),
    /// Somebody has put a route there that is none.
    #[error("the directory's route {pattern} cannot be used: {reason}")]
    Senseless {
        /// Its domain.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<Cause> for Unroutable {
    fn from(cause: Cause) -> Self {
        Unroutable::Unavailable(cause.as_str())
    }
}

impl From<NextHop> for Hop {
    fn from(next: NextHop) -> Self {
        Hop {
            next,
            credentials: None,
        }
    }
}

impl Addressing {
    /// Where mail to an address goes that is not in a domain of ours.
    pub(super) async fn hop(&self, address: &Address) -> Result<Hop, Unroutable> {
        let (router, domain) = (&self.router, address.domain());
        let route = match &self.directory {
            Some(directory) if router.is_hostname(domain) => match router.is_role_here(address) {
                true => None,
                false => directory.route_named(domain).await?,
            },
            Some(directory) => directory.route(domain).await?,
            None => None,
        };
        match route {
            Some(route) => by(&route, domain),
            None => Ok(router.route(address).into()),
        }
    }
}

/// Where a route of the directory sends mail for a domain.
fn by(route: &model::Route, domain: &Domain) -> Result<Hop, Unroutable> {
    let senseless = |reason: String| Unroutable::Senseless {
        pattern: route.domain.as_str().to_owned(),
        reason,
    };
    let hosts = hosts(route).map_err(senseless)?;
    if hosts.is_empty() {
        return Ok(direct(domain).into());
    }
    let tls = route.tls.as_deref().map(level).transpose().map_err(senseless)?;
    let credentials = credentials(route).map_err(senseless)?;
    let login = credentials.as_ref().map(|credentials| HopLogin {
        username: credentials.username.clone(),
        credentials: vault::id(credentials),
        in_clear: false,
        route: Some(route.domain.as_str().into()),
    });
    let policy = HopPolicy {
        tls,
        login,
        ..HopPolicy::default()
    };
    let next = NextHop::Hosts {
        hosts: hosts.into(),
        look_up_mx: route.mx,
        policy: Arc::new(policy),
    };
    Ok(Hop { next, credentials })
}

/// Its hosts with their preferences. What is said of hosts where there are none is no less than an error: the mail
/// would go without what it says.
fn hosts(route: &model::Route) -> Result<Vec<HostPort>, String> {
    if route.hosts.is_empty() && (route.tls.is_some() || route.username.is_some() || route.mx) {
        return Err("it says how hosts are spoken to, and names none".to_owned());
    }
    if !route.preference.is_empty() && route.preference.len() != route.hosts.len() {
        return Err("it has not one preference for each host".to_owned());
    }
    let mut hosts = Vec::with_capacity(route.hosts.len());
    for (place, text) in route.hosts.iter().enumerate() {
        let host: HostPort = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        hosts.push(HostPort {
            preference: route.preference.get(place).copied().unwrap_or(0),
            ..host
        });
    }
    Ok(hosts)
}

fn level(word: &str) -> Result<TlsLevel, String> {
    let levels = [TlsLevel::None, TlsLevel::May, TlsLevel::Encrypt, TlsLevel::Verify];
    let known = levels.into_iter().find(|level| level.as_str() == word);
    known.ok_or_else(|| format!("{word:?} is no level of TLS"))
}

fn credentials(route: &model::Route) -> Result<Option<Credentials>, String> {
    match (&route.username, &route.password) {
        (None, _) => Ok(None),
        (Some(username), Some(password)) => Ok(Some(Credentials {
            username: username.as_str().into(),
            password: password.clone(),
        })),
        (Some(_), None) => Err("it has a username and no password".to_owned()),
    }
}
