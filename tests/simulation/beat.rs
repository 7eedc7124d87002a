//! Owns the oracle's own idea of schedules: plain arithmetic on Unix seconds, one question per second.
//! It must not ask `schedule` anything; the text is all that the two have in common.

use serde_json::{Map, Value, json};

use super::berlin;
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
    /// Once a day, on this second of the day in Berlin.
    Berlin { second_of_day: i64, gap_runs: bool, lap: Lap },
    /// On every hour of the clock in Berlin that this divides.
    BerlinHours(i64),
    /// Once.
    Once(i64),
}

/// Which of two showings of one time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lap {
    First,
    Last,
    Both,
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

    /// One that a change of the clock, or one moment, decides.
    pub(crate) fn local(rng: &mut Rng, now: i64) -> Beat {
        match rng.within(0..=5) {
            0..=3 => Beat::Berlin {
                second_of_day: *rng.pick(&[0, 7_199, 7_200, 9_000, 9_030, 10_799, 10_800, 43_200]),
                gap_runs: rng.per_cent(50),
                lap: *rng.pick(&[Lap::First, Lap::Last, Lap::Both]),
            },
            4 => Beat::BerlinHours(*rng.pick(&[1, 2, 3])),
            _ => Beat::Once(now + rng.signed(2..=90_000)),
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Beat::Step(1) => "* * * * * *".to_owned(),
            Beat::Step(step_s) => format!("*/{step_s} * * * * *"),
            Beat::Every(period_s) => format!("@every {period_s}s"),
            Beat::Minutely(second) => format!("{second} * * * * *"),
            Beat::Hourly(second) => format!("{} {} * * * *", second % 60, second / 60),
            Beat::Daily(second) | Beat::Berlin { second_of_day: second, .. } => {
                format!("{} {} {} * * *", second % 60, second / 60 % 60, second / 3600)
            }
            Beat::BerlinHours(step) => format!("0 0 */{step} * * *"),
            Beat::Once(at) => punctual::time::Instant::from_secs(at).to_string(),
        }
    }

    /// What a job says of it.
    pub(crate) fn members(self) -> Map<String, Value> {
        let mut members = match self {
            Beat::Once(_) => json!({"runAt": self.text()}),
            _ => json!({"schedule": self.text()}),
        };
        let all = members.as_object_mut().expect("it is one");
        if let Beat::Berlin { .. } | Beat::BerlinHours(_) = self {
            all.insert("timeZone".to_owned(), "Europe/Berlin".into());
        }
        if let Beat::Berlin { gap_runs, lap, .. } = self {
            let gap = if gap_runs { "run_after" } else { "skip" };
            let overlap = match lap {
                Lap::First => "first",
                Lap::Last => "last",
                Lap::Both => "both",
            };
            all.insert("dst".to_owned(), json!({"gap": gap, "overlap": overlap}));
        }
        all.clone()
    }

    /// Whether it is due on this second.
    pub(crate) fn is_due(self, second: i64, anchor: i64) -> bool {
        match self {
            Beat::Step(step_s) => second % 60 % step_s == 0,
            Beat::Every(period_s) => second >= anchor && (second - anchor) % period_s == 0,
            Beat::Minutely(at) => second % 60 == at,
            Beat::Hourly(at) => second % 3600 == at,
            Beat::Daily(at) => second % 86_400 == at,
            Beat::Berlin { second_of_day, gap_runs, lap } => {
                let counts = match (berlin::showing(second), lap) {
                    (0, _) | (_, Lap::Both) | (1, Lap::First) | (2, Lap::Last) => true,
                    (_, Lap::First | Lap::Last) => false,
                };
                let shows = berlin::shown(second).1 == second_of_day && counts;
                shows || (gap_runs && berlin::was_left_out(second_of_day, second))
            }
            Beat::BerlinHours(step) => {
                let (_, of_day) = berlin::shown(second);
                of_day % 3_600 == 0 && of_day / 3_600 % step == 0
            }
            Beat::Once(at) => second == at,
        }
    }

    /// The day on whose date it may be left out.
    pub(crate) fn day(self, second: i64) -> i64 {
        match self {
            Beat::Berlin { .. } | Beat::BerlinHours(_) => berlin::shown(second).0,
            _ => second.div_euclid(berlin::DAY_S),
        }
    }

    /// Whether it ends.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Beat::Once(_))
    }
}
