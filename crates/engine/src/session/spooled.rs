//! Contents from the spool.

use bytes::Bytes;
use remuda_mail::MessageId;
use remuda_spool::{ContentReader, Error, Spool};

use super::content::{Boxed, Content, ContentSource, Unreadable};

impl ContentSource for Spool {
    fn content(&self, message: MessageId) -> Boxed<'_, Result<Box<dyn Content>, Unreadable>> {
        Box::pin(async move {
            let reader = Spool::content(self, message).await.map_err(unreadable)?;
            Ok(Box::new(reader) as Box<dyn Content>)
        })
    }
}

impl Content for ContentReader {
    fn size(&self) -> u64 {
        ContentReader::size(self)
    }

    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Unreadable>> {
        Box::pin(async move { ContentReader::next(self).await.map_err(unreadable) })
    }
}

fn unreadable(error: Error) -> Unreadable {
    Unreadable(error.to_string())
}
