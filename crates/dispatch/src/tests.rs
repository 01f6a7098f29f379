//! The rules of `dispatch`: scenarios against a shell of the tests' own, and random histories.

mod backlog;
mod dead;
mod failing;
mod histories;
mod learned;
mod operating;
mod reuse;
mod world;
