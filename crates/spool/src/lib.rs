//! spool
pub mod model;
