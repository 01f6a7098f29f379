//! `/api/v1/hosts`.

use axum::extract::State;
use remuda_engine::operations::{ForgottenHosts, HostFilter, Hosts};

use crate::{
    Shared,
    answer::{Answer, answer},
    parameters::{HostParameters, Parameters, Place},
};

pub async fn list(
    State(shared): State<Shared>,
    Parameters(given): Parameters<HostParameters>,
) -> Answer<Hosts> {
    answer(shared.operations.hosts(HostFilter::try_from(given)?)).await
}

pub async fn forget(State(shared): State<Shared>, Place(endpoint): Place) -> Answer<ForgottenHosts> {
    answer(shared.operations.forget_host(endpoint)).await
}
