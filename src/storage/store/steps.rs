//! Owns the steps of a series: where they begin, how long they are, and to which of them a rollup belongs.
//! It must not read rollups: a backend gives them.
//!
//! A step is a whole part of a day or whole days, and begins at a multiple of its length since 1970. So each hour and,
//! for steps of a day and more, each day belongs to one, and a chart that is moved shows the same steps.

use std::collections::BTreeMap;

use super::rollup::Rollup;
use super::sketch::Sketch;
use super::{Distribution, Series, SeriesPoint};
use crate::core::{ExecutionKey, Record};
use crate::limits::SERIES_POINTS_MAX;
use crate::time::Instant;

/// Seconds in an hour.
pub(super) const HOUR_S: i64 = 3_600;
/// Seconds in a day.
pub(super) const DAY_S: i64 = 86_400;
/// The lengths of steps within a day, in hours.
const HOURS: [i64; 8] = [1, 2, 3, 4, 6, 8, 12, 24];

/// The beginning of a day: what lies before it is kept by day, what comes after by hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge(Instant);

impl Edge {
    /// Nothing has become days yet.
    pub(super) const NONE: Edge = Edge(Instant::from_secs(i64::MIN));

    /// The beginning of the day that this instant belongs to.
    pub(super) fn at(instant: Instant) -> Edge {
        Edge(floor(instant, DAY_S))
    }

    /// From when on there are hours.
    pub(super) fn start(self) -> Instant {
        self.0
    }

    /// Whether this is kept by day.
    pub(super) fn is_behind(self, instant: Instant) -> bool {
        instant < self.0
    }

    /// The beginning of the hour or the day that an instant is kept by.
    pub(super) fn stretch_of(self, instant: Instant) -> Instant {
        floor(instant, if self.is_behind(instant) { DAY_S } else { HOUR_S })
    }
}

/// A series in the making.
#[derive(Debug)]
pub(super) struct Steps {
    from: Instant,
    to: Instant,
    step_s: i64,
    edge: Edge,
    found: BTreeMap<Instant, Rollup>,
}

impl Steps {
    /// Steps at least so long that there are not too many of them.
    pub(super) fn new(from: Instant, to: Instant, step_s: u32, edge: Edge) -> Steps {
        let within = |instant: Instant| instant.as_secs().clamp(Instant::FIRST.as_secs(), Instant::LAST.as_secs() + 1);
        let (from, to) = (within(from), within(to));
        // The first and the last step may stand out.
        let least = (to - from).div_euclid(SERIES_POINTS_MAX as i64 - 1) + 1;
        let step_s = step_of(i64::from(step_s).max(least));
        // Before the edge a step cannot be shorter than a day; the edge itself begins one, whatever the step.
        let grain = |second: i64| if edge.is_behind(Instant::from_secs(second)) { step_s.max(DAY_S) } else { step_s };
        let first = floor(Instant::from_secs(from), grain(from));
        let last = Instant::from_secs(to - 1);
        let end = floor(last, grain(to - 1)).as_secs() + grain(to - 1);
        let to = if from < to { Instant::from_secs(end) } else { first };
        Steps { from: first, to, step_s, edge, found: BTreeMap::new() }
    }

    /// What belongs to the steps: from when until before when.
    pub(super) fn range(&self) -> (Instant, Instant) {
        (self.from, self.to)
    }

    /// Adds what is kept of the hour or the day that begins then.
    pub(super) fn add(&mut self, start: Instant, rollup: &Rollup) {
        self.step(start).merge(rollup);
    }

    /// Adds an execution that is in no rollup yet, if it belongs to a step.
    pub(super) fn add_execution(&mut self, key: &ExecutionKey, record: &Record) {
        if self.from <= key.instant && key.instant < self.to {
            self.step(key.instant).add(key, record);
        }
    }

    /// The series. `complete_through` says how far, if it is not complete.
    pub(super) fn finish(self, complete_through: Option<Instant>) -> Series {
        let length = |start: Instant| if self.edge.is_behind(start) { self.step_s.max(DAY_S) } else { self.step_s };
        let point = |(&start, rollup): (&Instant, &Rollup)| SeriesPoint {
            start,
            seconds: seconds(length(start)),
            success: rollup.success,
            failed: rollup.failed,
            skipped: rollup.skipped,
            drift: distribution(&rollup.drift),
            duration: distribution(&rollup.duration),
        };
        let points = self.found.iter().map(point).collect();
        Series { step_s: seconds(self.step_s), points, complete_through }
    }

    fn step(&mut self, at: Instant) -> &mut Rollup {
        assert!(self.from <= at && at < self.to, "what is added lies in the range");
        let length = if self.edge.is_behind(at) { self.step_s.max(DAY_S) } else { self.step_s };
        self.found.entry(floor(at, length)).or_default()
    }
}

fn distribution(sketch: &Sketch) -> Option<Distribution> {
    let (p50_us, p99_us) = (sketch.percentile(50)?, sketch.percentile(99)?);
    Some(Distribution { count: sketch.total(), p50_us, p99_us, max_us: sketch.max()? })
}

/// The shortest step that is no shorter than this.
fn step_of(least_s: i64) -> i64 {
    let within_a_day = HOURS.iter().map(|hours| hours * HOUR_S).find(|&step_s| step_s >= least_s);
    within_a_day.unwrap_or_else(|| (least_s + DAY_S - 1).div_euclid(DAY_S) * DAY_S)
}

/// The last multiple of this length that is not after the instant.
fn floor(instant: Instant, length_s: i64) -> Instant {
    Instant::from_secs(instant.as_secs().div_euclid(length_s).saturating_mul(length_s))
}

fn seconds(length_s: i64) -> u32 {
    u32::try_from(length_s).expect("a step is shorter than the horizon, which is 130 years")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(from: i64, to: i64, step_s: u32, edge: i64) -> Steps {
        Steps::new(Instant::from_secs(from), Instant::from_secs(to), step_s, Edge::at(Instant::from_secs(edge)))
    }

    #[test]
    fn a_step_is_a_part_of_a_day_or_whole_days_and_no_shorter_than_asked_for() {
        let hours = |least_s| step_of(least_s) / HOUR_S;
        assert_eq!([0, 1, 3_600, 3_601, 5 * 3_600, 13 * 3_600].map(hours), [1, 1, 1, 2, 6, 24]);
        assert_eq!([86_401, 7 * 86_400].map(hours), [48, 7 * 24]);
        assert_eq!(steps(0, 1_000 * 3_600, u32::MAX, 0).step_s / DAY_S, i64::from(u32::MAX) / DAY_S + 1);
    }

    #[test]
    fn there_are_never_too_many_steps_and_all_that_was_asked_for_is_in_them() {
        for (from, to) in [(0, 1), (5, 86_399), (i64::MIN, i64::MAX), (7_200, 999 * 3_600), (3_599, 1_000 * 3_600 + 1)]
        {
            for edge in [0, 86_400 * 20, i64::MAX / 2] {
                for step_s in [1, 7_200, 100_000, u32::MAX] {
                    let steps = steps(from, to, step_s, edge);
                    let (first, end) = steps.range();
                    let count = (end.as_secs() - first.as_secs()) / steps.step_s;
                    assert!(count <= SERIES_POINTS_MAX as i64 + 23, "{count} steps of {} s", steps.step_s);
                    assert!(first.as_secs() <= from.max(0) && end.as_secs() >= to.min(Instant::LAST.as_secs()));
                }
            }
        }
        let (from, to) = steps(10, 10, 1, 0).range();
        assert_eq!(from, to, "nothing was asked for");
    }

    #[test]
    fn before_the_edge_a_point_is_a_day_and_says_so() {
        let mut steps = steps(DAY_S + 5, 3 * DAY_S, 7_200, 2 * DAY_S);
        assert_eq!(steps.range(), (Instant::from_secs(DAY_S), Instant::from_secs(3 * DAY_S)), "all of the first day");
        let one = Rollup { success: 1, ..Rollup::default() };
        for start in [DAY_S, DAY_S + 22 * HOUR_S, 2 * DAY_S, 2 * DAY_S + HOUR_S, 2 * DAY_S + 2 * HOUR_S] {
            steps.add(Instant::from_secs(start), &one);
        }
        let points = steps.finish(None).points;
        let points: Vec<_> = points.iter().map(|point| (point.start.as_secs(), point.seconds, point.success)).collect();
        assert_eq!(points, [(DAY_S, 86_400, 2), (2 * DAY_S, 7_200, 2), (2 * DAY_S + 7_200, 7_200, 1)]);
    }
}
