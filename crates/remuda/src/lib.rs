//! The program: arguments, configuration, signals, and the wiring of the commands.
//!
//! A library beside the program, so that tests and fuzzing reach what it is made of.
//!
//! # Contract
//! * **Every command ends with an exit code of [`exit::Exit`]** and at most one line on standard error,
//!   problems of a configuration file excepted.
//!
//! # Not here
//! What the server does (`remuda_engine`), what its HTTP API answers (`remuda_admin`).

mod check;
pub mod cli;
pub mod config;
pub mod exit;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use cli::{Arguments, Command};
use exit::{Exit, Failure};

/// Runs the program with these arguments, its own name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ended = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => command(arguments.command),
        Err(error) => return usage(&error),
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
        Command::Check(arguments) => check::run(&arguments),
    }
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
