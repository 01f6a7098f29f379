//! How many connections an endpoint allows, where it allows less than we would make.
//!
//! Receivers bound the connections of one client and say so only by 421 when there is one too many. The number
//! that was open then is the limit; it is found once for all destinations, and raised again with care,
//! because each try that is one too many is a refused connection in somebody's log.
//!
//! # Contract
//! * **421 while others are open is a limit** and no failure: the limit is as many as are open.
//! * **More that open raise it**: at the start several dials are under way at once.
//! * **It is raised by one at a time**, [`RAISED_FIRST`] after it was met, then after ten minutes, then each
//!   time after twice as long; or after [`OPENED_FOR_ONE`] connections that were opened within it.
//! * **It holds back dials only**: sessions that are open go on.

use std::time::Duration;

use remuda_clock::Monotonic;
use remuda_mail::Way;

use crate::Hosts;

/// What is known of an endpoint's room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Room {
    /// Connections that it has let in and that have not ended.
    pub open: u32,
    /// The limit found.
    limit: Option<u32>,
    /// When it was last met.
    met: Monotonic,
    /// How often it was met, and raised in vain.
    times_met: u32,
    /// Connections opened since.
    opened: u32,
}

impl Room {
    /// How many connections may be open, as far as it has taught us.
    pub fn limit(&self, now: Monotonic) -> Option<u32> {
        let raised = u32::from(self.is_to_be_raised(now));
        self.limit.map(|limit| limit + raised)
    }

    /// Forgets the limit.
    pub(crate) fn forget(&mut self) {
        *self = Room {
            open: self.open,
            ..Room::default()
        };
    }

    /// The limit as it was met, before it is raised.
    pub fn limit_met(&self) -> Option<u32> {
        self.limit
    }

    fn is_to_be_raised(&self, now: Monotonic) -> bool {
        let after = match self.times_met {
            0 | 1 => RAISED_FIRST,
            times => RAISED_LATER
                .saturating_mul(1 << (times - 2).min(16))
                .min(RAISED_LATEST),
        };
        now - self.met >= after || self.opened >= OPENED_FOR_ONE
    }

    fn open(&mut self, now: Monotonic) {
        self.open += 1;
        self.opened = self.opened.saturating_add(1);
        if self.limit.is_some_and(|limit| self.open > limit) {
            self.limit = Some(self.open);
            self.times_met = self.times_met.min(1);
            self.met = now;
            self.opened = 0;
        }
    }

    fn meet(&mut self, now: Monotonic) {
        // Of dials that were under way together only the first counts.
        if self.limit.is_none() || self.is_to_be_raised(now) {
            self.times_met = self.times_met.saturating_add(1);
        }
        self.limit = Some(self.open.max(1));
        self.met = now;
        self.opened = 0;
    }
}

impl Hosts {
    /// A connection was let in.
    pub fn let_in(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| record.room.open(now));
    }

    /// A connection that was let in has ended.
    ///
    /// # Panics
    /// If there was none: connections were counted wrongly.
    pub fn let_out(&mut self, way: Way) {
        self.change(way, |record| {
            assert!(record.room.open > 0, "a connection that ends was counted");
            record.room.open -= 1;
        });
    }

    /// A dial was turned away for the number of connections.
    pub fn met_room(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| record.room.meet(now));
    }

    /// Connections that were let in and have not ended.
    pub fn open(&self, way: Way) -> u32 {
        self.get(way).map_or(0, |record| record.room.open)
    }

    /// The limit of connections found.
    pub fn connections_max(&self, way: Way, now: Monotonic) -> Option<u32> {
        self.get(way)?.room.limit(now)
    }

    /// Answers whether another dial is likely to be let in.
    pub fn has_room(&self, way: Way, now: Monotonic) -> bool {
        self.get(way).is_none_or(|record| {
            let limit = record.room.limit(now);
            limit.is_none_or(|limit| record.room.open + self.dials(way) < limit)
        })
    }
}

/// After the limit was found.
pub const RAISED_FIRST: Duration = Duration::from_secs(15);
/// After it was raised in vain, and then twice as long each time.
const RAISED_LATER: Duration = Duration::from_secs(600);
const RAISED_LATEST: Duration = Duration::from_secs(2 * 3600);
/// So many are opened for one that may be turned away: one in a hundred at the most.
pub const OPENED_FOR_ONE: u32 = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, way};
    use remuda_mail::SessionId;

    fn full(open: u32) -> Hosts {
        let mut hosts = Hosts::default();
        (0..open).for_each(|_| hosts.let_in(way(1), at(0)));
        hosts.met_room(way(1), at(0));
        hosts
    }

    #[test]
    fn the_number_open_is_the_limit_and_more_that_open_raise_it() {
        let mut hosts = full(2);
        hosts.met_room(way(1), at(0));
        assert_eq!(hosts.connections_max(way(1), at(1)), Some(2));
        assert!(!hosts.has_room(way(1), at(1)));
        (0..3).for_each(|_| hosts.let_in(way(1), at(1)));
        assert_eq!(hosts.connections_max(way(1), at(1)), Some(5));
        hosts.let_out(way(1));
        assert!(hosts.has_room(way(1), at(1)));
        hosts.dialled(way(1), SessionId(1), at(1));
        assert!(!hosts.has_room(way(1), at(1)), "a dial counts");
        assert_eq!(hosts.open(way(1)), 4);
    }

    #[test]
    fn none_open_still_leaves_room_for_one() {
        let hosts = full(0);
        assert!(hosts.has_room(way(1), at(1)));
        assert_eq!(hosts.connections_max(way(1), at(1)), Some(1));
    }

    #[test]
    fn it_is_raised_by_one_and_each_time_in_vain_later() {
        let mut hosts = full(5);
        let mut now = at(0);
        let mut after = Vec::new();
        for _ in 0..7 {
            let raised = (1..100_000).map(|seconds| now + Duration::from_secs(seconds));
            let next = raised
                .clone()
                .find(|at| hosts.connections_max(way(1), *at) == Some(6))
                .unwrap();
            after.push((next - now).as_secs());
            now = next;
            hosts.met_room(way(1), now);
            assert_eq!(hosts.connections_max(way(1), now), Some(5));
        }
        assert_eq!(after, [15, 600, 1200, 2400, 4800, 7200, 7200]);
        now += Duration::from_secs(7200);
        hosts.let_in(way(1), now);
        assert_eq!(hosts.connections_max(way(1), now), Some(6), "it opened");
    }

    #[test]
    fn many_that_open_within_it_raise_it_too() {
        let mut hosts = full(5);
        hosts.met_room(way(1), at(20_000));
        for _ in 0..OPENED_FOR_ONE {
            hosts.let_out(way(1));
            hosts.let_in(way(1), at(20_001));
        }
        assert_eq!(hosts.connections_max(way(1), at(20_001)), Some(6));
    }
}
