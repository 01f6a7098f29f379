//! engine
pub mod route;
pub mod session;
pub mod settings;
