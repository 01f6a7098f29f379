//! Admission: whether new mail and new sessions are taken, decided from what is left of the machine.
//!
//! # Contract
//! * **One pure function, [`admit`], decides**; what it says is what `/api/v1/status` shows and what clients
//!   are answered with.
//! * **Mail is refused before sessions are**: a client that is told 452 comes back with what it has; one that
//!   is told 421 tries our other servers first.
//! * **It reopens by itself** when the load goes down.
//!
//! # Not here
//! Limits on the number of sessions (`receive`), a single message's limits (`smtp`).

mod gauge;

use std::{fmt, time::Duration};

pub use gauge::{DESCRIPTORS_ASIDE, Gauge, PER_PARKED, PER_SESSION, raise_descriptor_limit, session_budget};

/// What is left of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Octets of resident memory in use.
    pub resident: u64,
    /// `limits.memory`.
    pub resident_max: u64,
    /// Descriptors in use.
    pub descriptors: u64,
    /// The process's limit.
    pub descriptors_max: u64,
    /// Octets free where the spool is, if known.
    pub free_disk: Option<u64>,
    /// `limits.min_free_disk`.
    pub free_disk_min: u64,
    /// Age of the oldest write that waits in the spool.
    pub writer_delay: Duration,
    /// Why the spool stores nothing now, if so.
    pub spool_fault: Option<String>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Everything is taken.
    Open,
    /// MAIL is answered with 452.
    RefuseMail(Reason),
    /// So are connections, with 421.
    RefuseConnect(Reason),
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The spool cannot write.
    Spool(String),
    /// The disk is nearly full.
    Disk {
        /// Octets free.
        free: u64,
        /// `limits.min_free_disk`.
        min: u64,
    },
    /// Memory is nearly used up.
    Memory {
        /// Octets resident.
        resident: u64,
        /// `limits.memory`.
        max: u64,
    },
    /// Descriptors are nearly used up.
    Descriptors {
        /// In use.
        used: u64,
        /// The limit.
        max: u64,
    },
    /// The disk is slow: commits take too long.
    Writer {
        /// Age of the oldest write that waits.
        delay: Duration,
    },
}

/// Per cent of `limits.memory` from which on no new mail is taken.
pub const MEMORY_MAIL_PERCENT: u64 = 90;
/// Per cent of the descriptors from which on no new mail is taken.
pub const DESCRIPTORS_MAIL_PERCENT: u64 = 90;
/// Per cent of the descriptors from which on no connection is taken.
pub const DESCRIPTORS_CONNECT_PERCENT: u64 = 96;
/// Delay of the writer from which on no new mail is taken.
pub const WRITER_DELAY_MAIL: Duration = Duration::from_secs(5);
/// Delay of the writer from which on no connection is taken: clients would only wait.
pub const WRITER_DELAY_CONNECT: Duration = Duration::from_secs(60);

/// Decides.
pub fn admit(load: &Load) -> Admission {
    if let Some(reason) = load.exhaustion() {
        return Admission::RefuseConnect(reason);
    }
    load.shortage().map_or(Admission::Open, Admission::RefuseMail)
}

impl Load {
    /// Why not even connections are taken.
    fn exhaustion(&self) -> Option<Reason> {
        if self.resident >= self.resident_max {
            Some(self.memory())
        } else if is_above(
            self.descriptors,
            self.descriptors_max,
            DESCRIPTORS_CONNECT_PERCENT,
        ) {
            Some(self.used_descriptors())
        } else {
            self.slow_writer(WRITER_DELAY_CONNECT)
        }
    }

    /// Why no mail is taken.
    fn shortage(&self) -> Option<Reason> {
        if let Some(fault) = &self.spool_fault {
            return Some(Reason::Spool(fault.clone()));
        }
        if let Some(free) = self.free_disk.filter(|free| *free < self.free_disk_min) {
            let min = self.free_disk_min;
            return Some(Reason::Disk { free, min });
        }
        if is_above(self.resident, self.resident_max, MEMORY_MAIL_PERCENT) {
            return Some(self.memory());
        }
        if is_above(self.descriptors, self.descriptors_max, DESCRIPTORS_MAIL_PERCENT) {
            return Some(self.used_descriptors());
        }
        self.slow_writer(WRITER_DELAY_MAIL)
    }

    fn memory(&self) -> Reason {
        Reason::Memory {
            resident: self.resident,
            max: self.resident_max,
        }
    }

    fn used_descriptors(&self) -> Reason {
        Reason::Descriptors {
            used: self.descriptors,
            max: self.descriptors_max,
        }
    }

    fn slow_writer(&self, from: Duration) -> Option<Reason> {
        (self.writer_delay >= from).then_some(Reason::Writer {
            delay: self.writer_delay,
        })
    }
}

fn is_above(used: u64, max: u64, percent: u64) -> bool {
    used.saturating_mul(100) >= max.saturating_mul(percent)
}

impl Admission {
    /// Why something is refused.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Admission::Open => None,
            Admission::RefuseMail(reason) | Admission::RefuseConnect(reason) => Some(reason),
        }
    }

    /// One word for the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Admission::Open => "open",
            Admission::RefuseMail(_) => "refuse-mail",
            Admission::RefuseConnect(_) => "refuse-connect",
        }
    }
}

impl Reason {
    /// The enhanced code that goes with 452: 4.3.1 for the disk, else 4.3.2.
    pub fn status(&self) -> &'static str {
        match self {
            Reason::Spool(_) | Reason::Disk { .. } => "4.3.1",
            Reason::Memory { .. } | Reason::Descriptors { .. } | Reason::Writer { .. } => "4.3.2",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Spool(fault) => f.write_str(fault),
            Reason::Disk { free, min } => {
                write!(
                    f,
                    "{} MiB of disk free, limits.min_free_disk is {} MiB",
                    free >> 20,
                    min >> 20
                )
            }
            Reason::Memory { resident, max } => {
                write!(
                    f,
                    "{} MiB of memory in use, limits.memory is {} MiB",
                    resident >> 20,
                    max >> 20
                )
            }
            Reason::Descriptors { used, max } => write!(f, "{used} of {max} file descriptors in use"),
            Reason::Writer { delay } => {
                write!(f, "the disk is slow: a write has waited {} ms", delay.as_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            resident: 10 << 20,
            resident_max: 100 << 20,
            descriptors: 10,
            descriptors_max: 1000,
            free_disk: Some(1 << 30),
            free_disk_min: 256 << 20,
            writer_delay: Duration::ZERO,
            spool_fault: None,
        }
    }

    #[test]
    fn each_shortage_refuses_mail_and_a_worse_one_connections() {
        type Change = fn(&mut Load);
        let rows: [(Change, &str, Option<&str>); 11] = [
            (|_| {}, "open", None),
            (|l| l.free_disk = None, "open", None),
            (
                |l| l.free_disk = Some((256 << 20) - 1),
                "refuse-mail",
                Some("4.3.1"),
            ),
            (
                |l| l.spool_fault = Some("full".into()),
                "refuse-mail",
                Some("4.3.1"),
            ),
            (|l| l.resident = 90 << 20, "refuse-mail", Some("4.3.2")),
            (|l| l.resident = 100 << 20, "refuse-connect", Some("4.3.2")),
            (|l| l.descriptors = 900, "refuse-mail", Some("4.3.2")),
            (|l| l.descriptors = 960, "refuse-connect", Some("4.3.2")),
            (
                |l| l.writer_delay = WRITER_DELAY_MAIL,
                "refuse-mail",
                Some("4.3.2"),
            ),
            (
                |l| l.writer_delay = WRITER_DELAY_CONNECT,
                "refuse-connect",
                Some("4.3.2"),
            ),
            (
                |l| (l.free_disk, l.resident) = (Some(0), 100 << 20),
                "refuse-connect",
                Some("4.3.2"),
            ),
        ];
        for (index, (change, word, status)) in rows.into_iter().enumerate() {
            let mut load = load();
            change(&mut load);
            let admission = admit(&load);
            assert_eq!(admission.as_str(), word, "row {index}");
            assert_eq!(admission.reason().map(Reason::status), status, "row {index}");
        }
    }

    #[test]
    fn reasons_are_one_line_with_figures() {
        let reason = Reason::Disk {
            free: 5 << 20,
            min: 256 << 20,
        };
        assert_eq!(
            reason.to_string(),
            "5 MiB of disk free, limits.min_free_disk is 256 MiB"
        );
    }
}
