//! engine
pub mod resolve;
pub mod route;
pub mod session;
pub mod settings;
