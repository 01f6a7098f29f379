//! Changes as people write them: JSON in, objects and errors that name the field out.
//!
//! # Contract
//! * **POST and PUT begin with the defaults, PATCH with what is there** (RFC 7396: null takes a value away).
//! * **An error names the field** and says what is wrong with it.
//! * **Passwords are hashed before they go anywhere**; a hash in a known form is taken as `password_hash`. A change
//!   that does not name the password keeps it.
//! * **What the store gives (id, version, times) is not taken from the outside.**

mod parse;

use serde_json::{Map, Value};

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
        let object = parse::off_thread(kind, fields, None).await?;
        Ok(self.insert(object).await?)
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
        for _ in 0..TRIES_MAX {
            let current = self.stored(kind, &name).await?;
            let version = current.head().version;
            if let Some(wanted) = based_on
                && wanted != version
            {
                return Err(ChangeError::Conflict { current: version }.into());
            }
            let base = match extent {
                Extent::Whole => None,
                Extent::Part => Some(shown(&current)),
            };
            let mut object =
                parse::off_thread(kind, parse::merged(base, fields.clone()), Some(&current)).await?;
            object.head_mut().id = current.head().id;
            match self.update(object, Some(version)).await {
                // Somebody else was faster, and nobody asked for that very version.
                Err(ChangeError::Conflict { .. }) if based_on.is_none() => {}
                changed => return Ok(changed?),
            }
        }
        let current = self.stored(kind, &name).await?.head().version;
        Err(ChangeError::Conflict { current }.into())
    }

    /// Removes an object.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn remove(&self, kind: Kind, name: &str, how: Deletion) -> Result<Object, EditError> {
        let name = parse::name(kind, name)?;
        Ok(self.delete(kind, &name, how).await?)
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
        let list = parse::name(Kind::List, list)?;
        let members: Result<Vec<Mailbox>, EditError> = members.iter().map(|one| parse::member(one)).collect();
        let members = members?;
        for _ in 0..TRIES_MAX {
            let Object::List(current) = self.stored(Kind::List, &list).await? else {
                return Err(ChangeError::NoSuch(Kind::List).into());
            };
            let version = based_on.unwrap_or(current.head.version);
            let changed = with_members(current, &members, is_added);
            match self.update(Object::List(changed), Some(version)).await {
                Err(ChangeError::Conflict { .. }) if based_on.is_none() => {}
                changed => return Ok(changed?),
            }
        }
        let current = self.stored(Kind::List, &list).await?.head().version;
        Err(ChangeError::Conflict { current }.into())
    }

    async fn stored(&self, kind: Kind, name: &str) -> Result<Object, EditError> {
        let stored: Result<_, StoreError> = self.read(kind, By::Name(name)).await;
        let stored = stored.map_err(ChangeError::Store)?;
        Ok(stored.ok_or(ChangeError::NoSuch(kind))?)
    }
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
