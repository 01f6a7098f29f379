//! What the worker was answered, and whether a spool agrees with it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use remuda_clock::SystemClock;
use remuda_mail::MessageId;
use remuda_spool::{Filter, Options, Spool};

use crate::worker;

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It was given to the spool, which has not answered.
    Storing,
    /// The spool has answered: it must be there.
    Stored,
    /// Its settlement was given to the spool: it may be there or not.
    Settling,
    /// The spool has answered: it must be gone.
    Settled,
    /// The spool has answered that it was not stored: it must not be there.
    Refused,
}

/// What the worker said, by message.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    stages: BTreeMap<MessageId, Stage>,
}

impl Ledger {
    /// Takes lines like `stored ID`; others are not ours.
    pub fn read(text: &str) -> Ledger {
        let mut ledger = Ledger::default();
        text.lines().for_each(|line| ledger.note(line));
        ledger
    }

    pub fn note(&mut self, line: &str) {
        let Some((word, id)) = line.split_once(' ') else {
            return;
        };
        let stage = match word {
            "storing" => Stage::Storing,
            "stored" => Stage::Stored,
            "settling" => Stage::Settling,
            "settled" => Stage::Settled,
            "refused" => Stage::Refused,
            _ => return,
        };
        if let Ok(id) = id.parse() {
            self.stages.insert(id, stage);
        }
    }

    pub fn count(&self, stage: Stage) -> usize {
        self.stages.values().filter(|found| **found == stage).count()
    }

    /// Opens the spool and compares.
    pub async fn check(&self, data_dir: &Path) -> Result<(), String> {
        let spool = Spool::open(Options::new(data_dir), SystemClock::shared())
            .map_err(|error| format!("does not open: {error}"))?;
        let checked = self.compare(&spool, data_dir).await;
        spool.close().await;
        checked?;
        integrity(&data_dir.join("spool.db"))
    }

    async fn compare(&self, spool: &Spool, data_dir: &Path) -> Result<(), String> {
        let filter = Filter {
            limit: usize::MAX,
            ..Filter::default()
        };
        let listed = spool.list(filter).await.map_err(|e| e.to_string())?;
        let mut entries: BTreeMap<MessageId, usize> = BTreeMap::new();
        for listed in listed {
            *entries.entry(listed.queued.message).or_default() += 1;
        }
        for (id, stage) in &self.stages {
            let is_there = entries.contains_key(id);
            match stage {
                Stage::Stored if !is_there => return Err(format!("{id} was answered and is lost")),
                Stage::Settled if is_there => return Err(format!("{id} was settled and is back")),
                Stage::Refused if is_there => return Err(format!("{id} was refused and is there")),
                _ => {}
            }
        }
        let mut files = 0;
        for (id, count) in entries {
            if !self.stages.contains_key(&id) {
                return Err(format!("{id} was never given"));
            }
            if count != worker::entries(id) && self.stages[&id] != Stage::Settling {
                return Err(format!("{id} has {count} entries"));
            }
            let content = read(spool, id).await.map_err(|e| format!("{id}: {e}"))?;
            if content != worker::content(id) {
                return Err(format!("{id} has changed"));
            }
            files += usize::from(content.len() > remuda_spool::CONTENT_IN_ROW_MAX);
        }
        let found = std::fs::read_dir(data_dir.join("spool")).unwrap().count();
        (found == files)
            .then_some(())
            .ok_or(format!("{found} content files for {files} large messages"))
    }
}

async fn read(spool: &Spool, id: MessageId) -> Result<Vec<u8>, remuda_spool::Error> {
    let mut reader = spool.content(id).await?;
    let mut content = Vec::new();
    while let Some(piece) = reader.next().await? {
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// SQLite's own opinion, and that no row is without its counterpart.
fn integrity(path: &Path) -> Result<(), String> {
    let db = rusqlite::Connection::open(path).map_err(|e| e.to_string())?;
    let ask = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0));
    for (sql, expected) in [
        ("PRAGMA integrity_check", "ok"),
        (
            "SELECT CAST(count(*) AS TEXT) FROM entry WHERE message NOT IN (SELECT id FROM message)",
            "0",
        ),
        (
            "SELECT CAST(count(*) AS TEXT) FROM content WHERE message NOT IN (SELECT id FROM message)",
            "0",
        ),
        (
            "SELECT CAST(count(*) AS TEXT) FROM message m
             WHERE entries <> (SELECT count(*) FROM entry e WHERE e.message = m.id)",
            "0",
        ),
    ] {
        let found = ask(sql).map_err(|e| e.to_string())?;
        if found != expected {
            return Err(format!("{sql}: {found}"));
        }
    }
    Ok(())
}

/// Where the worker's answers go.
pub type Say = Arc<dyn Fn(&str, MessageId) + Send + Sync>;
