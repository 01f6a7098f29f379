//! A message's content on its way in: small in memory, large in a file of its own.
//!
//! ```text
//!   push ─▶ window (256 KiB) ─ ends within it ──▶ in memory, later in the row
//!                            └ overflows ───────▶ file, a window at a time ─▶ synced by finish
//! ```
//!
//! # Contract
//! * **Memory is bounded**: one window and the chunk just pushed, however large the content.
//! * **A finished large content is durable** before [`finish`](ContentWriter::finish) returns, with its
//!   directory entry, and the disk was kept busy meanwhile, not only at the end.
//! * **What is dropped leaves no file**: an unfinished writer, a content that is never stored.
//! * **Octets above 127 are noted** as they stream by, of the header and of the whole, however they are cut.
//! * **Callers push CRLF only**, and as it is to be sent, without dot-stuffing.

use std::{fs::File, io::Write, path::PathBuf, sync::Arc};

use bytes::Bytes;
use remuda_mail::MessageId;

use crate::{
    Error,
    files::{ContentFile, Paths, sync_dir},
    pace::Expected,
};

mod header;
mod reader;

use header::HeaderScan;
pub use reader::ContentReader;
pub(crate) use reader::Source;

/// Content up to this size is kept in the row; it is also the window of memory for larger content.
pub const CONTENT_IN_ROW_MAX: usize = 256 << 10;
/// Larger content is synced each time so much was written, so that the last sync is short.
const SYNC_EVERY: u64 = 4 << 20;

/// A whole content, ready to be stored.
#[derive(Debug)]
pub struct Content {
    pub(crate) size: u64,
    pub(crate) header_8bit: bool,
    pub(crate) content_8bit: bool,
    pub(crate) place: Place,
}

/// Where a content is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory(Bytes),
    File(Arc<ContentFile>),
}

impl Content {
    /// Octets.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The header block holds octets above 127.
    pub fn header_8bit(&self) -> bool {
        self.header_8bit
    }

    /// Header or body holds octets above 127.
    pub fn content_8bit(&self) -> bool {
        self.content_8bit
    }
}

impl From<Bytes> for Content {
    fn from(content: Bytes) -> Content {
        let mut header = HeaderScan::default();
        header.scan(&content);
        Content {
            size: content.len() as u64,
            header_8bit: header.has_8bit(),
            content_8bit: !content.is_ascii(),
            place: Place::Memory(content),
        }
    }
}

/// Takes a content piece by piece.
#[derive(Debug)]
pub struct ContentWriter {
    paths: Arc<Paths>,
    message: MessageId,
    window: Vec<u8>,
    size: u64,
    header: HeaderScan,
    content_8bit: bool,
    output: Option<Output>,
    /// None from the first window on that went to the file.
    expected: Option<Expected>,
}

/// The file of a large content. Moves to a blocking thread and back for each window.
#[derive(Debug)]
struct Output {
    guard: ContentFile,
    file: File,
    path: PathBuf,
    unsynced: u64,
}

impl ContentWriter {
    pub(crate) fn new(paths: Arc<Paths>, message: MessageId, expected: Option<Expected>) -> Self {
        ContentWriter {
            paths,
            message,
            window: Vec::new(),
            size: 0,
            header: HeaderScan::default(),
            content_8bit: false,
            output: None,
            expected,
        }
    }

    /// Octets so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// The content's file cannot be written; the writer is of no more use.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), Error> {
        self.write(&piece).await
    }

    /// Adds a piece; see [`push`](Self::push).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn write(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        self.header.scan(piece);
        self.content_8bit = self.content_8bit || !piece.is_ascii();
        self.size += piece.len() as u64;
        while self.window.len() + piece.len() > CONTENT_IN_ROW_MAX {
            let (fits, rest) = piece.split_at(CONTENT_IN_ROW_MAX - self.window.len());
            self.window.extend_from_slice(fits);
            piece = rest;
            self.flush().await?;
        }
        self.window.extend_from_slice(piece);
        Ok(())
    }

    /// Ends the content.
    ///
    /// # Errors
    /// The content's file cannot be written or synced.
    pub async fn finish(mut self) -> Result<Content, Error> {
        let place = if self.output.is_none() {
            // Growing doubled the capacity; what waits in memory should not cost double.
            let mut window = std::mem::take(&mut self.window);
            if window.capacity() > window.len() + window.len() / 4 {
                window.shrink_to_fit();
            }
            Place::Memory(window.into())
        } else {
            self.flush().await?;
            Place::File(Arc::new(self.sync().await?))
        };
        Ok(Content {
            size: self.size,
            header_8bit: self.header.has_8bit(),
            content_8bit: self.content_8bit,
            place,
        })
    }

    /// Writes the window to the file, which is created with the first one.
    async fn flush(&mut self) -> Result<(), Error> {
        self.expected = None;
        let (output, window) = (self.output.take(), std::mem::take(&mut self.window));
        let (paths, message) = (self.paths.clone(), self.message);
        let written = blocking(move || {
            let mut output = output.map_or_else(|| Output::create(paths.content(message)), Ok)?;
            output.write(&window)?;
            let mut window = window;
            window.clear();
            Ok((output, window))
        })
        .await;
        let (output, window) = written?;
        (self.output, self.window) = (Some(output), window);
        Ok(())
    }

    async fn sync(&mut self) -> Result<ContentFile, Error> {
        let Some(output) = self.output.take() else {
            return Err(Error::Closed);
        };
        let paths = self.paths.clone();
        blocking(move || {
            let Output {
                guard, file, path, ..
            } = output;
            file.sync_all().map_err(|e| Error::io("sync", &path, e))?;
            sync_dir(&paths.content_dir)?;
            Ok(guard)
        })
        .await
    }
}

impl Output {
    fn create(path: PathBuf) -> Result<Output, Error> {
        let (guard, file) = ContentFile::create(path.clone())?;
        Ok(Output {
            guard,
            file,
            path,
            unsynced: 0,
        })
    }

    fn write(&mut self, window: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(window)
            .map_err(|e| Error::io("write", &self.path, e))?;
        self.unsynced += window.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.file
                .sync_data()
                .map_err(|e| Error::io("sync", &self.path, e))?;
        }
        Ok(())
    }
}

/// Runs file work on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(Error::Closed))
}

#[cfg(test)]
mod tests;
