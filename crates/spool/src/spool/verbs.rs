//! Reading from the spool, and the operator's verbs.

use std::{fs::File, path::Path};

use remuda_clock::Wall;
use remuda_mail::{Destination, EntryId, MessageId};
use rusqlite::{Connection, OptionalExtension};

use super::Spool;
use crate::{
    AgeRow, Backlog, Changed, Claim, ContentReader, Error, Filter, Heads, Listed, Notices, Queued, Reroute,
    Selection, Shown,
    admin::{STEP, Sweep, Verb},
    apply::{self, Effects},
    browse, codec,
    content::Source,
    read, settle,
    shared::{Submission, youngest},
};

impl Spool {
    /// The first due entries of a destination, held ones excepted, in order of due time and age.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn heads(&self, destination: &Destination, now: Wall, limit: usize) -> Result<Heads, Error> {
        let destination = destination.clone();
        self.read(move |db| read::heads(db, &destination, now, limit))
            .await
    }

    /// Entries whose notice time is past (delay warning or expiry), held ones excepted, earliest first.
    ///
    /// # Errors
    /// As [`heads`](Self::heads).
    pub async fn notices(&self, now: Wall, limit: usize) -> Result<Notices, Error> {
        self.read(move |db| read::notices(db, now, limit)).await
    }

    /// What the spool holds, by destination, in order of their keys. Reads one index altogether.
    ///
    /// # Errors
    /// As [`heads`](Self::heads).
    pub async fn backlog(&self) -> Result<Vec<Backlog>, Error> {
        self.read(|db| read::backlog(db)).await
    }

    /// The content of a message: from memory while it is fresh, else from disk.
    ///
    /// # Errors
    /// [`Error::Missing`] when the message is gone; else the disk's.
    pub async fn content(&self, message: MessageId) -> Result<ContentReader, Error> {
        let fresh = self.shared.fresh().get(message);
        if let Some(content) = fresh {
            return Ok(ContentReader::new(Source::Memory(content)));
        }
        let path = self.shared.paths.content(message);
        let claims = self.shared.claims.clone();
        let find = move |db: &mut Connection| match find_content(db, message, &path) {
            Err(Error::Missing { message }) => {
                let claimed = claims.find(message, &path);
                claimed.ok_or(Error::Missing { message })
            }
            found => found,
        };
        Ok(ContentReader::new(self.read(find).await?))
    }

    /// Keeps the content of a message readable while the claim lives, also when the message is deleted
    /// meanwhile. Does not wait for anything.
    pub fn claim(&self, message: MessageId) -> Claim {
        Claim::new(self.shared.claims.clone(), self.shared.paths.clone(), message)
    }

    /// A page of the queue in order of age.
    ///
    /// # Errors
    /// As [`heads`](Self::heads).
    pub async fn list(&self, filter: Filter) -> Result<Vec<Listed>, Error> {
        self.read(move |db| browse::list(db, &filter)).await
    }

    /// One message with its entries and their last attempts; None when there is no such message.
    ///
    /// # Errors
    /// As [`heads`](Self::heads).
    pub async fn show(&self, id: MessageId) -> Result<Option<Shown>, Error> {
        self.read(move |db| browse::show(db, id)).await
    }

    /// Destinations by age of their entries, the largest first, at most 1000.
    ///
    /// # Errors
    /// As [`heads`](Self::heads).
    pub async fn summary(&self, now: Wall) -> Result<Vec<AgeRow>, Error> {
        self.read(move |db| browse::summary(db, now)).await
    }

    /// Puts waiting entries on hold: they are not offered until released.
    ///
    /// # Errors
    /// The disk fails; what was done before stays done.
    pub async fn hold(&self, selection: Selection, now: Wall) -> Result<Vec<Changed>, Error> {
        self.sweep(Verb::Hold, selection, now).await
    }

    /// Lets held entries wait again, due now.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn release(&self, selection: Selection, now: Wall) -> Result<Vec<Changed>, Error> {
        self.sweep(Verb::Release, selection, now).await
    }

    /// Makes waiting entries due now. For one message all of its waiting entries are returned, else only
    /// those that were due later.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn retry(&self, selection: Selection, now: Wall) -> Result<Vec<Changed>, Error> {
        self.sweep(Verb::Retry, selection, now).await
    }

    /// Deletes entries, waiting and held, and messages with their last one. Nobody gets a report.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn delete(&self, selection: Selection, now: Wall) -> Result<Vec<Changed>, Error> {
        self.sweep(Verb::Delete, selection, now).await
    }

    /// Gives an entry's recipients to other destinations, also as others, with its due time, attempts and hold.
    /// Who is in none of `to` stays in the old entry; else that is gone. Answers with the new entries.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn reroute(&self, entry: EntryId, to: Vec<Reroute>) -> Result<Vec<Queued>, Error> {
        let ids: Vec<EntryId> = to.iter().map(|_| EntryId(self.allocate_id().0)).collect();
        let run = move |db: &Connection, _: &mut Effects| settle::reroute(db, entry, &to, &ids);
        self.shared.submit(Submission::change(), run).await
    }

    /// Does one of the verbs, and tells of each step once it is committed: also of those before one that
    /// fails.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn change(
        &self,
        verb: Verb,
        selection: Selection,
        now: Wall,
        mut told: impl FnMut(Vec<Changed>),
    ) -> Result<(), Error> {
        let last = self.read(|db| youngest(db)).await?;
        let mut sweep = Sweep {
            verb,
            selection,
            now,
            after: 0,
            last,
        };
        loop {
            let step = sweep.clone();
            let run = move |db: &Connection, effects: &mut Effects| step.step(db, effects);
            let changed = self.shared.submit(Submission::change(), run).await?;
            let is_last = changed.len() < STEP;
            sweep.after = changed.last().map_or(last, |last| codec::key(last.entry.0));
            told(changed);
            if is_last {
                return Ok(());
            }
        }
    }

    async fn sweep(&self, verb: Verb, selection: Selection, now: Wall) -> Result<Vec<Changed>, Error> {
        let mut all = Vec::new();
        self.change(verb, selection, now, |changed| all.extend(changed))
            .await?;
        Ok(all)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.shared.readers.read(work).await
    }
}

fn find_content(db: &Connection, message: MessageId, path: &Path) -> Result<Source, Error> {
    let content: Option<Vec<u8>> = db
        .prepare_cached("SELECT data FROM content WHERE message = ?")?
        .query_row([codec::key(message.0)], |row| row.get(0))
        .optional()?;
    if let Some(content) = content {
        return Ok(Source::Memory(content.into()));
    }
    if !apply::is_stored(db, message)? {
        return Err(Error::Missing { message });
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    match opened {
        Ok((size, file)) => Ok(Source::File(file, path.to_owned(), size)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing { message }),
        Err(error) => Err(Error::io("open", path, error)),
    }
}
