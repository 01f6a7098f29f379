//! One file on its way into a Maildir: `tmp`, then `new`.
//!
//! # Contract
//! * **Kept or gone**: a file that is not [kept](NewFile::keep) is removed from `tmp`, also when the
//!   delivery is dropped half-way.
//! * **The disk never holds up the runtime**: every call runs as a blocking task.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;

/// A file's name in its two parts, between which it is made unique.
pub(super) struct Name {
    /// Time, process, queue id.
    pub(super) stem: String,
    /// The host.
    pub(super) host: String,
}

/// A file in `tmp`.
pub(super) struct NewFile {
    /// None only while a blocking task has it, or after an error.
    open: Option<Open>,
    unkept: Unkept,
    directory: PathBuf,
    name: String,
}

struct Open {
    file: BufWriter<File>,
    /// The last piece ended in CR, which is written unless LF follows.
    ends_in_cr: bool,
}

impl NewFile {
    /// Creates the file, and the Maildir around it if it is not there.
    pub(super) async fn create(directory: PathBuf, name: Name) -> io::Result<Self> {
        blocking(move || {
            create_directories(&directory)?;
            let (file, name) = create_unique(&directory, &name)?;
            let unkept = Unkept(Some(directory.join("tmp").join(&name)));
            Ok(NewFile {
                open: Some(Open {
                    file: BufWriter::with_capacity(BUFFER, file),
                    ends_in_cr: false,
                }),
                unkept,
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
                Ok(open)
            })
            .await?,
        );
        Ok(())
    }

    /// Makes it a message of the mailbox.
    pub(super) async fn keep(mut self) -> io::Result<()> {
        let mut open = self.take()?;
        blocking(move || {
            if open.ends_in_cr {
                open.file.write_all(b"\r")?;
            }
            open.file.flush()?;
            open.file.get_ref().sync_all()?;
            let new = self.directory.join("new");
            fs::rename(self.directory.join("tmp").join(&self.name), new.join(&self.name))?;
            self.unkept.disarm();
            sync_directory(&new)
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
            self.file.write_all(b"\r")?;
        }
        self.ends_in_cr = *last == b'\r';
        let piece = if self.ends_in_cr {
            &piece[..piece.len() - 1]
        } else {
            piece
        };
        let mut rest = piece;
        while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            self.file.write_all(&rest[..at])?;
            rest = &rest[at + 1..];
        }
        self.file.write_all(rest)
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

/// All three directories and what is above them, for our eyes only.
fn create_directories(directory: &Path) -> io::Result<()> {
    if directory.join("new").is_dir() && directory.join("tmp").is_dir() {
        return Ok(());
    }
    for name in ["tmp", "cur", "new"] {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory.join(name))?;
    }
    // The new directories' names are in their parents: mail/postmaster, mail, data_dir.
    directory.ancestors().take(3).try_for_each(|above| {
        // A relative path ends in "", which is the working directory.
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        sync_directory(above)
    })
}

/// Creates the file in `tmp` under a name that is in none of the three directories.
fn create_unique(directory: &Path, name: &Name) -> io::Result<(File, String)> {
    for attempt in 0..NAMES_MAX {
        let name = format!("{}R{attempt}.{}", name.stem, name.host);
        if directory.join("new").join(&name).exists() || directory.join("cur").join(&name).exists() {
            continue;
        }
        let path = directory.join("tmp").join(&name);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

const BUFFER: usize = 64 * 1024;
/// Names tried: two messages of one queue id in one millisecond are already odd.
const NAMES_MAX: usize = 100;
