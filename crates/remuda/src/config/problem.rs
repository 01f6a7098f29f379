//! What is wrong with a configuration file: where, which key, and what would be right.
//!
//! # Contract
//! * **A problem prints as `FILE:LINE: KEY: message`**, one line each, so that editors jump to it.
//! * **Problems come in the order of the file.**

use std::fmt;

/// One thing that is wrong, or (a warning) seldom meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, counted from 1; None when the file as a whole is meant.
    pub line: Option<usize>,
    /// The key with its section (`delivery.concurrency`), or `syntax`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// Its line, with the file as the user named it.
    pub fn in_file(&self, file: &str) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{file}{line}: {}: {}", self.key, self.message)
    }
}

/// All problems of one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file as the user named it.
    pub file: String,
    /// Not empty.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", problem.in_file(&self.file))?;
        }
        Ok(())
    }
}
