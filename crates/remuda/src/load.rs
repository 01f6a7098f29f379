//! `remuda load`: an SMTP load generator.

use remuda_clock::SystemClock;
use remuda_load::{Config, parse_recipients};

use crate::{
    cli::LoadArguments,
    exit::{Exit, Failure},
    print,
};

/// Sends, and prints how it went.
///
/// # Errors
/// It could not begin, or not every message was accepted.
pub fn run(arguments: &LoadArguments) -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::Failed, error);
    let config = Config {
        messages: arguments.messages,
        sessions: arguments.sessions,
        size: usize::try_from(arguments.size).unwrap_or(usize::MAX),
        from: arguments.from.clone(),
        rcpt: parse_recipients(&arguments.rcpt).map_err(failed)?,
        reconnect: arguments.reconnect,
        ..Config::to(arguments.to.as_str())
    };
    let sending = async { remuda_load::run(config, SystemClock::shared()).await };
    let report = crate::runtime()?.block_on(sending).map_err(failed)?;
    match arguments.json {
        true => print(&format!(
            "{:#}\n",
            serde_json::to_value(&report).unwrap_or_default()
        ))?,
        false => print(&format!("{report}\n"))?,
    }
    match report.failed {
        0 => Ok(()),
        count => Err(Failure::new(
            Exit::Failed,
            format!("{count} messages were not accepted"),
        )),
    }
}
