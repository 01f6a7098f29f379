//! The directory's paths without a server: for commands that work on the database itself.
//!
//! # Contract
//! * **It answers as the server does**: the same paths, checks and problem details. There is no token, since who
//!   can open the database may change it.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header},
};
use remuda_directory::Directory;
use tower::ServiceExt;

use crate::{body::BODY_MAX, no_such_method, no_such_path};

/// See the module.
#[derive(Clone)]
pub struct Local {
    router: Router,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Whether it was carried out.
    pub is_success: bool,
    /// JSON: the answer or the problem.
    pub text: String,
}

impl Local {
    /// The paths over a directory.
    pub fn new(directory: Directory) -> Local {
        let router = super::routes()
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .with_state(directory);
        Local { router }
    }

    /// Asks. The path has its query with it; `version`: that the object must have.
    pub async fn ask(
        &self,
        (method, path): (&str, &str),
        body: Option<String>,
        version: Option<i64>,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(version) = version {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        let Ok(request) = request.body(body.map_or_else(Body::empty, Body::from)) else {
            return Answered {
                is_success: false,
                text: format!("{path:?} is no path"),
            };
        };
        let Ok(response) = self.router.clone().oneshot(request).await;
        let is_success = response.status().is_success();
        let octets = to_bytes(response.into_body(), ANSWER_MAX)
            .await
            .unwrap_or_default();
        Answered {
            is_success,
            text: String::from_utf8_lossy(&octets).into_owned(),
        }
    }
}

/// A page of lists with all their members.
const ANSWER_MAX: usize = 16 * BODY_MAX;
