//! The parameters of the paths.
//!
//! # Contract
//! * **One of a path stands in braces**, as it does there; what one name means in several places is told apart
//!   behind an `@`.

use remuda_directory::model::Kind;
use remuda_engine::operations::HostState;
use serde_json::{Value, json};

/// Describes a parameter.
pub fn parameter(word: &str) -> Value {
    let (name, _) = word.split_once('@').unwrap_or((word, ""));
    let in_path = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    let place = match in_path {
        Some(_) => "path",
        None if name == "If-Match" => "header",
        None => "query",
    };
    let (schema, description) = meaning(word);
    json!({
        "name": in_path.unwrap_or(name),
        "in": place,
        "required": in_path.is_some(),
        "schema": schema,
        "description": description,
    })
}

fn meaning(word: &str) -> (Value, &'static str) {
    let text = || json!({"type": "string"});
    match word {
        "{id}" => (text(), "The queue id"),
        "{endpoint}" => (text(), "ADDRESS:PORT, or the path of a socket"),
        "{name}" => (text(), "A domain, an address, or a route's pattern"),
        "{type}" => (one_of(&Kind::ALL.map(Kind::as_str)), "The type"),
        "{key}" => (text(), "An id, or a name as of the type's objects"),
        "destination" => (text(), "Only this destination"),
        "endpoint" => (text(), "Only this ADDRESS:PORT, or path of a socket"),
        "sender" => (text(), "Only from this sender; empty for the null sender"),
        "domain" => (text(), "Only of this domain"),
        "If-Match" => (text(), "The version that must still be there, as ETag had it"),
        "status" => (one_of(&["queued", "deferred", "held"]), "Only in this state"),
        "state" => (
            one_of(&HostState::ALL.map(HostState::as_str)),
            "Only in this state",
        ),
        "by" => (
            one_of(&["destination", "endpoint"]),
            "Figures of each destination or endpoint, the busiest first",
        ),
        "format" => (one_of(&["csv", "json", "ndjson"]), "How the file is written"),
        "limit" => (json!({"type": "integer", "minimum": 1}), "How many at most"),
        "after" => (
            json!({"type": "integer"}),
            "Only behind this entry: next of the page before",
        ),
        "after@name" => (text(), "Only behind this name: next of the page before"),
        "all@domain" => (flag(), "true: with its addresses and other names"),
        "passwords" => (
            flag(),
            "true: with the hashes of accounts and the passwords of routes",
        ),
        _ => (flag(), "true: the whole queue"),
    }
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

/// One of these words.
fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}
