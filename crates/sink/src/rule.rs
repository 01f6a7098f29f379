//! Rules: what the sink does otherwise than usual, and at which point of the conversation.
//!
//! Every rule has a [`Selector`] (where) and something to do there: answer with a given reply, wait,
//! never answer, or drop the connection. Written:
//!
//! ```text
//!   rcpt=450 4.2.1 busy              every RCPT
//!   rcpt#2=452 4.5.3 too many        the second RCPT of each transaction
//!   rcpt#2+=452 4.5.3 too many       the second and all after it
//!   rcpt:bob@a.test=550 no           RCPT for this address (":@a.test" for a domain)
//!   dot##1=451 4.3.0 try again       the first final dot that the listener sees at all
//!   dot=2s@20s..60s                  a delay, from 20 s to 60 s after the listener's start
//! ```
//!
//! # Contract
//! * **The first rule in the order given that selects decides the reply**; delays add up.
//! * **A delay may have a window**: it holds what reaches its point within it, and to the delay's end. So a
//!   receiver becomes slow in the middle of a run, and recovers.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

use crate::{
    selector::{Point, Selector},
    value::{ValueError, parse_duration},
};

/// A reply of the sink's script: a code and one or more lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// The reply code, 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Whether the sink goes on as if it had accepted.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Appends the reply as it goes over the wire.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (last, others) = self
            .lines
            .split_last()
            .map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        for line in others {
            out.extend_from_slice(format!("{}-{line}\r\n", self.code).as_bytes());
        }
        out.extend_from_slice(format!("{} {last}\r\n", self.code).as_bytes());
    }
}

impl FromStr for Reply {
    type Err = ValueError;

    /// Parses `CODE TEXT`; a newline or `\n` in the text begins a further line of the reply.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError::new(format!(
                "{text:?} is no reply; write a code of three digits and text, as in 450 4.2.1 busy"
            ))
        };
        let (code, words) = text.split_once(' ').unwrap_or((text, ""));
        let code: u16 = code.parse().map_err(|_| wrong())?;
        if !(200..600).contains(&code) {
            return Err(wrong());
        }
        let words = words.replace("\\n", "\n");
        if words.contains('\r') {
            return Err(wrong());
        }
        let lines = words.split('\n').map(str::to_owned).collect();
        Ok(Reply { code, lines })
    }
}

/// Answers with a given reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyRule {
    /// Where.
    pub selector: Selector,
    /// The reply.
    pub reply: Reply,
}

/// Waits before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayRule {
    /// Where.
    pub selector: Selector,
    /// How long.
    pub delay: Duration,
    /// When.
    pub window: Window,
}

/// A stretch of time, from the listener's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// It begins here.
    pub from: Duration,
    /// And ends before this; None: never.
    pub until: Option<Duration>,
}

impl Window {
    /// Answers whether so long after the start is in it.
    pub(crate) fn holds(self, since_start: Duration) -> bool {
        self.from <= since_start && self.until.is_none_or(|until| since_start < until)
    }
}

impl FromStr for Window {
    type Err = ValueError;

    /// Parses `FROM..UNTIL`, `FROM..` or `..UNTIL`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError::new(format!(
                "{text:?} is no window; write FROM..UNTIL, as in 20s..60s, or one of them"
            ))
        };
        let written = |time: &str| match time {
            "" => Ok(None),
            time => parse_duration(time).map(Some),
        };
        let (from, until) = text.split_once("..").ok_or_else(wrong)?;
        let (from, until) = (written(from)?, written(until)?);
        let is_empty = until.is_some_and(|until| until <= from.unwrap_or_default());
        if is_empty || (from, until) == (None, None) {
            return Err(wrong());
        }
        Ok(Window {
            from: from.unwrap_or_default(),
            until,
        })
    }
}

/// Never answers: what follows is read and thrown away (at content: not even read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StallRule {
    /// Where.
    pub selector: Selector,
}

/// Ends the connection without a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropRule {
    /// Where.
    pub selector: Selector,
    /// With a TCP reset instead of an orderly close.
    pub is_reset: bool,
}

/// Parses `COMMAND=CODE TEXT`, as in `rcpt=450 4.2.1 busy`.
///
/// # Errors
/// When the command is unknown, or what follows is no reply.
pub fn parse_reply(text: &str) -> Result<ReplyRule, ValueError> {
    // An address may contain "=" itself, so the code decides where the reply begins.
    let split = text
        .match_indices('=')
        .find(|(at, _)| {
            text.as_bytes()[at + 1..]
                .iter()
                .take_while(|octet| octet.is_ascii_digit())
                .count()
                == 3
        })
        .map(|(at, _)| text.split_at(at))
        .ok_or_else(|| {
            ValueError::new(format!(
                "reply {text:?}: write COMMAND=CODE TEXT, as in 'rcpt=450 4.2.1 busy'"
            ))
        })?;
    let rule = ReplyRule {
        selector: split.0.parse()?,
        reply: split.1[1..].parse()?,
    };
    if rule.selector.point == Point::Content {
        return Err(ValueError::new(
            "reply: content itself is not answered; use data, bdat or dot",
        ));
    }
    Ok(rule)
}

/// Parses `COMMAND=DURATION`, as in `mail=2s`, or with a window, as in `mail=2s@20s..60s`.
///
/// # Errors
/// When the command is unknown, or what follows is no duration or no window.
pub fn parse_delay(text: &str) -> Result<DelayRule, ValueError> {
    let (selector, delay) = text
        .rsplit_once('=')
        .ok_or_else(|| ValueError::new(format!("delay {text:?}: write COMMAND=DURATION, as in mail=2s")))?;
    let (delay, window) = match delay.split_once('@') {
        Some((delay, window)) => (delay, window.parse()?),
        None => (delay, Window::default()),
    };
    Ok(DelayRule {
        selector: selector.parse()?,
        delay: parse_duration(delay)?,
        window,
    })
}

/// Parses `COMMAND`, as in `rcpt` or `rcpt#2`.
///
/// # Errors
/// When the command is unknown.
pub fn parse_stall(text: &str) -> Result<StallRule, ValueError> {
    Ok(StallRule {
        selector: text.parse()?,
    })
}

/// Parses `COMMAND` or `COMMAND=reset`.
///
/// # Errors
/// When the command is unknown, or what follows is another word.
pub fn parse_drop(text: &str) -> Result<DropRule, ValueError> {
    let (selector, is_reset) = match text.strip_suffix("=reset") {
        Some(selector) => (selector, true),
        None => (text, false),
    };
    Ok(DropRule {
        selector: selector.parse()?,
        is_reset,
    })
}

/// Lets the command line and the configuration file read a rule from the same words.
macro_rules! read_from_words {
    ($($rule:ty: $parse:ident),*) => {$(
        impl FromStr for $rule {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                $parse(text)
            }
        }

        impl<'de> Deserialize<'de> for $rule {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $parse(&String::deserialize(from)?).map_err(de::Error::custom)
            }
        }
    )*};
}

read_from_words!(ReplyRule: parse_reply, DelayRule: parse_delay, StallRule: parse_stall, DropRule: parse_drop);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_rule_is_a_selector_and_a_reply() {
        let rule = parse_reply("rcpt=450 4.2.1 busy").expect("as in the manual");
        assert_eq!(rule.selector, Selector::every(Point::Rcpt));
        let mut wire = Vec::new();
        rule.reply.write(&mut wire);
        assert_eq!(wire, b"450 4.2.1 busy\r\n");
    }

    #[test]
    fn a_reply_may_have_several_lines() {
        let mut wire = Vec::new();
        parse_reply("connect=220 a\\nb")
            .expect("two lines")
            .reply
            .write(&mut wire);
        assert_eq!(wire, b"220-a\r\n220 b\r\n");
    }

    #[test]
    fn an_address_may_contain_the_equals_sign() {
        let rule = parse_reply("rcpt:SRS0=x=y@a.test=550 no").expect("the code decides");
        assert_eq!(rule.selector.address.as_deref(), Some("srs0=x=y@a.test"));
        assert_eq!(rule.reply.code(), 550);
    }

    #[test]
    fn a_wrong_rule_is_refused_in_plain_words() {
        for wrong in [
            "rcpt",
            "rcpt=busy",
            "rcpt=99 x",
            "rcpt=600 x",
            "content=250 ok",
            "noop=250 ok",
        ] {
            let error = parse_reply(wrong).expect_err(wrong).to_string();
            assert!(!error.is_empty() && !error.contains("Error"), "{error}");
        }
        for wrong in [
            "mail",
            "mail=2",
            "mail=2s@",
            "mail=2s@..",
            "mail=2s@5s",
            "mail=2s@9s..5s",
            "mail=2s@0..0",
            "mail=@1s..2s",
        ] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
        assert!(parse_stall("nothing").is_err());
        assert!(parse_drop("dot=slowly").is_err());
    }

    #[test]
    fn a_delay_may_have_a_window() {
        let seconds = Duration::from_secs;
        for (text, inside, outside) in [
            ("dot=2s", &[0, 1_000_000][..], &[][..]),
            ("dot=2s@20s..60s", &[20, 59], &[0, 19, 60]),
            ("dot=2s@20s..", &[20, 1_000_000], &[19]),
            ("rcpt:a=b@c.test=2s@..1m", &[0, 59], &[60]),
        ] {
            let rule = parse_delay(text).expect(text);
            assert_eq!(rule.delay, seconds(2), "{text}");
            assert!(inside.iter().all(|at| rule.window.holds(seconds(*at))), "{text}");
            assert!(
                !outside.iter().any(|at| rule.window.holds(seconds(*at))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_drop_is_orderly_unless_it_says_reset() {
        assert!(!parse_drop("dot").expect("orderly").is_reset);
        assert!(parse_drop("dot##1=reset").expect("a reset").is_reset);
    }
}
