//! `/api/v1/connections` and `/api/v1/connection-cache`.

use axum::{Json, extract::State};
use remuda_engine::operations::{CacheStatistics, Connection, ConnectionFilter, RetiredParked};

use crate::{
    Shared,
    answer::{Answer, answer},
    parameters::{ConnectionParameters, Parameters, StatisticsParameters},
};

pub async fn list(
    State(shared): State<Shared>,
    Parameters(given): Parameters<ConnectionParameters>,
) -> Answer<Vec<Connection>> {
    answer(shared.operations.connections(ConnectionFilter::try_from(given)?)).await
}

pub async fn retire(
    State(shared): State<Shared>,
    Parameters(given): Parameters<ConnectionParameters>,
) -> Answer<RetiredParked> {
    answer(
        shared
            .operations
            .retire_parked(ConnectionFilter::try_from(given)?),
    )
    .await
}

pub async fn statistics(
    State(shared): State<Shared>,
    Parameters(given): Parameters<StatisticsParameters>,
) -> Answer<CacheStatistics> {
    let breakdown = match given.breakdown()? {
        Some((by, rows_max)) => Some(shared.operations.cache_breakdown(by, rows_max).await?),
        None => None,
    };
    let statistics = shared.operations.cache_statistics().await?;
    Ok(Json(CacheStatistics {
        breakdown,
        ..statistics
    }))
}
