//! Changes: one transaction each, from the rules to what it touched.
//!
//! # Contract
//! * **Nothing of a refused change remains.**
//! * **What is touched is what the database's triggers have logged**, so that it holds for what follows of itself too:
//!   the addresses of a renamed domain, all that goes with one that is removed.
//! * **A COMMIT without an answer is unknown, not failed** (B14).
//! * **A change that came too close to another is tried again**: it finds out who has the name.

use remuda_clock::before;
use sqlx::{Connection as _, PgConnection, Postgres, Row as _, Transaction};

use super::super::{By, ChangeError, Changed, Deletion, StoreError, Touched, rules};
use super::{
    PostgresStore,
    error::{Trouble, is_refusal, store_error},
    place, row, statements,
};
use crate::model::{Kind, Mailbox, Object};

/// What is to be done.
pub(super) enum Change {
    /// A new object.
    Insert(Object),
    /// In place of the one with its id; the version that must be there.
    Update(Object, Option<i64>),
    /// No more.
    Delete(Kind, Which, Deletion),
}

/// As [`By`], of its own.
pub(super) enum Which {
    Id(i64),
    Name(String),
}

impl From<By<'_>> for Which {
    fn from(by: By<'_>) -> Self {
        match by {
            By::Id(id) => Which::Id(id),
            By::Name(name) => Which::Name(name.to_owned()),
        }
    }
}

impl PostgresStore {
    /// Makes a change.
    pub(super) async fn change(&self, change: Change) -> Result<Changed, ChangeError> {
        self.within(self.limits.change_max, self.ready()).await?;
        for _ in 1..ATTEMPTS {
            match self.attempt(&change).await {
                Err(trouble) if trouble.is_passing() => (),
                answer => return Ok(answer?),
            }
        }
        Ok(self.attempt(&change).await?)
    }

    async fn attempt(&self, change: &Change) -> Result<Changed, Trouble> {
        let deadline = self.clock.now().monotonic + self.limits.change_max;
        let mut connection = self.sound(&self.changes).await?;
        let work = async {
            let mut tx = connection.begin().await?;
            let object = make(&mut tx, change).await?;
            let touched = touched(&mut tx).await?;
            Ok::<_, Trouble>((tx, object, touched))
        };
        let Some(made) = before(&*self.clock, deadline, work).await else {
            let late = format!("no answer within {:?}", self.limits.change_max);
            return Err(StoreError::Unavailable(late).into());
        };
        let (tx, object, touched) = made?;
        match self.commit(tx).await {
            Ok(()) => Ok(Changed { object, touched }),
            Err(Fate::Nothing(error)) => Err(error.into()),
            Err(Fate::Unknown(reason)) => Err(ChangeError::Unknown { reason, touched }.into()),
        }
    }

    /// Commits.
    pub(super) async fn commit(&self, tx: Transaction<'_, Postgres>) -> Result<(), Fate> {
        let deadline = self.clock.now().monotonic + self.limits.change_max;
        match before(&*self.clock, deadline, tx.commit()).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) if is_refusal(&error) => Err(Fate::Nothing(store_error(&error))),
            Some(Err(error)) => Err(Fate::Unknown(error.to_string())),
            None => Err(Fate::Unknown(format!(
                "no answer within {:?}",
                self.limits.change_max
            ))),
        }
    }
}

/// What a COMMIT that went wrong has done.
pub(super) enum Fate {
    Nothing(StoreError),
    Unknown(String),
}

/// What this transaction's changes have touched so far.
pub(super) async fn touched(tx: &mut PgConnection) -> Result<Vec<Touched>, sqlx::Error> {
    let mut all = Vec::new();
    for row in sqlx::query(TOUCHED).fetch_all(tx).await? {
        let kind: String = row.try_get(0)?;
        let Some(kind) = Kind::from_word(&kind) else {
            continue;
        };
        let name = |text: Option<String>| text.map(Into::into);
        let one = match row.try_get(1)? {
            None => Touched::All(kind),
            Some(id) => Touched::One {
                kind,
                id: Some(id),
                old: name(row.try_get(2)?),
                new: name(row.try_get(3)?),
            },
        };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    // What is said of a whole kind need not be said of one.
    let whole: Vec<Touched> = all
        .iter()
        .filter(|one| matches!(one, Touched::All(_)))
        .cloned()
        .collect();
    all.retain(|one| !matches!(one, Touched::One { kind, .. } if whole.contains(&Touched::All(*kind))));
    Ok(all)
}

async fn make(tx: &mut PgConnection, change: &Change) -> Result<Object, Trouble> {
    match change {
        Change::Insert(object) => {
            let stored = insert(tx, object).await?;
            place::has_catch_all(tx, &stored).await?;
            Ok(stored)
        }
        Change::Update(object, based_on) => {
            let old = held(tx, object.kind(), &Which::Id(object.head().id)).await?;
            is_based_on(&old, *based_on)?;
            let stored = replace(tx, object, &old).await?;
            place::has_catch_all(tx, &stored).await?;
            Ok(stored)
        }
        Change::Delete(kind, which, how) => delete(tx, *kind, which, how).await,
    }
}

/// Stores a new object. What it names is still to be looked at.
pub(super) async fn insert(tx: &mut PgConnection, object: &Object) -> Result<Object, Trouble> {
    rules::check(object)?;
    place::is_free_for(tx, object, None).await?;
    let statement = row::bound(statements::of(object.kind()).insert, object);
    let id: i64 = statement.fetch_one(&mut *tx).await?.try_get(0)?;
    store_parts(tx, object, id).await?;
    held(tx, object.kind(), &Which::Id(id)).await
}

/// Stores an object in place of `old`. What it names is still to be looked at.
pub(super) async fn replace(tx: &mut PgConnection, object: &Object, old: &Object) -> Result<Object, Trouble> {
    let (kind, id) = (object.kind(), old.head().id);
    let object = &follow(object, old);
    rules::check(object)?;
    place::is_free_for(tx, object, Some(old)).await?;
    let statement = row::bound(statements::of(kind).update, object);
    statement.bind(id).execute(&mut *tx).await?;
    store_parts(tx, object, id).await?;
    held(tx, kind, &Which::Id(id)).await
}

async fn delete(tx: &mut PgConnection, kind: Kind, which: &Which, how: &Deletion) -> Result<Object, Trouble> {
    let old = held(tx, kind, which).await?;
    is_based_on(&old, how.based_on)?;
    if kind == Kind::Domain {
        if !how.all_of_it {
            let count: i64 = sqlx::query_scalar(IN_DOMAIN)
                .bind(old.name())
                .fetch_one(&mut *tx)
                .await?;
            if count > 0 {
                return Err(ChangeError::InUse(count.unsigned_abs()).into());
            }
        }
        for statement in EMPTY_DOMAIN {
            sqlx::query(statement).bind(old.name()).execute(&mut *tx).await?;
        }
    }
    let statement = sqlx::query(statements::of(kind).delete);
    statement.bind(old.head().id).execute(tx).await?;
    Ok(old)
}

/// The object as it is, kept from others until the end of the transaction.
pub(super) async fn held(tx: &mut PgConnection, kind: Kind, which: &Which) -> Result<Object, Trouble> {
    let statements = statements::of(kind);
    let hold = match which {
        Which::Id(id) => sqlx::query(statements.hold_id).bind(*id),
        Which::Name(name) => sqlx::query(statements.hold_name).bind(name.as_str()),
    };
    // Two statements: the second sees what whoever held the row before has left.
    let row = hold.fetch_optional(&mut *tx).await?;
    let id: i64 = row.ok_or(ChangeError::NoSuch(kind))?.try_get(0)?;
    let row = sqlx::query(statements.by_id).bind(id).fetch_one(tx).await?;
    Ok(row::object(kind, &row)?)
}

/// A renamed domain's catch-all goes with it.
fn follow(object: &Object, old: &Object) -> Object {
    let mut object = object.clone();
    if let (Object::Domain(new), Object::Domain(old)) = (&mut object, old)
        && let Some(catch_all) = &new.catch_all
        && new.name != old.name
        && catch_all.domain() == old.name.as_str()
    {
        let renamed = format!("{}@{}", catch_all.address().local_part(), new.name);
        new.catch_all = Mailbox::typed(&renamed).ok();
    }
    object
}

/// The targets of an alias, the members of a list.
async fn store_parts(tx: &mut PgConnection, object: &Object, id: i64) -> Result<(), Trouble> {
    let (parts, statements) = match object {
        Object::Alias(one) => (&one.targets, [statements::DROP_TARGETS, statements::ADD_TARGETS]),
        Object::List(one) => (&one.members, [statements::DROP_MEMBERS, statements::ADD_MEMBERS]),
        _ => return Ok(()),
    };
    let parts: Vec<&str> = parts.iter().map(Mailbox::as_str).collect();
    for statement in statements {
        sqlx::query(statement)
            .bind(id)
            .bind(&parts)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

fn is_based_on(old: &Object, based_on: Option<i64>) -> Result<(), ChangeError> {
    let current = old.head().version;
    match based_on.is_none_or(|version| version == current) {
        true => Ok(()),
        false => Err(ChangeError::Conflict { current }),
    }
}

/// The first, and one more for each of: a database that was passing through something, a name just taken.
const ATTEMPTS: u32 = 3;

const TOUCHED: &str = "SELECT kind, id, old_name, new_name FROM change_log
    WHERE tx = pg_current_xact_id()::text::bigint ORDER BY seq";
const IN_DOMAIN: &str = "SELECT (SELECT count(*) FROM account WHERE domain = $1)
    + (SELECT count(*) FROM alias WHERE domain = $1) + (SELECT count(*) FROM list WHERE domain = $1)
    + (SELECT count(*) FROM domain_alias WHERE domain = $1)";
const EMPTY_DOMAIN: [&str; 4] = [
    "DELETE FROM account WHERE domain = $1",
    "DELETE FROM alias WHERE domain = $1",
    "DELETE FROM list WHERE domain = $1",
    "DELETE FROM domain_alias WHERE domain = $1",
];
