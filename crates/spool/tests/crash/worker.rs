//! The worker: stores and settles messages under load, and says what it was answered.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use remuda_clock::{SystemClock, Wall};
use remuda_mail::{Destination, Envelope, MessageId, Recipient};
use remuda_spool::{Attempt, NewEntry, NewMessage, Options, Origin, Queued, Settlement, Spool};

use crate::{Dice, ledger::Say};

/// Makes this test binary a worker: its data directory.
pub const DATA: &str = "SPOOL_WORKER_DATA";
/// Where it says what it was answered; absent = standard output.
pub const ANSWERS: &str = "SPOOL_WORKER_ANSWERS";
/// How many messages each of its tasks stores in a round; absent = until it is killed.
pub const MESSAGES: &str = "SPOOL_WORKER_MESSAGES";

/// Tasks that store and settle at the same time.
const TASKS: usize = 8;

/// The content of a message, from its id.
pub fn content(id: MessageId) -> Vec<u8> {
    let mut dice = Dice(id.0);
    let size = match dice.below(40) {
        0 => 262_145 + dice.below(300_000),
        1..3 => dice.below(250_000),
        3..30 => 500 + dice.below(6_000),
        _ => dice.below(300),
    };
    let mut content = format!("X-Id: {id}\r\n\r\n").into_bytes();
    let seed = dice.roll().to_le_bytes();
    content.extend((0..size).map(|n| seed[(n % 8) as usize].wrapping_add((n / 8) as u8)));
    content
}

/// How many destinations a message goes to, from its id.
pub fn entries(id: MessageId) -> usize {
    if id.0.is_multiple_of(5) { 3 } else { 1 }
}

/// Stores one message.
pub async fn store(spool: &Spool, say: &Say) -> Result<Vec<Queued>, remuda_spool::Error> {
    store_as(spool, spool.allocate_id(), say).await
}

/// Stores one message whose content lies in its row, so that only the commit can fail.
pub async fn store_in_row(spool: &Spool, say: &Say) -> Result<Vec<Queued>, remuda_spool::Error> {
    let mut id = spool.allocate_id();
    while content(id).len() > remuda_spool::CONTENT_IN_ROW_MAX {
        id = spool.allocate_id();
    }
    store_as(spool, id, say).await
}

async fn store_as(spool: &Spool, id: MessageId, say: &Say) -> Result<Vec<Queued>, remuda_spool::Error> {
    say("storing", id);
    let stored = try_store(spool, id).await;
    say(if stored.is_ok() { "stored" } else { "refused" }, id);
    stored
}

async fn try_store(spool: &Spool, id: MessageId) -> Result<Vec<Queued>, remuda_spool::Error> {
    let mut writer = spool.writer(id, None);
    for piece in content(id).chunks(60_000) {
        writer.push(Bytes::copy_from_slice(piece)).await?;
    }
    let address = |n: usize| format!("u@d{n}.test").parse().unwrap();
    let message = NewMessage {
        id,
        envelope: Envelope::default(),
        origin: Origin::default(),
        arrived: Wall(1000),
        expires: Wall(2_000_000),
        notice: Wall(1_000_000),
        content: writer.finish().await?,
        entries: (0..entries(id))
            .map(|n| NewEntry {
                destination: Destination::from_key(&format!("d{n}.test")),
                recipients: vec![Recipient::plain(address(n))],
            })
            .collect(),
    };
    spool.store(message).await
}

/// Settles all entries of one message, some of them after a deferral.
pub async fn settle(spool: &Spool, stored: Vec<Queued>, say: &Say) {
    let message = stored[0].message;
    say("settling", message);
    for queued in stored {
        let mut settlement = Settlement {
            entry: queued.id,
            message,
            left: queued.recipients,
            due: Wall(5000),
            attempt: Some(Attempt {
                at: 1,
                relay: String::new(),
                result: "later".into(),
                ..Attempt::default()
            }),
            reports: Vec::new(),
        };
        if message.0.is_multiple_of(3) {
            let left = std::mem::take(&mut settlement.left);
            let deferral = Settlement { left, ..settlement };
            spool.settle(deferral).await.unwrap();
            settlement = done(queued.id, message);
        } else {
            settlement.left.clear();
        }
        spool.settle(settlement).await.unwrap();
    }
    say("settled", message);
}

fn done(entry: remuda_mail::EntryId, message: MessageId) -> Settlement {
    Settlement {
        entry,
        message,
        left: Vec::new(),
        due: Wall::NEVER,
        attempt: None,
        reports: Vec::new(),
    }
}

/// Says answers to a file or standard output, each in one write.
pub fn speaker(path: Option<PathBuf>) -> Say {
    let open = |path: PathBuf| OpenOptions::new().append(true).create(true).open(path).unwrap();
    let output: Mutex<Box<dyn Write + Send>> = match path {
        Some(path) => Mutex::new(Box::new(open(path))),
        None => Mutex::new(Box::new(std::io::stdout())),
    };
    Arc::new(move |word, id| {
        let line = format!("{word} {id}\n");
        let mut output = output.lock().unwrap();
        output.write_all(line.as_bytes()).unwrap();
        output.flush().unwrap();
    })
}

async fn load(spool: &Spool, say: &Say, messages: usize, seed: u64) {
    let tasks = (0..TASKS).map(|task| {
        let (spool, say) = (spool.clone(), say.clone());
        tokio::spawn(async move {
            let mut dice = Dice(seed + task as u64);
            let mut waiting: Vec<Vec<Queued>> = Vec::new();
            for _ in 0..messages {
                waiting.push(store(&spool, &say).await.unwrap());
                while waiting.len() > 3 || (!waiting.is_empty() && dice.below(3) == 0) {
                    let next = waiting.swap_remove(dice.below(waiting.len() as u64) as usize);
                    settle(&spool, next, &say).await;
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Runs as the worker when the environment says so; passes at once otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Some(data_dir) = std::env::var_os(DATA) else {
        return;
    };
    let say = speaker(std::env::var_os(ANSWERS).map(PathBuf::from));
    let messages = std::env::var(MESSAGES).ok().map(|text| text.parse().unwrap());
    for round in 0..messages.map_or(usize::MAX, |_| 2) {
        let spool = open(Path::new(&data_dir));
        load(&spool, &say, messages.unwrap_or(usize::MAX), round as u64 * 100).await;
        spool.close().await;
    }
}

pub fn open(data_dir: &Path) -> Spool {
    Spool::open(Options::new(data_dir), SystemClock::shared()).unwrap()
}
