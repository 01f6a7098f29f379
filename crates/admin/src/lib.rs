//! The HTTP API: what an operator may ask of the running server, as JSON, and its metrics.
//!
//! ```text
//!   client ──HTTP──▶ token ──▶ path ──▶ Operations (engine) ──▶ JSON or problem details
//!                                  └──▶ Directory ──────────────▶
//! ```
//!
//! # Contract
//! * **Nothing is answered without the token** but `/healthz` and `/readyz`; the comparison takes the same
//!   time whatever is wrong.
//! * **Every error is problem details** (RFC 9457): a wrong path, method or parameter too.
//! * **An unknown parameter is an error**, not something ignored: `?destinaton=` must not delete everything.
//! * **Whoever changes many things at once says so**: a bulk verb needs `destination=` or `all=true`.
//!
//! # Not here
//! What the answers mean (`remuda_engine::operations`, `remuda_directory`); what is counted of mail
//! (`remuda_engine::metrics`).
//!
//! # Limits
//! [`CONNECTIONS_MAX`] connections at once; more wait in the kernel.
//!
//! # Known faults
//! A client that connects and says nothing keeps its connection until it goes away or the server stops.

mod answer;
mod body;
mod bounded;
mod connections;
pub mod directory;
mod hosts;
mod metrics;
mod openapi;
mod parameters;
mod problem;
mod queue;
mod server;
mod status;
mod token;

pub use bounded::CONNECTIONS_MAX;
pub use server::{Bound, Server, StartError};
pub use token::{Token, TokenError};

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use remuda_directory::Directory;
use remuda_engine::operations::Operations;

use problem::Problem;

/// What every path works with.
#[derive(Clone)]
struct Shared {
    operations: Arc<dyn Operations>,
    directory: Directory,
    token: Arc<Token>,
}

/// All paths. Public for tests of the program; [`Bound::serve`] is what runs it.
pub fn router(operations: Arc<dyn Operations>, directory: Directory, token: Token) -> Router {
    let shared = Shared {
        operations,
        directory: directory.clone(),
        token: Arc::new(token),
    };
    let guarded = Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/queue", get(queue::list).delete(queue::delete_many))
        .route("/api/v1/queue/summary", get(queue::summary))
        .route("/api/v1/queue/retry", post(queue::retry_many))
        .route("/api/v1/queue/hold", post(queue::hold_many))
        .route("/api/v1/queue/release", post(queue::release_many))
        .route("/api/v1/queue/delete", post(queue::delete_many))
        .route("/api/v1/queue/{id}", get(queue::show).delete(queue::delete))
        .route("/api/v1/queue/{id}/retry", post(queue::retry))
        .route("/api/v1/queue/{id}/hold", post(queue::hold))
        .route("/api/v1/queue/{id}/release", post(queue::release))
        .route(
            "/api/v1/connections",
            get(connections::list).delete(connections::retire),
        )
        .route("/api/v1/connection-cache", get(connections::statistics))
        .route("/api/v1/hosts", get(hosts::list))
        .route("/api/v1/hosts/{endpoint}", delete(hosts::forget))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/metrics", get(status::metrics))
        .merge(of_directory(directory, &shared.operations))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(shared.clone(), authorized));
    Router::new()
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .method_not_allowed_fallback(no_such_method)
        .merge(guarded)
        .with_state(shared)
}

/// The directory's paths, which may ask the engine where mail goes.
fn of_directory(directory: Directory, operations: &Arc<dyn Operations>) -> Router<Shared> {
    let routes = directory::routes().with_state(directory);
    routes.layer(Extension(operations.clone()))
}

/// Lets a request pass that has the token.
async fn authorized(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    if given.and_then(bearer).is_some_and(|given| shared.token.is(given)) {
        return next.run(request).await;
    }
    let detail = "send the header Authorization: Bearer TOKEN, with what stands in admin.token_file";
    let mut refused = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    refused.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        header::HeaderValue::from_static("Bearer"),
    );
    refused
}

/// The credentials behind `Bearer`, whose case does not matter (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such path; see /api/v1/openapi.json")
}

async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path has no such method; see /api/v1/openapi.json",
    )
}

#[cfg(test)]
mod tests;
