//! Owns the oracle's own idea of schedules: plain arithmetic on Unix seconds, one question per second.
//! It must not ask `schedule` anything; the text is all that the two have in common.

use super::rng::Rng;

/// When a job of the simulation is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// On seconds of the minute that this divides; it divides 60.
    Step(i64),
    /// So many seconds apart, counted from the anchor.
    Every(i64),
    /// Once a minute, on this second.
    Minutely(i64),
    /// Once an hour, on this second of the hour.
    Hourly(i64),
    /// Once a day, on this second of the day.
    Daily(i64),
}

impl Beat {
    /// A lively one, for runs of a minute or two.
    pub(crate) fn lively(rng: &mut Rng) -> Beat {
        match rng.within(0..=9) {
            0..=3 => Beat::Step(*rng.pick(&[1, 1, 1, 2, 3])),
            4..=5 => Beat::Step(*rng.pick(&[4, 5, 10, 15, 30])),
            6..=8 => Beat::Every(*rng.pick(&[1, 2, 3, 4, 7, 11, 25, 90])),
            _ => Beat::Minutely(*rng.pick(&[0, 1, 30, 59])),
        }
    }

    /// A sparse one, for runs over days.
    pub(crate) fn sparse(rng: &mut Rng) -> Beat {
        match rng.within(0..=4) {
            0 => Beat::Daily(*rng.pick(&[0, 1, 43_200, 86_399])),
            1..=2 => Beat::Hourly(*rng.pick(&[0, 59, 1_800, 3_599])),
            3 => Beat::Every(*rng.pick(&[3_601, 86_400, 7_000, 1_700])),
            _ => Beat::Every(*rng.pick(&[600, 61 * 60])),
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Beat::Step(1) => "* * * * * *".to_owned(),
            Beat::Step(step_s) => format!("*/{step_s} * * * * *"),
            Beat::Every(period_s) => format!("@every {period_s}s"),
            Beat::Minutely(second) => format!("{second} * * * * *"),
            Beat::Hourly(second) => format!("{} {} * * * *", second % 60, second / 60),
            Beat::Daily(second) => format!("{} {} {} * * *", second % 60, second / 60 % 60, second / 3600),
        }
    }

    /// Whether it is due on this second.
    pub(crate) fn is_due(self, second: i64, anchor: i64) -> bool {
        match self {
            Beat::Step(step_s) => second % 60 % step_s == 0,
            Beat::Every(period_s) => second >= anchor && (second - anchor) % period_s == 0,
            Beat::Minutely(at) => second % 60 == at,
            Beat::Hourly(at) => second % 3600 == at,
            Beat::Daily(at) => second % 86_400 == at,
        }
    }
}
