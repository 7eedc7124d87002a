//! Owns changes that are gathered to be written together: all of them are on disk one day, or none.
//! It must not know what they are: each is accepted as it would be alone, and takes the way of any other.
//!
//! They are accepted one at a time, so that whoever has many of them can do so bit by bit. Meanwhile each of their jobs
//! stands as one that is being written. What is to be one transaction is a stretch of items without any other in between.

use std::sync::Arc;

use super::io::{Action, Change, Command, Output, Persist, Reply, RequestId};
use super::receipts::Receipt;
use super::scheduler::Scheduler;
use crate::time::Now;

/// Changes that are accepted and not asked to be written yet.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Whether what is being accepted is to be one of them.
    pub(super) is_open: bool,
    changes: Vec<(u32, Box<Change>)>,
}

impl Gathering {
    /// Whether there are any.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }
}

const NO_CALENDAR: &str = "a calendar that the job is to follow was deleted meanwhile";

impl Scheduler {
    /// Accepts a change and does not ask for it to be written: [`Output::Gathered`]. If there is nothing to be written,
    /// that is the answer.
    pub(super) fn gather(&mut self, mut command: Command, now: Now) {
        // It may have been read a while ago, when calendars were others.
        if let Action::Create { spec, .. } | Action::Update { spec, .. } = &mut command.action
            && spec.schedule.calendars().next().is_some()
        {
            if spec.schedule.calendars().any(|calendar| self.calendars().get(&calendar.name).is_none()) {
                return self.output(Output::Reply(command.request, Reply::Conflict(NO_CALENDAR)));
            }
            spec.schedule = Arc::new(spec.schedule.with_calendars(self.calendars()));
        }
        self.gathering.is_open = true;
        self.command(command, now);
        self.gathering.is_open = false;
    }

    /// A change was accepted that is to be written with others.
    pub(super) fn note_gathered(&mut self, slot: u32, request: RequestId, change: Change) {
        self.gathering.changes.push((slot, Box::new(change)));
        self.output(Output::Gathered(request, self.jobs[slot].revision().id));
    }

    /// Asks for all that is gathered to be written.
    pub(super) fn write_gathered(&mut self, request: RequestId) {
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

    /// Gives up what is gathered: nothing has changed.
    pub(super) fn give_up_gathered(&mut self, now: Now) {
        for (slot, _) in std::mem::take(&mut self.gathering.changes) {
            self.change_settled(slot, false, now);
        }
    }
}
