//! The rules of `dispatch`: scenarios against a shell of the tests' own, and random histories.

mod backlog;
mod dead;
mod failing;
mod histories;
mod limits;
mod operating;
mod reuse;
mod world;
