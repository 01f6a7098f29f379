//! Import and export over HTTP.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use axum::body::{Bytes, HttpBody};
use http_body::Frame;
use remuda_directory::store::double::{Double, Fault};
use serde_json::json;

use super::{directory::World, *};

const TABLE: &str = "\
type,name,address,domain,catch_all,targets,members,hosts,password
domain,ex.com,,,bob@ex.com,,,,
domain_alias,ex.org,,ex.com,,,,,
account,,bob@ex.com,,,,,,secret
alias,,sales@ex.com,,,\"bob@ex.com, eve@ex.net\",,,
list,,all@ex.com,,,,bob@ex.com sales@ex.com,,
route,,,.ex.net,,,,192.0.2.1:25,hidden
";

impl World {
    async fn import(&self, format: &str, text: &str) -> super::directory::Reply {
        self.send("POST", &format!("import?format={format}"), text.to_owned(), "")
            .await
    }

    async fn export(&self, query: &str) -> String {
        let reply = self.get(&format!("export?{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text
    }
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let world = World::new().await;
    let stored = world.import("csv", TABLE).await;
    assert_eq!(
        (stored.status, stored.json()),
        (200, json!({"created": 6, "replaced": 0})),
        "{}",
        stored.text
    );
    for format in ["csv", "json", "ndjson"] {
        let query = format!("format={format}&passwords=true");
        let file = world.export(&query).await;
        let other = World::new().await;
        let stored = other.import(format, &file).await;
        assert_eq!(stored.json(), json!({"created": 6, "replaced": 0}), "{file}");
        assert_eq!(other.export(&query).await, file);
        let secret = remuda_mail::Secret::new("secret");
        let login = other.directory.authenticate("bob@ex.com", &secret).await;
        assert!(
            matches!(login, remuda_directory::credentials::Login::Accepted(_)),
            "{login:?}"
        );
    }
}

#[tokio::test]
async fn secrets_leave_only_when_asked_for_and_stay_where_they_do_not_come() {
    let world = World::new().await;
    world.import("csv", TABLE).await;
    let bare = world.export("format=json").await;
    assert!(
        !bare.contains("argon2") && !bare.contains("hidden") && !bare.contains("password"),
        "{bare}"
    );
    let again = world.import("json", &bare).await;
    assert_eq!(
        again.json(),
        json!({"created": 0, "replaced": 6}),
        "{}",
        again.text
    );
    let full = world.export("format=json&passwords=true").await;
    assert!(full.contains("argon2id") && full.contains("hidden"), "{full}");
}

#[tokio::test]
async fn what_is_wrong_in_the_last_line_undoes_the_first() {
    let world = World::new().await;
    for (format, line, field, last) in [
        ("csv", 8, "quota", "account,,x@ex.com,,,,,,,much\n"),
        ("csv", 8, "address", "account,,x@nowhere.test,,,,,,,\n"),
        ("csv", 8, "targets", "alias,,x@ex.com,,,,,,,\n"),
        ("csv", 8, "type", "person,,x@ex.com,,,,,,,\n"),
    ] {
        let table: String = TABLE
            .lines()
            .enumerate()
            .map(|(at, one)| format!("{one}{}\n", if at == 0 { ",quota" } else { "," }))
            .collect();
        let reply = world.import(format, &format!("{table}{last}")).await;
        assert_eq!(reply.wrong(), (400, field.to_owned()), "{}", reply.text);
        assert_eq!(reply.json()["line"], line, "{}", reply.text);
        assert_eq!(world.get("domains").await.json()["entries"], json!([]));
    }
    let reply = world
        .import(
            "json",
            "[{\"type\": \"domain\",\n \"name\": \"ex.com\"},\n{\"type\": \"list\", \"address\": \"x\"}]",
        )
        .await;
    assert_eq!(
        (reply.wrong(), &reply.json()["line"]),
        ((400, "address".to_owned()), &json!(3)),
        "{}",
        reply.text
    );
    let taken = "[{\"type\":\"domain\",\"name\":\"ex.com\"},{\"type\":\"account\",\"address\":\"a@ex.com\"},\n\
                 {\"type\":\"list\",\"address\":\"A@ex.com\"}]";
    let reply = world.import("json", taken).await;
    assert_eq!(
        (reply.status, &reply.json()["line"]),
        (400, &json!(2)),
        "{}",
        reply.text
    );
    assert_eq!(world.get("domains").await.json()["entries"], json!([]));
    assert_eq!(world.get("export?format=xml").await.status, 400);
}

/// A body that ends in the middle, as when a client goes away.
struct Broken(Option<&'static str>);

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            None => Err("gone"),
        }))
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_stores_nothing() {
    let world = World::new().await;
    let reply = world
        .send("POST", "import?format=csv", Body::new(Broken(Some(TABLE))), "")
        .await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert_eq!(world.get("domains").await.json()["entries"], json!([]));
}

#[tokio::test]
async fn an_import_of_many_objects_is_seen_at_once() {
    let world = World::with_bob().await;
    assert_eq!(world.outcome("u999@ex.com").await, "unknown");
    let mut table = "type,address\n".to_owned();
    for number in 0..2000 {
        table.push_str(&format!("account,u{number}@ex.com\n"));
    }
    let stored = world.import("csv", &table).await;
    assert_eq!(stored.json(), json!({"created": 2000, "replaced": 0}));
    assert_eq!(world.outcome("u999@ex.com").await, "deliver");
    let file = world.export("format=csv").await;
    assert_eq!(file.lines().count(), 1 + 2 + 2000);
}

/// A long body whose second line is wrong, and that counts what is read of it.
struct Long(Arc<AtomicUsize>);

impl HttpBody for Long {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let text: &[u8] = match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => b"type,name\nperson,ex.com\n",
            1..=999 => b"domain,ex.org\n",
            _ => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text)))))
    }
}

#[tokio::test]
async fn an_import_is_read_to_its_end_before_it_is_answered() {
    let world = World::new().await;
    let read = Arc::new(AtomicUsize::new(0));
    let body = Body::new(Long(read.clone()));
    let reply = world.send("POST", "import?format=csv", body, "").await;
    assert_eq!(reply.wrong(), (400, "type".to_owned()), "{}", reply.text);
    assert_eq!(read.load(Ordering::Relaxed), 1001);
}

#[tokio::test]
async fn an_export_that_breaks_off_has_no_end() {
    let place = tempfile::tempdir().unwrap();
    let double = Double::new(super::store(&place).await);
    let directory = super::directory_over(&place, double.clone());
    let world = World::over(place, directory);
    let mut table = "type,name,address\ndomain,ex.com,\n".to_owned();
    // More pages than may wait for their reader.
    for number in 0..15_000 {
        table.push_str(&format!("account,,u{number}@ex.com\n"));
    }
    let stored = world.import("csv", &table).await;
    assert_eq!(stored.status, 200, "{}", stored.text);
    let request = Request::builder()
        .uri("/api/v1/export?format=ndjson")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    double.fail(Some(Fault::Refuse));
    assert!(to_bytes(response.into_body(), 1 << 26).await.is_err());
}
