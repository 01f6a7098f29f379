//! The change log as it is read: what the triggers have written, in order.

use rusqlite::{Connection, OptionalExtension as _, Row};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) id: i64,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
    version: i64,
}

/// The lines with these numbers, both included, in order.
pub(super) fn lines(db: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<Line>> {
    let sql = format!("{COLUMNS} WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq");
    db.prepare_cached(&sql)?.query_map([from, to], line)?.collect()
}

/// The last line, if there is any.
pub(super) fn last(db: &Connection) -> rusqlite::Result<Option<Line>> {
    let sql = format!("{COLUMNS} ORDER BY seq DESC LIMIT 1");
    db.prepare_cached(&sql)?.query_row([], line).optional()
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line {
        seq: row.get(0)?,
        kind: row.get(1)?,
        id: row.get(2)?,
        old: row.get(3)?,
        new: row.get(4)?,
        version: row.get(5)?,
    })
}

const COLUMNS: &str = "SELECT seq, kind, id, old_name, new_name, version FROM change_log";
