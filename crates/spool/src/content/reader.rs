//! A message's content on its way out.
//!
//! # Contract
//! * **Memory is bounded**: what is in a row comes whole (256 KiB, or a report of ours), a file in pieces
//!   of at most 64 KiB, read four at a time.
//! * **Deleting the message does not disturb its reader**: the file stays open.

use std::{fs::File, io::Read, path::PathBuf};

use bytes::Bytes;

use super::{CONTENT_IN_ROW_MAX, blocking};
use crate::Error;

/// Octets in one piece of a file.
const PIECE_MAX: usize = 64 << 10;

/// Gives a content piece by piece.
#[derive(Debug)]
pub struct ContentReader {
    size: u64,
    /// Of the file, not yet read.
    left: u64,
    window: Bytes,
    file: Option<(File, PathBuf)>,
}

/// Where a content was found.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    File(File, PathBuf, u64),
}

impl ContentReader {
    pub(crate) fn new(source: Source) -> Self {
        match source {
            Source::Memory(window) => ContentReader {
                size: window.len() as u64,
                left: 0,
                window,
                file: None,
            },
            Source::File(file, path, size) => ContentReader {
                size,
                left: size,
                window: Bytes::new(),
                file: Some((file, path)),
            },
        }
    }

    /// Octets altogether.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece; None at the end. Pieces are not empty.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than what was stored ([`Error::Damaged`]).
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.window.is_empty() && self.left > 0 {
            self.fill().await?;
        }
        if self.window.is_empty() {
            return Ok(None);
        }
        let piece_max = if self.file.is_some() {
            PIECE_MAX
        } else {
            usize::MAX
        };
        let length = self.window.len().min(piece_max);
        Ok(Some(self.window.split_to(length)))
    }

    async fn fill(&mut self) -> Result<(), Error> {
        let Some((mut file, path)) = self.file.take() else {
            return Err(Error::Closed);
        };
        let length = self.left.min(CONTENT_IN_ROW_MAX as u64);
        let read = blocking(move || {
            let mut window = Vec::with_capacity(length as usize);
            Read::by_ref(&mut file)
                .take(length)
                .read_to_end(&mut window)
                .map_err(|e| Error::io("read", &path, e))?;
            if (window.len() as u64) < length {
                let found = "it is shorter than its message".into();
                return Err(Error::Damaged { path, found });
            }
            Ok((window, file, path))
        });
        let (window, file, path) = read.await?;
        self.window = window.into();
        self.left -= length;
        self.file = Some((file, path));
        Ok(())
    }
}
