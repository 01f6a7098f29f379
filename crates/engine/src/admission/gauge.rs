//! Reads what is left of the machine: `/proc`, the control group, the descriptor limit.
//!
//! # Contract
//! * **At most one reading a second**, however many sessions ask.
//! * **What the system does not say counts as plenty**: admission then rests on the other figures.

use std::{
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock};
use remuda_spool::Health;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Admission, Load, admit};
use crate::settings::Limits;

/// Between two readings.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Knows the admission, a second old at most.
pub struct Gauge {
    clock: SharedClock,
    spool: Box<dyn Fn() -> Health + Send + Sync>,
    /// Half of the machine's or the control group's memory.
    memory_default: u64,
    last: Mutex<Option<(Monotonic, Admission, Load)>>,
}

impl Gauge {
    /// A gauge that asks `spool` for the disk's part.
    pub fn new(clock: SharedClock, spool: impl Fn() -> Health + Send + Sync + 'static) -> Self {
        Gauge {
            clock,
            spool: Box::new(spool),
            memory_default: memory_of_machine() / 2,
            last: Mutex::new(None),
        }
    }

    /// The decision, and what it was taken on.
    pub fn admission(&self, limits: &Limits) -> Admission {
        self.read(limits, |_, admission| admission.clone())
    }

    /// The decision with its figures, for the status page.
    pub fn status(&self, limits: &Limits) -> (Admission, Load) {
        self.read(limits, |load, admission| (admission.clone(), load.clone()))
    }

    fn read<T>(&self, limits: &Limits, answer: impl Fn(&Load, &Admission) -> T) -> T {
        let now = self.clock.now().monotonic;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, admission, load)) if now.since(*at) < READ_EVERY => answer(load, admission),
            _ => {
                let load = self.load(limits);
                let admission = admit(&load);
                let value = answer(&load, &admission);
                *last = Some((now, admission, load));
                value
            }
        }
    }

    fn load(&self, limits: &Limits) -> Load {
        let health = (self.spool)();
        Load {
            resident: resident().unwrap_or(0),
            resident_max: limits.memory.unwrap_or(self.memory_default),
            descriptors: descriptors_in_use().unwrap_or(0),
            descriptors_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            free_disk: health.free_disk,
            free_disk_min: limits.min_free_disk,
            writer_delay: health.writer_delay,
            spool_fault: health.reason,
        }
    }
}

/// Raises the descriptor limit as far as we may, and answers with it.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let raised = limit.current != limit.maximum && setrlimit(Resource::Nofile, wanted).is_ok();
    let current = if raised { limit.maximum } else { limit.current };
    current.unwrap_or(u64::MAX)
}

/// Descriptors beside the sessions': listeners, the spool and its readers, the log, DNS, the admin API.
pub const DESCRIPTORS_ASIDE: u64 = 128;
/// Descriptors of one busy session: its socket, and the file of a large message.
pub const PER_SESSION: u64 = 2;
/// Of one parked session: its socket.
pub const PER_PARKED: u64 = 1;

/// Derives how many inbound sessions fit into `descriptors`, of `inbound` that are wanted, beside
/// outbound ones, `busy` and `parked`.
///
/// # Errors
/// What to lower, when not even a tenth of the inbound sessions has room.
pub fn session_budget(descriptors: u64, inbound: usize, busy: usize, parked: usize) -> Result<usize, String> {
    let usable = descriptors.min(1 << 40) * super::DESCRIPTORS_MAIL_PERCENT / 100;
    let left =
        usable.saturating_sub(DESCRIPTORS_ASIDE + PER_SESSION * busy as u64 + PER_PARKED * parked as u64);
    let room = usize::try_from(left / PER_SESSION)
        .unwrap_or(usize::MAX)
        .min(inbound);
    if room * 10 < inbound {
        return Err(format!(
            "{descriptors} file descriptors are too few: raise the limit (LimitNOFILE=, ulimit -n), or lower \
             limits.sessions ({inbound}), delivery.sessions ({busy}) or connection_cache.connections ({parked})"
        ));
    }
    Ok(room)
}

fn resident() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

fn descriptors_in_use() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// The control group's memory limit, else the machine's.
fn memory_of_machine() -> u64 {
    let machine = machine_memory().unwrap_or(u64::MAX);
    group_limit().map_or(machine, |group| group.min(machine))
}

fn machine_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// Octets behind `name` in a file of lines `name: 123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// The least limit from our control group (version 2) up to the root.
fn group_limit() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?
        .trim_matches('/');
    let mut least = None;
    loop {
        let file = format!("/sys/fs/cgroup/{path}/memory.max");
        let limit = fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok());
        least = least.into_iter().chain(limit).min();
        if path.is_empty() {
            return least;
        }
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remuda_clock::SystemClock;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    fn limits() -> Limits {
        Limits {
            message_size: 0,
            recipients_per_message: 0,
            sessions: 0,
            sessions_per_client: 0,
            queue_memory: 0,
            active_messages: 0,
            min_free_disk: 1,
            memory: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_machine_is_read_at_most_once_a_second() {
        let clock: SharedClock = Arc::new(SystemClock::paused());
        let readings = Arc::new(AtomicU32::new(0));
        let count = readings.clone();
        let gauge = Gauge::new(clock.clone(), move || {
            count.fetch_add(1, Ordering::Relaxed);
            Health {
                writable: true,
                reason: None,
                writer_delay: Duration::ZERO,
                queued_bytes: 0,
                free_disk: Some(10),
                fresh_bytes: 0,
            }
        });
        for _ in 0..100 {
            assert_eq!(gauge.admission(&limits()), Admission::Open);
        }
        assert_eq!(readings.load(Ordering::Relaxed), 1);
        clock.sleep_until(clock.now().monotonic + READ_EVERY).await;
        let (_, load) = gauge.status(&limits());
        assert_eq!(readings.load(Ordering::Relaxed), 2);
        assert!(load.resident > 0 && load.descriptors > 0 && load.resident < load.resident_max);
    }

    #[test]
    fn sessions_fit_into_the_descriptors_or_it_is_said_what_to_lower() {
        assert_eq!(session_budget(1 << 20, 1000, 500, 1000), Ok(1000));
        assert_eq!(session_budget(4096, 1000, 500, 1000), Ok(779));
        let error = session_budget(1024, 1000, 500, 1000).unwrap_err();
        assert!(error.contains("limits.sessions (1000)"), "{error}");
    }
}
