//! Owns the scheduler's state and its surface: inputs in, outputs out, one deadline.
//! It must not hold policy: arming, changes, sending and restoring each have their file beside it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::executions::{Execution, State};
use super::io::{Command, Input, Notice, Output, Persist, RequestId, Settings};
use super::receipts::{Receipt, Receipts};
use super::tally::Tally;
use super::targets::Targets;
use crate::job::{JobKey, JobSpec, Revision};
use crate::schedule::Schedule;
use crate::time::{Deadline, DeadlineHeap, Instant, MonoUs, Now, WallUs};

/// The scheduler: a pure state machine over jobs and executions.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) jobs: Slab<Job>,
    pub(super) by_key: BTreeMap<JobKey, u32>,
    pub(super) executions: Slab<Execution>,
    /// Jobs by the wall time at which their next instant is to be armed.
    pub(super) arm_heap: DeadlineHeap<WallUs>,
    /// Armed executions by their instant.
    pub(super) fire_heap: DeadlineHeap<WallUs>,
    /// Executions that wait for a retry.
    pub(super) retry_heap: DeadlineHeap<MonoUs>,
    /// Jobs whose arming waits for the disk or for the next turn, oldest first.
    pub(super) arm_queue: VecDeque<(u32, JobKey)>,
    /// When the arm queue is to be taken up again, if only the turn's budget was used up.
    pub(super) arm_resume: Option<MonoUs>,
    pub(super) targets: Targets,
    pub(super) receipts: Receipts,
    pub(super) schedules: HashSet<Arc<Schedule>>,
    pub(super) gaps: super::arming::GapMemo,
    pub(super) next_seq: u64,
    pub(super) next_job: u64,
    /// The highest instant any job may not fire again.
    pub(super) due_through: Option<Instant>,
    /// Jobs whose spec is active.
    pub(super) active_jobs: usize,
    pub(super) counts: Counts,
    outputs: VecDeque<Output>,
}

/// Where in its life the scheduler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Restoring,
    Running,
    Draining,
}

/// A job in memory.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) revision: Arc<Revision>,
    pub(super) target: u32,
    pub(super) tally: Tally,
    /// Every instant up to here is armed, settled, or not owed.
    pub(super) armed_through: Instant,
    /// Every instant up to here has been due, and never fires again.
    pub(super) due_through: Instant,
    /// The first instant after `armed_through`; None if there is none or the job is paused.
    pub(super) next: Option<Instant>,
    /// Executions that are not finished, as a list through their slots.
    pub(super) executions: Option<u32>,
    pub(super) pending: Option<Box<Pending>>,
    /// Whether the job stands in the arm queue.
    pub(super) in_arm_queue: bool,
    /// Whether instants are being passed over because the target's backlog is full.
    pub(super) overloaded: bool,
    /// The tombstone is on disk; the job stays here until its last execution has ended.
    pub(super) deleted: bool,
}

/// A change that is being written.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: RequestId,
    pub(super) change: PendingChange,
    /// Changes of the same job that came meanwhile.
    pub(super) waiting: VecDeque<Command>,
}

#[derive(Debug)]
pub(super) enum PendingChange {
    Create,
    Update { revision: Arc<Revision>, armed_through: Instant },
    Delete,
}

/// What happened so far, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows armed.
    pub armed: u64,
    /// Attempts handed to workers.
    pub fired: u64,
    /// Attempts after the first of an execution.
    pub retried: u64,
    /// Executions that ended SUCCESS.
    pub success: u64,
    /// Executions that ended FAILED.
    pub failed: u64,
    /// Rows that ended SKIPPED.
    pub skipped: u64,
    /// Missed instants, as far as they were counted.
    pub missed: u64,
    /// Executions in doubt after a crash that were sent again.
    pub recovered: u64,
    /// Executions sent for missed instants.
    pub caught_up: u64,
    /// Reports and acknowledgements nobody waited for.
    pub stale: u64,
    /// Changes refused.
    pub refused: u64,
    /// Steps of the wall clock.
    pub clock_steps: u64,
}

impl Scheduler {
    /// An empty scheduler that waits to be restored: give it the store's jobs and rows, then `RestoreDone`.
    pub fn new(settings: Settings) -> Scheduler {
        Scheduler {
            phase: Phase::Restoring,
            jobs: Slab::new(),
            by_key: BTreeMap::new(),
            executions: Slab::new(),
            arm_heap: DeadlineHeap::default(),
            fire_heap: DeadlineHeap::default(),
            retry_heap: DeadlineHeap::default(),
            arm_queue: VecDeque::new(),
            arm_resume: None,
            targets: Targets::new(settings.in_flight_max),
            receipts: Receipts::default(),
            schedules: HashSet::new(),
            gaps: super::arming::GapMemo::default(),
            next_seq: 1,
            next_job: 1,
            due_through: None,
            active_jobs: 0,
            counts: Counts::default(),
            outputs: VecDeque::new(),
            settings,
        }
    }

    /// Takes one input. Drain `poll_output` to None before the next.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        assert!(self.outputs.is_empty(), "outputs must be drained between inputs");
        match input {
            Input::RestoreJob(job) => self.restore_job(*job),
            Input::RestoreRow(row) => self.restore_row(*row),
            Input::RestoreDone(restored) => self.restore_done(restored, now),
            Input::Command(command) => self.command(*command, now),
            Input::Committed { through, rejected } => self.committed(through, &rejected, now),
            Input::Report(report) => self.report(report, now),
            Input::ClockStep(by_us) => self.clock_step(by_us, now),
            Input::Tick => self.tick(now),
            Input::Drain => self.drain(now),
        }
        if cfg!(debug_assertions) && self.executions.len() + self.jobs.len() < 64 {
            self.check();
        }
    }

    /// The next thing to do; None when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to send the next `Tick` at the latest.
    pub fn poll_timeout(&self) -> Deadline {
        if self.phase != Phase::Running {
            return Deadline::default();
        }
        let arm = self.arm_heap.peek().map(|(at, _)| at);
        let fire = self.fire_heap.peek().map(|(at, _)| at);
        let retry = self.retry_heap.peek().map(|(at, _)| at);
        Deadline {
            wall: [arm, fire].into_iter().flatten().min(),
            mono: [retry, self.arm_resume].into_iter().flatten().min(),
        }
    }

    /// Whether a drain has come to its end: nothing is in flight and everything is on disk.
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Draining && self.targets.in_flight() == 0 && self.receipts.unwritten() == 0
    }

    fn tick(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        while let Some(slot) = self.fire_heap.pop_due(now.wall) {
            self.reach_instant(slot, now);
        }
        while let Some(slot) = self.retry_heap.pop_due(now.mono) {
            self.become_due(slot, now);
        }
        self.pump(now);
        self.arm_due(now);
        assert!(!self.poll_timeout().is_reached(now), "a tick must leave nothing due behind");
    }

    fn committed(&mut self, through: u64, rejected: &[u64], now: Now) {
        let mut any = false;
        for &number in rejected {
            if let Some(job) = self.receipts.reject(number) {
                any = true;
                self.change_settled(job, false, now);
            }
        }
        while let Some(receipt) = self.receipts.take(through) {
            any = true;
            match receipt {
                Receipt::Row(handle) => self.row_written(handle, now),
                Receipt::Change(job) => self.change_settled(job, true, now),
                Receipt::Nothing => {}
            }
        }
        self.counts.stale += u64::from(!any);
        self.pump(now);
        if self.phase == Phase::Running {
            self.arm_queued(now);
        }
    }

    fn drain(&mut self, now: Now) {
        if self.phase == Phase::Draining {
            return;
        }
        // What is due already is not taken back; it is in doubt at the next start.
        while let Some(slot) = self.fire_heap.pop_due(now.wall) {
            self.reach_instant(slot, now);
        }
        self.phase = Phase::Draining;
        self.arm_heap.clear();
        self.arm_queue.clear();
        self.arm_resume = None;
        let mut armed = self.fire_heap.clear();
        // The latest first: if the process dies half-way, a row that is left must not hide a gap before it.
        armed.sort_unstable_by_key(|&slot| {
            let row = &self.executions[slot as usize].row;
            std::cmp::Reverse((row.key.instant, row.seq))
        });
        for slot in armed {
            let seq = self.executions[slot as usize].row.seq;
            self.persist(Persist::Remove(seq), Receipt::Nothing);
            self.forget(slot);
        }
    }

    fn clock_step(&mut self, by_us: i64, now: Now) {
        self.counts.clock_steps += 1;
        if by_us > 0 {
            // What the step made due nobody could have fired at its instant: it is caught up, and no drift.
            let due: Vec<u32> =
                self.fire_heap.ascending().take_while(|&(at, _)| at <= now.wall).map(|(_, slot)| slot).collect();
            for slot in due {
                self.executions[slot as usize].row.record.class = super::record::Class::CatchUp;
            }
        }
        let held_jobs = self.held_jobs(now.wall);
        self.output(Output::Notice(Notice::ClockStep { by_us, held_jobs }));
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn persist(&mut self, item: Persist, receipt: Receipt) -> u64 {
        let number = self.receipts.issue(receipt);
        self.output(Output::Persist(number, item));
        number
    }

    /// Whether the newest row of an execution is on disk.
    pub(super) fn is_durable(&self, slot: u32) -> bool {
        self.receipts.is_written(self.executions[slot as usize].written_as)
    }

    /// The slots of a job's unfinished executions, newest first.
    pub(super) fn executions_of(&self, job: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut at = self.jobs[job as usize].executions;
        while let Some(slot) = at {
            slots.push(slot);
            at = self.executions[slot as usize].next;
        }
        slots
    }

    /// Keeps an execution, as the newest of its job.
    pub(super) fn admit(&mut self, execution: Execution) -> u32 {
        let job = execution.job;
        let slot = super::slot(self.executions.insert(execution));
        let head = self.jobs[job as usize].executions.replace(slot);
        self.executions[slot as usize].next = head;
        if let Some(head) = head {
            self.executions[head as usize].prev = Some(slot);
        }
        slot
    }

    /// Lets go of an execution, and of its job if that was only waiting for it.
    pub(super) fn forget(&mut self, slot: u32) {
        let execution = self.executions.remove(slot as usize);
        match execution.prev {
            Some(prev) => self.executions[prev as usize].next = execution.next,
            None => self.jobs[execution.job as usize].executions = execution.next,
        }
        if let Some(next) = execution.next {
            self.executions[next as usize].prev = execution.prev;
        }
        let job = &self.jobs[execution.job as usize];
        if job.deleted && job.executions.is_none() {
            self.forget_job(execution.job);
        }
    }

    pub(super) fn forget_job(&mut self, slot: u32) {
        self.arm_heap.remove(slot);
        let job = self.jobs.remove(slot as usize);
        self.by_key.remove(&job.revision.id.key());
        self.targets.leave(job.target);
        self.release_schedule(job.revision);
    }

    /// Lets a spec use the copy of its schedule that equal ones use.
    pub(super) fn share_schedule(&mut self, spec: &mut JobSpec) {
        match self.schedules.get(&spec.schedule) {
            Some(shared) => spec.schedule = Arc::clone(shared),
            None => drop(self.schedules.insert(Arc::clone(&spec.schedule))),
        }
    }

    /// Lets go of a revision, and of its schedule if nobody else has it.
    pub(super) fn release_schedule(&mut self, revision: Arc<Revision>) {
        let schedule = Arc::clone(&revision.spec.schedule);
        drop(revision);
        // Two are the set and this function; an attempt in flight may hold one more, and then the set keeps it.
        if Arc::strong_count(&schedule) <= 2 {
            self.schedules.remove(&schedule);
        }
    }

    /// Checks what must be true between inputs; O(n). Run by debug builds on small states, and by the simulation.
    pub fn check(&self) {
        self.arm_heap.check();
        self.fire_heap.check();
        self.retry_heap.check();
        self.targets.check();
        let mut listed = 0;
        for (index, job) in &self.jobs {
            let key = job.revision.id.key();
            assert_eq!(self.by_key.get(&key), Some(&super::slot(index)), "a job is not found by its key");
            assert!(job.due_through <= job.armed_through, "an instant was due that was never armed or settled");
            assert!(!job.deleted || job.executions.is_some(), "a deleted job outlives its executions");
            for slot in self.executions_of(super::slot(index)) {
                assert_eq!(self.executions[slot as usize].job as usize, index);
                listed += 1;
            }
        }
        assert_eq!(self.by_key.len(), self.jobs.len());
        let active = self.jobs.iter().filter(|(_, job)| job.is_visible() && job.revision.spec.active).count();
        assert_eq!(active, self.active_jobs, "active jobs are counted wrong");
        assert_eq!(listed, self.executions.len(), "an execution is in no job's list");
        let mut in_flight = 0;
        for (index, execution) in &self.executions {
            let slot = super::slot(index);
            let armed = execution.state == State::Armed;
            let backoff = execution.state == State::Backoff;
            assert_eq!(self.fire_heap.key(slot).is_some(), armed, "the fire heap holds what is armed");
            assert_eq!(self.retry_heap.key(slot).is_some(), backoff, "the retry heap holds what backs off");
            in_flight += u32::from(execution.state == State::InFlight);
            let sendable = matches!(execution.state, State::Queued | State::InFlight);
            assert!(!sendable || self.is_durable(slot), "a row must be on disk before its POST leaves");
        }
        assert_eq!(in_flight, self.targets.in_flight());
    }
}
