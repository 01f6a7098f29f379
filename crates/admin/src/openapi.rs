//! `/api/v1/openapi.json`: the description of the API for programs.
//!
//! Paths come from one table; the schema of an answer is read off an example of the very struct that is
//! serialized, so that no name can be described that is not sent.
//!
//! # Contract
//! * **Every path of the router is described**, with its parameters and its answer.

mod samples;
mod schema;

use axum::Json;
use remuda_engine::operations::HostState;
use serde_json::{Map, Value, json};

/// One operation.
struct Described {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    /// The name of the answer's schema; None = text.
    answer: Option<&'static str>,
}

const fn described(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: Option<&'static str>,
) -> Described {
    Described {
        method,
        path,
        summary,
        parameters,
        answer,
    }
}

const BULK: &[&str] = &["destination", "all"];
const CONNECTIONS: &[&str] = &["destination", "endpoint"];
const BREAKDOWN: &[&str] = &["by", "limit"];
const HOSTS: &[&str] = &["state", "limit"];
const LIST: &[&str] = &["destination", "sender", "status", "limit", "after"];

const OPERATIONS: &[Described] = &[
    described("get", "/api/v1/status", "How the server is", &[], Some("Status")),
    described("get", "/api/v1/queue", "A page of the queue", LIST, Some("Page")),
    described("delete", "/api/v1/queue", "Delete many", BULK, Some("Changed")),
    described(
        "get",
        "/api/v1/queue/summary",
        "The queue by destination and age",
        &[],
        Some("Summary"),
    ),
    described(
        "post",
        "/api/v1/queue/retry",
        "Try many now",
        BULK,
        Some("Changed"),
    ),
    described("post", "/api/v1/queue/hold", "Hold many", BULK, Some("Changed")),
    described(
        "post",
        "/api/v1/queue/release",
        "Release many",
        BULK,
        Some("Changed"),
    ),
    described(
        "post",
        "/api/v1/queue/delete",
        "Delete many",
        BULK,
        Some("Changed"),
    ),
    described(
        "get",
        "/api/v1/queue/{id}",
        "One message with its attempts",
        &["{id}"],
        Some("MessageShown"),
    ),
    described(
        "delete",
        "/api/v1/queue/{id}",
        "Delete it, without a report",
        &["{id}"],
        Some("Changed"),
    ),
    described(
        "post",
        "/api/v1/queue/{id}/retry",
        "Try it now",
        &["{id}"],
        Some("Changed"),
    ),
    described(
        "post",
        "/api/v1/queue/{id}/hold",
        "Keep it until released",
        &["{id}"],
        Some("Changed"),
    ),
    described(
        "post",
        "/api/v1/queue/{id}/release",
        "End its hold",
        &["{id}"],
        Some("Changed"),
    ),
    described(
        "get",
        "/api/v1/connections",
        "Outbound sessions, parked and in use",
        CONNECTIONS,
        Some("Connections"),
    ),
    described(
        "delete",
        "/api/v1/connections",
        "Retire parked sessions",
        CONNECTIONS,
        Some("RetiredParked"),
    ),
    described(
        "get",
        "/api/v1/connection-cache",
        "Statistics of the connection cache; with by also figures by destination or endpoint",
        BREAKDOWN,
        Some("CacheStatistics"),
    ),
    described(
        "get",
        "/api/v1/hosts",
        "What is remembered of each host, those in trouble first",
        HOSTS,
        Some("Hosts"),
    ),
    described(
        "delete",
        "/api/v1/hosts/{endpoint}",
        "Forget what was learned of it",
        &["{endpoint}"],
        Some("ForgottenHosts"),
    ),
    described("get", "/api/v1/openapi.json", "This description", &[], None),
    described(
        "get",
        "/metrics",
        "Counters in Prometheus' text format",
        &[],
        None,
    ),
    described(
        "get",
        "/healthz",
        "Is the process well? Needs no token",
        &[],
        None,
    ),
    described(
        "get",
        "/readyz",
        "Does the server take mail? Needs no token",
        &[],
        None,
    ),
];

/// Answers with the description.
pub async fn document() -> Json<Value> {
    Json(build())
}

/// Builds the description.
pub fn build() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    let mut schemas: Map<String, Value> = Map::new();
    for (name, sample) in samples::all() {
        schemas.insert(name.to_owned(), schema::of_sample(&sample));
    }
    schemas.insert("Problem".to_owned(), schema::of_sample(&samples::problem()));
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Remuda", "version": env!("CARGO_PKG_VERSION")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn describe(operation: &Described) -> Value {
    let content = match operation.answer {
        Some(name) => {
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}})
        }
        None => json!({"text/plain": {"schema": {"type": "string"}}}),
    };
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let mut described = json!({
        "summary": operation.summary,
        "parameters": operation.parameters.iter().map(|name| parameter(name)).collect::<Vec<_>>(),
        "responses": {
            "200": {"description": "Done", "content": content},
            "default": {"description": "What is wrong", "content": problem},
        },
    });
    if matches!(operation.path, "/healthz" | "/readyz") {
        described["security"] = json!([]);
    }
    described
}

/// A parameter; one of the path stands in braces, as it does there.
fn parameter(name: &str) -> Value {
    let text = || json!({"type": "string"});
    let (schema, description) = match name {
        "{id}" => (text(), "The queue id"),
        "{endpoint}" => (text(), "ADDRESS:PORT, or the path of a socket"),
        "destination" => (text(), "Only this destination"),
        "endpoint" => (text(), "Only this ADDRESS:PORT, or path of a socket"),
        "sender" => (text(), "Only from this sender; empty for the null sender"),
        "status" => (one_of(&["queued", "deferred", "held"]), "Only in this state"),
        "state" => (
            one_of(&HostState::ALL.map(HostState::as_str)),
            "Only in this state",
        ),
        "by" => (
            one_of(&["destination", "endpoint"]),
            "Figures of each destination or endpoint, the busiest first",
        ),
        "limit" => (json!({"type": "integer", "minimum": 1}), "How many at most"),
        "after" => (
            json!({"type": "integer"}),
            "Only behind this entry: next of the page before",
        ),
        _ => (json!({"type": "boolean"}), "true: the whole queue"),
    };
    let in_path = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    let place = if in_path.is_some() { "path" } else { "query" };
    json!({
        "name": in_path.unwrap_or(name),
        "in": place,
        "required": in_path.is_some(),
        "schema": schema,
        "description": description,
    })
}

/// One of these words.
fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_schema_and_every_schema_an_answer() {
        let names: Vec<&str> = samples::all().iter().map(|(name, _)| *name).collect();
        for operation in OPERATIONS {
            assert!(
                operation.answer.is_none_or(|name| names.contains(&name)),
                "{}",
                operation.path
            );
        }
        for name in names {
            assert!(
                OPERATIONS.iter().any(|operation| operation.answer == Some(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn schemas_have_the_names_that_are_sent() {
        let document = build();
        let status = &document["components"]["schemas"]["Status"];
        assert_eq!(
            status["properties"]["queue"]["properties"]["active"]["type"],
            "integer"
        );
        assert_eq!(status["properties"]["uptime_seconds"]["type"], "number");
        assert!(document["paths"]["/api/v1/queue/{id}/retry"]["post"].is_object());
        assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
        let forget = &document["paths"]["/api/v1/hosts/{endpoint}"]["delete"]["parameters"][0];
        assert_eq!(
            (&forget["name"], &forget["in"]),
            (&json!("endpoint"), &json!("path"))
        );
    }
}
