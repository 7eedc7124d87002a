//! Owns the judgement of arrivals: which execution arrived, how late, twice, too early, or not at all.
//! It must not keep more than a slot for each execution of the last seconds.

use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

use super::receiver::Arrival;
use super::spread::Spread;

/// How long a second stays open for its arrivals; what comes later is counted as stale, and was missed.
pub(super) const OPEN_SECONDS: u32 = 120;
/// Drift beyond an hour counts as an hour, in microseconds.
const HIGHEST_US: u64 = 3_600_000_000;

/// What is expected, and what came of it.
#[derive(Debug)]
pub(super) struct Tally {
    jobs: u32,
    spread: Spread,
    window: (u32, u32),
    due: VecDeque<u32>,
    open: BTreeMap<u32, Second>,
    drift: Histogram<u64>,
    /// The same since it was last taken.
    recent: Histogram<u64>,
    /// Of targets that answer.
    pub(super) counts: Counts,
    /// Of targets that hang: due and arrived only.
    pub(super) hung: Counts,
    /// The seconds that were due and are closed, in order.
    pub(super) seconds: Vec<SecondLine>,
}

/// What became of executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) due: u64,
    pub(super) arrived: u64,
    /// Arrived more than once, without being a repeat of a failed attempt.
    pub(super) doubled: u64,
    /// Arrived before their second.
    pub(super) early: u64,
    /// Further attempts of executions that had arrived.
    pub(super) repeats: u64,
    /// In the window, but of a job or a second that was not due.
    pub(super) strays: u64,
    /// Later than any second stays open.
    pub(super) stale: u64,
}

impl Counts {
    /// Due and never arrived.
    pub(super) fn missed(&self) -> u64 {
        self.due.saturating_sub(self.arrived)
    }
}

/// One second of the window, of targets that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecondLine {
    pub(super) instant: u32,
    pub(super) due: u32,
    pub(super) arrived: u32,
    pub(super) first_us: i32,
    pub(super) p50_us: i32,
    pub(super) p99_us: i32,
    pub(super) last_us: i32,
}

/// Drift at the receiver, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Drift {
    pub(super) mean: f64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

#[derive(Debug)]
struct Second {
    /// By job: 0, or the key of the arrival that came first.
    keys: Vec<u32>,
    lates: Vec<i32>,
}

impl Tally {
    /// Jobs 0 to `jobs`, each due at each of these instants, which lie in the window `[from, until)`.
    pub(super) fn new(jobs: u32, spread: Spread, window: (u32, u32), due: Vec<u32>) -> Tally {
        let hung_jobs = u64::from(spread.hung_jobs);
        let instants = due.len() as u64;
        Tally {
            jobs,
            spread,
            window,
            due: due.into(),
            open: BTreeMap::new(),
            drift: histogram(),
            recent: histogram(),
            counts: Counts { due: (u64::from(jobs) - hung_jobs) * instants, ..Counts::default() },
            hung: Counts { due: hung_jobs * instants, ..Counts::default() },
            seconds: Vec::new(),
        }
    }

    /// Takes arrivals in.
    pub(super) fn add(&mut self, arrivals: &[Arrival]) {
        for &arrival in arrivals {
            if (self.window.0..self.window.1).contains(&arrival.instant) {
                self.judge(arrival);
            }
        }
    }

    /// Whether everything that is due at targets that answer has arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.counts.missed() == 0
    }

    /// Closes the seconds before this one.
    pub(super) fn close_before(&mut self, instant: u32) {
        while let Some(due) = self.due.pop_front_if(|due| *due < instant) {
            let mut lates = self.open.remove(&due).map_or_else(Vec::new, |second| second.lates);
            lates.sort_unstable();
            let at = |quantile: f64| {
                let place = (lates.len() as f64 * quantile).ceil() as usize;
                lates.get(place.saturating_sub(1)).copied().unwrap_or(0)
            };
            self.seconds.push(SecondLine {
                instant: due,
                due: self.jobs - self.spread.hung_jobs,
                arrived: u32::try_from(lates.len()).unwrap_or(u32::MAX),
                first_us: at(0.0),
                p50_us: at(0.5),
                p99_us: at(0.99),
                last_us: at(1.0),
            });
        }
    }

    /// The distribution of drift so far.
    pub(super) fn drift(&self) -> Drift {
        percentiles(&self.drift)
    }

    /// The distribution of drift since the last call.
    pub(super) fn take_recent(&mut self) -> Drift {
        let recent = percentiles(&self.recent);
        self.recent.reset();
        recent
    }

    /// The share of arrivals (0 to 1) that was no later than each of some microseconds, rising.
    pub(super) fn shares(&self) -> Vec<(u64, f64)> {
        self.drift.iter_quantiles(4).map(|step| (step.value_iterated_to(), step.quantile_iterated_to())).collect()
    }

    fn judge(&mut self, arrival: Arrival) {
        let hung = self.spread.hangs(arrival.job);
        let counts = if hung { &mut self.hung } else { &mut self.counts };
        if self.due.front().is_some_and(|oldest| arrival.instant < *oldest) {
            // Closed, or before the first that is due.
            counts.stale += 1;
            return;
        }
        if arrival.job >= self.jobs || self.due.binary_search(&arrival.instant).is_err() {
            counts.strays += 1;
            return;
        }
        let second = self
            .open
            .entry(arrival.instant)
            .or_insert_with(|| Second { keys: vec![0; self.jobs as usize], lates: Vec::new() });
        let key = &mut second.keys[arrival.job as usize];
        if *key == 0 {
            *key = arrival.key();
            counts.arrived += 1;
            counts.early += u64::from(arrival.late_us < 0);
            if !hung {
                second.lates.push(arrival.late_us);
                let late_us = u64::try_from(arrival.late_us).unwrap_or(0);
                self.drift.saturating_record(late_us);
                self.recent.saturating_record(late_us);
            }
        } else if arrival.is_repeat() && *key == arrival.key() {
            counts.repeats += 1;
        } else {
            counts.doubled += 1;
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("the bounds are in order")
}

fn percentiles(found: &Histogram<u64>) -> Drift {
    if found.is_empty() {
        return Drift::default();
    }
    Drift {
        mean: found.mean(),
        p50: found.value_at_quantile(0.5),
        p90: found.value_at_quantile(0.9),
        p99: found.value_at_quantile(0.99),
        p999: found.value_at_quantile(0.999),
        max: found.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(job: u32, instant: u32, late_us: i32, key: u32, repeat: bool) -> Arrival {
        Arrival { job, instant, late_us, tag: key << 1 | u32::from(repeat) }
    }

    #[test]
    fn each_execution_counts_once_and_everything_else_has_a_name() {
        let mut tally = Tally::new(3, Spread::PLAIN, (10, 13), vec![10, 12]);
        tally.add(&[
            arrival(0, 10, 100, 1, false),
            arrival(1, 10, 300, 2, false),
            arrival(1, 10, 900, 2, true),
            arrival(0, 10, 500, 1, false),
            arrival(1, 10, 500, 9, true),
            arrival(0, 12, -5, 3, false),
            arrival(7, 12, 5, 3, false),
            arrival(0, 11, 5, 3, false),
            arrival(0, 9, 5, 3, false),
            arrival(0, 13, 5, 3, false),
        ]);
        let expected = Counts { due: 6, arrived: 3, doubled: 2, early: 1, repeats: 1, strays: 2, stale: 0 };
        assert_eq!((tally.counts, tally.counts.missed()), (expected, 3));
        tally.close_before(12);
        let line =
            SecondLine { instant: 10, due: 3, arrived: 2, first_us: 100, p50_us: 100, p99_us: 300, last_us: 300 };
        assert_eq!(tally.seconds, [line]);
        tally.add(&[arrival(2, 10, 5, 1, false)]);
        assert_eq!(tally.counts.stale, 1);
        assert!(!tally.is_complete());
    }

    #[test]
    fn jobs_of_hanging_targets_are_counted_apart() {
        let mut tally = Tally::new(5, Spread { targets: 2, hang: 1, hung_jobs: 3 }, (10, 11), vec![10]);
        tally.add(&[arrival(0, 10, 1, 1, false), arrival(3, 10, 1, 1, false), arrival(4, 10, 1, 1, false)]);
        assert_eq!((tally.counts.due, tally.counts.arrived, tally.counts.missed()), (2, 2, 0));
        assert_eq!((tally.hung.due, tally.hung.arrived), (3, 1));
        tally.close_before(11);
        assert_eq!((tally.seconds[0].due, tally.seconds[0].arrived), (2, 2));
    }
}
