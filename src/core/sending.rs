//! Owns an execution's way from due to finished: queue, fire, report, retry, final outcome.
//! It must not know how a POST is made, and never waits: a retry is a deadline in the heap like any other.

use std::sync::Arc;

use super::attempt::{Answer, Attempt, Handle, Outcome, Report};
use super::details::PastAttempt;
use super::executions::{Execution, State};
use super::io::{Notice, Output, Persist};
use super::jobs::Job;
use super::receipts::Receipt;
use super::record::{AlertRecord, Class, Record, Status};
use super::scheduler::{Phase, Scheduler};
use super::targets::Lane;
use crate::limits::ERROR_LEN_MAX;
use crate::time::{Now, WallUs};

const TOO_LATE: &str = "missed: it could not be sent within the maximum lateness";
/// What closes the executions of a deleted job.
pub(super) const JOB_DELETED: &str = "job deleted";

impl Scheduler {
    /// An armed execution's instant has come.
    pub(super) fn reach_instant(&mut self, slot: u32, now: Now) {
        let (job, instant) = (self.executions[slot].job, self.executions[slot].instant());
        self.jobs.pass(job, instant);
        let late_us = now.wall.since_us(WallUs::of(instant));
        let overdue = u128::try_from(late_us).is_ok_and(|late_us| late_us > self.settings.lateness_max.as_micros());
        if overdue && self.executions[slot].was_never_sent() {
            // Nobody looked at the clock for that long. It is a missed instant like those after it, which have no
            // row yet: the misfire policy decides, and under `once` only the latest of them all runs.
            let job = &self.jobs[job];
            let is_latest = job.next().is_none_or(|next| WallUs::of(next) > now.wall) && job.armed_through() == instant;
            if !self.misfire_of(job).runs(is_latest) {
                self.skip(slot, now);
                return;
            }
            self.executions[slot].row.record.class = Class::CatchUp;
        }
        self.become_due(slot, now);
    }

    /// An execution is to be sent as soon as its row is on disk and its target has room.
    pub(super) fn become_due(&mut self, slot: u32, now: Now) {
        self.executions[slot].ready = Some(now.mono);
        self.release(slot);
    }

    /// An execution's retry is due.
    pub(super) fn end_backoff(&mut self, slot: u32, now: Now) {
        let target = self.executions[slot].sent_to();
        self.become_due(slot, now);
        // Only now: a target that nothing waits for is forgotten.
        self.targets.end_wait(target);
    }

    /// Queues a due execution, unless its row or a deletion of its job is still on the way to the disk.
    pub(super) fn release(&mut self, slot: u32) {
        let execution = &self.executions[slot];
        let job = &self.jobs[execution.job];
        if !self.is_durable(slot) || job.is_being_deleted() {
            return self.executions.hold(slot);
        }
        let (target, lane) = (job.target, lane_of(execution.row.record.class));
        let handle = self.executions.queue(slot);
        self.targets.push(target, lane, handle);
    }

    /// Sends what is queued, as far as there is room.
    pub(super) fn pump(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        while let Some((target, lane, handle)) = self.targets.next() {
            let Some(execution) = self.executions.live(handle).filter(|execution| execution.state() == State::Queued)
            else {
                self.targets.passed_over(target);
                continue;
            };
            if self.jobs[execution.job].is_being_deleted() {
                // It is closed once the deletion is on disk, or queued again if that cannot be written.
                self.executions.hold(handle.slot);
                self.targets.passed_over(target);
                continue;
            }
            let job_target = self.jobs[execution.job].target;
            if job_target != target {
                // The job changed while this waited: attempts use the spec in force when they are fired.
                self.targets.push(job_target, lane, handle);
                self.targets.passed_over(target);
                continue;
            }
            let ready = execution.ready.unwrap_or(now.mono);
            let waited_us = u128::from(now.mono.0.saturating_sub(ready.0));
            if execution.was_never_sent() && waited_us > self.settings.lateness_max.as_micros() {
                self.skip(handle.slot, now);
                continue;
            }
            self.targets.fired(target, lane);
            self.executions.fly(handle.slot, target);
            self.fire(handle);
        }
        self.release_stalled(now);
    }

    fn fire(&mut self, handle: Handle) {
        let execution = &self.executions[handle.slot];
        let row = &execution.row;
        let revision = self.jobs[execution.job].revision();
        let (job, post) = (revision.id, Arc::clone(&revision.spec.post));
        self.counts.fired += 1;
        self.counts.retried += u64::from(row.record.attempt > 1);
        let id = row.key.of(job);
        let attempt = Attempt { handle, number: row.record.attempt, id, class: row.record.class, post };
        self.output(Output::Fire(attempt));
    }

    /// A worker is done with an attempt.
    pub(super) fn report(&mut self, report: Report, now: Now) {
        let Some(execution) = self.executions.live(report.handle) else {
            self.counts.stale += 1;
            return;
        };
        if execution.state() != State::InFlight || execution.row.record.attempt != report.attempt {
            self.counts.stale += 1;
            return;
        }
        let slot = report.handle.slot;
        let execution = &mut self.executions[slot];
        let lane = lane_of(execution.row.record.class);
        let target = execution.sent_to();
        let row = &mut execution.row;
        let first = row.record.executed.is_none();
        row.record.executed.get_or_insert(report.dispatched);
        let (class, drift_us) = (row.record.class, report.dispatched.since_us(WallUs::of(row.key.instant)));
        row.record.duration_us = Some(report.duration_us);
        let answer = report.answer.map(|answer| *answer).unwrap_or_default();
        note_answer(&mut row.record, &answer);
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
            self.retry_or_fail(slot, report.dispatched, now);
        }
        self.pump(now);
    }

    fn retry_or_fail(&mut self, slot: u32, dispatched: WallUs, now: Now) {
        let execution = &self.executions[slot];
        let used = (execution.row.record.attempt - 1).saturating_sub(execution.row.record.recoveries);
        if self.jobs[execution.job].is_deleted() || used >= self.settings.retry.retries {
            self.finish(slot, Status::Failed, now);
            return;
        }
        let noise = self.settings.noise ^ (execution.row.seq.0 << 8) ^ u64::from(execution.row.record.attempt);
        let wait = self.settings.retry.wait(used + 1, noise);
        let execution = &mut self.executions[slot];
        note_past(&mut execution.row.record, dispatched);
        execution.row.record.attempt += 1;
        execution.row.due = now.wall.plus_us(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        // The one it was sent to may be forgotten: the job may have another by now.
        let target = self.jobs[execution.job].target;
        self.executions.back_off(slot, now.mono.plus(wait), target);
        self.targets.begin_wait(target);
        self.write_row(slot);
    }

    /// An execution has its final outcome.
    pub(super) fn finish(&mut self, slot: u32, status: Status, now: Now) {
        let execution = &mut self.executions[slot];
        let row = &mut execution.row;
        row.record.status = status;
        let job = &mut self.jobs[execution.job];
        job.tally.add(row);
        match status {
            Status::Success => self.counts.success += 1,
            Status::Failed => self.counts.failed += 1,
            Status::Skipped => self.counts.skipped += 1,
            Status::Pending => unreachable!("an execution does not finish as pending"),
        }
        if status == Status::Failed && !job.is_deleted() {
            execution.alert = Some(Box::new(alert_for(execution, job, now)));
        }
        self.executions.close(slot);
        self.write_row(slot);
    }

    /// Closes a due execution that was never sent.
    fn skip(&mut self, slot: u32, now: Now) {
        let row = &mut self.executions[slot].row;
        row.record.error = Some(TOO_LATE.into());
        row.record.attempt = 0;
        self.counts.missed += 1;
        self.finish(slot, Status::Skipped, now);
    }

    /// Asks for an execution's row as it is now to be written.
    pub(super) fn write_row(&mut self, slot: u32) {
        let execution = &self.executions[slot];
        let handle = self.executions.handle(slot);
        let item = Persist::Row(execution.row.clone(), execution.alert.clone());
        self.executions[slot].written_as = self.persist(item, Receipt::Row(handle));
    }

    /// A row of an execution is on disk.
    pub(super) fn row_written(&mut self, handle: Handle, now: Now) {
        let durable = self.executions.live(handle).is_some() && self.is_durable(handle.slot);
        if !durable {
            return;
        }
        let execution = &mut self.executions[handle.slot];
        match execution.state() {
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
}

/// What the last attempt had to tell takes the place of what the one before had.
fn note_answer(record: &mut Record, answer: &Answer) {
    if record.details.is_some() || answer.timings.is_some() || answer.response.is_some() {
        let details = record.details_mut();
        details.timings = answer.timings;
        details.response = answer.response.clone();
    }
}

/// The last attempt becomes one that another follows.
fn note_past(record: &mut Record, dispatched: WallUs) {
    let past = PastAttempt {
        number: record.attempt,
        dispatched,
        http_status: record.http_status,
        error: record.error.clone().unwrap_or_default(),
        duration_us: record.duration_us.unwrap_or_default(),
        timings: record.details.as_ref().and_then(|details| details.timings),
    };
    record.details_mut().note_past(past);
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
        execution: row.key.of(job.revision().id),
        api: job.spec().post.url.to_string().into(),
        schedule: job.spec().schedule.text().into(),
        error: row.record.error.clone().unwrap_or_default(),
        at: now.wall,
    }
}
