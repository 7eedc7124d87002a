//! Owns a distribution of microseconds: drift, commit latency.
//! It must not keep single values.

use hdrhistogram::Histogram;

/// An hour: longer values count as this.
const HIGHEST_US: u64 = 3_600_000_000;
/// Two decimal digits: percentiles are right to 1 %, in 25 KiB.
const DIGITS: u8 = 2;

/// Records values and tells their percentiles.
#[derive(Debug)]
pub struct Recorder {
    histogram: Histogram<u64>,
    sum_us: u128,
    negative: u64,
}

/// Percentiles of what was recorded, in microseconds.
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
        Recorder { histogram, sum_us: 0, negative: 0 }
    }
}

impl Recorder {
    /// Records a value in microseconds.
    pub fn record(&mut self, value_us: i64) {
        match u64::try_from(value_us) {
            Ok(value_us) => {
                self.histogram.saturating_record(value_us);
                self.sum_us += u128::from(value_us);
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
}
