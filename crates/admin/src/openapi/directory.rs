//! The directory's paths, described: one group for each kind of object, and the others.

use std::borrow::Cow;

use remuda_directory::{
    bulk::Stored,
    control::{CacheShown, CacheStatus, KindStatus, Push, State},
    edit::{parse, shown},
    model::Kind,
    switches::Holds,
};
use serde_json::{Map, Value, json};

use super::{Content, Described, described, samples::value};
use crate::directory::{Dropped, Meant, Resolved, StepShown, collection};

/// All operations.
pub fn operations() -> impl Iterator<Item = Described> {
    Kind::ALL
        .into_iter()
        .flat_map(of_kind)
        .chain(OTHERS.iter().cloned())
}

const PAGE: &[&str] = &["after@name", "limit", "domain"];
const WHOLE: &[&str] = &["after@name", "limit"];
const NAMED: &[&str] = &["{name}"];
const CHANGED: &[&str] = &["{name}", "If-Match"];
const REMOVED: &[&str] = &["{name}", "If-Match", "all@domain"];

fn of_kind(kind: Kind) -> [Described; 6] {
    let (path, schema) = (collection(kind), schema(kind));
    let one = format!("{path}/{{name}}");
    let object = Content::Json(schema);
    let operation = |method, path: String, summary, parameters, body| Described {
        method,
        path: Cow::Owned(path),
        summary,
        parameters,
        body,
        answer: object,
    };
    let page = if matches!(kind, Kind::Domain | Kind::Route) {
        WHOLE
    } else {
        PAGE
    };
    let removed = if kind == Kind::Domain { REMOVED } else { CHANGED };
    let list = operation(
        "get",
        path.to_owned(),
        "A page of them in order of name",
        page,
        None,
    );
    [
        Described {
            answer: Content::Json("Objects"),
            ..list
        },
        operation("post", path.to_owned(), "Create one", &[], Some(object)),
        operation("get", one.clone(), "One of them", NAMED, None),
        operation(
            "put",
            one.clone(),
            "Replace it; its password stays if none is named",
            CHANGED,
            Some(object),
        ),
        operation(
            "patch",
            one.clone(),
            "Change what is named; null takes away",
            CHANGED,
            Some(object),
        ),
        operation(
            "delete",
            one,
            "Remove it; answers with what it was",
            removed,
            None,
        ),
    ]
}

/// One that is sent something.
const fn sending(
    (method, path): (&'static str, &'static str),
    summary: &'static str,
    parameters: &'static [&'static str],
    body: Content,
    answer: &'static str,
) -> Described {
    Described {
        method,
        path: Cow::Borrowed(path),
        summary,
        parameters,
        body: Some(body),
        answer: Content::Json(answer),
    }
}

const MEMBERS: &str = "/api/v1/lists/{name}/members";
const CACHE: &str = "/api/v1/object-cache";

const OTHERS: &[Described] = &[
    sending(
        ("post", MEMBERS),
        "Add members",
        CHANGED,
        Content::Json("Members"),
        "List",
    ),
    sending(
        ("delete", MEMBERS),
        "Take members out",
        CHANGED,
        Content::Json("Members"),
        "List",
    ),
    sending(
        ("post", "/api/v1/resolve"),
        "What becomes of mail to an address",
        &[],
        Content::Json("Asked"),
        "Resolved",
    ),
    described("get", CACHE, "How the object cache is", &[], Some("ObjectCache")),
    sending(
        ("patch", CACHE),
        "Set values until the configuration's change; null gives one back to it",
        &[],
        Content::Json("Switches"),
        "ObjectCache",
    ),
    sending(
        ("post", "/api/v1/object-cache/clear"),
        "Forget one object, all of a type, or everything",
        &[],
        Content::Json("Clear"),
        "Dropped",
    ),
    described(
        "post",
        "/api/v1/object-cache/reset-stats",
        "Start the rates again",
        &[],
        Some("ObjectCache"),
    ),
    described(
        "get",
        "/api/v1/object-cache/{type}/{key}",
        "What lies in the cache under a key",
        &["{type}", "{key}"],
        Some("Cached"),
    ),
    sending(
        ("post", "/api/v1/import"),
        "Store a file, or nothing of it",
        &["format"],
        Content::File,
        "Stored",
    ),
    Described {
        method: "get",
        path: Cow::Borrowed("/api/v1/export"),
        summary: "All objects as a file",
        parameters: &["format", "passwords"],
        body: None,
        answer: Content::File,
    },
];

fn schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain => "Domain",
        Kind::DomainAlias => "DomainAlias",
        Kind::Account => "Account",
        Kind::Alias => "Alias",
        Kind::List => "List",
        Kind::Route => "Route",
    }
}

/// A sample of every schema here.
pub fn samples() -> Vec<(&'static str, Value)> {
    let mut all: Vec<(&'static str, Value)> = Kind::ALL
        .map(|kind| (schema(kind), Value::Object(object(kind))))
        .into();
    all.extend([
        ("Objects", json!({"entries": [object(Kind::Account)], "next": "bob@example.org"})),
        ("Members", json!({"members": ["bob@example.org"]})),
        ("Asked", json!({"address": "bob@example.org", "sender": "alice@example.net"})),
        ("Resolved", value(resolved())),
        ("ObjectCache", value(status())),
        ("Switches", json!({"enabled": true, "account.ttl": 0.5, "account.negative_ttl": 0.5, "account.size": 1 << 20})),
        ("Clear", json!({"type": "account", "key": "bob@example.org"})),
        ("Dropped", value(Dropped { dropped: 1 })),
        ("Cached", value(cached())),
        ("Stored", value(Stored { created: 100, replaced: 3 })),
    ]);
    all
}

/// An object with every field in use, read by what reads those that are sent.
fn object(kind: Kind) -> Map<String, Value> {
    let fields = match kind {
        Kind::Domain => json!({
            "name": "example.org", "catch_all": "info@example.org", "message_size": 1 << 20, "account_limit": 100,
            "alias_limit": 100, "list_limit": 10,
        }),
        Kind::DomainAlias => json!({"name": "example.com", "domain": "example.org"}),
        Kind::Account => {
            json!({"address": "bob@example.org", "quota": 1_u64 << 30, "forward": "bob@example.net"})
        }
        Kind::Alias => {
            json!({"address": "sales@example.org", "targets": ["bob@example.org", "eve@example.net"]})
        }
        Kind::List => json!({
            "address": "all@example.org", "mode": "announcement", "owner": "bob@example.org",
            "members": ["bob@example.org"],
        }),
        Kind::Route => json!({
            "domain": ".example.net", "hosts": ["192.0.2.1:2700"], "tls": "encrypt", "preference": [10],
            "username": "me",
        }),
    };
    let Value::Object(fields) = fields else {
        return Map::new();
    };
    let mut shown = parse(kind, fields, None)
        .map(|object| shown(&object))
        .unwrap_or_default();
    if matches!(kind, Kind::Account | Kind::Route) {
        shown.insert("password".to_owned(), "secret".into());
    }
    shown
}

fn resolved() -> Resolved {
    Resolved {
        outcome: "deliver".into(),
        reply: Some("550 5.1.1 No such user here".into()),
        is_ours: true,
        recipients: vec![Meant {
            address: "bob@example.org".into(),
            local: true,
            route: Some(".example.org".into()),
            next_hop: Some("192.0.2.1:2700".into()),
        }],
        steps: vec![StepShown {
            r#type: Kind::Account,
            name: "bob@example.org".into(),
            found: "found".into(),
            origin: Some("cache".into()),
            microseconds: 1,
        }],
        microseconds: 3,
    }
}

fn status() -> CacheStatus {
    CacheStatus {
        enabled: true,
        enabled_by: Holds::File,
        push: Push::Up,
        database: "sqlite:remuda-data/directory.db".into(),
        database_down: false,
        types: [(Kind::Account, kind_status())].into(),
    }
}

fn kind_status() -> KindStatus {
    let counts = |name: &str| [(name.to_owned(), 7)].into();
    KindStatus {
        enabled: true,
        ttl: 60.5,
        ttl_by: Holds::RunTime,
        negative_ttl: 10.5,
        negative_ttl_by: Holds::File,
        size: 10 << 20,
        size_by: Holds::File,
        stale_if_error: 300.5,
        bytes: 4096,
        negative_bytes: 512,
        entries: 12,
        absences: 3,
        in_flight: 0,
        hits: 70,
        misses: 30,
        hit_rate: 70,
        without_query: 0.75,
        lookups: counts("hit"),
        loads: 33,
        refreshes: 1,
        stale_served: 0,
        evictions: counts("ttl"),
        rejected: counts("generation"),
        invalidations: counts("admin"),
        flushes: counts("reconnect"),
    }
}

fn cached() -> CacheShown {
    CacheShown {
        r#type: Kind::Account,
        key: "bob@example.org".into(),
        state: State::Present,
        age_seconds: Some(1.5),
        expires_in_seconds: Some(58.5),
        version: Some(7),
        weight: Some(412),
        refreshed: Some(false),
    }
}
