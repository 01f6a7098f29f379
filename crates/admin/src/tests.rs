//! The API over a pretended engine: every path, every refusal.

mod attacks;
mod directory;
mod files;
mod object_cache;
mod refusals;

use std::sync::Mutex;

use axum::{
    body::{Body, to_bytes},
    http::Method,
};
use remuda_clock::SystemClock;
use remuda_directory::{
    store::{Store, sqlite::SqliteStore},
    switches::{Settings, Switches},
};
use remuda_engine::operations::*;
use remuda_mail::{Address, Endpoint, MessageId};
use serde_json::Value;
use tower::ServiceExt;

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// An engine that notes what it is asked.
#[derive(Default)]
struct Pretended {
    asked: Mutex<Vec<String>>,
    is_stopping: bool,
    admission: Option<&'static str>,
}

impl Pretended {
    fn note<T: Send + 'static>(
        &self,
        what: String,
        answer: Result<T, OperationError>,
    ) -> Pending<'_, Result<T, OperationError>> {
        self.asked.lock().unwrap().push(what);
        Box::pin(std::future::ready(answer))
    }
}

impl Operations for Pretended {
    fn status(&self) -> Pending<'_, Result<Status, OperationError>> {
        let status = Status {
            version: "1".into(),
            hostname: "mx.test".into(),
            uptime_seconds: 1.0,
            state: if self.is_stopping {
                ServiceState::Stopping
            } else {
                ServiceState::Ready
            },
            admission: AdmissionStatus {
                state: self.admission.unwrap_or("open").into(),
                reason: None,
            },
            queue: QueueCounts {
                active: 5,
                ..QueueCounts::default()
            },
            sessions: SessionCounts::default(),
            rates: Rates::default(),
            spool: SpoolStatus {
                writable: true,
                reason: None,
                writer_delay_ms: 0,
                free_disk: None,
            },
        };
        self.note("status".into(), Ok(status))
    }

    fn connections(&self, filter: ConnectionFilter) -> Pending<'_, Result<Vec<Connection>, OperationError>> {
        self.note(format!("connections {filter:?}"), Ok(Vec::new()))
    }

    fn retire_parked(&self, filter: ConnectionFilter) -> Pending<'_, Result<RetiredParked, OperationError>> {
        self.note(format!("retire {filter:?}"), Ok(RetiredParked { retired: 3 }))
    }

    fn cache_statistics(&self) -> Pending<'_, Result<CacheStatistics, OperationError>> {
        self.note("statistics".into(), Ok(CacheStatistics::default()))
    }

    fn cache_breakdown(
        &self,
        by: BreakdownBy,
        rows_max: usize,
    ) -> Pending<'_, Result<Breakdown, OperationError>> {
        let (rows, other) = (Vec::new(), FiguresRow::default());
        let breakdown = Breakdown {
            by,
            rows,
            other,
            known: 0,
        };
        self.note(format!("breakdown {by:?} {rows_max}"), Ok(breakdown))
    }

    fn hosts(&self, filter: HostFilter) -> Pending<'_, Result<Hosts, OperationError>> {
        self.note(format!("hosts {filter:?}"), Ok(Hosts::default()))
    }

    fn forget_host(&self, endpoint: Endpoint) -> Pending<'_, Result<ForgottenHosts, OperationError>> {
        let answer = match endpoint.port() {
            Some(25) => Ok(ForgottenHosts { forgotten: 1 }),
            _ => Err(OperationError::NoSuchHost(endpoint)),
        };
        self.note(format!("forget {endpoint}"), answer)
    }

    fn next_hop(&self, address: Address) -> Pending<'_, Result<String, OperationError>> {
        let domain = address.domain();
        self.note(
            format!("next hop of {address}"),
            Ok(format!("the way to {domain}")),
        )
    }

    fn queue_list(&self, filter: QueueFilter) -> Pending<'_, Result<Page, OperationError>> {
        self.note(format!("list {filter:?}"), Ok(Page::default()))
    }

    fn queue_show(&self, id: MessageId) -> Pending<'_, Result<MessageShown, OperationError>> {
        self.note(format!("show {id}"), Err(OperationError::NoSuchMessage(id)))
    }

    fn queue_summary(&self) -> Pending<'_, Result<Summary, OperationError>> {
        self.note("summary".into(), Err(OperationError::Spool("disk".into())))
    }

    fn queue_change(&self, verb: Verb, selection: Selection) -> Pending<'_, Result<Changed, OperationError>> {
        let changed = Changed {
            changed: 1,
            in_flight: vec!["A".into()],
        };
        self.note(format!("{verb:?} {selection:?}"), Ok(changed))
    }

    fn metrics_text(&self) -> Pending<'_, Result<String, OperationError>> {
        self.note("metrics".into(), Ok("remuda_up 1\n# EOF\n".into()))
    }
}

struct Answered {
    status: u16,
    kind: String,
    text: String,
    asked: Vec<String>,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

fn token() -> (tempfile::TempDir, Token) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    let token = Token::read(&directory.path().join("token")).unwrap();
    (directory, token)
}

/// A directory over a real file.
async fn directory() -> (tempfile::TempDir, Directory) {
    let place = tempfile::tempdir().unwrap();
    let store = store(&place).await;
    let directory = directory_over(&place, store);
    (place, directory)
}

async fn store(place: &tempfile::TempDir) -> Arc<SqliteStore> {
    let opened = SqliteStore::open(place.path().join("directory.db"), SystemClock::shared());
    Arc::new(opened.await.unwrap())
}

fn directory_over(place: &tempfile::TempDir, store: Arc<dyn Store>) -> Directory {
    let switches = Switches::open(Settings::default(), place.path()).unwrap();
    Directory::new(store, switches, SystemClock::shared())
}

async fn ask_of(engine: Pretended, method: Method, path: &str, authorization: Option<&str>) -> Answered {
    let engine = Arc::new(engine);
    let (_token, token) = token();
    let (_place, directory) = directory().await;
    let mut request = Request::builder().method(method).uri(path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let response = router(engine.clone(), directory, token)
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let kind = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let status = response.status().as_u16();
    let text = String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    let asked = engine.asked.lock().unwrap().clone();
    Answered {
        status,
        kind,
        text,
        asked,
    }
}

async fn ask(method: Method, path: &str) -> Answered {
    ask_of(
        Pretended::default(),
        method,
        path,
        Some(&format!("Bearer {TOKEN}")),
    )
    .await
}

#[tokio::test]
async fn nothing_is_answered_without_the_token() {
    for path in [
        "/api/v1/status",
        "/api/v1/queue",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/none",
        "/",
    ] {
        let short = &TOKEN[1..];
        for wrong in [
            None,
            Some(""),
            Some(TOKEN),
            Some("Basic x"),
            Some("Bearer "),
            Some("Bearer x"),
            Some(short),
        ] {
            let answered = ask_of(Pretended::default(), Method::GET, path, wrong).await;
            assert_eq!(
                (answered.status, answered.asked.len()),
                (401, 0),
                "{path} {wrong:?}"
            );
            assert_eq!(answered.kind, "application/problem+json");
        }
    }
    let lower = ask_of(
        Pretended::default(),
        Method::GET,
        "/api/v1/status",
        Some(&format!("bearer {TOKEN}")),
    )
    .await;
    assert_eq!(lower.status, 200);
}

#[tokio::test]
async fn supervisors_need_no_token() {
    for (engine, path, status) in [
        (Pretended::default(), "/healthz", 200),
        (Pretended::default(), "/readyz", 200),
        (
            Pretended {
                is_stopping: true,
                ..Pretended::default()
            },
            "/healthz",
            200,
        ),
        (
            Pretended {
                is_stopping: true,
                ..Pretended::default()
            },
            "/readyz",
            503,
        ),
        (
            Pretended {
                admission: Some("refuse-mail"),
                ..Pretended::default()
            },
            "/readyz",
            503,
        ),
    ] {
        assert_eq!(
            ask_of(engine, Method::GET, path, None).await.status,
            status,
            "{path}"
        );
    }
}

/// A request, and what the engine is asked for it.
const ASKED: &[(Method, &str, &str)] = &[
    (Method::GET, "/api/v1/status", "status"),
    (Method::GET, "/metrics", "metrics"),
    (Method::GET, "/api/v1/connection-cache", "statistics"),
    (
        Method::GET,
        "/api/v1/connections?destination=Example.net&endpoint=192.0.2.1:25",
        "connections ConnectionFilter { destination: Some(Example.net), endpoint: Some(192.0.2.1:25) }",
    ),
    (
        Method::DELETE,
        "/api/v1/connections",
        "retire ConnectionFilter { destination: None, endpoint: None }",
    ),
    (
        Method::GET,
        "/api/v1/hosts",
        "hosts HostFilter { state: None, limit: 1000 }",
    ),
    (
        Method::GET,
        "/api/v1/hosts?state=paused&limit=5",
        "hosts HostFilter { state: Some(Paused), limit: 5 }",
    ),
    (
        Method::DELETE,
        "/api/v1/hosts/192.0.2.1:25",
        "forget 192.0.2.1:25",
    ),
    (
        Method::DELETE,
        "/api/v1/hosts/%5B2001:db8::1%5D:25",
        "forget [2001:db8::1]:25",
    ),
    (
        Method::GET,
        "/api/v1/queue?destination=a.test&sender=&status=deferred&limit=5&after=9",
        "list QueueFilter { destination: Some(a.test), sender: Some(\"\"), status: Some(Deferred), limit: 5, after: Some(EntryId(9)) }",
    ),
    (
        Method::GET,
        "/api/v1/queue",
        "list QueueFilter { destination: None, sender: None, status: None, limit: 100, after: None }",
    ),
    (
        Method::POST,
        "/api/v1/queue/00000000001/retry",
        "Retry Message(00000000001)",
    ),
    (
        Method::POST,
        "/api/v1/queue/00000000001/hold",
        "Hold Message(00000000001)",
    ),
    (
        Method::POST,
        "/api/v1/queue/00000000001/release",
        "Release Message(00000000001)",
    ),
    (
        Method::DELETE,
        "/api/v1/queue/00000000001",
        "Delete Message(00000000001)",
    ),
    (
        Method::POST,
        "/api/v1/queue/retry?destination=a.test",
        "Retry Destination(a.test)",
    ),
    (Method::POST, "/api/v1/queue/hold?all=true", "Hold All"),
    (
        Method::POST,
        "/api/v1/queue/release?destination=a.test",
        "Release Destination(a.test)",
    ),
    (
        Method::POST,
        "/api/v1/queue/delete?destination=a.test",
        "Delete Destination(a.test)",
    ),
    (
        Method::DELETE,
        "/api/v1/queue?destination=a.test",
        "Delete Destination(a.test)",
    ),
];

#[tokio::test]
async fn every_path_asks_the_engine_for_its_operation() {
    for (method, path, asked) in ASKED {
        let answered = ask(method.clone(), path).await;
        assert_eq!(answered.status, 200, "{method} {path}: {}", answered.text);
        assert_eq!(answered.asked, [*asked], "{method} {path}");
    }
}

/// A request, and the status and detail of its problem; "" = any detail.
const PROBLEMS: &[(Method, &str, u16, &str)] = &[
    (
        Method::GET,
        "/api/v1/queue/00000000001",
        404,
        "no such message: 00000000001",
    ),
    (
        Method::GET,
        "/api/v1/queue/not-an-id",
        400,
        "\"not-an-id\" is not a queue id",
    ),
    (
        Method::GET,
        "/api/v1/queue/summary",
        503,
        "the spool is not available: disk",
    ),
    (
        Method::GET,
        "/api/v1/queue?limit=0",
        400,
        "limit must be from 1 to 10000",
    ),
    (
        Method::GET,
        "/api/v1/connection-cache?by=endpoint&limit=1001",
        400,
        "limit must be from 1 to 1000",
    ),
    (
        Method::GET,
        "/api/v1/connection-cache?limit=5",
        400,
        "limit goes with by=destination or by=endpoint",
    ),
    (Method::GET, "/api/v1/connection-cache?by=host", 400, ""),
    (Method::GET, "/api/v1/queue?status=lost", 400, ""),
    (Method::GET, "/api/v1/queue?destinaton=a.test", 400, ""),
    (
        Method::GET,
        "/api/v1/connections?endpoint=a.test",
        400,
        "endpoint \"a.test\" is neither ADDRESS:PORT nor /PATH",
    ),
    (
        Method::DELETE,
        "/api/v1/hosts/192.0.2.1:26",
        404,
        "nothing is remembered of 192.0.2.1:26",
    ),
    (
        Method::DELETE,
        "/api/v1/hosts/%2Frun%2Flmtp",
        404,
        "nothing is remembered of /run/lmtp",
    ),
    (
        Method::DELETE,
        "/api/v1/hosts/mx.a.test",
        400,
        "endpoint \"mx.a.test\" is neither ADDRESS:PORT nor /PATH",
    ),
    (
        Method::GET,
        "/api/v1/hosts?limit=20001",
        400,
        "limit must be from 1 to 20000",
    ),
    (Method::GET, "/api/v1/hosts?state=dead", 400, ""),
    (Method::GET, "/api/v1/hosts?stat=slow", 400, ""),
    (Method::DELETE, "/api/v1/hosts", 405, ""),
    (
        Method::POST,
        "/api/v1/queue/delete",
        400,
        "say which: destination=NAME or all=true",
    ),
    (
        Method::POST,
        "/api/v1/queue/hold?all=true&destination=a.test",
        400,
        "say which: destination=NAME or all=true",
    ),
    (
        Method::DELETE,
        "/api/v1/queue",
        400,
        "say which: destination=NAME or all=true",
    ),
    (Method::PUT, "/api/v1/status", 405, ""),
    (Method::POST, "/healthz", 405, ""),
    (
        Method::GET,
        "/api/v1/none",
        404,
        "no such path; see /api/v1/openapi.json",
    ),
];

#[tokio::test]
async fn every_error_is_problem_details() {
    for (method, path, status, detail) in PROBLEMS {
        let answered = ask(method.clone(), path).await;
        assert_eq!(answered.status, *status, "{method} {path}: {}", answered.text);
        assert_eq!(answered.kind, "application/problem+json", "{method} {path}");
        let problem = answered.json();
        assert_eq!(problem["status"], *status);
        assert!(
            detail.is_empty() || problem["detail"] == *detail,
            "{method} {path}: {problem}"
        );
    }
}

#[tokio::test]
async fn a_mistyped_filter_changes_nothing() {
    for path in [
        "/api/v1/queue/delete?destinaton=a.test&all=true",
        "/api/v1/queue?al=true",
        "/api/v1/connections?dest=a",
    ] {
        let answered = ask(Method::DELETE, path).await;
        assert!(answered.status >= 400 && answered.asked.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn answers_are_json_and_metrics_are_text() {
    let status = ask(Method::GET, "/api/v1/status").await;
    assert_eq!(
        (status.kind.as_str(), &status.json()["queue"]["active"]),
        ("application/json", &Value::from(5))
    );
    let metrics = ask(Method::GET, "/metrics").await;
    assert!(metrics.kind.starts_with("application/openmetrics-text") && metrics.text.contains("remuda_up 1"));
}

#[tokio::test]
async fn figures_come_with_the_statistics_when_asked_for() {
    let answered = ask(Method::GET, "/api/v1/connection-cache?by=endpoint&limit=7").await;
    assert_eq!(answered.asked, ["breakdown Endpoint 7", "statistics"]);
    assert_eq!(answered.json()["breakdown"]["by"], "endpoint");
    let plain = ask(Method::GET, "/api/v1/connection-cache").await.json();
    assert!(plain.get("breakdown").is_none());
}

#[tokio::test]
async fn every_described_path_is_there() {
    let document = ask(Method::GET, "/api/v1/openapi.json").await.json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path
                .replace("{id}", "00000000001")
                .replace("{endpoint}", "192.0.2.1:25")
                .replace("{type}", "account")
                .replace("{key}", "a@b.test")
                .replace("{name}", "a@b.test");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answered = ask(method.clone(), &path).await;
            assert!(answered.status != 405, "{method} {path}");
            assert!(!answered.text.contains("no such path"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_known_before_anything_serves() {
    let first = Bound::new(([127, 0, 0, 1], 0).into()).unwrap();
    let taken = Bound::new(first.address()).unwrap_err().to_string();
    assert!(
        taken.starts_with(&format!("admin.address {}: ", first.address())),
        "{taken}"
    );
}

#[tokio::test]
async fn a_stopped_server_accepts_nothing_more() {
    let (_directory, token) = token();
    let clock = remuda_clock::SystemClock::shared();
    let bound = Bound::new(([127, 0, 0, 1], 0).into()).unwrap();
    let (_place, opened) = self::directory().await;
    let server = bound
        .serve(Arc::new(Pretended::default()), opened, token, clock)
        .unwrap();
    let address = server.address();
    let open = tokio::net::TcpStream::connect(address).await.unwrap();
    server.stop(std::time::Duration::from_secs(30)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    drop(open);
}
