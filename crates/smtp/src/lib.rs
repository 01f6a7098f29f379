//! smtp
pub mod client;
pub mod deadlines;
pub mod dot;
pub mod reply;
pub mod server;
