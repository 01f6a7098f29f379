//! The spool's files: where they are, the lock, content files, the reserve.
//!
//! ```text
//!   data_dir/spool.lock       held while a process uses the spool
//!            spool.db         and spool.db-wal, spool.db-shm: the database
//!            spool.reserve    space that a full disk gives back
//!            spool/ID         content over 256 KiB
//! ```
//!
//! # Contract
//! * **Mail is private**: files are 0600, directories 0700.
//! * **A content file without its row does not outlive the next start**, and no longer than its
//!   [`ContentFile`] unless that was [kept](ContentFile::keep).
//! * **The reserve is real**: its blocks are allocated, so that freeing it frees them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use remuda_mail::MessageId;

use crate::Error;

/// The database's file name.
pub(crate) const DATABASE: &str = "spool.db";
/// Octets that a full disk gives back, enough for the largest WAL and the pages it moves.
pub(crate) const RESERVE: u64 = 8 << 20;

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) data_dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) content_dir: PathBuf,
    reserve: PathBuf,
    lock: PathBuf,
}

impl Paths {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Paths {
            data_dir: data_dir.to_owned(),
            database: data_dir.join(DATABASE),
            content_dir: data_dir.join("spool"),
            reserve: data_dir.join("spool.reserve"),
            lock: data_dir.join("spool.lock"),
        }
    }

    /// Makes `data_dir` if needed and takes the lock.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        make_dir(&self.data_dir)?;
        let file = private()
            .open(&self.lock)
            .map_err(|e| Error::io("open", &self.lock, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::InUse),
            Err(TryLockError::Error(e)) => Err(Error::io("lock", &self.lock, e)),
        }
    }

    /// Makes an empty database file and the content directory where they are missing.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        make_dir(&self.content_dir)?;
        private()
            .open(&self.database)
            .map_err(|e| Error::io("create", &self.database, e))?;
        sync_dir(&self.data_dir)
    }

    pub(crate) fn content(&self, message: MessageId) -> PathBuf {
        self.content_dir.join(message.to_string())
    }

    /// Removes a content file whose row is gone. One that stays is removed at the next start.
    pub(crate) fn remove_content(&self, message: MessageId) {
        let path = self.content(message);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "content file stays until the next start");
            }
            _ => {}
        }
    }

    /// Ids of all content files.
    pub(crate) fn contents(&self) -> Result<Vec<MessageId>, Error> {
        let fail = |e| Error::io("read", &self.content_dir, e);
        let mut found = Vec::new();
        for file in fs::read_dir(&self.content_dir).map_err(fail)? {
            let name = file.map_err(fail)?.file_name();
            // Only names that we give: anything else in there is somebody's, and stays.
            found.extend(name.to_str().and_then(|n| n.parse::<MessageId>().ok()));
        }
        Ok(found)
    }

    /// Allocates the reserve where it is missing or short.
    pub(crate) fn make_reserve(&self) -> Result<(), Error> {
        let fail = |e| Error::io("write", &self.reserve, e);
        let mut file = private().open(&self.reserve).map_err(fail)?;
        if file.metadata().map_err(fail)?.len() == RESERVE {
            return Ok(());
        }
        let made = allocate(&mut file).and_then(|()| file.sync_all());
        made.map_err(|error| {
            self.free_reserve();
            fail(error)
        })
    }

    /// Gives the reserve back to the file system.
    pub(crate) fn free_reserve(&self) {
        if let Err(error) = fs::remove_file(&self.reserve)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the reserve file cannot be freed");
        }
    }
}

/// A content file that goes away with this value unless it is kept.
#[derive(Debug)]
pub(crate) struct ContentFile {
    path: PathBuf,
    kept: AtomicBool,
}

impl ContentFile {
    /// Creates the file.
    pub(crate) fn create(path: PathBuf) -> Result<(ContentFile, File), Error> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io("create", &path, e))?;
        let kept = AtomicBool::new(false);
        Ok((ContentFile { path, kept }, file))
    }

    /// Its row is committed.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }
}

impl Drop for ContentFile {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Acquire) {
            return;
        }
        let path = std::mem::take(&mut self.path);
        let remove = move || {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "content file stays until the next start");
            }
        };
        // Large files take their time to go; not on a thread that serves sessions.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::io("sync", path, e))
}

fn make_dir(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::io("create", path, e))?;
    match path.parent() {
        Some(parent) if parent != Path::new("") => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
}

/// Allocates the reserve's blocks; writes zeros where the file system cannot do it faster.
fn allocate(file: &mut File) -> io::Result<()> {
    match rustix::fs::fallocate(&*file, rustix::fs::FallocateFlags::empty(), 0, RESERVE) {
        Ok(()) => {
            // Through std, as all writes of this crate, so that what fails a write fails this one.
            file.seek(SeekFrom::Start(0))?;
            file.write_all(b"space for a full disk\n")
        }
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; 64 << 10];
            file.seek(SeekFrom::Start(0))?;
            (0..RESERVE / zeros.len() as u64).try_for_each(|_| file.write_all(&zeros))
        }
        Err(errno) => Err(errno.into()),
    }
}
