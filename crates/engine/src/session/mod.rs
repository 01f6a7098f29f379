//! Sessions: one task each, from dial to QUIT. It executes; `dispatch` decides.

pub mod order;
