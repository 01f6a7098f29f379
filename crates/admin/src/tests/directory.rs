//! Objects over HTTP, in a real file.

use axum::http::HeaderMap;
use remuda_directory::store::double::{Double, Fault};
use serde_json::json;

use super::*;

/// The API over a directory that stays.
pub(super) struct World {
    pub(super) router: Router,
    pub(super) directory: Directory,
    _places: (tempfile::TempDir, tempfile::TempDir),
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status and the field that is wrong.
    pub(super) fn wrong(&self) -> (u16, String) {
        let field = self.json()["field"].as_str().unwrap_or_default().to_owned();
        (self.status, field)
    }
}

impl World {
    pub(super) async fn new() -> World {
        let (place, directory) = super::directory().await;
        World::over(place, directory)
    }

    pub(super) fn over(place: tempfile::TempDir, directory: Directory) -> World {
        let (kept, token) = token();
        World {
            router: router(Arc::new(Pretended::default()), directory.clone(), token),
            directory,
            _places: (kept, place),
        }
    }

    /// With the domain ex.com and bob in it.
    pub(super) async fn with_bob() -> World {
        let world = World::new().await;
        world.created("domains", json!({"name": "Ex.com"})).await;
        world
            .created("accounts", json!({"address": "Bob@ex.com", "password": "secret"}))
            .await;
        world
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: impl Into<Body>, version: &str) -> Reply {
        let version = [("if-match", version)];
        let head = if version[0].1.is_empty() {
            &[]
        } else {
            &version[..]
        };
        self.send_as(method, path, body, head).await
    }

    /// Sends a request with more fields in its head.
    pub(super) async fn send_as(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
        head: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, head) = (response.status().as_u16(), response.headers().clone());
        let octets = to_bytes(response.into_body(), 1 << 26).await.unwrap();
        Reply {
            status,
            head,
            text: String::from_utf8(octets.to_vec()).unwrap(),
        }
    }

    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, body, "").await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, Value::Null).await
    }

    pub(super) async fn created(&self, kind: &str, fields: Value) -> Value {
        let reply = self.ask("POST", kind, fields).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    /// What RCPT would be answered now: the outcome of a look-up through the cache.
    pub(super) async fn outcome(&self, address: &str) -> String {
        let reply = self.ask("POST", "resolve", json!({"address": address})).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["outcome"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_object_is_created_read_changed_and_removed() {
    let world = World::new().await;
    let reply = world
        .ask("POST", "domains", json!({"name": "B\u{fc}cher.example"}))
        .await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(reply.head["location"], "/api/v1/domains/xn--bcher-kva.example");
    assert_eq!(reply.head["etag"], format!("\"{}\"", reply.json()["version"]));
    let read = world.get("domains/B%C3%BCCHER.example").await;
    assert_eq!((read.status, &read.json()), (200, &reply.json()));
    let changed = world
        .ask(
            "PATCH",
            "domains/xn--bcher-kva.example",
            json!({"account_limit": 5}),
        )
        .await;
    assert_eq!(
        (changed.status, &changed.json()["account_limit"]),
        (200, &json!(5))
    );
    assert_ne!(changed.head["etag"], read.head["etag"]);
    let replaced = world
        .ask("PUT", "domains/xn--bcher-kva.example", json!({"name": "ex.com"}))
        .await;
    assert_eq!(
        (replaced.status, &replaced.json()["account_limit"]),
        (200, &Value::Null)
    );
    assert_eq!(world.get("domains/xn--bcher-kva.example").await.status, 404);
    let removed = world.ask("DELETE", "domains/ex.com", Value::Null).await;
    assert_eq!((removed.status, &removed.json()["name"]), (200, &json!("ex.com")));
    assert_eq!(world.get("domains/ex.com").await.status, 404);
}

#[tokio::test]
async fn every_kind_has_its_paths() {
    let world = World::with_bob().await;
    for (kind, name, fields, change) in [
        (
            "domain-aliases",
            "ex.org",
            json!({"name": "ex.org", "domain": "ex.com"}),
            json!({"active": false}),
        ),
        (
            "aliases",
            "sales@ex.com",
            json!({"address": "sales@ex.com", "targets": ["bob@ex.com"]}),
            json!({"targets": ["bob@ex.com", "eve@ex.net"]}),
        ),
        (
            "lists",
            "all@ex.com",
            json!({"address": "all@ex.com", "members": ["bob@ex.com"]}),
            json!({"mode": "domain"}),
        ),
        (
            "routes",
            ".ex.net",
            json!({"domain": ".ex.net", "hosts": ["192.0.2.1:25"], "username": "me", "password": "x"}),
            json!({"tls": "verify"}),
        ),
    ] {
        let created = world.created(kind, fields).await;
        assert!(created.get("password").is_none());
        let path = format!("{kind}/{name}");
        let changed = world.ask("PATCH", &path, change.clone()).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(&changed.json()[field], value, "{kind}");
        }
        let listed = world.get(kind).await.json();
        assert_eq!(listed, json!({"entries": [changed.json()], "next": null}));
        assert_eq!(
            world.ask("DELETE", &path, Value::Null).await.status,
            200,
            "{kind}"
        );
    }
}

/// B12.
#[tokio::test]
async fn a_change_that_is_based_on_an_old_version_changes_nothing() {
    let world = World::with_bob().await;
    let read = world.get("accounts/bob@ex.com").await;
    let version = read.head["etag"].to_str().unwrap().to_owned();
    let quota = world
        .ask("PATCH", "accounts/bob@ex.com", json!({"quota": 5}))
        .await;
    assert_eq!(quota.status, 200);
    let body = json!({"forward": "eve@ex.net"}).to_string();
    for method in ["PATCH", "PUT", "DELETE"] {
        let body = body.replace("{", "{\"address\": \"bob@ex.com\", ");
        let late = world.send(method, "accounts/bob@ex.com", body, &version).await;
        assert_eq!(late.status, 409, "{method}: {}", late.text);
        assert_eq!(late.json()["version"], quota.json()["version"]);
    }
    let fresh = quota.head["etag"].to_str().unwrap();
    let made = world.send("PATCH", "accounts/bob@ex.com", body, fresh).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.json()["quota"], 5);
    let senseless = world.send("PATCH", "accounts/bob@ex.com", "{}", "\"x\"").await;
    assert_eq!(senseless.wrong(), (400, "If-Match".to_owned()));
}

/// Requests that cannot be: the status and the field.
const WRONG: &[(&str, &str, &str, u16, &str)] = &[
    ("POST", "accounts", r#"{"address": "bob"}"#, 400, "address"),
    ("POST", "accounts", "{}", 400, "address"),
    (
        "POST",
        "accounts",
        r#"{"address": "x@ex.com", "colour": 1}"#,
        400,
        "colour",
    ),
    ("POST", "accounts", r#"{"address": "x@ex.net"}"#, 400, "address"),
    ("POST", "accounts", r#"{"address": "A@ex.com"}"#, 409, "address"),
    ("POST", "accounts", "[1]", 400, ""),
    ("POST", "domains", r#"{"name": "ex.com"}"#, 409, "name"),
    ("PATCH", "accounts/bob@ex.com", r#"{"quota": -1}"#, 400, "quota"),
    (
        "PATCH",
        "accounts/bob@ex.com",
        r#"{"address": "a@ex.com"}"#,
        409,
        "address",
    ),
    (
        "PATCH",
        "domains/ex.com",
        r#"{"catch_all": "nobody@ex.com"}"#,
        400,
        "catch_all",
    ),
    (
        "PATCH",
        "aliases/a@ex.com",
        r#"{"targets": ["b"]}"#,
        400,
        "targets[0]",
    ),
    ("PATCH", "accounts/eve@ex.com", "{}", 404, ""),
    ("GET", "accounts/eve", "", 400, "address"),
    ("DELETE", "domains/ex.com", "", 409, ""),
    ("DELETE", "accounts/bob@ex.com?all=true", "", 400, "all"),
    ("DELETE", "domains/ex.com?al=true", "", 400, ""),
    ("GET", "accounts?limit=0", "", 400, ""),
    ("GET", "accounts?domain=a%20b", "", 400, "domain"),
    ("GET", "domains?domain=ex.com", "", 400, "domain"),
    ("GET", "accounts?colour=red", "", 400, ""),
    (
        "POST",
        "lists/l@ex.com/members",
        r#"{"members": ["a@ex.com"]}"#,
        404,
        "",
    ),
    (
        "POST",
        "lists/l@ex.com/members",
        r#"{"member": []}"#,
        400,
        "member",
    ),
    ("POST", "resolve", r#"{"address": "b"}"#, 400, "address"),
    (
        "POST",
        "resolve",
        r#"{"address": "b@ex.com", "sender": "c"}"#,
        400,
        "sender",
    ),
];

#[tokio::test]
async fn errors_name_the_field() {
    let world = World::with_bob().await;
    let alias = json!({"address": "a@ex.com", "targets": ["bob@ex.com"]});
    world.created("aliases", alias).await;
    for (method, path, body, status, field) in WRONG {
        let reply = world.send(method, path, *body, "").await;
        let expected = (*status, (*field).to_owned());
        assert_eq!(reply.wrong(), expected, "{method} {path} {body}: {}", reply.text);
    }
    let long = vec![b' '; crate::body::BODY_MAX + 1];
    let long = world.send("POST", "accounts", long, "").await;
    assert_eq!(long.status, 413, "{}", long.text);
}

#[tokio::test]
async fn pages_are_in_order_and_say_where_they_go_on() {
    let world = World::with_bob().await;
    world.created("domains", json!({"name": "ex.org"})).await;
    for address in ["d@ex.com", "a@ex.org", "c@ex.com", "a@ex.com"] {
        world.created("accounts", json!({"address": address})).await;
    }
    let mut path = "accounts?limit=2&domain=Ex.com".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = world.get(&path).await.json();
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 2);
        seen.extend(
            entries
                .iter()
                .map(|one| one["address"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("accounts?limit=2&domain=ex.com&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a@ex.com", "bob@ex.com", "c@ex.com", "d@ex.com"]);
}

/// A5, A6, B2, B5.
#[tokio::test]
async fn a_reply_means_that_every_later_look_up_sees_the_change() {
    let world = World::with_bob().await;
    assert_eq!(world.outcome("new@ex.com").await, "unknown");
    let alias = json!({"address": "new@ex.com", "targets": ["bob@ex.com"]});
    world.created("aliases", alias).await;
    assert_eq!(world.outcome("new@ex.com").await, "deliver");
    assert_eq!(world.outcome("old@ex.com").await, "unknown");
    let renamed = world
        .ask("PATCH", "aliases/new@ex.com", json!({"address": "old@ex.com"}))
        .await;
    assert_eq!(renamed.status, 200);
    assert_eq!(world.outcome("new@ex.com").await, "unknown");
    assert_eq!(world.outcome("old@ex.com").await, "deliver");
    world
        .ask("PATCH", "accounts/bob@ex.com", json!({"active": false}))
        .await;
    assert_eq!(world.outcome("bob@ex.com").await, "disabled");
    world
        .ask("PATCH", "accounts/bob@ex.com", json!({"active": true}))
        .await;
    assert_eq!(world.outcome("bob@ex.com").await, "deliver");
    world
        .ask("PATCH", "domains/ex.com", json!({"name": "ex.net"}))
        .await;
    assert_eq!(world.outcome("old@ex.net").await, "deliver");
    world.ask("DELETE", "aliases/old@ex.net", Value::Null).await;
    assert_eq!(world.outcome("old@ex.net").await, "unknown");
    let all = world.ask("DELETE", "domains/ex.net?all=true", Value::Null).await;
    assert_eq!(all.status, 200, "{}", all.text);
    let outside = world
        .ask("POST", "resolve", json!({"address": "bob@ex.net"}))
        .await
        .json();
    assert_eq!(
        (&outside["outcome"], &outside["is_ours"]),
        (&json!("deliver"), &json!(false))
    );
}

#[tokio::test]
async fn a_password_is_hashed_kept_and_never_shown() {
    let world = World::with_bob().await;
    let secret = remuda_mail::Secret::new("secret");
    let accepts = async || {
        let login = world.directory.authenticate("bob@ex.com", &secret).await;
        matches!(login, remuda_directory::credentials::Login::Accepted(_))
    };
    assert!(accepts().await);
    for body in [json!({"quota": 5}), json!({"address": "bob@ex.com"})] {
        let method = if body.get("quota").is_some() {
            "PATCH"
        } else {
            "PUT"
        };
        let reply = world.ask(method, "accounts/bob@ex.com", body).await;
        assert!(
            reply.status == 200 && !reply.text.contains("argon2"),
            "{}",
            reply.text
        );
        assert!(accepts().await, "{method}");
    }
    world
        .ask("PATCH", "accounts/bob@ex.com", json!({"password": null}))
        .await;
    assert!(!accepts().await);
}

#[tokio::test]
async fn members_come_and_go_one_by_one() {
    let world = World::with_bob().await;
    world
        .created("lists", json!({"address": "l@ex.com", "members": ["bob@ex.com"]}))
        .await;
    let path = "lists/l@ex.com/members";
    let more = world
        .ask("POST", path, json!({"members": ["Eve@ex.net", "bob@ex.com"]}))
        .await;
    assert_eq!(more.json()["members"], json!(["bob@ex.com", "eve@ex.net"]));
    let fewer = world
        .ask("DELETE", path, json!({"members": ["bob@ex.com", "none@ex.net"]}))
        .await;
    assert_eq!(fewer.json()["members"], json!(["eve@ex.net"]));
    let old = more.head["etag"].to_str().unwrap();
    let late = world
        .send("POST", path, json!({"members": ["x@ex.net"]}).to_string(), old)
        .await;
    assert_eq!(late.status, 409, "{}", late.text);
}

#[tokio::test]
async fn a_resolution_shows_each_step_and_where_it_comes_from() {
    let world = World::with_bob().await;
    let list = json!({"address": "l@ex.com", "mode": "membership", "members": ["bob@ex.com", "eve@ex.net"]});
    world.created("lists", list).await;
    let asked = json!({"address": "L@ex.com", "sender": "bob@ex.com"});
    let cold = world.ask("POST", "resolve", asked.clone()).await.json();
    let recipients = json!([
        {"address": "bob@ex.com", "local": true, "route": null, "next_hop": null},
        {"address": "eve@ex.net", "local": false, "route": null, "next_hop": "the way to ex.net"},
    ]);
    assert_eq!(
        (&cold["outcome"], &cold["recipients"]),
        (&json!("deliver"), &recipients)
    );
    let origins = |resolved: &Value| -> Vec<String> {
        let steps = resolved["steps"].as_array().unwrap();
        steps
            .iter()
            .map(|step| step["origin"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(origins(&cold).contains(&"database".to_owned()), "{cold}");
    let warm = world.ask("POST", "resolve", asked).await.json();
    assert!(origins(&warm).iter().all(|origin| origin == "cache"), "{warm}");
    let refused = world
        .ask(
            "POST",
            "resolve",
            json!({"address": "l@ex.com", "sender": "x@ex.net"}),
        )
        .await;
    assert_eq!(refused.json()["outcome"], "not_allowed");
    assert!(
        refused.json()["reply"]
            .as_str()
            .unwrap()
            .starts_with("550 5.7.1 ")
    );
}

#[tokio::test]
async fn a_resolution_shows_the_route_of_who_is_elsewhere() {
    let world = World::new().await;
    let route = json!({"domain": ".net", "hosts": ["192.0.2.1"]});
    world.created("routes", route).await;
    let resolved = world
        .ask("POST", "resolve", json!({"address": "eve@ex.net"}))
        .await
        .json();
    assert_eq!(resolved["recipients"][0]["route"], ".net", "{resolved}");
    assert_eq!(resolved["recipients"][0]["next_hop"], "the way to ex.net");
    let steps = resolved["steps"].as_array().unwrap();
    let step = |step: &Value| format!("{} {} {}", step["type"], step["name"], step["found"]).replace('"', "");
    assert_eq!(
        steps.iter().map(step).collect::<Vec<_>>(),
        [
            "domain ex.net none",
            "domain_alias ex.net none",
            "route ex.net none",
            "route .net found",
        ]
    );
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_503_and_never_404() {
    let place = tempfile::tempdir().unwrap();
    let double = Double::new(super::store(&place).await);
    let directory = directory_over(&place, double.clone());
    let world = World::over(place, directory);
    world.created("domains", json!({"name": "ex.com"})).await;
    double.fail(Some(Fault::Refuse));
    for (method, path, body) in [
        ("GET", "domains", Value::Null),
        ("GET", "domains/ex.com", Value::Null),
        ("PATCH", "domains/ex.com", json!({"active": false})),
        ("DELETE", "domains/ex.com", Value::Null),
        ("POST", "accounts", json!({"address": "bob@ex.com"})),
        ("GET", "export", Value::Null),
        ("POST", "import", json!({"type": "domain", "name": "ex.org"})),
    ] {
        let reply = world.ask(method, path, body).await;
        assert_eq!(reply.status, 503, "{method} {path}: {}", reply.text);
    }
    let resolved = world
        .ask("POST", "resolve", json!({"address": "bob@ex.com"}))
        .await
        .json();
    assert_eq!(resolved["outcome"], "unavailable");
    assert!(
        resolved["reply"].as_str().unwrap().starts_with("451 4.3.0 "),
        "{resolved}"
    );
    assert_eq!(world.get("object-cache").await.status, 200);
    double.fail(None);
    assert_eq!(world.get("domains/ex.com").await.status, 200);
}

/// B14.
#[tokio::test]
async fn a_change_whose_reply_is_lost_is_not_known_and_no_old_value_stays() {
    let place = tempfile::tempdir().unwrap();
    let double = Double::new(super::store(&place).await);
    let directory = directory_over(&place, double.clone());
    let world = World::over(place, directory);
    world.created("domains", json!({"name": "ex.com"})).await;
    world.created("accounts", json!({"address": "bob@ex.com"})).await;
    assert_eq!(world.outcome("bob@ex.com").await, "deliver");
    double.fail(Some(Fault::LoseReply));
    let lost = world
        .ask("PATCH", "accounts/bob@ex.com", json!({"active": false}))
        .await;
    assert_eq!(lost.status, 503, "{}", lost.text);
    assert!(lost.text.contains("it is not known whether"), "{}", lost.text);
    double.fail(None);
    assert_eq!(world.outcome("bob@ex.com").await, "disabled");
}
