//! The small internet: receivers on loopback, the routes to them, and a server in between that hosts a domain.
//!
//! # Contract
//! * **Every domain is a destination of its own**: no two have the same list of hosts.
//! * **Domains share receivers**, so that a session opened for one may serve another.
//! * **It ends with its value**: dropped, the engine stops at once.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use remuda_clock::SharedClock;
use remuda_directory::Directory;
use remuda_engine::{
    Engine, Parts,
    operations::Operations,
    settings::{Listener, Route, RouteDomain, Settings},
};
use remuda_mail::HostPort;
use remuda_sink as sink;

use super::home;
use crate::{config, directory::tended::Tended};

/// Whether the server keeps and shares its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// As by default.
    On,
    /// A connection for each message.
    Off,
}

/// A domain of the small internet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    /// Its name.
    pub domain: &'static str,
    /// The receivers that take its mail, by number.
    pub hosts: &'static [usize],
    /// How much of the mail goes there, in parts of all weights.
    pub weight: u64,
}

/// Receivers and server.
pub(super) struct World {
    engine: Engine,
    sinks: sink::Running,
    directory: Directory,
    /// Taken at the end.
    tended: Option<Tended>,
    data_dir: PathBuf,
}

impl World {
    /// Starts the receivers, and a server with its data in `data_dir`.
    pub async fn start(data_dir: &Path, reuse: Reuse, clock: &SharedClock) -> anyhow::Result<Self> {
        let config = sink::Config {
            listeners: (0..RECEIVERS).map(receiver).collect(),
            keep_digests: true,
            ..sink::Config::default()
        };
        let sinks = sink::start(config, clock.clone()).await.context("receivers")?;
        let settings = settings(data_dir, reuse, sinks.addresses())?;
        let tended = open_directory(data_dir, clock).await?;
        let directory = tended.directory();
        home::settle_in(&directory).await?;
        let opening = std::future::ready(Ok(directory.clone()));
        let parts = Parts {
            directory: Some(Box::pin(opening)),
            ..Parts::default()
        };
        let engine = Engine::start_with(settings, None, clock.clone(), parts).await?;
        Ok(World {
            engine,
            sinks,
            directory,
            tended: Some(tended),
            data_dir: data_dir.to_owned(),
        })
    }

    /// Where the server takes mail.
    pub fn address(&self) -> SocketAddr {
        self.engine.addresses()[0]
    }

    /// The receivers.
    pub fn sinks(&self) -> &sink::Running {
        &self.sinks
    }

    /// What is hosted, and the cache before it.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where the server keeps its data, Maildirs included.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What an operator may ask the server.
    pub fn operations(&self) -> Arc<dyn Operations> {
        self.engine.operations()
    }

    /// Ends the server: it says QUIT to the receivers.
    pub async fn stop(mut self, patience: Duration) {
        self.engine.stop(patience).await;
        if let Some(tended) = self.tended.take() {
            tended.stop().await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine.abort();
    }
}

/// Answers what is said of receiver `number` in a few words.
pub(super) fn describe(number: usize) -> String {
    let trip = ROUND_TRIP.as_millis();
    if number == SLOW {
        format!(
            "{trip} ms a round trip, slow: {} ms more for each message",
            SLOWNESS.as_millis()
        )
    } else {
        format!("{trip} ms a round trip")
    }
}

fn receiver(number: usize) -> sink::Listener {
    let slowness = sink::DelayRule {
        selector: sink::Selector::every(sink::Point::Dot),
        delay: SLOWNESS,
        window: sink::Window::default(),
    };
    sink::Listener {
        hostname: format!("mx{number}.demo.test"),
        rtt: ROUND_TRIP,
        delay: if number == SLOW {
            vec![slowness]
        } else {
            Vec::new()
        },
        ..sink::Listener::default()
    }
}

async fn open_directory(data_dir: &Path, clock: &SharedClock) -> anyhow::Result<Tended> {
    std::fs::create_dir_all(data_dir).context("data directory")?;
    let config = config::Directory {
        database: config::Database::Sqlite(data_dir.join("directory.db")),
        password_line: None,
        object_cache: Default::default(),
    };
    let opened = Tended::open(&config, data_dir, clock.clone()).await;
    opened.map_err(|failure| anyhow::anyhow!("{failure}"))
}

fn settings(data_dir: &Path, reuse: Reuse, receivers: &[SocketAddr]) -> anyhow::Result<Settings> {
    let mut routes = Vec::new();
    for site in SITES {
        let hosts = site.hosts.iter().map(|number| HostPort {
            host: receivers[*number].ip().to_string().into(),
            port: Some(receivers[*number].port()),
            preference: 0,
        });
        let domain = RouteDomain::Exact(site.domain.parse().context(site.domain)?);
        routes.push(Route::new(domain, hosts.collect()));
    }
    let mut settings = Settings {
        data_dir: data_dir.to_owned(),
        listeners: vec![Listener::plain(([127, 0, 0, 1], 0).into())],
        routes,
        ..Settings::defaults("relay.demo.test")
    };
    settings.connection_cache.on_demand = reuse == Reuse::On;
    Ok(settings)
}

/// The domains.
pub(super) const SITES: &[Site] = &[
    site("alder.test", &[0], 6),
    site("birch.test", &[1], 5),
    site("cedar.test", &[2], 4),
    site("elm.test", &[3], 3),
    site("fir.test", &[0, 1], 5),
    site("hazel.test", &[1, 2], 4),
    site("juniper.test", &[2, 3], 3),
    site("larch.test", &[3, 0], 3),
    site("maple.test", &[0, 1, 2], 3),
    site("oak.test", &[1, 2, 3], 2),
    site("pine.test", &[0, SLOW], 1),
    site("willow.test", &[SLOW], 1),
];

const fn site(domain: &'static str, hosts: &'static [usize], weight: u64) -> Site {
    Site {
        domain,
        hosts,
        weight,
    }
}

/// How many receivers there are.
pub(super) const RECEIVERS: usize = 5;
/// The number of the slow one.
const SLOW: usize = 4;
/// How far away they are.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// How long the slow one thinks about a message.
const SLOWNESS: Duration = Duration::from_millis(60);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_dozen_domains_are_as_many_destinations_on_a_handful_of_receivers() {
        let lists: HashSet<_> = SITES.iter().map(|site| site.hosts).collect();
        assert_eq!((SITES.len(), lists.len()), (12, 12));
        assert!(
            SITES
                .iter()
                .flat_map(|site| site.hosts)
                .all(|host| *host < RECEIVERS)
        );
        let shared = |number| SITES.iter().filter(|site| site.hosts.contains(&number)).count();
        assert!((0..RECEIVERS).all(|number| shared(number) > 1));
    }
}
