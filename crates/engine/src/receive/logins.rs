//! Logins: how many are checked at once, and how those who are wrong are slowed down.
//!
//! ```text
//!   name, password ─▶ one of CHECKS_MAX places ─▶ Authenticator ─▶ right: at once
//!                                                              └▶ wrong: after 1, 2, 4, 8, 8, … seconds
//! ```
//!
//! # Contract
//! * **Checks in flight are bounded** ([`CHECKS_MAX`]): each costs memory and much time of a processor. Who finds no
//!   place in time is told to come back.
//! * **A client that is wrong waits longer each time**, whatever session and whatever name it tries, up to
//!   [`DELAY_MAX`]; [`FORGOTTEN_AFTER`] the last time it is as new. A client is what `accept` counts as one.
//! * **Only wrong answers wait**: who is right is let in at once, behind the same address, too.
//! * **A directory that cannot be asked is nobody's failure.**
//!
//! # Limits
//! [`CLIENTS_MAX`] clients are remembered; beyond, the half that was wrong the longest ago is forgotten.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, before};
use remuda_mail::Credentials;
use tokio::sync::Semaphore;

use super::{
    accept::client_of,
    authenticator::{Authenticator, Login},
};

/// Passwords that are checked at once: argon2id takes some 20 MiB and some 30 ms each.
pub const CHECKS_MAX: usize = 16;
/// How long a login may wait for its check and for the answer.
pub const CHECK_MAX: Duration = Duration::from_secs(30);
/// What the first wrong answer waits for; twice as long with each that follows.
pub const DELAY_MIN: Duration = Duration::from_secs(1);
/// The longest that a wrong answer waits.
pub const DELAY_MAX: Duration = Duration::from_secs(8);
/// When a client's last failure no longer counts.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
/// Clients whose failures are remembered.
pub const CLIENTS_MAX: usize = 10_000;

/// The checks, and who has failed them.
pub(super) struct Logins {
    authenticator: Option<Arc<dyn Authenticator>>,
    clock: SharedClock,
    places: Semaphore,
    failures: Mutex<Failures>,
}

impl Logins {
    pub(super) fn new(authenticator: Option<Arc<dyn Authenticator>>, clock: SharedClock) -> Self {
        Logins {
            authenticator,
            clock,
            places: Semaphore::new(CHECKS_MAX),
            failures: Mutex::default(),
        }
    }

    pub(super) fn authenticator(&self) -> Option<&dyn Authenticator> {
        self.authenticator.as_deref()
    }

    /// Checks a login of a client at `ip`; for one that is rejected also says when it may be told.
    pub(super) async fn check(&self, ip: IpAddr, credentials: &Credentials) -> (Login, Monotonic) {
        let began = self.clock.now().monotonic;
        let checked = before(&*self.clock, began + CHECK_MAX, self.ask(credentials)).await;
        let login = checked.unwrap_or(Login::Unavailable);
        let now = self.clock.now().monotonic;
        let delay = match login {
            Login::Rejected => self.fail(ip, now),
            Login::Accepted(_) | Login::Unavailable | Login::TooMany => Duration::ZERO,
        };
        (login, now + delay)
    }

    async fn ask(&self, credentials: &Credentials) -> Login {
        let Some(authenticator) = &self.authenticator else {
            return Login::Unavailable;
        };
        // Nobody closes it.
        let Ok(_place) = self.places.acquire().await else {
            return Login::Unavailable;
        };
        authenticator
            .authenticate(&credentials.username, &credentials.password)
            .await
    }

    fn fail(&self, ip: IpAddr, now: Monotonic) -> Duration {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(client_of(ip), now)
    }
}

/// Who has been wrong, and how often.
#[derive(Default)]
struct Failures {
    by_client: HashMap<IpAddr, Failure>,
}

#[derive(Clone, Copy)]
struct Failure {
    count: u32,
    last: Monotonic,
}

impl Failures {
    /// Notes that `client` was wrong; how long it has to wait for the answer.
    fn note(&mut self, client: IpAddr, now: Monotonic) -> Duration {
        if !self.by_client.contains_key(&client) && self.by_client.len() >= CLIENTS_MAX {
            self.make_room(now);
        }
        let failure = self
            .by_client
            .entry(client)
            .or_insert(Failure { count: 0, last: now });
        if now.since(failure.last) >= FORGOTTEN_AFTER {
            failure.count = 0;
        }
        let doubled = DELAY_MIN.saturating_mul(1 << failure.count.min(16));
        failure.count = failure.count.saturating_add(1);
        failure.last = now;
        doubled.min(DELAY_MAX)
    }

    /// Forgets who is as new, else the older half: looking through all of them for one would cost too much with
    /// each.
    fn make_room(&mut self, now: Monotonic) {
        self.by_client
            .retain(|_, failure| now.since(failure.last) < FORGOTTEN_AFTER);
        if self.by_client.len() < CLIENTS_MAX {
            return;
        }
        let mut times: Vec<Monotonic> = self.by_client.values().map(|failure| failure.last).collect();
        let (_, middle, _) = times.select_nth_unstable(CLIENTS_MAX / 2);
        let middle = *middle;
        self.by_client.retain(|_, failure| failure.last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    fn waits(failures: &mut Failures, ip: &str, seconds: u64) -> u64 {
        failures
            .note(client_of(ip.parse().unwrap()), at(seconds))
            .as_secs()
    }

    #[test]
    fn a_client_that_is_wrong_waits_longer_each_time() {
        let mut failures = Failures::default();
        let waited: Vec<u64> = (0..6).map(|i| waits(&mut failures, "192.0.2.1", i)).collect();
        assert_eq!(waited, [1, 2, 4, 8, 8, 8]);
        assert_eq!(waits(&mut failures, "192.0.2.2", 6), 1);
        // All addresses of one network are one client.
        assert_eq!(waits(&mut failures, "2001:db8::1", 6), 1);
        assert_eq!(waits(&mut failures, "2001:db8::ffff:2", 6), 2);
        assert_eq!(waits(&mut failures, "::ffff:192.0.2.2", 6), 2);
        // Ten minutes after the last one.
        assert_eq!(waits(&mut failures, "192.0.2.1", 5 + 599), 8);
        assert_eq!(waits(&mut failures, "192.0.2.1", 604 + 600), 1);
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let mut failures = Failures::default();
        for n in 0..100_000u32 {
            failures.note(IpAddr::V4((0x0a00_0000 + n).into()), at(u64::from(n / 1000)));
            assert!(failures.by_client.len() <= CLIENTS_MAX);
        }
        // The last are known, the first are not.
        assert_eq!(
            failures
                .note(IpAddr::V4((0x0a00_0000 + 99_999u32).into()), at(100))
                .as_secs(),
            2
        );
        assert_eq!(
            failures
                .note(IpAddr::V4(0x0a00_0000u32.into()), at(100))
                .as_secs(),
            1
        );
        // Whoever is forgotten by time gives way first.
        let mut n = 0x0b00_0000u32;
        while failures.by_client.len() < CLIENTS_MAX {
            n += 1;
            failures.note(IpAddr::V4(n.into()), at(200));
        }
        failures.note(IpAddr::V4(1.into()), at(10_000));
        assert_eq!(failures.by_client.len(), 1);
    }
}
