//! Owns whether a due execution may go to its target now, or others come first: those of its own job, and those that
//! share its concurrency key.
//! It must not send: what is admitted goes into its target's queue.

use super::attempt::Handle;
use super::details::Wait;
use super::executions::{Execution, State};
use super::io::Output;
use super::record::{Class, Seq};
use super::scheduler::Scheduler;
use crate::job::Overlap;
use crate::time::{Instant, Now, WallUs};

const ONE_RUNS: &str = "skipped: another execution of this job was still running";
const ONE_WAITS: &str = "skipped: one execution of this job was running, and another one waiting";

/// When it is an execution's turn among those of its job.
enum Turn {
    Now,
    /// Once those before it have ended; whether one of them ends at this moment.
    Later {
        soon: bool,
    },
    /// Its policy skips it, for this reason.
    Never(&'static str),
}

/// What the others of a job do.
struct Others {
    /// Whether one runs.
    runs: bool,
    /// Whether the end of one is on its way to the disk.
    ends: bool,
    /// Whether one waits whose turn comes before.
    is_before: bool,
    /// Whether one waits that others are not to come before.
    waits: bool,
}

impl Others {
    /// When it is the turn of one beside them.
    fn turn(&self, policy: Overlap, on_time: bool) -> Turn {
        match policy {
            Overlap::Skip if on_time && (self.runs || self.waits) => Turn::Never(ONE_RUNS),
            Overlap::QueueOne if on_time && self.waits => Turn::Never(ONE_WAITS),
            Overlap::Allow | Overlap::Skip | Overlap::QueueOne if self.runs || self.ends || self.is_before => {
                Turn::Later { soon: self.ends && !self.runs }
            }
            Overlap::Allow | Overlap::Skip | Overlap::QueueOne => Turn::Now,
        }
    }
}

/// Executions of the job that was asked about last: one that was in the way of others, and one that waited. Both are
/// looked at before they are believed, so that of a job with thousands of executions not all are looked through for each
/// of them.
#[derive(Debug, Default)]
pub(super) struct Line {
    blocks: Option<Handle>,
    waits: Option<Handle>,
}

impl Scheduler {
    /// Whether a due execution whose row is on disk may go to its target now. If not, it waits, or was skipped.
    pub(super) fn admit(&mut self, slot: u32, now: Now) -> bool {
        if self.is_too_late(slot, now) {
            self.skip(slot, super::sending::TOO_LATE, now);
            return false;
        }
        if !self.executions[slot].runs {
            match self.turn_of(slot) {
                Turn::Now => self.executions[slot].runs = true,
                Turn::Later { soon } => {
                    if soon {
                        self.output(Output::Hurry);
                    }
                    self.put_in_line(slot, Wait::Overlap);
                    return false;
                }
                Turn::Never(why) => {
                    self.skip(slot, why, now);
                    return false;
                }
            }
        }
        let execution = &self.executions[slot];
        if let (Some(key), None) = (self.jobs[execution.job].concurrency_key(), execution.key()) {
            if !self.keys.enter(key, now.mono) {
                self.put_in_line(slot, Wait::ConcurrencyKey);
                self.keys.wait(key, self.executions.handle(slot));
                return false;
            }
            self.executions.take_key(slot, key);
        }
        if self.executions[slot].waits_for().is_some() {
            // What is on disk says that it was not sent. That must not be so any more when it is.
            self.note_wait(slot, None);
            self.executions.hold(slot);
            self.write_row(slot);
            return false;
        }
        true
    }

    fn turn_of(&mut self, slot: u32) -> Turn {
        let execution = &self.executions[slot];
        let policy = self.jobs[execution.job].overlap();
        if policy == Overlap::Allow && !execution.is_backfill() {
            return Turn::Now;
        }
        // What is owed for the past is never skipped, nor what was tried before: it runs one after the other.
        let on_time = execution.row.record.class == Class::OnTime && execution.was_never_sent();
        let rank = rank_of(execution);
        let is_before = |other: &Execution| is_in_line(other) && rank_of(other) < rank;
        let known = |known: Option<Handle>| {
            let known = self.executions.live(known?)?;
            (known.job == execution.job && competes(policy, known)).then_some(known)
        };
        let blocks = known(self.line.blocks);
        let remembered = Others {
            runs: blocks.is_some_and(is_running),
            ends: blocks.is_some_and(is_ending),
            is_before: blocks.is_some_and(is_before),
            waits: known(self.line.waits).is_some_and(is_before_others),
        };
        match remembered.turn(policy, on_time) {
            Turn::Now => {}
            // Whether it is not skipped only a look at all of them can tell.
            Turn::Later { .. } if on_time => {}
            turn => return turn,
        }
        let (mut runs, mut ends, mut before, mut waits) = (None, None, None, None);
        for other in self.executions.of_job(execution.job).filter(|&other| other != slot) {
            let candidate = &self.executions[other];
            if !competes(policy, candidate) {
                continue;
            }
            if is_running(candidate) {
                runs = Some(other);
            } else if is_ending(candidate) {
                ends = Some(other);
            } else if is_before(candidate) {
                before = Some(other);
            }
            if is_before_others(candidate) {
                waits = Some(other);
            }
        }
        let handle = |slot: u32| self.executions.handle(slot);
        self.line = Line { blocks: runs.or(ends).or(before).map(handle), waits: waits.map(handle) };
        let others =
            Others { runs: runs.is_some(), ends: ends.is_some(), is_before: before.is_some(), waits: waits.is_some() };
        others.turn(policy, on_time)
    }

    fn put_in_line(&mut self, slot: u32, wait: Wait) {
        let target = self.jobs[self.executions[slot].job].target;
        self.executions.wait(slot, target);
        self.targets.begin_wait(target);
        let execution = &mut self.executions[slot];
        if execution.row.record.class == Class::OnTime {
            execution.row.record.class = Class::Waited;
        }
        if execution.waits_for() != Some(wait) {
            self.note_wait(slot, Some(wait));
            self.write_row(slot);
        }
    }

    /// Puts down what an execution waits for.
    pub(super) fn note_wait(&mut self, slot: u32, wait: Option<Wait>) {
        self.executions[slot].row.record.note_wait(wait);
    }

    /// It is the turn of an execution that waited.
    fn call_up(&mut self, slot: u32, now: Now) {
        let execution = &mut self.executions[slot];
        let target = execution.sent_to();
        execution.ready = Some(now.mono);
        self.executions.hold(slot);
        self.release(slot, now);
        // Only now: a target that nothing waits for is forgotten.
        self.targets.end_wait(target);
    }

    /// Whether it is too late for an execution that waited for others, or for a start. Having to wait is no fault, unless
    /// the job says so.
    fn is_too_late(&self, slot: u32, now: Now) -> bool {
        let execution = &self.executions[slot];
        let late_us = now.wall.since_us(WallUs::of(execution.instant()));
        let lateness_max = self.jobs[execution.job].misfire().lateness_max;
        let lateness_max = lateness_max.filter(|_| !execution.is_asked_for());
        let is_over = lateness_max.is_some_and(|max| u128::try_from(late_us).is_ok_and(|us| us > max.as_micros()));
        is_over && execution.waits_for().is_some() && execution.was_never_sent()
    }

    /// An execution of this job has ended that others had to wait for: the first of them goes on. A backfill lets others
    /// go first; but behind one of them it is its turn, or a job that never rests would never come to it.
    pub(super) fn let_next_run(&mut self, job: u32, after_backfill: bool, now: Now) {
        let policy = self.jobs[job].overlap();
        let live = || {
            let live = self.executions.of_job(job).map(|slot| (slot, &self.executions[slot]));
            live.filter(|(_, execution)| competes(policy, execution))
        };
        let taken = live().any(|(_, other)| is_running(other) || is_ending(other));
        if taken {
            return;
        }
        let rank = |other: &Execution| {
            let (doubt, is_backfill, instant, seq) = rank_of(other);
            (doubt, is_backfill == after_backfill, instant, seq)
        };
        let first = live().filter(|(_, other)| is_in_line(other)).min_by_key(|(_, other)| rank(other));
        // Who is held comes by itself as soon as its row is on disk.
        if let Some((slot, _)) = first.filter(|(_, first)| first.state() == State::Waiting) {
            self.executions[slot].runs = true;
            self.call_up(slot, now);
        }
    }

    /// Lets those begin that waited for a concurrency key which has room now.
    pub(super) fn serve_keys(&mut self, now: Now) {
        while let Some((key, handle)) = self.keys.next(now.mono) {
            let waits = self.executions.live(handle).is_some_and(|execution| {
                let is_key = execution.waits_for() == Some(Wait::ConcurrencyKey);
                execution.state() == State::Waiting && is_key && self.jobs[execution.job].concurrency_key() == Some(key)
            });
            if waits && !self.is_too_late(handle.slot, now) {
                self.keys.begin(key, now.mono);
                self.executions.take_key(handle.slot, key);
                self.call_up(handle.slot, now);
            } else {
                // What it does not use is the next one's.
                self.keys.passed_over(key);
                if waits {
                    self.call_up(handle.slot, now);
                }
            }
        }
    }

    /// A job has another key or another policy: what was admitted and has not left is judged anew. What was sent once
    /// runs on, whatever else does.
    pub(super) fn admit_anew(&mut self, job: u32, now: Now) {
        let due = [State::Queued, State::Held, State::Waiting];
        let mut due = due.map(|state| self.executions.of_job_in(job, state)).concat();
        due.sort_unstable_by_key(|&slot| rank_of(&self.executions[slot]));
        let mut waited = Vec::new();
        for &slot in &due {
            if self.executions[slot].state() == State::Waiting {
                waited.push(self.executions[slot].sent_to());
            }
            self.give_key_back(slot);
            self.executions.hold(slot);
            let execution = &mut self.executions[slot];
            execution.runs &= !execution.was_never_sent() && execution.row.record.class != Class::Recovered;
        }
        for slot in due {
            self.release(slot, now);
        }
        // Only now: a target that nothing waits for is forgotten.
        waited.into_iter().for_each(|target| self.targets.end_wait(target));
    }

    /// An attempt is under way under its concurrency key no more.
    pub(super) fn give_key_back(&mut self, slot: u32) {
        if let Some(key) = self.executions.give_key_back(slot) {
            self.keys.end(key);
        }
    }
}

impl Scheduler {
    /// Whether an execution of a job is running, waits for another one, or was just asked for.
    pub(super) fn is_occupied(&self, job: u32) -> bool {
        let mut live = self.executions.of_job(job).map(|slot| &self.executions[slot]);
        live.any(|execution| is_running(execution) || is_before_others(execution) || is_asked_next(execution))
    }
}

/// Whether an execution counts for others of its job. Where all may run side by side, a backfill still runs one after
/// the other.
fn competes(policy: Overlap, execution: &Execution) -> bool {
    policy != Overlap::Allow || execution.is_backfill()
}

/// Whether an execution waits, and others are not to come before it. A backfill lets everything else go first.
fn is_before_others(execution: &Execution) -> bool {
    is_in_line(execution) && !execution.is_backfill()
}

/// Whether an execution was asked for to run next, and its row is on its way to the disk.
fn is_asked_next(execution: &Execution) -> bool {
    execution.state() == State::Proposed && execution.is_asked_for() && !execution.is_backfill()
}

/// Whether an execution is under way, as far as others of its job are concerned.
pub(super) fn is_running(execution: &Execution) -> bool {
    let state = execution.state();
    let under_way = matches!(state, State::Held | State::Waiting | State::Queued | State::InFlight | State::Backoff)
        || state == State::Elsewhere;
    execution.runs && under_way
}

/// Whether an execution ran, and its end is on its way to the disk.
fn is_ending(execution: &Execution) -> bool {
    execution.runs && execution.state() == State::Closing
}

/// Whether an execution waits for others of its job. One that is in doubt does, as it may run already.
fn is_in_line(execution: &Execution) -> bool {
    let in_doubt = execution.row.record.class == Class::Recovered;
    let waits = execution.state() == State::Waiting || (execution.state() == State::Held && in_doubt);
    waits && !execution.runs
}

/// Whose turn comes first: what is in doubt, then by time, and a backfill last.
fn rank_of(execution: &Execution) -> (bool, bool, Instant, Seq) {
    let in_doubt = execution.row.record.class == Class::Recovered;
    (!in_doubt, execution.is_backfill(), execution.instant(), execution.row.seq)
}
