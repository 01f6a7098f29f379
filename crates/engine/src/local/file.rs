//! One file on its way into a Maildir: `tmp`, then `new`.
//!
//! # Contract
//! * **Kept or gone**: a file that is not [kept](NewFile::keep) is removed from `tmp`, also when the
//!   delivery is dropped half-way.
//! * **Nothing is overwritten**: a name that is taken is an error.
//! * **A Maildir is made when mail comes for it**, for its owner only, and the names of new directories are on
//!   disk before those of mail in them.
//! * **The disk never holds up the runtime**: every call runs as a blocking task.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::{fs::RenameFlags, io::Errno};

use super::quota;

/// A file in `tmp`.
pub(super) struct NewFile {
    /// None only while a blocking task has it, or after an error.
    open: Option<Open>,
    unkept: Unkept,
    directory: PathBuf,
    name: String,
}

/// Why a file did not become a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error("over quota")]
    OverQuota,
}

struct Open {
    file: BufWriter<File>,
    /// Octets written.
    size: u64,
    /// The last piece ended in CR, which is written unless LF follows.
    ends_in_cr: bool,
}

impl NewFile {
    /// Creates the file, and the Maildir around it if it is not there. `name` is one that nobody else uses.
    pub(super) async fn create(directory: PathBuf, name: String) -> io::Result<Self> {
        blocking(move || {
            for below in ["tmp", "cur", "new"] {
                create_directory(&directory.join(below))?;
            }
            let path = directory.join("tmp").join(&name);
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            Ok(NewFile {
                open: Some(Open {
                    file: BufWriter::with_capacity(BUFFER, file),
                    size: 0,
                    ends_in_cr: false,
                }),
                unkept: Unkept(Some(path)),
                directory,
                name,
            })
        })
        .await
    }

    /// Appends a piece of content, its CRLF as LF.
    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        let mut open = self.take()?;
        self.open = Some(
            blocking(move || {
                open.write(&piece)?;
                io::Result::Ok(open)
            })
            .await?,
        );
        Ok(())
    }

    /// Makes it a message of the mailbox, if there is room for it in `quota` octets; `now`: the time of day.
    pub(super) async fn keep(mut self, quota: Option<u64>, now: SystemTime) -> Result<(), NotKept> {
        let mut open = self.take()?;
        blocking(move || {
            open.end()?;
            let size = open.size;
            if let Some(quota) = quota
                && !quota::has_room(&self.directory, (quota, size), (&self.name, now))?
            {
                return Err(NotKept::OverQuota);
            }
            open.file.get_ref().sync_all()?;
            let new = self.directory.join("new");
            // Dovecot and Courier read the size off the name.
            let path = new.join(format!("{},S={size}", self.name));
            rename(&self.directory.join("tmp").join(&self.name), &path)?;
            self.unkept.disarm();
            sync_directory(&new)?;
            if let Err(error) = quota::add(&self.directory, size) {
                tracing::warn!(directory = %self.directory.display(), %error, "maildirsize misses a message");
            }
            Ok(())
        })
        .await
    }

    fn take(&mut self) -> io::Result<Open> {
        self.open
            .take()
            .ok_or_else(|| io::Error::other("an earlier write failed"))
    }
}

impl Open {
    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let Some(last) = piece.last() else {
            return Ok(());
        };
        if self.ends_in_cr && piece[0] != b'\n' {
            self.put(b"\r")?;
        }
        self.ends_in_cr = *last == b'\r';
        let piece = if self.ends_in_cr {
            &piece[..piece.len() - 1]
        } else {
            piece
        };
        let mut rest = piece;
        while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            self.put(&rest[..at])?;
            rest = &rest[at + 1..];
        }
        self.put(rest)
    }

    /// Nothing more comes.
    fn end(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.ends_in_cr) {
            self.put(b"\r")?;
        }
        self.file.flush()
    }

    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.size += octets.len() as u64;
        self.file.write_all(octets)
    }
}

/// Removes the file from `tmp` when the delivery fails or is dropped.
struct Unkept(Option<PathBuf>);

impl Unkept {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Nothing else can be done about it; readers of a Maildir remove old files from tmp.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a directory for our eyes only, and what is above it, each with its name on disk.
fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        // A relative path begins in the working directory.
        _ => Path::new("."),
    };
    create_directory(parent)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        // Another delivery may have come first.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(parent)
}

/// Moves a file to a name that is free.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let cwd = rustix::fs::CWD;
    match rustix::fs::renameat_with(cwd, from, cwd, to, RenameFlags::NOREPLACE) {
        // File systems that cannot say so, NFS for one.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        moved => Ok(moved?),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_said_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let maildir = directory.path().join("a/b/c");
        let mut new = NewFile::create(maildir.clone(), "name".into()).await.unwrap();
        // A device that is always full.
        let full = File::options().write(true).open("/dev/full").unwrap();
        new.open.as_mut().unwrap().file = BufWriter::new(full);
        new.write(Bytes::from("hello")).await.unwrap();
        let kept = new.keep(None, SystemTime::UNIX_EPOCH).await;
        assert!(
            matches!(&kept, Err(NotKept::Disk(error)) if error.kind() == io::ErrorKind::StorageFull),
            "{kept:?}"
        );
        for below in ["tmp", "new"] {
            assert_eq!(fs::read_dir(maildir.join(below)).unwrap().count(), 0, "{below}");
        }
    }
}
