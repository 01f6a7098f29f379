//! Whether a recipient may have mail here now, by Maildir and by LMTP alike.
//!
//! # Contract
//! * **Who has no mailbox bounces** (5.1.1), and so does who has a disabled one (5.2.1), whichever way the mail
//!   goes.
//! * **While nobody can say, the recipient waits** (4.4.3).
//! * **A role of this host always may**, and elsewhere one without a mailbox of its own: it is the postmaster's.
//!
//! # Not here
//! Quotas: the Maildir's are `quota`'s, by LMTP they are the server's.

use std::sync::Arc;

use remuda_mail::{Address, EnhancedStatus, Outcome, Refusal};

use super::{Mailbox, Mailboxes};
use crate::{
    route,
    session::{content::Boxed, gate::Gate},
};

/// Where mail for a recipient may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// To a mailbox of its own.
    Mailbox {
        /// Octets that it may hold; None = no limit.
        quota: Option<u64>,
    },
    /// To the postmaster.
    Postmaster,
}

/// Asks whether `address` may have mail at a host called `hostname`.
pub(super) async fn standing(
    mailboxes: &dyn Mailboxes,
    hostname: &str,
    address: &Address,
) -> Result<Standing, Outcome> {
    let is_role = route::is_role(address);
    let is_our_name = hostname.eq_ignore_ascii_case(address.domain().as_str());
    let bounced = |status, text| Err(Outcome::Bounced(Refusal::ours(status, text)));
    match mailboxes.mailbox(address).await {
        Mailbox::Open { quota } => Ok(Standing::Mailbox { quota }),
        // At our own name the roles exist, whatever the directory says of them.
        _ if is_role && is_our_name => Ok(Standing::Postmaster),
        // RFC 5321 §4.5.1: every domain has a postmaster.
        Mailbox::Unknown if is_role => Ok(Standing::Postmaster),
        Mailbox::Unknown => bounced(NO_MAILBOX, format!("no mailbox {address} here")),
        Mailbox::Disabled => bounced(DISABLED, format!("mailbox {address} is disabled")),
        Mailbox::Unavailable => {
            let text = format!("cannot find out now whether there is a mailbox {address}");
            Err(Outcome::Deferred(Refusal::ours(NOT_AVAILABLE, text)))
        }
    }
}

/// Stands before an LMTP server. A role without a mailbox passes: the server knows whose it is.
pub(super) struct LmtpGate {
    pub(super) mailboxes: Arc<dyn Mailboxes>,
    pub(super) hostname: Arc<str>,
}

impl Gate for LmtpGate {
    fn ruling<'a>(&'a self, recipient: &'a Address) -> Boxed<'a, Option<Outcome>> {
        Box::pin(async move { standing(&*self.mailboxes, &self.hostname, recipient).await.err() })
    }
}

/// RFC 3463 X.1.1: bad destination mailbox address.
const NO_MAILBOX: EnhancedStatus = EnhancedStatus::new(5, 1, 1);
/// RFC 3463 X.2.1: mailbox disabled, not accepting messages.
const DISABLED: EnhancedStatus = EnhancedStatus::new(5, 2, 1);
/// RFC 3463 X.4.3: directory server failure.
pub(super) const NOT_AVAILABLE: EnhancedStatus = EnhancedStatus::new(4, 4, 3);
