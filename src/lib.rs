//! Punctual: an HTTP cron.

pub mod alert;
pub mod api;
pub mod clock;
pub mod config;
pub mod core;
pub mod dispatch;
pub mod http;
pub mod limits;
pub mod schedule;
pub mod server;
pub mod store;
pub mod telemetry;
