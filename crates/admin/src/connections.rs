//! `/api/v1/connections` and `/api/v1/connection-cache`.

use axum::extract::State;
use remuda_engine::operations::{CacheStatistics, Connection, ConnectionFilter, RetiredParked};

use crate::{
    Shared,
    answer::{Answer, answer},
    parameters::{ConnectionParameters, Parameters},
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

pub async fn statistics(State(shared): State<Shared>) -> Answer<CacheStatistics> {
    answer(shared.operations.cache_statistics()).await
}
