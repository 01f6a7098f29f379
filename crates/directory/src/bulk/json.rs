//! Rows of a JSON file: an array of objects, or one object after the other.
//!
//! The text is cut into objects before they are read, so that one is in memory at a time and its line is known.
//!
//! # Contract
//! * **An error names the line** in which it is, also inside an object that has several.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::{Map, Value};

use super::{BulkError, ROW_MAX, Row, Rows, csv::KINDS};
use crate::model::Kind;

/// Reads the rows of a file.
pub(super) fn rows(file: impl Read + 'static) -> Rows {
    Box::new(Objects {
        octets: BufReader::new(file),
        line: 1,
        place: Place::Start,
    })
}

struct Objects<R> {
    octets: BufReader<R>,
    line: u64,
    place: Place,
}

/// Where in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing has come yet.
    Start,
    /// In an array, before its first object.
    Array,
    /// In an array, behind an object.
    Behind,
    /// In an array, behind a comma.
    Comma,
    /// Among objects without an array.
    Lines,
    /// Behind the array.
    End,
    /// No further: something was wrong.
    Over,
}

impl<R: Read> Iterator for Objects<R> {
    type Item = Result<Row, BulkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.place == Place::Over {
            return None;
        }
        let row = self
            .object()
            .transpose()?
            .and_then(|(line, text)| row(line, &text));
        if row.is_err() {
            self.place = Place::Over;
        }
        Some(row)
    }
}

impl<R: Read> Objects<R> {
    /// The next object's text and the line in which it begins.
    fn object(&mut self) -> Result<Option<(u64, Vec<u8>)>, BulkError> {
        loop {
            let Some(octet) = self.octet()? else {
                return match self.place {
                    Place::Start | Place::Lines | Place::End => Ok(None),
                    _ => Err(self.wrong("the array does not end")),
                };
            };
            self.place = match (self.place, octet) {
                (place, b' ' | b'\t' | b'\r' | b'\n') => place,
                (Place::Start, b'[') => Place::Array,
                (Place::Array | Place::Behind, b']') => Place::End,
                (Place::Behind, b',') => Place::Comma,
                (Place::Start | Place::Lines, b'{') => {
                    self.place = Place::Lines;
                    return self.rest().map(Some);
                }
                (Place::Array | Place::Comma, b'{') => {
                    self.place = Place::Behind;
                    return self.rest().map(Some);
                }
                _ => return Err(self.wrong("not JSON: expected an object such as {\"type\": \"domain\", …}")),
            };
        }
    }

    /// The rest of an object whose brace has been read.
    fn rest(&mut self) -> Result<(u64, Vec<u8>), BulkError> {
        let begins = self.line;
        let mut text = vec![b'{'];
        let (mut depth, mut is_quoted, mut is_escaped) = (1_usize, false, false);
        while depth > 0 {
            let Some(octet) = self.octet()? else {
                return Err(BulkError::line(begins, None, "the object does not end"));
            };
            text.push(octet);
            if text.len() > ROW_MAX {
                return Err(BulkError::line(begins, None, "the object is longer than 16 MiB"));
            }
            match octet {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                b'{' | b'[' if !is_quoted => depth += 1,
                b'}' | b']' if !is_quoted => depth -= 1,
                _ => {}
            }
        }
        Ok((begins, text))
    }

    fn octet(&mut self) -> io::Result<Option<u8>> {
        let Some(octet) = self.octets.fill_buf()?.first().copied() else {
            return Ok(None);
        };
        self.octets.consume(1);
        self.line += u64::from(octet == b'\n');
        Ok(Some(octet))
    }

    fn wrong(&self, reason: &str) -> BulkError {
        BulkError::line(self.line, None, reason)
    }
}

fn row(line: u64, text: &[u8]) -> Result<Row, BulkError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
        let within = error.line().saturating_sub(1);
        BulkError::line(line + within as u64, None, format!("not JSON: {error}"))
    })?;
    let kind = match fields.remove("type") {
        Some(Value::String(word)) => Kind::from_word(&word),
        _ => None,
    };
    match kind {
        Some(kind) => Ok(Row { line, kind, fields }),
        None => Err(BulkError::line(line, Some("type"), KINDS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u64, Kind)>, String> {
        rows(io::Cursor::new(text.to_owned()))
            .map(|row| {
                row.map(|row| (row.line, row.kind))
                    .map_err(|error| error.to_string())
            })
            .collect()
    }

    #[test]
    fn an_array_and_one_after_the_other_are_read() {
        let (a, b) = (
            r#"{"type": "domain", "name": "{]\"[}"}"#,
            "{\"type\":\n\"domain-alias\", \"x\": [{}]}",
        );
        let expected = Ok(vec![(1, Kind::Domain), (2, Kind::DomainAlias)]);
        for text in [
            format!("{a}\n{b}\n"),
            format!("[{a},\n{b}]"),
            format!("  [ {a} ,\n{b}\n]\n"),
            format!("{a}\n{b}"),
        ] {
            assert_eq!(read(&text), expected, "{text}");
        }
        for empty in ["", " \n", "[]", "[\n]\n"] {
            assert_eq!(read(empty), Ok(vec![]), "{empty}");
        }
    }

    #[test]
    fn a_row_has_a_limit() {
        let begin: &[u8] = b"[{\"type\": \"";
        let error = rows(begin.chain(io::repeat(b'a'))).find_map(Result::err).unwrap();
        assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
    }

    /// Nothing that calls itself for each bracket would come back.
    #[test]
    fn a_row_is_only_so_deep() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let depth = 1_000_000;
            let text = format!(
                "{{\"type\": \"domain\", \"name\": {}1{}}}",
                open.repeat(depth),
                close.repeat(depth)
            );
            let error = read(&text).unwrap_err();
            assert!(error.starts_with("1: not JSON: recursion limit"), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_line() {
        for (text, said) in [
            ("[\n{\"type\": \"person\"}]", "2: type: domain,"),
            ("{}", "1: type: domain,"),
            ("\n\nnull", "3: not JSON"),
            ("[{\"type\": \"domain\"}\n{\"type\": \"domain\"}]", "2: not JSON"),
            ("[{\"type\": \"domain\"},\n]", "2: not JSON"),
            ("[{\"type\": \"domain\"}\n", "2: the array does not end"),
            ("[] x", "1: not JSON"),
            ("\n{\"type\":\n\"dom", "2: the object does not end"),
            ("{\"type\":\n\"domain\",\nname: 1}", "3: not JSON"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(said), "{text:?}: {error}");
        }
    }
}
