//! The way to the directory: the running server, or the database itself.
//!
//! # Contract
//! * **Both answer alike**: the same paths with the same rules; without a server they run here.
//! * **Without a server there need not have been one**: the database is made as by the first start.

use std::sync::Arc;

use remuda_admin::directory::Local;
use remuda_clock::SystemClock;
use remuda_directory::{
    Directory,
    switches::{Settings, Switches},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::store;
use crate::{
    cli::PlaceArguments,
    client::{Client, Refused, Request},
    config::{self, Config},
    exit::{Exit, Failure},
};

/// See the module.
pub enum Access {
    /// The running server.
    Server(Box<Client>),
    /// The database itself.
    Database(Database),
}

/// A directory that only this process uses.
pub struct Database {
    directory: Directory,
    runtime: Runtime,
}

impl Access {
    /// The way that the arguments name.
    ///
    /// # Errors
    /// The configuration is wrong; there is no token; the database cannot be opened.
    pub fn new(place: &PlaceArguments) -> Result<Access, Failure> {
        match place.offline {
            true => Database::open(place).map(Access::Database),
            false => Client::new(&place.server).map(|client| Access::Server(Box::new(client))),
        }
    }

    /// Carries a request out.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] or [`Exit::Failed`].
    pub fn ask(&self, request: &Request<'_>) -> Result<Value, Failure> {
        match self {
            Access::Server(client) => client.send(request),
            Access::Database(database) => database.ask(request),
        }
    }
}

impl Database {
    fn open(place: &PlaceArguments) -> Result<Database, Failure> {
        let config = place.server.config.source().load()?;
        make_place(&config)?;
        let runtime = crate::runtime()?;
        let clock = SystemClock::shared();
        let store = runtime.block_on(store::open(&config.directory.database, clock.clone()))?;
        // Nothing is read twice here.
        let settings = Settings {
            enabled: false,
            ..Settings::default()
        };
        let directory = Directory::new(Arc::clone(&store), Switches::fixed(settings), clock);
        Ok(Database { directory, runtime })
    }

    /// Carries out what needs the directory.
    pub fn run<F: Future>(&self, work: impl FnOnce(Directory) -> F) -> F::Output {
        self.runtime.block_on(work(self.directory.clone()))
    }

    fn ask(&self, request: &Request<'_>) -> Result<Value, Failure> {
        let local = Local::new(self.directory.clone());
        let body = request.body.as_ref().map(Value::to_string);
        let asking = local.ask((request.method.as_str(), request.path), body, request.version);
        let answered = self.runtime.block_on(asking);
        match serde_json::from_str(&answered.text) {
            Ok(answer) if answered.is_success => Ok(answer),
            Ok(problem @ Value::Object(_)) => Err(Refused::of(&problem).failure()),
            _ => Err(Failure::new(Exit::Failed, answered.text)),
        }
    }
}

/// Makes `data_dir` where the directory's file is to lie in it: before the first start of a server there is none.
fn make_place(config: &Config) -> Result<(), Failure> {
    let data_dir = &config.settings.data_dir;
    match &config.directory.database {
        config::Database::Sqlite(file) if file.parent() == Some(data_dir) => {
            std::fs::create_dir_all(data_dir).map_err(|error| {
                let said = format!("data_dir {}: {error}", data_dir.display());
                Failure::new(Exit::Failed, said)
            })
        }
        config::Database::Sqlite(_) | config::Database::Postgres(_) => Ok(()),
    }
}
