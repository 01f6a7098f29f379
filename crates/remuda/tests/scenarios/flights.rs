//! Round trips, counted at both ends.

use remuda_sink::Listener;

use crate::world::{World, arrived, message, receiver, route};

const MESSAGES: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_count_the_same_flights() {
    for (pipelining, chunking, flights) in [
        (true, true, 1),
        (true, false, 2),
        (false, true, 3),
        (false, false, 4),
    ] {
        let listener = Listener {
            pipelining,
            chunking,
            ..Listener::default()
        };
        let sink = receiver(listener).await;
        let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
        world
            .send_many(MESSAGES, 2, |_| message("a@source.test", "b@dest.test"))
            .await;
        arrived(&sink, MESSAGES).await;
        world.empty().await;
        let report = sink.report();
        assert_eq!(report.listeners[0].flights, MESSAGES * flights);
        let text = world.operations().metrics_text().await.unwrap();
        let line = format!("remuda_transaction_flights_total {}", MESSAGES * flights);
        assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
    }
}
