//! Many objects at a time: files in and out.
//!
//! ```text
//!   octets ──csv │ json──▶ rows (line, kind, fields) ──parse──▶ objects ──▶ Store::import, one transaction
//! ```
//!
//! A CSV file holds objects of all kinds: the first line names columns, `type` among them, and an empty cell is a
//! field that is not given. A JSON file is an array of objects, or one object after the other, each with its `type`.
//!
//! # Contract
//! * **All or nothing**: what is wrong in the last line undoes the first; the error names line and field.
//! * **What is exported can be imported**, in the order in which it comes.
//! * **Memory is bounded**: a row by [`ROW_MAX`], rows under way by their number.
//! * **Secrets leave only when asked for**: password hashes and the passwords of routes.
//!
//! # Known faults
//! An export reads page after page: what changes meanwhile is in it or not.

mod csv;
mod export;
mod json;
mod text;

use std::io::{self, Read};

use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub use self::export::{Export, Written};
use crate::{
    directory::Directory,
    edit::{self, EditError, audit},
    model::{Kind, Object},
    store::{ChangeError, Import, ImportError, StoreError},
};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table.
    Csv,
    /// An array; what is read may also be one object after the other.
    Json,
    /// An object a line.
    Ndjson,
}

/// What an import has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stored {
    /// New ones.
    pub created: u64,
    /// In place of others.
    pub replaced: u64,
}

/// An import that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// A line is wrong; nothing was stored.
    #[error("{line}: {}{reason}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
    Line {
        /// Which, counted from 1.
        line: u64,
        /// The field, as in JSON.
        field: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// The file could not be read to its end; nothing was stored.
    #[error("the file could not be read to its end: {0}")]
    Read(#[from] io::Error),
    /// The database failed; nothing was stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It may have happened.
    #[error("it is not known whether the import was stored: {0}")]
    Unknown(String),
}

impl BulkError {
    fn line(line: u64, field: Option<&str>, reason: impl ToString) -> Self {
        BulkError::Line {
            line,
            field: field.map(str::to_owned),
            reason: reason.to_string(),
        }
    }
}

/// A row as it was read.
struct Row {
    /// Where it begins, counted from 1.
    line: u64,
    kind: Kind,
    fields: Map<String, Value>,
}

type Rows = Box<dyn Iterator<Item = Result<Row, BulkError>>>;

impl Directory {
    /// Stores all objects of a file, new or in place of those with their names, or none of them. An account or a
    /// route that comes without its password keeps the one it has. Reads on a thread that may wait.
    ///
    /// # Errors
    /// See [`BulkError`].
    pub async fn import_from(
        &self,
        format: Format,
        file: impl Read + Send + 'static,
    ) -> Result<Stored, BulkError> {
        let directory = self.clone();
        let importing = tokio::spawn(async move {
            let (send, objects) = mpsc::channel(UNDER_WAY_MAX);
            let reading = tokio::task::spawn_blocking(move || read(self::objects(format, file), &send));
            let imported = directory.import(objects).await;
            let read = reading
                .await
                .unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()));
            let imported = imported.map_err(refused);
            // A row that could not be read is why the store was left in the middle.
            match (read, imported) {
                (Err(wrong), _) => Err(wrong),
                (Ok(()), Err(error)) => Err(error),
                (Ok(()), Ok(imported)) => {
                    audit::imported(imported.created, imported.replaced);
                    Ok(Stored {
                        created: imported.created,
                        replaced: imported.replaced,
                    })
                }
            }
        });
        importing
            .await
            .unwrap_or_else(|panicked| Err(BulkError::Unknown(panicked.to_string())))
    }
}

/// The objects of a file as they are read, each with the line in which it begins; passwords are hashed.
pub fn objects(
    format: Format,
    file: impl Read + Send + 'static,
) -> impl Iterator<Item = Result<(u64, Object), BulkError>> {
    rows(format, file).map(|row| {
        let row = row?;
        Ok((row.line, object(row)?))
    })
}

fn rows(format: Format, file: impl Read + Send + 'static) -> Rows {
    match format {
        Format::Csv => csv::rows(file),
        Format::Json | Format::Ndjson => json::rows(file),
    }
}

/// Reads all objects and hands them over.
fn read(
    objects: impl Iterator<Item = Result<(u64, Object), BulkError>>,
    to: &mpsc::Sender<Import>,
) -> Result<(), BulkError> {
    for read in objects {
        let (line, object) = read?;
        if to.blocking_send(Import::Object(line, Box::new(object))).is_err() {
            // The store has given up, and says why.
            return Ok(());
        }
    }
    // Whether it hears of the end is the store's to say.
    drop(to.blocking_send(Import::End));
    Ok(())
}

fn object(row: Row) -> Result<Object, BulkError> {
    let wrong = |error: EditError| match error {
        EditError::Field { field, reason } => BulkError::line(row.line, Some(&field), reason),
        EditError::Change(error) => BulkError::line(row.line, None, error),
    };
    edit::parse(row.kind, row.fields, None).map_err(wrong)
}

fn refused(error: ImportError) -> BulkError {
    match error {
        ImportError::Line { line, error } => match error {
            ChangeError::Invalid { field, reason } => BulkError::line(line, Some(field), reason),
            other => BulkError::line(line, None, other),
        },
        ImportError::GivenUp => BulkError::Read(io::ErrorKind::UnexpectedEof.into()),
        ImportError::Store(error) => BulkError::Store(error),
        ImportError::Unknown(reason) => BulkError::Unknown(reason),
    }
}

/// Rows that wait for the store.
const UNDER_WAY_MAX: usize = 256;
/// Octets of one row. A list of a hundred thousand members has three million.
pub const ROW_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests;
