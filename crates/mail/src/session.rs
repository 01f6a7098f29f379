//! What a session has proved, and what a delivery demands of one.
//!
//! The two sides of the question "may this mail go over that session?", which `connection-cache`
//! answers in one function that destructures both without `..`: a new field does not compile until
//! somebody has decided (reference A11).

use std::{net::IpAddr, sync::Arc};

use remuda_clock::Monotonic;

use crate::{
    Capabilities, CredentialsId, Destination, Domain, Endpoint, Protocol, Sources, Tls, TlsPolicy, Way,
};

/// Everything about a session that decides what it may carry. Travels with the session.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Where it is connected to.
    pub endpoint: Endpoint,
    /// What is spoken on it; never mixed (T51).
    pub protocol: Protocol,
    /// The address of ours that it was bound to; `None`: the system chose.
    pub source: Option<IpAddr>,
    /// The name of the host, for `relay=`: the MX host or the route's host as written.
    pub host: Arc<str>,
    /// The HELO name it introduced itself with.
    pub helo_name: Arc<str>,
    /// The connection began with TLS; never mixed with STARTTLS (T51).
    pub is_tls_implicit: bool,
    /// What protects it.
    pub tls: Tls,
    /// What it has shown at AUTH.
    pub credentials: Option<CredentialsId>,
    /// Of the last EHLO.
    pub capabilities: Capabilities,
    /// From before `connect` (T20).
    pub opened: Monotonic,
    /// Transactions begun on it.
    pub uses: u32,
    /// When it last did something for a message.
    pub last_used: Monotonic,
    /// Transactions refused since the last accepted one.
    pub refused_in_a_row: u32,
    /// Recipient domains so far, kept only where the server limits them (RFC 9422 RCPTDOMAINMAX).
    pub recipient_domains: Vec<Domain>,
}

/// What a delivery demands of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// For whom.
    pub destination: Destination,
    /// What must be spoken.
    pub protocol: Protocol,
    /// The current address set (T74): only these may carry it.
    pub endpoints: Arc<[Endpoint]>,
    /// The names of their hosts, in the same order: who must be there for `verify`, if `tls` names nobody.
    pub hosts: Arc<[Arc<str>]>,
    /// Where it must come from, with the HELO name that goes with it.
    pub sources: Sources,
    /// The HELO name it must have used to an endpoint without a source.
    pub helo_name: Arc<str>,
    /// What must protect it.
    pub tls: TlsPolicy,
    /// What it must have shown at AUTH: this, or nothing (T56).
    pub credentials: Option<CredentialsId>,
    /// SMTPUTF8 must be offered (T60).
    pub smtputf8: bool,
    /// Octets of content; a known SIZE limit below forbids (T41).
    pub size: u64,
    /// Of its first recipient; a session that has had all its domains takes no new one.
    pub recipient_domain: Domain,
    /// Only a session that has carried nothing yet: a used one has just failed it.
    pub fresh: bool,
    /// Reuses after its first transaction that the destination bears; 0 = no limit.
    pub reuse_count_max: u32,
}

impl Facts {
    /// The way that it is connected by.
    pub fn way(&self) -> Way {
        Way {
            endpoint: self.endpoint,
            source: self.source,
        }
    }
}
