//! Resolving against a DNS server of the test's own.

mod faults;
mod ourselves;
mod records;
mod routes;

use std::sync::{Arc, Mutex};

use remuda_clock::{Clock, Monotonic, Now, SystemClock, Timer};
use remuda_dispatch::event::Resolution;
use remuda_testing::dns::{Dns, Kind, Trouble};

use super::*;
use crate::settings::Listener;

/// The system's clock, with a part of the time already over.
struct Shifted {
    inner: SystemClock,
    shift: Mutex<Duration>,
}

impl Clock for Shifted {
    fn now(&self) -> Now {
        self.inner.now().later(*self.shift.lock().unwrap())
    }

    fn sleep_until(&self, deadline: Monotonic) -> Timer {
        let shift = *self.shift.lock().unwrap();
        self.inner
            .sleep_until(Monotonic::ZERO + deadline.since_start().saturating_sub(shift))
    }
}

/// A DNS server, a resolver that asks it, and the resolver's clock.
struct Scene {
    dns: Dns,
    resolver: Resolver,
    clock: Arc<Shifted>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dns = Dns::start().await.unwrap();
        let mut settings = Settings::defaults("mx.home.test");
        settings.dns_servers = vec![dns.address()];
        change(&mut settings);
        let clock = Arc::new(Shifted {
            inner: SystemClock::new(),
            shift: Mutex::default(),
        });
        let times = Times {
            query: Duration::from_millis(100),
            resolve: Duration::from_secs(30),
        };
        let resolver = Resolver::with_times(&settings, clock.clone(), times).unwrap();
        Scene { dns, resolver, clock }
    }

    async fn resolve(&self, domain: &str) -> Result<Resolution, Unresolved> {
        self.resolver.resolve(&NextHop::Mx(domain.parse().unwrap())).await
    }

    /// `preference host address:port`, in the order of the answer.
    async fn servers(&self, domain: &str) -> Vec<String> {
        listed(&self.resolve(domain).await.unwrap())
    }

    /// The status of a destination without servers.
    async fn refusal(&self, domain: &str) -> String {
        self.resolve(domain)
            .await
            .expect_err("servers were found")
            .refusal
            .status
            .to_string()
    }

    fn pass(&self, seconds: u64) {
        *self.clock.shift.lock().unwrap() += Duration::from_secs(seconds);
    }

    /// How long an answer holds, from now, in whole seconds (rounded up).
    fn remaining(&self, valid_until: Monotonic) -> u64 {
        (valid_until - self.clock.now().monotonic).as_secs_f64().ceil() as u64
    }
}

fn listed(resolution: &Resolution) -> Vec<String> {
    resolution
        .candidates
        .iter()
        .map(|one| format!("{} {} {}", one.preference, one.host, one.endpoint))
        .collect()
}

fn listen(settings: &mut Settings, at: &str) {
    settings.listeners.push(Listener::plain(at.parse().unwrap()));
}
