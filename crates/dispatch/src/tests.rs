//! The rules of `dispatch`: scenarios against a shell of the tests' own, and random histories.

mod backlog;
mod counting;
mod dead;
mod failing;
mod fair;
mod following;
mod histories;
mod late;
mod learned;
mod limits;
mod local;
mod operating;
mod paced;
mod reuse;
mod reviewed;
mod rules;
mod security;
mod sources;
mod unfair;
mod world;
