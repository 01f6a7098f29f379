//! Measures the spool alone: store, read back, settle; messages a second and CPU a message.
//!
//! `cargo run --release -p remuda-spool --example spool_bench -- [MESSAGES] [OCTETS] [TASKS] [DIR]`

use std::{path::Path, time::Duration};

use bytes::Bytes;
use remuda_clock::{SharedClock, SystemClock};
use remuda_mail::{Destination, Envelope, MessageId, Recipient, Sender};
use remuda_spool::{Content, Error, NewEntry, NewMessage, Options, Origin, Settlement, Spool};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (messages, octets, tasks) = (number(100_000), number(4096), number(64));
    let place = std::env::args().nth(4).unwrap_or_else(|| ".".into());
    let dir = Path::new(&place).join(format!("spool-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|_| Error::Closed)?;
    let result = runtime.block_on(run(&dir, messages, octets, tasks));
    let _ = std::fs::remove_dir_all(&dir);
    result
}

async fn run(dir: &Path, messages: usize, octets: usize, tasks: usize) -> Result<(), Error> {
    let clock = SystemClock::shared();
    let spool = Spool::open(Options::new(dir), clock.clone())?;
    let (began, cpu) = (clock.now().monotonic, cpu_time());
    let handles: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(work(spool.clone(), clock.clone(), task, messages / tasks, octets)))
        .collect();
    for handle in handles {
        handle.await.map_err(|_| Error::Closed)??;
    }
    let (took, cpu) = (clock.now().monotonic - began, cpu_time() - cpu);
    let commits = spool.metrics().commits.get();
    println!(
        "{messages} messages of {octets} octets, {tasks} tasks: {:.0} msg/s, {:.1} us CPU a message, \
         {:.3} commits a message",
        messages as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / messages as f64,
        commits as f64 / messages as f64,
    );
    spool.close().await;
    Ok(())
}

async fn work(
    spool: Spool,
    clock: SharedClock,
    task: usize,
    messages: usize,
    octets: usize,
) -> Result<(), Error> {
    let content = Bytes::from(vec![b'x'; octets]);
    for n in 0..messages {
        let stored = spool.store(message(&spool, &clock, task, n, &content)).await?;
        let mut reader = spool.content(stored[0].message).await?;
        while reader.next().await?.is_some() {}
        drop(spool.settle(done(stored[0].id, stored[0].message)));
    }
    Ok(())
}

fn message(
    spool: &Spool,
    clock: &SharedClock,
    task: usize,
    n: usize,
    content: &Bytes,
) -> NewMessage<Content> {
    let now = clock.now().wall;
    let domain = format!("d{}.test", n % 50);
    let address = |local: &str| format!("{local}{task}@{domain}").parse().expect("an address");
    NewMessage {
        id: spool.allocate_id(),
        envelope: Envelope {
            sender: Sender(Some(address("sender"))),
            ..Envelope::default()
        },
        origin: Origin {
            client: "192.0.2.1".into(),
            helo: "client.example.test".into(),
            protocol: "ESMTP".into(),
        },
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

fn done(entry: remuda_mail::EntryId, message: MessageId) -> Settlement {
    Settlement {
        entry,
        message,
        left: Vec::new(),
        due: remuda_clock::Wall::NEVER,
        attempt: None,
        reports: Vec::new(),
    }
}

/// CPU time of the process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
