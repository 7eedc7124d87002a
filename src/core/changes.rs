//! Owns what a client's change does: accepted, written together with all that follows from it, then in force.
//! It must not answer a client before the change is on disk.

use std::collections::VecDeque;
use std::sync::Arc;

use super::executions::State;
use super::io::{Action, Change, Command, JobChange, Output, Persist, Refusal, Reply, RequestId};
use super::receipts::Receipt;
use super::record::{LedgerRow, Seq, Status};
use super::scheduler::{Job, Pending, PendingChange, Phase, Scheduler};
use super::sending::JOB_DELETED;
use super::tally::Tally;
use crate::job::{JobId, JobKey, JobSpec, Revision};
use crate::limits::{CHANGES_PENDING_MAX, CHANGES_PER_JOB_MAX};
use crate::time::{Instant, Now, WallUs};

impl Scheduler {
    pub(super) fn command(&mut self, command: Command, now: Now) {
        if self.phase != Phase::Running {
            return self.refuse(command.request, Refusal::Draining);
        }
        if self.receipts.unwritten_changes() >= CHANGES_PENDING_MAX {
            return self.refuse(command.request, Refusal::TooManyChanges);
        }
        let job = match &command.action {
            Action::Create { .. } => None,
            Action::Update { id, .. } | Action::Delete { id } => match self.find(*id) {
                Some(job) => Some(job),
                None => return self.output(Output::Reply(command.request, Reply::NotFound)),
            },
        };
        if let Some(pending) = job.and_then(|job| self.jobs[job as usize].pending.as_mut()) {
            if pending.waiting.len() >= CHANGES_PER_JOB_MAX {
                return self.refuse(command.request, Refusal::TooManyChangesOfJob);
            }
            pending.waiting.push_back(command);
            return;
        }
        match (command.action, job) {
            (Action::Create { spec, entropy }, _) => self.create(command.request, spec, entropy, now),
            (Action::Update { spec, keep_active, .. }, Some(job)) => {
                self.update(command.request, job, spec, keep_active, now);
            }
            (Action::Delete { .. }, Some(job)) => self.delete(command.request, job, now),
            (Action::Update { .. } | Action::Delete { .. }, None) => unreachable!("answered above"),
        }
    }

    fn create(&mut self, request: RequestId, mut spec: JobSpec, entropy: [u8; 10], now: Now) {
        let id = JobId::new(JobKey(self.next_job), entropy);
        self.next_job += 1;
        self.share_schedule(&mut spec);
        let revision = Arc::new(Revision::first(id, spec, now.wall));
        let since = now.wall.floor();
        let job = Job::new(Arc::clone(&revision), self.targets.join(revision.spec.post.url.target()), since);
        let slot = super::slot(self.jobs.insert(job));
        self.by_key.insert(id.key(), slot);
        let (rows, armed_through) = self.propose(slot, &revision.spec, since, now);
        self.jobs[slot as usize].armed_through = armed_through;
        let change = Change { job: JobChange::Put(revision), remove: Vec::new(), rows };
        self.submit(slot, request, PendingChange::Create, change);
    }

    fn update(&mut self, request: RequestId, slot: u32, mut spec: JobSpec, keep_active: bool, now: Now) {
        self.settle_due(slot, now);
        let old = Arc::clone(&self.jobs[slot as usize].revision);
        if keep_active {
            spec.active = old.spec.active;
        }
        let anchor = if spec.has_schedule_of(&old.spec) {
            spec.schedule = Arc::clone(&old.spec.schedule);
            old.anchor
        } else {
            self.share_schedule(&mut spec);
            // The change may have waited for another: what counts is the anchor its schedule was read with.
            spec.schedule.anchor().unwrap_or(now.wall.floor())
        };
        let number = old.number.wrapping_add(1);
        let revision = Arc::new(Revision { number, anchor, updated_at: now.wall, spec, ..*old });
        let remove = self.withhold(slot, now);
        // Instants strictly after this moment are owed, but none that was due before, whatever the clock did.
        let since = now.wall.floor().max(self.jobs[slot as usize].due_through);
        let (rows, armed_through) = self.propose(slot, &revision.spec, since, now);
        let change = Change { job: JobChange::Put(Arc::clone(&revision)), remove, rows };
        self.submit(slot, request, PendingChange::Update { revision, armed_through }, change);
    }

    fn delete(&mut self, request: RequestId, slot: u32, now: Now) {
        self.settle_due(slot, now);
        let remove = self.withhold(slot, now);
        let key = self.jobs[slot as usize].revision.id.key();
        let change = Change { job: JobChange::Delete(key, now.wall), remove, rows: Vec::new() };
        self.submit(slot, request, PendingChange::Delete, change);
    }

    /// From here on the old revision's future instants do not fire, unless the change cannot be written.
    fn withhold(&mut self, slot: u32, now: Now) -> Vec<Seq> {
        let mut remove = Vec::new();
        for armed in self.executions_of(slot) {
            let execution = &mut self.executions[armed as usize];
            if execution.state == State::Armed && WallUs::of(execution.row.key.instant) > now.wall {
                execution.state = State::Withheld;
                remove.push(execution.row.seq);
                self.fire_heap.remove(armed);
            }
        }
        remove
    }

    /// The rows of a new revision that are armed together with it, and the instant they reach.
    fn propose(&mut self, slot: u32, spec: &JobSpec, since: Instant, now: Now) -> (Vec<LedgerRow>, Instant) {
        let mut rows = Vec::new();
        let mut through = since;
        for instant in super::arming::near_instants(spec, since, now) {
            through = instant;
            let proposed = self.new_execution(slot, instant, super::record::Class::OnTime, None);
            rows.push(proposed.row.clone());
            self.admit(proposed);
        }
        (rows, through)
    }

    fn submit(&mut self, slot: u32, request: RequestId, change: PendingChange, item: Change) {
        self.arm_heap.remove(slot);
        self.jobs[slot as usize].pending = Some(Box::new(Pending { request, change, waiting: VecDeque::new() }));
        let number = self.persist(Persist::Change(Box::new(item)), Receipt::Change(slot));
        for proposed in self.executions_in(slot, State::Proposed) {
            self.executions[proposed as usize].written_as = number;
        }
    }

    /// A change is on disk, or will never be.
    pub(super) fn change_settled(&mut self, slot: u32, written: bool, now: Now) {
        let pending = self.jobs[slot as usize].pending.take().expect("a change is settled once");
        let Pending { request, change, waiting } = *pending;
        if written {
            self.put_in_force(slot, request, change, now);
        } else {
            self.abandon(slot, &change, now);
            self.refuse(request, Refusal::NotWritten);
        }
        // The first of them may be pending again, and then the others wait for that.
        for command in waiting {
            self.command(command, now);
        }
    }

    fn put_in_force(&mut self, slot: u32, request: RequestId, change: PendingChange, now: Now) {
        match change {
            PendingChange::Create => {
                self.activate(slot, now);
                let view = self.view(slot, now.wall);
                self.output(Output::Reply(request, Reply::Created(view)));
            }
            PendingChange::Update { revision, armed_through } => {
                let target = self.targets.join(revision.spec.post.url.target());
                self.active_jobs -= usize::from(self.jobs[slot as usize].revision.spec.active);
                let job = &mut self.jobs[slot as usize];
                self.targets.leave(std::mem::replace(&mut job.target, target));
                job.armed_through = armed_through;
                let old = std::mem::replace(&mut job.revision, revision);
                self.release_schedule(old);
                self.activate(slot, now);
                let view = self.view(slot, now.wall);
                self.output(Output::Reply(request, Reply::Updated(view)));
            }
            PendingChange::Delete => {
                for withheld in self.executions_in(slot, State::Withheld) {
                    self.forget(withheld);
                }
                self.close_deleted(slot, now);
                self.output(Output::Reply(request, Reply::Deleted));
            }
        }
    }

    /// Starts the job's current revision: withdrawn rows go, proposed ones are armed, and arming goes on.
    fn activate(&mut self, slot: u32, now: Now) {
        self.active_jobs += usize::from(self.jobs[slot as usize].revision.spec.active);
        for execution in self.executions_of(slot) {
            match self.executions[execution as usize].state {
                State::Withheld => self.forget(execution),
                State::Proposed if self.phase == Phase::Draining => {
                    let seq = self.executions[execution as usize].row.seq;
                    self.persist(Persist::Remove(seq), Receipt::Nothing);
                    self.forget(execution);
                }
                State::Proposed => self.put_in_fire_heap(execution),
                State::Armed | State::Held | State::Queued | State::InFlight | State::Backoff | State::Closing => {}
            }
        }
        let reached = self.jobs[slot as usize].armed_through;
        self.advance(slot, reached);
        self.arm(slot, now);
    }

    /// The change will not be written: what stood before stands again, and what was withheld fires late.
    fn abandon(&mut self, slot: u32, change: &PendingChange, now: Now) {
        for execution in self.executions_of(slot) {
            match self.executions[execution as usize].state {
                State::Proposed => self.forget(execution),
                State::Withheld if self.phase == Phase::Draining => {
                    let seq = self.executions[execution as usize].row.seq;
                    self.persist(Persist::Remove(seq), Receipt::Nothing);
                    self.forget(execution);
                }
                State::Withheld => self.put_in_fire_heap(execution),
                State::Held => self.release(execution),
                State::Armed | State::Queued | State::InFlight | State::Backoff | State::Closing => {}
            }
        }
        match change {
            PendingChange::Create => self.forget_job(slot),
            PendingChange::Update { .. } | PendingChange::Delete => {
                self.arm(slot, now);
            }
        }
    }

    fn put_in_fire_heap(&mut self, slot: u32) {
        let execution = &mut self.executions[slot as usize];
        execution.state = State::Armed;
        self.fire_heap.set(slot, WallUs::of(execution.row.key.instant));
    }

    /// The tombstone is on disk: nothing of the job is sent any more; what is in flight finishes.
    fn close_deleted(&mut self, slot: u32, now: Now) {
        self.arm_heap.remove(slot);
        self.active_jobs -= usize::from(self.jobs[slot as usize].revision.spec.active);
        self.jobs[slot as usize].deleted = true;
        self.jobs[slot as usize].next = None;
        for execution in self.executions_of(slot) {
            match self.executions[execution as usize].state {
                State::Armed | State::Held | State::Queued | State::Backoff => {
                    self.fire_heap.remove(execution);
                    self.retry_heap.remove(execution);
                    self.executions[execution as usize].row.record.error = Some(JOB_DELETED.into());
                    self.finish(execution, Status::Failed, now);
                }
                State::InFlight | State::Closing => {}
                State::Proposed | State::Withheld => unreachable!("only a change has such, and it is settled"),
            }
        }
        if self.jobs[slot as usize].executions.is_none() {
            self.forget_job(slot);
        }
    }

    fn executions_in(&self, job: u32, state: State) -> Vec<u32> {
        let mut slots = self.executions_of(job);
        slots.retain(|&slot| self.executions[slot as usize].state == state);
        slots
    }

    fn refuse(&mut self, request: RequestId, why: Refusal) {
        self.counts.refused += 1;
        self.output(Output::Reply(request, Reply::Refused(why)));
    }

    /// The slot of a job that clients can see.
    pub(super) fn find(&self, id: JobId) -> Option<u32> {
        let slot = *self.by_key.get(&id.key())?;
        let job = &self.jobs[slot as usize];
        (job.revision.id == id && job.is_visible()).then_some(slot)
    }
}

impl Job {
    /// A job that owes instants strictly after `since`.
    pub(super) fn new(revision: Arc<Revision>, target: u32, since: Instant) -> Job {
        Job {
            revision,
            target,
            tally: Tally::default(),
            armed_through: since,
            due_through: since,
            next: None,
            executions: None,
            pending: None,
            in_arm_queue: false,
            overloaded: false,
            deleted: false,
        }
    }

    /// Whether clients can see the job: its creation is on disk, and no deletion is.
    pub(super) fn is_visible(&self) -> bool {
        let being_created =
            self.pending.as_ref().is_some_and(|pending| matches!(pending.change, PendingChange::Create));
        !being_created && !self.deleted
    }
}
