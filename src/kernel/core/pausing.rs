//! Owns what the core changes about a job by itself, and what a client lets go on: pauses after failures, the end of a
//! job's runs, and jobs that a clock holds which stepped back.
//! It must not answer before it is on disk: such a change takes the way of any other.

use std::sync::Arc;

use super::io::{Change, JobChange, Notice, Output, Reply, RequestId};
use super::jobs::PendingChange;
use super::scheduler::{Phase, Scheduler};
use crate::job::{Pause, Revision};
use crate::time::{Instant, Now};

const NOT_HELD: &str = "the job is not held; only a clock that stepped back holds one";

impl Scheduler {
    /// An attempt of a job ended, and its execution with it if that `failed`: whether that pauses the job.
    pub(super) fn consider_pausing(&mut self, slot: u32, http_status: Option<u16>, failed: bool, now: Now) {
        let job = &self.jobs[slot];
        let reason = match (http_status, job.auto_pause_after()) {
            (Some(status), _) if job.is_paused_by(status) => format!("the target answered {status}"),
            (_, Some(most)) if failed && job.tally().failures_in_row >= most => match job.tally().failures_in_row {
                1 => "an execution failed".to_owned(),
                many => format!("{many} executions in a row failed"),
            },
            _ => return,
        };
        self.pause(slot, reason, now);
    }

    /// Pauses a job by its own policy. If a client is just changing it, the next failure may do it.
    fn pause(&mut self, slot: u32, reason: String, now: Now) {
        let job = &self.jobs[slot];
        let is_gone = job.is_deleted() || job.is_given_away();
        if self.phase != Phase::Running || !job.spec().active || job.pending.is_some() || is_gone {
            return;
        }
        self.settle_due(slot, now);
        let old = Arc::clone(self.jobs[slot].revision());
        let mut spec = old.spec.clone();
        spec.active = false;
        let since = now.wall.floor().max(self.jobs[slot].due_through());
        // A client may have paused it until some moment.
        let begun = old.pause_at(now.wall).map_or(since, |pause| pause.since);
        let pause = Some(Box::new(Pause { reason: Some(reason.as_str().into()), ..Pause::since(begun) }));
        let revision = Arc::new(Revision { pause, since, ..old.next(spec, now.wall) });
        self.output(Output::Notice(Notice::Paused { job: revision.id, reason }));
        self.submit_update(None, slot, revision, now);
    }

    /// A client pauses a job, until some moment or until somebody resumes it.
    pub(super) fn begin_pause(
        &mut self,
        request: RequestId,
        slot: u32,
        until: Option<Instant>,
        note: Option<Box<str>>,
        now: Now,
    ) {
        self.settle_due(slot, now);
        let old = Arc::clone(self.jobs[slot].revision());
        let reached = now.wall.floor().max(self.jobs[slot].due_through());
        // Who pauses it again says for how long; what it may catch up with counts from the first time.
        let begun = old.pause_at(now.wall).map_or(reached, |pause| pause.since);
        let mut spec = old.spec.clone();
        // One that ends by itself is a job that owes nothing before.
        spec.active = until.is_some();
        let since = until.map_or(reached, |until| until.max(reached));
        let pause = Some(Box::new(Pause { since: begun, until, note, reason: None }));
        let revision = Arc::new(Revision { pause, since, ..old.next(spec, now.wall) });
        self.submit_update(Some(request), slot, revision, now);
    }

    /// A client ends a pause. What the job would have owed meanwhile it owes now, if the client says so.
    pub(super) fn end_pause(&mut self, request: RequestId, slot: u32, missed: bool, now: Now) {
        let old = Arc::clone(self.jobs[slot].revision());
        let Some(pause) = old.pause_at(now.wall) else {
            let view = self.view(slot, now.wall);
            return self.output(Output::Reply(request, Reply::Updated(view)));
        };
        let mut spec = old.spec.clone();
        spec.active = true;
        let from = if missed { pause.since } else { now.wall.floor() };
        let since = from.max(self.jobs[slot].due_through());
        let revision = Arc::new(Revision { pause: None, since, ..old.next(spec, now.wall) });
        self.submit_update(Some(request), slot, revision, now);
    }

    /// Asks for another revision of a job to be written, together with what is armed near the moment from which it owes
    /// instants. What lies behind is settled once it is in force.
    pub(super) fn submit_update(&mut self, request: Option<RequestId>, slot: u32, revision: Arc<Revision>, now: Now) {
        let remove = self.withhold(slot, now);
        let since = revision.since;
        let (rows, armed_through) =
            if since < now.wall.floor() { (Vec::new(), since) } else { self.propose(slot, &revision, since, now) };
        let change = Change { job: JobChange::Put(Arc::clone(&revision)), remove, rows };
        self.submit(slot, request, PendingChange::Update { revision, armed_through }, change, now);
    }

    /// A client lets a job go on that is held because the clock stepped back behind what it has fired. Its instants
    /// from now on are owed anew, under another number: what was fired for them stays as it is.
    pub(super) fn release_held(&mut self, request: RequestId, slot: u32, now: Now) {
        if !self.jobs[slot].is_held(now.wall) {
            return self.output(Output::Reply(request, Reply::Conflict(NOT_HELD)));
        }
        let old = Arc::clone(self.jobs[slot].revision());
        let reached = now.wall.floor();
        // A pause that ends by itself ends when it did before.
        let until = old.pause_at(now.wall).and_then(|pause| pause.until);
        let since = until.map_or(reached, |until| until.max(reached));
        let revision = Arc::new(Revision { era: old.era + 1, since, ..old.next(old.spec.clone(), now.wall) });
        let remove = self.withhold(slot, now);
        let (rows, armed_through) = self.propose(slot, &revision, since, now);
        let change = Change { job: JobChange::Put(Arc::clone(&revision)), remove, rows };
        self.submit(slot, Some(request), PendingChange::Release { revision, reached, armed_through }, change, now);
    }

    /// How many scheduled executions of a job may still be armed; None: any number.
    pub(super) fn runs_left(&self, slot: u32) -> Option<u64> {
        Some(self.runs_left_of(slot, self.jobs[slot].max_runs()?))
    }

    /// The same where the job may have so many in all.
    pub(super) fn runs_left_of(&self, slot: u32, most: u64) -> u64 {
        let runs = self.jobs[slot].tally().counters.runs;
        most.saturating_sub(runs).saturating_sub(self.executions.to_run(slot).into())
    }

    /// If a job has no runs left, nothing of it is due any more. Whether that is so.
    pub(super) fn exhaust(&mut self, slot: u32) -> bool {
        let is_exhausted = self.runs_left(slot) == Some(0);
        if is_exhausted {
            self.jobs.exhaust(slot);
        }
        is_exhausted
    }

    /// A run of a job came to nothing: if the job counts its runs, it may have one left again.
    pub(super) fn revive(&mut self, slot: u32, now: Now) {
        let job = &self.jobs[slot];
        let counts = job.max_runs().is_some() && job.next().is_none();
        if counts && job.pending.is_none() && self.phase == Phase::Running {
            // While it was exhausted it owed nothing.
            let since = job.armed_through().max(now.wall.floor());
            self.jobs.advance(slot, since);
            self.jobs.queue_arming(slot);
            self.arm_resume.get_or_insert(now.mono.plus_us(super::arming::RESUME_US));
        }
    }
}
