//! Owns what a server takes at a moment of the soak, and whether that grows.
//! It must not compare with other machines or other runs.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::support::process::{descriptors, rss_kib};

/// What a deleted job may leave in the database: its part of the series, for two hours and a day.
const LEFT_BY_JOB: u64 = 1_024;
/// A page more or less, a batch more or less in memory: what may differ though nothing grows.
const MEMORY_SLACK_KIB: u64 = 4_096;
const FILE_SLACK: u64 = 128 * 1_024;
const LOG_SLACK: u64 = 4 << 20;
const DESCRIPTORS_SLACK: u64 = 8;
const DRIFT_SLACK_US: u64 = 250_000;

/// One moment.
#[derive(Clone, Debug)]
pub struct Sample {
    at: Duration,
    rss_kib: u64,
    descriptors: u64,
    file: u64,
    log: u64,
    /// Half of the first attempts since the last sample were later than this, in microseconds.
    drift_us: u64,
}

impl Sample {
    pub fn take(at: Duration, process: u32, db: &Path, mut drift_us: Vec<i64>) -> Sample {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        drift_us.sort_unstable();
        let drift_us = drift_us.get(drift_us.len() / 2).map_or(0, |us| us.unsigned_abs());
        Sample {
            at,
            rss_kib: rss_kib(process).expect("it runs, on Linux"),
            descriptors: descriptors(process).expect("it runs, on Linux"),
            file: length(db),
            log: length(&db.with_extension("db-wal")),
            drift_us,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { at, rss_kib, descriptors, file, log, drift_us } = self;
        write!(
            f,
            "{} s, {rss_kib} KiB, {descriptors} descriptors, file {} KiB, log {} KiB, drift {drift_us} us",
            at.as_secs(),
            file / 1024,
            log / 1024
        )
    }
}

/// The last third of a run is like the one before it. The first one is for getting there.
///
/// Memory, descriptors and drift by their medians, as a slow moment raises them for a while; the files by their largest.
pub fn assert_flat(samples: &[Sample], deleted: u64) {
    let third = samples.len() / 3;
    let (before, after) = (&samples[third..2 * third], &samples[2 * third..]);
    let median = |samples: &[Sample], of: fn(&Sample) -> u64| {
        let mut all: Vec<u64> = samples.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let largest = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().expect("there are some");
    let grown = [
        ("memory, KiB", median(before, |s| s.rss_kib), median(after, |s| s.rss_kib), MEMORY_SLACK_KIB),
        ("descriptors", median(before, |s| s.descriptors), median(after, |s| s.descriptors), DESCRIPTORS_SLACK),
        ("file", largest(before, |s| s.file), largest(after, |s| s.file), FILE_SLACK + deleted / 3 * LEFT_BY_JOB),
        ("log", largest(before, |s| s.log), largest(after, |s| s.log), LOG_SLACK),
        ("drift, us", median(before, |s| s.drift_us), median(after, |s| s.drift_us), DRIFT_SLACK_US),
    ];
    for (what, before, after, slack) in grown {
        println!("soak: {what}: {before} in the second third, {after} in the last");
        let most = before + before / 10 + slack;
        assert!(after <= most, "{what} grows: from {before} to {after}, more than {most}");
    }
}
