//! The modelled hosts: what a dial and a transaction meet there.
//!
//! # Contract
//! * **A dial meets what the host does when it is made**; a session that is open goes on whatever the host does
//!   to new ones.
//! * **A transaction takes the time that holds when the host begins with it**, one after the other on a session.
//! * **A host with a limit greets one more connection with 421.**
//!
//! # Not here
//! What a session has had, and how it ends: `sessions`.

use std::time::Duration;

use remuda_dispatch::event::DialStep;
use remuda_mail::{Blame, EnhancedStatus, Failure, Refusal, Reply, Scope};

use crate::{draw::Draw, plan::PlannedHost, scenario::HostState};

/// All hosts.
pub(crate) struct Peers<'p> {
    hosts: &'p [PlannedHost],
    /// Connections that each has taken.
    open: Vec<u32>,
    draw: Draw,
    connect_timeout: Duration,
}

/// What becomes of a dial.
#[derive(Debug, PartialEq)]
pub(crate) enum Dialled {
    /// A connection, after a while.
    Connects(Duration),
    /// Nothing.
    Fails(Box<Failing>),
}

/// A dial that fails.
#[derive(Debug, PartialEq)]
pub(crate) struct Failing {
    /// After this.
    pub(crate) after: Duration,
    /// There.
    pub(crate) step: DialStep,
    /// Because.
    pub(crate) failure: Failure,
}

/// What a host makes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// 250.
    Takes,
    /// 450 to MAIL.
    Defers,
    /// No answer to the content in the time that one is waited for.
    Silence,
}

impl<'p> Peers<'p> {
    pub(crate) fn new(hosts: &'p [PlannedHost], connect_timeout: Duration, seed: u64) -> Self {
        Peers {
            hosts,
            open: vec![0; hosts.len()],
            draw: Draw::new(seed),
            connect_timeout,
        }
    }

    /// Somebody dials a host.
    pub(crate) fn dial(&self, place: usize, at: Duration) -> Dialled {
        let host = &self.hosts[place];
        match host.model.conduct(at).state {
            HostState::Refuses => Dialled::Fails(Box::new(Failing {
                after: host.model.connect,
                step: DialStep::Connect,
                failure: unreachable(host, "Connection refused"),
            })),
            HostState::NeverConnects => Dialled::Fails(Box::new(Failing {
                after: self.connect_timeout,
                step: DialStep::Connect,
                failure: unreachable(host, "Connection timed out"),
            })),
            HostState::Works | HostState::NeverGreets | HostState::Defers => {
                Dialled::Connects(host.model.connect)
            }
        }
    }

    /// A connection has come about. Answers after which time it is greeted.
    pub(crate) fn connected(&mut self, place: usize, at: Duration) -> Result<Duration, Box<Failing>> {
        let host = &self.hosts[place];
        let model = &host.model;
        if model.conduct(at).state == HostState::NeverGreets {
            return Err(Box::new(Failing {
                after: GREETING_MAX,
                step: DialStep::Greeting,
                failure: unreachable(host, "timed out while waiting for the greeting"),
            }));
        }
        if model.session_limit.is_some_and(|limit| self.open[place] >= limit) {
            return Err(Box::new(Failing {
                after: model.greeting,
                step: DialStep::Greeting,
                failure: turned_away(host),
            }));
        }
        self.open[place] += 1;
        Ok(model.greeting)
    }

    /// A connection that was greeted has ended.
    pub(crate) fn disconnected(&mut self, place: usize) {
        self.open[place] = self.open[place].saturating_sub(1);
    }

    /// A transaction begins. Answers how long it takes, and what comes of it.
    pub(crate) fn serve(&mut self, place: usize, at: Duration) -> (Duration, Verdict) {
        let conduct = self.hosts[place].model.conduct(at);
        let time = self.draw.service(conduct.service);
        match conduct.state {
            HostState::Defers => (time.min(MAIL_MAX), Verdict::Defers),
            _ if time > CONTENT_MAX => (CONTENT_MAX, Verdict::Silence),
            _ => (time, Verdict::Takes),
        }
    }
}

fn unreachable(host: &PlannedHost, what: &str) -> Failure {
    let (name, endpoint) = (&host.name, host.endpoint);
    Failure {
        scope: Scope::Endpoint,
        blame: Blame::Network,
        refusal: Refusal {
            relay: Some(format!("{name}[{endpoint}]")),
            ..Refusal::ours(EnhancedStatus::new(4, 4, 1), format!("connect to {name}: {what}"))
        },
    }
}

/// 421 at the greeting.
fn turned_away(host: &PlannedHost) -> Failure {
    let status = EnhancedStatus::new(4, 7, 0);
    Failure {
        scope: Scope::Endpoint,
        blame: Blame::Peer,
        refusal: Refusal {
            status,
            reply: Some(Reply {
                code: 421,
                enhanced: Some(status),
                text: "too many connections".into(),
            }),
            reason: "in reply to the connection".to_owned(),
            relay: Some(format!("{}[{}]", host.name, host.endpoint)),
        },
    }
}

/// How long a greeting is waited for, as in `remuda_smtp::deadlines`.
pub const GREETING_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the reply to MAIL is waited for; a host that defers is not slower.
pub const MAIL_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the reply to the content is waited for.
pub const CONTENT_MAX: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::Plan, scenario::Scenario};

    fn plan(host: &str) -> Plan {
        let rest = "[[domain]]\nname = 'd'\nhosts = ['a']\n[mail]\nmessages = 1";
        let text = format!("[[host]]\nname = 'a'\nconnect = '20ms'\ngreeting = '30ms'\n{host}\n{rest}");
        Scenario::parse(&text).unwrap().1
    }

    fn peers(plan: &Plan) -> Peers<'_> {
        Peers::new(&plan.hosts, Duration::from_secs(30), 1)
    }

    const NOW: Duration = Duration::from_secs(1);

    /// Whether it is connected, the time that the dial takes in all, and where it fails.
    fn outcome(host: &str) -> (u128, Option<DialStep>) {
        let plan = plan(host);
        let mut peers = peers(&plan);
        match peers.dial(0, NOW) {
            Dialled::Fails(failing) => (failing.after.as_millis(), Some(failing.step)),
            Dialled::Connects(after) => match peers.connected(0, NOW + after) {
                Ok(greeting) => ((after + greeting).as_millis(), None),
                Err(failing) => ((after + failing.after).as_millis(), Some(failing.step)),
            },
        }
    }

    #[test]
    fn a_dial_meets_what_the_host_does_when_it_is_made() {
        for (state, outcome_is) in [
            ("works", (50, None)),
            ("defers", (50, None)),
            ("refuses", (20, Some(DialStep::Connect))),
            ("never_connects", (30_000, Some(DialStep::Connect))),
            ("never_greets", (300_020, Some(DialStep::Greeting))),
        ] {
            assert_eq!(
                outcome(&format!("service = '1ms'\nstate = '{state}'")),
                outcome_is,
                "{state}"
            );
        }
        let recovers = "service = '1ms'\nstate = 'refuses'\n[[host.phase]]\nat = '500ms'";
        assert_eq!(outcome(recovers), (50, None));
    }

    #[test]
    fn a_host_with_a_limit_greets_one_more_with_421() {
        let plan = plan("service = '1ms'\nsession_limit = 2");
        let mut peers = peers(&plan);
        assert!(peers.connected(0, NOW).is_ok() && peers.connected(0, NOW).is_ok());
        let failing = peers.connected(0, NOW).unwrap_err();
        assert_eq!(failing.failure.refusal.reply.map(|reply| reply.code), Some(421));
        assert_eq!(failing.after, Duration::from_millis(30));
        peers.disconnected(0);
        assert!(peers.connected(0, NOW).is_ok());
    }

    #[test]
    fn a_transaction_takes_the_time_that_holds_when_the_host_begins_with_it() {
        let plan = plan(
            "service = '50ms'\n[[host.phase]]\nat = '2s'\nservice = '2s'\nstate = 'defers'\n\
             [[host.phase]]\nat = '3s'\nservice = '11m'",
        );
        let mut peers = peers(&plan);
        let mut at = |millis| peers.serve(0, Duration::from_millis(millis));
        assert_eq!(at(1999), (Duration::from_millis(50), Verdict::Takes));
        assert_eq!(at(2000), (Duration::from_secs(2), Verdict::Defers));
        assert_eq!(at(3000), (CONTENT_MAX, Verdict::Silence));
    }
}
