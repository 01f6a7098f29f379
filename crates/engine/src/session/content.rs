//! Where sessions get a message's content from.
//!
//! # Contract
//! * **One block at a time** is in the session's hands, of at most [`BLOCK_MAX`] octets.
//! * **What was announced is what is sent**: a content of another size than the order's is an error, and
//!   its end is never sent.

use std::{future::Future, pin::Pin};

use bytes::{Bytes, BytesMut};
use remuda_mail::MessageId;

/// Octets given to the wire at once.
pub const BLOCK_MAX: usize = 64 << 10;

/// A future in a box.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Content cannot be had; why, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Finds contents.
pub trait ContentSource: Send + Sync + 'static {
    /// Opens the content of a message.
    fn content(&self, message: MessageId) -> Boxed<'_, Result<Box<dyn Content>, Unreadable>>;
}

/// A content being read.
pub trait Content: Send {
    /// Octets altogether.
    fn size(&self) -> u64;

    /// The next piece, not empty; None at the end.
    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Unreadable>>;
}

/// The blocks of one content.
pub(super) struct Blocks {
    content: Box<dyn Content>,
    piece: Bytes,
    left: u64,
}

impl Blocks {
    /// Opens a content of `size` octets and reads its first piece.
    pub(super) async fn open(
        source: &dyn ContentSource,
        message: MessageId,
        size: u64,
    ) -> Result<Self, Unreadable> {
        let content = source.content(message).await?;
        if content.size() != size {
            let found = content.size();
            return Err(Unreadable(format!("content has {found} octets and not {size}")));
        }
        let mut blocks = Blocks {
            content,
            piece: Bytes::new(),
            left: size,
        };
        blocks.fill().await?;
        Ok(blocks)
    }

    /// The whole content, which [`next`](Self::next) gives all the same. For contents that memory has room
    /// for several times.
    pub(super) async fn whole(&mut self) -> Result<Bytes, Unreadable> {
        let size = self.left;
        if self.piece.len() as u64 != size {
            let mut whole = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
            while let Some(block) = self.next().await? {
                whole.extend_from_slice(&block);
            }
            (self.piece, self.left) = (whole.freeze(), size);
        }
        Ok(self.piece.clone())
    }

    /// The next block; None at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Unreadable> {
        self.fill().await?;
        let block = self.piece.split_to(self.piece.len().min(BLOCK_MAX));
        self.left = self
            .left
            .checked_sub(block.len() as u64)
            .ok_or_else(|| Unreadable("content is longer than its message".into()))?;
        Ok(Some(block).filter(|block| !block.is_empty()))
    }

    /// Answers whether every octet was given out.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0 && self.piece.is_empty()
    }

    async fn fill(&mut self) -> Result<(), Unreadable> {
        if !self.piece.is_empty() || self.left == 0 {
            return Ok(());
        }
        match self.content.next().await? {
            Some(piece) => self.piece = piece,
            None => return Err(Unreadable("content is shorter than its message".into())),
        }
        Ok(())
    }
}
