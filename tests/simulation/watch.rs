//! Owns the promises that every single output must keep, and what must be remembered to judge them.
//! It must not feed anything back.

use std::collections::{BTreeSet, HashMap};

use punctual::core::{AlertRecord, Attempt, Change, Class, ExecutionId, JobChange, Kind, Persist, Seq, Status};
use punctual::job::JobKey;
use punctual::limits::ARM_LEAD_US;
use punctual::time::{Now, WallUs};

use super::clients::Clients;
use super::coverage::Coverage;
use super::disk::Disk;

#[derive(Default)]
pub(crate) struct Watch {
    /// The number of the last attempt of each execution.
    fired: HashMap<ExecutionId, u32>,
    /// Changes the process at hand is writing: no later instant of these jobs fires before they are settled.
    changing: HashMap<JobKey, (u64, WallUs)>,
    /// Rows that a change was to take back.
    withheld: BTreeSet<Seq>,
    /// Alerts that the process at hand has told.
    alerts: BTreeSet<Seq>,
    /// Which process it is, counted from 1.
    process: u64,
    started: Option<WallUs>,
    /// The highest wall time this process has seen, and any process.
    peak_here: Option<WallUs>,
    pub(crate) peak: Option<WallUs>,
    pub(crate) draining: bool,
    /// Whether the wall clock ever lost time against the monotonic one.
    pub(crate) clock_went_back: bool,
}

impl Watch {
    pub(crate) fn start(&mut self, now: Now) {
        self.process += 1;
        self.started = Some(now.wall);
        self.peak_here = None;
        self.draining = false;
        self.changing.clear();
        self.alerts.clear();
        self.time(now);
    }

    pub(crate) fn process(&self) -> u64 {
        self.process
    }

    pub(crate) fn time(&mut self, now: Now) {
        self.peak_here = self.peak_here.max(Some(now.wall));
        self.peak = self.peak.max(Some(now.wall));
    }

    pub(crate) fn persist(&mut self, number: u64, item: &Persist, now: Now, disk: &Disk, coverage: &mut Coverage) {
        match item {
            Persist::Row(row, _) => {
                coverage.hit_if(
                    row.record.status == Status::Pending && row.record.attempt > 1 && row.record.recoveries == 0,
                    "retry",
                );
                coverage.hit_if(
                    row.record.class == Class::CatchUp && row.record.status == Status::Success,
                    "catch-up sent",
                );
                assert_eq!(row.key.kind, Kind::Scheduled, "nobody asked for other kinds");
            }
            Persist::Remove(_) => {
                assert!(self.draining, "rows are taken back by a drain; changes take them along");
                coverage.hit("drain took back");
            }
            Persist::Change(change) => self.change(number, change, now, disk, coverage),
        }
    }

    fn change(&mut self, number: u64, change: &Change, now: Now, disk: &Disk, coverage: &mut Coverage) {
        let key = match &change.job {
            JobChange::Put(revision) => {
                coverage.hit_if(revision.number > 1 && !change.remove.is_empty(), "update withheld rows");
                revision.id.key()
            }
            JobChange::Delete(key, _) => {
                let due = disk.pending().any(|row| row.key.job == *key && WallUs::of(row.key.instant) <= now.wall);
                coverage.hit_if(due, "deleted while due");
                *key
            }
        };
        self.withheld.extend(&change.remove);
        let other = self.changing.insert(key, (number, now.wall.max(self.peak.unwrap_or(now.wall))));
        assert!(other.is_none(), "changes of one job wait for each other");
    }

    /// The core has been told what became of everything up to here, and of these changes.
    pub(crate) fn acknowledged(&mut self, through: u64, rejected: &[u64]) {
        self.changing.retain(|_, (number, _)| *number > through && !rejected.contains(number));
    }

    /// Promise: written before it leaves, never early, never twice.
    pub(crate) fn fire(
        &mut self,
        attempt: &Attempt,
        now: Now,
        disk: &Disk,
        clients: &Clients,
        coverage: &mut Coverage,
    ) {
        assert!(!self.draining, "fired while draining");
        let (id, seq) = (attempt.id, attempt.handle.seq);
        let row = disk.rows.get(&seq).unwrap_or_else(|| panic!("fired before its row was on disk: {id}"));
        assert_eq!(
            (row.key.job, row.key.instant, row.key.kind, row.key.number),
            (id.job.key(), id.instant, id.kind, id.number)
        );
        assert_eq!(row.record.status, Status::Pending, "fired although it is finished: {row:?}");
        assert_eq!(row.record.attempt, attempt.number, "fired under an attempt number that is not on disk: {row:?}");
        let was_due = self.peak_here.is_some_and(|peak| peak >= WallUs::of(id.instant));
        assert!(was_due, "fired early: {row:?} at {now:?}");
        if let Some((_, accepted)) = self.changing.get(&id.job.key()) {
            assert!(
                id.instant <= accepted.floor(),
                "a new spec is being written, but the old one still fires: {row:?}"
            );
        }
        coverage.hit_if(self.withheld.contains(&seq), "withheld fired late");
        clients.assert_may_fire(id.job, &attempt.post, disk);
        if let Some(before) = self.fired.get(&id) {
            assert!(*before < attempt.number, "attempt {} was fired before: {row:?}", attempt.number);
        } else {
            let fresh = attempt.number == 1 || attempt.class == Class::Recovered;
            assert!(fresh, "a first attempt that is not numbered 1: {row:?}");
        }
        self.fired.insert(id, attempt.number);
    }

    /// The one case nobody can tell apart: the clock went back, the process died and started again before the
    /// attempt seems due. A first attempt can be told apart if the clock went back by more than the lead.
    pub(crate) fn may_look_unsent(&self, number: u32, due: WallUs) -> bool {
        let started = self.started.expect("it is asked about a process that started");
        let within_lead = number > 1 || due.plus_us(-ARM_LEAD_US) <= started;
        self.clock_went_back && started < due && within_lead
    }

    /// An attempt looks unsent: that it is sent again cannot be held against the core.
    pub(crate) fn forget(&mut self, id: ExecutionId, number: u32) {
        self.fired.insert(id, number - 1);
    }

    /// Promise: a failure that is told is on disk, and is told once.
    pub(crate) fn alert(&mut self, alert: &AlertRecord, disk: &Disk) {
        assert!(disk.alerts.contains_key(&alert.seq), "an alert was told that is not on disk");
        assert_eq!(disk.rows[&alert.seq].record.status, Status::Failed, "an alert was told for what did not fail");
        assert!(self.alerts.insert(alert.seq), "an alert was told twice");
    }
}
