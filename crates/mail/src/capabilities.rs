//! What a server offered in its last EHLO.

use serde::{Deserialize, Serialize};

/// RFC 9422 service limits, as announced; None = not announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLimits {
    /// MAIL commands a session.
    pub mail_max: Option<u32>,
    /// RCPT commands a transaction.
    pub rcpt_max: Option<u32>,
    /// Recipient domains a session.
    pub rcpt_domain_max: Option<u32>,
}

/// The extensions of the last EHLO; all off after HELO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// EHLO was accepted.
    pub esmtp: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3030 BDAT.
    pub chunking: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 1870: offered.
    pub size: bool,
    /// RFC 1870: octets; None = no fixed limit.
    pub size_max: Option<u64>,
    /// RFC 9422.
    pub limits: ServiceLimits,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 4954: AUTH PLAIN.
    pub auth_plain: bool,
    /// AUTH LOGIN.
    pub auth_login: bool,
}
