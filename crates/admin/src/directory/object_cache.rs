//! `/api/v1/object-cache`: how it is, what holds, what lies in it.

use axum::{
    Json,
    extract::{Path, State},
};
use remuda_directory::{
    Directory,
    control::{CacheShown, CacheStatus, changes},
    model::Kind,
};
use serde::{Deserialize, Serialize};

use crate::{
    answer::Answer,
    body::{Fields, Told},
    problem::Problem,
};

/// What a clear has dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Objects and absences.
    pub dropped: usize,
}

/// What is to be cleared; nothing named: everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    r#type: Option<String>,
    key: Option<String>,
}

pub async fn status(State(directory): State<Directory>) -> Json<CacheStatus> {
    Json(directory.cache_status())
}

pub async fn set(State(directory): State<Directory>, Fields(fields): Fields) -> Answer<CacheStatus> {
    directory.cache_set(changes(&fields)?).await?;
    Ok(Json(directory.cache_status()))
}

pub async fn clear(State(directory): State<Directory>, Told(given): Told<Clear>) -> Answer<Dropped> {
    let kind = given.r#type.as_deref().map(kind).transpose()?;
    let dropped = match (kind, given.key) {
        (Some(kind), Some(key)) => directory.cache_forget(kind, &key)?,
        (None, Some(_)) => return Err(Problem::field("type", "type: a key needs its type")),
        (kind, None) => directory.cache_clear(kind),
    };
    Ok(Json(Dropped { dropped }))
}

pub async fn reset_statistics(State(directory): State<Directory>) -> Json<CacheStatus> {
    directory.reset_statistics();
    Json(directory.cache_status())
}

pub async fn show(
    State(directory): State<Directory>,
    Path((word, key)): Path<(String, String)>,
) -> Answer<CacheShown> {
    Ok(Json(directory.cache_show(kind(&word)?, &key)?))
}

fn kind(word: &str) -> Result<Kind, Problem> {
    Kind::from_word(word).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::as_str).join(", ");
        Problem::field("type", format!("type {word:?} is none of {words}"))
    })
}
