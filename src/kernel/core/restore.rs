//! Owns adoption: jobs and rows that were found on disk are taken over, at the start or while running, and judged.
//! It must not send: rows in doubt are first written with their new attempt number.
//!
//! Who is alone starts with whatever a process before left, which may have died at any moment, and with the clock of that
//! process: a time that lies ahead tells that the clock has stepped back, so that nothing can be known of any row. Among
//! others ([`super::Settings::skew_us`]) a row comes from another node, whose clock is never the same: of one that died it
//! is in doubt what was due by any clock, and of one that gave it away nothing is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::admission::is_running;
use super::details::Wait;
use super::executions::State;
use super::incident::Incident;
use super::io::{Known, Notice, Output, Persist, Restored, StoredJob};
use super::jobs::Job;
use super::key::{ExecutionKey, Kind};
use super::receipts::Receipt;
use super::record::{Class, LedgerRow, Status};
use super::scheduler::{Phase, Scheduler};
use super::sending::{JOB_DELETED, NOT_AGAIN};
use crate::job::{Delivery, Overlap};
use crate::time::{Instant, Now, WallUs};

/// What was taken over and is not judged yet. Until then it does nothing, and clients do not see it.
#[derive(Debug, Default)]
pub(super) struct Adoption {
    jobs: Vec<u32>,
    executions: Vec<(u32, Known)>,
    /// Rows of jobs that are at work: those go on meanwhile.
    of_others: Vec<(LedgerRow, Known)>,
    pub(super) incidents: Vec<Incident>,
}

impl Scheduler {
    pub(super) fn adopt_job(&mut self, stored: StoredJob) {
        assert_ne!(self.phase, Phase::Draining, "nothing is taken over by who is leaving");
        let StoredJob { mut revision, totals } = stored;
        self.jobs.share_schedule(&mut revision.spec);
        let (target, key) = (self.targets.join(revision.spec.post.url.target()), self.join_key(&revision.spec));
        let finished = totals.finished_through.filter(|(era, _)| *era == revision.era);
        let finished = finished.map_or(Instant::FIRST, |(_, through)| through);
        // From when on it owes something may lie ahead, and is no evidence of what was reached.
        let passed = revision.since.min(revision.updated_at.floor()).max(finished);
        let mut job = Job::new(Arc::new(revision), target, key, passed);
        job.set_tally(totals.tally);
        // Its calendars may be found after it.
        let follows_any = job.spec().schedule.calendars().next().is_some();
        job.is_stale = follows_any;
        let slot = self.jobs.adopt(job);
        self.adoption.jobs.push(slot);
    }

    /// A row of an adopted job, of one that is at work, or of none.
    pub(super) fn adopt_row(&mut self, row: LedgerRow, known: Known) {
        assert_ne!(self.phase, Phase::Draining, "nothing is taken over by who is leaving");
        let Some(job) = self.jobs.find(row.key.job) else {
            return self.close_of_nobody(row, known);
        };
        if self.jobs[job].is_at_work() {
            return self.adoption.of_others.push((row, known));
        }
        if self.is_of_its_era(job, &row.key) {
            self.jobs.reach(job, row.key.instant);
        }
        if known == Known::InFlight {
            return self.adopt_in_flight(row, job);
        }
        let slot = self.executions.adopt(row, job);
        self.adoption.executions.push((slot, known));
    }

    /// The crash came between the tombstone and the closing of this row; or it was in flight when the job was deleted.
    fn close_of_nobody(&mut self, mut row: LedgerRow, known: Known) {
        if known == Known::InFlight {
            return;
        }
        if row.record.status == Status::Pending {
            (row.record.status, row.record.error) = (Status::Failed, Some(JOB_DELETED.into()));
            row.record.note_wait(None);
        }
        self.persist(Persist::Row(row, None), Receipt::Nothing);
    }

    /// A row that is in flight at the node that had its job before: it runs, uses up one of the job's runs, and holds its
    /// key, and how it ends will be told by its row.
    fn adopt_in_flight(&mut self, row: LedgerRow, job: u32) {
        let key = row.key;
        let slot = self.executions.adopt_in_flight(row, job);
        if self.is_of_its_era(job, &key) {
            self.jobs.pass(job, key.instant);
        }
        if let Some(key) = self.jobs[job].concurrency_key() {
            self.keys.occupy(key);
            self.executions.take_key(slot, key);
        }
    }

    /// A row of a job that is at work: what was in flight elsewhere has come to an end, or to a crash.
    fn adopt_late(&mut self, row: LedgerRow, known: Known) -> Option<u32> {
        let Some(job) = self.jobs.find(row.key.job) else {
            self.close_of_nobody(row, known);
            return None;
        };
        let known_as = self.executions.of_job(job).find(|&slot| self.executions[slot].row.seq == row.seq);
        if let Some(slot) = known_as {
            // Whatever else is here of this number is newer than what was found.
            let comes_home = self.executions[slot].state() == State::Elsewhere && known != Known::InFlight;
            if comes_home {
                self.give_key_back(slot);
                self.executions.come_home(slot, row);
            }
            return comes_home.then_some(slot);
        }
        let instant = row.key.instant;
        if self.is_of_its_era(job, &row.key) && instant > self.jobs[job].armed_through() {
            self.jobs.advance(job, instant);
        }
        if known == Known::InFlight {
            self.adopt_in_flight(row, job);
            return None;
        }
        Some(self.executions.adopt(row, job))
    }

    /// All that belongs together is taken over: what is in doubt, what goes on as planned, and where each job goes on.
    pub(super) fn acquire(&mut self, restored: Restored, now: Now) {
        assert_ne!(self.phase, Phase::Draining, "nothing is taken over by who is leaving");
        self.phase = Phase::Running;
        self.ownership.acquire(&restored.shards, &restored.epochs);
        self.next_seq = self.next_seq.max(restored.next_seq);
        self.jobs.reserve_keys(restored.next_job);
        self.reserve_incidents(restored.next_incident);
        let Adoption { mut jobs, executions: mut slots, of_others, incidents } = std::mem::take(&mut self.adoption);
        jobs.sort_unstable_by_key(|&job| self.jobs[job].key());
        self.judge_incidents(incidents, now);
        self.watch_all(&jobs, now);
        let clock_is_behind = self.settings.skew_us.is_none() && {
            let slots = slots.iter().map(|&(slot, _)| slot);
            restored.newest.max(self.newest_of(&jobs, slots)).is_some_and(|newest| newest > now.wall)
        };
        for &job in &jobs {
            self.jobs.reach(job, self.jobs[job].revision().since);
        }
        for (row, known) in of_others {
            slots.extend(self.adopt_late(row, known).map(|slot| (slot, known)));
        }
        self.sort_found(&mut slots);
        let by_now = now.wall.plus_us(self.settings.skew_us.unwrap_or(0));
        // Jobs one of whose executions runs: there may be many rows of one job.
        let mut run = BTreeSet::new();
        let (mut in_doubt, mut unsent, mut resumed, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (slot, known) in slots {
            let execution = &self.executions[slot];
            let (due, waits_for, job) = (execution.row.due, execution.waits_for(), execution.job);
            let was_due = match waits_for {
                Some(Wait::Overlap | Wait::ConcurrencyKey | Wait::Start) => true,
                Some(Wait::Retry) | None => due <= now.wall,
            };
            // What waits for something was not sent, whatever the clock says.
            let may_be_sent = waits_for.is_none() && (clock_is_behind || due <= by_now);
            if execution.row.record.status != Status::Pending || self.jobs[job].is_deleted() {
                ended.push(slot);
            } else if may_be_sent && known != Known::Unsent {
                in_doubt.push(slot);
            } else if known == Known::Unsent && execution.may_be_taken_back() && !execution.is_asked_for() {
                // As if it had been armed here: if its instant has come, it is reached with the next tick.
                self.executions.arm(slot);
            } else if was_due && WallUs::of(execution.instant()) <= now.wall {
                unsent.push(slot);
            } else {
                self.resume(slot, due, now);
                resumed.push(slot);
                run.extend(self.executions[slot].runs.then_some(job));
            }
        }
        // Behind those that wait for a retry: they run, whatever was armed before them.
        in_doubt.iter().for_each(|&slot| self.doubt(slot, &mut run, now));
        if !in_doubt.is_empty() {
            self.output(Output::Notice(Notice::InDoubt { rows: in_doubt.len() }));
        }
        self.put_to_work(jobs, now);
        for slot in resumed {
            if self.executions[slot].state() == State::Backoff {
                let target = self.executions[slot].sent_to();
                if self.give_way(slot, now) {
                    self.targets.end_wait(target);
                }
            }
        }
        for slot in unsent {
            let (job, key) = (self.executions[slot].job, self.executions[slot].row.key);
            if self.is_of_its_era(job, &key) {
                self.jobs.pass(job, key.instant);
            }
            if !self.give_way(slot, now) {
                self.become_due(slot, now);
            }
        }
        ended.into_iter().for_each(|slot| self.end_of_elsewhere(slot, now));
    }

    /// The newest time that rows and jobs tell of.
    fn newest_of(&self, jobs: &[u32], slots: impl Iterator<Item = u32>) -> Option<WallUs> {
        // A row is armed at most a lead before its instant, so instants further ahead tell the time too. Cursors tell of
        // rows that are finished, and nothing of those from before a release.
        let armed = |instant| WallUs::of(instant).plus_us(-self.settings.lead_us);
        let reached = jobs.iter().map(|&job| armed(self.jobs[job].armed_through()));
        let told = slots.map(|slot| &self.executions[slot]).filter_map(|execution| {
            let (record, due) = (&execution.row.record, execution.row.due);
            match execution.is_asked_for() {
                false => Some(armed(execution.instant())),
                // What a client asked for was due when it asked.
                true => (record.attempt == 1 + record.recoveries).then_some(due),
            }
        });
        reached.chain(told).max()
    }

    /// In the order in which they were armed. Between numbers of several nodes time tells it.
    fn sort_found(&self, slots: &mut [(u32, Known)]) {
        let is_alone = self.settings.skew_us.is_none();
        slots.sort_unstable_by_key(|&(slot, _)| {
            let execution = &self.executions[slot];
            ((!is_alone).then(|| execution.instant()), execution.row.seq)
        });
    }

    /// From here on clients see these jobs, and they go on after their cursors.
    fn put_to_work(&mut self, jobs: Vec<u32>, now: Now) {
        for slot in jobs {
            if self.jobs[slot].is_stale {
                self.follow_calendars(slot, now);
            }
            self.jobs.put_to_work(slot);
            if self.exhaust(slot) {
                continue;
            }
            if let Some(next) = self.jobs[slot].next() {
                self.jobs.arm_for(slot, next);
            }
        }
    }

    /// What was in flight elsewhere is finished, or its job is: all that follows from that is done here.
    fn end_of_elsewhere(&mut self, slot: u32, now: Now) {
        let (job, record) = (self.executions[slot].job, &mut self.executions[slot].row.record);
        if record.status == Status::Pending {
            (record.status, record.error) = (Status::Failed, Some(JOB_DELETED.into()));
        }
        let (status, http_status) = (record.status, record.http_status);
        self.executions[slot].runs = true;
        self.finish(slot, status, now);
        self.consider_pausing(job, http_status, status == Status::Failed, now);
    }

    /// Whether a job's cursors take account of an execution: it is scheduled, and not from before a release.
    pub(super) fn is_of_its_era(&self, job: u32, key: &ExecutionKey) -> bool {
        key.kind == Kind::Scheduled && key.number == self.jobs[job].era()
    }

    /// Nobody knows whether the POST left. It is sent again, under a new attempt number that is written first,
    /// outside the retry budget; but not before its instant, which lies ahead if the clock was ahead once. What is to be
    /// sent at most once is not.
    fn doubt(&mut self, slot: u32, run: &mut BTreeSet<u32>, now: Now) {
        let (job, key) = (self.executions[slot].job, self.executions[slot].row.key);
        if self.is_of_its_era(job, &key) {
            self.jobs.pass(job, key.instant);
        }
        let lies_ahead = WallUs::of(key.instant) > now.wall;
        // Of executions that must not run together the first may run already; the others wait for it.
        let is_alone = self.jobs[job].overlap() != Overlap::Allow;
        let mut others = self.executions.of_job(job).filter(|&other| other != slot);
        let one_runs = others.any(|other| is_running(&self.executions[other]));
        drop(others);
        self.executions[slot].runs = is_alone && !lies_ahead && !one_runs && run.insert(job);
        if self.jobs[job].spec().post.delivery == Delivery::AtMostOnce {
            self.executions[slot].row.record.error = Some(NOT_AGAIN.into());
            return self.finish(slot, Status::Failed, now);
        }
        let execution = &mut self.executions[slot];
        // The job may become one that sends at most once before this goes out.
        execution.maybe_sent = true;
        execution.row.record.attempt += 1;
        execution.row.record.recoveries += 1;
        execution.row.record.class = Class::Recovered;
        let due = execution.row.due.min(now.wall).max(WallUs::of(key.instant));
        self.executions.set_due(slot, due);
        self.counts.recovered += 1;
        self.write_row(slot);
        if lies_ahead {
            self.executions.arm(slot);
        }
    }

    /// What still lies ahead goes on as planned.
    fn resume(&mut self, slot: u32, due: WallUs, now: Now) {
        let (job, key) = (self.executions[slot].job, self.executions[slot].row.key);
        // What waits was due before, when the clock was ahead.
        let was_due = self.executions[slot].row.record.attempt > 1 || self.executions[slot].waits_for().is_some();
        if was_due && self.is_of_its_era(job, &key) {
            self.jobs.pass(job, key.instant);
        }
        // An instant that lies ahead is waited for by the wall clock, whatever attempt it is.
        if WallUs::of(key.instant) > now.wall {
            self.executions.arm(slot);
            return;
        }
        let wait_us = u64::try_from(due.since_us(now.wall)).unwrap_or(0);
        let target = self.jobs[job].target;
        self.executions.back_off(slot, now.mono.plus_us(wait_us), target);
        self.executions[slot].runs = true;
        self.targets.begin_wait(target);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Bounds, Input, Seq, Settings, Shards, Totals};
    use super::*;
    use crate::core::{ExecutionKey, JobView};
    use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Misfire, RetryPolicy, Revision};
    use crate::time::{Instant, MonoUs};

    const START: i64 = 1_767_225_600;

    fn at(second: i64) -> Now {
        let since_us = u64::try_from(second - START).expect("after the start") * 1_000_000;
        Now { wall: WallUs::of(Instant::from_secs(second)).plus_us(1), mono: MonoUs(since_us) }
    }

    fn stored(key: u64) -> StoredJob {
        let since = Instant::from_secs(START - 10);
        let spec =
            JobSpec::compile(&Definition::plain("* * * * * *", "http://a/"), &Context::at(since)).expect("valid");
        let revision = Revision::first(JobId::new(JobKey(key), [7; 10]), spec, WallUs::of(since));
        let finished_through = Some((0, Instant::from_secs(START - 1)));
        StoredJob { revision, totals: Totals { finished_through, ..Totals::default() } }
    }

    fn feed(core: &mut Scheduler, input: Input, now: Now) -> Vec<Output> {
        core.handle_input(input, now);
        core.check();
        std::iter::from_fn(|| core.poll_output()).collect()
    }

    fn seen(core: &Scheduler, now: Now) -> Vec<u64> {
        let key = |view: &JobView| view.revision.id.key().0;
        core.jobs_after(None, 10, now.wall).iter().map(key).collect()
    }

    #[test]
    fn jobs_are_adopted_by_a_scheduler_that_runs() {
        let retry = RetryPolicy::doubling(0, Duration::ZERO);
        let lateness_max = Duration::from_secs(600);
        let mut core = Scheduler::new(Settings {
            in_flight_max: 100,
            retry,
            misfire: Misfire::Once,
            lateness_max,
            lead_us: crate::limits::ARM_LEAD_US,
            skew_us: None,
            noise: 1,
            bounds: Bounds::default(),
        });
        let done = || {
            Input::Acquired(Restored {
                shards: Shards::ALL,
                epochs: Vec::new(),
                next_seq: 1,
                next_job: 1,
                next_incident: 1,
                newest: None,
            })
        };
        feed(&mut core, Input::RestoreJob(Box::new(stored(1))), at(START));
        feed(&mut core, done(), at(START));
        feed(&mut core, Input::Tick, at(START));
        assert_eq!(seen(&core, at(START)), [1]);

        // Another node's job and its row, which may have been sent.
        feed(&mut core, Input::RestoreJob(Box::new(stored(9))), at(START));
        let key = ExecutionKey::scheduled(JobKey(9), Instant::from_secs(START));
        let row = LedgerRow::pending(Seq(700), key, Class::OnTime);
        feed(&mut core, Input::RestoreRow(Box::new(row), Known::Nothing), at(START));
        assert_eq!(seen(&core, at(START)), [1], "nobody sees what is not judged");
        let outputs = feed(&mut core, done(), at(START));
        assert!(matches!(outputs[..], [Output::Persist(_, Persist::Row(_, None)), Output::Notice(_)]), "{outputs:?}");
        let Output::Persist(number, Persist::Row(row, _)) = &outputs[0] else { unreachable!() };
        assert_eq!((row.key, row.record.attempt, row.record.class), (key, 2, Class::Recovered));
        assert_eq!(seen(&core, at(START)), [1, 9]);

        let committed = Input::Committed { through: *number, rejected: Vec::new() };
        let fired = feed(&mut core, committed, at(START));
        let fired = fired.iter().any(|output| matches!(output, Output::Fire(attempt) if attempt.id.key() == key));
        assert!(fired, "it is sent again once its new attempt is on disk");
        let armed = feed(&mut core, Input::Tick, at(START + 1));
        let next = ExecutionKey::scheduled(JobKey(9), Instant::from_secs(START + 1));
        let goes_on =
            armed.iter().any(|output| matches!(output, Output::Persist(_, Persist::Row(row, _)) if row.key == next));
        assert!(goes_on, "it goes on after its newest row: {armed:?}");
    }
}
