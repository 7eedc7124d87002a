//! Owns the REST API: requests to calls, results to JSON, errors a client can act on.
//! It must not touch sockets, threads or the store, and never decides what the core decides.
//!
//! In reading order: `routes` (which URL is which call), `body` and `query` (what a client sent, checked), `wire`
//! (the JSON clients see), `errors`, `cors`.

mod body;
mod cors;
mod errors;
mod query;
mod routes;
mod wire;

pub use cors::Cors;
pub use errors::ApiError;
pub use routes::{Call, Read, Route, route};
pub use wire::{Health, Metrics, Sending, StoreLatency, answer, deleted, health, info, job, jobs, metrics, reply};
