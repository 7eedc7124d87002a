//! Owns executions that clients ask for: runs, replays and backfills, from the request until their rows are on disk, and
//! who waits for how one ends.
//! It must not send them: once their rows are on disk they go the way of all others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::attempt::Handle;
use super::details::Wait;
use super::io::{Output, Persist, Refusal, Reply, RequestId, Run, RunOf};
use super::key::{ExecutionId, ExecutionKey, Kind};
use super::ownership::number_of_asked;
use super::receipts::Receipt;
use super::record::{Class, LedgerRow, Seq, Status};
use super::scheduler::{Phase, Scheduler};
use crate::job::{FieldError, Overlap, OwnBody};
use crate::schedule::Schedule;
use crate::time::{Instant, MonoUs, Now, WallUs};

const ONE_RUNS: &str = "another execution of this job is running or waiting, and its overlap policy allows no other";
const LIES_AHEAD: &str = "the time of that execution lies ahead, as the clock stepped back";
const NOTHING_DUE: &str = "the schedule has no time between from and to";

/// What was asked for and is not done.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Requests whose rows are on their way to the disk, oldest first.
    pending: VecDeque<Pending>,
    /// How many requests there were.
    requests: u64,
    /// Who waits for an execution to end.
    waiters: BTreeMap<Seq, Waiter>,
    /// Their patience, the shortest first.
    patience: BTreeSet<(MonoUs, Seq)>,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    request: RequestId,
    wait: Option<Duration>,
    ids: Vec<ExecutionId>,
    /// Those of them that are this node's.
    executions: Vec<Handle>,
    /// How many were passed over, where they may be of several jobs.
    passed_over: Option<usize>,
}

#[derive(Debug)]
struct Waiter {
    request: RequestId,
    id: ExecutionId,
    until: MonoUs,
}

impl Runs {
    /// When the next client is to be told that it waited for long enough.
    pub(super) fn next_impatient(&self) -> Option<MonoUs> {
        self.patience.first().map(|&(until, _)| until)
    }

    /// Takes who waits for the disk.
    pub(super) fn take_requests(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.pending).into_iter().map(|pending| pending.request)
    }

    fn take(&mut self, seq: Seq) -> Option<Waiter> {
        let waiter = self.waiters.remove(&seq)?;
        self.patience.remove(&(waiter.until, seq));
        Some(waiter)
    }
}

/// What is answered once the rows of what was asked for are on disk.
fn started(ids: Vec<ExecutionId>, passed_over: Option<usize>) -> Reply {
    match passed_over {
        None => Reply::Started(ids),
        Some(passed_over) => Reply::StartedAll(ids, passed_over),
    }
}

impl Scheduler {
    /// A client asks for executions of a job.
    pub(super) fn run(&mut self, request: RequestId, slot: u32, run: Run, now: Now) {
        let Run { of, own_body, force, wait, .. } = run;
        let post = &self.jobs[slot].spec().post;
        if let Some(Err(why)) = own_body.as_ref().map(|own| post.with_own(own)) {
            return self.output(Output::Reply(request, Reply::Invalid(why)));
        }
        // Of a backfill nobody waits for the end.
        let wait = wait.filter(|_| !matches!(of, RunOf::Past { .. }));
        let kind = match of {
            RunOf::Now => Kind::Manual,
            RunOf::Again(_) => Kind::Replay,
            RunOf::Past { .. } => Kind::Backfill,
        };
        let instants = match of {
            RunOf::Now => vec![now.wall.floor()],
            RunOf::Again(origin) if WallUs::of(origin.instant) > now.wall => {
                return self.output(Output::Reply(request, Reply::Conflict(LIES_AHEAD)));
            }
            RunOf::Again(origin) => vec![origin.instant],
            RunOf::Past { from, to } => {
                match self.past_instants(&self.jobs[slot].spec().schedule, from, to, now.wall) {
                    Ok(instants) => instants,
                    Err(why) => return self.output(Output::Reply(request, Reply::Invalid(why))),
                }
            }
        };
        if instants.is_empty() {
            return self.output(Output::Reply(request, Reply::Conflict(NOTHING_DUE)));
        }
        if kind != Kind::Backfill && !force && self.jobs[slot].overlap() != Overlap::Allow && self.is_occupied(slot) {
            return self.output(Output::Reply(request, Reply::Conflict(ONE_RUNS)));
        }
        if self.executions.len() + instants.len() > self.settings.bounds.executions_max {
            return self.refuse(request, Refusal::TooManyExecutions);
        }
        if !self.has_room_for(slot, instants.len()) {
            return self.refuse(request, Refusal::TooManyExecutionsOfJob);
        }
        if wait.is_some() && self.runs.waiters.len() >= self.settings.bounds.run_waiters_max {
            return self.refuse(request, Refusal::TooManyWaiting);
        }
        let origin = match of {
            RunOf::Again(origin) => Some(origin),
            RunOf::Now | RunOf::Past { .. } => None,
        };
        let mut rows: Vec<(u32, LedgerRow)> = Vec::with_capacity(instants.len());
        for instant in instants {
            let mut row = self.row_asked_for(slot, kind, instant, own_body.clone(), origin, now);
            if !rows.is_empty() {
                // One runs after the other: that it waits need not be written later.
                row.record.note_wait(Some(Wait::Overlap));
            }
            rows.push((slot, row));
        }
        // A backfill runs one after the other, whatever is said.
        self.submit_runs(request, rows, force && kind != Kind::Backfill, wait, None);
    }

    /// A client asks for executions of several jobs to be done again.
    pub(super) fn replay_all(&mut self, request: RequestId, origins: Vec<(ExecutionId, Option<OwnBody>)>, now: Now) {
        if self.executions.len() + origins.len() > self.settings.bounds.executions_max {
            return self.refuse(request, Refusal::TooManyExecutions);
        }
        let asked = origins.len();
        let mut rows = Vec::with_capacity(asked);
        let mut of_jobs: BTreeMap<u32, usize> = BTreeMap::new();
        for (origin, own_body) in origins {
            let job = self.find(origin.job).filter(|&slot| !self.jobs[slot].is_being_deleted());
            let Some(slot) = job.filter(|_| WallUs::of(origin.instant) <= now.wall) else { continue };
            *of_jobs.entry(slot).or_default() += 1;
            rows.push((slot, self.row_asked_for(slot, Kind::Replay, origin.instant, own_body, Some(origin), now)));
        }
        if rows.is_empty() {
            return self.output(Output::Reply(request, Reply::StartedAll(Vec::new(), asked)));
        }
        if of_jobs.into_iter().any(|(slot, count)| !self.has_room_for(slot, count)) {
            return self.refuse(request, Refusal::TooManyExecutionsOfJob);
        }
        let passed_over = asked - rows.len();
        self.submit_runs(request, rows, false, None, Some(passed_over));
    }

    /// Whether so many more executions of a job may be asked for.
    fn has_room_for(&self, slot: u32, count: usize) -> bool {
        self.executions.asked_for(slot) as usize + count <= self.settings.bounds.asked_per_job_max
    }

    /// The first row of an execution that a client asks for.
    fn row_asked_for(
        &mut self,
        slot: u32,
        kind: Kind,
        instant: Instant,
        own_body: Option<OwnBody>,
        origin: Option<ExecutionId>,
        now: Now,
    ) -> LedgerRow {
        let job = self.jobs[slot].key();
        let mut row = self.new_row_of(ExecutionKey { instant, job, kind, number: 0 }, Class::Manual);
        // No other row has this number, so no other execution of this job has this identity.
        row.key.number = number_of_asked(row.seq.0);
        row.due = now.wall;
        if own_body.is_some() || origin.is_some() {
            let details = row.record.details_mut();
            (details.own_body, details.origin) = (own_body, origin);
        }
        row
    }

    fn submit_runs(
        &mut self,
        request: RequestId,
        rows: Vec<(u32, LedgerRow)>,
        force: bool,
        wait: Option<Duration>,
        passed_over: Option<usize>,
    ) {
        self.runs.requests += 1;
        let number = self.runs.requests;
        let written = rows.iter().map(|(_, row)| row.clone()).collect();
        let item = self.persist(Persist::Runs(written), Receipt::Runs(number));
        let mut executions = Vec::with_capacity(rows.len());
        for (slot, row) in rows {
            let execution = self.executions.propose(row, slot);
            self.executions[execution].written_as = item;
            self.executions[execution].runs = force;
            executions.push(self.executions.handle(execution));
        }
        let ids: Vec<ExecutionId> = executions.iter().map(|handle| self.id_of(handle.slot)).collect();
        if std::mem::take(&mut self.plans) {
            self.output(Output::Planned(item, request, started(ids.clone(), passed_over)));
        }
        self.runs.pending.push_back(Pending { number, request, wait, ids, executions, passed_over });
    }

    /// The rows of what was asked for are on disk, or will never be.
    pub(super) fn runs_settled(&mut self, number: u64, written: bool, now: Now) {
        let place = self.runs.pending.iter().position(|pending| pending.number == number);
        let pending = place.and_then(|place| self.runs.pending.remove(place)).expect("a request is settled once");
        let Pending { request, wait, ids, mut executions, passed_over, .. } = pending;
        if !written {
            executions.into_iter().for_each(|handle| self.forget(handle.slot));
            return self.refuse(request, Refusal::NotWritten);
        }
        self.counts.asked_for += ids.len() as u64;
        // Who stops tells nobody of an end any more.
        match wait.zip(executions.first()).filter(|_| self.phase == Phase::Running) {
            Some((wait, &only)) => self.await_end(request, only, now.mono.plus(wait)),
            None => self.output(Output::Reply(request, started(ids, passed_over))),
        }
        // Of several jobs, one after the other: only of one it is remembered who is in the way.
        executions.sort_by_key(|handle| self.executions[handle.slot].job);
        for handle in executions {
            self.executions.hold(handle.slot);
            self.become_due(handle.slot, now);
        }
        if self.phase == Phase::Draining {
            self.keep_for_start();
        }
    }

    /// An execution is another node's: nobody here hears of its end.
    pub(super) fn forget_asked(&mut self, handle: Handle) {
        if self.executions[handle.slot].is_asked_for() {
            self.runs.pending.iter_mut().for_each(|pending| pending.executions.retain(|&other| other != handle));
        }
        if self.runs.waiters.contains_key(&handle.seq) {
            self.tell_begun(handle.seq);
        }
    }

    fn id_of(&self, slot: u32) -> ExecutionId {
        let execution = &self.executions[slot];
        execution.row.key.of(self.jobs[execution.job].revision().id)
    }

    fn await_end(&mut self, request: RequestId, handle: Handle, until: MonoUs) {
        let id = self.id_of(handle.slot);
        self.runs.waiters.insert(handle.seq, Waiter { request, id, until });
        self.runs.patience.insert((until, handle.seq));
    }

    /// An execution has ended, and that is on disk: who waits for it is told. If it is handed over to be tried again, that it
    /// was begun.
    pub(super) fn tell_end(&mut self, handle: Handle) {
        if self.executions[handle.slot].row.record.status == Status::Pending {
            return self.forget_asked(handle);
        }
        if let Some(Waiter { request, id, .. }) = self.runs.take(handle.seq) {
            let record = self.executions[handle.slot].row.record.clone();
            self.output(Output::Reply(request, Reply::Ended(id, Box::new(record))));
        }
    }

    /// Who has waited for long enough hears that it was begun.
    pub(super) fn tell_impatient(&mut self, now: Now) {
        while let Some(&(_, seq)) = self.runs.patience.first().filter(|(until, _)| *until <= now.mono) {
            self.tell_begun(seq);
        }
    }

    /// Everybody who waits hears that it was begun.
    pub(super) fn tell_all_waiting(&mut self) {
        while let Some(&(_, seq)) = self.runs.patience.first() {
            self.tell_begun(seq);
        }
    }

    fn tell_begun(&mut self, seq: Seq) {
        let Waiter { request, id, .. } = self.runs.take(seq).expect("who is impatient waits");
        self.output(Output::Reply(request, Reply::Started(vec![id])));
    }

    /// The instants between two seconds of the past that a schedule has.
    ///
    /// # Errors
    /// When there are too many, or the stretch is none of the past.
    pub fn past_instants(
        &self,
        schedule: &Schedule,
        from: Instant,
        to: Instant,
        now: WallUs,
    ) -> Result<Vec<Instant>, FieldError> {
        let error = |member, message: String| Err(FieldError { member, message });
        if to > now.floor() {
            return error("to", "expected a time that has passed".to_owned());
        }
        if from > to {
            return error("from", "expected no time behind to".to_owned());
        }
        let most = self.settings.bounds.backfill_max;
        let next = |after: Instant| schedule.next_in(after, to);
        let first = next(Instant::from_secs(from.as_secs() - 1));
        let instants: Vec<Instant> = std::iter::successors(first, |&instant| next(instant)).take(most + 1).collect();
        if instants.len() > most {
            let through = WallUs::of(instants[most - 1]);
            return error(
                "to",
                format!("expected at most {most} times of the schedule, which {through} is the last of"),
            );
        }
        Ok(instants)
    }
}
