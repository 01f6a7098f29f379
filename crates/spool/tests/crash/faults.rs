//! Disks that are full, fail their syncs or writes, are read-only, or stall.
//!
//! Each test runs again as a process of its own with the recorder preloaded, which fails its disk calls as
//! the control file says.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use remuda_clock::{Clock, SystemClock};
use remuda_mail::MessageId;
use remuda_spool::{Error, Options, Queued, Selection, Spool};

use crate::{
    ledger::{Ledger, Say},
    recorder::{library, this_binary},
    worker,
};

/// Says that this process is the one with the failing disk: its directory.
const ROOT: &str = "SPOOL_FAULTS_ROOT";

/// Runs `test` with a disk that can fail, in a process of its own.
fn with_faults(name: &str, test: impl AsyncFnOnce(Disk)) {
    if let Some(root) = std::env::var_os(ROOT) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(test(Disk::new(PathBuf::from(root))));
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("root");
    fs::create_dir(&root).unwrap();
    let output = this_binary(&format!("faults::{name}"))
        .env("LD_PRELOAD", library())
        .env("RECORDER_ROOT", &root)
        .env("RECORDER_FAULT", dir.path().join("fault"))
        .env(ROOT, &root)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The recorder's control file. A failing test must not leave the disk stalled.
struct Fault(PathBuf);

impl Fault {
    fn set(&self, fault: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, fault).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.set("none");
    }
}

struct Disk {
    data_dir: PathBuf,
    fault: Fault,
    spool: Spool,
    said: Arc<Mutex<Ledger>>,
    say: Say,
}

impl Disk {
    fn new(root: PathBuf) -> Self {
        let fault = Fault(root.with_file_name("fault"));
        let said = Arc::new(Mutex::new(Ledger::default()));
        let notes = said.clone();
        let say = move |word: &str, id: MessageId| notes.lock().unwrap().note(&format!("{word} {id}"));
        Disk {
            spool: worker::open(&root.join("data")),
            data_dir: root.join("data"),
            fault,
            said,
            say: Arc::new(say),
        }
    }

    /// What fails from now on.
    fn set(&self, fault: &str) {
        self.fault.set(fault);
    }

    async fn store(&self) -> Result<Vec<Queued>, Error> {
        worker::store(&self.spool, &self.say).await
    }

    async fn store_many(&self, count: usize) -> Vec<Vec<Queued>> {
        let mut stored = Vec::new();
        for _ in 0..count {
            stored.push(self.store().await.unwrap());
        }
        stored
    }

    /// Waits until the spool says by itself that it takes mail again.
    async fn recovered(&self) {
        let clock = SystemClock::new();
        while !self.spool.health().writable {
            let later = clock.now().monotonic + Duration::from_millis(20);
            clock.sleep_until(later).await;
        }
    }

    /// Closes the spool and compares it with what was answered.
    async fn agrees(self) {
        self.set("none");
        self.spool.close().await;
        let ledger = self.said.lock().unwrap().clone();
        ledger.check(&self.data_dir).await.unwrap();
    }
}

/// Refused, and then taken again without anybody's help.
async fn refuses_and_recovers(disk: Disk, fault: &str, is_expected: fn(&Error) -> bool) {
    let mut stored = disk.store_many(20).await;
    disk.set(fault);
    for _ in 0..3 {
        // A large content fails in its own file, which says nothing of the database.
        let refused = worker::store_in_row(&disk.spool, &disk.say).await.unwrap_err();
        assert!(is_expected(&refused), "{refused:?}");
        assert!(!disk.spool.health().writable);
        assert!(disk.spool.health().reason.is_some());
    }
    // A settlement waits for the disk; it fails neither now nor later.
    let waiting = tokio::spawn({
        let (spool, say, first) = (disk.spool.clone(), disk.say.clone(), stored.remove(0));
        async move { worker::settle(&spool, first, &say).await }
    });
    tokio::task::yield_now().await;
    disk.set("none");
    disk.recovered().await;
    waiting.await.unwrap();
    disk.store_many(20).await;
    for next in stored {
        worker::settle(&disk.spool, next, &disk.say).await;
    }
    disk.agrees().await;
}

#[test]
fn a_failing_sync_accepts_nothing_and_recovers_by_itself() {
    with_faults(
        "a_failing_sync_accepts_nothing_and_recovers_by_itself",
        async |disk| {
            refuses_and_recovers(disk, "sync", |error| {
                matches!(error, Error::Database { .. } | Error::Io { .. })
            })
            .await;
        },
    );
}

#[test]
fn a_failing_write_accepts_nothing_and_recovers_by_itself() {
    with_faults(
        "a_failing_write_accepts_nothing_and_recovers_by_itself",
        async |disk| {
            refuses_and_recovers(disk, "write", |error| {
                matches!(error, Error::Database { .. } | Error::Io { .. })
            })
            .await;
        },
    );
}

#[test]
fn a_read_only_disk_accepts_nothing_and_recovers_by_itself() {
    with_faults(
        "a_read_only_disk_accepts_nothing_and_recovers_by_itself",
        async |disk| {
            refuses_and_recovers(disk, "readonly", |error| {
                matches!(error, Error::ReadOnly | Error::Database { .. })
            })
            .await;
        },
    );
}

#[test]
fn a_full_disk_refuses_mail_and_still_records_deletions() {
    with_faults(
        "a_full_disk_refuses_mail_and_still_records_deletions",
        async |disk| {
            let stored = disk.store_many(60).await;
            disk.set("full");
            // What the log had allocated before is used up first.
            let refused = loop {
                match disk.store().await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert!(matches!(refused, Error::Full), "{refused:?}");
            assert!(!disk.spool.health().writable);
            for next in stored {
                worker::settle(&disk.spool, next, &disk.say).await;
            }
            disk.set("none");
            disk.recovered().await;
            assert!(disk.data_dir.join("spool.reserve").exists());
            disk.store_many(20).await;
            disk.agrees().await;
        },
    );
}

#[test]
fn an_operator_can_delete_the_whole_queue_on_a_full_disk() {
    with_faults(
        "an_operator_can_delete_the_whole_queue_on_a_full_disk",
        async |disk| {
            disk.store_many(200).await;
            disk.set("full");
            while disk.store().await.is_ok() {}
            let now = SystemClock::new().now().wall;
            disk.spool.delete(Selection::All, now).await.unwrap();
            assert_eq!(disk.spool.backlog().await.unwrap(), []);
            disk.set("none");
            disk.recovered().await;
            assert!(disk.store().await.is_ok());
            disk.spool.delete(Selection::All, now).await.unwrap();
            disk.spool.close().await;
            Ledger::default().check(&disk.data_dir).await.unwrap();
        },
    );
}

#[test]
fn a_stalled_disk_answers_nothing_until_it_goes_on() {
    with_faults("a_stalled_disk_answers_nothing_until_it_goes_on", async |disk| {
        disk.store_many(5).await;
        disk.set("stall");
        let mut waiting = Vec::new();
        for _ in 0..5 {
            let (spool, say) = (disk.spool.clone(), disk.say.clone());
            waiting.push(tokio::spawn(async move { worker::store(&spool, &say).await }));
        }
        while disk.spool.health().writer_delay.is_zero() {
            tokio::task::yield_now().await;
        }
        assert!(disk.spool.health().queued_bytes > 0);
        assert!(waiting.iter().all(|store| !store.is_finished()));
        // Reading goes on.
        assert!(!disk.spool.backlog().await.unwrap().is_empty());
        disk.set("none");
        for store in waiting {
            store.await.unwrap().unwrap();
        }
        disk.agrees().await;
    });
}

#[test]
fn what_a_failing_sync_refused_is_not_there_after_a_crash_of_the_process() {
    let name = "what_a_failing_sync_refused_is_not_there_after_a_crash_of_the_process";
    with_faults(name, async |disk| {
        disk.store_many(5).await;
        disk.set("sync");
        assert!(disk.store().await.is_err());
        disk.set("none");
        disk.store_many(1).await;
        // Another process sees the same log, without this one having closed it.
        let copy = disk.data_dir.with_file_name("copy");
        copy_dir(&disk.data_dir, &copy);
        let ledger = disk.said.lock().unwrap().clone();
        ledger.check(&copy).await.unwrap();
        disk.agrees().await;
    });
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else if !path.to_string_lossy().ends_with("-shm") {
            fs::copy(path, target).unwrap();
        }
    }
}

#[test]
fn a_spool_opens_on_a_full_disk_to_deliver_what_it_has() {
    with_faults(
        "a_spool_opens_on_a_full_disk_to_deliver_what_it_has",
        async |disk| {
            let stored = disk.store_many(20).await;
            disk.set("full");
            while disk.store().await.is_ok() {}
            disk.spool.close().await;
            let clock = SystemClock::shared();
            let spool = Spool::open(Options::new(&disk.data_dir), clock).unwrap();
            let disk = Disk { spool, ..disk };
            for next in stored {
                worker::settle(&disk.spool, next, &disk.say).await;
            }
            disk.agrees().await;
        },
    );
}

#[test]
fn closing_with_a_failing_disk_ends_and_gives_settlements_back() {
    let name = "closing_with_a_failing_disk_ends_and_gives_settlements_back";
    with_faults(name, async |disk| {
        let stored = disk.store_many(1).await.remove(0);
        disk.set("sync");
        let settlement = remuda_spool::Settlement {
            entry: stored[0].id,
            message: stored[0].message,
            left: Vec::new(),
            due: remuda_clock::Wall::NEVER,
            attempt: None,
            reports: Vec::new(),
        };
        let waiting = disk.spool.settle(settlement);
        disk.spool.close().await;
        assert!(matches!(waiting.await, Err(Error::Closed)));
        disk.set("none");
        // Whether it was written is in doubt; the spool is sound either way.
        let spool = worker::open(&disk.data_dir);
        spool.show(stored[0].message).await.unwrap();
        worker::store(&spool, &disk.say).await.unwrap();
    });
}
