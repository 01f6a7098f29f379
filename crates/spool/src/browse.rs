//! What an operator reads: a page of the queue, one message, the summary by age.
//!
//! # Contract
//! * **A page is bounded** by its limit and goes on behind the last entry of the page before.
//! * **Fast with a million entries**: destination, sender, hold and deferral are each found by an index;
//!   the summary reads one index and no row.

use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId, Envelope, MessageId};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::{
    Attempt, Error, Origin, Queued, State,
    codec::{self, BEHIND_QUEUED, QUEUED, key},
};

/// Which entries to list; None = any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only for this destination.
    pub destination: Option<Destination>,
    /// Only from this sender, as written; empty = the null sender.
    pub sender: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only those that were tried before, or only those that were not.
    pub deferred: Option<bool>,
    /// How many at most.
    pub limit: usize,
    /// Only behind this entry.
    pub after: Option<EntryId>,
}

/// An entry on a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The entry.
    pub queued: Queued,
    /// Its last attempt.
    pub last: Option<Attempt>,
}

/// A message, as an operator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Sender and parameters.
    pub envelope: Envelope,
    /// Where it came from.
    pub origin: Origin,
    /// Octets of content.
    pub size: u64,
    /// When it came.
    pub arrived: Wall,
    /// When to give up.
    pub expires: Wall,
    /// What is left of it, by destination.
    pub entries: Vec<ShownEntry>,
}

/// One entry of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownEntry {
    /// The entry.
    pub queued: Queued,
    /// Its last attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// Upper ends of the age buckets in minutes, as qshape has them; the last bucket is open.
pub const AGE_BUCKETS: [u64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
/// Destinations in a summary.
const SUMMARY_ROWS_MAX: usize = 1000;

/// How old a destination's entries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeRow {
    /// Which.
    pub destination: Destination,
    /// Entries in all, held ones included.
    pub total: u64,
    /// Entries by [`AGE_BUCKETS`], and older.
    pub counts: [u64; AGE_BUCKETS.len() + 1],
}

pub(crate) fn list(db: &Connection, filter: &Filter) -> Result<Vec<Listed>, Error> {
    let (sql, values) = list_statement(filter);
    let mut statement = db.prepare(&sql)?;
    let values = values.iter().map(|value| &**value).collect::<Vec<_>>();
    let mut rows = statement.query(&values[..])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(queued) = codec::queued(row)? {
            let log = row
                .get_ref(BEHIND_QUEUED)?
                .as_str()
                .map_err(rusqlite::Error::from)?;
            let last = codec::attempts(queued.id, log).pop();
            page.push(Listed { queued, last });
        }
    }
    Ok(page)
}

/// The statement for a filter. The narrowest index is named, because statistics would say nothing of the
/// value asked for; ids are found in the index first, so that no row is read to be thrown away by order.
fn list_statement(filter: &Filter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut conditions = vec!["e.id > ?"];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(key(filter.after.map_or(0, |entry| entry.0)))];
    let mut source = "entry e NOT INDEXED JOIN message m ON m.id = e.message";
    match filter.state {
        Some(State::Held) => {
            source = "entry e INDEXED BY entry_held JOIN message m ON m.id = e.message";
            conditions.push("e.state = 1");
        }
        Some(State::Waiting) => conditions.push("e.state = 0"),
        None => {}
    }
    match filter.deferred {
        Some(true) => {
            if filter.state != Some(State::Held) {
                source = "entry e INDEXED BY entry_deferred JOIN message m ON m.id = e.message";
            }
            conditions.push("e.attempts > 0");
        }
        Some(false) => conditions.push("e.attempts = 0"),
        None => {}
    }
    if let Some(sender) = &filter.sender {
        // Both ways from a message to its entries; `CROSS` keeps the order of the join.
        source = "message m INDEXED BY message_sender CROSS JOIN entry e \
                  ON e.id IN (SELECT m.id UNION ALL SELECT f.id FROM entry f INDEXED BY entry_further \
                  WHERE f.message = m.id AND f.id <> f.message) AND e.message = m.id";
        conditions.push("m.sender = ?");
        values.push(Box::new(sender.clone()));
    }
    if let Some(destination) = &filter.destination {
        if filter.sender.is_none() {
            source = "entry e INDEXED BY entry_due JOIN message m ON m.id = e.message";
        }
        conditions.push("e.destination = ?");
        values.push(Box::new(destination.as_str().to_owned()));
    }
    values.push(Box::new(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    let sql = format!(
        "SELECT {QUEUED}, e.log FROM {source} WHERE {} ORDER BY e.id LIMIT ?",
        conditions.join(" AND ")
    );
    (sql, values)
}

pub(crate) fn show(db: &mut Connection, message: MessageId) -> Result<Option<Shown>, Error> {
    // One snapshot for both statements.
    let db = db.transaction()?;
    let head = db
        .prepare_cached("SELECT envelope, origin, size, arrived, expires FROM message WHERE id = ?")?
        .query_row([key(message.0)], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .optional()?;
    let Some((envelope, origin, size, arrived, expires)) = head else {
        return Ok(None);
    };
    let entry = EntryId(message.0);
    let (Some(envelope), Some(origin)) = (codec::parse(entry, &envelope), codec::parse(entry, &origin))
    else {
        let found = format!("message {message} cannot be read");
        return Err(Error::Damaged {
            path: crate::files::DATABASE.into(),
            found,
        });
    };
    Ok(Some(Shown {
        envelope,
        origin,
        size: size.unsigned_abs(),
        arrived: Wall(arrived),
        expires: Wall(expires),
        entries: entries(&db, message)?,
    }))
}

fn entries(db: &Connection, message: MessageId) -> Result<Vec<ShownEntry>, Error> {
    let from = format!("SELECT {QUEUED}, e.log FROM entry e JOIN message m ON m.id = e.message");
    let sql = format!(
        "{from} WHERE e.id = ?1 AND e.message = ?1
         UNION ALL {from} WHERE e.message = ?1 AND e.id <> e.message ORDER BY 1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key(message.0)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(queued) = codec::queued(row)? {
            let log = row
                .get_ref(BEHIND_QUEUED)?
                .as_str()
                .map_err(rusqlite::Error::from)?;
            let attempts = codec::attempts(queued.id, log);
            entries.push(ShownEntry { queued, attempts });
        }
    }
    Ok(entries)
}

pub(crate) fn summary(db: &Connection, now: Wall) -> Result<Vec<AgeRow>, Error> {
    let mut statement = db.prepare("SELECT destination, arrived FROM entry INDEXED BY entry_due")?;
    let mut rows = statement.query([])?;
    let mut table: Vec<AgeRow> = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        // The index is in order of destination.
        if table.last().is_none_or(|last| last.destination.as_str() != name) {
            table.push(AgeRow {
                destination: Destination::from_key(name),
                total: 0,
                counts: [0; AGE_BUCKETS.len() + 1],
            });
        }
        let minutes = now.since(Wall(row.get(1)?)).as_secs() / 60;
        if let Some(last) = table.last_mut() {
            last.total += 1;
            last.counts[AGE_BUCKETS.partition_point(|end| *end <= minutes)] += 1;
        }
    }
    table.sort_by(|a, b| {
        b.total
            .cmp(&a.total)
            .then_with(|| a.destination.cmp(&b.destination))
    });
    table.truncate(SUMMARY_ROWS_MAX);
    Ok(table)
}

/// How SQLite would find what a filter asks for.
#[cfg(test)]
pub(crate) fn plan(db: &Connection, filter: &Filter) -> Vec<String> {
    let (sql, values) = list_statement(filter);
    let mut statement = db
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("a statement");
    let values = values.iter().map(|value| &**value).collect::<Vec<_>>();
    let rows = statement
        .query_map(&values[..], |row| row.get(3))
        .expect("a plan");
    rows.collect::<Result<_, _>>().expect("lines")
}
