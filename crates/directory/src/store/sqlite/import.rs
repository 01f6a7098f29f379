//! Imports: many objects in one transaction.
//!
//! # Contract
//! * **All or nothing**: at the first object that cannot be stored, or when the sender gives up, nothing is.
//! * **What has a name already is replaced**; a password that the import does not bring stays.
//! * **Catch-alls are checked at the end**: their accounts come after their domains.
//! * **It is not told again** by the watch of this store ([`super::own`]).
//! * **Memory does not grow with the file**, but for [`TOUCHED_EACH_MAX`] names of each kind.
//!
//! # Limits
//! It holds the file's write lock from the first object to the last.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{Connection, Transaction};
use tokio::sync::mpsc;

use super::{
    change::{self, is_undone},
    connections::{Reach, failure},
    log,
    own::{OwnImport, OwnImports},
    rows,
};
use crate::{
    model::{Kind, Object},
    store::{
        By, ChangeError, Import, ImportError, Imported, Touched,
        rules::{self, Each, TOUCHED_EACH_MAX},
    },
};

impl Reach for ImportError {
    fn is_the_databases(&self) -> bool {
        match self {
            ImportError::Line { error, .. } => error.is_the_databases(),
            ImportError::GivenUp => false,
            ImportError::Store(_) | ImportError::Unknown(_) => true,
        }
    }
}

/// Stores all that comes, or nothing of it.
pub(super) fn import(
    db: &mut Connection,
    mut objects: mpsc::Receiver<Import>,
    own: &OwnImports,
) -> Result<Imported, ImportError> {
    let work = change::begin(db)?;
    let from = log::last(&work).map_err(failure)?.map_or(0, |last| last.seq);
    let mut so_far = SoFar::default();
    loop {
        match objects.blocking_recv() {
            Some(Import::Object(line, object)) => {
                so_far
                    .store(&work, line, *object)
                    .map_err(|error| at(line, error))?;
            }
            Some(Import::End) => break,
            None => return Err(ImportError::GivenUp),
        }
    }
    for (domain, line) in &so_far.catch_alls {
        let found = rows::current(&work, Kind::Domain, By::Name(domain))?;
        found
            .map_or(Ok(()), |found| change::check_catch_all(&work, &found))
            .map_err(|error| at(*line, error))?;
    }
    commit(work, from, own)?;
    Ok(so_far.imported())
}

fn commit(work: Transaction<'_>, from: i64, own: &OwnImports) -> Result<(), ImportError> {
    let last = log::last(&work).map_err(failure)?;
    let import = last.map(|last| OwnImport { from, last });
    if let Some(import) = &import {
        own.note(import.clone());
    }
    let Err(error) = work.commit() else { return Ok(()) };
    if let Some(import) = &import {
        own.take_back(import);
    }
    match is_undone(&error) {
        true => Err(failure(error).into()),
        false => Err(ImportError::Unknown(error.to_string())),
    }
}

fn at(line: u64, error: ChangeError) -> ImportError {
    match error {
        ChangeError::Store(error) => ImportError::Store(error),
        error => ImportError::Line { line, error },
    }
}

/// What an import has come to.
#[derive(Default)]
struct SoFar {
    imported: Imported,
    /// Domains with a catch-all, and the lines they came from.
    catch_alls: BTreeMap<String, u64>,
    touched: BTreeMap<Kind, Vec<Each>>,
}

impl SoFar {
    fn store(&mut self, db: &Transaction<'_>, line: u64, mut object: Object) -> Result<(), ChangeError> {
        rules::check(&object)?;
        let (kind, name): (Kind, Arc<str>) = (object.kind(), object.name().into());
        if matches!(&object, Object::Domain(domain) if domain.catch_all.is_some()) {
            self.catch_alls.insert(name.to_string(), line);
        }
        let before = rows::current(db, kind, By::Name(&name))?;
        object.head_mut().id = before.as_ref().map_or(0, |before| before.head().id);
        let changed = match &before {
            Some(before) => {
                self.imported.replaced += 1;
                keep_secrets(&mut object, before);
                change::replace_within(db, &object, before)?
            }
            None => {
                self.imported.created += 1;
                change::insert_within(db, &object)?
            }
        };
        let touched = self.touched.entry(kind).or_default();
        if touched.len() <= TOUCHED_EACH_MAX {
            let old = before.is_some().then(|| name.clone());
            touched.push((changed.object.head().id, old, Some(name)));
        }
        Ok(())
    }

    fn imported(self) -> Imported {
        let touched: Vec<Touched> = self
            .touched
            .into_iter()
            .flat_map(|(kind, each)| rules::touched(kind, each))
            .collect();
        Imported {
            touched,
            ..self.imported
        }
    }
}

/// Files hold no passwords.
fn keep_secrets(object: &mut Object, before: &Object) {
    match (object, before) {
        (Object::Account(new), Object::Account(old)) if new.hash.is_none() => new.hash.clone_from(&old.hash),
        (Object::Route(new), Object::Route(old)) if new.password.is_none() => {
            new.password.clone_from(&old.password);
        }
        _ => {}
    }
}
