//! The envelope: sender, recipients and what the client asked for with them (RFC 5321 §3.3, RFC 3461).
//!
//! # Contract
//! * **Serialised forms are the spool's.** Field names are stable; a new field has a default.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Address;

/// The reverse-path: an address, or null for reports (RFC 5321 §4.5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sender(pub Option<Address>);

impl Sender {
    /// The null sender `<>`.
    pub const NULL: Sender = Sender(None);

    /// Answers whether this is `<>`, to which nothing is ever reported.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The address without brackets; empty for `<>`.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", Address::as_str)
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// BODY= of MAIL (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Not given, or 7BIT.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
}

/// RET= of MAIL: what a bounce returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// NOTIFY= of RCPT (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Report success.
    pub success: bool,
    /// Report failure.
    pub failure: bool,
    /// Report delay.
    pub delay: bool,
}

impl Notify {
    /// NOTIFY=NEVER.
    pub const NEVER: Notify = Notify {
        success: false,
        failure: false,
        delay: false,
    };
}

/// ORCPT= of RCPT (RFC 3461 §4.2), decoded from xtext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// `rfc822` or `utf-8`, in lower case.
    pub address_type: String,
    /// The address as its origin wrote it; any text without controls.
    pub address: String,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Where it goes.
    pub address: Address,
    /// What the client gave, when an alias or the postmaster's rule changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// ORCPT=.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orcpt: Option<OriginalRecipient>,
    /// NOTIFY=; None = not given: failures and, as it pleases us, delays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
}

impl Recipient {
    /// A recipient without any parameter.
    pub fn plain(address: Address) -> Self {
        Recipient {
            address,
            original: None,
            orcpt: None,
            notify: None,
        }
    }

    /// Answers whether a failure is to be reported.
    pub fn wants_failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// Answers whether a delay is to be reported.
    pub fn wants_delay(&self) -> bool {
        self.notify.is_none_or(|notify| notify.delay)
    }

    /// Answers whether success is to be reported.
    pub fn wants_success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }
}

/// What came with MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The reverse-path.
    pub sender: Sender,
    /// BODY=.
    #[serde(default)]
    pub body: Body,
    /// The client gave SMTPUTF8, or `remuda sendmail` found UTF-8 in an address.
    #[serde(default)]
    pub smtputf8: bool,
    /// RET=.
    #[serde(default)]
    pub ret: Option<Return>,
    /// ENVID=, decoded from xtext.
    #[serde(default)]
    pub envid: Option<String>,
}
