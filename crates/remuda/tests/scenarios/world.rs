//! The stage: an engine with settings of the test's, receivers around it, and ways to wait.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use remuda_clock::{SharedClock, SystemClock, before};
use remuda_engine::{
    Engine,
    operations::{
        EntryStatus, MessageShown, Operations, QueueCounts, QueueEntry, QueueFilter, Selection, Verb,
    },
    settings::{Listener, Route, RouteDomain, Settings},
};
use remuda_mail::HostPort;
use remuda_sink as sink;
use remuda_testing::wait::{PATIENCE, wait_until_async};

/// An engine at work. Its data live as long as it.
pub struct World {
    pub engine: Engine,
    pub clock: SharedClock,
    pub settings: Settings,
    directory: Arc<tempfile::TempDir>,
}

/// A message to send.
pub type Message = remuda_load::Message;

impl World {
    /// Starts an engine on the defaults with these routes.
    pub async fn start(routes: Vec<Route>) -> World {
        World::start_with(routes, |_| ()).await
    }

    /// The same, with more changed in the settings.
    pub async fn start_with(routes: Vec<Route>, change: impl FnOnce(&mut Settings)) -> World {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut settings = Settings {
            data_dir: directory.path().join("data"),
            listeners: vec![Listener::plain(([127, 0, 0, 1], 0).into())],
            routes,
            ..Settings::defaults("relay.test")
        };
        change(&mut settings);
        World::over(settings, directory).await
    }

    async fn over(settings: Settings, directory: Arc<tempfile::TempDir>) -> World {
        if std::env::var_os("REMUDA_LOG").is_some() {
            // Another test may have been first.
            let _ = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_test_writer()
                .try_init();
        }
        let clock = SystemClock::shared();
        let engine = Engine::start(settings.clone(), None, clock.clone())
            .await
            .unwrap();
        World {
            engine,
            clock,
            settings,
            directory,
        }
    }

    /// Stops the engine and starts another on the same data, with other settings.
    pub async fn restart_with(self, change: impl FnOnce(&mut Settings)) -> World {
        self.engine.stop(STOP).await;
        self.replaced_with(change).await
    }

    /// The same after a stop that does not wait for transactions in hand.
    pub async fn restart_at_once_with(self, change: impl FnOnce(&mut Settings)) -> World {
        self.engine.stop(Duration::ZERO).await;
        self.replaced_with(change).await
    }

    async fn replaced_with(&self, change: impl FnOnce(&mut Settings)) -> World {
        let (mut settings, directory) = (self.settings.clone(), self.directory.clone());
        change(&mut settings);
        World::over(settings, directory).await
    }

    /// Stops the engine as SIGTERM does.
    pub async fn stop(&self) {
        self.engine.stop(STOP).await;
    }

    pub fn address(&self) -> SocketAddr {
        self.engine.addresses()[0]
    }

    pub fn operations(&self) -> Arc<dyn Operations> {
        self.engine.operations()
    }

    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// Sends one message, which must be taken.
    pub async fn send(&self, message: Message) {
        self.send_many(1, 1, move |_| message.clone()).await;
    }

    /// Sends messages over several sessions; all must be taken.
    pub async fn send_many(
        &self,
        messages: u64,
        sessions: usize,
        message: impl Fn(u64) -> Message + Send + Sync + 'static,
    ) {
        let config = remuda_load::Config {
            messages,
            sessions,
            ..remuda_load::Config::to(self.address().to_string())
        };
        let plan = remuda_load::Plan::new(message);
        let report = remuda_load::run_with(config, plan, self.clock.clone())
            .await
            .unwrap();
        assert_eq!((report.failed, report.messages), (0, messages), "{report}");
        assert_eq!(report.refused_recipients, 0, "{report}");
    }

    /// The whole queue.
    pub async fn queue(&self) -> Vec<QueueEntry> {
        let page = self
            .operations()
            .queue_list(QueueFilter::default())
            .await
            .unwrap();
        page.entries
    }

    /// The only message in the queue, once it is in this state.
    pub async fn waiting_as(&self, status: EntryStatus) -> QueueEntry {
        self.until(
            &format!("one message waits as {status:?}"),
            async || matches!(&self.queue().await[..], [only] if only.status == status),
        )
        .await;
        self.queue().await.remove(0)
    }

    /// Everything about a message.
    pub async fn show(&self, id: &str) -> MessageShown {
        self.operations().queue_show(id.parse().unwrap()).await.unwrap()
    }

    /// Waits until everything is delivered, reported and gone: from the spool, and a moment later from
    /// every count.
    pub async fn empty(&self) {
        self.until("the queue is empty", async || self.queue().await.is_empty())
            .await;
        self.until("nothing is counted", async || {
            self.operations().status().await.unwrap().queue == QueueCounts::default()
        })
        .await;
    }

    /// Waits for what the engine comes to.
    pub async fn until(&self, what: &str, condition: impl AsyncFnMut() -> bool) {
        wait_until_async(what, condition).await;
    }

    /// An operator's verb on one message; answers with those in flight.
    pub async fn change(&self, verb: Verb, id: &str) -> Vec<String> {
        let selection = Selection::Message(id.parse().unwrap());
        let changed = self.operations().queue_change(verb, selection).await.unwrap();
        assert!(changed.changed > 0, "{changed:?}");
        changed.in_flight
    }

    /// An operator's verb on everything.
    pub async fn change_all(&self, verb: Verb) {
        self.operations()
            .queue_change(verb, Selection::All)
            .await
            .unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine.abort();
    }
}

/// A receiver that keeps what it gets.
pub async fn receiver(listener: sink::Listener) -> sink::Running {
    receivers(vec![listener]).await
}

/// Several in one.
pub async fn receivers(listeners: Vec<sink::Listener>) -> sink::Running {
    let config = sink::Config {
        listeners,
        keep_contents: true,
        ..sink::Config::default()
    };
    sink::start(config, SystemClock::shared()).await.unwrap()
}

/// A friendly receiver but for these replies.
pub fn replying(replies: &[&str]) -> sink::Listener {
    sink::Listener {
        reply: replies.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..sink::Listener::default()
    }
}

/// Waits until so many messages have arrived; shows what has when they do not.
pub async fn arrived(sink: &sink::Running, messages: u64) {
    arrived_within(sink, messages, PATIENCE).await;
}

/// The same, for what takes long.
pub async fn arrived_within(sink: &sink::Running, messages: u64, patience: Duration) {
    let clock = SystemClock::shared();
    let deadline = clock.now().monotonic + patience;
    let arrived = before(&*clock, deadline, sink.received(messages)).await;
    assert!(
        arrived.is_some(),
        "{} of {messages} arrived",
        sink.report().messages()
    );
}

/// A route for one domain to these hosts, open to everybody.
pub fn route(domain: &str, hosts: &[SocketAddr]) -> Route {
    preferring(domain, &hosts.iter().map(|host| (*host, 0)).collect::<Vec<_>>())
}

/// A route with preferences.
pub fn preferring(domain: &str, hosts: &[(SocketAddr, u16)]) -> Route {
    let hosts = hosts.iter().map(|(host, preference)| HostPort {
        host: host.ip().to_string().into(),
        port: Some(host.port()),
        preference: *preference,
    });
    let domain = match domain {
        "*" => RouteDomain::Any,
        domain => RouteDomain::Exact(domain.parse().unwrap()),
    };
    Route {
        accept: true,
        ..Route::new(domain, hosts.collect())
    }
}

/// A short message between two addresses.
pub fn message(sender: &str, recipient: &str) -> Message {
    Message {
        content: format!(
            "From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: hello\r\nMessage-ID: <one@source.test>\r\n\
             Date: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\nHello.\r\n"
        )
        .into_bytes(),
        sender: sender.to_owned(),
        recipients: vec![recipient.to_owned()],
        ..Message::default()
    }
}

/// All recipients that have arrived, with repeats, in order of their names.
pub fn recipients(report: &sink::Report) -> Vec<String> {
    let all = report.received().flat_map(|received| &received.recipients);
    let mut all: Vec<String> = all.map(|recipient| recipient.address.clone()).collect();
    all.sort();
    all
}

/// For transactions in hand at the end; nothing should need it.
pub const STOP: Duration = Duration::from_secs(20);
