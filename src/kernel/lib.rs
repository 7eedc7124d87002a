//! What every execution passes, from the ground up: `time`, `limits` and `mix`, the `clock`; `schedule` and `job`, where alerts
//! go (`channel`); the `core` that decides, what a `cluster` of them agrees on, the workers that send (`dispatch`); and the
//! `http` that the API is spoken in.
//!
//! A package of its own, so that it can know nothing of what stands around it, and is compiled for speed where that is
//! compiled for size. The crate `punctual` describes the whole.

pub mod channel;
pub mod clock;
pub mod cluster;
pub mod core;
pub mod dispatch;
pub mod http;
pub mod job;
pub mod limits;
pub mod mix;
pub mod schedule;
pub mod time;
