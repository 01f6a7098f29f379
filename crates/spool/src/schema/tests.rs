//! Opening: new, damaged, foreign and later databases.

use std::{
    hash::{DefaultHasher, Hasher},
    path::PathBuf,
};

use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    (dir, paths)
}

/// Everything in a directory: names, sizes and digests.
fn picture(dir: &Path) -> Vec<(PathBuf, usize, u64)> {
    let digest = |octets: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(octets);
        hasher.finish()
    };
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("spool.db-shm"))
        .map(|path| {
            let octets = fs::read(&path).unwrap();
            (path, octets.len(), digest(&octets))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_new_database_is_durable_and_can_shrink() {
    let (_dir, paths) = place();
    let db = open(&paths).unwrap();
    for (pragma, value) in [
        ("synchronous", 2),
        ("auto_vacuum", 2),
        ("page_size", PAGE_SIZE),
        ("mmap_size", 0),
        ("wal_autocheckpoint", 0),
        ("user_version", MIGRATIONS.len() as i64),
    ] {
        let found: i64 = db
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, value, "{pragma}");
    }
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn mail_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, paths) = place();
    let db = open(&paths).unwrap();
    db.execute_batch("PRAGMA user_version = 1").unwrap();
    for name in ["spool.db", "spool.db-wal"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mode = fs::metadata(&paths.content_dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_database_of_a_later_version_is_refused_unchanged() {
    let (dir, paths) = place();
    let db = open(&paths).unwrap();
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    let before = picture(dir.path());
    let refused = open(&paths).unwrap_err();
    assert!(
        matches!(refused, Error::Newer { found: 99, known } if known == MIGRATIONS.len() as i64),
        "{refused}"
    );
    assert_eq!(picture(dir.path()), before);
}

#[test]
fn a_damaged_database_is_refused_unchanged() {
    type Spoil = fn(&mut Vec<u8>);
    let damage: [(&str, Spoil); 6] = [
        ("not a database", |file| file[..16].fill(b'x')),
        ("too short", |file| file.truncate(10)),
        ("cut in the middle", |file| file.truncate(3 * PAGE_SIZE as usize)),
        ("a page overwritten", |file| {
            file[2 * PAGE_SIZE as usize..3 * PAGE_SIZE as usize].fill(0xa5);
        }),
        ("schema overwritten", |file| {
            file[200..PAGE_SIZE as usize].fill(0xff)
        }),
        ("of another program", |file| file[68..72].fill(7)),
    ];
    for (name, spoil) in damage {
        let (dir, paths) = place();
        let db = open(&paths).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        drop(db);
        let mut file = fs::read(&paths.database).unwrap();
        spoil(&mut file);
        fs::write(&paths.database, file).unwrap();
        let before = picture(dir.path());
        let refused = open(&paths).unwrap_err();
        assert!(
            matches!(&refused, Error::Damaged { path, .. } if *path == paths.database),
            "{name}: {refused}"
        );
        assert_eq!(picture(dir.path()), before, "{name}");
    }
}

#[test]
fn another_programs_database_is_refused() {
    let (_dir, paths) = place();
    let db = Connection::open(&paths.database).unwrap();
    db.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(db);
    assert!(matches!(open(&paths), Err(Error::Damaged { .. })));
}

#[test]
fn a_database_that_a_crash_left_empty_is_made_anew() {
    let (_dir, paths) = place();
    paths.prepare().unwrap();
    drop(open(&paths).unwrap());
    let (_dir, paths) = place();
    paths.prepare().unwrap();
    let db = connect(&paths.database, Role::Writer).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    drop(db);
    let db = open(&paths).unwrap();
    assert_eq!(version(&db).unwrap(), MIGRATIONS.len() as i64);
}
