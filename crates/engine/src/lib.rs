//! engine
pub mod session;
pub mod settings;
