//! `/api/v1/queue`: list, show, summary, and the verbs on one message or many.

use axum::extract::State;
use remuda_engine::operations::{Changed, MessageShown, Page, QueueFilter, Selection, Summary, Verb};

use crate::{
    Shared,
    answer::{Answer, answer},
    parameters::{BulkParameters, Id, ListParameters, Parameters},
};

pub async fn list(
    State(shared): State<Shared>,
    Parameters(given): Parameters<ListParameters>,
) -> Answer<Page> {
    answer(shared.operations.queue_list(QueueFilter::try_from(given)?)).await
}

pub async fn show(State(shared): State<Shared>, Id(id): Id) -> Answer<MessageShown> {
    answer(shared.operations.queue_show(id)).await
}

pub async fn summary(State(shared): State<Shared>) -> Answer<Summary> {
    answer(shared.operations.queue_summary()).await
}

pub async fn retry(State(shared): State<Shared>, Id(id): Id) -> Answer<Changed> {
    answer(
        shared
            .operations
            .queue_change(Verb::Retry, Selection::Message(id)),
    )
    .await
}

pub async fn hold(State(shared): State<Shared>, Id(id): Id) -> Answer<Changed> {
    answer(shared.operations.queue_change(Verb::Hold, Selection::Message(id))).await
}

pub async fn release(State(shared): State<Shared>, Id(id): Id) -> Answer<Changed> {
    answer(
        shared
            .operations
            .queue_change(Verb::Release, Selection::Message(id)),
    )
    .await
}

pub async fn delete(State(shared): State<Shared>, Id(id): Id) -> Answer<Changed> {
    answer(
        shared
            .operations
            .queue_change(Verb::Delete, Selection::Message(id)),
    )
    .await
}

type Bulk = Parameters<BulkParameters>;

async fn many(shared: &Shared, verb: Verb, given: BulkParameters) -> Answer<Changed> {
    answer(shared.operations.queue_change(verb, Selection::try_from(given)?)).await
}

pub async fn retry_many(State(shared): State<Shared>, Parameters(given): Bulk) -> Answer<Changed> {
    many(&shared, Verb::Retry, given).await
}

pub async fn hold_many(State(shared): State<Shared>, Parameters(given): Bulk) -> Answer<Changed> {
    many(&shared, Verb::Hold, given).await
}

pub async fn release_many(State(shared): State<Shared>, Parameters(given): Bulk) -> Answer<Changed> {
    many(&shared, Verb::Release, given).await
}

pub async fn delete_many(State(shared): State<Shared>, Parameters(given): Bulk) -> Answer<Changed> {
    many(&shared, Verb::Delete, given).await
}
