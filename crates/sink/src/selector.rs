//! Where a rule applies: a point of the conversation, which occurrences of it, for which address.
//!
//! # Contract
//! * **`#N` counts in the narrowest thing that repeats:** rcpt, bdat, data, content and dot in the
//!   transaction, helo, starttls, auth, mail, rset and quit in the connection, connect (like `##N`) in the listener.
//! * **`##N` counts in the listener**, over all its connections.
//! * **An address narrows what is counted too**: only occurrences for that address count.
//!
//! # Not here
//! The counting is in [`script`](crate::script).

use std::{fmt, str::FromStr};

use crate::value::ValueError;

/// A point of the conversation at which the sink acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// A connection is there; the greeting comes next.
    Connect,
    /// EHLO or HELO.
    Helo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, before the content.
    Data,
    /// A BDAT command, after its chunk; the last one is also a [`Point::Dot`].
    Bdat,
    /// Before the content (after 354, or behind a BDAT line) is read. Takes no reply.
    Content,
    /// The end of a message: the final dot, or the chunk that is LAST.
    Dot,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl Point {
    /// Every point, as the conversation passes them.
    pub const ALL: [Point; 12] = [
        Point::Connect,
        Point::Helo,
        Point::StartTls,
        Point::Auth,
        Point::Mail,
        Point::Rcpt,
        Point::Data,
        Point::Bdat,
        Point::Content,
        Point::Dot,
        Point::Rset,
        Point::Quit,
    ];

    /// The word for it in options.
    pub fn name(self) -> &'static str {
        match self {
            Point::Connect => "connect",
            Point::Helo => "helo",
            Point::StartTls => "starttls",
            Point::Auth => "auth",
            Point::Mail => "mail",
            Point::Rcpt => "rcpt",
            Point::Data => "data",
            Point::Bdat => "bdat",
            Point::Content => "content",
            Point::Dot => "dot",
            Point::Rset => "rset",
            Point::Quit => "quit",
        }
    }
}

impl FromStr for Point {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Point::ALL
            .into_iter()
            .find(|point| point.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                let names = Point::ALL.map(Point::name).join(", ");
                ValueError::new(format!("{text:?} is none of {names}"))
            })
    }
}

/// Where a rule applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The point of the conversation.
    pub point: Point,
    /// Which occurrences of it.
    pub occurrence: Occurrence,
    /// Only for this address (`bob@a.test`) or domain (`@a.test`), in lower case; for mail and rcpt.
    pub address: Option<String>,
}

/// Which occurrences of a point a rule applies to; they are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// All of them.
    Every,
    /// From `first` to `last` of the transaction or connection.
    Local {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// From `first` to `last` of the whole listener.
    Listener {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
    },
}

impl Selector {
    /// Selects every occurrence of `point`.
    pub fn every(point: Point) -> Self {
        Selector {
            point,
            occurrence: Occurrence::Every,
            address: None,
        }
    }

    /// Whether an address (lower case) is one of this rule's.
    pub(crate) fn concerns(&self, address: &str) -> bool {
        match &self.address {
            None => true,
            Some(domain) if domain.starts_with('@') => address.ends_with(domain.as_str()),
            Some(own) => own == address,
        }
    }
}

impl FromStr for Selector {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (front, address) = match text.split_once(':') {
            Some((front, address)) => (front, Some(address.to_lowercase())),
            None => (text, None),
        };
        let (name, count) = front.split_once('#').unwrap_or((front, ""));
        let selector = Selector {
            point: name.parse()?,
            occurrence: parse_occurrence(count)?,
            address,
        };
        let takes_address = matches!(selector.point, Point::Mail | Point::Rcpt);
        if selector.address.is_some() && !takes_address {
            return Err(ValueError::new(format!(
                "{text:?}: only mail and rcpt can be narrowed to an address"
            )));
        }
        Ok(selector)
    }
}

/// Parses what follows the first `#`: nothing, `N`, `N+`, or the same behind another `#`.
fn parse_occurrence(text: &str) -> Result<Occurrence, ValueError> {
    if text.is_empty() {
        return Ok(Occurrence::Every);
    }
    let (is_listener, count) = match text.strip_prefix('#') {
        Some(count) => (true, count),
        None => (false, text),
    };
    let (number, is_open) = match count.strip_suffix('+') {
        Some(number) => (number, true),
        None => (count, false),
    };
    let first: u64 = number.parse().ok().filter(|first| *first > 0).ok_or_else(|| {
        ValueError::new(format!(
            "#{text} counts nothing; write #2, #2+ or ##2, beginning with 1"
        ))
    })?;
    let last = if is_open { u64::MAX } else { first };
    Ok(if is_listener {
        Occurrence::Listener { first, last }
    } else {
        Occurrence::Local { first, last }
    })
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_counted_in_two_scopes() {
        let occurrence = |text: &str| text.parse::<Selector>().map(|selector| selector.occurrence);
        assert_eq!(occurrence("rcpt#2"), Ok(Occurrence::Local { first: 2, last: 2 }));
        assert_eq!(
            occurrence("rcpt#2+"),
            Ok(Occurrence::Local {
                first: 2,
                last: u64::MAX
            })
        );
        assert_eq!(
            occurrence("dot##1"),
            Ok(Occurrence::Listener { first: 1, last: 1 })
        );
        for wrong in [
            "rcpt#0",
            "rcpt#x",
            "rcpt##",
            "rcpt#+",
            "vrfy",
            "",
            "dot:bob@a.test",
        ] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }
}
