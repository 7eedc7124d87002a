//! Punctual: an HTTP cron.

pub mod core;
pub mod dispatch;
pub mod limits;
pub mod schedule;
