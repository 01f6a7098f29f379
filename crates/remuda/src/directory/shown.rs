//! Objects for people.

use remuda_admin::directory::Objects;
use remuda_directory::model::Kind;
use serde_json::{Map, Value};

use crate::{
    config,
    table::{printable, table, time},
};

/// One object: a field a line.
pub fn one(fields: &Map<String, Value>) -> String {
    let rows = fields.iter().map(|(name, value)| {
        let shown = match (name.as_str(), value) {
            ("created" | "changed", Value::Number(ms)) => time(ms.as_i64().unwrap_or_default()),
            _ => cell(name, value),
        };
        format!("{name}: {}\n", printable(&shown))
    });
    rows.collect()
}

/// A page of objects as a table.
pub fn page(kind: Kind, page: &Objects) -> String {
    if page.entries.is_empty() {
        return "none\n".to_owned();
    }
    let columns = columns(kind);
    let head: Vec<String> = columns
        .iter()
        .map(|name| name.replace('_', "-").to_uppercase())
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let row = |fields: &Map<String, Value>| {
        let cells = columns
            .iter()
            .map(|name| cell(name, fields.get(*name).unwrap_or(&Value::Null)));
        cells.collect()
    };
    let mut text = table(&head, &page.entries.iter().map(row).collect::<Vec<_>>());
    if let Some(next) = &page.next {
        text.push_str(&format!("more: --after {}\n", printable(next)));
    }
    text
}

fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Domain => &["name", "active", "catch_all", "message_size", "plus_separator"],
        Kind::DomainAlias => &["name", "active", "domain"],
        Kind::Account => &["address", "active", "quota", "forward", "forward_keep"],
        Kind::Alias => &["address", "active", "targets"],
        Kind::List => &["address", "active", "mode", "owner", "require_auth", "members"],
        Kind::Route => &["domain", "active", "hosts", "mx", "tls", "username"],
    }
}

fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(octets) if matches!(name, "quota" | "message_size") => {
            config::show_size(octets.as_u64().unwrap_or_default())
        }
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let shown: Vec<String> = all.iter().take(SHOWN_MAX).map(|one| cell("", one)).collect();
            match all.len().saturating_sub(SHOWN_MAX) {
                0 => shown.join(" "),
                more => format!("{} and {more} more", shown.join(" ")),
            }
        }
        other => other.to_string(),
    }
}

/// Of a list; all of it is in the JSON.
const SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn a_page_says_how_to_go_on() {
        let entries = vec![fields(
            json!({"address": "a@b.test", "active": true, "quota": 1 << 20, "forward": null}),
        )];
        let next = Some("a@b.test".to_owned());
        let text = page(Kind::Account, &Objects { entries, next });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ADDRESS   ACTIVE  QUOTA  FORWARD  FORWARD-KEEP");
        assert_eq!(lines[1], "a@b.test  yes     1MiB   -        -");
        assert_eq!(lines[2], "more: --after a@b.test");
        assert_eq!(page(Kind::List, &Objects::default()), "none\n");
    }

    #[test]
    fn a_field_is_a_line_and_a_long_list_is_cut() {
        let members: Vec<String> = (0..7).map(|n| format!("{n}@b.test")).collect();
        let text = one(&fields(
            json!({"address": "a@b.test", "members": members, "x": "1\u{1b}[2J"}),
        ));
        assert!(text.contains("address: a@b.test\n"), "{text}");
        assert!(
            text.contains("4@b.test and 2 more\n") && text.contains("x: 1?[2J\n"),
            "{text}"
        );
    }
}
