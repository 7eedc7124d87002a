//! Owns `Instant`, a whole second in UTC, and the horizon within which schedules are evaluated.
//! Must not read a clock and must not know any schedule.

use serde::{Deserialize, Serialize};

use std::fmt;

use chrono::{DateTime, Datelike, Timelike};

/// A whole second, UTC, at which a schedule is due; unix seconds.
///
/// Any `i64` is a valid `Instant`, so that a caller never has to check; schedules are due only from
/// [`Instant::FIRST`] to [`Instant::LAST`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(i64);

impl Instant {
    /// The first second a schedule can be due: 1970-01-01T00:00:00Z.
    pub const FIRST: Instant = Instant(0);

    /// The last second a schedule can be due: 2099-12-31T23:59:59Z, the end of the last year the
    /// dialect can write.
    pub const LAST: Instant = Instant(4_102_444_799);

    /// The instant `secs` seconds after 1970-01-01T00:00:00Z; negative is before it.
    pub const fn from_secs(secs: i64) -> Instant {
        Instant(secs)
    }

    /// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
    pub const fn as_secs(self) -> i64 {
        self.0
    }
}

/// ISO 8601 in UTC, such as `2026-01-01T01:10:31Z`. A second too far away for the calendar is
/// written as `@` and its unix seconds.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = DateTime::from_timestamp(self.0, 0) else {
            return write!(f, "@{}", self.0);
        };
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_iso_8601() {
        let golden = [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_767_229_831, "2026-01-01T01:10:31Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (i64::MAX, "@9223372036854775807"),
            (i64::MIN, "@-9223372036854775808"),
        ];
        for (secs, text) in golden {
            assert_eq!(Instant::from_secs(secs).to_string(), text);
        }
    }

    #[test]
    fn the_horizon_is_where_its_documentation_says() {
        assert_eq!(Instant::FIRST.to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Instant::LAST.to_string(), "2099-12-31T23:59:59Z");
    }
}
