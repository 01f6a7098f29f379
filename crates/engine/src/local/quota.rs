//! How full a Maildir is: the file `maildirsize` of Maildir++, as Dovecot and Courier keep it.
//!
//! Its first line names the limits, each further one says what came or went: octets and messages. Adding them
//! up is cheaper than looking at every message; counting is done where there is no sum, or it cannot be trusted.
//! What a message counts with stands in its name (`,S=1234`), so that counting reads directories only.
//!
//! # Contract
//! * **Nobody is over quota by an old sum**: before a message is refused, what is there is counted, unless
//!   that was done in the last quarter of an hour and nothing has come or gone since.
//! * **All folders count**, the trash too: a quota is room on a disk.
//! * **The sum of others is taken** whatever limits stand above it: who sets them differently reads them all the
//!   same.
//! * **A delivery that the sum misses is no error**: the next count finds it.
//!
//! # Limits
//! Deliveries to one Maildir at the same time may each find room: it is over its quota by those at most.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Answers whether a message of `size` octets fits into `quota`; `name` is one that nobody else uses in `tmp`,
/// `now` the time of day.
pub(super) fn has_room(
    directory: &Path,
    (quota, size): (u64, u64),
    (name, now): (&str, SystemTime),
) -> io::Result<bool> {
    let fits = |used: i64| used.saturating_add_unsigned(size) <= i64::try_from(quota).unwrap_or(i64::MAX);
    if let Some(sum) = Sum::read(directory)
        && (fits(sum.octets) || !sum.is_doubtful(directory, now))
    {
        return Ok(fits(sum.octets));
    }
    Ok(fits(count(directory, quota, name)?))
}

/// Adds a message that was delivered to the sum, if there is one.
pub(super) fn add(directory: &Path, size: u64) -> io::Result<()> {
    match OpenOptions::new().append(true).open(directory.join(FILE)) {
        // One write: others append too.
        Ok(mut file) => file.write_all(format!("{size} 1\n").as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the file says.
struct Sum {
    octets: i64,
    /// Something came or went since it was counted.
    has_changed: bool,
    modified: SystemTime,
}

impl Sum {
    /// None where there is no sum, or none that makes sense, or the file has grown so long that it is time to
    /// count again.
    fn read(directory: &Path) -> Option<Self> {
        let path = directory.join(FILE);
        let known = fs::metadata(&path).ok()?;
        if known.len() >= LENGTH_MAX {
            return None;
        }
        let text = fs::read_to_string(&path).ok()?;
        let (mut octets, mut lines) = (0_i64, 0);
        for line in text.lines().skip(1) {
            let mut numbers = line.split_ascii_whitespace();
            let number: i64 = numbers.next()?.parse().ok()?;
            let _messages: i64 = numbers.next()?.parse().ok()?;
            octets = octets.checked_add(number)?;
            lines += 1;
        }
        let modified = known.modified().ok()?;
        let is_sound = lines > 0 && octets >= 0;
        is_sound.then_some(Sum {
            octets,
            has_changed: lines > 1,
            modified,
        })
    }

    /// Answers whether it is worth to count: somebody may have removed a message and said nothing.
    fn is_doubtful(&self, directory: &Path, now: SystemTime) -> bool {
        let age = now.duration_since(self.modified).unwrap_or_default();
        let inbox = modified(&[directory.join("cur"), directory.join("new")]);
        let is_behind = inbox.into_iter().flatten().any(|at| at > self.modified);
        self.has_changed || is_behind || age >= DOUBT
    }
}

/// Counts the octets of all messages and writes the sum down.
fn count(directory: &Path, quota: u64, name: &str) -> io::Result<i64> {
    let places = places(directory)?;
    let before = modified(&places);
    let (mut octets, mut messages) = (0_i64, 0_i64);
    for place in &places {
        for entry in fs::read_dir(place)? {
            let Some(size) = size_of(&entry?)? else { continue };
            octets = octets.saturating_add_unsigned(size);
            messages += 1;
        }
    }
    let new = directory.join("tmp").join(format!("{name}.{FILE}"));
    let text = format!("{quota}S\n{octets} {messages}\n");
    let written = write(&new, &text).and_then(|()| fs::rename(&new, directory.join(FILE)));
    if written.is_err() || modified(&places) != before {
        // Without a sum, or with one that missed what came meanwhile, the next delivery counts.
        for stale in [&new, &directory.join(FILE)] {
            let _ = fs::remove_file(stale);
        }
    }
    Ok(octets)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// The directories that hold messages: of the inbox, and of each folder, whose name begins with a dot.
fn places(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut places = vec![directory.join("cur"), directory.join("new")];
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            places.push(entry.path().join("cur"));
            places.push(entry.path().join("new"));
        }
    }
    places.retain(|place| place.is_dir());
    Ok(places)
}

fn modified(places: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let of = |place: &PathBuf| fs::metadata(place).and_then(|known| known.modified()).ok();
    places.iter().map(of).collect()
}

/// What a message counts with; None for what is no message, or is gone.
fn size_of(entry: &fs::DirEntry) -> io::Result<Option<u64>> {
    let name = entry.file_name();
    if name.as_encoded_bytes().starts_with(b".") {
        return Ok(None);
    }
    if let Some(size) = name.to_str().and_then(size_in_name) {
        return Ok(Some(size));
    }
    match entry.metadata() {
        Ok(known) => Ok(known.is_file().then_some(known.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The size that a message's name tells: `…,S=1234` or `…,S=1234:2,S`.
fn size_in_name(name: &str) -> Option<u64> {
    let (_, behind) = name.split_once(",S=")?;
    let end = behind.find([',', ':']).unwrap_or(behind.len());
    behind[..end].parse().ok()
}

const FILE: &str = "maildirsize";
/// Octets of the file from which on it is counted again, as Maildir++ has it.
const LENGTH_MAX: u64 = 5120;
/// How old a sum is that refuses nobody (Maildir++: 15 minutes).
const DOUBT: std::time::Duration = std::time::Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Scene(tempfile::TempDir);

    impl Scene {
        fn new() -> Self {
            let scene = Scene(tempfile::tempdir().unwrap());
            for name in ["tmp", "new", "cur", ".Trash/cur", ".Trash/new"] {
                fs::create_dir_all(scene.path().join(name)).unwrap();
            }
            scene
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn message(&self, name: &str, octets: usize) {
            fs::write(self.path().join(name), "x".repeat(octets)).unwrap();
        }

        fn sum(&self) -> String {
            fs::read_to_string(self.path().join(FILE)).unwrap_or_default()
        }

        fn set_sum(&self, text: &str, age: Duration) {
            fs::write(self.path().join(FILE), text).unwrap();
            self.set_age(FILE, age);
        }

        fn set_age(&self, name: &str, age: Duration) {
            let file = fs::File::open(self.path().join(name)).unwrap();
            file.set_modified(now() - age).unwrap();
        }

        fn has_room(&self, quota: u64, size: u64) -> bool {
            has_room(self.path(), (quota, size), ("unique", now())).unwrap()
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)
    }

    #[test]
    fn without_a_sum_all_folders_are_counted_by_their_names() {
        let scene = Scene::new();
        scene.message("new/1.M1P1.host,S=400", 1);
        scene.message("cur/2.M1P1.host,S=30,W=31:2,ST", 1);
        scene.message("cur/3.M1P1.host:2,S", 5);
        scene.message(".Trash/cur/4.M1P1.host,S=1000", 1);
        scene.message("cur/.hidden", 9);
        scene.message("tmp/5.M1P1.host,S=9", 1);
        assert!(scene.has_room(1536, 101));
        assert_eq!(scene.sum(), "1536S\n1435 4\n");
        assert!(!scene.has_room(1535, 101));
    }

    #[test]
    fn a_sum_that_leaves_room_is_taken_as_it_is() {
        let scene = Scene::new();
        scene.message("new/1.M1P1.host,S=400", 1);
        scene.set_sum("999S,5C\n100 2\n-50 -1\n", Duration::ZERO);
        assert!(scene.has_room(100, 50));
        assert_eq!(scene.sum(), "999S,5C\n100 2\n-50 -1\n");
        add(scene.path(), 50).unwrap();
        assert_eq!(scene.sum(), "999S,5C\n100 2\n-50 -1\n50 1\n");
    }

    #[test]
    fn nobody_is_over_quota_by_an_old_sum() {
        for (text, age, is_counted) in [
            ("100S\n100 1\n", DOUBT, true),
            ("100S\n60 1\n40 1\n", Duration::ZERO, true),
            ("100S\n100 1\n", DOUBT - Duration::from_secs(1), false),
        ] {
            let scene = Scene::new();
            scene.set_sum(text, age);
            scene.set_age("cur", 2 * DOUBT);
            scene.set_age("new", 2 * DOUBT);
            assert_eq!(scene.has_room(100, 1), is_counted, "{text:?}");
        }
        // Somebody took a message away and said nothing.
        let scene = Scene::new();
        scene.set_sum("100S\n100 1\n", Duration::from_secs(2));
        scene.set_age("new", Duration::from_secs(2));
        scene.set_age("cur", Duration::from_secs(1));
        assert!(scene.has_room(100, 1));
    }

    #[test]
    fn a_sum_that_makes_no_sense_is_counted_again() {
        let long = format!("100S\n{}", "1 1\n".repeat(1300));
        for text in [
            "",
            "100S\n",
            "100S\nx\n",
            "100S\n1\n",
            "100S\n-5 1\n",
            "100S\n9223372036854775807 1\n1 1\n",
            &long,
        ] {
            let scene = Scene::new();
            scene.set_sum(text, Duration::ZERO);
            assert!(scene.has_room(100, 100), "{text:?}");
            assert_eq!(scene.sum(), "100S\n0 0\n", "{text:?}");
        }
    }

    #[test]
    fn a_delivery_without_a_sum_adds_nothing() {
        let scene = Scene::new();
        add(scene.path(), 7).unwrap();
        assert_eq!(scene.sum(), "");
    }

    #[test]
    fn a_sum_that_cannot_be_written_is_no_error() {
        let scene = Scene::new();
        scene.message("new/1.M1P1.host,S=400", 1);
        fs::remove_dir(scene.path().join("tmp")).unwrap();
        assert!(scene.has_room(500, 100) && !scene.has_room(500, 101));
        assert_eq!(scene.sum(), "");
    }
}
