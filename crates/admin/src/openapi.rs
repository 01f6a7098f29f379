//! `/api/v1/openapi.json`: the description of the API for programs.
//!
//! Paths come from one table; the schema of an answer is read off an example of the very struct that is
//! serialized, so that no name can be described that is not sent.
//!
//! # Contract
//! * **Every path of the router is described**, with its parameters, what is sent and what is answered.

mod directory;
mod parameter;
mod samples;
mod schema;

use std::borrow::Cow;

use axum::Json;
use serde_json::{Map, Value, json};

use parameter::parameter;

/// One operation.
#[derive(Clone, Debug)]
struct Described {
    method: &'static str,
    path: Cow<'static, str>,
    summary: &'static str,
    parameters: &'static [&'static str],
    /// What is sent, if anything.
    body: Option<Content>,
    /// What comes back.
    answer: Content,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// JSON of this schema.
    Json(&'static str),
    /// Text.
    Text,
    /// A file of objects.
    File,
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
        path: Cow::Borrowed(path),
        summary,
        parameters,
        body: None,
        answer: match answer {
            Some(name) => Content::Json(name),
            None => Content::Text,
        },
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

fn operations() -> impl Iterator<Item = Described> {
    OPERATIONS.iter().cloned().chain(directory::operations())
}

/// Builds the description.
pub fn build() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths
            .entry(operation.path.clone().into_owned())
            .or_insert_with(|| json!({}));
        path[operation.method] = describe(&operation);
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
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    // What a collection is sent it creates.
    let is_created = operation.method == "post" && operation.body == Some(operation.answer);
    let done = if is_created { "201" } else { "200" };
    let mut described = json!({
        "summary": operation.summary,
        "parameters": operation.parameters.iter().map(|name| parameter(name)).collect::<Vec<_>>(),
        "responses": {
            done: {"description": "Done", "content": content(operation.answer)},
            "default": {"description": "What is wrong", "content": problem},
        },
    });
    if let Some(body) = operation.body {
        described["requestBody"] = json!({"content": content(body)});
    }
    if matches!(operation.path.as_ref(), "/healthz" | "/readyz") {
        described["security"] = json!([]);
    }
    described
}

fn content(content: Content) -> Value {
    match content {
        Content::Json(name) => {
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}})
        }
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
        Content::File => json!({
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_schema_and_every_schema_an_answer() {
        let names: Vec<&str> = samples::all().iter().map(|(name, _)| *name).collect();
        let used: Vec<&str> = operations()
            .flat_map(|operation| [Some(operation.answer), operation.body])
            .filter_map(|content| match content {
                Some(Content::Json(name)) => Some(name),
                _ => None,
            })
            .collect();
        for name in &used {
            assert!(names.contains(name), "{name}");
        }
        for name in names {
            assert!(used.contains(&name), "{name}");
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
        let account = &document["components"]["schemas"]["Account"]["properties"];
        assert_eq!(account["forward_keep"]["type"], "boolean");
        assert_eq!(account["password"]["writeOnly"], true);
        let create = &document["paths"]["/api/v1/accounts"]["post"];
        assert!(create["responses"]["201"].is_object() && create["requestBody"].is_object());
        let change = &document["paths"]["/api/v1/accounts/{name}"]["patch"];
        assert_eq!(change["parameters"][1]["in"], "header");
    }
}
