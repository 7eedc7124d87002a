//! Owns an execution's way from due to finished: queue, fire, report, retry, final outcome.
//! It must not know how a POST is made, and never waits: a retry is a deadline in the heap like any other.

use std::sync::Arc;

use super::attempt::{Attempt, Handle, Outcome, Report};
use super::executions::{Execution, State};
use super::io::{Notice, Output, Persist};
use super::receipts::Receipt;
use super::record::{AlertRecord, Class, Status};
use super::scheduler::{Job, PendingChange, Phase, Scheduler};
use super::targets::Lane;
use crate::limits::ERROR_LEN_MAX;
use crate::time::{Now, WallUs};

const TOO_LATE: &str = "missed: it could not be sent within the maximum lateness";
/// What closes the executions of a deleted job.
pub(super) const JOB_DELETED: &str = "job deleted";

impl Scheduler {
    /// An armed execution's instant has come.
    pub(super) fn reach_instant(&mut self, slot: u32, now: Now) {
        let (job, instant) = {
            let execution = &self.executions[slot as usize];
            (execution.job, execution.row.key.instant)
        };
        self.pass(job, instant);
        let late_us = now.wall.since_us(WallUs::of(instant));
        if u128::try_from(late_us).is_ok_and(|late_us| late_us > self.settings.lateness_max.as_micros()) {
            // Nobody looked at the clock for that long. It is a missed instant like those after it, which have no
            // row yet: the misfire policy decides, and under `once` only the latest of them all runs.
            let job = &self.jobs[job as usize];
            let is_latest = job.next.is_none_or(|next| WallUs::of(next) > now.wall) && job.armed_through == instant;
            if !self.misfire_of(job).runs(is_latest) {
                self.skip(slot, now);
                return;
            }
            self.executions[slot as usize].row.record.class = Class::CatchUp;
        }
        self.become_due(slot, now);
    }

    /// An execution is to be sent as soon as its row is on disk and its target has room.
    pub(super) fn become_due(&mut self, slot: u32, now: Now) {
        self.executions[slot as usize].ready = Some(now.mono);
        self.release(slot);
    }

    /// Queues a due execution, unless its row or a deletion of its job is still on the way to the disk.
    pub(super) fn release(&mut self, slot: u32) {
        let durable = self.is_durable(slot);
        let execution = &mut self.executions[slot as usize];
        let job = &self.jobs[execution.job as usize];
        if !durable || job.is_being_deleted() {
            execution.state = State::Held;
            return;
        }
        execution.state = State::Queued;
        let handle = Handle { slot, seq: execution.row.seq };
        self.targets.push(job.target, lane_of(execution.row.record.class), handle);
    }

    /// Sends what is queued, as far as there is room.
    pub(super) fn pump(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        while let Some((target, lane, handle)) = self.targets.next() {
            let Some(execution) = self.live(handle).filter(|execution| execution.state == State::Queued) else {
                self.targets.passed_over(target);
                continue;
            };
            if self.jobs[execution.job as usize].is_being_deleted() {
                // It is closed once the deletion is on disk, or queued again if that cannot be written.
                self.executions[handle.slot as usize].state = State::Held;
                self.targets.passed_over(target);
                continue;
            }
            let job_target = self.jobs[execution.job as usize].target;
            if job_target != target {
                // The job changed while this waited: attempts use the spec in force when they are fired.
                self.targets.push(job_target, lane, handle);
                self.targets.passed_over(target);
                continue;
            }
            let ready = execution.ready.unwrap_or(now.mono);
            let waited_us = u128::from(now.mono.0.saturating_sub(ready.0));
            let never_sent = execution.row.record.attempt == 1 && execution.row.record.recoveries == 0;
            if never_sent && waited_us > self.settings.lateness_max.as_micros() {
                self.skip(handle.slot, now);
                continue;
            }
            self.targets.fired(target, lane);
            self.executions[handle.slot as usize].sent_to = target;
            self.fire(handle);
        }
    }

    fn fire(&mut self, handle: Handle) {
        let execution = &mut self.executions[handle.slot as usize];
        execution.state = State::InFlight;
        let row = &execution.row;
        let revision = &self.jobs[execution.job as usize].revision;
        let (job, post) = (revision.id, Arc::clone(&revision.spec.post));
        self.counts.fired += 1;
        self.counts.retried += u64::from(row.record.attempt > 1);
        let id = row.key.of(job);
        let attempt = Attempt { handle, number: row.record.attempt, id, class: row.record.class, post };
        self.output(Output::Fire(attempt));
    }

    /// A worker is done with an attempt.
    pub(super) fn report(&mut self, report: Report, now: Now) {
        let Some(execution) = self.live(report.handle) else {
            self.counts.stale += 1;
            return;
        };
        if execution.state != State::InFlight || execution.row.record.attempt != report.attempt {
            self.counts.stale += 1;
            return;
        }
        let slot = report.handle.slot;
        let execution = &mut self.executions[slot as usize];
        let lane = lane_of(execution.row.record.class);
        let target = execution.sent_to;
        let row = &mut execution.row;
        let first = row.record.executed.is_none();
        row.record.executed.get_or_insert(report.dispatched);
        let (class, drift_us) = (row.record.class, report.dispatched.since_us(WallUs::of(row.key.instant)));
        row.record.duration_us = Some(report.duration_us);
        let (http_status, error, reached) = judge(report.outcome);
        row.record.http_status = http_status;
        row.record.error = error;
        let succeeded = row.record.error.is_none();
        if first {
            self.output(Output::Dispatched(class, drift_us));
        }
        if let Some((name, failing)) = self.targets.finished(target, lane, reached) {
            self.output(Output::Notice(Notice::Target { name, failing }));
        }
        if succeeded {
            self.finish(slot, Status::Success, now);
        } else {
            self.retry_or_fail(slot, now);
        }
        self.pump(now);
    }

    fn retry_or_fail(&mut self, slot: u32, now: Now) {
        let execution = &self.executions[slot as usize];
        let used = (execution.row.record.attempt - 1).saturating_sub(execution.row.record.recoveries);
        if self.jobs[execution.job as usize].deleted || used >= self.settings.retry.retries {
            self.finish(slot, Status::Failed, now);
            return;
        }
        let noise = self.settings.noise ^ (execution.row.seq.0 << 8) ^ u64::from(execution.row.record.attempt);
        let wait = self.settings.retry.wait(used + 1, noise);
        let execution = &mut self.executions[slot as usize];
        execution.row.record.attempt += 1;
        execution.row.due = now.wall.plus_us(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        execution.state = State::Backoff;
        self.retry_heap.set(slot, now.mono.plus(wait));
        self.write_row(slot);
    }

    /// An execution has its final outcome.
    pub(super) fn finish(&mut self, slot: u32, status: Status, now: Now) {
        let execution = &mut self.executions[slot as usize];
        let row = &mut execution.row;
        row.record.status = status;
        let job = &mut self.jobs[execution.job as usize];
        job.tally.add(row);
        match status {
            Status::Success => self.counts.success += 1,
            Status::Failed => self.counts.failed += 1,
            Status::Skipped => self.counts.skipped += 1,
            Status::Pending => unreachable!("an execution does not finish as pending"),
        }
        if status == Status::Failed && !job.deleted {
            execution.alert = Some(Box::new(alert_for(execution, job, now)));
        }
        execution.state = State::Closing;
        self.write_row(slot);
    }

    /// Closes a due execution that was never sent.
    fn skip(&mut self, slot: u32, now: Now) {
        let row = &mut self.executions[slot as usize].row;
        row.record.error = Some(TOO_LATE.into());
        row.record.attempt = 0;
        self.counts.missed += 1;
        self.finish(slot, Status::Skipped, now);
    }

    /// Asks for an execution's row as it is now to be written.
    pub(super) fn write_row(&mut self, slot: u32) {
        let execution = &self.executions[slot as usize];
        let handle = Handle { slot, seq: execution.row.seq };
        let item = Persist::Row(execution.row.clone(), execution.alert.clone());
        self.executions[slot as usize].written_as = self.persist(item, Receipt::Row(handle));
    }

    /// A row of an execution is on disk.
    pub(super) fn row_written(&mut self, handle: Handle, now: Now) {
        let durable = self.live(handle).is_some() && self.is_durable(handle.slot);
        if !durable {
            return;
        }
        let execution = &mut self.executions[handle.slot as usize];
        match execution.state {
            State::Closing => {
                if let Some(alert) = execution.alert.take() {
                    self.output(Output::Alert(alert));
                }
                self.forget(handle.slot);
            }
            State::Held => {
                execution.ready.get_or_insert(now.mono);
                self.release(handle.slot);
            }
            State::Proposed | State::Armed | State::Withheld | State::Queued | State::InFlight | State::Backoff => {}
        }
    }

    /// The execution a handle names, if it still lives.
    fn live(&self, handle: Handle) -> Option<&Execution> {
        self.executions.get(handle.slot as usize).filter(|execution| execution.row.seq == handle.seq)
    }
}

impl Job {
    /// Whether a deletion of this job is being written.
    pub(super) fn is_being_deleted(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| matches!(pending.change, PendingChange::Delete))
    }
}

/// The lane an execution is sent in.
fn lane_of(class: Class) -> Lane {
    match class {
        Class::OnTime | Class::Manual => Lane::Due,
        Class::Recovered | Class::CatchUp => Lane::Recovery,
    }
}

/// What an outcome means: the status to record, the error if it failed, and whether the target was reached.
fn judge(outcome: Outcome) -> (Option<u16>, Option<Box<str>>, Option<bool>) {
    match outcome {
        Outcome::Answered(status) if (200..300).contains(&status) => (Some(status), None, Some(true)),
        Outcome::Answered(status) => (Some(status), Some(format!("the target answered {status}").into()), Some(true)),
        Outcome::TimedOut(why) | Outcome::ConnectionFailed(why) => (None, Some(bounded(why)), Some(false)),
        Outcome::WorkerFailed(why) => (None, Some(bounded(why)), None),
    }
}

fn bounded(mut text: String) -> Box<str> {
    let mut end = ERROR_LEN_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.into()
}

fn alert_for(execution: &Execution, job: &Job, now: Now) -> AlertRecord {
    let row = &execution.row;
    AlertRecord {
        seq: row.seq,
        execution: row.key.of(job.revision.id),
        api: job.revision.spec.post.url.to_string().into(),
        schedule: job.revision.spec.schedule.text().into(),
        error: row.record.error.clone().unwrap_or_default(),
        at: now.wall,
    }
}
