//! Owns arming: which instant of a job gets a row next, and what becomes of instants that nobody could fire.
//! It must not send anything: a row it arms waits for its instant and for the disk.

use std::sync::Arc;

use super::bounds::Bounds;
use super::io::{Notice, Output, Persist};
use super::jobs::{Job, Overload};
use super::key::ExecutionKey;
use super::receipts::Receipt;
use super::record::{Class, Covers, LedgerRow, Seq, Status};
use super::scheduler::{Phase, Scheduler};
use super::sending::TOO_LATE;
use crate::job::{JobSpec, Misfire};
use crate::limits::{OVERLOAD_NOTICE_US, OVERLOAD_PAUSE_S};
use crate::schedule::{Count, Schedule};
use crate::time::{Instant, MonoUs, Now, WallUs};

/// Why an instant was missed, as clients read it in the row.
const NOBODY_COULD_FIRE: &str = "missed: it passed while nobody could fire it";
const BACKLOG_FULL: &str = "missed: too many executions already wait for this target";
/// The wait before arming goes on, when a turn's budget is used up.
pub(super) const RESUME_US: u64 = 1_000;
/// What making a schedule anew costs, as its calendars have changed.
pub(super) const FOLLOW_STEPS: u32 = 16;

/// The instants of a schedule in a gap, by the gap asked for last: after a stop, jobs with one schedule share it.
#[derive(Debug, Default)]
pub(super) struct GapMemo(Option<(Arc<Schedule>, Instant, Instant, Gap)>);

#[derive(Clone, Copy, Debug)]
struct Gap {
    latest: Instant,
    count: u32,
    more: bool,
}

impl GapMemo {
    /// The gap `(after, through]`, counted up to `most`, None if it holds no instant; and what finding it cost.
    fn find(&mut self, schedule: &Arc<Schedule>, after: Instant, through: Instant, most: u32) -> (Option<Gap>, u32) {
        if let Some((known, from, to, gap)) = &self.0
            && Arc::ptr_eq(known, schedule)
            && (*from, *to) == (after, through)
        {
            return (Some(*gap), 1);
        }
        let left_out = schedule.left_out_in(after, through);
        let Some(latest) = schedule.latest_in(after, through) else { return (None, left_out + 1) };
        let (count, more) = match schedule.count_in(after, through, most) {
            Count::Exactly(count) => (count, false),
            Count::MoreThan(count) => (count, true),
        };
        let gap = Gap { latest, count, more };
        self.0 = Some((Arc::clone(schedule), after, through, gap));
        (Some(gap), count + left_out + 32)
    }
}

/// Instants that were passed over because too much waited for their target, since it was told last.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    jobs: u64,
    instants: u64,
    told: Option<MonoUs>,
}

impl PassedOver {
    fn note(&mut self, instants: u32) {
        self.jobs += 1;
        self.instants += u64::from(instants);
    }

    /// What is to be told now: of how many looks at a job, how many instants.
    fn take(&mut self, now: MonoUs) -> Option<(u64, u64)> {
        if self.instants == 0 || self.told.is_some_and(|told| now < told.plus_us(OVERLOAD_NOTICE_US)) {
            return None;
        }
        self.told = Some(now);
        Some((std::mem::take(&mut self.jobs), std::mem::take(&mut self.instants)))
    }
}

impl Scheduler {
    /// Arms every job whose time has come, within the budget of a turn.
    pub(super) fn arm_due(&mut self, now: Now) {
        self.jobs.queue_through(self.horizon(now));
        self.arm_queued(now);
    }

    /// Goes on with jobs whose arming had to wait.
    pub(super) fn arm_queued(&mut self, now: Now) {
        let most = self.settings.bounds.arm_steps_per_turn;
        let mut steps = self.follow_changed(most, now);
        while steps < most {
            if !self.has_room() {
                self.arm_resume = None;
                return;
            }
            let Some(slot) = self.jobs.next_queued() else {
                self.release_stalled(now);
                break;
            };
            steps += self.arm(slot, now);
        }
        // Those that are to follow a calendar stand there, too.
        let is_more = self.jobs.queued() > 0;
        self.arm_resume = is_more.then(|| now.mono.plus_us(RESUME_US));
    }

    /// Whether more may be armed: rows that wait for the disk and executions that wait for anything are bounded.
    fn has_room(&self) -> bool {
        let Bounds { unwritten_max, executions_max, .. } = self.settings.bounds;
        self.receipts.unwritten() < unwritten_max && self.executions.len() < executions_max
    }

    /// Arms stalled jobs again, as far as what was sent has made room. Jobs whose time has come go before them: those of a
    /// target with too much to do would take all the room that the disk makes, and the others miss theirs.
    pub(super) fn release_stalled(&mut self, now: Now) {
        while self.jobs.queued() == 0 && self.has_room() {
            let Some((target, job)) = self.targets.next_unstalled() else { return };
            // It may be gone, or have another target; or it was armed meanwhile, as it was looked at again.
            let stalled = self.jobs.find(job).filter(|&slot| self.jobs[slot].overload == Overload::Stalled);
            let Some(slot) = stalled.filter(|&slot| self.jobs[slot].target == target) else { continue };
            let before = self.executions.armed();
            self.jobs[slot].overload = Overload::Released;
            self.arm(slot, now);
            // If it has nothing to be armed now, it is a job like any other.
            self.jobs[slot].overload = Overload::None;
            self.targets.spend(target, (self.executions.armed() - before).max(1));
        }
    }

    /// Says once in a while what was passed over, while that lasts.
    pub(super) fn tell_overload(&mut self, now: Now) {
        if let Some((jobs, instants)) = self.passed_over.take(now.mono) {
            self.output(Output::Notice(Notice::Overload { jobs, instants }));
        }
    }

    /// Whether a job is here, and no change of it on its way to the disk.
    pub(super) fn may_be_armed(&self, slot: u32) -> bool {
        let job = &self.jobs[slot];
        let is_gone = job.is_deleted() || job.is_given_away();
        self.phase == Phase::Running && job.is_at_work() && job.pending.is_none() && !is_gone
    }

    /// Settles what a job missed, arms what is near, and sets when to look again. Returns how many steps it took.
    pub(super) fn arm(&mut self, slot: u32, now: Now) -> u32 {
        if !self.may_be_armed(slot) {
            return 1;
        }
        if self.jobs[slot].is_stale {
            // Its change was on its way to the disk when the others followed, in the budget of a turn.
            self.follow_calendars(slot, now);
        }
        let job = &self.jobs[slot];
        let Some(next) = job.next() else { return 1 };
        let (target, key, overload) = (job.target, job.key(), job.overload);
        let mut steps = 1;
        if WallUs::of(next) <= now.wall {
            steps += self.settle_gap(slot, now);
        }
        if self.exhaust(slot) {
            return steps;
        }
        if overload != Overload::Released && self.targets.is_full(target) {
            self.jobs[slot].overload = Overload::Stalled;
            if overload == Overload::None {
                self.targets.stall(target, key);
            }
            let later = Instant::from_secs(self.horizon(now).as_secs().saturating_add(OVERLOAD_PAUSE_S));
            self.schedule_arming(slot, now, Some(later));
            return steps;
        }
        self.jobs[slot].overload = Overload::None;
        let mut left = self.runs_left(slot).unwrap_or(u64::MAX);
        let horizon = self.horizon(now);
        while let Some(near) = self.jobs[slot].next().filter(|&next| next <= horizon && left > 0) {
            let armed = self.arm_row(slot, near, Class::OnTime, None);
            self.executions.arm(armed);
            steps += 1 + self.jobs.advance(slot, near);
            left -= 1;
        }
        if !self.exhaust(slot) {
            self.schedule_arming(slot, now, None);
        }
        steps
    }

    /// Sets when the job is looked at again: a lead before its next instant, or before `later` if that is later.
    pub(super) fn schedule_arming(&mut self, slot: u32, now: Now, later: Option<Instant>) {
        let Some(next) = self.jobs[slot].next() else { return self.jobs.rest(slot) };
        let second = later.map_or(next, |later| later.max(next));
        assert!(second > self.horizon(now), "what is near is armed already");
        self.jobs.arm_for(slot, second);
    }

    /// Settles what a job missed so far, while the spec that owes it is still in force.
    pub(super) fn settle_due(&mut self, slot: u32, now: Now) {
        if self.jobs[slot].next().is_some_and(|next| WallUs::of(next) <= now.wall) {
            self.settle_gap(slot, now);
        }
    }

    /// Applies the misfire policy to the instants up to now. Every one of them ends in a row of its own or is
    /// covered by one. Returns how many steps it took.
    fn settle_gap(&mut self, slot: u32, now: Now) -> u32 {
        // Who has no runs left owes nothing.
        if self.exhaust(slot) {
            return 0;
        }
        self.end_retries(slot, now);
        let job = &self.jobs[slot];
        let through = now.wall.floor();
        if job.overload != Overload::None {
            return self.settle_stretch(slot, through, Misfire::Skip, BACKLOG_FULL, now);
        }
        let policy = self.misfire_of(job);
        let mut steps = 0;
        if let Some(lateness_max) = job.misfire().lateness_max.filter(|_| policy != Misfire::Skip) {
            let lateness_us = i64::try_from(lateness_max.as_micros()).unwrap_or(i64::MAX);
            let too_late = now.wall.plus_us(-lateness_us).plus_us(-1).floor();
            if job.next().is_some_and(|next| next <= too_late) {
                steps += self.settle_stretch(slot, too_late, Misfire::Skip, TOO_LATE, now);
            }
        }
        steps + self.settle_stretch(slot, through, policy, NOBODY_COULD_FIRE, now)
    }

    /// Settles the instants up to `through` by one policy.
    fn settle_stretch(&mut self, slot: u32, through: Instant, policy: Misfire, reason: &'static str, now: Now) -> u32 {
        let job = &self.jobs[slot];
        let (after, id) = (job.armed_through(), job.revision().id);
        let schedule = Arc::clone(&job.spec().schedule);
        let passes_over = job.overload != Overload::None;
        let Bounds { missed_count_max, misfire_all_max, .. } = self.settings.bounds;
        let catch_up_max = job.misfire().catch_up_max.unwrap_or(misfire_all_max).min(misfire_all_max);
        let left = self.runs_left(slot).map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
        let runs_max = catch_up_max.min(left);
        let (gap, mut steps) = self.gaps.find(&schedule, after, through, missed_count_max);
        let Some(gap) = gap else { return steps };
        let first = schedule.next_in(after, through).expect("the gap holds an instant");
        let covers = Covers { from: first, count: gap.count, more: gap.more };
        match policy {
            Misfire::Once => self.catch_up(slot, gap.latest, (gap.count > 1 || gap.more).then_some(covers), now),
            // Under overload most gaps are one instant.
            Misfire::Skip if passes_over && gap.count == 1 && !gap.more => {
                self.record_missed(slot, gap.latest, None, reason, now)
            }
            Misfire::Skip => self.record_missed(slot, gap.latest, Some(covers), reason, now),
            Misfire::All => {
                let mut cursor = after;
                if gap.count > runs_max || gap.more {
                    cursor = last_of(&schedule, after, through, runs_max);
                    let (count, more) = match schedule.count_in(after, cursor, missed_count_max) {
                        Count::Exactly(count) => (count, false),
                        Count::MoreThan(count) => (count, true),
                    };
                    let latest = schedule.latest_in(after, cursor).expect("more instants than are run");
                    self.record_missed(slot, latest, Some(Covers { from: first, count, more }), reason, now);
                    steps += count + 64 * misfire_all_max;
                }
                while let Some(next) = schedule.next_in(cursor, through) {
                    self.catch_up(slot, next, None, now);
                    cursor = next;
                    steps += 1;
                }
            }
        }
        self.counts.missed += u64::from(gap.count);
        self.jobs.pass(slot, gap.latest);
        steps += self.jobs.advance(slot, gap.latest);
        if passes_over {
            self.passed_over.note(gap.count);
        } else {
            self.output(Output::Notice(Notice::Missed { job: id, count: gap.count, more: gap.more, reason }));
        }
        steps
    }

    /// What becomes of the instants a job missed.
    pub(super) fn misfire_of(&self, job: &Job) -> Misfire {
        job.misfire().policy.unwrap_or(self.settings.misfire)
    }

    /// Arms a run for an instant that has passed.
    fn catch_up(&mut self, slot: u32, instant: Instant, covers: Option<Covers>, now: Now) {
        let armed = self.arm_row(slot, instant, Class::CatchUp, covers);
        self.executions.hold(armed);
        self.watch_start(armed, now);
        self.counts.caught_up += 1;
    }

    /// Writes one row for instants that are not run.
    fn record_missed(&mut self, slot: u32, instant: Instant, covers: Option<Covers>, reason: &str, now: Now) {
        let mut row = self.new_row(slot, instant, Class::CatchUp, covers);
        (row.record.status, row.record.attempt) = (Status::Skipped, 0);
        row.record.error = Some(reason.into());
        self.jobs[slot].tally_mut().add(&row);
        self.counts.ended.note(row.key.kind, Status::Skipped);
        // Before the row: if that is not written, the gap is found again.
        self.weigh(slot, &row, now).into_iter().for_each(|change| self.write_incident(Some(change)));
        self.persist(Persist::Row(row, None), Receipt::Nothing);
    }

    /// Keeps a new execution, and asks for its first row to be written.
    fn arm_row(&mut self, slot: u32, instant: Instant, class: Class, covers: Option<Covers>) -> u32 {
        let row = self.new_row(slot, instant, class, covers);
        let armed = self.executions.propose(row, slot);
        self.write_row(armed);
        self.counts.armed += 1;
        armed
    }

    /// The first row of a new execution of a job; neither kept nor written yet.
    fn new_row(&mut self, slot: u32, instant: Instant, class: Class, covers: Option<Covers>) -> LedgerRow {
        let (job, era) = (self.jobs[slot].key(), self.jobs[slot].revision().era);
        let mut row = self.new_row_of(ExecutionKey { number: era, ..ExecutionKey::scheduled(job, instant) }, class);
        row.record.covers = covers;
        row
    }

    /// The instants of a spec after `reached` that lie within the lead.
    pub(super) fn near_instants(&self, spec: &JobSpec, reached: Instant, now: Now) -> Vec<Instant> {
        let horizon = self.horizon(now);
        let next = |instant| spec.schedule.next_in(instant, horizon);
        let first = if spec.active { next(reached) } else { None };
        std::iter::successors(first, |&instant| next(instant)).collect()
    }

    /// The last second that lies within the lead.
    fn horizon(&self, now: Now) -> Instant {
        now.wall.plus_us(self.settings.lead_us).floor()
    }

    /// The first row of this execution; neither kept nor written yet.
    pub(super) fn new_row_of(&mut self, key: ExecutionKey, class: Class) -> LedgerRow {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        LedgerRow::pending(seq, key, class)
    }
}

/// The latest second after which at least `count` instants follow up to `through`, by halving; so the instants
/// after it are the last `count`. There must be more than `count` in `(after, through]`.
fn last_of(schedule: &Schedule, after: Instant, through: Instant, count: u32) -> Instant {
    let (mut low, mut high) = (after.as_secs(), through.as_secs());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let follow = schedule.count_in(Instant::from_secs(middle), through, count);
        let are_too_few = matches!(follow, Count::Exactly(follow) if follow < count);
        if are_too_few { high = middle } else { low = middle }
    }
    Instant::from_secs(low)
}
