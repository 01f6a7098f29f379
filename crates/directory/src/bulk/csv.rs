//! Rows of a CSV table, and back.
//!
//! # Contract
//! * **Each column has one type**, in whichever kind it stands; a column that a kind does not have is wrong when it
//!   is filled.
//! * **An empty cell is a field that is not given.**

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use ::csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::{BulkError, ROW_MAX, Row, Rows, text};
use crate::model::Kind;

/// How the cells of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Bool,
    Number,
    List,
    Numbers,
}

/// The columns, `type` apart, in the order in which they are exported.
const COLUMNS: [(&str, Type); 24] = [
    ("name", Type::Text),
    ("address", Type::Text),
    ("domain", Type::Text),
    ("active", Type::Bool),
    ("catch_all", Type::Text),
    ("message_size", Type::Number),
    ("plus_addressing", Type::Bool),
    ("plus_separator", Type::Text),
    ("account_limit", Type::Number),
    ("alias_limit", Type::Number),
    ("list_limit", Type::Number),
    ("quota", Type::Number),
    ("forward", Type::Text),
    ("forward_keep", Type::Bool),
    ("targets", Type::List),
    ("mode", Type::Text),
    ("owner", Type::Text),
    ("require_auth", Type::Bool),
    ("members", Type::List),
    ("hosts", Type::List),
    ("mx", Type::Bool),
    ("tls", Type::Text),
    ("preference", Type::Numbers),
    ("username", Type::Text),
];
/// What an export has only when asked for.
const SECRETS: [(&str, Type); 2] = [("password", Type::Text), ("password_hash", Type::Text)];
const KIND: &str = "type";

/// The columns of an export.
pub(super) fn columns(with_secrets: bool) -> impl Iterator<Item = &'static str> {
    let secrets = SECRETS.iter().filter(move |_| with_secrets);
    std::iter::once(KIND).chain(COLUMNS.iter().chain(secrets).map(|(name, _)| *name))
}

/// An object as a line, its end included.
pub(super) fn line(kind: Kind, fields: &Map<String, Value>, with_secrets: bool) -> Vec<u8> {
    let cells = columns(with_secrets).map(|column| match column {
        KIND => kind.as_str().to_owned(),
        column => fields.get(column).map(cell).unwrap_or_default(),
    });
    record(cells)
}

/// Cells as a line, its end included.
pub(super) fn record<C: AsRef<[u8]>>(cells: impl Iterator<Item = C>) -> Vec<u8> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    // Writing to memory fails only for records of different lengths, and there is one.
    drop(writer.write_record(cells));
    writer.into_inner().unwrap_or_default()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(words) => {
            let words: Vec<String> = words.iter().map(cell).collect();
            text::join(words.iter().map(String::as_str))
        }
        other => other.to_string(),
    }
}

/// Reads the rows of a file.
pub(super) fn rows(file: impl Read + 'static) -> Rows {
    let room = Rc::new(Cell::new(ROW_MAX));
    let mut reader = ReaderBuilder::new().flexible(false).from_reader(Bounded {
        file,
        room: room.clone(),
    });
    let head = match reader.headers() {
        Ok(head) => columns_of(head),
        Err(error) => Err(wrong(&error)),
    };
    let columns = match head {
        Ok(columns) => columns,
        Err(error) => return Box::new(std::iter::once(Err(error))),
    };
    let records = reader.into_records().map(move |record| {
        room.set(ROW_MAX);
        record
            .map_err(|error| wrong(&error))
            .and_then(|record| row(&columns, &record))
    });
    Box::new(records)
}

type Column = (String, Option<Type>);

/// What stands in each place; None: the kind.
fn columns_of(head: &StringRecord) -> Result<Vec<Column>, BulkError> {
    let mut columns: Vec<Column> = Vec::new();
    for name in head {
        let name = name.trim().trim_start_matches('\u{feff}');
        let is_it = |known: &&(&str, Type)| known.0 == name;
        let of = match COLUMNS.iter().chain(&SECRETS).find(is_it) {
            Some((_, of)) => Some(*of),
            None if name == KIND => None,
            None => {
                let known: Vec<&str> = self::columns(true).collect();
                let reason = format!("no such column; known are {}", known.join(", "));
                return Err(BulkError::line(1, Some(name), reason));
            }
        };
        if columns.iter().any(|(other, _)| other == name) {
            return Err(BulkError::line(1, Some(name), "the column comes twice"));
        }
        columns.push((name.to_owned(), of));
    }
    match columns.iter().any(|(_, of)| of.is_none()) {
        true => Ok(columns),
        false => Err(BulkError::line(1, Some(KIND), MISSING)),
    }
}

fn row(columns: &[Column], record: &StringRecord) -> Result<Row, BulkError> {
    let line = record.position().map_or(0, ::csv::Position::line);
    let mut kind = None;
    let mut fields = Map::new();
    for ((name, of), cell) in columns.iter().zip(record) {
        let cell = cell.trim();
        let wrong = |reason: &str| BulkError::line(line, Some(name), reason);
        match of {
            None => {
                let found = Kind::from_word(cell);
                kind = Some(found.ok_or_else(|| wrong(KINDS))?);
            }
            Some(_) if cell.is_empty() => {}
            Some(of) => drop(fields.insert(name.clone(), value(*of, cell).map_err(wrong)?)),
        }
    }
    match kind {
        Some(kind) => Ok(Row { line, kind, fields }),
        None => Err(BulkError::line(line, Some(KIND), KINDS)),
    }
}

fn value(of: Type, cell: &str) -> Result<Value, &'static str> {
    match of {
        Type::Text => Ok(cell.into()),
        Type::Bool => cell.parse().map(Value::Bool).map_err(|_| "true or false"),
        Type::Number => cell.parse::<u64>().map(Value::from).map_err(|_| "a number"),
        Type::List => Ok(text::split(cell).into()),
        Type::Numbers => {
            let numbers = text::split(cell).into_iter().map(|word| word.parse::<u64>());
            let numbers = numbers.collect::<Result<Vec<_>, _>>();
            numbers.map(Value::from).map_err(|_| "numbers")
        }
    }
}

fn wrong(error: &::csv::Error) -> BulkError {
    let line = error.position().map_or(1, ::csv::Position::line);
    match error.kind() {
        ErrorKind::Io(error) => BulkError::Read(io::Error::new(error.kind(), error.to_string())),
        ErrorKind::Utf8 { .. } => BulkError::line(line, None, "not UTF-8"),
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let reason = format!("{len} cells, where the first line has {expected_len}");
            BulkError::line(line, None, reason)
        }
        _ => BulkError::line(line, None, error),
    }
}

/// A reader that gives a row only so much.
struct Bounded<R> {
    file: R,
    room: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = self.room.get();
        if room == 0 {
            return Err(io::Error::other(
                "a row is longer than 16 MiB; a quote may be open",
            ));
        }
        let most = into.len().min(room);
        let read = self.file.read(&mut into[..most])?;
        self.room.set(room - read);
        Ok(read)
    }
}

const MISSING: &str = "there must be a column with the type of each object";
pub(super) const KINDS: &str = "domain, domain_alias, account, alias, list or route";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Row, BulkError>> {
        rows(io::Cursor::new(text.to_owned())).collect()
    }

    #[test]
    fn an_empty_cell_is_a_field_that_is_not_given() {
        let rows =
            read("type,address,quota,targets\naccount,a@b.test,,\nalias,c@b.test,,\"a@b.test d@e.test\"\n");
        let rows: Vec<Row> = rows.into_iter().map(Result::unwrap).collect();
        assert_eq!((rows[0].line, rows[0].kind), (2, Kind::Account));
        assert_eq!(
            Value::Object(rows[0].fields.clone()),
            serde_json::json!({"address": "a@b.test"})
        );
        assert_eq!(
            Value::Object(rows[1].fields.clone()),
            serde_json::json!({"address": "c@b.test", "targets": ["a@b.test", "d@e.test"]})
        );
    }

    #[test]
    fn what_is_wrong_names_line_and_column() {
        for (text, said) in [
            ("address\na@b.test\n", "1: type: there must be"),
            ("type,colour\n", "1: colour: no such column"),
            ("type,name,name\n", "1: name: the column comes twice"),
            ("type,name\ndomain,a.test\nperson,b\n", "3: type: domain,"),
            (
                "type,name\n\"domain\",\"a\n.test\"\nperson,b\n",
                "4: type: domain,",
            ),
            ("type,quota\naccount,much\n", "2: quota: a number"),
            ("type,active\naccount,yes\n", "2: active: true or false"),
            ("type,name\ndomain\n", "2: 1 cells, where the first line has 2"),
            ("type,preference\nroute,1 b\n", "2: preference: numbers"),
        ] {
            let error = read(text).into_iter().find_map(Result::err).unwrap().to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_row_has_a_limit() {
        let head: &[u8] = b"type,name\ndomain,\"";
        let error = rows(head.chain(io::repeat(b'a'))).find_map(Result::err).unwrap();
        assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
    }
}
