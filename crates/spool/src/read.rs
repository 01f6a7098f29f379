//! What the scheduler reads: the heads of a destination, notices, the backlog.
//!
//! # Contract
//! * **Held entries are never offered.**
//! * **In order**: due entries by due time, then by age.
//! * **Bounded**: never more than the limit asked for, each found by an index.

use remuda_clock::Wall;
use remuda_mail::Destination;
use rusqlite::{Connection, params};

use crate::{
    Error, Queued, State,
    codec::{self, BEHIND_QUEUED, QUEUED},
};

/// The first due entries of a destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heads {
    /// Due entries in order.
    pub entries: Vec<Queued>,
    /// Due time of the first waiting entry that was not returned.
    pub next_due: Option<Wall>,
}

/// Entries that want attention though nothing was tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notices {
    /// Their notice time is past.
    pub due: Vec<Queued>,
    /// The notice time of the first that was not returned.
    pub next: Option<Wall>,
}

/// What the spool holds for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Which.
    pub destination: Destination,
    /// Entries that are not held.
    pub waiting: u64,
    /// Entries on hold.
    pub held: u64,
    /// The earliest due time among the waiting.
    pub due: Option<Wall>,
}

pub(crate) fn heads(
    db: &Connection,
    destination: &Destination,
    now: Wall,
    limit: usize,
) -> Result<Heads, Error> {
    let sql = format!(
        "SELECT {QUEUED} FROM entry e JOIN message m ON m.id = e.message
         WHERE e.destination = ? AND e.state = 0 ORDER BY e.due, e.id LIMIT ?"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![destination.as_str(), one_more(limit)])?;
    let (mut heads, mut count) = (Heads::default(), 0);
    while let Some(row) = rows.next()? {
        let due = Wall(row.get(4)?);
        if due > now || count == limit {
            heads.next_due = Some(due);
            break;
        }
        count += 1;
        heads.entries.extend(codec::queued(row)?);
    }
    Ok(heads)
}

pub(crate) fn notices(db: &Connection, now: Wall, limit: usize) -> Result<Notices, Error> {
    let sql = format!(
        "SELECT {QUEUED}, e.notice FROM entry e JOIN message m ON m.id = e.message
         WHERE e.state = 0 ORDER BY e.notice LIMIT ?"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([one_more(limit)])?;
    let (mut notices, mut count) = (Notices::default(), 0);
    while let Some(row) = rows.next()? {
        let notice = Wall(row.get(BEHIND_QUEUED)?);
        if notice > now || count == limit {
            notices.next = Some(notice);
            break;
        }
        count += 1;
        notices.due.extend(codec::queued(row)?);
    }
    Ok(notices)
}

pub(crate) fn backlog(db: &Connection) -> Result<Vec<Backlog>, Error> {
    let mut statement =
        db.prepare("SELECT destination, state, count(*), min(due) FROM entry GROUP BY destination, state")?;
    let mut rows = statement.query([])?;
    let mut backlog: Vec<Backlog> = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if backlog.last().is_none_or(|last| last.destination.as_str() != key) {
            backlog.push(Backlog {
                destination: Destination::from_key(key),
                waiting: 0,
                held: 0,
                due: None,
            });
        }
        let Some(last) = backlog.last_mut() else { continue };
        let count = row.get::<_, i64>(2)?.unsigned_abs();
        match codec::state(row.get(1)?) {
            State::Waiting => (last.waiting, last.due) = (count, Some(Wall(row.get(3)?))),
            State::Held => last.held = count,
        }
    }
    Ok(backlog)
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
