//! Bodies that come and go piece by piece.
//!
//! # Contract
//! * **A body that breaks off is an error to who reads it**, never an end.
//! * **What nobody wants to read is read all the same**, up to [`IMPORT_MAX`], so that the client hears the answer.

use std::{
    future::poll_fn,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use remuda_directory::{
    Directory,
    bulk::{self, Export},
    store::StoreError,
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::problem::Problem;

/// Octets of an imported file.
pub const IMPORT_MAX: u64 = 4 << 30;
/// Pieces that wait for their reader.
const PIECES_MAX: usize = 8;

/// A piece of a file; None: that was all.
type Piece = io::Result<Option<Bytes>>;

/// A body for a thread to read. What is answered first moves it there.
pub fn read(body: Body) -> (impl Future<Output = ()>, impl Read + Send + 'static) {
    let (send, pieces) = mpsc::channel(PIECES_MAX);
    let file = File {
        pieces,
        rest: Bytes::new(),
        is_over: false,
    };
    (pump(body, send), file)
}

async fn pump(mut body: Body, to: mpsc::Sender<Piece>) {
    let mut so_far = 0;
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let piece: Piece = match frame {
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(None),
        };
        so_far += piece
            .as_ref()
            .map_or(0, |piece| piece.as_ref().map_or(0, Bytes::len)) as u64;
        let piece = match so_far > IMPORT_MAX {
            true => Err(io::Error::other("longer than 4 GiB")),
            false => piece,
        };
        let is_last = !matches!(piece, Ok(Some(_)));
        // Who does not read on has an answer already.
        drop(to.send(piece).await);
        if is_last {
            return;
        }
    }
}

struct File {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    is_over: bool,
}

impl Read for File {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.is_over {
            match self.pieces.blocking_recv() {
                Some(Ok(Some(piece))) => self.rest = piece,
                Some(Ok(None)) => self.is_over = true,
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = self.rest.len().min(into.len());
        into[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

/// A file that is being written.
pub struct Written {
    first: Option<Vec<u8>>,
    pieces: mpsc::Receiver<Vec<u8>>,
    /// None: it has ended.
    writing: Option<JoinHandle<Result<bulk::Written, StoreError>>>,
}

impl Written {
    /// Begins to write; a database that does not answer is told before anything is sent.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin(directory: Directory, how: Export) -> Result<Written, Problem> {
        let (send, mut pieces) = mpsc::channel(PIECES_MAX);
        let writing = tokio::spawn(async move { directory.export_to(how, send).await });
        let first = pieces.recv().await;
        let writing = match first {
            Some(_) => Some(writing),
            None => {
                ended(writing.await)?;
                None
            }
        };
        Ok(Written {
            first,
            pieces,
            writing,
        })
    }
}

impl HttpBody for Written {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        match self.pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
            Poll::Ready(None) => {
                let Some(writing) = &mut self.writing else {
                    return Poll::Ready(None);
                };
                let end = std::task::ready!(Pin::new(writing).poll(context));
                self.writing = None;
                Poll::Ready(ended(end).err().map(Err))
            }
        }
    }
}

fn ended(end: Result<Result<bulk::Written, StoreError>, tokio::task::JoinError>) -> Result<(), StoreError> {
    match end {
        Ok(written) => written.map(drop),
        Err(panicked) => Err(StoreError::Query(panicked.to_string())),
    }
}
