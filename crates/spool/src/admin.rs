//! The operator's verbs: hold, release, retry, delete.
//!
//! # Contract
//! * **Nobody waits for a big one**: a verb over many entries goes in steps of [`STEP`], each in a commit
//!   with whatever else waits. It is not atomic; a second call finishes what a first one did not.
//! * **Entries that come while a verb runs are left alone**: it ends at the youngest entry of its start.
//! * **Retry leaves held entries held**; release makes them due.

use std::collections::HashSet;

use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId, MessageId};
use rusqlite::{Connection, Row, named_params};

use crate::{
    Error, State,
    apply::{Effects, delete_entry},
    codec::{self, key},
};

/// Entries changed in one commit.
pub(crate) const STEP: usize = 1000;

/// Which entries a verb is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of a message.
    Message(MessageId),
    /// All of a destination.
    Destination(Destination),
    /// All.
    All,
}

/// An entry that a verb has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub entry: EntryId,
    /// Of which message.
    pub message: MessageId,
    /// Where it is scheduled.
    pub destination: Destination,
    /// Its state before.
    pub was: State,
    /// Its state now; meaningless after a delete.
    pub state: State,
    /// Its due time now.
    pub due: Wall,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// [`Spool::hold`](crate::Spool::hold).
    Hold,
    /// [`Spool::release`](crate::Spool::release).
    Release,
    /// [`Spool::retry`](crate::Spool::retry).
    Retry,
    /// [`Spool::delete`](crate::Spool::delete).
    Delete,
}

/// A verb on its way through the entries.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    pub(crate) verb: Verb,
    pub(crate) selection: Selection,
    pub(crate) now: Wall,
    /// Entries up to here are done, in the order of the selection's index where that is by id.
    pub(crate) after: i64,
    /// The youngest entry at the start.
    pub(crate) last: i64,
}

impl Sweep {
    /// Does one step. Fewer than [`STEP`] changes: it was the last.
    pub(crate) fn step(&self, db: &Connection, effects: &mut Effects) -> Result<Vec<Changed>, Error> {
        let mut changed = self.select(db)?;
        let mut names = HashSet::new();
        for entry in &mut changed {
            share_name(&mut names, &mut entry.destination);
            self.apply(db, entry, effects)?;
        }
        Ok(changed)
    }

    fn select(&self, db: &Connection) -> Result<Vec<Changed>, Error> {
        let state = match self.verb {
            Verb::Hold => "AND state = 0",
            Verb::Release => "AND state = 1",
            Verb::Retry if matches!(self.selection, Selection::Message(_)) => "AND state = 0",
            Verb::Retry => "AND state = 0 AND due > :now",
            Verb::Delete => "",
        };
        // What a destination's step has changed no longer matches, or is gone; by id the cursor moves.
        let which = match &self.selection {
            Selection::Message(_) => {
                "NOT INDEXED WHERE id > :after AND id IN (SELECT :which UNION ALL SELECT id FROM entry
                 WHERE message = :which AND id <> message)"
            }
            Selection::Destination(_) => {
                "INDEXED BY entry_due WHERE destination = :which AND :after IS NOT NULL"
            }
            Selection::All => "NOT INDEXED WHERE id > :after AND :which IS NULL",
        };
        let order = match &self.selection {
            Selection::Destination(_) => "",
            _ => "ORDER BY id",
        };
        let sql = format!(
            "SELECT id, message, destination, state, due FROM entry {which} {state}
             AND id <= :last AND :now IS NOT NULL {order} LIMIT {STEP}"
        );
        let which: Box<dyn rusqlite::ToSql> = match &self.selection {
            Selection::Message(message) => Box::new(key(message.0)),
            Selection::Destination(destination) => Box::new(destination.as_str().to_owned()),
            Selection::All => Box::new(rusqlite::types::Null),
        };
        let mut statement = db.prepare_cached(&sql)?;
        let rows = statement.query_map(
            named_params! {":which": which, ":now": self.now.0, ":after": self.after, ":last": self.last},
            read,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn apply(&self, db: &Connection, entry: &mut Changed, effects: &mut Effects) -> Result<(), Error> {
        match self.verb {
            Verb::Delete => {
                delete_entry(db, entry.entry, entry.message, effects)?;
                return Ok(());
            }
            Verb::Hold => entry.state = State::Held,
            Verb::Release => {
                entry.state = State::Waiting;
                entry.due = entry.due.min(self.now);
            }
            Verb::Retry => entry.due = entry.due.min(self.now),
        }
        db.prepare_cached("UPDATE entry SET state = ?2, due = ?3 WHERE id = ?1")?
            .execute([key(entry.entry.0), codec::state_code(entry.state), entry.due.0])?;
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Changed> {
    let state = codec::state(row.get(3)?);
    Ok(Changed {
        entry: codec::entry_id(row.get(0)?),
        message: codec::message_id(row.get(1)?),
        destination: Destination::from_key(row.get_ref(2)?.as_str()?),
        was: state,
        state,
        due: Wall(row.get(4)?),
    })
}

/// A million entries of one destination share its name.
fn share_name(names: &mut HashSet<Destination>, name: &mut Destination) {
    match names.get(name) {
        Some(known) => *name = known.clone(),
        None => drop(names.insert(name.clone())),
    }
}
