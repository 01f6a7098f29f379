//! `remuda serve`: the server's outer frame — sockets, log, signals, start, reload, stop.
//!
//! # Contract
//! * **Start is all or nothing**: what cannot be had is one clear line, and nothing on disk has changed.
//! * **One line says that it is ready**: `remuda ready smtp=… admin=…`; a service manager is told too.
//! * **SIGTERM or SIGINT stops** within [`STOP_MAX`]; a second one ends at once. **SIGHUP reloads**; a
//!   configuration that is wrong changes nothing.
//!
//! # Not here
//! Everything about mail: `remuda_engine`.
//!
//! # Known faults
//! The log is written line by line where the event happens: a reader that stalls stalls the server.

mod log;
mod manager;
mod signals;
mod sockets;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use remuda_admin::{Bound, Server, Token};
use remuda_clock::{SharedClock, SystemClock};
use remuda_engine::{
    Engine, Parts, StartError,
    admission::raise_descriptor_limit,
    receive::{self, Authenticator},
};

use crate::{
    cli::ConfigArguments,
    config::{Config, Problems, Source, fit_descriptors},
    exit::{Exit, Failure},
};
use signals::Signal;
pub use signals::Signals;
use sockets::Sockets;

/// How long transactions in hand may take after the signal to stop.
pub const STOP_MAX: Duration = Duration::from_secs(30);
/// For requests to the admin API, after the engine has stopped.
const ADMIN_STOP_MAX: Duration = Duration::from_secs(1);

/// Serves until a signal says stop. `authenticator` knows those who may log in.
///
/// # Errors
/// It could not start, or was ended before it had stopped.
pub fn run(
    arguments: &ConfigArguments,
    authenticator: Option<Arc<dyn Authenticator>>,
) -> Result<(), Failure> {
    let source = arguments.source();
    let (config, notes) = load(&source, authenticator.is_some())?;
    log::start(config.log.format);
    say_warnings(&source, &config);
    for note in notes {
        tracing::warn!("{note}, to fit the descriptor limit");
    }
    let sockets =
        Sockets::inherited(config.admin.address).map_err(|error| Failure::new(Exit::Failed, error))?;
    let parts = Parts {
        authenticator,
        ..Parts::default()
    };
    let runtime = crate::runtime()?;
    let ended = runtime.block_on(serve(&source, config, sockets, parts));
    // Whatever still runs was told to end; nobody waits for it.
    runtime.shutdown_background();
    ended
}

/// Reads the configuration and fits it into the descriptors that there are.
fn load(source: &Source, has_directory: bool) -> Result<(Config, Vec<String>), Problems> {
    let mut config = source.load()?.demand_directory(has_directory, source)?;
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

async fn serve(source: &Source, config: Config, sockets: Sockets, parts: Parts) -> Result<(), Failure> {
    let has_directory = parts.authenticator.is_some();
    let mut signals = Signals::listen().map_err(|error| Failure::new(Exit::Failed, error))?;
    let clock = SystemClock::shared();
    let bound = match sockets.admin {
        Some(listener) => Bound::over(listener).map_err(|error| Failure::new(Exit::Failed, error))?,
        None => Bound::new(config.admin.address).map_err(|error| Failure::new(Exit::Failed, error))?,
    };
    let engine = Engine::start_with(config.settings.clone(), sockets.smtp, clock.clone(), parts)
        .await
        .map_err(start_failure)?;
    let admin = match serve_admin(bound, &engine, &config, clock) {
        Ok(admin) => admin,
        Err(failure) => {
            engine.stop(Duration::ZERO).await;
            return Err(failure);
        }
    };
    say_ready(&engine.addresses(), admin.address());
    let mut config = config;
    while signals.next().await == Signal::Reload {
        manager::reloading();
        config = reload(source, config, &engine, has_directory).await;
        manager::ready();
    }
    manager::stopping();
    tracing::info!("stopping");
    tokio::select! {
        () = stop(&engine, admin) => {
            tracing::info!("stopped");
            Ok(())
        }
        () = signals.stop() => {
            engine.abort();
            Err(Failure::new(Exit::Failed, "ended by a second signal; what was in flight is tried again after the next start"))
        }
    }
}

fn serve_admin(
    bound: Bound,
    engine: &Engine,
    config: &Config,
    clock: SharedClock,
) -> Result<Server, Failure> {
    let token = Token::read_or_make(&config.admin.token_file)
        .map_err(|error| Failure::new(Exit::Configuration, error))?;
    bound
        .serve(engine.operations(), token, clock)
        .map_err(|error| Failure::new(Exit::Failed, error))
}

fn say_ready(smtp: &[SocketAddr], admin: SocketAddr) {
    let smtp: Vec<String> = smtp.iter().map(SocketAddr::to_string).collect();
    tracing::info!(smtp = smtp.join(","), %admin, "remuda ready");
    manager::ready();
}

/// Stops the engine first: its admin API shows how it goes.
async fn stop(engine: &Engine, admin: Server) {
    engine.stop(STOP_MAX).await;
    admin.stop(ADMIN_STOP_MAX).await;
}

/// Puts what the file says now in force; answers with the configuration that is.
async fn reload(source: &Source, old: Config, engine: &Engine, has_directory: bool) -> Config {
    let (new, mut notes) = match load(source, has_directory) {
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
    if (&new.admin, new.log) != (&old.admin, old.log) {
        notes.push("[admin] and [log] change with the next start".to_owned());
    }
    for note in notes {
        tracing::warn!("{note}");
    }
    say_warnings(source, &new);
    tracing::info!("configuration reloaded");
    // What needs a restart is named again at every reload until it has happened.
    Config {
        admin: old.admin,
        log: old.log,
        ..new
    }
}

/// What the configuration is to blame for is exit 78.
fn start_failure(error: StartError) -> Failure {
    let exit = match &error {
        StartError::DataDir { .. }
        | StartError::Resolver(_)
        | StartError::Trust(_)
        | StartError::Receive(receive::Error::Certificate { .. } | receive::Error::NoAuthenticator { .. })
        | StartError::Descriptors(_) => Exit::Configuration,
        StartError::Spool { .. } | StartError::Receive(_) => Exit::Failed,
    };
    Failure::new(exit, error)
}
