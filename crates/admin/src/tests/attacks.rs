//! Hostile requests: bodies, headers and names that are more than they seem.

use serde_json::json;

use super::directory::World;

#[tokio::test]
async fn a_body_has_a_limit_wherever_one_is_read() {
    let world = World::with_bob().await;
    world.created("lists", json!({"address": "l@ex.com"})).await;
    let long = || vec![b' '; crate::body::BODY_MAX + 1];
    for (method, path) in [
        ("POST", "domains"),
        ("POST", "accounts"),
        ("PUT", "accounts/bob@ex.com"),
        ("PATCH", "accounts/bob@ex.com"),
        ("POST", "lists/l@ex.com/members"),
        ("DELETE", "lists/l@ex.com/members"),
        ("POST", "resolve"),
        ("PATCH", "object-cache"),
        ("POST", "object-cache/clear"),
    ] {
        let reply = world.send(method, path, long(), "").await;
        assert_eq!(reply.status, 413, "{method} {path}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_of_ours_changes_nothing() {
    let world = World::with_bob().await;
    let before = world.get("accounts").await.text;
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let twice = r#"{"address": "a@ex.com", "address": "b@ex.com", "quota": [}"#;
    for body in [
        deep("[", "]"),
        deep(r#"{"address":"#, "}"),
        format!(r#"{{"address": {}}}"#, deep("[", "]")),
        twice.to_owned(),
        "address=a@ex.com&password=x".to_owned(),
        "<account/>".to_owned(),
        "null".to_owned(),
        "\u{feff}{}".to_owned(),
        "{\"address\": \"a@ex.com\"}{}".to_owned(),
        "{\"address\": \"a@ex.com\0\"}".to_owned(),
    ] {
        for (method, path) in [("POST", "accounts"), ("PATCH", "accounts/bob@ex.com")] {
            let reply = world.send(method, path, body.clone(), "").await;
            let start: String = body.chars().take(40).collect();
            assert_eq!(reply.status, 400, "{method} {path} {start}: {}", reply.text);
            assert!(
                reply.text.len() < 2000,
                "a reply is not as long as what was wrong"
            );
        }
    }
    assert_eq!(world.get("accounts").await.text, before);
}

/// The body is JSON whatever the header calls it: a form of another site cannot send the token anyway.
#[tokio::test]
async fn what_a_content_type_says_changes_nothing() {
    let world = World::with_bob().await;
    for (number, kind) in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "\u{ff}",
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"address": format!("a{number}@ex.com")}).to_string();
        let reply = world
            .send_as("POST", "accounts", body, &[("content-type", kind)])
            .await;
        assert_eq!(reply.status, 201, "{kind}: {}", reply.text);
    }
}

#[tokio::test]
async fn no_name_ends_a_header_or_a_line() {
    let world = World::with_bob().await;
    for evil in ["\r\n", "\n", "\r", "\0", "\u{7f}", "\u{85}", "\u{2028}"] {
        for (kind, fields) in [
            ("domains", json!({"name": format!("ex{evil}X-Evil: yes.com")})),
            ("accounts", json!({"address": format!("a{evil}X-Evil@ex.com")})),
            (
                "accounts",
                json!({"address": format!("\"a{evil}X-Evil\"@ex.com")}),
            ),
            (
                "aliases",
                json!({"address": "a@ex.com", "targets": [format!("b{evil}@ex.net")]}),
            ),
            (
                "lists",
                json!({"address": "l@ex.com", "members": [format!("b@ex{evil}.net")]}),
            ),
            (
                "routes",
                json!({"domain": format!("ex{evil}.net"), "hosts": ["192.0.2.1"]}),
            ),
            (
                "routes",
                json!({"domain": "ex.net", "hosts": [format!("mx{evil}.ex.net")]}),
            ),
            (
                "routes",
                json!({"domain": "ex.net", "hosts": ["mx.ex.net"], "username": format!("me{evil}")}),
            ),
        ] {
            let reply = world.ask("POST", kind, fields.clone()).await;
            // A separator of lines is a character of a local part like others (RFC 6531 §3.3), and is written as such.
            let is_plain = evil == "\u{2028}" && reply.status == 201;
            assert!(
                reply.status == 400 || is_plain,
                "{fields}: {} {}",
                reply.status,
                reply.text
            );
            for value in reply.head.values() {
                assert!(
                    !value.as_bytes().iter().any(|octet| *octet < b' ' || *octet > 126),
                    "{value:?}"
                );
            }
            assert!(!reply.head.contains_key("x-evil"));
            if is_plain {
                let place = reply.head["location"].to_str().unwrap().to_owned();
                let removed = world
                    .send("DELETE", place.trim_start_matches("/api/v1/"), "", "")
                    .await;
                assert_eq!(removed.status, 200, "{place}: {}", removed.text);
            }
        }
    }
}

#[tokio::test]
async fn a_path_means_the_object_of_its_name_and_no_other() {
    let world = World::with_bob().await;
    for path in [
        "accounts/..%2fdomains%2fex.com",
        "accounts/%2e%2e/domains/ex.com",
        "accounts/bob@ex.com%00",
        "accounts/bob@ex.com%0d%0aX:y",
        "accounts/%27%20OR%201=1--@ex.com",
        "accounts/%25@ex.com",
        "accounts/_ob@ex.com",
        "accounts/%ff%fe@ex.com",
        "domains/%2a",
        "domains/.",
    ] {
        for method in ["GET", "DELETE"] {
            let reply = world.send(method, path, "", "").await;
            assert!(
                matches!(reply.status, 400 | 404),
                "{method} {path}: {} {}",
                reply.status,
                reply.text
            );
        }
    }
    assert_eq!(world.get("accounts/bob@ex.com").await.status, 200);
    assert_eq!(world.get("domains/ex.com").await.status, 200);
}

/// What would not come back from the database, or only after hours.
#[tokio::test]
async fn numbers_are_bounded_and_hashes_bearable() {
    let world = World::with_bob().await;
    let argon2 = "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaA";
    for (path, fields, field) in [
        ("accounts/bob@ex.com", json!({"quota": u64::MAX}), "quota"),
        ("accounts/bob@ex.com", json!({"quota": 1e30}), "quota"),
        (
            "accounts/bob@ex.com",
            json!({"password_hash": argon2}),
            "password_hash",
        ),
        (
            "domains/ex.com",
            json!({"message_size": u64::MAX}),
            "message_size",
        ),
        ("domains/ex.com", json!({"account_limit": -1}), "account_limit"),
    ] {
        let reply = world.ask("PATCH", path, fields.clone()).await;
        assert_eq!(reply.wrong(), (400, field.to_owned()), "{fields}: {}", reply.text);
    }
}
