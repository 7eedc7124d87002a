//! Owns the scheduler's state and its surface: inputs in, outputs out, one deadline.
//! It must not hold policy: arming, changes, sending and restoring each have their file beside it.

use std::collections::VecDeque;
use std::hint::black_box;

use super::admission::Line;
use super::alerting::Alerting;
use super::arming::{GapMemo, PassedOver};
use super::calendars::CalendarTable;
use super::counts::Counts;
use super::details::Wait;
use super::executions::{Execution, Executions, State};
use super::gathering::Gathering;
use super::incidents::Incidents;
use super::io::{CalendarChange, Defaults, Input, Notice, Output, Persist, Refusal, Settings};
use super::jobs::Jobs;
use super::keys::Keys;
use super::ownership::Ownership;
use super::receipts::{Receipt, Receipts};
use super::record::Class;
use super::restore::Adoption;
use super::runs::Runs;
use super::targets::Targets;
use super::watching::Watches;
use crate::job::{Delivery, JobSpec};
use crate::limits::{ARM_LEAD_US, CLUSTER_LEAD_US};
use crate::time::{Deadline, MonoUs, Now, WallUs};

/// The scheduler: a pure state machine over jobs and executions.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) jobs: Jobs,
    pub(super) executions: Executions,
    /// Whether what is due just now is sent as it is taken up; None: nothing is left of that.
    pub(super) in_pieces: Option<bool>,
    /// When the arm queue is to be taken up again, if only the turn's budget was used up.
    pub(super) arm_resume: Option<MonoUs>,
    pub(super) targets: Targets,
    pub(super) keys: Keys,
    pub(super) calendars: CalendarTable,
    pub(super) alerting: Alerting,
    pub(super) incidents: Incidents,
    pub(super) watches: Watches,
    pub(super) runs: Runs,
    /// Whether it is to be said what the command at hand will be answered.
    pub(super) plans: bool,
    pub(super) gathering: Gathering,
    pub(super) receipts: Receipts,
    pub(super) gaps: GapMemo,
    pub(super) line: Line,
    pub(super) adoption: Adoption,
    pub(super) ownership: Ownership,
    pub(super) passed_over: PassedOver,
    pub(super) next_seq: u64,
    pub(super) counts: Counts,
    pub(super) outputs: VecDeque<Output>,
}

/// Where in its life the scheduler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Restoring,
    Running,
    Draining,
}

impl Scheduler {
    /// An empty scheduler that owns nothing: give it jobs and rows as the store has them, then `Acquired`.
    pub fn new(settings: Settings) -> Scheduler {
        settings.bounds.assert_sound();
        let lead_us = settings.lead_us;
        assert!((ARM_LEAD_US..=CLUSTER_LEAD_US).contains(&lead_us), "a lead of {lead_us} us is not tried");
        assert!(settings.skew_us.is_none_or(|skew_us| (0..lead_us / 2).contains(&skew_us)), "what is armed lies ahead");
        Scheduler {
            phase: Phase::Restoring,
            jobs: Jobs::default(),
            executions: Executions::default(),
            in_pieces: None,
            arm_resume: None,
            targets: Targets::new(settings.in_flight_max, settings.bounds),
            keys: Keys::default(),
            calendars: CalendarTable::default(),
            alerting: Alerting::default(),
            incidents: Incidents::default(),
            watches: Watches::default(),
            runs: Runs::default(),
            plans: false,
            gathering: Gathering::default(),
            receipts: Receipts::default(),
            gaps: GapMemo::default(),
            line: Line::default(),
            adoption: Adoption::default(),
            ownership: Ownership::default(),
            passed_over: PassedOver::default(),
            next_seq: 1,
            counts: Counts::default(),
            outputs: VecDeque::new(),
            settings,
        }
    }

    /// Takes one input. Drain `poll_output` to None before the next.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        assert!(self.outputs.is_empty(), "outputs must be drained between inputs");
        self.ownership.note_time(now.mono);
        match input {
            Input::RestoreJob(job) => self.adopt_job(*job),
            Input::RestoreRow(row, known) => self.adopt_row(*row, known),
            Input::RestoreCalendar(CalendarChange { name, dates }) => self.find_calendar(&name, dates, now),
            Input::RestoreSetting(setting) => self.find_setting(setting, now),
            Input::RestoreIncident(incident) => self.adoption.incidents.push(*incident),
            Input::Acquired(restored) => self.acquire(restored, now),
            Input::Lease(until) => {
                self.ownership.trust(until, now.mono);
                self.pump(now);
            }
            Input::Release { shards, to } => self.release_shards(shards, to, now),
            Input::Lost => self.lose(),
            Input::Command(command) => self.command(*command, now),
            Input::Gather(command) => self.gather(*command, now),
            Input::WriteGathered(request) => self.write_gathered(request),
            Input::Committed { through, rejected } => self.committed(through, &rejected, now),
            Input::Report(report) => self.report(report, now),
            Input::ClockStep(by_us) => self.clock_step(by_us, now),
            Input::Trouble(trouble) => self.trouble(trouble, now),
            Input::Defaults(Defaults { retry, misfire, lateness_max }) => {
                self.settings = Settings { retry, misfire, lateness_max, ..self.settings };
            }
            Input::Tick => self.tick(now),
            Input::Drain => self.drain(now),
        }
        self.forget_gone_targets(now);
        if cfg!(debug_assertions) && self.executions.len() + self.jobs.len() < 64 {
            self.check();
        }
    }

    /// The next thing to do; None when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to send the next `Tick` at the latest. If much is due, one that is over already has left some of it.
    pub fn poll_timeout(&self) -> Deadline {
        if self.phase != Phase::Running {
            return Deadline::default();
        }
        let arming = self.jobs.next_arming().map(|second| WallUs::of(second).plus_us(-self.settings.lead_us));
        let wall = [arming, self.executions.next_instant(), self.next_silence_end()];
        let mono = [
            self.executions.next_retry(),
            // Nobody begins while nothing may be sent, and then there is a new lease before anything else.
            self.keys.deadline().filter(|_| !self.ownership.has_lapsed()),
            self.arm_resume,
            self.runs.next_impatient(),
            self.incidents.deadline(),
            self.watches.deadline(),
        ];
        Deadline { wall: wall.into_iter().flatten().min(), mono: mono.into_iter().flatten().min() }
    }

    /// Whether a drain has come to its end: nothing is in flight and everything is on disk.
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Draining && self.targets.in_flight() == 0 && self.receipts.unwritten() == 0
    }

    fn tick(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        // A target that is silent holds something. While one may be, all that is due is known before any of it is sent, so that
        // others go first.
        let in_pieces = self.targets.in_flight() == 0 && self.targets.failing() == 0;
        let in_pieces = *self.in_pieces.get_or_insert(in_pieces);
        let mut jobs = Vec::new();
        for _ in 0..self.settings.bounds.due_per_tick {
            let Some(slot) = self.executions.pop_reached(now.wall) else { break };
            jobs.push(self.executions[slot].job);
            self.reach_instant(slot, now);
        }
        // What they are to send is in no cache. Looked at one right behind the other, it comes from memory at once.
        black_box(jobs.iter().map(|&job| self.jobs[job].revision().number).fold(0, u32::wrapping_add));
        if self.executions.next_instant().is_some_and(|at| at <= now.wall) {
            // The others are due as well. Workers send these meanwhile.
            if in_pieces {
                self.pump(now);
            }
            return;
        }
        self.in_pieces = None;
        while let Some(slot) = self.executions.pop_retry(now.mono) {
            self.end_backoff(slot, now);
        }
        self.pump(now);
        self.arm_due(now);
        self.tell_impatient(now);
        self.tell_overload(now);
        self.look_around(now);
        self.remind(now);
        assert!(!self.poll_timeout().is_reached(now), "a tick must leave nothing due behind");
    }

    fn committed(&mut self, through: u64, rejected: &[u64], now: Now) {
        let mut any = false;
        for &number in rejected {
            match self.receipts.reject(number) {
                Some(Receipt::Change(job) | Receipt::Gathered(job)) => self.change_settled(job, false, now),
                Some(Receipt::Calendar(id)) => self.calendar_settled(id, false, now),
                Some(Receipt::Setting(id)) => self.setting_settled(id, false, now),
                Some(Receipt::Runs(id)) => self.runs_settled(id, false, now),
                Some(Receipt::Row(_) | Receipt::Incident | Receipt::Nothing) | None => continue,
            }
            any = true;
        }
        while let Some(receipt) = self.receipts.take(through) {
            any = true;
            match receipt {
                Receipt::Row(handle) => self.row_written(handle, now),
                Receipt::Change(job) | Receipt::Gathered(job) => self.change_settled(job, true, now),
                Receipt::Calendar(id) => self.calendar_settled(id, true, now),
                Receipt::Setting(id) => self.setting_settled(id, true, now),
                Receipt::Incident => self.incident_written(),
                Receipt::Runs(id) => self.runs_settled(id, true, now),
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
        self.give_up_gathered(Refusal::Draining, now);
        // What is due already is not taken back; it is in doubt at the next start.
        while let Some(slot) = self.executions.pop_reached(now.wall) {
            self.reach_instant(slot, now);
        }
        self.phase = Phase::Draining;
        self.tell_all_waiting();
        self.jobs.stop_arming();
        self.arm_resume = None;
        // What may have been sent stays; it is in doubt again.
        let armed = self.executions.by_instant().map(|(_, slot)| slot);
        let mut armed: Vec<u32> = armed.filter(|&slot| self.may_be_taken_back(slot)).collect();
        // The latest first: if the process dies half-way, a row that is left must not hide a gap before it.
        armed.sort_unstable_by_key(|&slot| {
            let row = &self.executions[slot].row;
            std::cmp::Reverse((row.key.instant, row.seq))
        });
        for slot in armed {
            self.take_back(slot);
        }
        self.keep_for_start();
    }

    /// Whether a row may go, so that its instant is owed again: neither was it due before, whatever the clock did since, nor a
    /// later one, whose row would tell a start that all before it is settled.
    pub(super) fn may_be_taken_back(&self, slot: u32) -> bool {
        let Execution { job, row, .. } = &self.executions[slot];
        let is_passed = self.is_of_its_era(*job, &row.key) && row.key.instant <= self.jobs[*job].due_through();
        self.executions[slot].may_be_taken_back() && !is_passed
    }

    /// What is to be sent at most once and was not sent says so in its row: at the next start it would be in doubt.
    pub(super) fn keep_for_start(&mut self) {
        let unsent = self.executions.iter().filter(|(_, execution)| {
            let at_most_once = self.jobs[execution.job].spec().post.delivery == Delivery::AtMostOnce;
            // What is armed and was not taken back was due before the clock stepped back.
            let is_unsent = matches!(execution.state(), State::Held | State::Queued | State::Armed);
            at_most_once && is_unsent && execution.waits_for().is_none()
        });
        let mut unsent: Vec<u32> = unsent.map(|(slot, _)| slot).collect();
        unsent.sort_unstable_by_key(|&slot| self.executions[slot].row.seq);
        for slot in unsent {
            self.give_key_back(slot);
            self.executions.hold(slot);
            self.note_wait(slot, Some(Wait::Start));
            self.write_row(slot);
        }
    }

    fn clock_step(&mut self, by_us: i64, now: Now) {
        self.counts.clock_steps += 1;
        if by_us > 0 {
            // What the step made due nobody could have fired at its instant: it is caught up, and no drift.
            let due = self.executions.by_instant().take_while(|&(at, _)| at <= now.wall);
            for slot in due.map(|(_, slot)| slot).collect::<Vec<u32>>() {
                if self.executions[slot].was_never_sent() {
                    self.executions[slot].row.record.class = Class::CatchUp;
                }
            }
        }
        let held_jobs = self.jobs.held(now.wall);
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
        self.receipts.is_written(self.executions[slot].written_as)
    }

    /// An unfired row is taken back.
    pub(super) fn take_back(&mut self, slot: u32) {
        self.persist(Persist::Remove(self.executions[slot].row.seq), Receipt::Nothing);
        self.forget(slot);
    }

    /// Lets go of an execution, and of its job if that was only waiting for it.
    pub(super) fn forget(&mut self, slot: u32) {
        let job = self.executions.forget(slot).job;
        self.watches.forget_execution(slot);
        self.forget_job_if_over(job);
    }

    /// Lets go of a job that is deleted, or another node's, once its last execution has ended and its change is settled.
    pub(super) fn forget_job_if_over(&mut self, slot: u32) {
        let job = &self.jobs[slot];
        let is_over = job.is_deleted() || (job.is_given_away() && job.pending.is_none());
        if is_over && self.executions.of_job(slot).next().is_none() {
            self.forget_job(slot);
        }
    }

    pub(super) fn forget_job(&mut self, slot: u32) {
        self.leave_key(slot);
        self.watches.forget_job(slot);
        let target = self.jobs.remove(slot);
        self.targets.leave(target);
    }

    /// A job names its key no more: it goes, or another revision of it comes.
    pub(super) fn leave_key(&mut self, slot: u32) {
        if let (Some(key), Some(named)) = (self.jobs[slot].concurrency_key(), self.jobs[slot].spec().concurrency_key())
        {
            self.keys.leave(key, named);
        }
        self.jobs[slot].set_concurrency_key(None);
    }

    /// The concurrency key of a spec that is to be a job's.
    pub(super) fn join_key(&mut self, spec: &JobSpec) -> Option<u32> {
        spec.concurrency_key().map(|key| self.keys.join(key))
    }

    /// Checks what must be true between inputs; O(n). Run by debug builds on small states, and by the simulation.
    pub fn check(&self) {
        self.jobs.check();
        self.targets.check();
        let (in_flight, holders) = self.executions.check(self.jobs.all());
        self.keys.check(holders);
        assert_eq!(in_flight, self.targets.in_flight());
        self.check_incidents();
        self.check_watches();
        for slot in self.jobs.all() {
            let job = &self.jobs[slot];
            let waits = self.executions.of_job(slot).next().is_some() || job.pending.is_some();
            assert!(waits || !(job.is_deleted() || job.is_given_away()), "a job outlives its executions");
            let is_here = job.is_at_work() && !job.is_deleted() && !job.is_given_away();
            assert!(!is_here || self.owns(job.shard()), "a job is here that is another node's");
        }
        for (slot, execution) in self.executions.iter() {
            let sendable = matches!(execution.state(), State::Queued | State::InFlight);
            assert!(!sendable || self.is_durable(slot), "a row must be on disk before its POST leaves");
        }
    }
}
