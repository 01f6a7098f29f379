//! The script of one connection: which rules apply to what happens now.
//!
//! # Contract
//! * **Occurrences are counted here**, in the three scopes of [`selector`](crate::selector), also while no reply is
//!   changed; a listener without rules counts nothing.
//! * **A stall wins over a drop, and both over a reply.**

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remuda_clock::Monotonic;

use crate::{
    config::Listener,
    rule::{Reply, Window},
    selector::{Occurrence, Point, Selector},
};

/// The rules of a listener with their listener-wide counts; shared by its connections.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// The points that have a rule, one bit each.
    points: u32,
    /// The listener's start.
    started: Monotonic,
}

#[derive(Debug)]
struct Rule {
    selector: Selector,
    action: Action,
    in_listener: AtomicU64,
}

#[derive(Clone, Debug)]
enum Action {
    Delay(Duration, Window),
    Reply(Arc<Reply>),
    Stall,
    Drop { is_reset: bool },
}

impl Rules {
    /// The rules of a listener's configuration; it starts at `started`.
    pub fn new(listener: &Listener, started: Monotonic) -> Self {
        let stalls = listener.stall.iter().map(|rule| (&rule.selector, Action::Stall));
        let drops = listener.drop.iter().map(|rule| {
            let is_reset = rule.is_reset;
            (&rule.selector, Action::Drop { is_reset })
        });
        let delays = listener
            .delay
            .iter()
            .map(|rule| (&rule.selector, Action::Delay(rule.delay, rule.window)));
        let replies = listener
            .reply
            .iter()
            .map(|rule| (&rule.selector, Action::Reply(Arc::new(rule.reply.clone()))));
        let rules: Vec<Rule> = stalls
            .chain(drops)
            .chain(delays)
            .chain(replies)
            .map(|(selector, action)| Rule {
                selector: selector.clone(),
                action,
                in_listener: AtomicU64::new(0),
            })
            .collect();
        let points = rules
            .iter()
            .fold(0, |points, rule| points | bit(rule.selector.point));
        Rules {
            rules,
            points,
            started,
        }
    }
}

/// What the script says to do at a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Wait this long first.
    pub delay: Duration,
    /// Then do this.
    pub fate: Fate,
    /// And if it is to answer: with this instead of the usual.
    pub reply: Option<Arc<Reply>>,
}

/// Whether an answer comes at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Answer,
    Stall,
    Drop {
        is_reset: bool,
    },
}

/// The rules with the counts of one connection.
#[derive(Debug)]
pub(crate) struct Script {
    rules: Arc<Rules>,
    /// Occurrences a rule has seen in its local scope, by its index.
    local: HashMap<usize, u64>,
}

impl Script {
    pub fn new(rules: Arc<Rules>) -> Self {
        Script {
            rules,
            local: HashMap::new(),
        }
    }

    /// What to do at `point`, reached at `now`; `address` is the one of MAIL or RCPT, else empty.
    pub fn at(&mut self, point: Point, address: &str, now: Monotonic) -> Verdict {
        let mut verdict = Verdict::default();
        if self.rules.points & bit(point) == 0 {
            return verdict;
        }
        let address = address.to_lowercase();
        for (index, rule) in self.rules.rules.iter().enumerate() {
            if rule.selector.point != point || !rule.selector.concerns(&address) {
                continue;
            }
            let in_listener = rule.in_listener.fetch_add(1, Ordering::Relaxed) + 1;
            let local = self.local.entry(index).or_default();
            *local += 1;
            let is_selected = match rule.selector.occurrence {
                Occurrence::Every => true,
                // A connection has one connect only, so its number in the listener is meant.
                Occurrence::Local { first, last } if point == Point::Connect => {
                    (first..=last).contains(&in_listener)
                }
                Occurrence::Local { first, last } => (first..=last).contains(local),
                Occurrence::Listener { first, last } => (first..=last).contains(&in_listener),
            };
            if is_selected {
                verdict.add(&rule.action, now - self.rules.started);
            }
        }
        verdict
    }

    /// Begins to count anew what is counted in a transaction.
    pub fn begin_transaction(&mut self) {
        let rules = &self.rules.rules;
        self.local
            .retain(|index, _| !is_of_transaction(rules[*index].selector.point));
    }
}

impl Verdict {
    fn add(&mut self, action: &Action, since_start: Duration) {
        match action {
            Action::Delay(delay, window) if window.holds(since_start) => self.delay += *delay,
            Action::Delay(..) => {}
            Action::Reply(reply) => {
                self.reply.get_or_insert_with(|| reply.clone());
            }
            Action::Stall => self.fate = Fate::Stall,
            Action::Drop { is_reset } if self.fate == Fate::Answer => {
                self.fate = Fate::Drop { is_reset: *is_reset }
            }
            Action::Drop { .. } => {}
        }
    }
}

fn is_of_transaction(point: Point) -> bool {
    matches!(
        point,
        Point::Rcpt | Point::Data | Point::Bdat | Point::Content | Point::Dot
    )
}

fn bit(point: Point) -> u32 {
    1 << point as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(replies: &[&str]) -> Script {
        let listener = Listener {
            reply: replies.iter().map(|text| text.parse().expect("a rule")).collect(),
            ..Listener::default()
        };
        Script::new(Arc::new(Rules::new(&listener, Monotonic::ZERO)))
    }

    fn codes(script: &mut Script, point: Point, times: usize) -> Vec<Option<u16>> {
        let mut code = || {
            script
                .at(point, "A@B.test", Monotonic::ZERO)
                .reply
                .map(|reply| reply.code())
        };
        (0..times).map(|_| code()).collect()
    }

    #[test]
    fn rcpt_is_counted_in_the_transaction_and_mail_in_the_connection() {
        let mut script = script(&["rcpt#2=452 x", "mail#2=450 x"]);
        assert_eq!(codes(&mut script, Point::Rcpt, 3), [None, Some(452), None]);
        assert_eq!(codes(&mut script, Point::Mail, 1), [None]);
        script.begin_transaction();
        assert_eq!(codes(&mut script, Point::Rcpt, 3), [None, Some(452), None]);
        assert_eq!(codes(&mut script, Point::Mail, 2), [Some(450), None]);
    }

    #[test]
    fn two_numbers_count_in_the_listener() {
        let mut first = script(&["mail##2=450 x"]);
        let mut second = Script::new(first.rules.clone());
        assert_eq!(codes(&mut first, Point::Mail, 1), [None]);
        assert_eq!(codes(&mut second, Point::Mail, 2), [Some(450), None]);
    }

    #[test]
    fn an_address_narrows_the_count() {
        let mut script = script(&["rcpt#2:@b.test=550 no", "rcpt#1+:a@b.test=451 later"]);
        assert_eq!(script.at(Point::Rcpt, "x@c.test", Monotonic::ZERO).reply, None);
        assert_eq!(
            codes(&mut script, Point::Rcpt, 3),
            [Some(451), Some(550), Some(451)]
        );
    }

    #[test]
    fn delays_add_up_and_a_stall_wins() {
        let listener = Listener {
            delay: vec![
                "dot=1s".parse().expect("a rule"),
                "dot#1=2s".parse().expect("a rule"),
            ],
            stall: vec!["dot#2".parse().expect("a rule")],
            drop: vec!["dot".parse().expect("a rule")],
            ..Listener::default()
        };
        let mut script = Script::new(Arc::new(Rules::new(&listener, Monotonic::ZERO)));
        let first = script.at(Point::Dot, "", Monotonic::ZERO);
        assert_eq!(
            (first.delay, first.fate),
            (Duration::from_secs(3), Fate::Drop { is_reset: false })
        );
        assert_eq!(script.at(Point::Dot, "", Monotonic::ZERO).fate, Fate::Stall);
    }
}
