//! Query parameters and path segments, with problem details for what is wrong with them.
//!
//! # Contract
//! * **Unknown parameters are refused** by the parameter structs (`deny_unknown_fields`).

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use remuda_engine::operations::{
    BREAKDOWN_MAX, BreakdownBy, ConnectionFilter, EntryStatus, HOSTS_DEFAULT, HOSTS_MAX, HostFilter,
    HostState, PAGE_DEFAULT, PAGE_MAX, QueueFilter, Selection,
};
use remuda_mail::{Destination, Endpoint, EntryId, MessageId};
use serde::{Deserialize, de::DeserializeOwned};

use crate::problem::Problem;

/// The query of a request.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Parameters(value)),
            Err(rejection) => Err(Problem::bad_request(in_words(&rejection.body_text()))),
        }
    }
}

/// What is wrong with a query, without the library's view of it.
fn in_words(text: &str) -> String {
    let detail = text
        .strip_prefix("Failed to deserialize query string: ")
        .unwrap_or(text);
    format!("query: {detail}").replace('`', "'")
}

/// The queue id in a path.
pub struct Id(pub MessageId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        let wrong = |_| Problem::bad_request(format!("{text:?} is not a queue id"));
        Ok(Id(text.parse().map_err(wrong)?))
    }
}

/// The endpoint in a path.
pub struct Place(pub Endpoint);

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        Ok(Place(endpoint(&text)?))
    }
}

/// Of `GET /api/v1/queue`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParameters {
    destination: Option<String>,
    sender: Option<String>,
    status: Option<EntryStatus>,
    limit: Option<usize>,
    after: Option<u64>,
}

impl TryFrom<ListParameters> for QueueFilter {
    type Error = Problem;

    fn try_from(given: ListParameters) -> Result<Self, Problem> {
        let limit = within(given.limit.unwrap_or(PAGE_DEFAULT), PAGE_MAX)?;
        Ok(QueueFilter {
            destination: given.destination.as_deref().map(destination),
            sender: given.sender,
            status: given.status,
            limit,
            after: given.after.map(EntryId),
        })
    }
}

/// Of the bulk verbs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkParameters {
    destination: Option<String>,
    all: Option<bool>,
}

impl TryFrom<BulkParameters> for Selection {
    type Error = Problem;

    fn try_from(given: BulkParameters) -> Result<Self, Problem> {
        match (given.destination, given.all.unwrap_or(false)) {
            (Some(name), false) => Ok(Selection::Destination(destination(&name))),
            (None, true) => Ok(Selection::All),
            _ => Err(Problem::bad_request("say which: destination=NAME or all=true")),
        }
    }
}

/// Of `/api/v1/connections`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionParameters {
    destination: Option<String>,
    endpoint: Option<String>,
}

impl TryFrom<ConnectionParameters> for ConnectionFilter {
    type Error = Problem;

    fn try_from(given: ConnectionParameters) -> Result<Self, Problem> {
        let endpoint = given.endpoint.as_deref().map(endpoint);
        Ok(ConnectionFilter {
            destination: given.destination.as_deref().map(destination),
            endpoint: endpoint.transpose()?,
        })
    }
}

/// Of `GET /api/v1/hosts`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostParameters {
    state: Option<HostState>,
    limit: Option<usize>,
}

impl TryFrom<HostParameters> for HostFilter {
    type Error = Problem;

    fn try_from(given: HostParameters) -> Result<Self, Problem> {
        Ok(HostFilter {
            state: given.state,
            limit: within(given.limit.unwrap_or(HOSTS_DEFAULT), HOSTS_MAX)?,
        })
    }
}

/// Of `GET /api/v1/connection-cache`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsParameters {
    by: Option<BreakdownBy>,
    limit: Option<usize>,
}

impl StatisticsParameters {
    /// What figures are asked for, and how many one by one.
    pub fn breakdown(self) -> Result<Option<(BreakdownBy, usize)>, Problem> {
        let StatisticsParameters { by, limit } = self;
        let rows_max = limit.unwrap_or(BREAKDOWN_DEFAULT);
        if by.is_none() && limit.is_some() {
            return Err(Problem::bad_request(
                "limit goes with by=destination or by=endpoint",
            ));
        }
        let rows_max = within(rows_max, BREAKDOWN_MAX)?;
        Ok(by.map(|by| (by, rows_max)))
    }
}

/// Rows of a breakdown when nothing is asked for.
const BREAKDOWN_DEFAULT: usize = 100;

/// A limit that may be.
pub fn within(limit: usize, max: usize) -> Result<usize, Problem> {
    match limit {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_request(format!("limit must be from 1 to {max}"))),
    }
}

fn endpoint(text: &str) -> Result<Endpoint, Problem> {
    let wrong = |_| Problem::bad_request(format!("endpoint {text:?} is neither ADDRESS:PORT nor /PATH"));
    text.parse().map_err(wrong)
}

/// As it was written: the engine knows which one is meant.
fn destination(text: &str) -> Destination {
    Destination::from_key(text)
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_wrong_parameter_is_named_in_plain_words() {
        let rejected = "Failed to deserialize query string: foo: unknown field `foo`, expected `limit`";
        assert_eq!(
            in_words(rejected),
            "query: foo: unknown field 'foo', expected 'limit'"
        );
    }
}
