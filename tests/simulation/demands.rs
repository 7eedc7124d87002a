//! Owns what a policy demands of the answer to one input: what follows a report, how much is caught up, who is skipped or
//! paused and why.
//! It must not look into the core: a policy is asked for only where the revision in force is known for sure.

use std::collections::{HashMap, HashSet};

use punctual::core::{Bounds, Change, Class, JobChange, Kind, LedgerRow, Outcome, Persist, Report, Seq, Status, Wait};
use punctual::job::JobKey;
use punctual::time::{Now, WallUs};

use super::clients::Clients;
use super::coverage::Coverage;
use super::disk::Disk;
use super::policies::{Lap, Policies};

#[derive(Default)]
pub(crate) struct Demands {
    /// Rows that the process at hand has asked to be written.
    seen: HashSet<Seq>,
    /// Executions of each job that failed in a row, in the order in which they ended.
    failures: HashMap<JobKey, u32>,
    /// Runs for missed instants that the input at hand led to.
    caught_up: HashMap<JobKey, u32>,
    /// The report at hand.
    report: Option<Reported>,
    /// Whether a process is starting that knows what time it is: none has seen a later moment.
    judges: bool,
    bounds: Bounds,
}

struct Reported {
    seq: Seq,
    job: JobKey,
    outcome: Outcome,
    retry_after_s: Option<u32>,
    /// What its job demands, if that is sure, and whether it is active.
    policies: Option<(Policies, bool)>,
    /// Why its job is to be paused.
    pauses: Option<&'static str>,
}

impl Demands {
    /// A process starts with what is on disk.
    pub(crate) fn start(&mut self, is_behind: bool, disk: &Disk, bounds: Bounds) {
        *self = Demands { failures: disk.failures(), judges: !is_behind, bounds, ..Demands::default() };
    }

    /// It has judged what was on disk.
    pub(crate) fn started(&mut self) {
        self.judges = false;
    }

    pub(crate) fn begin(&mut self) {
        self.caught_up.clear();
    }

    /// A report that the core waits for is about to be told. `is_sure`: what is on disk is in force.
    pub(crate) fn expect(
        &mut self,
        report: &Report,
        is_sure: bool,
        disk: &Disk,
        clients: &Clients,
        coverage: &mut Coverage,
    ) {
        let Some(row) = disk.rows.get(&report.handle.seq) else { return };
        let job = &disk.jobs[&row.key.job];
        let is_known = is_sure && job.deleted.is_none();
        let policies = is_known.then(|| (clients.policies_of(&job.revision), job.revision.spec.active));
        let gone = report.outcome == Outcome::Answered(410);
        let pauses = policies.is_some_and(|(policies, active)| active && gone && policies.pause_on_410);
        let asked = report.answer.as_ref().and_then(|answer| answer.retry_after_s);
        let most = u32::try_from(self.bounds.retry_after_max.as_secs()).expect("a day at most");
        coverage.hit_if(asked.is_some_and(|asked| asked > most), "asked to wait for too long");
        self.report = Some(Reported {
            seq: row.seq,
            job: row.key.job,
            outcome: report.outcome.clone(),
            retry_after_s: asked.map(|asked| asked.min(most)),
            policies,
            pauses: pauses.then_some("it answered 410"),
        });
    }

    pub(crate) fn persist(&mut self, item: &Persist, now: Now, disk: &Disk, clients: &Clients) {
        match item {
            Persist::Row(row, _) => {
                self.follow_report(row, now);
                self.note_missed(row, disk, clients);
                assert_skipped(row, disk, clients);
                assert_not_too_late(row, now, disk, clients);
                self.assert_not_known_unsent(row, now, disk);
            }
            Persist::Change(change) => self.assert_paused(change, disk, clients),
            Persist::Remove(_) | Persist::Calendar(_) | Persist::Runs(_) => {}
            Persist::Setting(_) | Persist::Incident(_) => {}
            Persist::Release { .. } | Persist::HandOver(_) => panic!("there is no other node: {item:?}"),
        }
    }

    /// All that an input led to has been said.
    pub(crate) fn end(&mut self) {
        if let Some(Reported { job, pauses: Some(why), .. }) = self.report.take() {
            panic!("{job:?} is not paused, although {why}");
        }
    }

    fn follow_report(&mut self, row: &LedgerRow, now: Now) {
        let failures = self.failures.entry(row.key.job).or_default();
        match row.record.status {
            Status::Success => *failures = 0,
            Status::Failed => *failures += 1,
            Status::Skipped | Status::Pending => {}
        }
        let Some(report) = self.report.as_mut().filter(|report| report.seq == row.seq) else { return };
        if row.record.status == Status::Pending {
            let asked = report.retry_after_s.map(|asked_s| now.wall.plus_us(i64::from(asked_s) * 1_000_000));
            assert!(
                asked.is_none_or(|asked| row.due >= asked),
                "the target is not left alone for long enough: {row:?}"
            );
        }
        let Some((policies, active)) = report.policies else { return };
        let is_on = matches!(report.outcome, Outcome::TimedOut(_) | Outcome::WorkerFailed(_) | Outcome::Answered(503));
        let again = row.record.status == Status::Pending;
        assert!(!again || !policies.on_503 || is_on, "{:?} is not to be repeated: {row:?}", report.outcome);
        let enough = policies.auto_pause.is_some_and(|most| *failures >= most);
        if active && enough && row.record.status == Status::Failed {
            report.pauses = Some("enough failed in a row");
        }
    }

    /// What is closed or repeated because it may have been sent does not say that it was not, and was due before.
    fn assert_not_known_unsent(&self, row: &LedgerRow, now: Now, disk: &Disk) {
        let Some(before) = disk.rows.get(&row.seq) else { return };
        let is_closed = row.record.error.as_deref().is_some_and(|error| error.starts_with("not sent again"));
        let waits_for = before.record.details.as_ref().and_then(|details| details.waits_for);
        assert!(!is_closed || waits_for.is_none(), "closed, although it is known that it was not sent: {row:?}");
        let in_doubt = is_closed || row.record.recoveries > before.record.recoveries;
        let was_due = !self.judges || before.due <= now.wall;
        assert!(!in_doubt || was_due, "in doubt, although it was never due: {row:?}");
    }

    fn note_missed(&mut self, row: &LedgerRow, disk: &Disk, clients: &Clients) {
        let is_new = self.seen.insert(row.seq) && !disk.rows.contains_key(&row.seq);
        let runs = row.record.class == Class::CatchUp && row.record.status == Status::Pending;
        let Some(job) = disk.jobs.get(&row.key.job).filter(|_| is_new && runs) else { return };
        let count = self.caught_up.entry(row.key.job).or_default();
        *count += 1;
        let revisions = job.history.iter().filter_map(|stretch| stretch.revision.as_deref());
        let most = revisions
            .map(|revision| clients.policies_of(revision).catch_up.unwrap_or(u32::MAX).min(self.bounds.misfire_all_max))
            .max();
        assert!(Some(*count) <= most, "{count} runs for one gap, where there may be {most:?}: {row:?}");
    }

    fn assert_paused(&mut self, change: &Change, disk: &Disk, clients: &Clients) {
        let JobChange::Put(new) = &change.job else { return };
        let Some(old) = disk.jobs.get(&new.id.key()).map(|job| &job.revision) else { return };
        let reason = new.pause.as_deref().and_then(|pause| pause.reason.as_deref());
        let Some(why) = reason.filter(|_| old.spec.active && !new.spec.active) else { return };
        let policies = clients.policies_of(old);
        let failures = self.failures.get(&new.id.key()).copied().unwrap_or(0);
        let in_a_row = |failures: u32| match failures {
            1 => "an execution failed".to_owned(),
            many => format!("{many} executions in a row failed"),
        };
        let gone = self.report.as_ref().is_some_and(|report| report.outcome == Outcome::Answered(410));
        let is_right = if policies.pause_on_410 && gone {
            why == "the target answered 410"
        } else {
            // What is settled on the way may fail as well.
            let most = policies.auto_pause;
            most.is_some_and(|most| (most..=failures).any(|failures| why == in_a_row(failures)))
        };
        assert!(is_right, "paused, as {why}, after {failures} failures in a row: {policies:?}");
        if let Some(report) = self.report.as_mut().filter(|report| report.job == new.id.key()) {
            report.pauses = None;
        }
    }
}

/// Whoever is skipped for another one was not alone.
fn assert_skipped(row: &LedgerRow, disk: &Disk, clients: &Clients) {
    let error = row.record.error.as_deref().unwrap_or_default();
    if row.record.status != Status::Skipped || !error.starts_with("skipped: ") {
        return;
    }
    let job = row.key.job;
    let mut others = disk.pending().filter(|other| other.key.job == job && other.seq != row.seq);
    assert!(others.next().is_some(), "skipped for nobody: {row:?}");
    let revisions = disk.jobs[&job].history.iter().filter_map(|stretch| stretch.revision.as_deref());
    let mut laps = revisions.map(|revision| clients.policies_of(revision).overlap);
    assert!(laps.any(|lap| lap != Lap::Allow), "skipped by no policy: {row:?}");
}

/// Whoever waited for others begins within the lateness that its job allows.
fn assert_not_too_late(row: &LedgerRow, now: Now, disk: &Disk, clients: &Clients) {
    let waits_for = |row: &LedgerRow| row.record.details.as_ref().and_then(|details| details.waits_for);
    let Some(before) = disk.rows.get(&row.seq).filter(|row| row.key.kind == Kind::Scheduled) else { return };
    let waited = matches!(waits_for(before), Some(Wait::Overlap | Wait::ConcurrencyKey));
    let begins = row.record.status == Status::Pending && row.record.attempt == 1 && waits_for(row).is_none();
    let Some(job) = disk.jobs.get(&row.key.job).filter(|_| waited && begins) else { return };
    let revisions = job.history.iter().filter_map(|stretch| stretch.revision.as_deref());
    // A change may be on its way, or just be on disk.
    let most: Option<Vec<i64>> = revisions.map(|revision| clients.policies_of(revision).lateness_ms).collect();
    let Some(most_ms) = most.and_then(|most| most.into_iter().max()) else { return };
    let late_us = now.wall.since_us(WallUs::of(row.key.instant));
    assert!(late_us <= most_ms * 1_000, "begins {late_us} us late: {row:?}");
}
