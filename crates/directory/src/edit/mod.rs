//! Changes as people write them: JSON in, objects and errors that name the field out.
//!
//! # Contract
//! * **POST and PUT begin with the defaults, PATCH with what is there** (RFC 7396: null takes a value away).
//! * **An error names the field** and says what is wrong with it.
//! * **Passwords are hashed before they go anywhere**; a hash in a known form is taken as `password_hash`. A change
//!   that does not name the password keeps it; null takes it away.
//! * **What the store gives (id, version, times) is not taken from the outside.**
//! * **Every change is a line of the audit log**, which names fields and no secret ([`audit`]).

pub(crate) mod audit;
mod parse;

use serde_json::{Map, Value};

pub(crate) use self::parse::name;
pub use self::parse::{EditError, parse, shown};
use crate::{
    directory::Directory,
    model::{Kind, List, Mailbox, Object},
    store::{By, ChangeError, Deletion, StoreError},
};

/// How much of an object a change says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it: what is not named gets its default.
    Whole,
    /// What is named.
    Part,
}

impl Directory {
    /// Creates an object.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn create(&self, kind: Kind, fields: Map<String, Value>) -> Result<Object, EditError> {
        let directory = self.clone();
        detached(async move {
            let secrets = audit::secrets(&fields);
            let object = parse::off_thread(kind, fields, None).await?;
            let created = directory.insert(object).await?;
            audit::created(&created, secrets);
            Ok(created)
        })
        .await
    }

    /// Changes an object, also its name.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn edit(
        &self,
        (kind, name): (Kind, &str),
        extent: Extent,
        fields: Map<String, Value>,
        based_on: Option<i64>,
    ) -> Result<Object, EditError> {
        let name = parse::name(kind, name)?;
        let wanted = Wanted {
            kind,
            name,
            extent,
            fields,
        };
        let directory = self.clone();
        detached(async move { directory.make(&wanted, based_on).await }).await
    }

    async fn make(&self, wanted: &Wanted, based_on: Option<i64>) -> Result<Object, EditError> {
        let secrets = audit::secrets(&wanted.fields);
        for _ in 0..TRIES_MAX {
            let current = self.stored(wanted.kind, &wanted.name).await?;
            let version = current.head().version;
            if based_on.is_some_and(|based_on| based_on != version) {
                return Err(ChangeError::Conflict { current: version }.into());
            }
            match self.update(wanted.over(&current).await?, Some(version)).await {
                // Somebody else was faster, and nobody asked for that very version.
                Err(ChangeError::Conflict { .. }) if based_on.is_none() => {}
                changed => {
                    let changed = changed?;
                    audit::changed(&current, &changed, secrets);
                    return Ok(changed);
                }
            }
        }
        self.conflict(wanted.kind, &wanted.name).await
    }

    /// Removes an object; answers with what it was.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn remove(&self, kind: Kind, name: &str, how: Deletion) -> Result<Object, EditError> {
        let (directory, name) = (self.clone(), parse::name(kind, name)?);
        detached(async move {
            let removed = directory.delete(kind, &name, how).await?;
            audit::removed(&removed);
            Ok(removed)
        })
        .await
    }

    /// Reads an object, past the cache.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn show(&self, kind: Kind, name: &str) -> Result<Object, EditError> {
        let name = parse::name(kind, name)?;
        self.stored(kind, &name).await
    }

    /// Adds members to a list, or takes them out; who is there already, or not there, is no error.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn change_members(
        &self,
        list: &str,
        members: &[String],
        is_added: bool,
        based_on: Option<i64>,
    ) -> Result<Object, EditError> {
        let (directory, list) = (self.clone(), parse::name(Kind::List, list)?);
        let members: Result<Vec<Mailbox>, EditError> = members.iter().map(|one| parse::member(one)).collect();
        let members = members?;
        detached(async move {
            for _ in 0..TRIES_MAX {
                let Object::List(current) = directory.stored(Kind::List, &list).await? else {
                    return Err(ChangeError::NoSuch(Kind::List).into());
                };
                let version = based_on.unwrap_or(current.head.version);
                let wanted = Object::List(with_members(current.clone(), &members, is_added));
                match directory.update(wanted, Some(version)).await {
                    Err(ChangeError::Conflict { .. }) if based_on.is_none() => {}
                    changed => {
                        let changed = changed?;
                        audit::changed(&Object::List(current), &changed, Vec::new());
                        return Ok(changed);
                    }
                }
            }
            directory.conflict(Kind::List, &list).await
        })
        .await
    }

    async fn stored(&self, kind: Kind, name: &str) -> Result<Object, EditError> {
        let stored: Result<_, StoreError> = self.read(kind, By::Name(name)).await;
        let stored = stored.map_err(ChangeError::Store)?;
        Ok(stored.ok_or(ChangeError::NoSuch(kind))?)
    }

    async fn conflict(&self, kind: Kind, name: &str) -> Result<Object, EditError> {
        let current = self.stored(kind, name).await?.head().version;
        Err(ChangeError::Conflict { current }.into())
    }
}

/// A change of one object.
struct Wanted {
    kind: Kind,
    /// In normal form.
    name: String,
    extent: Extent,
    fields: Map<String, Value>,
}

impl Wanted {
    /// What comes in the place of `current`.
    async fn over(&self, current: &Object) -> Result<Object, EditError> {
        let base = match self.extent {
            Extent::Whole => None,
            Extent::Part => Some(shown(current)),
        };
        let fields = parse::merged(base, self.fields.clone());
        let mut object = parse::off_thread(self.kind, fields, Some(current)).await?;
        object.head_mut().id = current.head().id;
        Ok(object)
    }
}

/// Carries a change out as a task of its own: whoever goes away does not keep it out of the audit log.
async fn detached(
    change: impl Future<Output = Result<Object, EditError>> + Send + 'static,
) -> Result<Object, EditError> {
    tokio::spawn(change).await.unwrap_or_else(|panicked| {
        let (reason, touched) = (panicked.to_string(), Vec::new());
        Err(ChangeError::Unknown { reason, touched }.into())
    })
}

fn with_members(mut list: List, members: &[Mailbox], is_added: bool) -> List {
    match is_added {
        true => list.members.extend(members.iter().cloned()),
        false => list.members.retain(|one| !members.contains(one)),
    }
    list.members.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    list.members.dedup();
    list
}

/// How often a change is made again because somebody else was faster.
const TRIES_MAX: usize = 5;
