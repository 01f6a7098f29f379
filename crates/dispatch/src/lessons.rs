//! What sessions teach about their endpoint: limits of transactions, idle time, whether it bears reuse.
//!
//! # Contract
//! * **A limit of transactions is learned only from what may be one**: an end between transactions or a
//!   refusal of MAIL, after an accepted transaction of that session; the client machine says which. An end
//!   after some idle time is none.
//! * **With a limit in force no session goes past it**: at the limit it is retired, parked or not, before the
//!   receiver has to refuse.
//! * **An endpoint whose sessions are found dead in a row is not reused for a while** (T43). A death that the
//!   idle time explains teaches how long a session may lie idle; one that a known limit explains, nothing.
//! * **A used session that says nothing is given up** after `reuse_reply_timeout`, and not before four times
//!   what its endpoint usually takes.
//!
//! # Not here
//! How long what was learned is believed: `remuda_hosts`. What becomes of the message: `answers`.

use std::time::Duration;

use remuda_clock::Monotonic;
use remuda_hosts::{IDLE_TAUGHT_MIN, Met};
use remuda_mail::{Facts, SessionId, Way};

use crate::{
    Dispatch,
    command::RetireCause,
    event::{Answer, Undecided},
};

/// A session that ended, or was refused MAIL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) way: Way,
    /// From before its dial.
    pub(crate) opened: Monotonic,
    /// As of [`Answer`].
    pub(crate) limit_met: Option<u32>,
}

impl Dispatch {
    /// Learns from how a transaction went.
    pub(crate) fn take_lesson(&mut self, id: SessionId, answer: &Answer) {
        let Some(carrier) = self.sessions.get(&id) else {
            return;
        };
        let (way, idle) = (carrier.way(), carrier.idle);
        // Those behind it count as begun already.
        let behind = u32::try_from(carrier.behind.len()).unwrap_or(u32::MAX);
        let uses = carrier.uses.saturating_sub(behind);
        let is_first_to_tell = carrier.end.is_none();
        let ended = Ended {
            way,
            opened: carrier.dialled,
            limit_met: answer.limit_met,
        };
        if answer.accepted && !carrier.is_fresh() {
            self.hosts.bore_reuse(way, uses, idle);
        }
        if !is_first_to_tell {
            // Those behind the one that met the end of a session have nothing to add.
            return;
        }
        let is_dead = answer.undecided > 0
            && !carrier.is_fresh()
            && matches!(
                answer.cause,
                Undecided::Unsent | Undecided::LostEarly | Undecided::PerhapsAccepted
            );
        if is_dead && idle >= IDLE_TAUGHT_MIN {
            return self.take_lesson_of_death(ended, idle);
        }
        let is_explained = self.meet_limit(ended);
        if is_dead && !is_explained {
            self.hosts.died(way, self.now.monotonic);
        }
    }

    /// Learns from the end of a session that had been idle for `idle`.
    pub(crate) fn take_lesson_of_death(&mut self, ended: Ended, idle: Duration) {
        let (way, now) = (ended.way, self.now.monotonic);
        let is_explained = match ended.limit_met {
            Some(_) if idle < IDLE_TAUGHT_MIN => self.meet_limit(ended),
            _ => self.hosts.died_idle(way, idle, now),
        };
        if !is_explained {
            self.hosts.died(way, now);
        }
    }

    /// A session has perhaps met a limit; answers whether others have met it before. From the moment
    /// it is in force nothing lies parked beyond it.
    fn meet_limit(&mut self, ended: Ended) -> bool {
        let (way, now) = (ended.way, self.now.monotonic);
        let Some(transactions) = ended.limit_met else {
            return false;
        };
        let met = self.hosts.met_limit(way, transactions, ended.opened, now);
        if let Met::Learned(max) = met {
            let gone = self
                .cache
                .drain(|parked| parked.facts.way() == way && parked.facts.uses >= max);
            for (session, _) in gone {
                self.retire(session, RetireCause::Count);
            }
        }
        met != Met::First
    }

    /// Answers whether its endpoint lets a session carry a further transaction, as far as it has taught us.
    pub(crate) fn may_be_reused(&self, facts: &Facts) -> Result<(), RetireCause> {
        let (way, now) = (facts.way(), self.now.monotonic);
        let max = self.hosts.transactions_max(way, now);
        if max.is_some_and(|max| facts.uses >= max) {
            return Err(RetireCause::Count);
        }
        if facts.uses > 0 && !self.hosts.bears_reuse(way, now) {
            return Err(RetireCause::NotParked);
        }
        Ok(())
    }

    /// Answers whether a session on which others are under way may carry another behind them.
    pub(crate) fn may_go_behind_others(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(&id) else {
            return false;
        };
        session.facts.clone().is_some_and(|mut facts| {
            facts.uses = session.uses;
            self.may_go_on(id, &facts).is_ok()
        })
    }

    /// How long a session may keep silent in its next transaction, if it has been used.
    pub(crate) fn reply_within_of(&self, id: SessionId) -> Duration {
        let session = self.sessions.get(&id);
        session.map_or(Duration::MAX, |session| self.reply_within(session.way()))
    }

    /// How long a used session may keep silent before it has said anything.
    fn reply_within(&self, way: Way) -> Duration {
        let usual = self.hosts.wait(way);
        let usual = usual.unwrap_or_default().saturating_mul(USUAL_TIMES);
        self.settings.cache.reuse_reply_timeout.max(usual)
    }
}

/// Silence is death when it lasts so many times as long as the endpoint usually takes.
const USUAL_TIMES: u32 = 4;
