//! Owns the way of what is asked about jobs that are in no memory of this node: where several share a database, all of
//! them are in there, and a reader finds them.
//! It must not ask there for what memory has, but for lists: those are of all jobs, and so of one place.

use super::calls::{Calls, Then};
use super::connection::Given;
use super::connections::Clients;
use super::engine::Engine;
use crate::api::{self, Call, Export, Read, Stream};
use crate::core::{JobView, RequestId, Scheduler};
use crate::job::{JobId, JobKey};
use crate::store::{ExecutionRecord, JobsAsked, Query};
use crate::time::{Instant, Now};

impl Calls {
    /// What a list of jobs is to be asked of a reader; None: memory is looked through, as it has all that is wanted.
    pub(super) fn list_in_store(&self, call: &Call) -> Option<JobsAsked> {
        if !self.shared {
            return None;
        }
        if let Call::Jobs(listing) = call
            && !listing.is_of_memory()
        {
            return Some(JobsAsked::Listed(listing.clone()));
        }
        let Call::Search(search, filter) = call else { return None };
        (!filter.is_of_memory()).then(|| JobsAsked::Searched(search.clone(), filter.clone()))
    }

    /// Asks a reader for jobs.
    pub(super) fn ask_for_jobs(&mut self, request: RequestId, asked: JobsAsked, now: Now) -> Given {
        self.query(request, Query::Views { asked, now: now.wall })
    }

    /// Reads what the loop has, and first what it lacks.
    pub(super) fn read_here_or_there(
        &mut self,
        engine: &Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        read: Read,
    ) -> Given {
        let lacking: Vec<JobId> =
            read.jobs().iter().copied().filter(|id| self.lacks(engine.core(), *id, now)).collect();
        if lacking.is_empty() {
            return Given::Answer(self.read(engine, clients, now, read, &[]));
        }
        self.then.insert(request, Then::Read(read));
        self.ask_for_jobs(request, JobsAsked::These(lacking.into()), now)
    }

    /// Why something was sent for a second of a job, or was not: for which the job itself is needed.
    pub(super) fn explain(
        &mut self,
        engine: &Engine,
        now: Now,
        request: RequestId,
        (job, at): (JobId, Instant),
        found: Vec<ExecutionRecord>,
    ) -> Given {
        if self.lacks(engine.core(), job, now) {
            self.then.insert(request, Then::Explain(job, at, found));
            return self.ask_for_jobs(request, JobsAsked::These([job].into()), now);
        }
        let view = engine.core().job(job, now.wall);
        Given::Answer(api::why(job, at, view.as_ref(), found, now.wall))
    }

    /// The next piece of an export, whose jobs are asked for. If that cannot be, it is tried again in a while: what was
    /// sent already cannot be taken back, and must not look as if it were all.
    pub(super) fn ask_for_piece(&mut self, request: RequestId, after: Option<JobKey>, now: Now) -> Given {
        self.then.insert(request, Then::Export(after));
        match self.ask_for_jobs(request, JobsAsked::Behind(after), now) {
            Given::Later => Given::Later,
            Given::MuchLater | Given::Answer(_) | Given::Streamed(..) | Given::Piece(_) | Given::Nothing(_) => {
                Given::Nothing(Stream::Export(Export::Jobs(after)))
            }
        }
    }

    /// What is done with jobs that a reader found.
    pub(super) fn found_jobs(
        &self,
        engine: &Engine,
        clients: Clients,
        now: Now,
        views: &[JobView],
        then: Then,
    ) -> Given {
        match then {
            Then::Read(read) => Given::Answer(self.read(engine, clients, now, read, views)),
            Then::Explain(job, at, found) => Given::Answer(api::why(job, at, views.first(), found, now.wall)),
            Then::Export(after) => {
                // Of those that are here memory knows more: how many runs they have had.
                let here = |view: &JobView| engine.core().job(view.revision.id, now.wall);
                let views: Vec<JobView> = views.iter().map(|view| here(view).unwrap_or_else(|| view.clone())).collect();
                Given::Piece(Export::Jobs(after).piece(engine.core().calendars(), &views))
            }
            Then::Run(_) | Then::RunAll { .. } | Then::Show(_) | Then::Change(_) => {
                unreachable!("what is done with an answer fits its question")
            }
        }
    }

    fn lacks(&self, core: &Scheduler, id: JobId, now: Now) -> bool {
        self.shared && core.job(id, now.wall).is_none()
    }
}
