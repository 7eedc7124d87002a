//! Owns the loop and all wiring: sockets, timer, signals, threads, start and stop.
//! It must not decide anything about a job: an `if` about one here is a fault in the layering.
//!
//! In reading order: `start` (from configuration to a running loop, with as many open `files` as the system gives),
//! `turn` (one turn of it), `engine` (the core and what its outputs go to), `outbox` (what waits for the writer),
//! `connections` and `connection` (the API's sockets), `calls` (a request's way to its answer), `figures` (what is
//! measured, collected), `timer`.

mod calls;
mod connection;
mod connections;
#[cfg(test)]
mod connections_tests;
mod engine;
mod figures;
mod files;
mod outbox;
mod start;
mod timer;
mod turn;

pub use start::{ServeError, run};
