//! What comes with a request: JSON, and the version that a change is based on.
//!
//! # Contract
//! * **A body has a limit**: [`BODY_MAX`]; longer is 413.
//! * **What is no JSON object is 400**, whatever the content type says.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Octets of a body. A list of a hundred thousand members has three million.
pub const BODY_MAX: usize = 16 << 20;

/// The fields of a JSON object.
pub struct Fields(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request).await.map(Fields)
    }
}

/// A JSON object with known fields; an empty body is one without any.
pub struct Told<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let fields = Value::Object(read(request).await?);
        serde_json::from_value(fields).map(Told).map_err(|error| {
            let words = error.to_string();
            // Serde names what is missing or unknown in its words.
            let problem = Problem::bad_request(words.replace('`', "'"));
            match words.split('`').nth(1) {
                Some(field) => Problem::field(field, words.replace('`', "'")),
                None => problem,
            }
        })
    }
}

async fn read(request: Request) -> Result<Map<String, Value>, Problem> {
    let octets = to_bytes(request.into_body(), BODY_MAX).await.map_err(|_| {
        let detail = "the body is longer than 16 MiB, or did not come to its end";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })?;
    if octets.is_empty() {
        return Ok(Map::new());
    }
    let wrong = |error| Problem::bad_request(format!("the body is no JSON object: {error}"));
    serde_json::from_slice(&octets).map_err(wrong)
}

/// `If-Match`: the version that must be there; None: any.
pub struct BasedOn(pub Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for BasedOn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(BasedOn(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(BasedOn(None));
        }
        let version = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match version.unwrap_or(text).parse() {
            Ok(version) => Ok(BasedOn(Some(version))),
            Err(_) => Err(Problem::field(
                "If-Match",
                format!("If-Match {text:?} is not a version such as \"7\", as ETag had it"),
            )),
        }
    }
}
