//! `remuda import` and `remuda export`: the directory as a file.
//!
//! # Contract
//! * **All or nothing**: what is wrong is one line, `FILE:LINE: field: …`, and nothing was stored.
//! * **Who waits sees how far it is**: a line on standard error every second.
//! * **A file that exists is replaced only by a whole one**, and only its owner can read it.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, SystemClock};
use remuda_directory::{
    Directory,
    bulk::{BulkError, Export, Format, Stored, Written},
};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::access::Access;
use crate::{
    cli::{ExportArguments, ImportArguments},
    client::{read, with_query},
    exit::{Exit, Failure},
    print,
};

/// Stores the objects of a file.
///
/// # Errors
/// A line is wrong; the file cannot be read; as [`Access::new`].
pub fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let path = &arguments.file;
    let format = format_of(path)?;
    let file = File::open(path).map_err(|error| of_file(path, &error))?;
    let whole = file.metadata().map_or(0, |metadata| metadata.len());
    let file = Shown::new(file, whole);
    let at_line = |line: Option<u64>, detail: String| match line {
        Some(line) => Failure::at_line(path, line, format!("{detail}; nothing was stored")),
        None => Failure::new(Exit::Failed, detail),
    };
    let stored: Stored = match Access::new(&arguments.place)? {
        Access::Server(client) => {
            let path = with_query("/api/v1/import", &[("format", word(format).to_owned())]);
            let answer = client.upload(&path, file)?;
            read(answer.map_err(|refused| at_line(refused.line, refused.detail))?)?
        }
        Access::Database(database) => {
            let stored = database.run(|directory| async move { directory.import_from(format, file).await });
            stored.map_err(|error| match error {
                BulkError::Line { line, field, reason } => {
                    let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
                    at_line(Some(line), format!("{field}{reason}"))
                }
                other => at_line(None, other.to_string()),
            })?
        }
    };
    match arguments.place.server.json {
        true => print(&format!("{:#}\n", serde_json::json!(stored))),
        false => print(&format!(
            "{} created, {} replaced\n",
            stored.created, stored.replaced
        )),
    }
}

/// Writes the directory into a file.
///
/// # Errors
/// The file cannot be written; as [`Access::new`].
pub fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let path = &arguments.file;
    let how = Export {
        format: format_of(path)?,
        with_passwords: arguments.with_passwords,
    };
    let wrong = |error: io::Error| of_file(path, &error);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(parent.unwrap_or(Path::new("."))).map_err(wrong)?;
    match Access::new(&arguments.place)? {
        Access::Server(client) => {
            let query = [
                ("format", word(how.format).to_owned()),
                ("passwords", how.with_passwords.to_string()),
            ];
            client.download(&with_query("/api/v1/export", &query), &mut file)?;
        }
        Access::Database(database) => {
            file = database.run(|directory| write(directory, how, file))?;
        }
    }
    file.as_file().sync_all().map_err(wrong)?;
    file.persist(path).map_err(|error| wrong(error.error))?;
    Ok(())
}

/// Writes all objects of the database itself.
async fn write(directory: Directory, how: Export, mut file: NamedTempFile) -> Result<NamedTempFile, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
    let (send, mut pieces) = mpsc::channel::<Vec<u8>>(1);
    let writing = tokio::spawn(async move { directory.export_to(how, send).await });
    while let Some(piece) = pieces.recv().await {
        file.write_all(&piece).map_err(|error| failed(&error))?;
    }
    match writing.await.map_err(|error| failed(&error))? {
        Ok(Written::All(_)) => Ok(file),
        Ok(Written::LeftAlone) => Err(failed(&"the export was left alone")),
        Err(error) => Err(failed(&error)),
    }
}

fn of_file(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}

fn format_of(path: &Path) -> Result<Format, Failure> {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "csv" => Ok(Format::Csv),
        "json" => Ok(Format::Json),
        "ndjson" | "jsonl" => Ok(Format::Ndjson),
        _ => Err(Failure::new(
            Exit::Usage,
            format!(
                "{}: the name of a file ends with .csv, .json or .ndjson",
                path.display()
            ),
        )),
    }
}

fn word(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Ndjson => "ndjson",
    }
}

/// A file that says how much of it has been read.
struct Shown {
    file: File,
    whole: u64,
    octets: u64,
    lines: u64,
    next: Monotonic,
    clock: SharedClock,
}

impl Shown {
    fn new(file: File, whole: u64) -> Self {
        let clock = SystemClock::shared();
        Shown {
            file,
            whole,
            octets: 0,
            lines: 0,
            next: clock.now().monotonic + SHOWN_PAUSE,
            clock,
        }
    }
}

impl Read for Shown {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(into)?;
        self.octets += length as u64;
        self.lines += into[..length].iter().filter(|octet| **octet == b'\n').count() as u64;
        let now = self.clock.now().monotonic;
        if now >= self.next || length == 0 && self.lines >= SHOWN_LINES {
            self.next = now + SHOWN_PAUSE;
            let share = (100 * self.octets)
                .checked_div(self.whole)
                .unwrap_or(100)
                .min(100);
            eprintln!("{} lines read, {share} %", self.lines);
        }
        Ok(length)
    }
}

/// Between two lines for who waits.
const SHOWN_PAUSE: Duration = Duration::from_secs(1);
/// A file of so many lines says when all of it has been read.
const SHOWN_LINES: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_how_it_is_written() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("b/a.JSON", Some(Format::Json)),
            ("a.ndjson", Some(Format::Ndjson)),
            ("a.jsonl", Some(Format::Ndjson)),
            ("csv", None),
            ("a.xml", None),
        ] {
            match (format_of(Path::new(name)), format) {
                (Ok(found), Some(format)) => assert_eq!(found, format, "{name}"),
                (Err(failure), None) => assert_eq!(failure.exit, Exit::Usage, "{name}"),
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
