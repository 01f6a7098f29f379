//! A disk that forgets: plays recorded calls back up to a crash, and keeps of what was not synced only
//! what the dice say.
//!
//! A file's data is durable up to the last sync of that file that had begun after it was written; a name
//! is durable with a sync of its directory. Everything else may be there, be missing, be torn at the edges
//! of sectors, or have happened in another order.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Dice,
    ledger::{Ledger, Stage},
    recorder::{library, this_binary},
    soak,
    trace::{self, Call},
    worker,
};

/// The file of the worker's answers: it is ours, not the disk's.
const ANSWERS: &str = "answers";

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    Truncate { size: u64 },
}

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    /// Not synced, with their place in time.
    pending: Vec<(u64, Change)>,
}

/// What happened to a name: it points to an inode now, or to nothing.
#[derive(Clone, Debug)]
struct NameChange {
    time: u64,
    path: String,
    inode: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    time: u64,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    open: HashMap<u32, Handle>,
    syncs: HashMap<u64, (Handle, u64)>,
    answers: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Handle {
    File(usize),
    Directory(String),
    Answers,
}

impl Disk {
    fn apply(&mut self, call: &Call) {
        self.time += 1;
        match call {
            Call::Open {
                fd,
                path,
                created,
                truncated,
                directory,
            } => {
                let handle = self.opened(path, *created, *directory);
                if let (Handle::File(inode), true) = (&handle, *truncated && !*created) {
                    self.inodes[*inode]
                        .pending
                        .push((self.time, Change::Truncate { size: 0 }));
                }
                self.open.insert(*fd, handle);
            }
            Call::Write { fd, offset, data } => match self.open[fd].clone() {
                Handle::Answers => self.answers.extend_from_slice(data),
                Handle::File(inode) => {
                    let change = Change::Write {
                        offset: *offset,
                        data: data.clone(),
                    };
                    self.inodes[inode].pending.push((self.time, change));
                }
                Handle::Directory(path) => panic!("write to directory {path}"),
            },
            Call::Truncate { fd, size } => {
                if let Handle::File(inode) = self.open[fd] {
                    self.inodes[inode]
                        .pending
                        .push((self.time, Change::Truncate { size: *size }));
                }
            }
            Call::SyncBegins { fd, token } => {
                self.syncs.insert(*token, (self.open[fd].clone(), self.time));
            }
            Call::SyncEnded { token } => {
                let (handle, begun) = self.syncs.remove(token).unwrap();
                self.synced(&handle, begun);
            }
            Call::Unlink { path } => self.name(path.clone(), None),
            Call::Rename { old, new } => {
                let inode = self.names[old];
                self.name(old.clone(), None);
                self.name(new.clone(), Some(inode));
            }
        }
    }

    fn opened(&mut self, path: &str, created: bool, directory: bool) -> Handle {
        if directory {
            return Handle::Directory(path.to_owned());
        }
        if path == ANSWERS {
            return Handle::Answers;
        }
        if created {
            self.inodes.push(Inode::default());
            self.name(path.to_owned(), Some(self.inodes.len() - 1));
        }
        Handle::File(self.names[path])
    }

    fn name(&mut self, path: String, inode: Option<usize>) {
        match inode {
            Some(inode) => self.names.insert(path.clone(), inode),
            None => self.names.remove(&path),
        };
        let time = self.time;
        self.pending_names.push(NameChange { time, path, inode });
    }

    fn synced(&mut self, handle: &Handle, begun: u64) {
        match handle {
            Handle::Answers => {}
            Handle::File(inode) => {
                let Inode { durable, pending } = &mut self.inodes[*inode];
                let split = pending.partition_point(|(time, _)| *time <= begun);
                for (_, change) in pending.drain(..split) {
                    change.apply(durable);
                }
            }
            Handle::Directory(directory) => {
                let durable = &mut self.durable_names;
                self.pending_names.retain(|change| {
                    let is_synced = change.time <= begun && parent(&change.path) == directory;
                    if is_synced {
                        change.apply(durable);
                    }
                    !is_synced
                });
            }
        }
    }

    /// Writes what is left after a crash now.
    fn crash(&self, dir: &Path, dice: &mut Dice) {
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            if dice.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        fs::create_dir_all(dir.join("data/spool")).unwrap();
        for (path, inode) in names {
            // The log's index lives in memory only.
            if !path.ends_with("-shm") {
                fs::write(dir.join(path), self.inodes[inode].crashed(dice)).unwrap();
            }
        }
    }
}

impl Inode {
    fn crashed(&self, dice: &mut Dice) -> Vec<u8> {
        let mut content = self.durable.clone();
        let mut pending: Vec<&Change> = self.pending.iter().map(|(_, change)| change).collect();
        // How this crash treats the file: everything, nothing, or each change for itself.
        let mode = dice.below(5);
        if mode == 4 {
            for at in (1..pending.len()).rev() {
                pending.swap(at, dice.below(at as u64 + 1) as usize);
            }
        }
        for change in pending {
            match (mode, dice.below(4)) {
                (0, _) | (2.., 0) => {}
                (1, _) | (2.., 1 | 2) => change.apply(&mut content),
                _ => change.apply_torn(&mut content, dice),
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => put(content, *offset as usize, data),
            Change::Truncate { size } => content.resize(*size as usize, 0),
        }
    }

    /// Some sectors of it.
    fn apply_torn(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        let Change::Write { offset, data } = self else {
            return self.apply(content);
        };
        let sector = if dice.below(2) == 0 { 512 } else { 4096 };
        let (mut at, end) = (*offset as usize, *offset as usize + data.len());
        while at < end {
            let next = ((at / sector + 1) * sector).min(end);
            if dice.below(2) == 0 {
                put(content, at, &data[at - *offset as usize..next - *offset as usize]);
            }
            at = next;
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self.inode {
            Some(inode) => names.insert(self.path.clone(), inode),
            None => names.remove(&self.path),
        };
    }
}

fn put(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}

fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

fn record(root: &Path) -> Vec<Call> {
    let trace = root.with_extension("trace");
    let status = this_binary("worker::worker")
        .env("LD_PRELOAD", library())
        .env("RECORDER_ROOT", root)
        .env("RECORDER_TRACE", &trace)
        .env(worker::DATA, root.join("data"))
        .env(worker::ANSWERS, root.join(ANSWERS))
        .env(worker::MESSAGES, "40")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    trace::read(&trace)
}

/// Memory if there is some: what is tested is not this machine's disk.
fn scratch() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    tempfile::tempdir_in(place).unwrap()
}

#[test]
fn nothing_answered_is_lost_at_any_crash_point() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap().join("root");
    fs::create_dir(&root).unwrap();
    let calls = record(&root);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let points = soak(120, calls.len());
    let step = (calls.len() / points).max(1);
    let (mut disk, mut lost, mut furthest) = (Disk::default(), Vec::new(), Ledger::default());
    for (at, call) in calls.iter().enumerate() {
        disk.apply(call);
        // Not always the same place in a commit.
        let mut dice = Dice(at as u64);
        if !(at + dice.below(step as u64) as usize).is_multiple_of(step) && at + 1 != calls.len() {
            continue;
        }
        let dir = scratch();
        disk.crash(dir.path(), &mut dice);
        let answers = String::from_utf8_lossy(&disk.answers).into_owned();
        furthest = Ledger::read(&answers);
        if let Err(error) = runtime.block_on(furthest.check(&dir.path().join("data"))) {
            lost.push(format!("crash after call {at} of {}: {error}", calls.len()));
        }
    }
    assert!(
        lost.is_empty(),
        "{} crashes lost something:\n{}",
        lost.len(),
        lost.join("\n")
    );
    assert!(furthest.count(Stage::Settled) > 100 && furthest.count(Stage::Stored) > 0);
}
