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
use super::policies::{Lap, Policies};

/// What one revision of a job owes.
struct Debt {
    /// The number of its executions: a release begins another.
    era: u32,
    /// Whether it follows a calendar; and what is due whatever its dates are.
    is_loose: bool,
    sure: Vec<i64>,
    /// Its instants that nobody disputes.
    must: Vec<i64>,
    /// All instants it may have rows for: more than `must` only if the clock stepped back before a change.
    may: Vec<i64>,
}

/// Every instant up to `end` has exactly one final record; nothing else has any.
pub(crate) fn judge(disk: &Disk, clients: &Clients, plan: &Plan, end: Instant, coverage: &mut Coverage) {
    let mut rows: BTreeMap<JobKey, Vec<&LedgerRow>> = BTreeMap::new();
    for row in disk.rows.values() {
        rows.entry(row.key.job).or_default().push(row);
    }
    for (key, job) in &disk.jobs {
        let rows = rows.remove(key).unwrap_or_default();
        let scheduled: Vec<&LedgerRow> = rows.iter().copied().filter(|row| row.key.kind == Kind::Scheduled).collect();
        judge_job(job, &scheduled, clients, plan, disk, end);
        judge_runs(job, &scheduled, clients, coverage);
        for row in rows {
            judge_row(row, job, disk, clients, plan, coverage);
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

fn judge_job(job: &DiskJob, rows: &[&LedgerRow], clients: &Clients, plan: &Plan, disk: &Disk, end: Instant) {
    let count_max = plan.settings.bounds.missed_count_max;
    // Rows go on beyond the end, and one that covers a gap may reach back over it.
    let horizon = rows.iter().map(|row| row.key.instant).max().unwrap_or(end).max(end);
    let debts = debts(job, clients, disk, horizon);
    // Each second that is owed, or for which there is a row, and how many rows say what became of it.
    let mut told: BTreeMap<(u32, i64), u32> = BTreeMap::new();
    for row in rows {
        let finished = row.record.status != Status::Pending;
        assert!(finished || row.key.instant > end, "not finished long after all healed: {row:?}");
        let (era, instant) = (row.key.number, row.key.instant.as_secs());
        match row.record.covers {
            None => {
                let owed = debts.iter().any(|debt| debt.era == era && debt.may.binary_search(&instant).is_ok());
                assert!(owed, "a row for an instant nobody owed: {row:?}");
                *told.entry((era, instant)).or_default() += 1;
            }
            Some(covers) => {
                let covered = debts.iter().filter(|debt| debt.era == era);
                let covered = covered.into_iter().find_map(|debt| covered_by(debt, covers, instant, count_max));
                let covered = covered.unwrap_or_else(|| panic!("a gap that was none, or counted wrong: {row:?}"));
                for instant in covered {
                    *told.entry((era, instant)).or_default() += 1;
                }
            }
        }
    }
    for (instant, count) in &told {
        assert_eq!(*count, 1, "instant {instant:?} has {count} records: {:?}", job.history);
    }
    let owed = debts.iter().flat_map(|debt| debt.must.iter().map(|&instant| (debt.era, instant)));
    for instant in owed.filter(|(_, instant)| *instant <= end.as_secs()) {
        assert!(told.contains_key(&instant), "instant {instant:?} was lost: {:?}", job.history);
    }
}

/// The instants a covering row stands for, if this debt has exactly those.
fn covered_by(debt: &Debt, covers: Covers, last: i64, count_max: u32) -> Option<Vec<i64>> {
    let first = covers.from.as_secs();
    let all: Vec<i64> = debt.may.iter().copied().filter(|instant| (first..=last).contains(instant)).collect();
    let count = u32::try_from(all.len()).expect("small");
    // Of calendars that change it is not known by which dates it was counted.
    let sure = debt.sure.iter().filter(|instant| (first..=last).contains(*instant)).count();
    let fits = (covers.more || covers.count as usize >= sure) && covers.count <= count;
    let counted = if debt.is_loose {
        fits && covers.count <= count_max
    } else if covers.more {
        covers.count == count_max && count > count_max
    } else {
        covers.count == count
    };
    (counted && all.first() == Some(&first) && all.last() == Some(&last)).then_some(all)
}

fn debts(job: &DiskJob, clients: &Clients, disk: &Disk, horizon: Instant) -> Vec<Debt> {
    let mut debts = Vec::new();
    for (index, stretch) in job.history.iter().enumerate() {
        let revision = stretch.revision.as_ref().filter(|revision| revision.spec.active);
        let Some(revision) = revision else { continue };
        clients.assert_text(revision);
        let second = |wall: WallUs| wall.floor().as_secs();
        let (until, until_peak) = match job.history.get(index + 1) {
            Some(next) => (second(next.since), second(next.since).max(second(next.peak))),
            None => (horizon.as_secs(), horizon.as_secs()),
        };
        // A pause that ends by itself owes nothing before its end, and one that is to be caught up with owes what came
        // since it began.
        let accepted = second(stretch.since);
        let since = revision.since.as_secs();
        let since_peak = if since < accepted { since } else { since.max(second(stretch.peak)) };
        let surely = |from: i64, through: i64| -> Vec<i64> {
            (from + 1..=through).filter(|&instant| clients.is_due(revision, instant, disk).0).collect()
        };
        let perhaps = |from: i64, through: i64| -> Vec<i64> {
            (from + 1..=through).filter(|&instant| clients.is_due(revision, instant, disk).1).collect()
        };
        let before = index.checked_sub(1).and_then(|before| job.history[before].revision.as_ref());
        let was_released = before.is_some_and(|before| before.era < revision.era);
        let is_loose = clients.follows_calendar(revision);
        let sure = if is_loose { surely(since, until_peak) } else { Vec::new() };
        let must = if clients.policies_of(revision).max_runs.is_some() {
            // Which of them come to pass depends on what is skipped.
            Vec::new()
        } else {
            surely(if was_released { since } else { since_peak }, until)
        };
        debts.push(Debt { era: revision.era, is_loose, sure, must, may: perhaps(since, until_peak) });
    }
    debts
}

/// A job that may run so often does not run more often.
fn judge_runs(job: &DiskJob, rows: &[&LedgerRow], clients: &Clients, coverage: &mut Coverage) {
    let most: Option<Vec<u64>> = policies_of(job, clients).map(|policies| policies.max_runs).collect();
    let Some(most) = most.and_then(|most| most.into_iter().max()) else { return };
    let runs = rows.iter().filter(|row| row.record.status != Status::Skipped).count() as u64;
    assert!(runs <= most, "{runs} runs of a job that may have {most}: {:?}", job.history);
    coverage.hit_if(runs == most, "job exhausted by its runs");
}

/// What each revision of a job demanded.
fn policies_of<'a>(job: &'a DiskJob, clients: &'a Clients) -> impl Iterator<Item = Policies> + 'a {
    let revisions = job.history.iter().filter_map(|stretch| stretch.revision.as_ref());
    revisions.map(|revision| clients.policies_of(revision))
}

fn judge_row(row: &LedgerRow, job: &DiskJob, disk: &Disk, clients: &Clients, plan: &Plan, coverage: &mut Coverage) {
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
            let most = policies_of(job, clients).map(|policies| policies.retries_max(&plan.settings)).max();
            let least = policies_of(job, clients).map(|policies| policies.retries_max(&plan.settings)).min();
            assert!(Some(retries) <= most, "more retries than allowed: {row:?}");
            let may_give_up = policies_of(job, clients).any(Policies::may_give_up);
            let gave_all = Some(retries) >= least || may_give_up || job.deleted.is_some();
            assert!(gave_all, "given up too early: {row:?}");
            coverage.hit("failed for good");
            coverage.hit_if(error == "job deleted", "job deleted closes a row");
        }
        Status::Skipped => {
            assert!(!sent && row.record.attempt == 0 && !error.is_empty(), "{row:?}");
            coverage.hit_if(error.contains("maximum lateness"), "lateness skip");
            coverage.hit_if(error.contains("already wait"), "target overloaded");
            let lap = policies_of(job, clients).any(|policies| policies.overlap != Lap::Allow);
            let skipped = error.starts_with("skipped: ");
            assert!(lap || !skipped, "skipped by no policy: {row:?}");
            coverage.hit_if(error.contains("still running"), "skipped as another runs");
            coverage.hit_if(error.contains("another one waiting"), "skipped as another waits");
        }
    }
    coverage.hit_if(row.record.recoveries > 0, "in doubt");
    coverage.hit_if(row.record.recoveries > 1, "in doubt twice");
    let policies: Vec<Policies> = policies_of(job, clients).collect();
    judge_policy(row, &policies, plan, coverage);
    if let Some(covers) = row.record.covers {
        coverage.hit("gap row");
        coverage.hit_if(covers.more, "gap counted beyond its bound");
    }
}

/// The misfire policy says which rows may cover a gap: that of any revision the job had.
fn judge_policy(row: &LedgerRow, policies: &[Policies], plan: &Plan, coverage: &mut Coverage) {
    let Some(covers) = row.record.covers else { return };
    let error = row.record.error.as_deref().unwrap_or_default();
    let skipped = row.record.status == Status::Skipped;
    if skipped && policies.iter().any(|policies| policies.lateness_ms.is_some()) && error.contains("maximum lateness") {
        return coverage.hit("gap beyond the job's lateness");
    }
    let passed_over = skipped && error.contains("nobody could");
    let allows = |policy: Misfire| match policy {
        // One run stands for a gap.
        Misfire::Once => !passed_over && (covers.count > 1 || covers.more),
        // Nothing is run for a gap; or every instant has a run of its own, up to a bound.
        Misfire::Skip | Misfire::All => skipped,
    };
    let has = |policy| policies.iter().any(|policies| policies.misfire(&plan.settings) == policy);
    let allowed = [Misfire::Once, Misfire::Skip, Misfire::All].into_iter().any(|policy| has(policy) && allows(policy));
    assert!(allowed, "a gap that no policy of its job leaves: {row:?}");
    let differs =
        policies.iter().any(|policies| policies.misfire.is_some_and(|policy| policy != plan.settings.misfire));
    coverage.hit_if(differs, "misfire by the job's own policy");
    coverage.hit_if(has(Misfire::All) && skipped, "misfire all over its bound");
}

/// The rows that are not finished although their instant is long past.
pub(crate) fn unsettled(disk: &Disk, end: Instant) -> Option<Seq> {
    disk.pending().find(|row| row.key.instant <= end).map(|row| row.seq)
}
