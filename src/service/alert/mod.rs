//! Owns telling somebody of trouble: what is said, over which channel, when it is tried again, what became of it.
//! It must not delay a job, or decide what is trouble: the core does. It sends nothing itself, and reads no clock.
//!
//! The plain webhook gets one POST for each execution that failed: `payload` is what it is told, `webhook` the queue in
//! front of it. Channels get messages of incidents: `channels` are all queues, a `line` is that in front of one channel,
//! with its digests and its waits; `form` is how messages look there, `words` the same for people, `event` for programs.

mod channels;
mod event;
mod form;
mod line;
mod payload;
mod webhook;
mod words;

pub use channels::{Channels, MessageCounts};
pub use form::Parcel;
pub use webhook::Alerts;
