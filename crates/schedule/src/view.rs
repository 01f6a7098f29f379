//! What the schedule shows of itself.

use remuda_clock::{Monotonic, Wall};
use remuda_mail::Destination;

use crate::{Queue, Schedule};

/// One destination's summary.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView<'a> {
    /// Which.
    pub destination: &'a Destination,
    /// Entries waiting wherever they are, without held ones.
    pub waiting: u64,
    /// Entries on hold.
    pub held: u64,
    /// Entries in memory.
    pub active: u64,
    /// Slots of the window in use.
    pub busy: u32,
    /// The window; 0 while suspended.
    pub window: u32,
    /// Suspended until, and why.
    pub suspended: Option<(Monotonic, &'a str)>,
    /// The earliest due time of what lies in the spool only.
    pub due: Option<Wall>,
}

/// Sums over all destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries in memory.
    pub active: u64,
    /// Entries waiting wherever they are, without held ones.
    pub waiting: u64,
    /// Entries on hold.
    pub held: u64,
    /// Destinations with mail.
    pub destinations: u64,
}

impl Totals {
    /// Brings the sums up to date with a queue that has changed.
    pub(crate) fn note(&mut self, queue: &mut Queue) {
        let had_mail = queue.noted.waiting + queue.noted.held > 0;
        let has_mail = queue.waiting() + queue.held > 0;
        self.destinations = self.destinations + u64::from(has_mail) - u64::from(had_mail);
        self.active = self.active + queue.in_memory.len() as u64 - queue.noted.in_memory as u64;
        self.waiting = self.waiting + queue.waiting() - queue.noted.waiting;
        self.held = self.held + queue.held - queue.noted.held;
        queue.noted.waiting = queue.waiting();
        queue.noted.held = queue.held;
        queue.noted.in_memory = queue.in_memory.len();
    }
}

impl Schedule {
    /// Sums over all destinations. O(1).
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// One destination's summary.
    pub fn view<'a>(&'a self, destination: &Destination) -> Option<QueueView<'a>> {
        let (destination, queue) = self.queues.get_key_value(destination)?;
        Some(QueueView::of(destination, queue))
    }

    /// All summaries, in no order.
    pub fn views(&self) -> impl Iterator<Item = QueueView<'_>> {
        self.queues
            .iter()
            .map(|(destination, queue)| QueueView::of(destination, queue))
    }

    /// Panics if the books contradict each other. O(n); for tests.
    pub fn assert_consistent(&self) {
        let mut sums = Totals::default();
        let (mut loads, mut reserved) = (0, 0);
        for (destination, queue) in &self.queues {
            sums.waiting += queue.waiting();
            sums.held += queue.held;
            sums.active += queue.in_memory.len() as u64;
            sums.destinations += u64::from(queue.waiting() + queue.held > 0);
            loads += usize::from(queue.load.is_some());
            reserved += queue.load.as_ref().map_or(0, |load| load.room);
            assert!(queue.ready.len() <= queue.in_memory.len());
            assert!(
                !(queue.is_ready() && Self::is_admitted(queue)) || queue.noted.in_ready_ring,
                "{destination} has its turn"
            );
            let is_due = queue.load_wanted().is_some_and(|due| due <= self.now.wall);
            assert!(
                !is_due || queue.noted.in_load_ring,
                "{destination} is to be loaded"
            );
            if let Some(timer) = queue.noted.timer {
                assert!(self.timers.contains(&(timer, destination.clone())));
            }
            if let Some(suspension) = &queue.suspension {
                assert!(
                    self.suspensions
                        .contains(&(suspension.until, destination.clone()))
                );
            }
        }
        self.assert_gates();
        assert_eq!(sums, self.totals);
        assert_eq!((loads, reserved), (self.loads, self.reserved));
        let here = usize::try_from(self.totals.active).unwrap_or(usize::MAX);
        assert!(here + self.reserved <= self.limits.active_max.max(here));
    }
}

impl<'a> QueueView<'a> {
    fn of(destination: &'a Destination, queue: &'a Queue) -> Self {
        let suspended = queue.suspension.as_ref();
        QueueView {
            destination,
            waiting: queue.waiting(),
            held: queue.held,
            active: queue.in_memory.len() as u64,
            busy: queue.busy,
            window: if suspended.is_some() {
                0
            } else {
                queue.window.size()
            },
            suspended: suspended.map(|suspension| (suspension.until, suspension.reason.as_str())),
            due: queue.spool_due.filter(|_| queue.in_spool_only() > 0),
        }
    }
}
