//! Owns the judgement on a whole run: a brute-force list of the instants each job owed, against the rows on disk.
//! It must not share code or shape with the core: it asks about one second after the other.

use std::collections::BTreeMap;

use punctual::core::{Covers, Kind, LedgerRow, Seq, Status};
use punctual::job::{JobKey, Misfire};
use punctual::time::{Instant, WallUs};

use super::clients::Clients;
use super::coverage::Coverage;
use super::disk::{Disk, DiskJob};
use super::plan::Plan;

/// How many missed instants are counted exactly, as clients are promised.
const COUNT_MAX: u32 = 1_000;

/// What one revision of a job owes.
struct Debt {
    /// Its instants that nobody disputes.
    must: Vec<i64>,
    /// All instants it may have rows for: more than `must` only if the clock stepped back before a change.
    may: Vec<i64>,
}

/// Every instant up to `end` has exactly one final record; nothing else has any.
pub(crate) fn judge(disk: &Disk, clients: &Clients, plan: &Plan, end: Instant, coverage: &mut Coverage) {
    let mut rows: BTreeMap<JobKey, Vec<&LedgerRow>> = BTreeMap::new();
    for row in disk.rows.values() {
        assert_eq!(row.key.kind, Kind::Scheduled, "nobody asked for other kinds");
        rows.entry(row.key.job).or_default().push(row);
    }
    for (key, job) in &disk.jobs {
        let rows = rows.remove(key).unwrap_or_default();
        judge_job(job, &rows, clients, end);
        for row in rows {
            judge_row(row, job, disk, plan, coverage);
        }
    }
    assert!(rows.is_empty(), "rows of no job: {rows:?}");
    for (seq, alert) in &disk.alerts {
        let row = disk.rows.get(seq).expect("an alert belongs to a row");
        assert_eq!(
            (row.record.status, row.key.instant),
            (Status::Failed, alert.execution.instant),
            "an alert without a failure"
        );
    }
}

fn judge_job(job: &DiskJob, rows: &[&LedgerRow], clients: &Clients, end: Instant) {
    // Rows go on beyond the end, and one that covers a gap may reach back over it.
    let horizon = rows.iter().map(|row| row.key.instant).max().unwrap_or(end).max(end);
    let debts = debts(job, clients, horizon);
    // Each second that is owed, or for which there is a row, and how many rows say what became of it.
    let mut told: BTreeMap<i64, u32> = BTreeMap::new();
    for row in rows {
        let finished = row.record.status != Status::Pending;
        assert!(finished || row.key.instant > end, "not finished long after all healed: {row:?}");
        let instant = row.key.instant.as_secs();
        match row.record.covers {
            None => {
                let owed = debts.iter().any(|debt| debt.may.binary_search(&instant).is_ok());
                assert!(owed, "a row for an instant nobody owed: {row:?}");
                *told.entry(instant).or_default() += 1;
            }
            Some(covers) => {
                let covered = debts.iter().find_map(|debt| covered(debt, covers, instant));
                let covered = covered.unwrap_or_else(|| panic!("a gap that was none, or counted wrong: {row:?}"));
                for instant in covered {
                    *told.entry(instant).or_default() += 1;
                }
            }
        }
    }
    for (instant, count) in &told {
        assert_eq!(*count, 1, "instant {instant} has {count} records: {:?}", job.history);
    }
    for instant in debts.iter().flat_map(|debt| &debt.must).filter(|&&instant| instant <= end.as_secs()) {
        assert!(told.contains_key(instant), "instant {instant} was lost: {:?}", job.history);
    }
}

/// The instants a covering row stands for, if this debt has exactly those.
fn covered(debt: &Debt, covers: Covers, last: i64) -> Option<Vec<i64>> {
    let first = covers.from.as_secs();
    let all: Vec<i64> = debt.may.iter().copied().filter(|instant| (first..=last).contains(instant)).collect();
    let count = u32::try_from(all.len()).expect("small");
    let counted = if covers.more { covers.count == COUNT_MAX && count > COUNT_MAX } else { covers.count == count };
    (counted && all.first() == Some(&first) && all.last() == Some(&last)).then_some(all)
}

fn debts(job: &DiskJob, clients: &Clients, horizon: Instant) -> Vec<Debt> {
    let mut debts = Vec::new();
    for (index, stretch) in job.history.iter().enumerate() {
        let revision = stretch.revision.as_ref().filter(|revision| revision.spec.active);
        let Some(revision) = revision else { continue };
        let beat = clients.beat_of(revision);
        let second = |wall: WallUs| wall.floor().as_secs();
        let (until, until_peak) = match job.history.get(index + 1) {
            Some(next) => (second(next.since), second(next.since).max(second(next.peak))),
            None => (horizon.as_secs(), horizon.as_secs()),
        };
        let (since, since_peak) = (second(stretch.since), second(stretch.since).max(second(stretch.peak)));
        let anchor = revision.anchor.as_secs();
        let due = |from: i64, through: i64| -> Vec<i64> {
            (from + 1..=through).filter(|&instant| beat.is_due(instant, anchor)).collect()
        };
        debts.push(Debt { must: due(since_peak, until), may: due(since, until_peak) });
    }
    debts
}

fn judge_row(row: &LedgerRow, job: &DiskJob, disk: &Disk, plan: &Plan, coverage: &mut Coverage) {
    let error = row.record.error.as_deref().unwrap_or_default();
    let sent = disk.sent.contains_key(&row.seq);
    match row.record.status {
        Status::Pending => {}
        Status::Success => {
            assert!(
                sent && row.record.http_status.is_some() && row.record.executed.is_some() && error.is_empty(),
                "{row:?}"
            );
        }
        Status::Failed => {
            assert!(!error.is_empty(), "a failure without a reason: {row:?}");
            let told = disk.alerts.contains_key(&row.seq);
            assert!(told || job.deleted.is_some(), "a failure nobody is told of: {row:?}");
            let retries = row.record.attempt.saturating_sub(1).saturating_sub(row.record.recoveries);
            assert!(retries <= plan.settings.retry.retries, "more retries than allowed: {row:?}");
            assert!(retries == plan.settings.retry.retries || job.deleted.is_some(), "given up too early: {row:?}");
            coverage.hit("failed for good");
            coverage.hit_if(error == "job deleted", "job deleted closes a row");
        }
        Status::Skipped => {
            assert!(!sent && row.record.attempt == 0 && !error.is_empty(), "{row:?}");
            coverage.hit_if(error.contains("maximum lateness"), "lateness skip");
            coverage.hit_if(error.contains("already wait"), "target overloaded");
        }
    }
    coverage.hit_if(row.record.recoveries > 0, "in doubt");
    coverage.hit_if(row.record.recoveries > 1, "in doubt twice");
    judge_policy(row, plan.settings.misfire, coverage);
    if let Some(covers) = row.record.covers {
        coverage.hit("gap row");
        coverage.hit_if(covers.more, "gap counted beyond its bound");
    }
}

/// The misfire policy says which rows may cover a gap.
fn judge_policy(row: &LedgerRow, policy: Misfire, coverage: &mut Coverage) {
    let Some(covers) = row.record.covers else { return };
    let passed_over = row.record.status == Status::Skipped
        && row.record.error.as_deref().unwrap_or_default().contains("nobody could");
    match policy {
        Misfire::Once => assert!(!passed_over && (covers.count > 1), "one run stands for a gap: {row:?}"),
        Misfire::Skip => assert_eq!(row.record.status, Status::Skipped, "nothing is run for a gap: {row:?}"),
        Misfire::All => {
            assert_eq!(row.record.status, Status::Skipped, "every instant has a run of its own: {row:?}");
            coverage.hit("misfire all over its bound");
        }
    }
}

/// The rows that are not finished although their instant is long past.
pub(crate) fn unsettled(disk: &Disk, end: Instant) -> Option<Seq> {
    disk.pending().find(|row| row.key.instant <= end).map(|row| row.seq)
}
