//! Any file to be imported: objects or an error with a line of its own, and never a panic; what was read is
//! in normal form.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use remuda_directory::{
    bulk::{BulkError, Format, objects},
    edit::{parse, shown},
    model::Kind,
};

/// More would only hash passwords.
const OBJECTS_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some((head, file)) = data.split_first() else { return };
    let format = [Format::Csv, Format::Json, Format::Ndjson][usize::from(*head) % 3];
    let lines = file.iter().filter(|octet| matches!(octet, b'\n' | b'\r')).count() as u64 + 1;
    for read in objects(format, Cursor::new(file.to_vec())).take(OBJECTS_MAX) {
        match read {
            Ok((line, object)) => {
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
                if !matches!(object.kind(), Kind::Account | Kind::Route) {
                    let again = parse(object.kind(), shown(&object), None).expect("what is shown is taken");
                    assert_eq!(again, object);
                }
            }
            Err(BulkError::Line { line, reason, .. }) => {
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {reason}");
                assert!(!reason.is_empty());
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
});
