//! Fills a spool with deferred messages and measures what a start and an operator then wait for.
//!
//! `cargo run --release -p remuda-spool --example fill -- DIR [MESSAGES] [DESTINATIONS] [OCTETS]`
//! A spool that has messages already is only measured.

use std::time::Duration;

use bytes::Bytes;
use remuda_clock::{SharedClock, SystemClock, Wall};
use remuda_mail::{Destination, EnhancedStatus, Envelope, Recipient, Refusal, Sender};
use remuda_spool::{
    Attempt, Content, Error, Filter, NewEntry, NewMessage, Options, Origin, Pending, Settlement, Spool,
};

/// Messages in hand at a time.
const AT_ONCE: usize = 500;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(dir) = arguments.first() else {
        eprintln!("usage: fill DIR [MESSAGES] [DESTINATIONS] [OCTETS]");
        return Ok(());
    };
    let number =
        |at: usize, default: usize| arguments.get(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (messages, destinations, octets) = (number(1, 1_000_000), number(2, 1000), number(3, 2048));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|_| Error::Closed)?;
    runtime.block_on(async {
        let clock = SystemClock::shared();
        let options = Options {
            queue_memory: 0,
            ..Options::new(dir)
        };
        let began = clock.now().monotonic;
        let spool = Spool::open(options.clone(), clock.clone())?;
        let mut backlog = spool.backlog().await?;
        println!("open and backlog: {:?}", clock.now().monotonic - began);
        if backlog.is_empty() {
            fill(&spool, &clock, messages, destinations, octets).await?;
            println!("filled with {messages}: {:?}", clock.now().monotonic - began);
            spool.close().await;
            let began = clock.now().monotonic;
            let spool = Spool::open(options, clock.clone())?;
            println!("open: {:?}", clock.now().monotonic - began);
            backlog = spool.backlog().await?;
            println!("open and backlog: {:?}", clock.now().monotonic - began);
            return measure(&spool, &clock, &backlog[0].destination).await;
        }
        measure(&spool, &clock, &backlog[0].destination).await
    })
}

async fn fill(
    spool: &Spool,
    clock: &SharedClock,
    messages: usize,
    destinations: usize,
    octets: usize,
) -> Result<(), Error> {
    let content = Bytes::from(vec![b'x'; octets]);
    let mut deferrals = Vec::new();
    for from in (0..messages).step_by(AT_ONCE) {
        let mut stores = Vec::new();
        for n in from..messages.min(from + AT_ONCE) {
            let (spool, message) = (spool.clone(), message(spool, clock, n, destinations, &content));
            stores.push(tokio::spawn(async move { spool.store(message).await }));
        }
        for store in stores {
            for queued in store.await.map_err(|_| Error::Closed)?? {
                deferrals.push(spool.settle(deferral(&queued)));
            }
        }
        for deferral in deferrals.drain(..) {
            deferral.await?;
        }
    }
    spool.close().await;
    Ok(())
}

fn message(
    spool: &Spool,
    clock: &SharedClock,
    n: usize,
    destinations: usize,
    content: &Bytes,
) -> NewMessage<Content> {
    let now = clock.now().wall;
    let domain = format!("domain{}.example.test", n % destinations);
    let address = |local: &str| format!("{local}@{domain}").parse().expect("an address");
    NewMessage {
        id: spool.allocate_id(),
        envelope: Envelope {
            sender: Sender(Some(
                format!("s{}@sender.test", n % 20).parse().expect("an address"),
            )),
            ..Envelope::default()
        },
        origin: Origin::default(),
        arrived: now,
        expires: now + Duration::from_secs(5 * 86_400),
        notice: now + Duration::from_secs(4 * 3600),
        content: Content::from(content.clone()),
        entries: vec![NewEntry {
            destination: Destination::from_key(&domain),
            recipients: vec![Recipient::plain(address("user"))],
        }],
    }
}

fn deferral(queued: &remuda_spool::Queued) -> Settlement {
    let refusal = Refusal::ours(EnhancedStatus::new(4, 4, 1), "connection refused");
    Settlement {
        entry: queued.id,
        message: queued.message,
        left: queued
            .recipients
            .iter()
            .map(|pending| Pending {
                last: Some(refusal.clone()),
                ..pending.clone()
            })
            .collect(),
        due: queued.due + Duration::from_secs(300),
        attempt: Some(Attempt {
            at: queued.due.0,
            relay: "mx.example.test[192.0.2.1]:25".into(),
            result: "450 4.2.0 try again later".into(),
            ..Attempt::default()
        }),
        reports: Vec::new(),
    }
}

async fn measure(spool: &Spool, clock: &SharedClock, destination: &Destination) -> Result<(), Error> {
    let any = Filter {
        limit: 100,
        ..Filter::default()
    };
    let destination = Some(destination.clone());
    let sender = Some("s7@sender.test".to_owned());
    let timed = |began| clock.now().monotonic - began;
    let began = clock.now().monotonic;
    let first = destination.clone().unwrap_or_else(|| Destination::from_key(""));
    let heads = spool.heads(&first, Wall::NEVER, 100).await?.entries.len();
    println!("heads ({heads}): {:?}", timed(began));
    let began = clock.now().monotonic;
    spool.summary(clock.now().wall).await?;
    println!("summary: {:?}", timed(began));
    for (name, filter) in [
        ("all", any.clone()),
        (
            "destination",
            Filter {
                destination,
                ..any.clone()
            },
        ),
        (
            "sender",
            Filter {
                sender,
                ..any.clone()
            },
        ),
        (
            "deferred",
            Filter {
                deferred: Some(true),
                ..any.clone()
            },
        ),
        (
            "not deferred",
            Filter {
                deferred: Some(false),
                ..any.clone()
            },
        ),
        (
            "held",
            Filter {
                state: Some(remuda_spool::State::Held),
                ..any
            },
        ),
    ] {
        let began = clock.now().monotonic;
        let found = spool.list(filter).await?.len();
        println!("list {name} ({found}): {:?}", timed(began));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status
        .lines()
        .filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"))
    {
        println!("{line}");
    }
    spool.close().await;
    Ok(())
}
