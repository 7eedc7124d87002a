//! Owns executions that are done again, many at once, where several nodes share a database: those of jobs that another node
//! has, it is asked to do again.
//! It must not choose them: a reader finds them, and whoever has a job finds its own once more.
//!
//! What is this node's is done last: an answer that is kept under a key is kept with it, as a whole.

use std::collections::BTreeMap;

use super::calls::Calls;
use super::connection::Given;
use super::engine::Engine;
use super::nodes::{is_passed_on, number_of_part};
use crate::api::{self, Elsewhere, Passed};
use crate::core::{Action, RequestId};
use crate::job::{JobId, JobKey};
use crate::limits::PARTS_WAIT_MAX;
use crate::store::{Ask, ExecutionRecord, Filter, Owner, StoredAnswer, Unplaced};
use crate::time::{MonoUs, Now};

/// What other nodes are asked to do again.
#[derive(Debug, Default)]
pub(super) struct Replays {
    under_way: BTreeMap<RequestId, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    /// What this node has; None: it was given to the core.
    own: Option<Vec<ExecutionRecord>>,
    /// The numbers of the parts that are not answered, each with how many executions it has.
    theirs: BTreeMap<RequestId, usize>,
    told: Elsewhere,
    since: MonoUs,
}

impl Replays {
    /// Whether something can be done without waiting for anybody.
    pub(super) fn has_work(&self) -> bool {
        self.under_way.values().any(|under_way| under_way.own.is_some() && under_way.theirs.is_empty())
    }

    /// A node has answered to the part with this number.
    pub(super) fn note(&mut self, number: RequestId, answer: Result<StoredAnswer, Unplaced>) {
        let found = self.under_way.values_mut().find_map(|under_way| {
            let asked = under_way.theirs.remove(&number)?;
            Some((&mut under_way.told, asked))
        });
        if let Some((told, asked)) = found {
            told.note(asked, answer);
        }
    }

    /// What became of those that others have of a request.
    pub(super) fn told(&self, request: RequestId) -> Option<Elsewhere> {
        self.under_way.get(&request).map(|under_way| under_way.told.clone())
    }

    /// A request is over.
    pub(super) fn end(&mut self, request: RequestId) -> Option<Elsewhere> {
        self.under_way.remove(&request).map(|under_way| under_way.told)
    }
}

impl Calls {
    /// Executions were found that are to be done again: each by whoever has its job.
    pub(super) fn replay_all(
        &mut self,
        engine: &mut Engine,
        now: Now,
        request: RequestId,
        filter: Filter,
        found: Vec<ExecutionRecord>,
    ) -> Given {
        // What has a key was passed on as a whole; anything else is a part, which is not divided once more.
        let is_part = is_passed_on(request).is_some() && !self.keys.has(request);
        let is_here = |found: &ExecutionRecord| !self.shared || is_part || engine.core().has_job(found.id.job);
        let (own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_here);
        if others.is_empty() {
            return self.change(engine, now, request, Action::ReplayAll(api::replays_of(own)));
        }
        let mut jobs: BTreeMap<JobKey, (JobId, usize)> = BTreeMap::new();
        for ExecutionRecord { id, .. } in others {
            jobs.entry(id.job.key()).or_insert((id.job, 0)).1 += 1;
        }
        let mut under_way =
            UnderWay { own: Some(own), theirs: BTreeMap::new(), told: Elsewhere::default(), since: now.mono };
        for (job, count) in jobs.into_values() {
            match self.ask_to_replay(engine, (request, now), job, &filter, count) {
                Some(number) => drop(under_way.theirs.insert(number, count)),
                None => under_way.told.note(count, Err(Unplaced::NoNode)),
            }
        }
        self.replays.under_way.insert(request, under_way);
        Given::MuchLater
    }

    /// Asks whoever has a job to do so many of its executions again. The number under which that is answered; None: it
    /// cannot be asked.
    fn ask_to_replay(
        &mut self,
        engine: &Engine,
        (request, now): (RequestId, Now),
        job: JobId,
        filter: &Filter,
        count: usize,
    ) -> Option<RequestId> {
        let (asking, asked) = (self.audits.get(request)?, api::replay_all_of(job, filter, count));
        let text = Passed::new(&asked, asking.who, &asking.client.to_string(), asking.is_secure)?.text();
        let number = number_of_part(self.batches.parts_asked);
        self.batches.parts_asked += 1;
        let ask = Ask::Forward { request: number, asked: now.mono, to: Owner::Job(job.key()), text };
        engine.nodes.as_ref()?.ask(ask).then_some(number)
    }

    /// Does again what this node has, once all others have answered. What whoever asked is given.
    pub(super) fn go_on_with_replays(&mut self, engine: &mut Engine, now: Now) -> Option<(RequestId, Given)> {
        let is_late = |under_way: &UnderWay| now.mono >= under_way.since.plus(PARTS_WAIT_MAX);
        for under_way in self.replays.under_way.values_mut().filter(|under_way| is_late(under_way)) {
            let late = std::mem::take(&mut under_way.theirs).into_values();
            late.for_each(|asked| under_way.told.note(asked, Err(Unplaced::Failed)));
        }
        let mut waiting = self.replays.under_way.iter_mut().filter(|(_, under_way)| under_way.theirs.is_empty());
        let (request, own) = waiting.find_map(|(request, under_way)| Some((*request, under_way.own.take()?)))?;
        let given = self.change(engine, now, request, Action::ReplayAll(api::replays_of(own)));
        let given = self.end_unless_later(request, given);
        if let Given::Answer(_) = given {
            self.replays.end(request);
        }
        Some((request, given))
    }
}
