//! An answer: JSON of what an operation returned, or the problem.

use axum::Json;
use remuda_engine::operations::{OperationError, Pending};

use crate::problem::Problem;

/// What a path answers.
pub type Answer<T> = Result<Json<T>, Problem>;

/// Waits for an operation and answers with its JSON.
pub async fn answer<T>(pending: Pending<'_, Result<T, OperationError>>) -> Answer<T> {
    Ok(Json(pending.await?))
}
