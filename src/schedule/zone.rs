//! Owns zones: how a wall-clock time of a schedule and an instant map to each other.
//! Must not parse schedules nor enumerate calendar fields; it asks the calendar for wall-clock times.

use chrono::DateTime;

use super::calendar::Calendar;
use super::error::{ScheduleError, quoted};
use crate::time::Instant;

/// The zone whose wall clock a schedule follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Zone {
    /// Coordinated universal time: the wall clock is the instant.
    #[default]
    Utc,
}

impl Zone {
    /// The zone of this name, in any case. Only `UTC` exists.
    ///
    /// # Errors
    /// If there is no such zone; the error's field is `zone`.
    pub fn parse(name: &str) -> Result<Zone, ScheduleError> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Zone::Utc);
        }
        Err(ScheduleError::zone(format!("expected UTC, got {} (other zones are not supported)", quoted(name))))
    }

    /// The name [`Zone::parse`] reads back.
    pub fn name(self) -> &'static str {
        match self {
            Zone::Utc => "UTC",
        }
    }

    /// The first instant strictly after `after` at which this zone's wall clock shows a time of
    /// `calendar`. `None` if there is none, or `after` is outside all calendars.
    ///
    /// A zone with transitions needs its rules here and nowhere else: which instant a wall-clock
    /// time in a gap or an overlap maps to, and which schedules keep real-time pace.
    pub(super) fn next_after(self, calendar: &Calendar, after: Instant) -> Option<Instant> {
        match self {
            Zone::Utc => {
                let wall = DateTime::from_timestamp(after.as_secs(), 0)?.naive_utc();
                let next = calendar.next_after(wall)?;
                Some(Instant::from_secs(next.and_utc().timestamp()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utc_is_a_zone() {
        assert_eq!(Zone::parse("UTC"), Ok(Zone::Utc));
        assert_eq!(Zone::parse("utc"), Ok(Zone::Utc));
        assert_eq!(Zone::parse(Zone::default().name()), Ok(Zone::Utc));
        let error = Zone::parse("Europe/Berlin").expect_err("not a zone yet");
        assert_eq!(error.to_string(), "zone: expected UTC, got \"Europe/Berlin\" (other zones are not supported)");
    }
}
