//! Owns the one rule of what counts and what is last: for memory, for the store's totals, and at a start.
//! It must not know where rows come from.

use super::key::Kind;
use super::record::{LedgerRow, Status};
use crate::time::{Instant, WallUs};

/// What became of a job's executions so far. Rebuilt at start, kept in memory, never counted by a scan of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Executions that ended SUCCESS.
    pub success: u64,
    /// Executions that ended FAILED.
    pub failed: u64,
    /// Rows that ended SKIPPED; no POST was made for them.
    pub skipped: u64,
    /// The deciding attempts' durations of all that ended SUCCESS or FAILED after a dispatch, in microseconds.
    pub duration_us: u64,
    /// How many executions `duration_us` sums up.
    pub timed: u64,
    /// Scheduled executions among them that were not skipped.
    pub runs: u64,
}

impl Counters {
    /// Executions that were POSTed and are finished.
    pub fn total(&self) -> u64 {
        self.success + self.failed
    }

    /// The mean duration of the deciding attempts in milliseconds; None before the first.
    pub fn mean_duration_ms(&self) -> Option<f64> {
        // Both stay far below 2^53 for any history a machine can hold.
        (self.timed > 0).then(|| self.duration_us as f64 / self.timed as f64 / 1000.0)
    }
}

/// How a job's latest finished execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastOutcome {
    /// Which execution.
    pub instant: Instant,
    /// How it ended.
    pub status: Status,
    /// The status of the deciding answer; None if there was no answer.
    pub http_status: Option<u16>,
}

/// What a job's finished rows add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many ended how.
    pub counters: Counters,
    /// How the latest ended: that with the highest instant, and among those of one instant the one counted last.
    pub last: Option<LastOutcome>,
    /// How many ended FAILED since the last that ended SUCCESS, in the order in which they were counted.
    pub failures_in_row: u32,
    /// The latest second in which one was sent that ended SUCCESS.
    pub last_success: Option<Instant>,
}

impl Tally {
    /// Nothing has ended.
    pub const NONE: Tally = Tally {
        counters: Counters { success: 0, failed: 0, skipped: 0, duration_us: 0, timed: 0, runs: 0 },
        last: None,
        failures_in_row: 0,
        last_success: None,
    };

    /// Counts a row, if it is finished.
    pub fn add(&mut self, row: &LedgerRow) {
        let counters = &mut self.counters;
        match row.record.status {
            Status::Success => counters.success += 1,
            Status::Failed => counters.failed += 1,
            Status::Skipped => counters.skipped += 1,
            Status::Pending => return,
        }
        counters.runs += u64::from(row.key.kind == Kind::Scheduled && row.record.status != Status::Skipped);
        match row.record.status {
            Status::Success => {
                let sent = row.record.executed.map_or(row.key.instant, WallUs::floor);
                (self.failures_in_row, self.last_success) = (0, self.last_success.max(Some(sent)));
            }
            Status::Failed => self.failures_in_row = self.failures_in_row.saturating_add(1),
            Status::Skipped | Status::Pending => {}
        }
        if let (Status::Success | Status::Failed, Some(duration_us)) = (row.record.status, row.record.duration_us) {
            counters.duration_us += duration_us;
            counters.timed += 1;
        }
        self.note_last(LastOutcome {
            instant: row.key.instant,
            status: row.record.status,
            http_status: row.record.http_status,
        });
    }

    /// Adds what came after this.
    pub fn merge(&mut self, recent: &Tally) {
        let (all, more) = (&mut self.counters, &recent.counters);
        all.success += more.success;
        all.failed += more.failed;
        all.skipped += more.skipped;
        all.duration_us += more.duration_us;
        all.timed += more.timed;
        all.runs += more.runs;
        let before = if more.success == 0 { self.failures_in_row } else { 0 };
        self.failures_in_row = before.saturating_add(recent.failures_in_row);
        self.last_success = self.last_success.max(recent.last_success);
        if let Some(last) = recent.last {
            self.note_last(last);
        }
    }

    fn note_last(&mut self, outcome: LastOutcome) {
        if self.last.is_none_or(|last| last.instant <= outcome.instant) {
            self.last = Some(outcome);
        }
    }
}

/// What the store keeps of a job's finished rows. Memory needs the cursor only at a start, and has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What they add up to.
    pub tally: Tally,
    /// The highest instant of the scheduled ones, of the latest era of the job: a release begins another.
    pub finished_through: Option<(u32, Instant)>,
}

impl Totals {
    /// Counts a row, if it is finished.
    pub fn add(&mut self, row: &LedgerRow) {
        self.tally.add(row);
        if row.record.status != Status::Pending && row.key.kind == Kind::Scheduled {
            self.finished_through = self.finished_through.max(Some((row.key.number, row.key.instant)));
        }
    }

    /// Adds what came after this.
    pub fn merge(&mut self, recent: &Totals) {
        self.tally.merge(&recent.tally);
        self.finished_through = self.finished_through.max(recent.finished_through);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::key::ExecutionKey;
    use crate::core::record::{Class, Seq};
    use crate::job::JobKey;

    /// Rows that ended in every way, in the order in which they are counted.
    fn rows() -> Vec<LedgerRow> {
        let ends = [
            // Second, kind, how it ended, sent so many seconds later, and how long that took.
            (10, Kind::Scheduled, Status::Success, Some(0), Some(700)),
            (11, Kind::Scheduled, Status::Failed, Some(3), Some(900)),
            (12, Kind::Manual, Status::Failed, None, None),
            (13, Kind::Scheduled, Status::Skipped, None, Some(5)),
            (12, Kind::Scheduled, Status::Failed, Some(1), Some(40)),
            (13, Kind::Scheduled, Status::Pending, None, None),
            (13, Kind::Replay, Status::Success, Some(90), Some(2_000)),
            (14, Kind::Scheduled, Status::Success, Some(1), Some(10)),
            (14, Kind::Manual, Status::Failed, Some(1), Some(3)),
            (9, Kind::Replay, Status::Failed, Some(200), Some(8)),
        ];
        (1..)
            .zip(ends)
            .map(|(seq, (second, kind, status, late, duration_us))| {
                let instant = Instant::from_secs(second);
                let key = ExecutionKey { kind, number: 7, ..ExecutionKey::scheduled(JobKey(1), instant) };
                let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
                row.record.status = status;
                row.record.executed = late.map(|late| WallUs::of(Instant::from_secs(second + late)).plus_us(500));
                (row.record.duration_us, row.record.http_status) = (duration_us, Some(200));
                row
            })
            .collect()
    }

    fn totals(rows: &[LedgerRow]) -> Totals {
        let mut totals = Totals::default();
        rows.iter().for_each(|row| totals.add(row));
        totals
    }

    #[test]
    fn what_ended_is_counted_once_and_by_how_it_ended() {
        let all = totals(&rows());
        let counters = Counters { success: 3, failed: 5, skipped: 1, duration_us: 3_661, timed: 7, runs: 4 };
        assert_eq!((all.tally.counters, counters.total()), (counters, 8));
        assert_eq!(counters.mean_duration_ms(), Some(0.523));
        assert_eq!(Counters::default().mean_duration_ms(), None);
        assert_eq!(all.tally.failures_in_row, 2, "since the success that was counted last");
        assert_eq!(
            all.tally.last_success,
            Some(Instant::from_secs(103)),
            "the latest that was sent, not the last counted"
        );
        let last = all.tally.last.map(|last| (last.instant, last.status));
        assert_eq!(last, Some((Instant::from_secs(14), Status::Failed)), "of one instant that which was counted last");
        assert_eq!(all.finished_through, Some((7, Instant::from_secs(14))));
    }

    #[test]
    fn what_is_folded_and_what_is_not_yet_add_up_to_all() {
        let rows = rows();
        for split in 0..=rows.len() {
            let (folded, recent) = rows.split_at(split);
            let mut sum = totals(folded);
            sum.merge(&totals(recent));
            assert_eq!(sum, totals(&rows), "split at {split}");
        }
        let mut tally = totals(&rows[..5]).tally;
        tally.merge(&totals(&rows[5..]).tally);
        assert_eq!(tally, totals(&rows).tally);
    }
}
