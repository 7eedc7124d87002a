//! Owns what time it surely is: a clock that is set ahead is not believed for a day, as what goes by age would be gone by then.
//! It must not read a clock.

use std::time::Duration;

use super::{MonoUs, Now, WallUs};

/// So much a clock may be put ahead at once, as by summer time that somebody set by hand.
const STEP_MAX: Duration = Duration::from_secs(3_600);
/// For so long a clock must have been ahead to be believed.
const DOUBT_TIME: Duration = Duration::from_secs(86_400);

/// A wall clock that jumps ahead only once it has been there for a day. It follows one that is put back at once.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    /// What time it was when, as was believed last.
    believed: (WallUs, MonoUs),
    /// Since when the clock has been ahead of that.
    ahead_since: Option<MonoUs>,
}

impl Steady {
    /// One that begins now. `newest`: when something was surely noted last; the clock may have been set since, or before.
    pub fn new(newest: Option<WallUs>, now: Now) -> Steady {
        let surely = newest.map_or(now.wall, |newest| newest.min(now.wall));
        Steady { believed: (surely, now.mono), ahead_since: None }
    }

    /// What time it surely is.
    pub fn now(&mut self, now: Now) -> WallUs {
        let (wall, mono) = self.believed;
        let passed_us = now.mono.0.saturating_sub(mono.0);
        let expected = wall.plus_us(i64::try_from(passed_us).unwrap_or(i64::MAX));
        let is_ahead = now.wall > expected.plus_us(i64::try_from(STEP_MAX.as_micros()).unwrap_or(i64::MAX));
        if is_ahead {
            let since = *self.ahead_since.get_or_insert(now.mono);
            if now.mono < since.plus(DOUBT_TIME) {
                return expected;
            }
        }
        (self.believed, self.ahead_since) = ((now.wall, now.mono), None);
        now.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_S: i64 = 3_600;
    const YEAR_S: i64 = 365 * 24 * HOUR_S;

    /// So many seconds after the beginning, when the clock shows this.
    fn at(mono_s: i64, wall_s: i64) -> Now {
        Now { wall: WallUs(wall_s * 1_000_000), mono: MonoUs(mono_s.unsigned_abs() * 1_000_000) }
    }

    /// What it takes for the time then, in seconds.
    fn then(steady: &mut Steady, mono_s: i64, wall_s: i64) -> i64 {
        steady.now(at(mono_s, wall_s)).0 / 1_000_000
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_after_a_day() {
        let mut steady = Steady::new(None, at(0, YEAR_S));
        assert_eq!(then(&mut steady, 60, YEAR_S + 70), YEAR_S + 70, "it runs as clocks do");
        assert_eq!(then(&mut steady, 60, YEAR_S + 70 + HOUR_S), YEAR_S + 70 + HOUR_S);
        let now = YEAR_S + 70 + HOUR_S;
        assert_eq!(then(&mut steady, 160, 9 * YEAR_S), now + 100, "time passes all the same");
        assert_eq!(then(&mut steady, 160 + 24 * HOUR_S - 1, 9 * YEAR_S), now + 100 + 24 * HOUR_S - 1);
        assert_eq!(then(&mut steady, 160 + 24 * HOUR_S, 9 * YEAR_S + 1), 9 * YEAR_S + 1);
        // From then on by it.
        assert_eq!(then(&mut steady, 170 + 24 * HOUR_S, 9 * YEAR_S + 11), 9 * YEAR_S + 11);
    }

    #[test]
    fn a_clock_that_is_put_right_is_believed_at_once() {
        let mut steady = Steady::new(None, at(0, YEAR_S));
        assert_eq!(then(&mut steady, 10, 9 * YEAR_S), YEAR_S + 10);
        assert_eq!(then(&mut steady, 20, YEAR_S + 20), YEAR_S + 20);
        // What is ahead again begins anew.
        assert_eq!(then(&mut steady, 30, 9 * YEAR_S), YEAR_S + 30);
        assert_eq!(then(&mut steady, 10 + 24 * HOUR_S, 9 * YEAR_S), YEAR_S + 10 + 24 * HOUR_S);
        assert_eq!(then(&mut steady, 30 + 24 * HOUR_S, 9 * YEAR_S), 9 * YEAR_S);
        assert_eq!(then(&mut steady, 40 + 24 * HOUR_S, 2 * YEAR_S), 2 * YEAR_S, "it was put back");
    }

    #[test]
    fn what_was_noted_last_says_where_it_begins() {
        let before = Some(WallUs(YEAR_S * 1_000_000));
        let mut steady = Steady::new(before, at(0, YEAR_S + HOUR_S));
        assert_eq!(then(&mut steady, 1, YEAR_S + HOUR_S + 1), YEAR_S + HOUR_S + 1);
        let mut steady = Steady::new(before, at(0, 9 * YEAR_S));
        assert_eq!(then(&mut steady, 5, 9 * YEAR_S + 5), YEAR_S + 5, "it stood still long, or the clock is wrong");
        assert_eq!(then(&mut steady, 5 + 24 * HOUR_S, 9 * YEAR_S), 9 * YEAR_S);
        let mut steady = Steady::new(Some(WallUs(9 * YEAR_S * 1_000_000)), at(0, YEAR_S));
        assert_eq!(then(&mut steady, 0, YEAR_S), YEAR_S, "what was noted is from a clock that was ahead");
    }
}
