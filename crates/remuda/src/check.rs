//! `remuda check`: says whether the configuration is sound.

use crate::{cli::ConfigArguments, exit::Failure};

/// Checks the configuration that `serve` would use.
///
/// # Errors
/// All that is wrong with it, one line each.
pub fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    let source = arguments.source();
    source.load()?;
    println!("{}: ok", source.name());
    Ok(())
}
