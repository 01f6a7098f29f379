//! `remuda check`: says whether the configuration is sound.

use crate::{cli::ConfigArguments, exit::Failure};

/// Checks the configuration that `serve` would use.
///
/// # Errors
/// All that is wrong with it, one line each.
pub fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    let source = arguments.source();
    // Nothing knows accounts yet.
    let config = source.load()?;
    for warning in config.warnings {
        println!("{}", warning.in_file(&source.name()));
    }
    println!("{}: ok", source.name());
    Ok(())
}
