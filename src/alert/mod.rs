//! Owns telling somebody of a failure: what a webhook is told, when it is tried again, what became of it.
//! It must not delay a job, or decide what is a failure: the core does. It sends nothing itself, and reads no clock.
//!
//! `payload` is what is told, `webhook` the queue in front of where it is told.

mod payload;
mod webhook;

pub use webhook::Alerts;
