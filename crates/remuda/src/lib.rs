//! The program: arguments, configuration, signals, and the wiring of the commands.
//!
//! A library beside the program, so that tests and fuzzing reach what it is made of.
//!
//! # Contract
//! * **Every command ends with an exit code of [`exit::Exit`]** and at most one line on standard error,
//!   problems of a configuration file excepted.
//! * **Called as `sendmail`, it is one**: through a link of that name.
//!
//! # Not here
//! What the server does (`remuda_engine`), what its HTTP API answers (`remuda_admin`).

mod check;
pub mod cli;
mod client;
pub mod config;
mod connections;
pub mod demo;
mod directory;
pub mod exit;
mod hosts;
mod load;
mod queue;
pub mod sendmail;
pub mod serve;
mod simulate;
mod sink;
mod table;

use std::{
    ffi::OsString,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use remuda_clock::{Clock, SystemClock};

use cli::{Arguments, Command};
use exit::{Exit, Failure};

/// Runs the program with these arguments, its own name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let ended = match arguments.split_first() {
        Some((name, rest)) if Path::new(name).file_name().is_some_and(|name| name == "sendmail") => {
            sendmail::run(rest)
        }
        _ => match Arguments::try_parse_from(arguments) {
            Ok(arguments) => command(arguments.command),
            Err(error) => return usage(&error),
        },
    };
    match ended {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit.into()
        }
    }
}

fn command(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Queue(arguments) => queue::run(&arguments),
        Command::Connections(arguments) => connections::run(&arguments),
        Command::Hosts(arguments) => hosts::run(&arguments),
        Command::Domain(arguments) => directory::run(&arguments),
        Command::DomainAlias(arguments) => directory::run(&arguments),
        Command::Account(arguments) => directory::run(&arguments),
        Command::Alias(arguments) => directory::run(&arguments),
        Command::List(arguments) => directory::run_list(&arguments),
        Command::Route(arguments) => directory::run(&arguments),
        Command::Cache(arguments) => directory::cache::run(&arguments),
        Command::Resolve(arguments) => directory::resolve::run(&arguments),
        Command::Import(arguments) => directory::bulk::import(&arguments),
        Command::Export(arguments) => directory::bulk::export(&arguments),
        Command::Demo { keep } => demo::command(keep),
        Command::Sendmail { arguments } => sendmail::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Sink(arguments) => sink::run(*arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
    }
}

/// The runtime of a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::new(Exit::Failed, error))
}

/// Help and version go to standard output and are no failure.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed terminal.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Done.into()
    }
}

/// Prints to standard output; a reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, error))
        }
        _ => Ok(()),
    }
}

/// Where a client on this machine reaches a server that listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    SystemClock::new().now().wall.0
}
