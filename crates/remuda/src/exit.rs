//! How a command ends: exit codes (sysexits) and the one line that says why.

use std::{fmt, path::Path, process::ExitCode};

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed.
    Failed,
    /// 64: wrong arguments.
    Usage,
    /// 69: the server is not reachable.
    Unreachable,
    /// 75: the server cannot take the message now; try again later (`sendmail`).
    TryLater,
    /// 78: the configuration is wrong.
    Configuration,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Unreachable => 69,
            Exit::TryLater => 75,
            Exit::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// A command that did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Why, and what to do.
    pub message: String,
    /// The message begins with a file and a line, so that editors find it.
    pub is_placed: bool,
}

impl Failure {
    /// Ends with `exit` and says why.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Failure {
            exit,
            message: message.to_string(),
            is_placed: exit == Exit::Configuration,
        }
    }

    /// Ends because of a line of a file that was given.
    pub fn at_line(file: &Path, line: u64, message: impl fmt::Display) -> Self {
        Failure {
            exit: Exit::Failed,
            message: format!("{}:{line}: {message}", file.display()),
            is_placed: true,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_placed {
            true => f.write_str(&self.message),
            false => write!(f, "remuda: {}", self.message),
        }
    }
}

impl From<crate::config::Problems> for Failure {
    fn from(problems: crate::config::Problems) -> Self {
        Failure::new(Exit::Configuration, problems)
    }
}
