//! Contents that are read though their messages are gone.

use remuda_testing::wait::wait_until_async;

use super::*;
use crate::{CONTENT_IN_ROW_MAX, Selection};

const SIZES: [usize; 2] = [100, CONTENT_IN_ROW_MAX + 1];

impl Fixture {
    /// A message with a content of this size, for two destinations.
    async fn store_octets(&self, size: usize) -> (Vec<Queued>, Vec<u8>) {
        let id = self.spool.allocate_id();
        let content = vec![b'a'; size];
        let mut writer = self.spool.writer(id, None);
        writer.write(&content).await.unwrap();
        let content_of = writer.finish().await.unwrap();
        let message = NewMessage {
            id,
            ..self.message_with(&[("a.test", &["x"]), ("b.test", &["y"])], content_of)
        };
        (self.spool.store(message).await.unwrap(), content)
    }

    async fn is_gone(&self, message: MessageId) {
        assert!(matches!(self.read(message).await, Err(Error::Missing { .. })));
        assert!(!self.spool.shared.claims.is_claimed(message));
        wait_until_async("its file is removed", async || self.content_files() == 0).await;
    }
}

#[tokio::test]
async fn a_claimed_content_can_be_read_until_the_claim_is_dropped() {
    for size in SIZES {
        let fixture = Fixture::new();
        let (stored, content) = fixture.store_octets(size).await;
        let message = stored[0].message;
        let claim = fixture.spool.claim(message);
        fixture.spool.delete(Selection::All, Wall(1000)).await.unwrap();
        assert_eq!(fixture.spool.backlog().await.unwrap(), []);
        for _ in 0..2 {
            assert!(fixture.read(message).await.unwrap() == content, "{size}");
        }
        drop(claim);
        fixture.is_gone(message).await;
    }
}

#[tokio::test]
async fn what_is_claimed_last_goes_last() {
    for size in SIZES {
        let fixture = Fixture::new();
        let (stored, content) = fixture.store_octets(size).await;
        let message = stored[0].message;
        let claims = [fixture.spool.claim(message), fixture.spool.claim(message)];
        let [first, last] = claims;
        // One entry is deleted in flight, and the other's end takes the message with it.
        let which = Selection::Destination(stored[0].destination.clone());
        fixture.spool.delete(which, Wall(1000)).await.unwrap();
        drop(first);
        fixture.spool.settle(done(&stored[1])).await.unwrap();
        assert!(fixture.read(message).await.unwrap() == content, "{size}");
        drop(last);
        fixture.is_gone(message).await;
    }
}

#[tokio::test]
async fn a_claim_costs_nothing_until_its_message_is_deleted() {
    for size in SIZES {
        let fixture = Fixture::new();
        let (stored, content) = fixture.store_octets(size).await;
        let message = stored[0].message;
        drop(fixture.spool.claim(message));
        assert!(fixture.read(message).await.unwrap() == content, "{size}");
        let path = fixture.spool.shared.paths.content(message);
        let claim = fixture.spool.claim(message);
        let found = fixture.spool.shared.claims.find(message, &path);
        let is_copied = matches!(found, Some(crate::content::Source::Memory(_)));
        assert!(!is_copied, "{size}");
        drop(claim);
        // A crash between the deletion and the last word leaves a file, which the next start removes.
        let claim = fixture.spool.claim(message);
        fixture.spool.delete(Selection::All, Wall(1000)).await.unwrap();
        let fixture = fixture.reopened().await;
        assert_eq!(fixture.content_files(), 0);
        drop(claim);
    }
}
