//! The directory's paths: objects, resolution, the object cache, files.
//!
//! # Contract
//! * **A reply means that every later look-up sees the change** (A5, B2, B5).
//! * **Errors name the field**: wrong 400, not there 404, taken, in use or changed meanwhile 409, the database does
//!   not answer 503.
//! * **They need no engine**: commands use the same paths on the database itself ([`Local`]).
//!
//! # Not here
//! What may be said of an object (`remuda_directory::edit`); the audit log (there too).

mod bulk;
mod local;
mod object_cache;
mod objects;
mod pieces;
mod resolve;

use axum::{
    Router,
    routing::{get, post},
};
use remuda_directory::{Directory, model::Kind};

pub use local::{Answered, Local};
pub use object_cache::Dropped;
pub use objects::{Objects, encoded};
pub use resolve::{Meant, Resolved, StepShown};

/// The paths, to be had by who has the token.
pub fn routes() -> Router<Directory> {
    let mut routes = Router::new()
        .route("/api/v1/lists/{name}/members", objects::members())
        .route("/api/v1/resolve", post(resolve::resolve))
        .route(
            "/api/v1/object-cache",
            get(object_cache::status).patch(object_cache::set),
        )
        .route("/api/v1/object-cache/clear", post(object_cache::clear))
        .route(
            "/api/v1/object-cache/reset-stats",
            post(object_cache::reset_statistics),
        )
        .route("/api/v1/object-cache/{type}/{key}", get(object_cache::show))
        .route("/api/v1/import", post(bulk::import))
        .route("/api/v1/export", get(bulk::export));
    for kind in Kind::ALL {
        let path = collection(kind);
        routes = routes
            .route(path, objects::collection(kind))
            .route(&format!("{path}/{{name}}"), objects::one(kind));
    }
    routes
}

/// The path of a kind's objects.
pub fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain => "/api/v1/domains",
        Kind::DomainAlias => "/api/v1/domain-aliases",
        Kind::Account => "/api/v1/accounts",
        Kind::Alias => "/api/v1/aliases",
        Kind::List => "/api/v1/lists",
        Kind::Route => "/api/v1/routes",
    }
}
