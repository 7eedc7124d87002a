//! Owns changes that are gathered to be written together: all of them are on disk one day, or none.
//! It must not know what they are: each is accepted as it would be alone, and takes the way of any other.
//!
//! They are accepted one at a time, so that whoever has many of them can do so bit by bit. Meanwhile each of their jobs
//! stands as one that is being written. What is to be one transaction is a stretch of items without any other in between.

use std::collections::HashSet;
use std::sync::Arc;

use super::io::{Accepted, Action, Applied, Change, Command, Output, Persist, Refusal, Reply, RequestId};
use super::receipts::Receipt;
use super::scheduler::Scheduler;
use super::shard::Shards;
use crate::job::{JobKey, JobSpec};
use crate::schedule::Calendars;
use crate::time::Now;

/// Changes that are accepted and not asked to be written yet.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Whether what is being accepted is to be one of them.
    pub(super) is_open: bool,
    changes: Vec<(u32, Box<Change>)>,
    /// What becomes of the job that is being accepted, if it was declared.
    pub(super) applied: Option<Applied>,
    /// Jobs that were declared and are so already: none of them is changed by what comes behind it.
    settled: HashSet<JobKey>,
    /// What was gathered is given up, as some of it is another node's. So is what comes, until it was to be written.
    is_broken: bool,
}

impl Gathering {
    /// Whether there are any.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Nothing of what was gathered is left, if there was any.
    pub(super) fn emptied(&self) -> Gathering {
        let is_broken = self.is_broken || self.has_changes();
        Gathering { is_broken, ..Gathering::default() }
    }

    /// A job is what it was declared to be.
    pub(super) fn settle(&mut self, job: JobKey) {
        if self.is_open {
            self.settled.insert(job);
        }
    }

    /// Whether what is being accepted comes behind a line that found this job as it is to be.
    pub(super) fn is_settled(&self, job: JobKey) -> bool {
        self.is_open && self.settled.contains(&job)
    }
}

/// Lets what a job is to be follow its calendars as they are. It may have been read a while ago, when they were others.
pub(super) fn follow(action: &mut Action, calendars: &Calendars) -> Result<(), Reply> {
    let spec: &mut JobSpec = match action {
        Action::Create { spec, .. } | Action::Update { spec, .. } => spec,
        Action::Apply(apply) => &mut apply.spec,
        Action::Delete { .. } | Action::Pause { .. } | Action::Resume { .. } | Action::Release { .. } => return Ok(()),
        Action::PutCalendar { .. } | Action::DeleteCalendar { .. } | Action::Run(_) | Action::ReplayAll(_) => {
            return Ok(());
        }
        Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => return Ok(()),
    };
    if spec.schedule.calendars().any(|calendar| calendars.get(&calendar.name).is_none()) {
        return Err(Reply::Conflict(NO_CALENDAR));
    }
    if spec.schedule.calendars().next().is_some() {
        spec.schedule = Arc::new(spec.schedule.with_calendars(calendars));
    }
    Ok(())
}

const NO_CALENDAR: &str = "a calendar that the job is to follow was deleted meanwhile";

impl Scheduler {
    /// Accepts a change and does not ask for it to be written: [`Output::Gathered`]. If there is nothing to be written,
    /// that is the answer.
    pub(super) fn gather(&mut self, mut command: Command, now: Now) {
        if self.gathering.is_broken {
            return self.refuse(command.request, Refusal::NotOwned);
        }
        if let Err(reply) = follow(&mut command.action, self.calendars()) {
            return self.output(Output::Reply(command.request, reply));
        }
        self.gathering.is_open = true;
        self.command(command, now);
        self.gathering.is_open = false;
        self.gathering.applied = None;
    }

    /// A change was accepted that is to be written with others.
    pub(super) fn note_gathered(&mut self, slot: u32, request: RequestId, change: Change) {
        self.gathering.changes.push((slot, Box::new(change)));
        let (job, applied) = (Some(self.jobs[slot].revision().id), self.gathering.applied.take());
        self.output(Output::Gathered(request, Accepted { job, applied }));
    }

    /// Asks for all that is gathered to be written. That may be nothing. If it was given up meanwhile, that is the answer.
    pub(super) fn write_gathered(&mut self, request: RequestId) {
        if std::mem::take(&mut self.gathering.is_broken) {
            return self.refuse(request, Refusal::NotOwned);
        }
        self.gathering.settled = HashSet::new();
        let changes = std::mem::take(&mut self.gathering.changes);
        if changes.is_empty() {
            return;
        }
        let first = self.receipts.next();
        self.output(Output::Together(request, first..=first + changes.len() as u64 - 1));
        for (slot, change) in changes {
            let number = self.persist(Persist::Change(change), Receipt::Gathered(slot));
            self.note_written_as(slot, number);
        }
    }

    /// If some of what is gathered is another node's by now, all of it is given up.
    pub(super) fn break_gathered(&mut self, shards: &Shards, now: Now) {
        if self.gathering.changes.iter().any(|&(slot, _)| shards.contains(self.jobs[slot].shard())) {
            self.gathering.is_broken = true;
            self.give_up_gathered(Refusal::NotOwned, now);
        }
    }

    /// Gives up what is gathered: nothing has changed.
    pub(super) fn give_up_gathered(&mut self, why: Refusal, now: Now) {
        self.gathering.settled = HashSet::new();
        for (slot, _) in std::mem::take(&mut self.gathering.changes) {
            // Who waited behind it hears why, and is not carried out first.
            let pending = self.jobs[slot].pending.as_mut();
            let waiting = pending.map(|pending| std::mem::take(&mut pending.waiting)).unwrap_or_default();
            waiting.into_iter().for_each(|command| self.refuse(command.request, why));
            self.change_settled(slot, false, now);
        }
    }
}
