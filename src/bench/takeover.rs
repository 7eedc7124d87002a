//! Owns what became of the jobs of a node that was killed: how long it took until each was POSTed again.
//! It must not judge arrivals otherwise.

use std::collections::BTreeMap;

use super::receiver::Arrival;
use crate::time::{US_PER_SECOND, WallUs};

/// The jobs of a killed node, and the first POST of each that was due after its end: that is another node's.
#[derive(Debug)]
pub(super) struct Takeover {
    node: String,
    killed: WallUs,
    /// By job, in microseconds after the kill.
    first_us: BTreeMap<u32, Option<i64>>,
    /// Repeats up to then.
    repeats_before: u64,
}

/// What a takeover took. Times are from the kill to the first POST of each job, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TakeoverFigures {
    pub(super) node: String,
    pub(super) killed: WallUs,
    /// Jobs that the node had.
    pub(super) jobs: usize,
    /// How many of them were POSTed again.
    pub(super) resumed: usize,
    pub(super) p50_us: i64,
    pub(super) p99_us: i64,
    pub(super) max_us: i64,
    /// Further POSTs of executions that had arrived, with the same key.
    pub(super) repeats: u64,
}

impl Takeover {
    /// Of a node that had these jobs.
    pub(super) fn new(node: String, jobs: Vec<u32>, killed: WallUs, repeats_before: u64) -> Takeover {
        Takeover { node, killed, first_us: jobs.into_iter().map(|job| (job, None)).collect(), repeats_before }
    }

    /// Takes arrivals in, in whatever order.
    pub(super) fn add(&mut self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            let due_us = i64::from(arrival.instant) * US_PER_SECOND;
            if due_us <= self.killed.0 {
                continue;
            }
            if let Some(first_us) = self.first_us.get_mut(&arrival.job) {
                let us = due_us + i64::from(arrival.late_us) - self.killed.0;
                *first_us = Some(first_us.map_or(us, |first_us| first_us.min(us)));
            }
        }
    }

    /// Whether every job was POSTed again.
    pub(super) fn is_over(&self) -> bool {
        self.first_us.values().all(Option::is_some)
    }

    /// What it took.
    pub(super) fn figures(self, repeats: u64) -> TakeoverFigures {
        let mut times: Vec<i64> = self.first_us.values().filter_map(|first_us| *first_us).collect();
        times.sort_unstable();
        let at = |quantile: f64| {
            let place = (times.len() as f64 * quantile).ceil() as usize;
            times.get(place.saturating_sub(1)).copied().unwrap_or(0)
        };
        TakeoverFigures {
            jobs: self.first_us.len(),
            resumed: times.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
            repeats: repeats - self.repeats_before,
            node: self.node,
            killed: self.killed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_posted_again_with_the_first_post_that_was_due_after_the_kill() {
        let mut takeover = Takeover::new("a".to_owned(), vec![1, 2, 3], WallUs(10_002_000), 5);
        let arrival = |job, instant, late_us| Arrival { job, instant, late_us, tag: 0 };
        takeover.add(&[arrival(1, 10, 4_000), arrival(1, 12, 1_002_000), arrival(1, 11, 2_502_000), arrival(7, 11, 5)]);
        takeover.add(&[arrival(2, 12, 102_000)]);
        assert!(!takeover.is_over());
        takeover.add(&[arrival(1, 11, 3_502_000)]);
        let figures = takeover.figures(7);
        assert_eq!((figures.jobs, figures.resumed, figures.repeats), (3, 2, 2));
        assert_eq!((figures.p50_us, figures.max_us), (2_100_000, 3_000_000));
    }
}
