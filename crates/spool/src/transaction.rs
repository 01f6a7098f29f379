//! One transaction over a batch of changes.
//!
//! # Contract
//! * **All or nothing for the disk, each for itself otherwise.** [`apply_fast`] ends at the first change that
//!   fails; [`apply_each`] leaves out those that fail for reasons of their own.
//! * **What an earlier failed commit may have left is removed first.**

use std::sync::Arc;

use remuda_mail::MessageId;
use rusqlite::Connection;

use crate::{
    Error,
    apply::{self, Effects},
    claims::Claims,
    error::Reach,
    files::ContentFile,
    queue::Request,
};

/// What a failed commit may have left behind.
#[derive(Default)]
pub(crate) struct Ghosts {
    pub(crate) messages: Vec<MessageId>,
    /// Removed with the row, not before.
    pub(crate) files: Vec<Arc<ContentFile>>,
}

/// What came of a transaction: each change's own outcome, or the disk's failure.
pub(crate) type Written = Result<(Vec<Result<(), Error>>, Effects), Error>;

/// Each change's own outcome, or the failure that ends the transaction.
pub(crate) type Applied = Result<Vec<Result<(), Error>>, Error>;

pub(crate) fn in_transaction(
    db: &Connection,
    ghosts: &Ghosts,
    batch: &mut [Request],
    claims: &Arc<Claims>,
    apply: impl FnOnce(&Connection, &mut [Request], &mut Effects) -> Applied,
) -> Written {
    if !db.is_autocommit() {
        // A panic left it open.
        db.execute_batch("ROLLBACK")?;
    }
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut effects = Effects::new(claims);
    let applied = apply::forget(db, &ghosts.messages)
        .and_then(|()| apply(db, batch, &mut effects))
        .and_then(|outcomes| {
            db.prepare_cached("COMMIT")?.execute([])?;
            Ok(outcomes)
        });
    match applied {
        Ok(outcomes) => Ok((outcomes, effects)),
        Err(error) => {
            if !db.is_autocommit() {
                // A failure here is the one that is reported already.
                let _ = db.execute_batch("ROLLBACK");
            }
            Err(error)
        }
    }
}

/// All changes, up to the first that fails.
pub(crate) fn apply_fast(db: &Connection, batch: &mut [Request], effects: &mut Effects) -> Applied {
    batch
        .iter_mut()
        .map(|request| request.job.apply(db, effects).map(Ok))
        .collect()
}

/// All changes that do not fail for reasons of their own.
pub(crate) fn apply_each(db: &Connection, batch: &mut [Request], effects: &mut Effects) -> Applied {
    let mut outcomes = Vec::new();
    for request in batch {
        db.prepare_cached("SAVEPOINT change")?.execute([])?;
        let mut own = Effects::new(&effects.claims);
        match request.job.apply(db, &mut own) {
            Ok(()) => {
                effects.append(own);
                outcomes.push(Ok(()));
            }
            Err(error) if error.reach() == Reach::Change && !db.is_autocommit() => {
                db.prepare_cached("ROLLBACK TO change")?.execute([])?;
                outcomes.push(Err(error));
            }
            Err(error) => return Err(error),
        }
        db.prepare_cached("RELEASE change")?.execute([])?;
    }
    Ok(outcomes)
}
