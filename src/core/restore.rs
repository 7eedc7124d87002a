//! Owns the start: from what the store held to a running scheduler, with every row in doubt found.
//! It must not send: rows in doubt are first written with their new attempt number.

use std::sync::Arc;

use super::executions::{Execution, State};
use super::io::{Notice, Output, Persist, Restored, StoredJob};
use super::key::Kind;
use super::receipts::Receipt;
use super::record::{Class, LedgerRow, Status};
use super::scheduler::{Job, Phase, Scheduler};
use super::sending::JOB_DELETED;
use crate::limits::ARM_LEAD_US;
use crate::time::{Now, WallUs};

impl Scheduler {
    pub(super) fn restore_job(&mut self, stored: StoredJob) {
        assert_eq!(self.phase, Phase::Restoring, "jobs are restored before the scheduler runs");
        let StoredJob { mut revision, totals } = stored;
        self.share_schedule(&mut revision.spec);
        let key = revision.id.key();
        let since = revision.updated_at.floor();
        let target = self.targets.join(revision.spec.post.url.target());
        self.active_jobs += usize::from(revision.spec.active);
        let mut job = Job::new(Arc::new(revision), target, since.max(totals.finished_through.unwrap_or(since)));
        job.tally = totals.tally;
        let slot = super::slot(self.jobs.insert(job));
        self.next_job = self.next_job.max(key.0 + 1);
        let other = self.by_key.insert(key, slot);
        assert!(other.is_none(), "the store holds a key once");
    }

    /// An unfinished row. It is judged in `restore_done`, when all is known.
    pub(super) fn restore_row(&mut self, row: LedgerRow) {
        assert_eq!(self.phase, Phase::Restoring, "rows are restored before the scheduler runs");
        self.next_seq = self.next_seq.max(row.seq.0 + 1);
        let Some(&job) = self.by_key.get(&row.key.job) else {
            // The crash came between the tombstone and the closing of this row.
            let mut row = row;
            (row.record.status, row.record.error) = (Status::Failed, Some(JOB_DELETED.into()));
            self.persist(Persist::Row(row, None), Receipt::Nothing);
            return;
        };
        if row.key.kind == Kind::Scheduled {
            let armed = &mut self.jobs[job as usize].armed_through;
            *armed = row.key.instant.max(*armed);
        }
        self.admit(Execution { written_as: 0, state: State::Held, ..Execution::new(row, job) });
    }

    pub(super) fn restore_done(&mut self, restored: Restored, now: Now) {
        assert_eq!(self.phase, Phase::Restoring, "a scheduler is restored once");
        self.phase = Phase::Running;
        self.next_seq = self.next_seq.max(restored.next_seq);
        self.next_job = self.next_job.max(restored.next_job);
        // A row is armed at most a lead before its instant, so instants further ahead tell the time too.
        let latest = self.jobs.iter().map(|(_, job)| WallUs::of(job.armed_through).plus_us(-ARM_LEAD_US)).max();
        let clock_is_behind = restored.newest.max(latest).is_some_and(|newest| newest > now.wall);
        let mut slots: Vec<u32> = self.executions.iter().map(|(index, _)| super::slot(index)).collect();
        slots.sort_unstable_by_key(|&slot| self.executions[slot as usize].row.seq);
        let mut in_doubt = 0;
        for slot in slots {
            let due = self.executions[slot as usize].row.due;
            if clock_is_behind || due <= now.wall {
                self.doubt(slot, now);
                in_doubt += 1;
            } else {
                self.resume(slot, due, now);
            }
        }
        if in_doubt > 0 {
            self.output(Output::Notice(Notice::InDoubt { rows: in_doubt }));
        }
        let jobs: Vec<u32> = self.by_key.values().copied().collect();
        for slot in jobs {
            let reached = self.jobs[slot as usize].armed_through;
            let due_through = self.jobs[slot as usize].due_through;
            self.pass(slot, due_through);
            self.advance(slot, reached);
            if let Some(next) = self.jobs[slot as usize].next {
                self.arm_heap.set(slot, WallUs::of(next).plus_us(-ARM_LEAD_US));
            }
        }
    }

    /// Nobody knows whether the POST left. It is sent again, under a new attempt number that is written first,
    /// outside the retry budget.
    fn doubt(&mut self, slot: u32, now: Now) {
        let execution = &mut self.executions[slot as usize];
        execution.row.record.attempt += 1;
        execution.row.record.recoveries += 1;
        execution.row.record.class = Class::Recovered;
        // The new attempt is due now, though its instant may lie ahead: after another crash it is in doubt again.
        execution.row.due = execution.row.due.min(now.wall);
        let (job, instant) = (execution.job, execution.row.key.instant);
        self.counts.recovered += 1;
        if execution.row.key.kind == Kind::Scheduled {
            self.pass(job, instant);
        }
        self.write_row(slot);
    }

    /// What still lies ahead goes on as planned.
    fn resume(&mut self, slot: u32, due: WallUs, now: Now) {
        let execution = &mut self.executions[slot as usize];
        if execution.row.record.attempt == 1 {
            execution.state = State::Armed;
            self.fire_heap.set(slot, due);
        } else {
            execution.state = State::Backoff;
            let wait_us = u64::try_from(due.since_us(now.wall)).unwrap_or(0);
            self.retry_heap.set(slot, now.mono.plus_us(wait_us));
            let (job, instant) = (execution.job, execution.row.key.instant);
            self.pass(job, instant);
        }
    }
}
