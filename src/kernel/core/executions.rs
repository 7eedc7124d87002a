//! Owns the table of live executions: their slots, both heaps, the lists by job, and every change of a state.
//! It must not decide which change comes next: the policies beside it ask for one, and it holds them to the diagram.
//!
//! ```text
//!    propose                         adopt (found on disk)
//!       |                                |
//!       v              hold              v
//!   Proposed ------------------------> Held -------------------------------.
//!       |                              ^ ^ |  queue (its row is on disk)    |
//!       | arm       arm (lies ahead)   | | `----------------.              |
//!       v    .-------------------------|-'                  |              |
//!     Armed <'------- hold ------------'                    v              |
//!      | ^ `--------- queue (its instant has come) -----> Queued           |
//!      | |                                                 |  ^            | back_off
//!      | | arm (the change failed)                     fly |  | queue      | (lies ahead)
//!      v |                                                 v  | (is due)   |
//!   Withheld                           InFlight -- back_off --> Backoff <--'
//!
//!   wait    from Held, Armed and Backoff to Waiting: another execution, or its key, comes first; then hold again
//!   hold    from Queued and Backoff too, while a deletion of the job is being written
//!   arm     from Queued too, if the clock stepped back behind the instant of one that has not begun
//!   close   from Armed, Held, Waiting, Queued, Backoff, InFlight to Closing: it is decided
//!   forget  from Proposed, Withheld, Armed (taken back) and Closing (its final row is on disk)
//!
//! And where a job has come from another node, or goes to one:
//!
//!   Elsewhere  found on disk, in flight at the node that had it; come_home to Held once that has ended
//!   requeue    from InFlight to Queued: the worker did not begin
//!   give_away  from all but InFlight and Closing: it is another node's
//! ```

use std::ops::{Index, IndexMut};

use slab::Slab;

use super::attempt::Handle;
use super::details::Wait;
use super::incident::RowNews;
use super::key::Kind;
use super::link::Link;
use super::overdue::Overdue;
use super::record::LedgerRow;
use crate::time::{DeadlineHeap, Instant, MonoUs, WallUs};

/// Where a live execution stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Written as part of a change that is not on disk yet.
    Proposed,
    /// Waits for its instant in the fire heap.
    Armed,
    /// Armed, but a change that takes it back is being written.
    Withheld,
    /// Due, but its row or a change of its job is not on disk yet.
    Held,
    /// Due and durable, but another execution of its job, or its key, comes first.
    Waiting,
    /// Due and durable; waits in its target's queue.
    Queued,
    /// With a worker.
    InFlight,
    /// Waits for its retry in the retry heap.
    Backoff,
    /// Decided; its final row is being written.
    Closing,
    /// In flight at the node that had its job before.
    Elsewhere,
}

/// A live execution.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) row: LedgerRow,
    /// The slot of its job.
    pub(super) job: u32,
    state: State,
    /// The number of the persist item that holds its newest row.
    pub(super) written_as: u64,
    /// When it last became due: from then on lateness counts.
    pub(super) ready: Option<MonoUs>,
    /// The target that an attempt in flight, a wait for a retry, or one for others, was counted for.
    sent_to: u32,
    /// The concurrency key under which its attempt is under way, if it has one.
    key: Link,
    /// Whether it runs, as far as other executions of its job are concerned: its turn among them has come.
    pub(super) runs: bool,
    /// Whether an attempt of it may have reached its target.
    pub(super) maybe_sent: bool,
    /// What its final row carries beside itself.
    pub(super) news: Option<Box<RowNews>>,
    /// Neighbours in the job's list of executions.
    prev: Link,
    next: Link,
    /// Of all of its job, if it is the newest one.
    counts: Counts,
}

/// What the executions of a job come to. The newest one keeps it, so that a job without any takes no memory for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// How many scheduled ones are to run, or do: none that is withheld or decided.
    to_run: u32,
    /// How many clients asked for.
    asked_for: u32,
}

impl Execution {
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The target that its attempt in flight, its wait for a retry or for others, or its last attempt was counted for.
    pub(super) fn sent_to(&self) -> u32 {
        self.sent_to
    }

    /// The concurrency key under which its attempt is under way.
    pub(super) fn key(&self) -> Option<u32> {
        self.key.get()
    }

    /// What it waits for, as its row says.
    pub(super) fn waits_for(&self) -> Option<Wait> {
        self.row.record.details.as_ref()?.waits_for
    }

    /// Found on disk, what was tried before may have been sent, unless its row says that it was not.
    fn may_look_sent(&self) -> bool {
        self.row.record.attempt > 1 && self.waits_for() != Some(Wait::Retry)
    }

    /// Whether this process knows that no attempt of it ever left.
    pub(super) fn was_never_sent(&self) -> bool {
        self.row.record.attempt == 1 && self.row.record.recoveries == 0
    }

    /// Whether it may be as if it had never been armed: it was not due before, whatever the clock did since.
    pub(super) fn may_be_taken_back(&self) -> bool {
        self.was_never_sent() && self.waits_for().is_none() && self.ready.is_none()
    }

    /// Whether it must not be sent now: its instant lies ahead, as the clock stepped back, and it has not begun. What has
    /// goes on by the monotonic clock, and what a client asked for was due when it asked.
    pub(super) fn is_early(&self, wall: WallUs) -> bool {
        WallUs::of(self.instant()) > wall && self.row.record.executed.is_none() && !self.is_asked_for()
    }

    /// The instant it belongs to.
    pub(super) fn instant(&self) -> Instant {
        self.row.key.instant
    }

    /// Whether a client asked for it, and no schedule.
    pub(super) fn is_asked_for(&self) -> bool {
        self.row.key.kind != Kind::Scheduled
    }

    /// Whether it belongs to a backfill.
    pub(super) fn is_backfill(&self) -> bool {
        self.row.key.kind == Kind::Backfill
    }
}

/// All executions that are not finished, or whose end is not on disk.
#[derive(Debug, Default)]
pub(super) struct Executions {
    slab: Slab<Execution>,
    /// Armed ones by their instant.
    fire_heap: DeadlineHeap<WallUs>,
    /// Those that wait for a retry.
    retry_heap: DeadlineHeap<MonoUs>,
    /// How many wait for others.
    waiting: usize,
    /// Those that could be sent, by when they became due.
    overdue: Overdue,
    /// The newest one of each job, by the slot of the job.
    newest: Vec<Link>,
}

impl Index<u32> for Executions {
    type Output = Execution;

    fn index(&self, slot: u32) -> &Execution {
        &self.slab[slot as usize]
    }
}

impl IndexMut<u32> for Executions {
    fn index_mut(&mut self, slot: u32) -> &mut Execution {
        &mut self.slab[slot as usize]
    }
}

/// The transitions. There are no others.
impl Executions {
    /// A new execution, as the newest of its job; nothing of it is written yet.
    pub(super) fn propose(&mut self, row: LedgerRow, job: u32) -> u32 {
        self.insert(row, job, State::Proposed, u64::MAX)
    }

    /// An execution whose row is on disk.
    pub(super) fn adopt(&mut self, row: LedgerRow, job: u32) -> u32 {
        self.insert(row, job, State::Held, 0)
    }

    /// An execution whose row is on disk, and which is in flight at the node that had its job before. It runs.
    pub(super) fn adopt_in_flight(&mut self, row: LedgerRow, job: u32) -> u32 {
        let slot = self.insert(row, job, State::Elsewhere, 0);
        self[slot].runs = true;
        slot
    }

    /// What was in flight there has ended, and this is its row now.
    pub(super) fn come_home(&mut self, slot: u32, row: LedgerRow) {
        let execution = &mut self[slot];
        execution.row = row;
        execution.maybe_sent |= execution.may_look_sent();
        self.move_on(slot, &[State::Elsewhere], State::Held);
    }

    /// From here on its instant is waited for.
    pub(super) fn arm(&mut self, slot: u32) {
        self.move_on(slot, &[State::Proposed, State::Withheld, State::Held, State::Queued], State::Armed);
        self.fire_heap.set(slot, WallUs::of(self[slot].instant()));
    }

    /// Its instant is not waited for while a change that takes it back is being written.
    pub(super) fn withhold(&mut self, slot: u32) {
        self.move_on(slot, &[State::Armed], State::Withheld);
        self.fire_heap.remove(slot);
    }

    /// It is due, and waits for the disk.
    pub(super) fn hold(&mut self, slot: u32) {
        let from = [State::Proposed, State::Armed, State::Backoff, State::Waiting, State::Queued, State::Held];
        self.move_on(slot, &from, State::Held);
        self.leave_heaps(slot);
    }

    /// It is due and on disk, and waits for its target.
    pub(super) fn queue(&mut self, slot: u32) -> Handle {
        self.move_on(slot, &[State::Armed, State::Backoff, State::Held], State::Queued);
        self.leave_heaps(slot);
        self.handle(slot)
    }

    /// The worker did not begin: it waits for its target as before.
    pub(super) fn requeue(&mut self, slot: u32) -> Handle {
        self.move_on(slot, &[State::InFlight], State::Queued);
        self.handle(slot)
    }

    /// Others come first. It counts for this target meanwhile.
    pub(super) fn wait(&mut self, slot: u32, target: u32) {
        self.move_on(slot, &[State::Armed, State::Backoff, State::Held], State::Waiting);
        self.leave_heaps(slot);
        self[slot].sent_to = target;
    }

    /// Its attempt is under way under this concurrency key.
    pub(super) fn take_key(&mut self, slot: u32, key: u32) {
        let before = std::mem::replace(&mut self[slot].key, key.into());
        assert_eq!(before, Link::NONE, "an attempt is under way under one key");
    }

    /// Its attempt is under way under no key any more; which it was.
    pub(super) fn give_key_back(&mut self, slot: u32) -> Option<u32> {
        std::mem::replace(&mut self[slot].key, Link::NONE).get()
    }

    /// Its attempt leaves for this target.
    pub(super) fn fly(&mut self, slot: u32, target: u32) {
        self.move_on(slot, &[State::Queued], State::InFlight);
        self[slot].sent_to = target;
    }

    /// Its next attempt is due at this time. It counts for this target meanwhile.
    pub(super) fn back_off(&mut self, slot: u32, until: MonoUs, target: u32) {
        self.move_on(slot, &[State::InFlight, State::Held], State::Backoff);
        self.retry_heap.set(slot, until);
        self[slot].sent_to = target;
    }

    /// It is decided.
    pub(super) fn close(&mut self, slot: u32) {
        let from = [State::Armed, State::Held, State::Waiting, State::Queued, State::Backoff, State::InFlight];
        self.move_on(slot, &from, State::Closing);
        self.leave_heaps(slot);
    }

    /// Its next attempt is due at another time than its row said.
    pub(super) fn set_due(&mut self, slot: u32, due: WallUs) {
        let before = std::mem::replace(&mut self[slot].row.due, due);
        if is_sendable(self[slot].state) {
            self.overdue.remove(before);
            self.overdue.add(due);
        }
    }

    /// It was taken back, or its end is on disk.
    pub(super) fn forget(&mut self, slot: u32) -> Execution {
        let state = self[slot].state;
        let from = [State::Proposed, State::Withheld, State::Armed, State::Closing];
        assert!(from.contains(&state), "an execution is forgotten that is {state:?}");
        self.remove(slot)
    }

    /// It is another node's.
    pub(super) fn give_away(&mut self, slot: u32) -> Execution {
        let (state, due) = (self[slot].state, self[slot].row.due);
        assert!(!matches!(state, State::InFlight | State::Closing), "what is {state:?} ends here");
        if is_sendable(state) {
            self.overdue.remove(due);
        }
        self.waiting -= usize::from(state == State::Waiting);
        self.remove(slot)
    }

    fn remove(&mut self, slot: u32) -> Execution {
        let gone = self.slab.remove(slot as usize);
        assert!(gone.key().is_none(), "an execution is forgotten that holds a key");
        self.leave_heaps(slot);
        if let Some(next) = gone.next.get() {
            self[next].prev = gone.prev;
        }
        match (gone.prev.get(), gone.next.get()) {
            (Some(prev), _) => self[prev].next = gone.next,
            (None, next) => {
                self.newest[gone.job as usize] = gone.next;
                next.into_iter().for_each(|next| self[next].counts = gone.counts);
            }
        }
        if let Some(counts) = self.counts_mut(gone.job) {
            counts.to_run -= u32::from(is_to_run(gone.row.key.kind, gone.state));
            counts.asked_for -= u32::from(gone.is_asked_for());
        }
        gone
    }

    fn insert(&mut self, row: LedgerRow, job: u32, state: State, written_as: u64) -> u32 {
        if self.newest.len() <= job as usize {
            self.newest.resize(job as usize + 1, Link::NONE);
        }
        if is_sendable(state) {
            self.overdue.add(row.due);
        }
        let next = self.newest(job);
        let mut counts = self.counts(job);
        counts.to_run += u32::from(is_to_run(row.key.kind, state));
        counts.asked_for += u32::from(row.key.kind != Kind::Scheduled);
        let mut new = Execution {
            row,
            job,
            state,
            written_as,
            ready: None,
            sent_to: 0,
            key: Link::NONE,
            runs: false,
            maybe_sent: false,
            news: None,
            prev: Link::NONE,
            next: next.into(),
            counts,
        };
        new.maybe_sent = new.may_look_sent();
        let slot = super::slot(self.slab.insert(new));
        self.newest[job as usize] = slot.into();
        if let Some(next) = next {
            self[next].prev = slot.into();
        }
        slot
    }

    fn move_on(&mut self, slot: u32, from: &[State], to: State) {
        let execution = &mut self[slot];
        let now = execution.state;
        assert!(from.contains(&now), "an execution that is {now:?} cannot become {to:?}");
        execution.state = to;
        let is_waiting = |state| usize::from(state == State::Waiting);
        let (job, kind, due) = (execution.job, execution.row.key.kind, execution.row.due);
        match (is_sendable(now), is_sendable(to)) {
            (false, true) => self.overdue.add(due),
            (true, false) => self.overdue.remove(due),
            (true, true) | (false, false) => {}
        }
        self.waiting = self.waiting + is_waiting(to) - is_waiting(now);
        let (was_to_run, is_to_run) = (is_to_run(kind, now), is_to_run(kind, to));
        if was_to_run != is_to_run {
            let counts = self.counts_mut(job).expect("a job that has an execution has a newest one");
            counts.to_run = counts.to_run + u32::from(is_to_run) - u32::from(was_to_run);
        }
    }

    fn leave_heaps(&mut self, slot: u32) {
        self.fire_heap.remove(slot);
        self.retry_heap.remove(slot);
    }
}

/// What is there.
impl Executions {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Those that wait for their instant.
    pub(super) fn armed(&self) -> usize {
        self.fire_heap.len()
    }

    /// Those that wait for others: of their job, or of their key.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Since when the oldest has been due that only the disk, its target or a worker keeps from being sent.
    pub(super) fn oldest_due(&self) -> Option<Instant> {
        self.overdue.oldest()
    }

    /// Those that wait for a retry.
    pub(super) fn backing_off(&self) -> usize {
        self.retry_heap.len()
    }

    /// What names this execution and no other.
    pub(super) fn handle(&self, slot: u32) -> Handle {
        Handle { slot, seq: self[slot].row.seq }
    }

    /// The execution a handle names, if it still lives.
    pub(super) fn live(&self, handle: Handle) -> Option<&Execution> {
        self.slab.get(handle.slot as usize).filter(|execution| execution.row.seq == handle.seq)
    }

    /// A job's executions, newest first.
    pub(super) fn of_job(&self, job: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(self.newest(job), |&slot| self[slot].next.get())
    }

    /// How many scheduled executions of a job are to run, or do.
    pub(super) fn to_run(&self, job: u32) -> u32 {
        self.counts(job).to_run
    }

    /// How many executions of a job there are that clients asked for.
    pub(super) fn asked_for(&self, job: u32) -> u32 {
        self.counts(job).asked_for
    }

    fn newest(&self, job: u32) -> Option<u32> {
        self.newest.get(job as usize)?.get()
    }

    fn counts(&self, job: u32) -> Counts {
        self.newest(job).map(|slot| self[slot].counts).unwrap_or_default()
    }

    fn counts_mut(&mut self, job: u32) -> Option<&mut Counts> {
        let newest = self.newest(job)?;
        Some(&mut self[newest].counts)
    }

    /// A job's executions in a state, newest first.
    pub(super) fn of_job_in(&self, job: u32, state: State) -> Vec<u32> {
        self.of_job(job).filter(|&slot| self[slot].state == state).collect()
    }

    /// Those whose first row is part of a change of their job.
    pub(super) fn proposed_by_change(&self, job: u32) -> Vec<u32> {
        let mut proposed = self.of_job_in(job, State::Proposed);
        proposed.retain(|&slot| !self[slot].is_asked_for());
        proposed
    }

    /// When the next armed one reaches its instant.
    pub(super) fn next_instant(&self) -> Option<WallUs> {
        self.fire_heap.peek().map(|(at, _)| at)
    }

    /// When the next retry is due.
    pub(super) fn next_retry(&self) -> Option<MonoUs> {
        self.retry_heap.peek().map(|(at, _)| at)
    }

    /// Takes one whose instant has come out of the fire heap: it must be moved on.
    pub(super) fn pop_reached(&mut self, wall: WallUs) -> Option<u32> {
        self.fire_heap.pop_due(wall)
    }

    /// Takes one whose retry is due out of the retry heap: it must be moved on.
    pub(super) fn pop_retry(&mut self, mono: MonoUs) -> Option<u32> {
        self.retry_heap.pop_due(mono)
    }

    /// Armed ones in the order of their instants, found lazily.
    pub(super) fn by_instant(&self) -> impl Iterator<Item = (WallUs, u32)> {
        self.fire_heap.ascending()
    }

    /// Checks heaps and lists against the states; O(n). Gives how many are in flight, and how many hold a key.
    pub(super) fn check(&self, jobs: impl Iterator<Item = u32>) -> (u32, u32) {
        self.fire_heap.check();
        self.retry_heap.check();
        let mut listed = 0;
        for job in jobs {
            let (mut to_run, mut asked_for) = (0, 0);
            for slot in self.of_job(job) {
                assert_eq!(self[slot].job, job);
                asked_for += u32::from(self[slot].is_asked_for());
                to_run += u32::from(is_to_run(self[slot].row.key.kind, self[slot].state));
                listed += 1;
            }
            assert_eq!(to_run, self.to_run(job), "runs of a job are counted wrong");
            assert_eq!(asked_for, self.asked_for(job), "what was asked for of a job is counted wrong");
        }
        assert_eq!(listed, self.len(), "an execution is in no job's list");
        let (mut in_flight, mut holders) = (0, 0);
        for (index, execution) in &self.slab {
            let slot = super::slot(index);
            let (armed, backoff) = (execution.state == State::Armed, execution.state == State::Backoff);
            assert_eq!(self.fire_heap.key(slot).is_some(), armed, "the fire heap holds what is armed");
            assert_eq!(self.retry_heap.key(slot).is_some(), backoff, "the retry heap holds what backs off");
            in_flight += u32::from(execution.state == State::InFlight);
            holders += u32::from(execution.key().is_some());
            let under_way = [State::Held, State::Queued, State::InFlight, State::Elsewhere].contains(&execution.state);
            assert!(under_way || execution.key().is_none(), "a key is held by an execution that is not under way");
        }
        let waiting = self.slab.iter().filter(|(_, execution)| execution.state == State::Waiting).count();
        assert_eq!(waiting, self.waiting, "those that wait are counted wrong");
        let mut overdue = Overdue::default();
        let sendable = self.slab.iter().filter(|(_, execution)| is_sendable(execution.state));
        sendable.for_each(|(_, execution)| overdue.add(execution.row.due));
        assert_eq!(overdue, self.overdue, "what is due is counted wrong");
        (in_flight, holders)
    }

    /// Every slot with its execution, in no order that may reach an output.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Execution)> {
        self.slab.iter().map(|(index, execution)| (super::slot(index), execution))
    }
}

/// Whether an execution in this state uses up one of the runs that a job may have.
fn is_to_run(kind: Kind, state: State) -> bool {
    kind == Kind::Scheduled && !matches!(state, State::Withheld | State::Closing)
}

/// Whether an execution in this state is due, and neither another one nor its key keeps it from being sent.
fn is_sendable(state: State) -> bool {
    matches!(state, State::Held | State::Queued)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_takes_up_what_the_readme_says() {
        // With its two entries in a heap, and about fifty bytes of error text.
        let heap = size_of::<(MonoUs, u32)>() + 2 * size_of::<u32>();
        let size = size_of::<(u32, Execution)>() + heap + 50;
        assert!((200..300).contains(&size), "{size} bytes");
    }
}
