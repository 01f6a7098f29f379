//! `/api/v1/status`, `/metrics`, and the two paths for supervisors, which need no token and tell no detail.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use remuda_engine::operations::{ServiceState, Status};

use crate::{
    Shared,
    answer::{Answer, answer},
    metrics,
    problem::Problem,
};

pub async fn status(State(shared): State<Shared>) -> Answer<Status> {
    answer(shared.operations.status()).await
}

/// OpenMetrics text, which Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub async fn metrics(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let engine = shared.operations.metrics_text().await?;
    let text = metrics::joined(engine, &shared.directory);
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text))
}

/// The process answers.
pub async fn healthz(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    match shared.operations.status().await {
        Ok(_) => Ok("ok\n"),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not healthy")),
    }
}

/// The server takes mail.
pub async fn readyz(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    let unavailable = |detail: &str| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    match shared.operations.status().await {
        Ok(status) if status.state != ServiceState::Ready => unavailable("stopping"),
        Ok(status) if status.admission.state != "open" => unavailable("not taking mail now"),
        Ok(_) => Ok("ready\n"),
        Err(_) => unavailable("not healthy"),
    }
}
