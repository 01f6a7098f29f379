//! `remuda serve`: the server's outer frame — sockets, log, signals, start, reload, stop.
//!
//! # Contract
//! * **Start is all or nothing**: what cannot be had is one clear line, and nothing on disk has changed.
//! * **One line says that it is ready**: `remuda ready smtp=… admin=…`; a service manager is told too.
//! * **SIGTERM or SIGINT stops** within [`STOP_MAX`]; a second one ends at once. **SIGHUP reloads**; a
//!   configuration that is wrong changes nothing.
//!
//! # Not here
//! Everything about mail: `remuda_engine`; whose mail is kept here: `remuda_directory`.
//!
//! # Known faults
//! The log is written line by line where the event happens: a reader that stalls stalls the server.

mod log;
mod manager;
mod signals;
mod sockets;

use std::{net::SocketAddr, time::Duration};

use remuda_admin::{Bound, Server, Token};
use remuda_clock::{SharedClock, SystemClock};
use remuda_engine::{Engine, Opening, Parts, StartError, admission::raise_descriptor_limit, receive};

use tokio::sync::oneshot;

use crate::{
    cli::ConfigArguments,
    config::{self, Config, Problems, Source, fit_descriptors},
    directory::tended::Tended,
    exit::{Exit, Failure},
};
use signals::Signal;
pub use signals::Signals;
use sockets::Sockets;

/// How long transactions in hand may take after the signal to stop.
pub const STOP_MAX: Duration = Duration::from_secs(30);
/// For requests to the admin API, after the engine has stopped.
const ADMIN_STOP_MAX: Duration = Duration::from_secs(1);

/// Serves until a signal says stop.
///
/// # Errors
/// It could not start, or was ended before it had stopped.
pub fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    let source = arguments.source();
    let (config, notes) = load(&source)?;
    log::start(config.log.format);
    say_warnings(&source, &config);
    for note in notes {
        tracing::warn!("{note}, to fit the descriptor limit");
    }
    let sockets =
        Sockets::inherited(config.admin.address).map_err(|error| Failure::new(Exit::Failed, error))?;
    let runtime = crate::runtime()?;
    let ended = runtime.block_on(serve(&source, config, sockets));
    // Whatever still runs was told to end; nobody waits for it.
    runtime.shutdown_background();
    ended
}

/// Reads the configuration and fits it into the descriptors that there are.
fn load(source: &Source) -> Result<(Config, Vec<String>), Problems> {
    let mut config = source.load()?;
    match fit_descriptors(&mut config, raise_descriptor_limit()) {
        Ok(notes) => Ok((config, notes)),
        Err(problem) => Err(Problems {
            file: source.name(),
            list: vec![problem],
        }),
    }
}

fn say_warnings(source: &Source, config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{}", warning.in_file(&source.name()));
    }
}

async fn serve(source: &Source, config: Config, sockets: Sockets) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::new(Exit::Failed, error))?;
    let clock = SystemClock::shared();
    let bound = match sockets.admin {
        Some(listener) => Bound::over(listener).map_err(|error| Failure::new(Exit::Failed, error))?,
        None => Bound::new(config.admin.address).map_err(|error| Failure::new(Exit::Failed, error))?,
    };
    let (opening, directory) = open_directory(&config, &clock);
    let parts = Parts {
        directory: Some(opening),
        ..Parts::default()
    };
    let engine = Engine::start_with(config.settings.clone(), sockets.smtp, clock.clone(), parts)
        .await
        .map_err(start_failure)?;
    let served = match directory.await {
        Ok(directory) => {
            serve_admin(bound, (&engine, &directory), &config, clock).map(|admin| (directory, admin))
        }
        // The engine has waited for it.
        Err(gone) => Err(Failure::new(Exit::Failed, gone)),
    };
    let (directory, admin) = match served {
        Ok(served) => served,
        Err(failure) => {
            engine.stop(Duration::ZERO).await;
            return Err(failure);
        }
    };
    say_ready(&engine.addresses(), admin.address());
    let mut config = config;
    while signals.next().await == Signal::Reload {
        manager::reloading();
        config = reload(source, config, &engine, &directory).await;
        manager::ready();
    }
    manager::stopping();
    tracing::info!("stopping");
    tokio::select! {
        () = stop(&engine, admin, directory) => {
            tracing::info!("stopped");
            Ok(())
        }
        () = signals.stop() => {
            engine.abort();
            Err(Failure::new(Exit::Failed, "ended by a second signal; what was in flight is tried again after the next start"))
        }
    }
}

/// The directory, to be opened by the engine, and where it is to be had then.
fn open_directory(config: &Config, clock: &SharedClock) -> (Opening, oneshot::Receiver<Tended>) {
    let (give, given) = oneshot::channel();
    let settings = config.directory.clone();
    let (data_dir, clock) = (config.settings.data_dir.clone(), clock.clone());
    let opening = async move {
        let opened = Tended::open(&settings, &data_dir, clock).await;
        let tended = opened.map_err(|failure| failure.to_string())?;
        let directory = tended.directory();
        // Nobody waits for it when the start has been given up.
        let _ = give.send(tended);
        Ok(directory)
    };
    (Box::pin(opening), given)
}

fn serve_admin(
    bound: Bound,
    (engine, directory): (&Engine, &Tended),
    config: &Config,
    clock: SharedClock,
) -> Result<Server, Failure> {
    let token = Token::read_or_make(&config.admin.token_file)
        .map_err(|error| Failure::new(Exit::Configuration, error))?;
    bound
        .serve(engine.operations(), directory.directory(), token, clock)
        .map_err(|error| Failure::new(Exit::Failed, error))
}

fn say_ready(smtp: &[SocketAddr], admin: SocketAddr) {
    let smtp: Vec<String> = smtp.iter().map(SocketAddr::to_string).collect();
    tracing::info!(smtp = smtp.join(","), %admin, "remuda ready");
    manager::ready();
}

/// Stops the engine first: its admin API shows how it goes, and both use the directory.
async fn stop(engine: &Engine, admin: Server, directory: Tended) {
    engine.stop(STOP_MAX).await;
    admin.stop(ADMIN_STOP_MAX).await;
    directory.stop().await;
}

/// Puts what the file says now in force; answers with the configuration that is.
async fn reload(source: &Source, old: Config, engine: &Engine, directory: &Tended) -> Config {
    let (new, mut notes) = match load(source) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for line in problems.to_string().lines() {
                tracing::error!("{line}");
            }
            tracing::error!("configuration kept");
            return old;
        }
    };
    match engine.reload(new.settings.clone()).await {
        Ok(needed) => notes.extend(needed),
        Err(error) => {
            tracing::error!(%error, "configuration kept");
            return old;
        }
    }
    directory.reload(new.directory.object_cache.clone()).await;
    notes.extend(needing_a_start(&old, &new));
    for note in notes {
        tracing::warn!("{note}");
    }
    say_warnings(source, &new);
    tracing::info!("configuration reloaded");
    // What needs a restart is named again at every reload until it has happened.
    Config {
        admin: old.admin,
        log: old.log,
        directory: config::Directory {
            database: old.directory.database,
            ..new.directory
        },
        ..new
    }
}

/// What changes with the next start.
fn needing_a_start(old: &Config, new: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if (&new.admin, new.log) != (&old.admin, old.log) {
        notes.push("[admin] and [log] change with the next start".to_owned());
    }
    if new.directory.database != old.directory.database {
        notes.push("directory.url changes with the next start".to_owned());
    }
    notes
}

/// What the configuration is to blame for is exit 78.
fn start_failure(error: StartError) -> Failure {
    let exit = match &error {
        StartError::DataDir { .. }
        | StartError::Resolver(_)
        | StartError::Trust(_)
        | StartError::Receive(receive::Error::Certificate { .. } | receive::Error::NoAuthenticator { .. })
        | StartError::Descriptors(_) => Exit::Configuration,
        StartError::Spool { .. } | StartError::Directory(_) | StartError::Receive(_) => Exit::Failed,
    };
    Failure::new(exit, error)
}
