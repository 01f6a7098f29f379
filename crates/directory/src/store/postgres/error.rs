//! What the driver says, as the store answers it.
//!
//! # Contract
//! * **A failure is told from a refusal by its SQLSTATE**, never by its words.

use super::super::{ChangeError, StoreError};

/// Why a change did not happen.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A rule is against it.
    Refused(ChangeError),
    /// The database failed, or refused a statement.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Trouble::Database(error)
    }
}

impl From<ChangeError> for Trouble {
    fn from(error: ChangeError) -> Self {
        Trouble::Refused(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Refused(error.into())
    }
}

impl From<Trouble> for ChangeError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Database(error) => store_error(&error).into(),
        }
    }
}

impl Trouble {
    /// Answers whether the same again may go well: the database was passing through something, or somebody else
    /// has just taken the name, which the next try will find out about.
    pub fn is_passing(&self) -> bool {
        match self {
            Trouble::Refused(_) => false,
            Trouble::Database(error) => is_passing(error) || code(error).is_some_and(|code| code == UNIQUE),
        }
    }
}

/// The failure of a look-up.
pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
    match code(error) {
        Some(code) if !is_unavailable(&code) => StoreError::Query(error.to_string()),
        Some(_) => StoreError::Unavailable(error.to_string()),
        None if is_ours(error) => StoreError::Query(error.to_string()),
        None => StoreError::Unavailable(error.to_string()),
    }
}

/// Answers whether a statement that failed so is worth one more try on a sound connection (D12): deadlock,
/// serialization, lock time-out, a server that restarts, a connection that had been lost in the pool.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    match code(error) {
        Some(code) => matches!(code.as_str(), "40001" | "40P01" | "55P03") || code.starts_with("57P"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

/// Answers whether the database has said that it did not do the statement; else nobody knows.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"))
}

/// The database's SQLSTATE, if it is the database that speaks.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// Connection, authentication, no such database, resources, operator's intervention, read-only standby, and what
/// passes by itself.
fn is_unavailable(code: &str) -> bool {
    ["08", "28", "3D", "40", "53", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
        || matches!(code, "25006" | "55P03")
}

/// Answers whether it is a statement or a row that is wrong, and not the way to the database.
fn is_ours(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    matches!(
        error,
        E::RowNotFound
            | E::TypeNotFound { .. }
            | E::ColumnIndexOutOfBounds { .. }
            | E::ColumnNotFound(_)
            | E::ColumnDecode { .. }
            | E::Decode(_)
            | E::Encode(_)
    )
}

const UNIQUE: &str = "23505";

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::{super::tests::fresh, *};

    /// Every class of SQLSTATE as a real database says it.
    #[tokio::test]
    async fn a_failure_is_told_from_a_refusal_by_its_sqlstate() {
        let database = fresh();
        let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
        for (state, unavailable, passing, refusal) in [
            ("08006", true, false, false),
            ("25006", true, false, true),
            ("28P01", true, false, true),
            ("3D000", true, false, true),
            ("40001", true, true, true),
            ("40P01", true, true, true),
            ("53300", true, false, true),
            ("55P03", true, true, true),
            ("57014", true, false, true),
            ("57P01", true, true, false),
            ("57P03", true, true, false),
            ("58030", true, false, true),
            ("22012", false, false, true),
            ("23505", false, false, true),
            ("42P01", false, false, true),
        ] {
            let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$");
            let raised = sqlx::raw_sql(sqlx::AssertSqlSafe(raise))
                .execute(&mut connection)
                .await;
            let error = raised.unwrap_err();
            let said = store_error(&error);
            assert_eq!(
                matches!(said, StoreError::Unavailable(_)),
                unavailable,
                "{state}: {said:?}"
            );
            assert_eq!(is_passing(&error), passing, "{state}");
            assert_eq!(is_refusal(&error), refusal, "{state}");
        }
        // A name that was taken meanwhile is worth another look at whose it is.
        let taken = "DO $$ BEGIN RAISE unique_violation; END $$";
        let error = sqlx::raw_sql(taken).execute(&mut connection).await.unwrap_err();
        assert!(Trouble::from(error).is_passing());
    }

    #[test]
    fn what_is_lost_on_the_way_is_no_refusal() {
        let lost = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(is_passing(&lost) && !is_refusal(&lost));
        assert!(matches!(store_error(&lost), StoreError::Unavailable(_)));
        assert!(matches!(
            store_error(&sqlx::Error::PoolTimedOut),
            StoreError::Unavailable(_)
        ));
        let ours = sqlx::Error::ColumnNotFound("colour".into());
        assert!(matches!(store_error(&ours), StoreError::Query(_)));
    }
}
