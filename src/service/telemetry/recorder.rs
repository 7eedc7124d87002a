//! Owns a distribution of microseconds, as percentiles and as buckets: drift, commit latency.
//! It must not keep single values.

use hdrhistogram::Histogram;

/// An hour: longer values count as this.
const HIGHEST_US: u64 = 3_600_000_000;
/// Two decimal digits: percentiles are right to 1 %, in 25 KiB.
const DIGITS: u8 = 2;

/// Up to where the buckets of a distribution go, in microseconds, each bound included: from 100 us to a minute. What is
/// longer is in none.
pub const BUCKETS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Records values and tells their percentiles.
#[derive(Debug)]
pub struct Recorder {
    histogram: Histogram<u64>,
    buckets: [u64; BUCKETS_US.len()],
    sum_us: u64,
    negative: u64,
}

/// What was recorded, as percentiles and as buckets, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Values below zero, which are in none of the others: a clock step, not drift.
    pub negative: u64,
    /// The mean; None without values.
    pub mean: Option<f64>,
    /// The median.
    pub p50: u64,
    /// 90 % are not above it.
    pub p90: u64,
    /// 99 % are not above it.
    pub p99: u64,
    /// 99.9 % are not above it.
    pub p999: u64,
    /// The highest.
    pub max: u64,
    /// All of them together.
    pub sum: u64,
    /// How many lie in each bucket of [`BUCKETS_US`] and in none below it.
    pub buckets: [u64; BUCKETS_US.len()],
}

/// How long batches of rows and changes took to be on disk.
#[derive(Clone, Copy, Debug)]
pub struct StoreLatency {
    /// From being handed over to being on disk, as the loop saw it.
    pub commit: Percentiles,
    /// The part of it spent waiting for a slice of the fold, of retention, or for a checkpoint.
    pub held_up: Percentiles,
    /// The part of it that the transaction took.
    pub write: Percentiles,
}

impl Default for Recorder {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_US, DIGITS).expect("the bounds are in order");
        Recorder { histogram, buckets: [0; BUCKETS_US.len()], sum_us: 0, negative: 0 }
    }
}

impl Recorder {
    /// Records a value in microseconds.
    pub fn record(&mut self, value_us: i64) {
        match u64::try_from(value_us) {
            Ok(value_us) => {
                self.histogram.saturating_record(value_us);
                if let Some(bucket) = self.buckets.get_mut(BUCKETS_US.partition_point(|bound| *bound < value_us)) {
                    *bucket += 1;
                }
                self.sum_us = self.sum_us.saturating_add(value_us);
            }
            Err(_) => self.negative += 1,
        }
    }

    /// The distribution so far.
    pub fn percentiles(&self) -> Percentiles {
        let count = self.histogram.len();
        let at = |quantile: f64| if count == 0 { 0 } else { self.histogram.value_at_quantile(quantile) };
        Percentiles {
            count,
            negative: self.negative,
            mean: (count > 0).then(|| self.sum_us as f64 / count as f64),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: if count == 0 { 0 } else { self.histogram.max() },
            sum: self.sum_us,
            buckets: self.buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_one_per_cent() {
        let mut recorder = Recorder::default();
        assert_eq!(recorder.percentiles(), Percentiles::default());
        for value in 1..=10_000 {
            recorder.record(value);
        }
        recorder.record(-5);
        let found = recorder.percentiles();
        assert_eq!((found.count, found.negative, found.mean), (10_000, 1, Some(5_000.5)));
        for (value, expected) in
            [(found.p50, 5_000.0), (found.p90, 9_000.0), (found.p99, 9_900.0), (found.p999, 9_990.0)]
        {
            assert!((value as f64 / expected - 1.0).abs() < 0.01, "{value} is not {expected}");
        }
    }
    #[test]
    fn a_value_is_in_the_first_bucket_that_reaches_it() {
        let mut recorder = Recorder::default();
        [-1, 0, 100, 101, 60_000_000, 60_000_001, i64::MAX].into_iter().for_each(|value| recorder.record(value));
        let found = recorder.percentiles();
        let mut expected = [0; BUCKETS_US.len()];
        (expected[0], expected[1], expected[BUCKETS_US.len() - 1]) = (2, 1, 1);
        assert_eq!((found.buckets, found.count, found.negative), (expected, 6, 1));
        assert!(BUCKETS_US.is_sorted(), "each bucket goes further than the one before");
        assert_eq!(found.sum, 100 + 101 + 60_000_000 + 60_000_001 + i64::MAX.unsigned_abs());
    }
}
