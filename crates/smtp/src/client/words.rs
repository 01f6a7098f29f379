//! Words for what went wrong: replies, losses and breaches made into refusals and failures.
//!
//! # Contract
//! * **The status class is what will be done**: a failure of a host carries 4.x.y even when the host said
//!   5xx, because the message waits for another host.
//! * **What is kept of a reply is bounded** by [`TEXT_KEPT_MAX`]: it goes into the spool once a recipient.

use std::{fmt, sync::Arc};

use remuda_mail::{Blame, Class, Endpoint, EnhancedStatus, Failure, Outcome, Refusal, Reply, Scope};

use super::{Line, Step};

/// Octets of a reply's text that a refusal keeps.
pub const TEXT_KEPT_MAX: usize = 1000;

/// How a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It ended, or was reset.
    Closed,
    /// The step's limit passed.
    TimedOut,
}

/// The server, as words name it: `host[address]:port`, or `host[/path]` of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(Arc<str>);

impl Peer {
    /// The server with this name and address.
    pub fn new(host: &str, endpoint: Endpoint) -> Self {
        Peer(match endpoint {
            Endpoint::Tcp(address) => format!("{host}[{}]:{}", address.ip(), address.port()).into(),
            Endpoint::Unix(path) => format!("{host}[{}]", path.as_str()).into(),
        })
    }

    /// The same, shared.
    pub fn relay(&self) -> &Arc<str> {
        &self.0
    }

    /// A refusal of our own about this server.
    pub fn refusal(&self, status: EnhancedStatus, reason: String) -> Refusal {
        Refusal {
            status,
            reply: None,
            reason,
            relay: Some(self.0.as_ref().to_owned()),
        }
    }

    /// What the server said to `step`, as a refusal.
    pub(super) fn said(&self, step: Step, reply: &Reply) -> Refusal {
        Refusal {
            status: reply.status(),
            reply: Some(clipped(reply)),
            reason: format!("in reply to {step}"),
            relay: Some(self.0.as_ref().to_owned()),
        }
    }

    /// What the server said to `step`, as a failure of the host: never permanent.
    pub(super) fn turned_away(&self, step: Step, reply: &Reply, scope: Scope) -> Failure {
        let mut refusal = self.said(step, reply);
        refusal.status.class = 4;
        Failure {
            scope,
            blame: Blame::Peer,
            refusal,
        }
    }

    /// What the connection's loss at `step` means.
    pub(super) fn lost(&self, step: Step, loss: &Loss, scope: Scope) -> Failure {
        let doing = step.activity();
        let reason = match loss {
            Loss::Closed => format!("lost connection with {self} while {doing}"),
            Loss::TimedOut => format!("conversation with {self} timed out while {doing}"),
        };
        Failure {
            scope,
            blame: Blame::Network,
            refusal: self.refusal(EnhancedStatus::new(4, 4, 2), reason),
        }
    }

    /// A breach of protocol at `step`; `what` the server did.
    pub(super) fn broke_protocol(&self, step: Step, what: &str, scope: Scope) -> Failure {
        let doing = step.activity();
        Failure {
            scope,
            blame: Blame::Peer,
            refusal: self.refusal(
                EnhancedStatus::new(4, 5, 0),
                format!("protocol error: {self} {what} while {doing}"),
            ),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The outcome that a negative reply is: 5xx bounces, everything else waits.
fn outcome(refusal: Refusal) -> Outcome {
    if refusal.is_permanent() {
        Outcome::Bounced(refusal)
    } else {
        Outcome::Deferred(refusal)
    }
}

/// What a negative reply decides. A server that does not understand us, or we it, is left (T37).
pub(super) fn verdict(step: Step, reply: &Reply, line: &mut Line) -> Outcome {
    if is_unversed(reply) {
        line.wear();
    }
    outcome(line.peer.said(step, reply))
}

/// Answers whether a reply is 4xx or 5xx.
pub(super) fn is_negative(reply: &Reply) -> bool {
    matches!(reply.class(), Class::Transient | Class::Permanent)
}

/// Answers whether a reply complains about our SMTP, as Postfix sees it: 500 to 509 and 555.
pub(super) fn is_unversed(reply: &Reply) -> bool {
    matches!(reply.code, 500..=509 | 555)
}

/// Answers whether an RCPT was refused because the transaction has enough recipients, not because of this
/// one (RFC 5321 §4.5.3.1.10, which has clients take 552 for 452).
pub(super) fn is_too_many(reply: &Reply) -> bool {
    let detail = reply.enhanced.map(|status| (status.subject, status.detail));
    matches!(
        (reply.code, detail),
        (452 | 552, None | Some((5, 3))) | (452, Some((3, _)))
    )
}

/// Answers whether a refusal of MAIL, or a farewell, may mean that the session has had as many transactions
/// as the server wants: not if it is about the mailbox (x.2.x) or a policy (x.7.x).
pub(super) fn may_be_limit(reply: &Reply) -> bool {
    let subject = reply.enhanced.map(|status| status.subject);
    matches!(reply.code, 421 | 452) && !matches!(subject, Some(2 | 7))
}

/// The reply with at most [`TEXT_KEPT_MAX`] octets of text.
pub(super) fn clipped(reply: &Reply) -> Reply {
    let end = reply.text.floor_char_boundary(TEXT_KEPT_MAX);
    Reply {
        code: reply.code,
        enhanced: reply.enhanced,
        text: reply.text[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer::new(
            "mx.example",
            remuda_mail::Endpoint::Tcp("192.0.2.1:25".parse().unwrap()),
        )
    }

    #[test]
    fn what_is_kept_of_a_reply_is_bounded() {
        let reply = Reply {
            code: 550,
            enhanced: None,
            text: "é".repeat(TEXT_KEPT_MAX),
        };
        let kept = peer().said(Step::Mail, &reply).reply.unwrap();
        assert_eq!(kept.text.len(), TEXT_KEPT_MAX);
    }

    #[test]
    fn a_failure_of_a_host_is_never_permanent() {
        let reply = Reply {
            code: 554,
            enhanced: Some(EnhancedStatus::new(5, 7, 1)),
            text: "go away".into(),
        };
        let failure = peer().turned_away(Step::Greeting, &reply, Scope::Endpoint);
        assert_eq!(failure.refusal.status, EnhancedStatus::new(4, 7, 1));
    }

    #[test]
    fn a_loss_reads_as_postfix_says_it() {
        let failure = peer().lost(Step::Mail, &Loss::TimedOut, Scope::Endpoint);
        assert_eq!(
            failure.refusal.words(),
            "conversation with mx.example[192.0.2.1]:25 timed out while sending MAIL FROM"
        );
        let failure = peer().lost(Step::Greeting, &Loss::Closed, Scope::Endpoint);
        assert_eq!(
            failure.refusal.words(),
            "lost connection with mx.example[192.0.2.1]:25 while receiving the initial server greeting"
        );
    }
}
