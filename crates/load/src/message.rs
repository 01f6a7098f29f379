//! The messages of a run: generated ones, or the caller's own.
//!
//! # Contract
//! * **A message depends on its index only**, so that a run can be repeated and its digests computed.
//! * **Generated contents have exactly the size asked for**, if the header and one line fit into it, and
//!   a Message-ID and an X-Remuda-Test field with the index.

use std::{fmt, sync::Arc};

use crate::{config::Config, report::Outcome};

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The content as it is to arrive: not dot-stuffed, lines ending in CR LF, also the last one
    /// (where it is missing CR LF is added, which the wire cannot do without).
    pub content: Vec<u8>,
    /// The sender; empty for `<>`.
    pub sender: String,
    /// The recipients, at least one.
    pub recipients: Vec<String>,
    /// Parameters of MAIL as written, as in `BODY=8BITMIME SMTPUTF8`.
    pub parameters: String,
    /// Parameters of every RCPT as written, as in `NOTIFY=NEVER`.
    pub recipient_parameters: String,
}

type Source = dyn Fn(u64) -> Message + Send + Sync;
type Observer = dyn Fn(&Outcome) + Send + Sync;

/// Which messages are sent, and who is told what became of them.
#[derive(Clone)]
pub struct Plan {
    pub(crate) source: Arc<Source>,
    pub(crate) observer: Option<Arc<Observer>>,
}

impl Plan {
    /// Sends what `source` makes of each index, from 0 to the number of messages.
    pub fn new(source: impl Fn(u64) -> Message + Send + Sync + 'static) -> Self {
        Plan {
            source: Arc::new(source),
            observer: None,
        }
    }

    /// Tells `observer` every outcome, as it comes and from whichever task; it must not block.
    pub fn observe(mut self, observer: impl Fn(&Outcome) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sends generated messages of the configured size, one recipient each, in turn.
    pub(crate) fn generated(config: &Config) -> Self {
        let (from, rcpt, size) = (config.from.clone(), config.rcpt.clone(), config.size);
        Plan::new(move |index| {
            let turn = usize::try_from(index % rcpt.len() as u64).unwrap_or_default();
            Message {
                content: generate(index, &from, &rcpt[turn], size),
                sender: from.clone(),
                recipients: vec![rcpt[turn].clone()],
                ..Message::default()
            }
        })
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("is_observed", &self.observer.is_some())
            .finish_non_exhaustive()
    }
}

/// A content of `size` octets, or of its header alone if that is longer.
fn generate(index: u64, from: &str, to: &str, size: usize) -> Vec<u8> {
    let header = format!(
        "From: <{from}>\r\nTo: <{to}>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <{index}@load.test>\r\n\
         X-Remuda-Test: {index}\r\nSubject: message {index}\r\n\r\n"
    );
    let mut content = header.into_bytes();
    content.reserve(size.saturating_sub(content.len()));
    while content.len() + 2 <= size {
        let left = size - content.len();
        // No line may leave a single octet, which could not be a line of its own.
        let line = match left {
            0..=LINE => left,
            _ if left - LINE == 1 => LINE - 1,
            _ => LINE,
        };
        content.extend(std::iter::repeat_n(b'x', line - 2));
        content.extend_from_slice(b"\r\n");
    }
    content
}

/// Octets of a generated line with its CR LF.
const LINE: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_contents_have_the_size_asked_for() {
        let header = generate(1, "a@b", "c@d", 0).len();
        for size in (header + 2..header + 400).chain([4096, 65_536]) {
            let content = generate(1, "a@b", "c@d", size);
            assert_eq!(content.len(), size);
            assert!(content.ends_with(b"\r\n"));
        }
    }

    #[test]
    fn recipients_take_turns() {
        let config = Config {
            rcpt: vec!["a@b.test".to_owned(), "c@d.test".to_owned()],
            ..Config::to("127.0.0.1:25")
        };
        let plan = Plan::generated(&config);
        assert_eq!((plan.source)(0).recipients, ["a@b.test"]);
        assert_eq!((plan.source)(3).recipients, ["c@d.test"]);
        assert_eq!((plan.source)(3), (plan.source)(3));
        assert_ne!((plan.source)(3).content, (plan.source)(1).content);
    }
}
