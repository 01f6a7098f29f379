//! engine
pub mod report;
pub mod resolve;
pub mod route;
pub mod session;
pub mod settings;
