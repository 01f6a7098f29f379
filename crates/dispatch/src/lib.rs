//! dispatch
pub mod command;
pub mod event;
pub mod settings;
pub mod view;
