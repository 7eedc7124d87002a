//! Owns the promises that every single output must keep, and what must be remembered to judge them.
//! It must not feed anything back.

use std::collections::{BTreeSet, HashMap};

use punctual::core::{
    AlertRecord, Attempt, Change, Class, ExecutionId, JobChange, Kind, LedgerRow, Persist, Report, Seq, Status, Wait,
};
use punctual::job::JobKey;
use punctual::time::{MonoUs, Now, WallUs};

use super::clients::Clients;
use super::coverage::Coverage;
use super::disk::Disk;
use super::policies::{Lap, Policies};

#[derive(Default)]
pub(crate) struct Watch {
    /// The number of the last attempt of each execution.
    fired: HashMap<ExecutionId, u32>,
    /// Executions of which an attempt may have been sent.
    maybe_sent: HashMap<ExecutionId, Seq>,
    /// Executions fired by the process at hand, and by those before, of each job. Some are finished.
    open_here: HashMap<JobKey, BTreeSet<(ExecutionId, Seq)>>,
    open_before: HashMap<JobKey, BTreeSet<(ExecutionId, Seq)>>,
    /// Changes the process at hand is writing: no later instant of these jobs fires before they are settled.
    changing: HashMap<JobKey, (u64, WallUs)>,
    /// When the next attempt of a row may be made at the earliest, as this process planned it.
    planned: HashMap<Seq, (u32, MonoUs)>,
    /// Rows that a change was to take back.
    withheld: BTreeSet<Seq>,
    /// When the core was told last what became of a change of a job.
    settled: HashMap<JobKey, WallUs>,
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
        self.settled.clear();
        self.planned.clear();
        for (job, open) in std::mem::take(&mut self.open_here) {
            self.open_before.entry(job).or_default().extend(open);
        }
        self.alerts.clear();
        self.time(now);
    }

    /// Whether a change of this job is being written, or the core has not heard that it is.
    pub(crate) fn is_changing(&self, job: JobKey) -> bool {
        self.changing.contains_key(&job)
    }

    pub(crate) fn process(&self) -> u64 {
        self.process
    }

    pub(crate) fn time(&mut self, now: Now) {
        self.peak_here = self.peak_here.max(Some(now.wall));
        self.peak = self.peak.max(Some(now.wall));
    }

    pub(crate) fn persist(
        &mut self,
        number: u64,
        item: &Persist,
        now: Now,
        disk: &Disk,
        clients: &Clients,
        coverage: &mut Coverage,
    ) {
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
                self.row(row, now, disk, clients, coverage);
            }
            Persist::Remove(_) => {
                assert!(self.draining, "rows are taken back by a drain; changes take them along");
                coverage.hit("drain took back");
            }
            Persist::Calendar(_) => coverage.hit("calendar written"),
            Persist::Setting(_) | Persist::Incident(_) => {}
            Persist::Release { .. } | Persist::HandOver(_) => panic!("there is no other node: {item:?}"),
            Persist::Runs(rows) => {
                assert!(!self.draining, "nothing is begun while draining");
                rows.iter().for_each(|row| self.row(row, now, disk, clients, coverage));
            }
            Persist::Change(change) => self.change(number, change, now, disk, coverage),
        }
    }

    fn row(&mut self, row: &LedgerRow, now: Now, disk: &Disk, clients: &Clients, coverage: &mut Coverage) {
        let record = &row.record;
        let (number, wait_us) = (record.attempt, u64::try_from(row.due.since_us(now.wall)).unwrap_or(0));
        let plan = self.planned.entry(row.seq).or_insert((number, now.mono));
        if plan.0 < number && record.recoveries == disk.rows.get(&row.seq).map_or(0, |row| row.record.recoveries) {
            // A retry.
            *plan = (number, now.mono.plus_us(wait_us));
        }
        coverage.hit_if(row.key.kind != Kind::Scheduled && record.recoveries > 0, "run in doubt");
        coverage.hit_if(row.key.kind == Kind::Backfill && super::runs::is_in_line(row), "backfill waits for another");
        let waits_for = record.details.as_ref().and_then(|details| details.waits_for);
        assert!(waits_for.is_none() || record.status == Status::Pending, "who is finished waits for nothing: {row:?}");
        match waits_for {
            Some(Wait::Overlap) => coverage.hit("waits for another execution"),
            Some(Wait::ConcurrencyKey) => coverage.hit("waits for its key"),
            Some(Wait::Retry) => coverage.hit("retry that is known to be unsent"),
            Some(Wait::Start) => coverage.hit("kept for the next start"),
            None => {}
        }
        let Some(policies) = disk.jobs.get(&row.key.job).map(|job| clients.policies_of(&job.revision)) else { return };
        let is_new = !disk.rows.contains_key(&row.seq) && waits_for.is_none();
        if let (true, Class::CatchUp, Status::Pending, Some(lateness_ms)) =
            (is_new, record.class, record.status, policies.lateness_ms)
        {
            let late_us = now.wall.since_us(WallUs::of(row.key.instant));
            assert!(late_us <= lateness_ms * 1_000, "caught up {late_us} us late: {row:?}");
            coverage.hit("catch-up within its lateness");
        }
        let error = record.error.as_deref().unwrap_or_default();
        if record.status == Status::Failed && error.contains("gave way") {
            coverage.hit("retries gave way");
        }
        coverage.hit_if(record.status == Status::Failed && error.contains("time for retries"), "retries took too long");
        let asked_twice = record.status == Status::Failed && error.contains("sent at most once");
        coverage.hit_if(asked_twice, "at most once in doubt");
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

    /// The core is told what became of everything up to here, and of these changes.
    pub(crate) fn acknowledged(&mut self, through: u64, rejected: &[u64], now: Now) {
        let is_settled = |number: u64| number <= through || rejected.contains(&number);
        for (job, _) in self.changing.extract_if(|_, (number, _)| is_settled(*number)) {
            self.settled.insert(job, now.wall);
        }
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
        // What has begun goes on by the monotonic clock, and what a client asked for was due when it asked; but nothing is
        // sent for an instant that this process has not seen.
        let goes_on = row.record.executed.is_some() || id.kind != Kind::Scheduled;
        let seen = if goes_on { self.peak_here.unwrap_or(now.wall) } else { now.wall };
        assert!(seen >= WallUs::of(id.instant), "fired early: {row:?} at {now:?}");
        // A retry waits by the monotonic clock, whatever the other one does.
        let planned = self.planned.get(&seq).filter(|(number, _)| *number == attempt.number);
        assert!(planned.is_none_or(|(_, at)| *at <= now.mono), "a retry is early: {row:?} at {now:?}");
        let is_behind = WallUs::of(id.instant) > now.wall;
        coverage.hit_if(is_behind, "goes on after the clock stepped back behind its instant");
        if let Some((_, accepted)) = self.changing.get(&id.job.key()) {
            assert!(
                id.instant <= accepted.floor(),
                "a new spec is being written, but the old one still fires: {row:?}"
            );
        }
        coverage.mix(clients.mix_of(attempt, disk));
        let waits_for = row.record.details.as_ref().and_then(|details| details.waits_for);
        assert_eq!(waits_for, None, "fired although its row says that it waits: {row:?}");
        clients.runs.assert_body(attempt, row);
        let policies = clients.policies_in(&attempt.post);
        self.judge_overlap(attempt, policies, now, disk, clients, coverage);
        // The job may have been another one before.
        let before = self.maybe_sent.insert(id, seq);
        if policies.at_most_once {
            assert!(before.is_none(), "at most once was sent twice: {row:?}");
            coverage.hit("sent at most once");
            coverage.hit_if(attempt.number > 1, "at most once tried again, as nothing was sent");
        }
        self.judge_retry(attempt, row, disk, clients);
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

    /// Promise: a retry that is to give way is not fired once the next instant of its job has come, unless it was due
    /// before that.
    fn judge_retry(&self, attempt: &Attempt, row: &LedgerRow, disk: &Disk, clients: &Clients) {
        let job = &disk.jobs[&row.key.job];
        let revisions = job.history.iter().filter_map(|stretch| stretch.revision.as_deref());
        let gives_way = revisions.into_iter().all(|revision| clients.policies_of(revision).until_next);
        let is_asked_for = row.key.kind != Kind::Scheduled;
        if attempt.number == 1 || row.record.recoveries > 0 || !gives_way || is_asked_for || self.clock_went_back {
            return;
        }
        // The next instant may be that of a revision of which the core has not heard that it is on disk.
        if self.is_changing(row.key.job) || clients.is_gathered(row.key.job) {
            return;
        }
        let peak = self.peak_here.expect("it has seen some time");
        let next = disk.rows.values().find(|other| {
            let (ours, theirs) = (&row.key, &other.key);
            let is_next = (theirs.job, theirs.kind, theirs.number) == (ours.job, ours.kind, ours.number)
                && theirs.instant > ours.instant;
            // One that a change withheld comes once that is known not to be written.
            let withheld = Some(theirs.job).filter(|_| self.withheld.contains(&other.seq));
            let settled = withheld.and_then(|job| self.settled.get(&job).copied());
            let came = WallUs::of(theirs.instant);
            let came = settled.map_or(came, |settled| settled.max(came));
            // Within a turn the two may come in either order.
            is_next && came.plus_us(3_000_000) <= peak && row.due > came
        });
        assert!(next.is_none(), "a retry did not give way to {next:?}: {row:?}");
    }

    /// An attempt came back of which no byte was written.
    pub(crate) fn note_unsent(&mut self, report: &Report) {
        self.maybe_sent.retain(|_, seq| *seq != report.handle.seq);
    }

    /// Promise: where executions must not overlap, none is fired while another may run: until its end is on disk.
    fn judge_overlap(
        &mut self,
        attempt: &Attempt,
        policies: Policies,
        now: Now,
        disk: &Disk,
        clients: &Clients,
        coverage: &mut Coverage,
    ) {
        let (id, job) = (attempt.id, attempt.id.job.key());
        let pending = |seq: &Seq| disk.rows.get(seq).is_some_and(|row| row.record.status == Status::Pending);
        let is_running = self.open_here.get(&job).is_some_and(|open| open.iter().any(|(other, _)| *other == id));
        for open in [&mut self.open_here, &mut self.open_before] {
            open.entry(job).or_default().retain(|(other, seq)| *other != id && pending(seq));
        }
        if policies.overlap != Lap::Allow {
            coverage.hit("fired alone");
            let here = &self.open_here[&job];
            // Those that ran together when that was allowed end in their own time.
            let was_sent = is_running || attempt.number > 1;
            let is_forced = clients.runs.may_be_forced(id.job);
            let runs_on = was_sent && (clients.ever_allowed_overlap(&disk.jobs[&job]) || is_forced);
            // One whose turn had come before may meet one that was forced.
            let is_asked_for = matches!(id.kind, Kind::Manual | Kind::Replay);
            let asked_later =
                |other: &ExecutionId| matches!(other.kind, Kind::Manual | Kind::Replay) && other.instant >= id.instant;
            let came_before = here.iter().all(|(other, _)| asked_later(other)) || attempt.class != Class::OnTime;
            let runs_on = runs_on || (is_forced && (is_asked_for || came_before));
            assert!(here.is_empty() || runs_on, "{id} is fired while {here:?} may run");
            // What is in doubt runs one after the other; nothing else comes in between. What seems to lie ahead, as the
            // clock was ahead once, is left aside, and in the second in which that ends may come behind what is due then;
            // so is what says of itself that it waits.
            // As it was asked to be written, which may not have happened yet.
            let asked = |seq: Seq| {
                disk.queue.iter().rev().find_map(|queued| match &queued.item {
                    Persist::Row(row, _) if row.seq == seq => Some(row),
                    _ => None,
                })
            };
            let waits = |seq: &Seq| {
                let row = asked(*seq).unwrap_or(&disk.rows[seq]);
                row.record.details.as_ref().is_some_and(|more| more.waits_for.is_some())
            };
            let before = self.open_before[&job].iter();
            let before = before.filter(|(other, _)| other.instant < now.wall.floor()).find(|(_, seq)| !waits(seq));
            let in_doubt = attempt.class == Class::Recovered;
            assert!(in_doubt || before.is_none() || runs_on, "{id} is fired while {before:?} is in doubt");
            coverage.hit_if(in_doubt && before.is_some(), "in doubt one after the other");
        }
        let here = self.open_here.get_mut(&job).expect("it was looked at");
        let beside = here.iter().find(|(other, _)| (id.kind, other.kind) == (Kind::Backfill, Kind::Backfill));
        assert!(beside.is_none() || id.kind != Kind::Backfill, "{id} is fired beside {beside:?} of a backfill");
        here.insert((id, attempt.handle.seq));
    }

    /// The one case nobody can tell apart: the clock went back, the process died and started again before the attempt
    /// seems due. Only where no time on disk tells that the clock is behind.
    pub(crate) fn may_look_unsent(&self, due: WallUs) -> bool {
        self.clock_went_back && self.started.expect("it is asked about a process that started") < due
    }

    /// An attempt looks unsent: that it is sent again cannot be held against the core.
    pub(crate) fn forget(&mut self, id: ExecutionId, number: u32) {
        self.fired.insert(id, number - 1);
        self.maybe_sent.remove(&id);
        for open in self.open_before.values_mut() {
            open.retain(|(other, _)| *other != id);
        }
    }

    /// Promise: a failure that is told is on disk, and is told once.
    pub(crate) fn alert(&mut self, alert: &AlertRecord, disk: &Disk) {
        assert!(disk.alerts.contains_key(&alert.seq), "an alert was told that is not on disk");
        assert_eq!(disk.rows[&alert.seq].record.status, Status::Failed, "an alert was told for what did not fail");
        assert!(self.alerts.insert(alert.seq), "an alert was told twice");
    }
}
