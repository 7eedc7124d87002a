//! Owns the two kinds of time the core is told: wall time and monotonic time.
//! It must not read a clock, and the two must not convert into each other.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Instant;

/// Microseconds in a second.
pub const US_PER_SECOND: i64 = 1_000_000;

/// Wall-clock time (UTC) in microseconds since 1970. It can step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallUs(pub i64);

impl WallUs {
    /// The wall time at which an instant begins.
    pub fn of(instant: Instant) -> WallUs {
        WallUs(instant.as_secs().saturating_mul(US_PER_SECOND))
    }

    /// The latest instant that is not after this time.
    pub fn floor(self) -> Instant {
        Instant::from_secs(self.0.div_euclid(US_PER_SECOND))
    }

    /// This time plus `us` microseconds (which may be negative), saturating.
    pub fn plus_us(self, us: i64) -> WallUs {
        WallUs(self.0.saturating_add(us))
    }

    /// Microseconds from `earlier` to this time; negative if `earlier` is later.
    pub fn since_us(self, earlier: WallUs) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for WallUs {
    /// ISO 8601 in UTC to the millisecond, such as `2026-01-01T01:10:31.050Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", Timestamp::from_microsecond(self.0).unwrap_or_default())
    }
}

/// Monotonic time in microseconds since an arbitrary start. It never steps, and stands still in suspend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoUs(pub u64);

impl MonoUs {
    /// This time plus a duration, saturating.
    pub fn plus(self, duration: Duration) -> MonoUs {
        self.plus_us(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    /// This time plus `us` microseconds, saturating.
    pub fn plus_us(self, us: u64) -> MonoUs {
        MonoUs(self.0.saturating_add(us))
    }
}

/// Both clocks, read once for a turn of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall time.
    pub wall: WallUs,
    /// Monotonic time.
    pub mono: MonoUs,
}

/// When the core wants to be called again at the latest, on each of the two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    /// The next instant that is armed or to be armed.
    pub wall: Option<WallUs>,
    /// The next retry or other time limit.
    pub mono: Option<MonoUs>,
}

impl Deadline {
    /// Whether either clock has reached this deadline.
    pub fn is_reached(&self, now: Now) -> bool {
        self.wall.is_some_and(|at| at <= now.wall) || self.mono.is_some_and(|at| at <= now.mono)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_towards_the_past_and_prints_milliseconds() {
        assert_eq!(WallUs(1_767_229_831_050_999).to_string(), "2026-01-01T01:10:31.050Z");
        assert_eq!(WallUs(1_999_999).floor(), Instant::from_secs(1));
        assert_eq!(WallUs(-1).floor(), Instant::from_secs(-1));
        assert_eq!(WallUs::of(Instant::from_secs(i64::MAX)), WallUs(i64::MAX));
        assert_eq!(WallUs(i64::MAX).to_string(), "1970-01-01T00:00:00.000Z", "out of range is no panic");
    }
}
