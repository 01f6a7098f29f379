//! Errors as RFC 9457 problem details.
//!
//! # Contract
//! * **A problem with a field names it**, as in the JSON that was sent; one of a file names the line.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use remuda_directory::{
    bulk::BulkError,
    control::ControlError,
    edit::EditError,
    model::Kind,
    store::{ChangeError, StoreError},
};
use remuda_engine::operations::OperationError;
use serde::Serialize;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    place: Place,
}

/// Where it is, as far as it has a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Place {
    /// Of the JSON that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Of the file that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// That the object has, where another was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
}

/// Its JSON.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    place: &'a Place,
}

impl Problem {
    /// A problem of this status; `detail` says what would be right.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem {
            status,
            detail: detail.into(),
            place: Place::default(),
        }
    }

    /// A request that cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A field of a request that is wrong.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Problem::bad_request(detail).at(field)
    }

    fn at(mut self, field: &str) -> Self {
        self.place.field = Some(field.to_owned());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            place: &self.place,
        };
        let mut response = (self.status, Json(body)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let status = match &error {
            OperationError::NoSuchMessage(_) | OperationError::NoSuchHost(_) => StatusCode::NOT_FOUND,
            OperationError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
            OperationError::Spool(_) | OperationError::Unroutable(_) | OperationError::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Problem::new(status, error.to_string())
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Field { ref field, .. } => Problem::field(field, error.to_string()),
            EditError::Change(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = error.to_string();
        match error {
            ChangeError::NoSuch(_) => Problem::new(StatusCode::NOT_FOUND, detail),
            ChangeError::Conflict { current } => {
                let mut problem = Problem::new(StatusCode::CONFLICT, detail);
                problem.place.version = Some(current);
                problem
            }
            ChangeError::Taken { by, .. } => Problem::new(StatusCode::CONFLICT, detail).at(name_field(by)),
            ChangeError::Invalid { field, .. } => Problem::field(field, detail),
            ChangeError::LimitReached { .. } | ChangeError::InUse(_) => {
                Problem::new(StatusCode::CONFLICT, detail)
            }
            ChangeError::Unknown { .. } => Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match &error {
            ControlError::Field { field, .. } => Problem::field(field, error.to_string()),
            ControlError::Keep(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<BulkError> for Problem {
    fn from(error: BulkError) -> Self {
        match error {
            BulkError::Line { line, field, reason } => {
                let detail = match &field {
                    Some(field) => format!("{field}: {reason}"),
                    None => reason,
                };
                let mut problem = Problem::bad_request(detail);
                problem.place = Place {
                    field,
                    line: Some(line),
                    version: None,
                };
                problem
            }
            BulkError::Read(_) => Problem::bad_request(error.to_string()),
            BulkError::Store(error) => error.into(),
            BulkError::Unknown(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

/// The field that names an object of this kind.
pub fn name_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain | Kind::DomainAlias => "name",
        Kind::Account | Kind::Alias | Kind::List => "address",
        Kind::Route => "domain",
    }
}
