//! What a settlement, a notice and a new route do to the rows.
//!
//! # Contract
//! * **An entry that is gone stays gone**: settling it does nothing, and stores no report for it.
//! * **A held entry stays held.**
//! * **Applied twice is applied once.** After a commit whose fate is unknown the same change comes again;
//!   reports that are there already say that it had happened.
//! * **No recipient is lost by a reroute**: those that have no new entry stay in the old one.

use remuda_clock::Wall;
use remuda_mail::{EntryId, MessageId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    Error, Pending, Queued, Readdressed, Reroute,
    apply::{Effects, delete_entry, is_stored, store},
    codec::{self, MessageRow, QUEUED, json, key},
};

/// A settlement ready to be bound to statements.
#[derive(Debug)]
pub(crate) struct SettleRow {
    pub(crate) entry: EntryId,
    pub(crate) message: MessageId,
    /// JSON; None = the entry is done.
    pub(crate) left: Option<String>,
    pub(crate) due: Wall,
    /// JSON, one line.
    pub(crate) attempt: Option<String>,
    pub(crate) reports: Vec<MessageRow>,
}

impl SettleRow {
    /// About the octets that it costs.
    pub(crate) fn bytes(&self) -> u64 {
        let left = self.left.as_ref().map_or(0, String::len);
        let reports: u64 = self.reports.iter().map(MessageRow::bytes).sum();
        left as u64 + self.attempt.as_ref().map_or(0, |a| a.len() as u64) + reports + 128
    }
}

/// Records what became of a delivery. Answers whether the entry was there, so that its reports count.
pub(crate) fn settle(db: &Connection, row: &SettleRow, effects: &mut Effects) -> Result<bool, Error> {
    if has_happened(db, &row.reports)? {
        return Ok(true);
    }
    let was_there = match &row.left {
        None => delete_entry(db, row.entry, row.message, effects)?,
        Some(left) => defer(db, row, left)?,
    };
    if was_there {
        effects.messages += 1;
        effects.tried.push(row.message);
        store_all(db, &row.reports, effects)?;
    }
    Ok(was_there)
}

fn defer(db: &Connection, row: &SettleRow, left: &str) -> Result<bool, Error> {
    let log: Option<String> = db
        .prepare_cached("SELECT log FROM entry WHERE id = ?")?
        .query_row([key(row.entry.0)], |r| r.get(0))
        .optional()?;
    let Some(log) = log else { return Ok(false) };
    let log = row
        .attempt
        .as_ref()
        .map_or(log.clone(), |line| codec::log_with(&log, line));
    db.prepare_cached(
        "UPDATE entry SET recipients = ?2, due = ?3, attempts = attempts + ?4, log = ?5 WHERE id = ?1",
    )?
    .execute(params![
        key(row.entry.0),
        left,
        row.due.0,
        row.attempt.is_some(),
        log,
    ])?;
    Ok(true)
}

/// Moves the notice of an entry and stores the reports that the past one called for.
pub(crate) fn set_notice(
    db: &Connection,
    entry: EntryId,
    notice: Wall,
    reports: &[MessageRow],
    effects: &mut Effects,
) -> Result<bool, Error> {
    if has_happened(db, reports)? {
        return Ok(true);
    }
    let was_there = db
        .prepare_cached("UPDATE entry SET notice = ? WHERE id = ?")?
        .execute(params![notice.0, key(entry.0)])?
        == 1;
    if was_there {
        store_all(db, reports, effects)?;
    }
    Ok(was_there)
}

fn store_all(db: &Connection, reports: &[MessageRow], effects: &mut Effects) -> Result<(), Error> {
    reports.iter().try_for_each(|report| store(db, report, effects))
}

fn has_happened(db: &Connection, reports: &[MessageRow]) -> Result<bool, Error> {
    reports
        .first()
        .map_or(Ok(false), |report| is_stored(db, report.id))
}

/// Gives an entry's recipients to other destinations. `ids` has one id for each of `to`.
pub(crate) fn reroute(
    db: &Connection,
    entry: EntryId,
    to: &[Reroute],
    ids: &[EntryId],
) -> Result<Vec<Queued>, Error> {
    let Some(old) = read(db, entry)? else {
        return Ok(Vec::new());
    };
    let mut new = Vec::new();
    for (target, id) in to.iter().zip(ids) {
        let recipients = readdressed(&old.recipients, &target.recipients);
        if !recipients.is_empty() {
            new.push(Queued {
                id: *id,
                destination: target.destination.clone(),
                recipients,
                ..old.clone()
            });
        }
    }
    let rest = unnamed(&old.recipients, to);
    for queued in &new {
        db.prepare_cached(
            "INSERT INTO entry (id, message, destination, state, due, notice, arrived, attempts, recipients, log)
             SELECT ?1, message, ?3, state, due, notice, arrived, attempts, ?4, log FROM entry WHERE id = ?2",
        )?
        .execute(params![
            key(queued.id.0),
            key(entry.0),
            queued.destination.as_str(),
            json(&queued.recipients),
        ])?;
    }
    finish_reroute(db, &old, &rest, new.len())?;
    Ok(new)
}

/// Those of `waiting` that are in none of `to`.
fn unnamed(waiting: &[Pending], to: &[Reroute]) -> Vec<Pending> {
    let is_named = |pending: &&Pending| {
        let mut all = to.iter().flat_map(|target| &target.recipients);
        all.any(|one| one.was == pending.recipient)
    };
    waiting
        .iter()
        .filter(|pending| !is_named(pending))
        .cloned()
        .collect()
}

/// Who waits now for those of `waiting` that are named, each address once.
fn readdressed(waiting: &[Pending], named: &[Readdressed]) -> Vec<Pending> {
    let mut new: Vec<Pending> = Vec::new();
    for Readdressed { was, now } in named {
        let is_known = new.iter().any(|known| known.recipient.address == now.address);
        if let Some(pending) = waiting.iter().find(|pending| pending.recipient == *was)
            && !is_known
        {
            // What was said of another address is no word about this one.
            let last = pending.last.clone().filter(|_| was.address == now.address);
            new.push(Pending {
                recipient: now.clone(),
                last,
                may_be_duplicate: pending.may_be_duplicate,
            });
        }
    }
    new
}

/// Leaves in the old entry who has no new one, or removes it.
fn finish_reroute(db: &Connection, old: &Queued, rest: &[Pending], added: usize) -> Result<(), Error> {
    let removed = i64::from(rest.is_empty());
    if rest.is_empty() {
        db.prepare_cached("DELETE FROM entry WHERE id = ?")?
            .execute([key(old.id.0)])?;
    } else {
        db.prepare_cached("UPDATE entry SET recipients = ?2 WHERE id = ?1")?
            .execute(params![key(old.id.0), json(rest)])?;
    }
    db.prepare_cached("UPDATE message SET entries = entries + ?2 WHERE id = ?1")?
        .execute(params![key(old.message.0), added as i64 - removed])?;
    Ok(())
}

fn read(db: &Connection, entry: EntryId) -> Result<Option<Queued>, Error> {
    let sql = format!("SELECT {QUEUED} FROM entry e JOIN message m ON m.id = e.message WHERE e.id = ?");
    let row = db
        .prepare_cached(&sql)?
        .query_row([key(entry.0)], codec::queued)
        .optional()?;
    Ok(row.flatten())
}
