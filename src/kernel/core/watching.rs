//! Owns when something is wrong with a job: too many failures in a row, no success for too long, a late execution, a pause
//! by its own policy; and that each of these is over.
//! It must not know who is told: `incidents` do.
//!
//! How executions end is judged where they end, and written with them. Two things come by time alone: that nothing
//! succeeded, and that a due execution does not begin. Both are waited for on the monotonic clock, so that a wall clock
//! that stepped back hides neither.

use std::collections::HashMap;
use std::time::Duration;

use super::executions::State;
use super::incident::{Cause, IncidentChange, Subject};
use super::incidents::{NOT_ASKED, Wrong};
use super::key::Kind;
use super::record::{LedgerRow, Status};
use super::scheduler::Scheduler;
use crate::job::{AlertPolicy, JobKey, Term};
use crate::schedule::duration_text;
use crate::time::{DeadlineHeap, MonoUs, Now, WallUs};

/// When it is tried again to say that a job has no success, where there was no room for it.
const NO_ROOM_WAIT: Duration = Duration::from_secs(60);

/// What is waited for.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// Jobs that must have a success, by when.
    quiet: DeadlineHeap<MonoUs>,
    /// How many successes each of them had when that was set.
    successes: HashMap<u32, u64>,
    /// Executions that must have begun, by when.
    late: DeadlineHeap<MonoUs>,
    /// After which job to go on looking, as a policy has changed; None: no job is to be looked at.
    reconsider: Option<Option<JobKey>>,
    /// Until when no more are looked at: there were more than fit into a turn.
    rest_until: MonoUs,
}

impl Watches {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        let heaps = [&self.quiet, &self.late].into_iter().filter_map(|heap| heap.peek()).map(|(due, _)| due);
        let due = self.reconsider.is_some().then_some(MonoUs(0)).into_iter().chain(heaps).min();
        due.map(|due| due.max(self.rest_until))
    }

    /// Whether a policy has changed, and some jobs have not been looked at since.
    pub(super) fn is_reconsidering(&self) -> bool {
        self.reconsider.is_some()
    }

    /// A job is gone.
    pub(super) fn forget_job(&mut self, slot: u32) {
        self.quiet.remove(slot);
        self.successes.remove(&slot);
    }

    /// An execution is gone, or begins.
    pub(super) fn forget_execution(&mut self, slot: u32) {
        self.late.remove(slot);
    }
}

impl Scheduler {
    /// What follows for incidents from how an execution of a job ended. To be written with its row.
    pub(super) fn weigh(&mut self, job: u32, row: &LedgerRow, now: Now) -> Vec<IncidentChange> {
        let mut changes = Vec::new();
        let status = row.record.status;
        let (incidents, watched) = (self.jobs[job].incidents, self.jobs[job].is_watched);
        if self.jobs[job].is_deleted() || (status != Status::Failed && incidents == 0 && !watched) {
            return changes;
        }
        let id = self.jobs[job].revision().id;
        let (subject, execution) = (Subject::Job(id), row.key.of(id));
        if status == Status::Success && incidents != 0 {
            for cause in [Cause::Failing, Cause::NoSuccess] {
                changes.extend(self.close(&subject, cause, "an execution succeeded", now));
            }
        }
        if status == Status::Success && watched {
            self.watch_success(job, now);
        }
        if status == Status::Failed {
            let failures = self.jobs[job].tally().failures_in_row;
            let after = self.settings().policies_of(self.jobs[job].spec()).find_map(|(_, policy)| policy.after);
            if failures >= after.unwrap_or(1) {
                let error = row.record.error.as_deref().unwrap_or_default();
                let summary = match failures {
                    1 => format!("an execution failed: {error}"),
                    many => format!("{many} executions in a row failed, the last: {error}"),
                };
                let wrong =
                    Wrong { cause: Cause::Failing, subject: subject.clone(), summary, execution: Some(execution) };
                changes.extend(self.open(wrong, now));
            }
        }
        if let Some(late_by) = self.late_by(job).filter(|_| row.key.kind == Kind::Scheduled) {
            let began = row.record.executed;
            // A row that stands for several is as late as the first of them.
            let instant = row.record.covers.map_or(row.key.instant, |covers| covers.from);
            let late_us = began.unwrap_or(now.wall).since_us(WallUs::of(instant));
            if i128::from(late_us) >= late_by.as_micros().cast_signed() {
                let late = duration_text(Duration::from_micros(late_us.max(0).unsigned_abs()));
                let summary = match began {
                    Some(_) => format!("an execution began {late} after its time"),
                    None => format!("an execution did not begin: {}", row.record.error.as_deref().unwrap_or_default()),
                };
                let wrong = Wrong { cause: Cause::Late, subject, summary, execution: Some(execution) };
                changes.extend(self.open(wrong, now));
            } else if began.is_some() && self.is_behind_the_late_one(&subject, row) {
                changes.extend(self.close(&subject, Cause::Late, "an execution began in time", now));
            }
        }
        changes
    }

    /// Whether an execution is due after the one that was late: one from before says nothing of whether that is over.
    fn is_behind_the_late_one(&self, subject: &Subject, row: &LedgerRow) -> bool {
        let late = self.open_one(subject, Cause::Late).and_then(|incident| incident.execution);
        late.is_none_or(|late| late.instant < row.key.instant)
    }

    /// What is wrong with a job by a policy that has changed may be allowed now.
    pub(super) fn end_what_is_allowed(&mut self, job: u32, now: Now) {
        if self.jobs[job].incidents == 0 {
            return;
        }
        let policy = self.settings().policy_of(self.jobs[job].spec());
        let quiet = self.quiet_for(job, now);
        let is_quiet_for_less = policy.no_success_for.and_then(Term::time).is_some_and(|most| quiet < most);
        let fails_less = self.jobs[job].tally().failures_in_row < policy.after.unwrap_or(1);
        let subject = Subject::Job(self.jobs[job].revision().id);
        for (cause, is_allowed) in [(Cause::Failing, fails_less), (Cause::NoSuccess, is_quiet_for_less)] {
            if is_allowed {
                self.close_alone(&subject, cause, "its policy allows that now", now);
            }
        }
    }

    /// A job is in force as it is now: what is waited for, and what its policy asks for no more.
    pub(super) fn watch(&mut self, job: u32, now: Now) {
        self.watches.forget_job(job);
        let policy = if self.may_watch(self.jobs[job].spec()) {
            self.settings().policy_of(self.jobs[job].spec())
        } else {
            AlertPolicy::default()
        };
        let (no_success_for, late_by) =
            (policy.no_success_for.and_then(Term::time), policy.late_by.and_then(Term::time));
        self.jobs[job].is_watched = no_success_for.is_some() || late_by.is_some();
        if let Some(most) = no_success_for {
            let quiet = self.quiet_for(job, now);
            self.set_quiet(job, most.saturating_sub(quiet), now);
        }
        if late_by.is_some() {
            for execution in self.executions.of_job(job).collect::<Vec<u32>>() {
                let state = self.executions[execution].state();
                if matches!(state, State::Held | State::Waiting | State::Queued) {
                    self.watch_start(execution, now);
                }
            }
        }
        self.end_lateness(job, now);
        if self.jobs[job].incidents != 0 {
            let subject = Subject::Job(self.jobs[job].revision().id);
            let asked = [(Cause::NoSuccess, no_success_for), (Cause::Late, late_by)];
            for (cause, _) in asked.into_iter().filter(|(_, asked)| asked.is_none()) {
                self.close_alone(&subject, cause, NOT_ASKED, now);
            }
        }
    }

    /// Nothing of a job is due any more that could begin in time: then nothing is late either.
    pub(super) fn end_lateness(&mut self, job: u32, now: Now) {
        if self.jobs[job].incidents == 0 || self.next_of(job).is_some() || self.executions.to_run(job) > 0 {
            return;
        }
        let subject = Subject::Job(self.jobs[job].revision().id);
        self.close_alone(&subject, Cause::Late, "the job is not due any more", now);
    }

    /// A job has a success: the next one is waited for anew.
    fn watch_success(&mut self, job: u32, now: Now) {
        if self.watches.quiet.key(job).is_none() {
            let most = self.no_success_for(job);
            most.into_iter().for_each(|most| self.set_quiet(job, most, now));
        }
    }

    fn set_quiet(&mut self, job: u32, wait: Duration, now: Now) {
        self.watches.quiet.set(job, now.mono.plus(wait));
        self.watches.successes.insert(job, self.jobs[job].tally().counters.success);
    }

    /// For how long a job has had no success, by the wall clock: since it was created, if it never had one.
    fn quiet_for(&self, job: u32, now: Now) -> Duration {
        let job = &self.jobs[job];
        let last = job.tally().last_success.map_or(job.revision().created_at, WallUs::of);
        Duration::from_micros(now.wall.since_us(last).max(0).unsigned_abs())
    }

    fn no_success_for(&self, job: u32) -> Option<Duration> {
        self.settings().policies_of(self.jobs[job].spec()).find_map(|(_, policy)| policy.no_success_for)?.time()
    }

    fn late_by(&self, job: u32) -> Option<Duration> {
        let job = Some(&self.jobs[job]).filter(|job| job.is_watched)?;
        self.settings().policies_of(job.spec()).find_map(|(_, policy)| policy.late_by)?.time()
    }

    /// An execution is due: if it does not begin in time, that is noticed.
    pub(super) fn watch_start(&mut self, slot: u32, now: Now) {
        let execution = &self.executions[slot];
        let (job, row) = (execution.job, &execution.row);
        let begins = row.key.kind == Kind::Scheduled && row.record.executed.is_none();
        if let Some(late_by) = self.late_by(job).filter(|_| begins) {
            let late_us = now.wall.since_us(WallUs::of(self.executions[slot].instant())).max(0).unsigned_abs();
            let wait = late_by.saturating_sub(Duration::from_micros(late_us));
            self.watches.late.set(slot, now.mono.plus(wait));
        }
    }

    /// A job's policy has paused it, or it is not so any more.
    pub(super) fn weigh_pause(&mut self, job: u32, now: Now) {
        let revision = self.jobs[job].revision();
        let (id, pause) = (revision.id, revision.pause_at(now.wall));
        let reason = pause.and_then(|pause| pause.reason.as_deref()).map(str::to_owned);
        let subject = Subject::Job(id);
        let Some(reason) = reason else {
            if self.jobs[job].incidents != 0 {
                self.close_alone(&subject, Cause::AutoPaused, "it is not paused by its policy any more", now);
            }
            return;
        };
        let mut policies = self.settings().policies_of(self.jobs[job].spec());
        let is_told = policies.find_map(|(_, policy)| policy.on_auto_pause) != Some(false);
        drop(policies);
        if is_told {
            let summary = format!("it was paused by its own policy: {reason}");
            self.open_alone(Wrong { cause: Cause::AutoPaused, subject, summary, execution: None }, now);
        } else if self.jobs[job].incidents != 0 {
            self.close_alone(&subject, Cause::AutoPaused, NOT_ASKED, now);
        }
    }

    /// A policy has changed: every job is looked at, some in each turn.
    pub(super) fn reconsider_all(&mut self, now: Now) {
        self.watches.reconsider = Some(None);
        self.reconsider_others(now);
        self.tell_untold();
    }

    /// Does what time alone brings. A bounded number of jobs in a turn.
    pub(super) fn look_around(&mut self, now: Now) {
        if now.mono < self.watches.rest_until {
            return;
        }
        let mut left = self.settings.bounds.reconsidered_per_turn;
        if let Some(after) = self.watches.reconsider.take() {
            let jobs: Vec<u32> = self.jobs.after(after).take(left).collect();
            for &job in jobs.iter().filter(|&&job| self.jobs[job].is_visible()).collect::<Vec<_>>() {
                self.watch(job, now);
                self.weigh_pause(job, now);
                self.end_what_is_allowed(job, now);
                self.reconsider_those_of(job, now);
            }
            let last = jobs.last().map(|&job| self.jobs[job].key());
            self.watches.reconsider = last.filter(|_| jobs.len() == left).map(Some);
            left -= jobs.len();
        }
        while left > 0
            && let Some(slot) = self.watches.late.pop_due(now.mono)
        {
            left -= 1;
            self.note_late(slot, now);
        }
        while left > 0
            && let Some(job) = self.watches.quiet.pop_due(now.mono)
        {
            left -= 1;
            self.note_quiet(job, now);
        }
        if self.watches.deadline().is_some_and(|due| due <= now.mono) {
            self.watches.rest_until = now.mono.plus_us(super::arming::RESUME_US);
        }
    }

    /// A due execution has not begun in time.
    fn note_late(&mut self, slot: u32, now: Now) {
        let execution = &self.executions[slot];
        let (job, state) = (execution.job, execution.state());
        // When one began that is under way is known when it ends.
        let is_waiting = matches!(state, State::Held | State::Waiting | State::Queued | State::Armed);
        let Some(late_by) = self.late_by(job).filter(|_| is_waiting) else { return };
        let id = self.jobs[job].revision().id;
        let summary = format!("an execution has not begun {} after its time", duration_text(late_by));
        let execution = Some(self.executions[slot].row.key.of(id));
        self.open_alone(Wrong { cause: Cause::Late, subject: Subject::Job(id), summary, execution }, now);
    }

    /// The time is up within which a job was to have a success.
    fn note_quiet(&mut self, job: u32, now: Now) {
        let before = self.watches.successes.remove(&job);
        let Some(most) = self.no_success_for(job) else { return };
        let (tally, revision) = (self.jobs[job].tally(), self.jobs[job].revision());
        if before != Some(tally.counters.success) {
            // There was one meanwhile.
            let wait = most.saturating_sub(self.quiet_for(job, now)).max(Duration::from_secs(1));
            return self.set_quiet(job, wait, now);
        }
        let since = match tally.last_success {
            Some(last) => format!("the last was at {last}"),
            None => format!("there was none since it was created at {}", revision.created_at),
        };
        let rests = match revision.pause_at(now.wall) {
            Some(_) => "; it is paused",
            None if self.jobs[job].is_held(now.wall) => "; a clock that stepped back holds it",
            None if self.next_of(job).is_none() => "; it is not due any more",
            None => "",
        };
        let summary = format!("no success for {}: {since}{rests}", duration_text(most));
        let subject = Subject::Job(revision.id);
        self.open_alone(Wrong { cause: Cause::NoSuccess, subject: subject.clone(), summary, execution: None }, now);
        if self.open_one(&subject, Cause::NoSuccess).is_none() {
            // Too many are open.
            self.set_quiet(job, NO_ROOM_WAIT, now);
        }
    }

    /// Of jobs that were taken over: what is waited for, and what is wrong since before.
    pub(super) fn watch_all(&mut self, jobs: &[u32], now: Now) {
        for &job in jobs {
            self.watch(job, now);
            if self.jobs[job].incidents != 0 || self.jobs[job].revision().pause.is_some() {
                self.weigh_pause(job, now);
            }
        }
    }

    /// Checks what is waited for against what there is; O(n).
    pub(super) fn check_watches(&self) {
        self.watches.quiet.check();
        self.watches.late.check();
        for (due, slot) in self.watches.quiet.ascending() {
            assert!(self.jobs[slot].is_watched, "nobody asks for this job by {due:?}");
            assert!(self.watches.successes.contains_key(&slot));
        }
        for (_, slot) in self.watches.late.ascending() {
            let execution = &self.executions[slot];
            assert!(execution.row.record.executed.is_none(), "what has begun is waited for");
        }
    }
}
