//! Owns telling somebody of a failure: the webhook's payload, its delivery with retries, what became of it.
//! It must not delay a job, or decide what is a failure: the core does. It sends nothing itself, and reads no clock.

mod delivery;
mod payload;

pub use delivery::Alerts;
