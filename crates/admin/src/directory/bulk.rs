//! `/api/v1/import` and `/api/v1/export`: files of objects, as they come and go.
//!
//! # Contract
//! * **All or nothing**, also when the client goes away in the middle.
//! * **An import is read to its end before it is answered**, so that the answer is heard.
//! * **An export that breaks off ends without its last chunk**: nobody takes it for whole.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use remuda_directory::{
    Directory,
    bulk::{Export, Format, Stored},
};
use serde::{Deserialize, Serialize};

use super::pieces;
use crate::{answer::Answer, parameters::Parameters, problem::Problem};

/// Of an import.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportParameters {
    #[serde(default)]
    format: FormatWord,
}

/// Of an export.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportParameters {
    #[serde(default)]
    format: FormatWord,
    passwords: Option<bool>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatWord {
    /// A table.
    Csv,
    /// An array.
    #[default]
    Json,
    /// An object a line.
    Ndjson,
}

impl FormatWord {
    /// What it stands for.
    pub fn format(self) -> Format {
        match self {
            FormatWord::Csv => Format::Csv,
            FormatWord::Json => Format::Json,
            FormatWord::Ndjson => Format::Ndjson,
        }
    }
}

pub async fn import(
    State(directory): State<Directory>,
    Parameters(given): Parameters<ImportParameters>,
    request: Request,
) -> Answer<Stored> {
    let (pump, file) = pieces::read(request.into_body());
    let (stored, ()) = tokio::join!(directory.import_from(given.format.format(), file), pump);
    Ok(Json(stored?))
}

pub async fn export(
    State(directory): State<Directory>,
    Parameters(given): Parameters<ExportParameters>,
) -> Result<Response, Problem> {
    let how = Export {
        format: given.format.format(),
        with_passwords: given.passwords.unwrap_or(false),
    };
    let kind = match given.format {
        FormatWord::Csv => "text/csv; charset=utf-8",
        FormatWord::Json => "application/json",
        FormatWord::Ndjson => "application/x-ndjson",
    };
    let file = pieces::Written::begin(directory, how).await?;
    Ok(([(header::CONTENT_TYPE, kind)], Body::new(file)).into_response())
}
