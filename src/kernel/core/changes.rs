//! Owns what a client's change does: accepted, written together with all that follows from it, then in force.
//! It must not answer a client before the change is on disk.

use std::collections::VecDeque;
use std::sync::Arc;

use super::executions::State;
use super::io::{Action, Change, Command, JobChange, Output, Persist, Refusal, Reply, RequestId};
use super::jobs::{Job, Pending, PendingChange};
use super::key::ExecutionKey;
use super::receipts::Receipt;
use super::record::{Class, LedgerRow, Seq, Status};
use super::scheduler::{Phase, Scheduler};
use super::sending::JOB_DELETED;
use super::shard::Shard;
use super::view::JobView;
use crate::job::{JobId, JobSpec, Pause, Revision};
use crate::time::{Instant, Now, WallUs};

pub(super) const CHANGING: &str =
    "another change of the job is being written, or came before in the same batch; try again";

impl Scheduler {
    pub(super) fn command(&mut self, command: Command, now: Now) {
        if let Err(why) = self.takes_changes() {
            return self.refuse(command.request, why);
        }
        let job = match self.job_of(&command.action) {
            Err(reply) => return self.output(Output::Reply(command.request, reply)),
            Ok(job) => job,
        };
        if job.is_some_and(|job| self.gathering.is_settled(self.jobs[job].key())) {
            return self.output(Output::Reply(command.request, Reply::Conflict(CHANGING)));
        }
        if let Some(pending) = job.and_then(|job| self.jobs[job].pending.as_mut()) {
            if self.gathering.is_open {
                return self.output(Output::Reply(command.request, Reply::Conflict(CHANGING)));
            }
            if pending.waiting.len() >= self.settings.bounds.changes_per_job_max {
                return self.refuse(command.request, Refusal::TooManyChangesOfJob);
            }
            pending.waiting.push_back(command);
            return;
        }
        if let Err(reply) = self.is_expected(&command.action, job) {
            return self.output(Output::Reply(command.request, reply));
        }
        self.plans = command.plans;
        match (command.action, job) {
            (Action::PutCalendar { name, dates }, _) => self.put_calendar(command.request, name, dates),
            (Action::DeleteCalendar { name }, _) => self.delete_calendar(command.request, name),
            (Action::Set(setting), _) => self.set(command.request, setting),
            (Action::Silence(silence), _) => self.silence(command.request, silence, now),
            (Action::Acknowledge { id, by, note }, _) => self.acknowledge(command.request, id, by, note, now),
            (Action::ReplayAll(origins), _) => self.replay_all(command.request, origins, now),
            (Action::Create { spec, entropy, pause }, _) => {
                let since = owed_since(&spec, command.read_at, now);
                self.create(command.request, spec, entropy, pause, since, now);
            }
            (Action::Update { spec, keep_active, .. }, Some(job)) => {
                let since = owed_since(&spec, command.read_at, now);
                self.update(command.request, job, spec, keep_active, since, now);
            }
            (Action::Apply(apply), job) => self.apply(command.request, *apply, job, command.read_at, now),
            (Action::Delete { .. }, Some(job)) => self.delete(command.request, job, now),
            (Action::Release { .. }, Some(job)) => self.release_held(command.request, job, now),
            (Action::Pause { until, note, .. }, Some(job)) => self.begin_pause(command.request, job, until, note, now),
            (Action::Resume { missed, .. }, Some(job)) => self.end_pause(command.request, job, missed, now),
            (Action::Run(run), Some(job)) => self.run(command.request, job, *run, now),
            (Action::Update { .. } | Action::Delete { .. } | Action::Release { .. } | Action::Run(_), None)
            | (Action::Pause { .. } | Action::Resume { .. }, None) => unreachable!("answered above"),
        }
    }

    /// Whether changes are taken at all.
    pub(super) fn takes_changes(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Restoring => Err(Refusal::NotOwned),
            Phase::Draining => Err(Refusal::Draining),
            Phase::Running => match self.receipts.unwritten_changes() < self.settings.bounds.changes_pending_max {
                true => Ok(()),
                false => Err(Refusal::TooManyChanges),
            },
        }
    }

    /// The job that an action is about, if it is about one.
    pub(super) fn job_of(&self, action: &Action) -> Result<Option<u32>, Reply> {
        let id = match action {
            Action::Create { .. } | Action::PutCalendar { .. } | Action::DeleteCalendar { .. } => return Ok(None),
            Action::ReplayAll(_) | Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => return Ok(None),
            Action::Apply(apply) => return self.declared(apply),
            Action::Update { id, .. } | Action::Delete { id, .. } | Action::Release { id } => *id,
            Action::Pause { id, .. } | Action::Resume { id, .. } => *id,
            Action::Run(run) => run.id,
        };
        self.find(id).map(Some).ok_or(Reply::NotFound)
    }

    /// Whether a job is one of the revisions that are expected.
    pub(super) fn is_expected(&self, action: &Action, job: Option<u32>) -> Result<(), Reply> {
        let expected = match action {
            Action::Update { expected, .. } | Action::Delete { expected, .. } => expected.as_deref(),
            Action::Pause { expected, .. } | Action::Resume { expected, .. } => expected.as_deref(),
            Action::Create { .. } | Action::Release { .. } | Action::Run(_) | Action::ReplayAll(_) => None,
            Action::PutCalendar { .. } | Action::DeleteCalendar { .. } | Action::Apply(_) => None,
            Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => None,
        };
        let number = job.map(|job| self.jobs[job].revision().number);
        match expected.zip(number) {
            Some((expected, number)) if !expected.contains(&number) => Err(Reply::Changed(number)),
            Some(_) | None => Ok(()),
        }
    }

    /// Completes what a job is to be by what it was, and checks that no other one has its name, and that it is this
    /// node's.
    pub(super) fn complete(
        &self,
        spec: &mut JobSpec,
        old: Option<&Revision>,
        keep_active: bool,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<(), Reply> {
        self.check_owned(spec, old)?;
        let old = old.map(|old| &old.spec);
        spec.inherit_secrets(old).map_err(Reply::Invalid)?;
        self.check_channels_of(spec)?;
        let name = spec.name().filter(|name| old.and_then(JobSpec::name) != Some(name));
        if let Some(taken) = name.filter(|name| self.jobs.is_name_taken(name) || is_taken(name)) {
            return Err(Reply::NameTaken(taken.into()));
        }
        if let Some(old) = old {
            if keep_active {
                spec.active = old.active;
            }
            spec.inherit(old);
        }
        Ok(())
    }

    /// Whether a job is this node's if this is what it is to be. A concurrency key decides whose it is; without one the
    /// end of its key does, and a new job gets one that this node owns.
    fn check_owned(&self, spec: &JobSpec, old: Option<&Revision>) -> Result<(), Reply> {
        let is_owned = match (old, spec.concurrency_key()) {
            (Some(old), _) => self.owns(Shard::of_spec(spec, old.id.key())),
            (None, Some(key)) => self.owns(Shard::of_name(&key.name)),
            (None, None) => !self.shards().is_empty(),
        };
        match old {
            _ if is_owned => Ok(()),
            Some(_) => Err(Reply::OwnedElsewhere),
            None => Err(Reply::Refused(Refusal::NotOwned)),
        }
    }

    pub(super) fn create(
        &mut self,
        request: RequestId,
        mut spec: JobSpec,
        entropy: [u8; 10],
        pause: Option<Box<Pause>>,
        since: Instant,
        now: Now,
    ) {
        if let Err(reply) = self.complete(&mut spec, None, false, |_| false) {
            return self.output(Output::Reply(request, reply));
        }
        let id = JobId::new(self.jobs.new_key(self.ownership.shards()), entropy);
        self.jobs.share_schedule(&mut spec);
        let mut revision = Revision { since, ..Revision::first(id, spec, now.wall) };
        if let Some(pause) = pause {
            revision.since = pause.until.map_or(revision.since, |until| until.max(revision.since));
            revision.pause = Some(pause);
        }
        let revision = Arc::new(revision);
        let (target, key) = (self.targets.join(revision.spec.post.url.target()), self.join_key(&revision.spec));
        let job = Job::new(Arc::clone(&revision), target, key, since);
        let slot = self.jobs.insert(job);
        let (rows, armed_through) = self.propose(slot, &revision, revision.since, now);
        self.jobs.reach(slot, armed_through);
        let change = Change { job: JobChange::Put(revision), remove: Vec::new(), rows };
        self.submit(slot, Some(request), PendingChange::Create, change, now);
    }

    fn update(
        &mut self,
        request: RequestId,
        slot: u32,
        mut spec: JobSpec,
        keep_active: bool,
        since: Instant,
        now: Now,
    ) {
        let old = Arc::clone(self.jobs[slot].revision());
        if let Err(reply) = self.complete(&mut spec, Some(&old), keep_active, |_| false) {
            return self.output(Output::Reply(request, reply));
        }
        self.replace_by(request, slot, spec, keep_active, since, now);
    }

    /// Lets a job be what was completed by what it is.
    pub(super) fn replace_by(
        &mut self,
        request: RequestId,
        slot: u32,
        mut spec: JobSpec,
        keep_active: bool,
        since: Instant,
        now: Now,
    ) {
        let old = Arc::clone(self.jobs[slot].revision());
        let name = spec.name().filter(|name| old.spec.name() != Some(name));
        name.into_iter().for_each(|name| self.jobs.claim_name(name, slot));
        self.settle_due(slot, now);
        let anchor = if spec.has_schedule_of(&old.spec) {
            spec.schedule = Arc::clone(&old.spec.schedule);
            old.anchor
        } else {
            self.jobs.share_schedule(&mut spec);
            // The change may have waited for another: what counts is the anchor its schedule was read with.
            spec.schedule.anchor().unwrap_or(now.wall.floor())
        };
        let reached = since.max(self.jobs[slot].due_through());
        let before = old.pause_at(now.wall).cloned();
        let pause = match before {
            // A pause that the client leaves as it is keeps its reason, and its end.
            before if keep_active => before,
            _ if spec.active => None,
            // That it is inactive is what was shown of it: a pause with an end keeps that.
            before => Some(before.unwrap_or(Pause::since(reached))),
        };
        let until = pause.as_ref().and_then(|pause| pause.until);
        spec.active |= until.is_some();
        // Instants strictly after this moment are owed, but none that was due before, whatever the clock did.
        let since = until.map_or(reached, |until| until.max(reached));
        let revision = Revision { anchor, since, pause: pause.map(Box::new), ..old.next(spec, now.wall) };
        self.submit_update(Some(request), slot, Arc::new(revision), now);
    }

    fn delete(&mut self, request: RequestId, slot: u32, now: Now) {
        self.settle_due(slot, now);
        let remove = self.withhold(slot, now);
        let key = self.jobs[slot].key();
        let change = Change { job: JobChange::Delete(key, now.wall), remove, rows: Vec::new() };
        self.submit(slot, Some(request), PendingChange::Delete, change, now);
    }

    /// From here on the old revision's future instants do not fire, unless the change cannot be written.
    pub(super) fn withhold(&mut self, slot: u32, now: Now) -> Vec<Seq> {
        let mut remove = Vec::new();
        for armed in self.executions.of_job_in(slot, State::Armed) {
            let execution = &self.executions[armed];
            if WallUs::of(execution.instant()) > now.wall && execution.may_be_taken_back() {
                self.executions.withhold(armed);
                remove.push(self.executions[armed].row.seq);
            }
        }
        remove
    }

    /// The rows of a new revision that are armed together with it, and the instant they reach.
    pub(super) fn propose(
        &mut self,
        slot: u32,
        revision: &Revision,
        since: Instant,
        now: Now,
    ) -> (Vec<LedgerRow>, Instant) {
        let left = revision.spec.max_runs().map(|most| self.runs_left_of(slot, most));
        let left = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let mut rows = Vec::new();
        let mut through = since;
        for instant in self.near_instants(&revision.spec, since, now).into_iter().take(left) {
            through = instant;
            let key = ExecutionKey::scheduled(revision.id.key(), instant);
            let proposed = self.new_row_of(ExecutionKey { number: revision.era, ..key }, Class::OnTime);
            rows.push(proposed.clone());
            self.executions.propose(proposed, slot);
        }
        (rows, through)
    }

    pub(super) fn submit(
        &mut self,
        slot: u32,
        request: Option<RequestId>,
        change: PendingChange,
        item: Change,
        now: Now,
    ) {
        self.jobs.rest(slot);
        if let Some(request) = request.filter(|_| self.gathering.is_open) {
            self.jobs[slot].pending = Some(Box::new(Pending { request: None, change, waiting: VecDeque::new() }));
            return self.note_gathered(slot, request, item);
        }
        let planned = request.filter(|_| std::mem::take(&mut self.plans));
        let planned = planned.map(|request| (request, self.planned(slot, &change, &item, now)));
        self.jobs[slot].pending = Some(Box::new(Pending { request, change, waiting: VecDeque::new() }));
        let number = self.persist(Persist::Change(Box::new(item)), Receipt::Change(slot));
        if let Some((request, reply)) = planned {
            self.output(Output::Planned(number, request, reply));
        }
        self.note_written_as(slot, number);
    }

    /// The rows that a change proposes are on disk with the item that has this number.
    pub(super) fn note_written_as(&mut self, slot: u32, number: u64) {
        for proposed in self.executions.proposed_by_change(slot) {
            self.executions[proposed].written_as = number;
        }
    }

    /// What a change will be answered once it is on disk, as far as can be known now.
    fn planned(&self, slot: u32, change: &PendingChange, item: &Change, now: Now) -> Reply {
        let (revision, armed_through) = match change {
            PendingChange::Create => (self.jobs[slot].revision(), self.jobs[slot].armed_through()),
            PendingChange::Update { revision, armed_through }
            | PendingChange::Release { revision, armed_through, .. } => (revision, *armed_through),
            PendingChange::Delete => return Reply::Deleted,
        };
        let has_runs_left = revision.spec.max_runs().is_none_or(|most| self.runs_left_of(slot, most) > 0);
        let goes_on = revision.spec.active && has_runs_left;
        let following = || revision.spec.schedule.next_after(armed_through).filter(|_| goes_on);
        let next = item.rows.first().map(|row| row.key.instant).or_else(following);
        let (revision, paused) = (Arc::clone(revision), revision.pause_at(now.wall).is_some());
        let held = match change {
            PendingChange::Update { .. } => revision.spec.active && self.jobs[slot].due_through() > now.wall.floor(),
            PendingChange::Create | PendingChange::Release { .. } | PendingChange::Delete => false,
        };
        let view = JobView { revision, tally: *self.jobs[slot].tally(), next, paused, held };
        let is_new = matches!(change, PendingChange::Create);
        if is_new { Reply::Created(view) } else { Reply::Updated(view) }
    }

    /// A change is on disk, or will never be.
    pub(super) fn change_settled(&mut self, slot: u32, written: bool, now: Now) {
        let pending = self.jobs[slot].pending.take().expect("a change is settled once");
        let Pending { request, change, waiting } = *pending;
        if self.jobs[slot].is_given_away() {
            return self.settle_given_away(slot, request, change, written, now);
        }
        if written {
            self.put_in_force(slot, request, change, now);
        } else {
            self.abandon(slot, &change, now);
            if let Some(request) = request {
                self.refuse(request, Refusal::NotWritten);
            }
        }
        // The first of them may be pending again, and then the others wait for that.
        for command in waiting {
            self.command(command, now);
        }
    }

    fn put_in_force(&mut self, slot: u32, request: Option<RequestId>, change: PendingChange, now: Now) {
        match change {
            PendingChange::Create => {
                self.jobs.enact(slot);
                self.watch(slot, now);
                self.weigh_pause(slot, now);
                self.activate(slot, now);
                let view = self.view(slot, now.wall);
                self.reply(request, Reply::Created(view));
            }
            PendingChange::Update { revision, armed_through } => {
                self.replace(slot, revision, armed_through, now);
                let view = self.view(slot, now.wall);
                self.reply(request, Reply::Updated(view));
            }
            PendingChange::Release { revision, reached, armed_through } => {
                self.jobs.reset(slot, reached);
                self.replace(slot, revision, armed_through, now);
                let view = self.view(slot, now.wall);
                self.reply(request, Reply::Updated(view));
            }
            PendingChange::Delete => {
                for withheld in self.executions.of_job_in(slot, State::Withheld) {
                    self.forget(withheld);
                }
                self.close_deleted(slot, now);
                self.reply(request, Reply::Deleted);
            }
        }
    }

    /// Another revision of a job is in force, with another target perhaps, another key, another policy.
    fn replace(&mut self, slot: u32, revision: Arc<Revision>, armed_through: Instant, now: Now) {
        let target = self.targets.join(revision.spec.post.url.target());
        self.targets.leave(std::mem::replace(&mut self.jobs[slot].target, target));
        let key = self.join_key(&revision.spec);
        let before = (self.jobs[slot].concurrency_key(), self.jobs[slot].overlap());
        let is_same = before == (key, revision.spec.overlap());
        self.leave_key(slot);
        self.jobs[slot].set_concurrency_key(key);
        self.jobs.replace(slot, revision, armed_through);
        if !is_same {
            self.admit_anew(slot, now);
        }
        self.watch(slot, now);
        self.weigh_pause(slot, now);
        if self.jobs[slot].incidents != 0 {
            self.end_what_is_allowed(slot, now);
            self.reconsider_those_of(slot, now);
        }
        self.activate(slot, now);
        if self.phase == Phase::Draining {
            // The job may have come to send at most once.
            self.keep_for_start();
        }
    }

    fn reply(&mut self, request: Option<RequestId>, reply: Reply) {
        if let Some(request) = request {
            self.output(Output::Reply(request, reply));
        }
    }

    /// Starts the job's current revision: withdrawn rows go, proposed ones are armed, and arming goes on.
    fn activate(&mut self, slot: u32, now: Now) {
        for execution in self.executions.of_job(slot).collect::<Vec<u32>>() {
            match self.executions[execution].state() {
                State::Withheld => self.forget(execution),
                State::Proposed if self.executions[execution].is_asked_for() => {}
                State::Proposed if self.phase == Phase::Draining && self.may_be_taken_back(execution) => {
                    self.take_back(execution);
                }
                State::Proposed => self.executions.arm(execution),
                State::Armed | State::Held | State::Waiting | State::Queued => {}
                State::InFlight | State::Backoff | State::Closing | State::Elsewhere => {}
            }
        }
        self.arm(slot, now);
    }

    /// The change will not be written: what stood before stands again, and what was withheld fires late.
    fn abandon(&mut self, slot: u32, change: &PendingChange, now: Now) {
        for execution in self.executions.of_job(slot).collect::<Vec<u32>>() {
            match self.executions[execution].state() {
                State::Proposed if self.executions[execution].is_asked_for() => {}
                State::Proposed => self.forget(execution),
                State::Withheld if self.phase == Phase::Draining && self.may_be_taken_back(execution) => {
                    self.take_back(execution);
                }
                State::Withheld => self.executions.arm(execution),
                State::Held => self.release(execution, now),
                State::Armed | State::Waiting | State::Queued => {}
                State::InFlight | State::Backoff | State::Closing | State::Elsewhere => {}
            }
        }
        match change {
            PendingChange::Create => self.forget_job(slot),
            PendingChange::Update { revision, .. } => {
                self.jobs.give_name_back(slot, revision);
                self.arm(slot, now);
                // Runs may have come to nothing while the change was under way.
                self.revive(slot, now);
            }
            PendingChange::Release { .. } | PendingChange::Delete => {
                self.arm(slot, now);
                self.revive(slot, now);
            }
        }
        if self.phase == Phase::Draining {
            self.keep_for_start();
        }
    }

    /// The tombstone is on disk: nothing of the job is sent any more; what is in flight finishes.
    fn close_deleted(&mut self, slot: u32, now: Now) {
        self.close_all_of(slot, "the job was deleted", now);
        self.watches.forget_job(slot);
        self.jobs.bury(slot);
        for execution in self.executions.of_job(slot).collect::<Vec<u32>>() {
            match self.executions[execution].state() {
                state @ (State::Armed | State::Held | State::Waiting | State::Queued | State::Backoff) => {
                    if matches!(state, State::Backoff | State::Waiting) {
                        self.targets.end_wait(self.executions[execution].sent_to());
                    }
                    self.executions[execution].row.record.error = Some(JOB_DELETED.into());
                    self.finish(execution, Status::Failed, now);
                }
                State::InFlight | State::Closing | State::Elsewhere => {}
                State::Proposed | State::Withheld => unreachable!("only a change has such, and it is settled"),
            }
        }
        self.forget_job_if_over(slot);
    }

    pub(super) fn reply_to(&mut self, request: RequestId, reply: Reply) {
        self.output(Output::Reply(request, reply));
    }

    pub(super) fn refuse(&mut self, request: RequestId, why: Refusal) {
        self.counts.refused += 1;
        self.output(Output::Reply(request, Reply::Refused(why)));
    }

    /// The slot of a job that clients can see.
    pub(super) fn find(&self, id: JobId) -> Option<u32> {
        let slot = self.jobs.find(id.key())?;
        let job = &self.jobs[slot];
        (job.revision().id == id && job.is_visible()).then_some(slot)
    }
}

/// From when on a job owes what its spec says. What is due some day is due from now on; what was due for the last time
/// after it was read is owed all the same: it may have waited for others since.
pub(super) fn owed_since(spec: &JobSpec, read_at: Instant, now: Now) -> Instant {
    let now = now.wall.floor();
    if spec.schedule.next_after(now).is_none() { read_at.min(now) } else { now }
}
