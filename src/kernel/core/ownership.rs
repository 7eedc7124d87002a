//! Owns which shards are this node's, until when it may trust that, and how it gives them away or loses them.
//! It must not decide who is to have a shard, nor when: it is told.
//!
//! What is released is another node's from the moment at which this one is told so, and on disk as soon as that is written,
//! in its order. Only what is in flight ends here: nobody else can hear of its outcome. How it ended is handed over, too, be
//! it that another attempt follows or that it is finished, so that whatever follows from an end (what counts, alerts,
//! incidents, pauses, who waited for it) is decided by who has the job, and nobody else.

use super::executions::State;
use super::io::{Persist, Refusal, Reply, RequestId};
use super::jobs::{Jobs, PendingChange};
use super::receipts::Receipt;
use super::scheduler::{Phase, Scheduler};
use super::shard::{NodeId, Shard, Shards};
use super::view::JobView;
use crate::time::{Instant, MonoUs, Now};

/// The part of a number in the ledger that is the incarnation's own.
const INCARNATION_SHIFT: u32 = 40;

/// What is this node's.
#[derive(Debug)]
pub(super) struct Ownership {
    shards: Shards,
    /// How often each shard was taken from a node that died.
    epochs: Box<[u32; 256]>,
    /// Nothing is sent from here on.
    trusted_until: MonoUs,
    /// Whether that had come when time was told last.
    has_lapsed: bool,
}

impl Default for Ownership {
    fn default() -> Ownership {
        let epochs = Box::new([0; 256]);
        Ownership { shards: Shards::NONE, epochs, trusted_until: MonoUs(u64::MAX), has_lapsed: false }
    }
}

impl Ownership {
    pub(super) fn shards(&self) -> &Shards {
        &self.shards
    }

    /// These are this node's from now on.
    pub(super) fn acquire(&mut self, shards: &Shards, epochs: &[(Shard, u32)]) {
        self.shards = self.shards.union(shards);
        epochs.iter().for_each(|(shard, epoch)| self.epochs[usize::from(shard.0)] = *epoch);
    }

    pub(super) fn epoch(&self, shard: Shard) -> u32 {
        self.epochs[usize::from(shard.0)]
    }

    /// Until when this node may trust what it has.
    pub(super) fn trust(&mut self, until: MonoUs, now: MonoUs) {
        self.trusted_until = until;
        self.note_time(now);
    }

    pub(super) fn note_time(&mut self, now: MonoUs) {
        self.has_lapsed = now >= self.trusted_until;
    }

    /// Whether nothing may be sent.
    pub(super) fn has_lapsed(&self) -> bool {
        self.has_lapsed
    }
}

/// What can be asked.
impl Scheduler {
    /// Whether this shard is this node's.
    pub fn owns(&self, shard: Shard) -> bool {
        self.ownership.shards.contains(shard)
    }

    /// The shards that are this node's.
    pub fn shards(&self) -> &Shards {
        &self.ownership.shards
    }

    /// A number for what is named by the microsecond at which it began: the first that is free from there on. Of several
    /// nodes each has its own among 256, so that no two name something alike.
    pub(super) fn number_by_time(&self, newest: u64, now: Now) -> u64 {
        let from = now.wall.0.max(1).unsigned_abs().max(newest + 1);
        match self.next_seq >> INCARNATION_SHIFT {
            0 => from,
            incarnation => from + (incarnation.wrapping_sub(from) & 0xff),
        }
    }
}

/// What tells executions apart that clients asked for, by their numbers in the ledger: the end of the incarnation's number
/// above the end of its own.
pub(super) fn number_of_asked(seq: u64) -> u32 {
    let (incarnation, number) = ((seq >> INCARNATION_SHIFT) & 0xff, seq & 0xff_ffff);
    u32::try_from((incarnation << 24) + number).expect("both are cut to that")
}

/// How it goes.
impl Scheduler {
    /// These shards are another node's.
    pub(super) fn release_shards(&mut self, shards: Shards, to: NodeId, now: Now) {
        let shards = self.ownership.shards.intersection(&shards);
        if shards.is_empty() {
            return;
        }
        self.ownership.shards = self.ownership.shards.without(&shards);
        self.break_gathered(&shards, now);
        // A deleted job is nobody's: what is in flight of it ends here, as ever.
        let leaving = self.jobs.after(None).filter(|&job| {
            let job = &self.jobs[job];
            !job.is_deleted() && shards.contains(job.shard())
        });
        for job in leaving.collect::<Vec<u32>>() {
            self.give_job_away(job);
        }
        let in_flight = self.executions.iter().filter(|(_, execution)| {
            execution.state() == State::InFlight && shards.contains(self.jobs[execution.job].shard())
        });
        let mut except: Vec<_> = in_flight.map(|(_, execution)| execution.row.seq).collect();
        except.sort_unstable();
        self.persist(Persist::Release { shards, to, except }, Receipt::Nothing);
    }

    fn give_job_away(&mut self, slot: u32) {
        let pending = self.jobs[slot].pending.as_mut();
        let waiting = pending.map(|pending| std::mem::take(&mut pending.waiting)).unwrap_or_default();
        waiting.into_iter().for_each(|command| self.refuse(command.request, Refusal::NotOwned));
        for execution in self.executions.of_job(slot).collect::<Vec<u32>>() {
            match self.executions[execution].state() {
                // Its final row was asked for before the release, and is written before it.
                State::InFlight | State::Closing => {}
                state @ (State::Proposed | State::Armed | State::Withheld | State::Held | State::Waiting)
                | state @ (State::Queued | State::Backoff | State::Elsewhere) => {
                    self.forget_asked(self.executions.handle(execution));
                    self.give_key_back(execution);
                    self.watches.forget_execution(execution);
                    let gone = self.executions.give_away(execution);
                    if matches!(state, State::Waiting | State::Backoff) {
                        self.targets.end_wait(gone.sent_to());
                    }
                }
            }
        }
        self.forget_incidents_of(slot);
        self.watches.forget_job(slot);
        self.leave_key(slot);
        self.jobs.give_away(slot);
        self.forget_job_if_over(slot);
    }

    /// What became of a change of a job that is another node's by now: who asked for it is told.
    pub(super) fn settle_given_away(
        &mut self,
        slot: u32,
        request: Option<RequestId>,
        change: PendingChange,
        written: bool,
        now: Now,
    ) {
        let Some(request) = request else { return self.forget_job_if_over(slot) };
        if !written {
            self.refuse(request, Refusal::NotWritten);
            return self.forget_job_if_over(slot);
        }
        let job = &self.jobs[slot];
        let (revision, is_new) = match change {
            PendingChange::Create => (std::sync::Arc::clone(job.revision()), true),
            PendingChange::Update { revision, .. } | PendingChange::Release { revision, .. } => (revision, false),
            PendingChange::Delete => {
                self.reply_to(request, Reply::Deleted);
                return self.forget_job_if_over(slot);
            }
        };
        let view = JobView::of_elsewhere(revision, *job.tally(), Instant::FIRST, now.wall);
        self.reply_to(request, if is_new { Reply::Created(view) } else { Reply::Updated(view) });
        self.forget_job_if_over(slot);
    }

    /// The outcome of an attempt of a job that is another node's by now: that one goes on with it.
    pub(super) fn hand_over(&mut self, slot: u32) {
        self.give_key_back(slot);
        self.executions.close(slot);
        let handle = self.executions.handle(slot);
        let item = Persist::HandOver(self.executions[slot].row.clone());
        self.executions[slot].written_as = self.persist(item, Receipt::Row(handle));
    }

    /// Nothing is this node's any more. What it asked for and has not heard of may be on disk, or not.
    pub(super) fn lose(&mut self) {
        for (request, why) in self.unanswered() {
            self.refuse(request, why);
        }
        self.tell_all_waiting();
        let phase = if self.phase == Phase::Draining { Phase::Draining } else { Phase::Restoring };
        let outputs = std::mem::take(&mut self.outputs);
        let fresh = Scheduler::new(self.settings);
        // Numbers that were used are used up.
        let mut receipts = std::mem::take(&mut self.receipts);
        receipts.abandon();
        let (next_seq, counts) = (self.next_seq, self.counts);
        let jobs = Jobs::beginning_at(self.jobs.next_key());
        let (incidents, alerting) = (self.incidents.emptied(), self.alerting.emptied());
        let gathering = self.gathering.emptied();
        *self = Scheduler { phase, outputs, receipts, next_seq, counts, jobs, incidents, alerting, gathering, ..fresh };
        // What was trusted was said of another incarnation.
        self.ownership.trust(MonoUs(0), MonoUs(0));
    }

    /// Who waits for an answer about the disk, and what there is to be said.
    fn unanswered(&mut self) -> Vec<(RequestId, Refusal)> {
        let mut all = Vec::new();
        for slot in self.jobs.all().collect::<Vec<u32>>() {
            let Some(pending) = self.jobs[slot].pending.take() else { continue };
            all.extend(pending.request.map(|request| (request, Refusal::Unknown)));
            all.extend(pending.waiting.into_iter().map(|command| (command.request, Refusal::NotOwned)));
        }
        let others = self.calendars.take_requests().chain(self.alerting.take_requests());
        all.extend(others.map(|request| (request, Refusal::Unknown)));
        all.extend(self.runs.take_requests().map(|request| (request, Refusal::Unknown)));
        all.extend(self.incidents.take_requests().map(|request| (request, Refusal::Unknown)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_what_was_asked_for_do_not_meet_between_nodes() {
        let seq = |incarnation: u64, number: u64| incarnation << INCARNATION_SHIFT | number;
        assert_eq!(number_of_asked(7), 7, "alone there is no incarnation");
        assert_eq!(number_of_asked(seq(1, 7)), 0x0100_0007);
        assert_eq!(number_of_asked(seq(0x1_02ff, 0x12_3456_789a)), 0xff56_789a);
        assert_ne!(number_of_asked(seq(1, 7)), number_of_asked(seq(2, 7)));
    }
}
