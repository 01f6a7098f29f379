//! The object cache's switches: what the configuration says, and what was set at run time.
//!
//! A value set at run time is kept in `object-cache.json` under `data_dir` together with what the file said when it
//! was set, and holds until the file says something else for that key.
//!
//! # Contract
//! * **What was set at run time survives a restart** (A13), and ends when that key's value in the file changes.
//! * **It is on disk before it is answered.**
//! * **Which holds is shown**: file or run time.
//! * **What the file has superseded does not come back**, also when the file goes back to what it was.
//! * **What holds is in force**: changes are put in force one after the other, in the order in which they were kept.
//!
//! # Limits
//! Times 0 s to one day; sizes up to what the machine has.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use remuda_object_cache::Limits;
use serde::{Deserialize, Serialize};

use crate::model::Kind;

/// `[object_cache]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `enabled`.
    pub enabled: bool,
    /// `stale_if_error`.
    pub stale_if_error: Duration,
    /// `[object_cache.KIND]`.
    pub kinds: BTreeMap<Kind, KindSettings>,
}

/// `[object_cache.KIND]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSettings {
    /// `ttl`.
    pub ttl: Duration,
    /// `negative_ttl`.
    pub negative_ttl: Duration,
    /// `size`, octets.
    pub size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: true,
            stale_if_error: Duration::from_secs(300),
            kinds: Kind::ALL
                .into_iter()
                .map(|kind| (kind, KindSettings::of(kind)))
                .collect(),
        }
    }
}

impl KindSettings {
    /// What holds when the file says nothing.
    pub fn of(kind: Kind) -> Self {
        KindSettings {
            ttl: Duration::from_secs(60),
            // Most mail that goes elsewhere asks for a domain that is not here.
            negative_ttl: Duration::from_secs(if kind == Kind::Domain { 60 } else { 10 }),
            size: 10 * 1024 * 1024,
        }
    }
}

/// A value that can be set at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `enabled`: 0 or 1.
    Enabled,
    /// `KIND.ttl`, milliseconds.
    Ttl(Kind),
    /// `KIND.negative_ttl`, milliseconds.
    NegativeTtl(Kind),
    /// `KIND.size`, octets.
    Size(Kind),
}

impl Key {
    /// As in `cache set` and in the file, e.g. `account.ttl`.
    pub fn name(self) -> String {
        match self {
            Key::Enabled => "enabled".to_owned(),
            Key::Ttl(kind) => format!("{kind}.ttl"),
            Key::NegativeTtl(kind) => format!("{kind}.negative_ttl"),
            Key::Size(kind) => format!("{kind}.size"),
        }
    }

    /// The key of this name.
    pub fn from_name(name: &str) -> Option<Key> {
        if name == "enabled" {
            return Some(Key::Enabled);
        }
        let (kind, key) = name.split_once('.')?;
        let kind = Kind::from_word(kind)?;
        match key {
            "ttl" => Some(Key::Ttl(kind)),
            "negative_ttl" => Some(Key::NegativeTtl(kind)),
            "size" => Some(Key::Size(kind)),
            _ => None,
        }
    }

    /// The greatest value that it may have.
    pub fn value_max(self) -> u64 {
        match self {
            Key::Enabled => 1,
            Key::Ttl(_) | Key::NegativeTtl(_) => 86_400_000,
            Key::Size(_) => 1 << 40,
        }
    }
}

/// Which value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// The configuration's.
    File,
    /// One set at run time.
    RunTime,
}

/// See the module.
#[derive(Debug)]
pub struct Switches {
    /// None: nothing can be set.
    path: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while what holds is put in force.
    order: Mutex<()>,
}

#[derive(Debug)]
struct State {
    file: Settings,
    set: BTreeMap<String, Set>,
}

/// A value set at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    value: u64,
    /// What the file said then.
    over: u64,
}

impl Switches {
    /// Reads what was set at run time from `object-cache.json` under `data_dir`.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(file: Settings, data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("object-cache.json");
        let set = match fs::read(&path) {
            Ok(octets) => serde_json::from_slice(&octets).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let mut state = State { file, set };
        if state.drop_superseded() {
            keep(&path, &state.set)?;
        }
        Ok(Switches {
            path: Some(path),
            state: Mutex::new(state),
            order: Mutex::new(()),
        })
    }

    /// What the configuration says; nothing can be set.
    pub fn fixed(file: Settings) -> Self {
        let set = BTreeMap::new();
        Switches {
            path: None,
            state: Mutex::new(State { file, set }),
            order: Mutex::new(()),
        }
    }

    /// Takes a new configuration, and has `apply` put it in force.
    pub(crate) fn reload(&self, file: Settings, apply: impl FnOnce()) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        state.file = file;
        if state.drop_superseded()
            && let Some(path) = &self.path
            && let Err(error) = keep(path, &state.set)
        {
            tracing::warn!(%error, "what the configuration has superseded may come back at the next start");
        }
        drop(state);
        apply();
    }

    /// Sets values, or gives them back to the file (None), keeps them, and has `apply` put them in force. Waits
    /// for the disk.
    ///
    /// # Errors
    /// It could not be kept; then nothing has changed.
    pub(crate) fn set(&self, changes: &[(Key, Option<u64>)], apply: impl FnOnce()) -> io::Result<()> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let set = self.lock().with(changes);
        match &self.path {
            Some(path) => keep(path, &set)?,
            None => return Err(io::Error::other("there is nowhere to keep it")),
        }
        self.lock().set = set;
        apply();
        Ok(())
    }

    /// Answers whether the cache is on.
    pub fn is_enabled(&self) -> bool {
        self.lock().value(Key::Enabled).0 == 1
    }

    /// The limits of a kind.
    pub fn limits(&self, kind: Kind) -> Limits {
        let state = self.lock();
        let size = state.value(Key::Size(kind)).0;
        Limits {
            ttl: Duration::from_millis(state.value(Key::Ttl(kind)).0),
            negative_ttl: Duration::from_millis(state.value(Key::NegativeTtl(kind)).0),
            size,
            negative_size: size / NEGATIVE_SHARE,
            stale_if_error: state.file.stale_if_error,
        }
    }

    /// A value, and which it is.
    pub fn value(&self, key: Key) -> (u64, Holds) {
        self.lock().value(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn value(&self, key: Key) -> (u64, Holds) {
        match self.set.get(&key.name()) {
            Some(set) => (set.value, Holds::RunTime),
            None => (self.file_value(key), Holds::File),
        }
    }

    fn file_value(&self, key: Key) -> u64 {
        let of = |kind| {
            self.file
                .kinds
                .get(&kind)
                .copied()
                .unwrap_or_else(|| KindSettings::of(kind))
        };
        match key {
            Key::Enabled => u64::from(self.file.enabled),
            Key::Ttl(kind) => millis(of(kind).ttl),
            Key::NegativeTtl(kind) => millis(of(kind).negative_ttl),
            Key::Size(kind) => of(kind).size,
        }
    }

    /// What is set once these changes are made.
    fn with(&self, changes: &[(Key, Option<u64>)]) -> BTreeMap<String, Set> {
        let mut all = self.set.clone();
        for (key, value) in changes {
            let over = self.file_value(*key);
            match *value {
                Some(value) => drop(all.insert(key.name(), Set { value, over })),
                None => drop(all.remove(&key.name())),
            }
        }
        all
    }

    /// Drops what the file has changed since. Answers whether there was any.
    fn drop_superseded(&mut self) -> bool {
        let mut set = std::mem::take(&mut self.set);
        let before = set.len();
        set.retain(|name, set| Key::from_name(name).is_some_and(|key| self.file_value(key) == set.over));
        self.set = set;
        self.set.len() < before
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes a file whole: beside it, synced, then in its place.
fn keep(path: &Path, set: &BTreeMap<String, Set>) -> io::Result<()> {
    let octets = serde_json::to_vec_pretty(set).map_err(io::Error::other)?;
    let beside = path.with_extension("json.new");
    let mut file = fs::File::create(&beside)?;
    io::Write::write_all(&mut file, &octets)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Absences may take one part in so many of what objects may.
const NEGATIVE_SHARE: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Key = Key::Ttl(Kind::Account);

    fn open(dir: &tempfile::TempDir, ttl_s: u64) -> Switches {
        let mut settings = Settings::default();
        settings.kinds.get_mut(&Kind::Account).unwrap().ttl = Duration::from_secs(ttl_s);
        Switches::open(settings, dir.path()).unwrap()
    }

    /// A13.
    #[test]
    fn what_was_set_at_run_time_survives_a_restart_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let switches = open(&dir, 60);
        assert_eq!(switches.value(TTL), (60_000, Holds::File));
        switches
            .set(&[(TTL, Some(300_000)), (Key::Size(Kind::List), Some(5))], || ())
            .unwrap();
        assert_eq!(switches.value(TTL), (300_000, Holds::RunTime));
        let switches = open(&dir, 60);
        assert_eq!(switches.value(TTL), (300_000, Holds::RunTime));
        let switches = open(&dir, 30);
        assert_eq!(switches.value(TTL), (30_000, Holds::File));
        assert_eq!(switches.value(Key::Size(Kind::List)), (5, Holds::RunTime));
        switches.reload(Settings::default(), || ());
        assert_eq!(switches.limits(Kind::List).size, 5);
        switches.set(&[(Key::Size(Kind::List), None)], || ()).unwrap();
        assert_eq!(switches.value(Key::Size(Kind::List)).1, Holds::File);
    }

    #[test]
    fn what_the_file_has_superseded_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        open(&dir, 60).set(&[(TTL, Some(300_000))], || ()).unwrap();
        assert_eq!(open(&dir, 30).value(TTL), (30_000, Holds::File));
        assert_eq!(open(&dir, 60).value(TTL), (60_000, Holds::File));
    }

    #[test]
    fn nothing_can_be_set_where_there_is_nowhere_to_keep_it() {
        let switches = Switches::fixed(Settings::default());
        assert!(switches.set(&[(TTL, Some(1))], || panic!("in force")).is_err());
        assert_eq!(switches.value(TTL), (60_000, Holds::File));
    }

    #[test]
    fn it_is_on_disk_before_it_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let switches = open(&dir, 60);
        drop(dir);
        assert!(switches.set(&[(TTL, Some(1))], || panic!("in force")).is_err());
        assert_eq!(switches.value(TTL), (60_000, Holds::File));
    }

    #[test]
    fn every_key_has_a_name() {
        for kind in Kind::ALL {
            for key in [
                Key::Enabled,
                Key::Ttl(kind),
                Key::NegativeTtl(kind),
                Key::Size(kind),
            ] {
                assert_eq!(Key::from_name(&key.name()), Some(key));
            }
        }
        assert_eq!(Key::from_name("account.colour"), None);
    }
}
