//! Punctual: an HTTP cron.

pub mod core;
pub mod limits;
pub mod schedule;
