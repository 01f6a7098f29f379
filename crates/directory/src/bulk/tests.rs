//! Rows become objects, and objects rows.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::{edit::shown, model::Object};

/// One of each kind, with every field in use.
fn all() -> Vec<Object> {
    let of = |kind, value: Value| match value {
        Value::Object(fields) => edit::parse(kind, fields, None).unwrap(),
        _ => panic!("an object"),
    };
    vec![
        of(
            Kind::Domain,
            json!({
                "name": "ex.com", "active": false, "catch_all": "c@ex.com", "message_size": 1, "plus_addressing": false,
                "plus_separator": "--", "account_limit": 2, "alias_limit": 3, "list_limit": 4,
            }),
        ),
        of(Kind::DomainAlias, json!({"name": "ex.org", "domain": "ex.com"})),
        of(
            Kind::Account,
            json!({"address": "b@ex.com", "quota": 5, "forward": "d@ex.net", "forward_keep": false}),
        ),
        of(
            Kind::Alias,
            json!({"address": "c@ex.com", "targets": ["b@ex.com", "\"x, y\"@ex.net"]}),
        ),
        of(
            Kind::List,
            json!({
                "address": "l@ex.com", "mode": "announcement", "owner": "b@ex.com", "require_auth": true,
                "members": ["b@ex.com", "z@ex.net"],
            }),
        ),
        of(
            Kind::Route,
            json!({
                "domain": ".ex.net", "hosts": ["[2001:db8::1]:25", "mx.ex.net"], "mx": true, "tls": "verify",
                "preference": [10, 20], "username": "me",
            }),
        ),
    ]
}

fn read_back(format: Format, text: Vec<u8>) -> Vec<Object> {
    let rows = rows(format, io::Cursor::new(text));
    rows.map(|row| object(row.unwrap()).unwrap()).collect()
}

#[test]
fn what_is_exported_can_be_imported() {
    let objects = all();
    let mut table = csv::record(csv::columns(false));
    for object in &objects {
        table.extend(csv::line(object.kind(), &shown(object), false));
    }
    assert_eq!(read_back(Format::Csv, table), objects);
}

#[test]
fn every_field_has_a_column() {
    let columns: BTreeSet<&str> = csv::columns(true).collect();
    for object in all() {
        for field in shown(&object).keys() {
            let is_given = ["id", "version", "created", "changed"].contains(&field.as_str());
            assert!(is_given || columns.contains(field.as_str()), "{field}");
        }
    }
}

#[test]
fn an_error_names_line_and_field() {
    let text = "type,address,quota,mode\naccount,a@b.test,5,\naccount,b@b.test,,public\n";
    let error = rows(Format::Csv, io::Cursor::new(text))
        .find_map(|row| object(row.unwrap()).err())
        .unwrap();
    assert!(error.to_string().starts_with("3: mode: unknown field"), "{error}");
}
