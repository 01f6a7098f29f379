//! Edits by others, noticed: `data_version` and the change log, on a connection that only reads.
//!
//! SQLite tells a connection that another has committed by another `PRAGMA data_version`. What was changed stands
//! in `change_log`, which the triggers fill. Our own changes come too: they change nothing any more (E15). Only imports
//! of ours are passed over ([`own`](super::own)).
//!
//! # Contract
//! * **First a flush, then up**; after every trouble again.
//! * **Nothing is missed silently**: the last line that was seen must still be there, as it was, or all is
//!   forgotten (E13).
//! * **Another file in the place is noticed**, and all connections go to it (E13).
//! * **A file that cannot be read, or is not the directory's, is down**, until it can (E14).
//!
//! # Limits
//! More than [`LINES_MAX`] lines at a time say "all of the kind". Another file that takes the place of the first
//! must be whole at once (renamed), and is used only with our tables in it.

use std::{collections::BTreeSet, sync::Arc};

use remuda_clock::before;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{
    connections::{Connections, failure},
    log::{self, Line},
    own::OwnImports,
    schema::FileId,
};
use crate::{
    model::Kind,
    store::{Missed, Pushed, StoreError, Touched},
};

/// Lines of the change log that are told one by one.
const LINES_MAX: usize = 1000;

/// Tells of changes until the receiver is gone.
pub(super) async fn watch(all: Arc<Connections>, to: mpsc::Sender<Pushed>) {
    let mut watcher = None;
    let mut is_down = false;
    loop {
        let (looking, was) = (all.clone(), watcher.take());
        let looked = tokio::task::spawn_blocking(move || look(&looking, was)).await;
        let (now, told) = match looked {
            Ok(Ok((now, told))) => (Some(now), told),
            Ok(Err(_)) if is_down => (None, Vec::new()),
            Ok(Err(reason)) => (None, vec![Pushed::Down(reason.to_string())]),
            Err(defect) => (None, vec![Pushed::Down(defect.to_string())]),
        };
        is_down = now.is_none();
        watcher = now;
        for one in told {
            if to.send(one).await.is_err() {
                return;
            }
        }
        let next = all.clock.now().monotonic + all.timing.poll;
        if before(&*all.clock, next, to.closed()).await.is_some() {
            return;
        }
    }
}

/// Looks once; answers the watcher for the next time and what is to be told.
fn look(all: &Connections, watcher: Option<Watcher>) -> Result<(Watcher, Vec<Pushed>), StoreError> {
    let Some(mut watcher) = watcher else {
        return Ok((Watcher::new(all)?, up(Missed::Connected)));
    };
    if all.file()? != watcher.file {
        // Closed before the other is opened: what it would leave behind is not that one's.
        drop(watcher);
        return Ok((Watcher::new(all)?, up(Missed::Replaced)));
    }
    let told = watcher.news(&all.own_imports).map_err(failure)?;
    Ok((watcher, told))
}

fn up(missed: Missed) -> Vec<Pushed> {
    vec![Pushed::Flush(missed), Pushed::Up]
}

/// What was seen so far, on the connection that sees it: numbers of `data_version` mean nothing on another.
struct Watcher {
    db: Connection,
    file: FileId,
    data_version: i64,
    last: Option<Line>,
}

impl Watcher {
    fn new(all: &Connections) -> Result<Self, StoreError> {
        let file = all.file()?;
        let db = all.connect()?;
        // The number before the line: what comes between is seen next time.
        let data_version = data_version(&db).map_err(failure)?;
        let last = log::last(&db).map_err(failure)?;
        Ok(Watcher {
            db,
            file,
            data_version,
            last,
        })
    }

    /// The number of the last line that was seen.
    fn seen(&self) -> i64 {
        self.last.as_ref().map_or(0, |last| last.seq)
    }

    /// What has come since, but for imports of ours.
    fn news(&mut self, own: &OwnImports) -> rusqlite::Result<Vec<Pushed>> {
        let now = data_version(&self.db)?;
        if now == self.data_version {
            return Ok(Vec::new());
        }
        let mut told = Vec::new();
        for import in own.behind(self.seen()) {
            let end = import.last.seq;
            if log::lines(&self.db, end, end)?.first() != Some(&import.last) {
                continue;
            }
            if import.from > self.seen() {
                told.extend(self.lines_until(import.from)?);
            }
            self.last = Some(import.last);
        }
        told.extend(self.lines_until(i64::MAX)?);
        own.passed(self.seen());
        self.data_version = now;
        Ok(told)
    }

    /// What the lines say from the last one that was seen up to this number.
    fn lines_until(&mut self, to: i64) -> rusqlite::Result<Option<Pushed>> {
        let mut lines = log::lines(&self.db, self.seen(), to)?;
        // The first is the one that was the last; without one there was none, and the first ever has number 1.
        let is_whole = match &self.last {
            Some(last) => lines.first() == Some(last),
            None => lines.first().is_none_or(|line| line.seq == 1),
        };
        let new = lines.split_off(usize::from(self.last.is_some()).min(lines.len()));
        self.last = new.last().or(lines.last()).cloned();
        if !is_whole {
            return Ok(Some(Pushed::Flush(Missed::Pruned)));
        }
        Ok(match touched(&new) {
            None => Some(Pushed::Flush(Missed::Unreadable)),
            Some(touched) => (!touched.is_empty()).then_some(Pushed::Changed(touched)),
        })
    }
}

/// What the lines say, each thing once; None: one of them is not understood.
fn touched(lines: &[Line]) -> Option<Vec<Touched>> {
    if lines.len() > LINES_MAX {
        let kinds: Option<BTreeSet<Kind>> = lines.iter().map(|line| Kind::from_word(&line.kind)).collect();
        return Some(kinds?.into_iter().map(Touched::All).collect());
    }
    let mut seen = BTreeSet::new();
    let mut touched = Vec::new();
    for line in lines {
        let kind = Kind::from_word(&line.kind)?;
        if seen.insert((kind, line.id, &line.old, &line.new)) {
            touched.push(Touched::One {
                kind,
                id: Some(line.id),
                old: line.old.as_deref().map(Into::into),
                new: line.new.as_deref().map(Into::into),
            });
        }
    }
    Some(touched)
}

fn data_version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA data_version", [], |row| row.get(0))
}
