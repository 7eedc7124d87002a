//! Owns the rollup: what finished executions of a stretch of time come to, in a few bytes that can be added up.
//! It must not know which stretch that is, or where rollups are kept.
//!
//! What it says of drift and duration is as exact as [`super::sketch`] tells. A job's rollup begins with four buckets to
//! a doubling, so that its percentiles are within 12 %, and that of all jobs with sixteen, within 3.1 %; where that
//! does not fit they become coarser. Counts and highest values are exact, up to 2^56 and to 50 days.
//!
//! The bytes: the levels of drift and duration, in the low and the high half of the first; how many succeeded, failed
//! and were skipped; drift; duration. To change the format, take one of the levels that are not in use.

use super::sketch::{LEVEL_MAX, Sketch, plus};
use super::varint::{self, Damaged};
use crate::core::{Class, ExecutionKey, Kind, Record, Status};
use crate::limits::{SERIES_ALL_LEN_MAX, SERIES_JOB_LEN_MAX};
use crate::time::WallUs;

/// What finished executions come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rollup {
    pub(super) success: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// First dispatch after the instant, in microseconds: of scheduled executions that were on time.
    pub(super) drift: Sketch,
    /// The deciding attempt's, in microseconds: of executions that ended SUCCESS or FAILED.
    pub(super) duration: Sketch,
}

/// How much room a rollup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// What one job gets.
    Job,
    /// What the sum over all jobs gets.
    All,
}

impl Room {
    /// Bytes, and how coarse it is from the start.
    fn bounds(self) -> (usize, u8) {
        match self {
            Room::Job => (SERIES_JOB_LEN_MAX, 2),
            Room::All => (SERIES_ALL_LEN_MAX, 0),
        }
    }
}

impl Rollup {
    /// Counts an execution, if it is finished.
    pub(super) fn add(&mut self, key: &ExecutionKey, record: &Record) {
        let counter = match record.status {
            Status::Pending => return,
            Status::Success => &mut self.success,
            Status::Failed => &mut self.failed,
            Status::Skipped => &mut self.skipped,
        };
        *counter = plus(*counter, 1);
        if let (Kind::Scheduled, Class::OnTime, Some(executed)) = (key.kind, record.class, record.executed) {
            // A negative one is a step of the clock.
            if let Ok(drift) = u64::try_from(executed.since_us(WallUs::of(key.instant))) {
                self.drift.add(drift);
            }
        }
        if let (Status::Success | Status::Failed, Some(duration)) = (record.status, record.duration_us) {
            self.duration.add(duration);
        }
    }

    /// Counts all that the other one has.
    pub(super) fn merge(&mut self, other: &Rollup) {
        let Rollup { success, failed, skipped, drift, duration } = other;
        self.success = plus(self.success, *success);
        self.failed = plus(self.failed, *failed);
        self.skipped = plus(self.skipped, *skipped);
        self.drift.merge(drift);
        self.duration.merge(duration);
    }

    /// Its bytes. Where there are too many, the histogram with more of them becomes coarser.
    pub(super) fn encode(mut self, room: Room) -> Vec<u8> {
        let (length_max, level_min) = room.bounds();
        self.drift.coarsen(level_min);
        self.duration.coarsen(level_min);
        let mut bytes = Vec::with_capacity(length_max);
        loop {
            bytes.clear();
            bytes.push(self.drift.level() | self.duration.level() << 4);
            for count in [self.success, self.failed, self.skipped] {
                varint::write(count, &mut bytes);
            }
            let (from, until) = (bytes.len(), self.drift.encode(&mut bytes));
            let total = self.duration.encode(&mut bytes);
            if total <= length_max {
                return bytes;
            }
            let is_drift = self.duration.buckets() < 2 || (self.drift.buckets() > 1 && until - from > total - until);
            let longer = if is_drift { &mut self.drift } else { &mut self.duration };
            assert!(longer.level() < LEVEL_MAX, "one bucket each fits into any room");
            longer.coarsen(longer.level() + 1);
        }
    }

    /// Reads what `encode` wrote.
    pub(super) fn decode(mut bytes: &[u8]) -> Result<Rollup, Damaged> {
        let (&levels, rest) = bytes.split_first().ok_or(Damaged)?;
        bytes = rest;
        let mut count = || varint::read(&mut bytes).map(|count| plus(count, 0));
        let (success, failed, skipped) = (count()?, count()?, count()?);
        let drift = Sketch::decode(levels & 0xf, &mut bytes)?;
        let duration = Sketch::decode(levels >> 4, &mut bytes)?;
        if bytes.is_empty() { Ok(Rollup { success, failed, skipped, drift, duration }) } else { Err(Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobKey;
    use crate::mix::mix;
    use crate::time::Instant;

    /// An execution of some kind, with values of about the size that the seed has.
    fn execution(seed: u64, turn: u64) -> (ExecutionKey, Record) {
        let draw = |what: u64, end: u64| mix(mix(seed) ^ turn << 8 ^ what) % end;
        let mut key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(i64::try_from(turn).expect("small")));
        if draw(1, 10) == 0 {
            key.kind = Kind::Manual;
        }
        let mut record = Record::pending(if draw(2, 10) == 0 { Class::Recovered } else { Class::OnTime });
        record.status = match draw(3, 20) {
            0 => Status::Skipped,
            1 => Status::Failed,
            _ => Status::Success,
        };
        if record.status != Status::Skipped {
            let wide = mix(seed + 5) % 24 + 1;
            let after = i64::try_from(draw(4, 1 << wide)).expect("small") - 20;
            record.executed = Some(WallUs::of(key.instant).plus_us(after));
            record.duration_us = Some(700 + draw(5, 1 << (mix(seed + 6) % 24 + 1)));
        }
        (key, record)
    }

    fn rollup_of(seed: u64, turns: std::ops::Range<u64>) -> Rollup {
        let mut rollup = Rollup::default();
        turns.map(|turn| execution(seed, turn)).for_each(|(key, record)| rollup.add(&key, &record));
        rollup
    }

    /// Any rollup at all, as if an hour could hold anything.
    fn anything(seed: u64) -> Rollup {
        let large = |turn: u64| mix(seed ^ turn << 32) >> (mix(seed + turn) % 64);
        let mut rollup = Rollup { success: plus(large(1), 0), failed: plus(large(2), 0), ..Rollup::default() };
        rollup.skipped = plus(large(3), 0);
        for turn in 4..4 + mix(seed) % 400 {
            rollup.drift.add(large(turn));
            rollup.duration.add(large(turn + 1_000));
        }
        // Counts as high as they come.
        for _ in 0..mix(seed + 7) % 57 {
            let same = rollup.clone();
            rollup.merge(&same);
        }
        rollup
    }

    #[test]
    fn what_counts_as_drift_and_as_duration() {
        let (mut key, mut record) = execution(1, 5);
        (key.kind, record.class, record.status) = (Kind::Scheduled, Class::OnTime, Status::Success);
        record.duration_us = Some(9);
        let drift_and_duration = |key: &ExecutionKey, record: &Record| {
            let mut rollup = Rollup::default();
            rollup.add(key, record);
            (rollup.drift.max(), rollup.duration.max())
        };
        for (after, drift) in [(0, Some(0)), (700, Some(700)), (-1, None), (i64::MAX, Some((1 << 42) - 1))] {
            record.executed = Some(WallUs::of(key.instant).plus_us(after));
            assert_eq!(drift_and_duration(&key, &record), (drift, Some(9)));
        }
        record.executed = Some(WallUs::of(key.instant));
        for kind in [Kind::Manual, Kind::Replay] {
            assert_eq!(drift_and_duration(&ExecutionKey { kind, ..key }, &record), (None, Some(9)));
        }
        for class in [Class::Recovered, Class::CatchUp, Class::Manual, Class::Waited] {
            assert_eq!(drift_and_duration(&key, &Record { class, ..record.clone() }), (None, Some(9)));
        }
        let skipped = Record { status: Status::Skipped, executed: None, ..record.clone() };
        assert_eq!(drift_and_duration(&key, &skipped), (None, None));
        let mut pending = Rollup::default();
        pending.add(&key, &Record { status: Status::Pending, ..record });
        assert_eq!(pending, Rollup::default());
    }

    #[test]
    fn parts_that_are_merged_are_the_same_as_all_at_once() {
        for seed in 0..200 {
            let cut = mix(seed) % 300;
            let mut left = rollup_of(seed, 0..cut);
            left.merge(&rollup_of(seed, cut..300));
            assert_eq!(left, rollup_of(seed, 0..300), "seed {seed}");
        }
    }

    #[test]
    fn every_rollup_fits_into_its_room_and_reads_back_with_its_counts_and_highest_values() {
        let mut coarse = 0;
        for seed in 0..3_000 {
            let rollup = if seed % 2 == 0 { anything(seed) } else { rollup_of(seed, 0..mix(seed) % 500) };
            for room in [Room::Job, Room::All] {
                let bytes = rollup.clone().encode(room);
                assert!(bytes.len() <= room.bounds().0, "seed {seed}: {} bytes", bytes.len());
                let read = Rollup::decode(&bytes).expect("it was written so");
                assert_eq!(read.clone().encode(room), bytes, "seed {seed}: writing it again changes nothing");
                assert_eq!(
                    (read.success, read.failed, read.skipped, read.drift.max(), read.duration.max()),
                    (rollup.success, rollup.failed, rollup.skipped, rollup.drift.max(), rollup.duration.max())
                );
                let mut as_coarse = rollup.clone();
                as_coarse.drift.coarsen(read.drift.level());
                as_coarse.duration.coarsen(read.duration.level());
                assert_eq!(read, as_coarse, "seed {seed}: only neighbours were joined");
                coarse += u32::from(read.duration.level() > 4);
            }
        }
        assert!(coarse > 300, "some had to give up much: {coarse}");
        let full = u64::MAX >> 8;
        let mut highest = Rollup { success: full, failed: full, skipped: full, ..Rollup::default() };
        highest.drift.add(u64::MAX);
        highest.duration.add(u64::MAX);
        for _ in 0..60 {
            let same = highest.clone();
            highest.merge(&same);
        }
        let bytes = highest.clone().encode(Room::Job);
        assert_eq!(
            (bytes.len() <= SERIES_JOB_LEN_MAX, Rollup::decode(&bytes).map(|read| read.success)),
            (true, Ok(full))
        );
    }

    /// Percentiles of an hour of a job that runs each second, written as often as the fold writes it.
    #[test]
    fn an_hour_that_is_written_slice_by_slice_is_as_exact_as_one_that_is_written_once() {
        let levels = |rollup: &Rollup| rollup.drift.level() + rollup.duration.level();
        for seed in 0..60 {
            let mut exact: Vec<u64> = (0..3_600).filter_map(|turn| execution(seed, turn).1.duration_us).collect();
            exact.sort_unstable();
            let once = rollup_of(seed, 0..3_600).encode(Room::Job);
            let mut bytes = Rollup::default().encode(Room::Job);
            for slice in 0..60 {
                let mut rollup = Rollup::decode(&bytes).expect("it was written so");
                rollup.merge(&rollup_of(seed, slice * 60..slice * 60 + 60));
                bytes = rollup.encode(Room::Job);
            }
            let (read, once) = (Rollup::decode(&bytes).expect("so"), Rollup::decode(&once).expect("so"));
            assert_eq!((read.success, read.drift.max()), (once.success, once.drift.max()));
            assert!(levels(&read).abs_diff(levels(&once)) <= 1, "seed {seed}: {read:?} or {once:?}");
            let read = read.duration;
            // The table of `sketch`.
            let off = [0.032, 0.062, 0.119, 0.226, 0.42][usize::from(read.level())];
            for per_cent in [50, 99] {
                let rank = (exact.len() * usize::from(per_cent)).div_ceil(100);
                let (exact, told) = (exact[rank - 1] as f64, read.percentile(per_cent).expect("values") as f64);
                assert!((told - exact).abs() <= exact * off, "seed {seed}, level {}: {told} for {exact}", read.level());
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_a_panic() {
        assert_eq!(Rollup::decode(&[]), Err(Damaged));
        let (mut refused, mut other) = (0, 0);
        for seed in 0..400 {
            let whole = rollup_of(seed, 0..mix(seed) % 300 + 1).encode(Room::Job);
            for cut in 0..whole.len() {
                assert_eq!(Rollup::decode(&whole[..cut]), Err(Damaged), "seed {seed}: {cut} of {} bytes", whole.len());
            }
            let mut longer = whole.clone();
            longer.push(1);
            assert_eq!(Rollup::decode(&longer), Err(Damaged));
            for turn in 0..200 {
                let mut bytes = whole.clone();
                let at = usize::try_from(mix(seed ^ turn << 16)).expect("64 bits") % bytes.len();
                bytes[at] ^= mix(turn) as u8 | 1;
                // What can be read can be used like any other.
                match Rollup::decode(&bytes) {
                    Ok(mut read) => {
                        other += 1;
                        read.merge(&rollup_of(seed, 0..5));
                        assert!(read.drift.percentile(50) <= read.drift.percentile(99));
                        assert!(read.clone().encode(Room::Job).len() <= SERIES_JOB_LEN_MAX);
                    }
                    Err(Damaged) => refused += 1,
                }
            }
        }
        assert!(refused > 10_000 && other > 10_000, "{refused} were refused, {other} were not");
    }
}
