//! Owns schedules of a steady period, `@every 90s`: their text and their arithmetic.
//! Must not know the calendar: a period is the same number of seconds on every day and in every zone.

use std::fmt::Write;
use std::time::Duration;

use super::error::{ScheduleError, quoted};
use crate::time::Instant;

/// The longest period, in seconds: 366 days.
pub(super) const PERIOD_MAX_S: i64 = 366 * 86_400;

/// The units of a duration, in the order they must be written.
const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Instants at `anchor + k * period`, k = 0, 1, 2, ...
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Every {
    anchor: Instant,
    period_s: i64,
}

impl Every {
    /// Due on every second there is.
    pub(super) const SECOND: Every = Every { anchor: Instant::FIRST, period_s: 1 };

    /// Reads a duration such as `90s` or `1h30m`: whole numbers, each with a unit of `d`, `h`, `m`
    /// or `s`, each unit at most once, longest first. An anchor outside the horizon is moved to
    /// its nearest end.
    ///
    /// # Errors
    /// If the text is not such a duration, or it is not between 1 second and [`PERIOD_MAX_S`].
    pub(super) fn parse(duration: &str, anchor: Instant) -> Result<Every, ScheduleError> {
        let Some(period_s) = duration_s(duration) else {
            return Err(ScheduleError::schedule(format!(
                "expected whole numbers with d, h, m or s after @every, as in 1h30m, got {}",
                quoted(duration)
            )));
        };
        if !(1..=PERIOD_MAX_S).contains(&period_s) {
            return Err(ScheduleError::schedule(format!(
                "expected 1 second to 366 days after @every, got {}",
                quoted(duration)
            )));
        }
        let anchor = anchor.clamp(Instant::FIRST, Instant::LAST);
        Ok(Every { anchor, period_s })
    }

    /// Where the count starts.
    pub(super) fn anchor(self) -> Instant {
        self.anchor
    }

    /// From one instant to the next, in seconds.
    pub(super) fn period_s(self) -> i64 {
        self.period_s
    }

    /// The first instant strictly after `after`.
    pub(super) fn next_after(self, after: Instant) -> Instant {
        match self.latest_at(after) {
            Some(latest) => Instant::from_secs(latest.as_secs().saturating_add(self.period_s)),
            None => self.anchor,
        }
    }

    /// The latest instant at or before `through`; `None` before the anchor.
    pub(super) fn latest_at(self, through: Instant) -> Option<Instant> {
        let elapsed_s = self.elapsed_s(through)?;
        let since_latest_s = elapsed_s % self.period_s;
        Some(Instant::from_secs(through.as_secs() - since_latest_s))
    }

    /// How many instants lie in `(after, through]`.
    pub(super) fn count_in(self, after: Instant, through: Instant) -> u64 {
        self.count_to(through).saturating_sub(self.count_to(after))
    }

    /// How many instants lie at or before `through`.
    fn count_to(self, through: Instant) -> u64 {
        let steps = self.elapsed_s(through).map(|elapsed_s| elapsed_s / self.period_s);
        steps.map_or(0, |steps| steps.unsigned_abs() + 1)
    }

    /// Seconds from the anchor to `at`; `None` before the anchor. Cannot overflow, as an anchor is
    /// never negative.
    fn elapsed_s(self, at: Instant) -> Option<i64> {
        (at >= self.anchor).then(|| at.as_secs() - self.anchor.as_secs())
    }
}

/// Reads a duration such as `90s` or `1h30m`, as it stands after `@every`.
pub fn duration(text: &str) -> Option<Duration> {
    duration_s(text).map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

/// The shortest text that [`duration`] reads as this, to the second.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (name, unit_s) in UNITS.map(|(name, unit_s)| (name, unit_s.unsigned_abs())) {
        if rest >= unit_s {
            write!(text, "{}{name}", rest / unit_s).expect("a string takes any text");
            rest %= unit_s;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The seconds a duration's text stands for; `None` if it is not one or far too long to count.
fn duration_s(text: &str) -> Option<i64> {
    let mut total_s = 0_i64;
    let mut rest = text;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, tail) = rest.split_at(digits_len);
        let unit = tail.chars().next()?.to_ascii_lowercase();
        // `units` moves on for good, which is what makes a unit out of order or written twice fail.
        let (_, unit_s) = units.find(|(name, _)| *name == unit)?;
        let count: i64 = digits.parse().ok()?;
        total_s = total_s.checked_add(count.checked_mul(*unit_s)?)?;
        rest = &tail[1..];
    }
    (!text.is_empty()).then_some(total_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["1s", "59s", "1m", "1m30s", "26h", "1d2h", "366d", "0s"] {
            let found = duration(text).expect(text);
            let written = duration_text(found);
            assert_eq!(duration(&written), Some(found), "{text}");
        }
        assert_eq!(duration_text(Duration::from_secs(26 * 3600)), "1d2h");
        assert_eq!(duration_text(Duration::from_millis(1_999)), "1s");
        assert_eq!((duration(""), duration("1x"), duration("5")), (None, None, None));
    }

    #[test]
    fn durations() {
        let golden = [
            ("1s", Some(1)),
            ("90s", Some(90)),
            ("1h30m", Some(5_400)),
            ("1d2h3m4s", Some(93_784)),
            ("2D", Some(172_800)),
            ("0s", Some(0)),
            ("007s", Some(7)),
            ("", None),
            ("s", None),
            ("90", None),
            ("1.5h", None),
            ("-5s", None),
            ("+5s", None),
            ("100ms", None),
            ("30m1h", None),
            ("1s1s", None),
            ("1h 30m", None),
            ("1é", None),
            ("9223372036854775807d", None),
            ("99999999999999999999s", None),
        ];
        for (text, seconds) in golden {
            assert_eq!(duration_s(text), seconds, "{text:?}");
        }
    }

    #[test]
    fn instants_are_whole_periods_from_the_anchor() {
        let every = Every::parse("1m30s", at(1_000)).expect("a duration");
        for (after, next) in [(i64::MIN, 1_000), (999, 1_000), (1_000, 1_090), (1_089, 1_090), (1_090, 1_180)] {
            assert_eq!(every.next_after(at(after)), at(next), "after {after}");
        }
        assert_eq!(every.latest_at(at(999)), None);
        assert_eq!(every.latest_at(at(1_000)), Some(at(1_000)));
        assert_eq!(every.latest_at(at(1_179)), Some(at(1_090)));
        assert_eq!(every.count_in(at(0), at(999)), 0);
        assert_eq!(every.count_in(at(0), at(1_090)), 2);
        assert_eq!(every.count_in(at(1_000), at(1_090)), 1);
        assert_eq!(every.count_in(at(5_000), at(1_000)), 0);
    }

    #[test]
    fn extremes_do_not_overflow() {
        for anchor in [i64::MIN, 0, i64::MAX] {
            let every = Every::parse("366d", at(anchor)).expect("a duration");
            for moment in [i64::MIN, -1, 0, i64::MAX] {
                let _ = every.next_after(at(moment));
                let _ = every.latest_at(at(moment));
                let _ = every.count_in(at(i64::MIN), at(moment));
            }
        }
    }
}
