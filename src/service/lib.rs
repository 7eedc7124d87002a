//! The server, from the ground up: its figures and logs (`telemetry`), letters (`mail`), what somebody is told of a failure
//! (`alert`), requests to calls and results to JSON (`api`), the page (`web`), what it runs with (`config`), and the loop with
//! all wiring (`server`).
//!
//! A package of its own, which knows no command line, and is compiled for speed. The crate `punctual` describes the whole.

pub use punctual_kernel::{channel, clock, cluster, core, dispatch, http, job, limits, mix, schedule, time};
pub use punctual_storage::{access, background, durable, store, vault};

pub mod alert;
pub mod api;
pub mod config;
pub mod mail;
pub mod server;
pub mod telemetry;
pub mod web;
