//! Owns reading the machine's clocks.
//! It must not be called by the core, nor more than once a turn by the loop, but between two requests of clients (see
//! `server/turn.rs`): workers stamp their own attempts.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{MonoUs, Now, WallUs};

/// Both clocks, read as one.
pub fn now() -> Now {
    Now { wall: wall(), mono: mono() }
}

/// The wall clock.
pub fn wall() -> WallUs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallUs(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// The monotonic clock, from the first time it was asked for in this process.
pub fn mono() -> MonoUs {
    static START: OnceLock<Instant> = OnceLock::new();
    MonoUs(u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// The monotonic clock as other processes of this machine read it (`CLOCK_MONOTONIC`), in microseconds.
#[cfg(unix)]
pub fn since_boot_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let us = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000);
    u64::try_from(us).unwrap_or_default()
}
