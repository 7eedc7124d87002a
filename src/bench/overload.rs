//! Owns an overload: jobs beside the measured ones that are due every second for a while, what became of their POSTs, and how
//! long it took until all was as before.
//! It must not judge the measured jobs' arrivals.

use std::time::Duration;

use super::BenchError;
use super::load::When;
use super::options::OverloadOptions;
use super::receiver::{Behaviour, Receiver};
use super::spread::Spread;
use super::tally::SecondLine;
use crate::clock;
use crate::time::{US_PER_SECOND, WallUs};

/// Creations a second that are counted on, so that all are there before the first is due.
const CREATIONS_PER_SECOND: u32 = 4_000;
/// A second is as before while its p99 is no more than twice as high, and this, in microseconds.
const SLACK_US: i32 = 5_000;

/// The jobs beside, and where they POST to: a target of their own.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) jobs: u32,
    /// They are due from the first of these Unix seconds on, and before the second.
    pub(super) between: (u32, u32),
    receiver: Receiver,
    /// Their POSTs so far, and when there were more than before.
    arrived: (u64, WallUs),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OverloadFigures {
    pub(super) jobs: u32,
    pub(super) seconds: u32,
    pub(super) due: u64,
    /// POSTs, however late. The others were passed over.
    pub(super) arrived: u64,
    /// From its end to the last POST.
    pub(super) drained: Duration,
    /// The measured jobs' p99, the median over the seconds before, during and after it, in microseconds.
    pub(super) p99_us: [i32; 3],
    /// From its end on, how many seconds passed until each was as before. None: the last one was not.
    pub(super) normal_after: Option<u32>,
}

impl Overload {
    /// One in the middle of a window that begins `warm_up` seconds after all jobs are there.
    pub(super) fn new(options: &OverloadOptions, warm_up: u32) -> Result<Overload, BenchError> {
        let behaviour = Behaviour { spread: Spread::PLAIN, delay: Duration::ZERO, fail_per_cent: 0, slack_us: 0 };
        let receiver =
            Receiver::start(behaviour, None, 0, 1).map_err(|why| BenchError::Io("start the receiver", why))?;
        let now = clock::wall();
        let from = u32::try_from(now.floor().as_secs()).unwrap_or(0);
        let from = from + 2 + options.jobs.div_ceil(CREATIONS_PER_SECOND) + warm_up + options.before;
        let between = (from, from + options.seconds);
        Ok(Overload { jobs: options.jobs, between, receiver, arrived: (0, now) })
    }

    /// When its jobs are due.
    pub(super) fn when(&self) -> When {
        When { schedule: "* * * * * *".to_owned(), between: Some(self.between) }
    }

    /// Where each POSTs to.
    pub(super) fn url(&self, job: u32) -> String {
        self.receiver.url(job)
    }

    /// Its POSTs so far.
    pub(super) fn requests(&self) -> u64 {
        self.receiver.requests()
    }

    /// Notes how many have come so far. How exactly the last one is known depends on how often this is called.
    pub(super) fn look(&mut self) {
        let requests = self.receiver.requests();
        if requests > self.arrived.0 {
            self.arrived = (requests, clock::wall());
        }
    }

    /// What became of it, and of the measured jobs in the seconds of the window.
    pub(super) fn figures(self, seconds: &[SecondLine]) -> OverloadFigures {
        let (from, until) = self.between;
        let (arrived, last) = self.arrived;
        let drained = last.since_us(WallUs(i64::from(until) * US_PER_SECOND)).max(0);
        let before = seconds.iter().filter(|second| second.instant < from);
        let during = seconds.iter().filter(|second| (from..until).contains(&second.instant));
        let after = || seconds.iter().filter(|second| second.instant >= until);
        let p99_us = [median(before), median(during), median(after())];
        OverloadFigures {
            jobs: self.jobs,
            seconds: until - from,
            due: u64::from(self.jobs) * u64::from(until - from),
            arrived,
            drained: Duration::from_micros(u64::try_from(drained).unwrap_or(0)),
            p99_us,
            normal_after: normal_after(p99_us[0], after()),
        }
    }
}

/// How many of these seconds passed until each had a p99 as before, and all of its executions.
fn normal_after<'a>(before_us: i32, after: impl Iterator<Item = &'a SecondLine>) -> Option<u32> {
    let most_us = before_us.saturating_mul(2).saturating_add(SLACK_US);
    let normal: Vec<bool> = after.map(|second| second.arrived == second.due && second.p99_us <= most_us).collect();
    let passed = normal.iter().rposition(|is_normal| !is_normal).map_or(0, |last| last + 1);
    (passed < normal.len()).then(|| u32::try_from(passed).unwrap_or(u32::MAX))
}

/// The median of their p99, in microseconds.
fn median<'a>(seconds: impl Iterator<Item = &'a SecondLine>) -> i32 {
    let mut all: Vec<i32> = seconds.map(|second| second.p99_us).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_as_before_after_the_last_second_that_is_not() {
        let second = |arrived, p99_us| SecondLine {
            instant: 1,
            due: 10,
            arrived,
            first_us: 0,
            p50_us: 0,
            p99_us,
            last_us: p99_us,
        };
        let after = |seconds: &[SecondLine]| normal_after(1_000, seconds.iter());
        assert_eq!(after(&[second(10, 7_000), second(10, 1_000)]), Some(0));
        assert_eq!(after(&[second(10, 900_000), second(10, 500), second(10, 7_001), second(10, 500)]), Some(3));
        assert_eq!(after(&[second(9, 500), second(10, 500)]), Some(1), "what is missed is not as before");
        assert_eq!(after(&[second(10, 500), second(10, 8_000)]), None);
        assert_eq!(median([second(1, 5), second(1, 1), second(1, 9)].iter()), 5);
    }
}
