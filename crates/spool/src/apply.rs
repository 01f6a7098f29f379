//! What a store does to the rows, inside the writer's transaction.
//!
//! # Contract
//! * **Only rows change here.** What has to happen outside the database (fresh content, files) is noted
//!   in [`Effects`] and done by the writer after the commit, or never.

use std::sync::Arc;

use bytes::Bytes;
use remuda_mail::{EntryId, MessageId};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::{
    Error,
    claims::Claims,
    codec::{EntryRow, MessageRow, key},
    content::Place,
    files::ContentFile,
};

/// What follows a commit.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Content files to remove.
    pub(crate) unlink: Vec<MessageId>,
    /// Content files that have a row now.
    pub(crate) files: Vec<Arc<ContentFile>>,
    /// Content to keep in memory.
    pub(crate) fresh: Vec<(MessageId, Bytes)>,
    /// Messages whose content need not be in memory any longer.
    pub(crate) tried: Vec<MessageId>,
    /// Messages stored and entries settled, for the metrics.
    pub(crate) messages: u64,
    /// Whose content stays readable though its row goes.
    pub(crate) claims: Arc<Claims>,
}

impl Effects {
    pub(crate) fn new(claims: &Arc<Claims>) -> Self {
        Effects {
            claims: claims.clone(),
            ..Effects::default()
        }
    }

    /// Adds another change's.
    pub(crate) fn append(&mut self, mut other: Effects) {
        self.unlink.append(&mut other.unlink);
        self.files.append(&mut other.files);
        self.fresh.append(&mut other.fresh);
        self.tried.append(&mut other.tried);
        self.messages += other.messages;
    }
}

/// Inserts a message with its entries.
pub(crate) fn store(db: &Connection, row: &MessageRow, effects: &mut Effects) -> Result<(), Error> {
    let id = key(row.id.0);
    db.prepare_cached(
        "INSERT INTO message
             (id, arrived, expires, size, header_8bit, content_8bit, entries, sender, envelope, origin)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        id,
        row.arrived.0,
        row.expires.0,
        row.size as i64,
        row.header_8bit,
        row.content_8bit,
        row.entries.len() as i64,
        row.sender,
        row.envelope,
        row.origin,
    ])
    .map_err(|error| duplicate(row.id, error))?;
    match &row.place {
        Place::Memory(content) => {
            db.prepare_cached("INSERT INTO content (message, data) VALUES (?, ?)")?
                .execute(params![id, &content[..]])
                .map_err(|error| duplicate(row.id, error))?;
            effects.fresh.push((row.id, content.clone()));
        }
        Place::File(file) => effects.files.push(file.clone()),
    }
    for entry in &row.entries {
        insert_entry(db, row, entry)?;
    }
    effects.messages += 1;
    Ok(())
}

fn insert_entry(db: &Connection, message: &MessageRow, entry: &EntryRow) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO entry (id, message, destination, state, due, notice, arrived, attempts, recipients, log)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, ?4, 0, ?6, '')",
    )?
    .execute(params![
        key(entry.id.0),
        key(message.id.0),
        entry.destination.as_str(),
        message.arrived.0,
        message.notice.0,
        entry.recipients,
    ])
    .map_err(|error| duplicate(message.id, error))?;
    Ok(())
}

/// Deletes an entry, and the message with its last one. Answers whether it was there.
pub(crate) fn delete_entry(
    db: &Connection,
    entry: EntryId,
    message: MessageId,
    effects: &mut Effects,
) -> Result<bool, Error> {
    let deleted = db
        .prepare_cached("DELETE FROM entry WHERE id = ? AND message = ?")?
        .execute([key(entry.0), key(message.0)])?;
    if deleted == 0 {
        return Ok(false);
    }
    let was_last = db
        .prepare_cached("DELETE FROM message WHERE id = ? AND entries = 1")?
        .execute([key(message.0)])?;
    if was_last == 0 {
        db.prepare_cached("UPDATE message SET entries = entries - 1 WHERE id = ?")?
            .execute([key(message.0)])?;
        return Ok(true);
    }
    if effects.claims.is_claimed(message) {
        let mut row = db.prepare_cached("SELECT data FROM content WHERE message = ?")?;
        let content: Option<Vec<u8>> = row.query_row([key(message.0)], |row| row.get(0)).optional()?;
        if let Some(content) = content {
            effects.claims.keep_row(message, content.into());
        }
    }
    let in_row = db
        .prepare_cached("DELETE FROM content WHERE message = ?")?
        .execute([key(message.0)])?;
    if in_row == 0 {
        effects.unlink.push(message);
    }
    effects.tried.push(message);
    Ok(true)
}

/// Removes whatever a failed commit may have left of these messages.
pub(crate) fn forget(db: &Connection, messages: &[MessageId]) -> Result<(), Error> {
    for message in messages {
        for sql in [
            "DELETE FROM entry WHERE id = ?1",
            "DELETE FROM entry WHERE message = ?1 AND id <> message",
            "DELETE FROM content WHERE message = ?1",
            "DELETE FROM message WHERE id = ?1",
        ] {
            db.prepare_cached(sql)?.execute([key(message.0)])?;
        }
    }
    Ok(())
}

/// Answers whether a message is there.
pub(crate) fn is_stored(db: &Connection, message: MessageId) -> Result<bool, Error> {
    Ok(db
        .prepare_cached("SELECT 1 FROM message WHERE id = ?")?
        .exists([key(message.0)])?)
}

fn duplicate(message: MessageId, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => Error::Duplicate { message },
        _ => error.into(),
    }
}
