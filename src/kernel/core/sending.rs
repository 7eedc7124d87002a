//! Owns an execution's way from due to finished: queue, fire, report, retry, final outcome.
//! It must not know how a POST is made, and never waits: a retry is a deadline in the heap like any other.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Answer, Attempt, Handle, Outcome, Report};
use super::details::{PastAttempt, Wait};
use super::executions::{Execution, State};
use super::incident::RowNews;
use super::io::{Notice, Output, Persist};
use super::jobs::Job;
use super::receipts::Receipt;
use super::record::{AlertRecord, Class, Record, Status};
use super::scheduler::{Phase, Scheduler};
use super::targets::Lane;
use crate::job::{Delivery, Failure, Overlap, Post, SharedPost};
use crate::mix::mix;
use crate::time::{Now, WallUs};

pub(super) const TOO_LATE: &str = "missed: it could not be sent within the maximum lateness";
const GAVE_WAY: &str = "retries gave way to the next execution";
const TOO_LONG: &str = "the time for retries was over";
/// What closes executions that are to be sent at most once.
pub(super) const NOT_AGAIN: &str = "not sent again: it may have been sent before, and is to be sent at most once";
/// What closes the executions of a deleted job.
pub(super) const JOB_DELETED: &str = "job deleted";

impl Scheduler {
    /// An armed execution's instant has come.
    pub(super) fn reach_instant(&mut self, slot: u32, now: Now) {
        if self.executions[slot].is_asked_for() {
            // It lay ahead because the clock had stepped back. It is none that the schedule owes, and never missed.
            return self.become_due(slot, now);
        }
        let (job, instant) = (self.executions[slot].job, self.executions[slot].instant());
        let key = self.executions[slot].row.key;
        if self.is_of_its_era(job, &key) {
            self.jobs.pass(job, instant);
        }
        let late_us = now.wall.since_us(WallUs::of(instant));
        let lateness_max = self.lateness_max(&self.jobs[job]);
        let overdue = u128::try_from(late_us).is_ok_and(|late_us| late_us > lateness_max.as_micros());
        self.end_retries(job, now);
        if overdue && self.executions[slot].was_never_sent() {
            // Nobody looked at the clock for that long. It is a missed instant like those after it, which have no
            // row yet: the misfire policy decides, and under `once` only the latest of them all runs.
            let job = &self.jobs[job];
            let is_latest = job.next().is_none_or(|next| WallUs::of(next) > now.wall) && job.armed_through() == instant;
            // A job that says how late is too late means every run.
            let says_so = job.misfire().lateness_max.is_some();
            if says_so || !self.misfire_of(job).runs(is_latest) {
                self.counts.missed += 1;
                self.skip(slot, TOO_LATE, now);
                return;
            }
            self.executions[slot].row.record.class = Class::CatchUp;
        }
        self.become_due(slot, now);
    }

    /// An execution is to be sent as soon as its row is on disk and its target has room.
    pub(super) fn become_due(&mut self, slot: u32, now: Now) {
        self.executions[slot].ready = Some(now.mono);
        self.watch_start(slot, now);
        self.release(slot, now);
    }

    /// An execution's retry is due.
    pub(super) fn end_backoff(&mut self, slot: u32, now: Now) {
        let target = self.executions[slot].sent_to();
        if self.is_overtaken(slot) {
            self.targets.end_wait(target);
            return self.give_up(slot, GAVE_WAY, now);
        }
        self.become_due(slot, now);
        // Only now: a target that nothing waits for is forgotten.
        self.targets.end_wait(target);
    }

    /// Whether a retry is to give way to an instant that came before it was due, but is not armed yet: rows waited for the disk.
    fn is_overtaken(&self, slot: u32) -> bool {
        let execution = &self.executions[slot];
        let next = self.jobs[execution.job].next();
        next.is_some_and(|next| WallUs::of(next) < execution.row.due) && self.is_to_give_way(slot)
    }

    /// Whether an execution is a retry that ends once the next instant of its job has come. What a client asked for belongs to no
    /// instant that another follows.
    fn is_to_give_way(&self, slot: u32) -> bool {
        let (execution, job) = (&self.executions[slot], &self.jobs[self.executions[slot].job]);
        let record = &execution.row.record;
        let is_retry = record.attempt > 1 && record.recoveries == 0 && !execution.is_asked_for();
        is_retry && job.retry(&self.settings.retry).until_next
    }

    /// How late an execution of a job may begin that was never sent.
    fn lateness_max(&self, job: &Job) -> Duration {
        job.misfire().lateness_max.unwrap_or(self.settings.lateness_max)
    }

    /// The next instant of a job has come: retries that are to give way end.
    pub(super) fn end_retries(&mut self, job: u32, now: Now) {
        if !self.jobs[job].retry(&self.settings.retry).until_next {
            return;
        }
        let mut retries = self.executions.of_job_in(job, State::Backoff);
        // What a client asked for belongs to no instant that another follows.
        retries.retain(|&slot| !self.executions[slot].is_asked_for());
        // One that waits for its key is not sent yet either.
        let waiting = self.executions.of_job_in(job, State::Waiting);
        retries.extend(waiting.into_iter().filter(|&slot| self.is_to_give_way(slot)));
        for slot in retries {
            self.targets.end_wait(self.executions[slot].sent_to());
            self.give_up(slot, GAVE_WAY, now);
        }
    }

    /// At a start: a retry that is to be sent ends, if it is to give way and the next instant of its job has come
    /// meanwhile. Whether it did.
    pub(super) fn give_way(&mut self, slot: u32, now: Now) -> bool {
        let (execution, job) = (&self.executions[slot], &self.jobs[self.executions[slot].job]);
        let has_come =
            job.due_through() > execution.instant() || job.next().is_some_and(|next| next <= now.wall.floor());
        let gives_way = has_come && self.is_to_give_way(slot);
        if gives_way {
            self.give_up(slot, GAVE_WAY, now);
        }
        gives_way
    }

    /// Queues a due execution, unless its row or a deletion of its job is still on the way to the disk, or others come
    /// first. Nothing begins during a drain: what the row says then of being unsent must still be so at the next start.
    pub(super) fn release(&mut self, slot: u32, now: Now) {
        let execution = &self.executions[slot];
        let job = &self.jobs[execution.job];
        if !self.is_durable(slot) || job.is_being_deleted() || self.phase == Phase::Draining {
            return self.executions.hold(slot);
        }
        if !self.admit(slot, now) {
            return;
        }
        let execution = &self.executions[slot];
        let (target, lane) = (self.jobs[execution.job].target, lane_of(execution));
        let handle = self.executions.queue(slot);
        self.targets.push(target, lane, handle);
    }

    /// Sends what is queued, as far as there is room, and as long as this node may trust that it is its own.
    pub(super) fn pump(&mut self, now: Now) {
        if self.phase != Phase::Running || self.ownership.has_lapsed() {
            return;
        }
        self.pump_targets(now);
        // What was skipped makes room in its key.
        while self.keys.deadline().is_some_and(|at| at <= now.mono) {
            self.serve_keys(now);
            self.pump_targets(now);
        }
        self.release_stalled(now);
    }

    fn pump_targets(&mut self, now: Now) {
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
            if execution.is_early(now.wall) {
                self.await_again(handle.slot, now);
                self.targets.passed_over(target);
                continue;
            }
            let ready = execution.ready.unwrap_or(now.mono);
            let waited_us = u128::from(now.mono.0.saturating_sub(ready.0));
            let lateness_max = self.lateness_max(&self.jobs[execution.job]);
            let may_be_late = execution.is_asked_for() || !execution.was_never_sent();
            if !may_be_late && waited_us > lateness_max.as_micros() {
                self.counts.missed += 1;
                self.skip(handle.slot, TOO_LATE, now);
                continue;
            }
            let revision = self.jobs[execution.job].revision();
            if execution.maybe_sent && revision.spec.post.delivery == Delivery::AtMostOnce {
                // The job was another one when it was sent.
                self.executions[handle.slot].row.record.error = Some(NOT_AGAIN.into());
                self.finish(handle.slot, Status::Failed, now);
                continue;
            }
            self.targets.fired(target, lane);
            self.executions.fly(handle.slot, target);
            self.watches.forget_execution(handle.slot);
            self.fire(handle);
        }
    }

    /// The clock stepped back behind the instant of an execution that waited for its target.
    fn await_again(&mut self, slot: u32, now: Now) {
        self.give_key_back(slot);
        self.watches.forget_execution(slot);
        self.executions[slot].runs = false;
        self.executions.arm(slot);
        // Who waited for it does not wait that long.
        let job = self.executions[slot].job;
        if self.jobs[job].overlap() != Overlap::Allow {
            self.let_next_run(job, false, now);
        }
    }

    fn fire(&mut self, handle: Handle) {
        let execution = &self.executions[handle.slot];
        let row = &execution.row;
        let revision = self.jobs[execution.job].revision();
        let own_body = row.record.details.as_ref().and_then(|details| details.own_body.as_ref());
        let job = revision.id;
        let post = match own_body.map(|own| revision.spec.post.with_own(own)) {
            Some(Ok(own)) => SharedPost::Own(Arc::new(own)),
            // The job may have become one that sends none.
            Some(Err(_)) | None => SharedPost::Of(Arc::clone(revision)),
        };
        self.counts.fired += 1;
        self.counts.retried += u64::from(row.record.attempt > 1);
        let id = row.key.of(job);
        let epoch = self.ownership.epoch(self.jobs[execution.job].shard());
        let attempt = Attempt { handle, number: row.record.attempt, id, class: row.record.class, epoch, post };
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
        if report.outcome == Outcome::Withheld {
            return self.take_up_again(slot, now);
        }
        let execution = &mut self.executions[slot];
        let job = execution.job;
        let lane = lane_of(execution);
        let target = execution.sent_to();
        let row = &mut execution.row;
        execution.maybe_sent |= report.was_sent;
        let first = row.record.executed.is_none();
        row.record.executed.get_or_insert(report.dispatched);
        let (class, drift_us) = (row.record.class, report.dispatched.since_us(WallUs::of(row.key.instant)));
        row.record.duration_us = Some(report.duration_us);
        let answer = report.answer.map(|answer| *answer).unwrap_or_default();
        note_answer(&mut row.record, &answer, report.dispatched);
        let Judgement { http_status, error, failure, reached } =
            judge(report.outcome, &self.jobs[job].spec().post, self.settings.bounds.error_len_max);
        row.record.http_status = http_status;
        row.record.error = error;
        let succeeded = row.record.error.is_none();
        self.counts.attempts.note((!succeeded).then_some(failure));
        self.give_key_back(slot);
        if first {
            self.output(Output::Dispatched(class, drift_us));
        }
        if let Some((name, failing)) = self.targets.finished(target, lane, reached) {
            self.target_turned(&name, failing, now);
            self.output(Output::Notice(Notice::Target { name, failing }));
        }
        if succeeded {
            self.finish(slot, Status::Success, now);
        } else {
            let (dispatched, was_sent, retry_after_s) = (report.dispatched, report.was_sent, answer.retry_after_s);
            self.retry_or_fail(slot, Failed { failure, dispatched, was_sent, retry_after_s }, now);
        }
        let failed = self.executions[slot].row.record.status == Status::Failed;
        self.consider_pausing(job, http_status, failed, now);
        self.pump(now);
    }

    /// A worker did not begin an attempt, as this node could not trust any more that it is its own. It is as if it had not
    /// left, and waits where it did.
    fn take_up_again(&mut self, slot: u32, now: Now) {
        self.counts.withheld += 1;
        let execution = &self.executions[slot];
        let (job, target, lane) = (execution.job, execution.sent_to(), lane_of(execution));
        if self.jobs[job].is_given_away() {
            self.hand_over(slot);
        } else if self.jobs[job].is_deleted() {
            self.executions[slot].row.record.error = Some(JOB_DELETED.into());
            self.finish(slot, Status::Failed, now);
        } else {
            let handle = self.executions.requeue(slot);
            self.targets.push_back_first(target, lane, handle);
            self.watch_start(slot, now);
        }
        // It counts as being in flight until here, so that its target is not forgotten.
        let turned = self.targets.finished(target, lane, None);
        assert_eq!(turned, None, "what was not begun says nothing of its target");
        if self.phase == Phase::Draining {
            self.keep_for_start();
        }
        self.pump(now);
    }

    /// Another attempt follows, unless there were enough, or its job says that there is to be none.
    fn retry_or_fail(&mut self, slot: u32, failed: Failed, now: Now) {
        let Failed { failure, dispatched, was_sent, retry_after_s } = failed;
        let execution = &self.executions[slot];
        let (job, record) = (&self.jobs[execution.job], &execution.row.record);
        let policy = job.retry(&self.settings.retry);
        let used = (record.attempt - 1).saturating_sub(record.recoveries);
        let at_most_once = job.spec().post.delivery == Delivery::AtMostOnce;
        let pauses = matches!(failure, Failure::Status(status) if job.is_paused_by(status));
        let is_over = used >= policy.retries || !job.is_retried(failure) || pauses;
        if job.is_deleted() || is_over || (at_most_once && was_sent) {
            return self.finish(slot, Status::Failed, now);
        }
        if policy.until_next && !execution.is_asked_for() && job.due_through() > execution.instant() {
            return self.give_up(slot, GAVE_WAY, now);
        }
        let own = [self.settings.noise, execution.row.seq.0, record.attempt.into()];
        let noise = own.into_iter().fold(0, |noise: u64, more| mix(noise.wrapping_add(more)));
        let asked = Duration::from_secs(retry_after_s.unwrap_or(0).into()).min(self.settings.bounds.retry_after_max);
        let wait = policy.wait(used + 1, noise).max(asked);
        let due = now.wall.plus_us(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        let elapsed_us = due.since_us(record.executed.unwrap_or(now.wall));
        let is_too_long =
            |max: Duration| u128::try_from(elapsed_us).is_ok_and(|elapsed_us| elapsed_us > max.as_micros());
        if policy.elapsed_max.is_some_and(is_too_long) {
            return self.give_up(slot, TOO_LONG, now);
        }
        // The one it was sent to may be forgotten: the job may have another by now.
        let target = job.target;
        let execution = &mut self.executions[slot];
        note_past(&mut execution.row.record, dispatched, self.settings.bounds.attempts_told_max);
        execution.row.record.attempt += 1;
        self.executions.set_due(slot, due);
        if at_most_once {
            self.note_wait(slot, Some(Wait::Retry));
        }
        if self.jobs[self.executions[slot].job].is_given_away() {
            return self.hand_over(slot);
        }
        self.executions.back_off(slot, now.mono.plus(wait), target);
        self.targets.begin_wait(target);
        self.write_row(slot);
    }

    /// There is no other attempt, though one might have been: the reason goes behind what the last one failed with.
    fn give_up(&mut self, slot: u32, why: &str, now: Now) {
        let record = &mut self.executions[slot].row.record;
        let error = record.error.take().unwrap_or_default();
        record.error = Some(bounded(format!("{error}; {why}"), self.settings.bounds.error_len_max));
        self.finish(slot, Status::Failed, now);
    }

    /// An execution has its final outcome.
    pub(super) fn finish(&mut self, slot: u32, status: Status, now: Now) {
        // It waits for nothing any more.
        if self.executions[slot].waits_for().is_some() {
            self.note_wait(slot, None);
        }
        let execution = &mut self.executions[slot];
        let row = &mut execution.row;
        row.record.status = status;
        let job = &mut self.jobs[execution.job];
        if job.is_given_away() {
            // What follows from that is for who has the job.
            return self.hand_over(slot);
        }
        job.tally_mut().add(row);
        assert_ne!(status, Status::Pending, "an execution does not finish as pending");
        self.counts.ended.note(row.key.kind, status);
        let alert = (status == Status::Failed && !job.is_deleted()).then(|| alert_for(execution, job, now));
        let job = execution.job;
        // Most end well, and nothing follows from it.
        if alert.is_some() || self.jobs[job].incidents != 0 || self.jobs[job].is_watched {
            let row = self.executions[slot].row.clone();
            let incidents = self.weigh(job, &row, now);
            let has_news = alert.is_some() || !incidents.is_empty();
            self.executions[slot].news = has_news.then(|| Box::new(RowNews { alert, incidents }));
        }
        self.give_key_back(slot);
        self.executions.close(slot);
        self.write_row(slot);
        if status == Status::Skipped {
            self.revive(job, now);
        }
    }

    /// Closes a due execution that was never sent.
    pub(super) fn skip(&mut self, slot: u32, why: &str, now: Now) {
        let row = &mut self.executions[slot].row;
        row.record.error = Some(why.into());
        row.record.attempt = 0;
        self.finish(slot, Status::Skipped, now);
    }

    /// Asks for an execution's row as it is now to be written.
    pub(super) fn write_row(&mut self, slot: u32) {
        let execution = &self.executions[slot];
        let handle = self.executions.handle(slot);
        let item = Persist::Row(execution.row.clone(), execution.news.clone());
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
                let (job, is_backfill) = (execution.job, execution.is_backfill());
                let RowNews { alert, incidents } = execution.news.take().map(|news| *news).unwrap_or_default();
                alert.into_iter().for_each(|alert| self.output(Output::Alert(Box::new(alert))));
                incidents.into_iter().for_each(|change| self.tell(change));
                let goes_on = !self.jobs[job].is_deleted() && !self.jobs[job].is_given_away();
                self.tell_end(handle);
                self.forget(handle.slot);
                if goes_on {
                    self.end_lateness(job, now);
                }
                if goes_on && (self.jobs[job].overlap() != Overlap::Allow || is_backfill) {
                    self.let_next_run(job, is_backfill, now);
                }
            }
            State::Held => {
                execution.ready.get_or_insert(now.mono);
                self.release(handle.slot, now);
            }
            State::Proposed | State::Armed | State::Withheld | State::Waiting => {}
            State::Queued | State::InFlight | State::Backoff | State::Elsewhere => {}
        }
    }
}

/// What the last attempt had to tell takes the place of what the one before had.
fn note_answer(record: &mut Record, answer: &Answer, dispatched: WallUs) {
    if record.details.is_some() || answer.timings.is_some() || answer.response.is_some() {
        let details = record.details_mut();
        details.timings = answer.timings;
        details.response = answer.response.clone();
        details.last_dispatched = (!details.attempts.is_empty()).then_some(dispatched);
    }
}

/// The last attempt becomes one that another follows.
fn note_past(record: &mut Record, dispatched: WallUs, most: usize) {
    let past = PastAttempt {
        number: record.attempt,
        dispatched,
        http_status: record.http_status,
        error: record.error.clone().unwrap_or_default(),
        duration_us: record.duration_us.unwrap_or_default(),
        timings: record.details.as_ref().and_then(|details| details.timings),
    };
    record.details_mut().note_past(past, most);
}

/// The lane an execution is sent in. A backfill lets what is due go first.
fn lane_of(execution: &Execution) -> Lane {
    match execution.row.record.class {
        Class::Manual if execution.is_backfill() => Lane::Recovery,
        Class::OnTime | Class::Manual | Class::Waited => Lane::Due,
        Class::Recovered | Class::CatchUp => Lane::Recovery,
    }
}

/// An attempt that failed, as far as what follows depends on it.
struct Failed {
    failure: Failure,
    dispatched: WallUs,
    was_sent: bool,
    retry_after_s: Option<u32>,
}

/// What an outcome means.
struct Judgement {
    http_status: Option<u16>,
    /// Why it failed; None: it did not.
    error: Option<Box<str>>,
    failure: Failure,
    /// Whether the target was reached, if it says anything of that.
    reached: Option<bool>,
}

fn judge(outcome: Outcome, post: &Post, error_len_max: usize) -> Judgement {
    let unanswered = |why: String, failure: Failure, reached: Option<bool>| {
        let error = Some(bounded(why, error_len_max));
        Judgement { http_status: None, error, failure, reached }
    };
    match outcome {
        Outcome::Answered(status) => {
            let error = (!post.is_success(status)).then(|| format!("the target answered {status}").into());
            Judgement { http_status: Some(status), error, failure: Failure::Status(status), reached: Some(true) }
        }
        Outcome::TimedOut(why) => unanswered(why, Failure::Timeout, Some(false)),
        Outcome::ConnectionFailed(why) => unanswered(why, Failure::Connection, Some(false)),
        Outcome::WorkerFailed(why) => unanswered(why, Failure::Worker, None),
        Outcome::Withheld => unreachable!("what was not begun came to nothing"),
    }
}

fn bounded(mut text: String, most: usize) -> Box<str> {
    let mut end = most.min(text.len());
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
