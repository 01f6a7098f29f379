//! The whole directory as a file.
//!
//! # Contract
//! * **Domains come first**, then what is in them: an import can go in the same order.
//! * **Who reads slowly is waited for**; who is gone ends it.

use remuda_mail::Secret;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::{Format, csv};
use crate::{
    directory::Directory,
    edit::shown,
    model::{Kind, Object},
    store::{Page, StoreError},
};

/// What is exported, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// How it is written.
    pub format: Format,
    /// Hashes of accounts' passwords (`password_hash`) and passwords of routes (`password`) too.
    pub with_passwords: bool,
}

/// How an export ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All is there; so many objects.
    All(u64),
    /// Nobody reads any more.
    LeftAlone,
}

impl Directory {
    /// Writes all objects, a piece at a time.
    ///
    /// # Errors
    /// The database failed; what has been written is not all.
    pub async fn export_to(&self, how: Export, to: mpsc::Sender<Vec<u8>>) -> Result<Written, StoreError> {
        let mut written = 0;
        let mut piece = head(how);
        for kind in Kind::ALL {
            let mut page = Page {
                limit: PAGE,
                ..Page::default()
            };
            loop {
                let objects = self.page(kind, &page).await?;
                for object in &objects {
                    put(&mut piece, how, object, written == 0);
                    written += 1;
                }
                if to.send(std::mem::take(&mut piece)).await.is_err() {
                    return Ok(Written::LeftAlone);
                }
                match objects.last() {
                    Some(last) if objects.len() == PAGE as usize => page.after = Some(last.name().to_owned()),
                    _ => break,
                }
            }
        }
        match to.send(foot(how, written)).await {
            Ok(()) => Ok(Written::All(written)),
            Err(_) => Ok(Written::LeftAlone),
        }
    }
}

fn head(how: Export) -> Vec<u8> {
    match how.format {
        Format::Csv => csv::record(csv::columns(how.with_passwords)),
        Format::Json => b"[".to_vec(),
        Format::Ndjson => Vec::new(),
    }
}

fn foot(how: Export, written: u64) -> Vec<u8> {
    match (how.format, written) {
        (Format::Json, 0) => b"]\n".to_vec(),
        (Format::Json, _) => b"\n]\n".to_vec(),
        (Format::Csv | Format::Ndjson, _) => Vec::new(),
    }
}

fn put(piece: &mut Vec<u8>, how: Export, object: &Object, is_first: bool) {
    let fields = fields(object, how.with_passwords);
    match how.format {
        Format::Csv => piece.extend(csv::line(object.kind(), &fields, how.with_passwords)),
        Format::Json => {
            piece.extend_from_slice(if is_first { b"\n" } else { b",\n" });
            piece.extend(json(object.kind(), fields));
        }
        Format::Ndjson => {
            piece.extend(json(object.kind(), fields));
            piece.push(b'\n');
        }
    }
}

fn json(kind: Kind, fields: Map<String, Value>) -> Vec<u8> {
    let mut all = Map::new();
    all.insert("type".to_owned(), kind.as_str().into());
    all.extend(fields);
    Value::Object(all).to_string().into_bytes()
}

/// What an import takes: neither what the store gives, nor what is not there.
fn fields(object: &Object, with_passwords: bool) -> Map<String, Value> {
    let mut fields = shown(object);
    fields.retain(|name, value| !value.is_null() && !GIVEN.contains(&name.as_str()));
    let secret = match object {
        Object::Account(account) => account.hash.as_ref().map(|hash| ("password_hash", hash)),
        Object::Route(route) => route.password.as_ref().map(|password| ("password", password)),
        _ => None,
    };
    if let Some((name, secret)) = secret.filter(|_| with_passwords) {
        fields.insert(name.to_owned(), Secret::reveal(secret).into());
    }
    fields
}

/// What the store gives.
const GIVEN: [&str; 4] = ["id", "version", "created", "changed"];
/// Objects read at a time.
const PAGE: u32 = 1000;
