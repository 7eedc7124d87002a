//! Owns the loop and all wiring: sockets, timer, signals, threads, start and stop.
//! It must not decide anything about a job: an `if` about one here is a fault in the layering.
//!
//! In reading order: `start` (from configuration to a running loop), `turn` (one turn of it), `calls` (a request's
//! way to its answer), `figures` (what is measured, collected), `outbox` (what waits for the writer), `connections` and
//! `connection` (the API's sockets), `timer`.

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
