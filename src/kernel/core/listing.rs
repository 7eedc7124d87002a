//! Owns finding jobs in some order and of some kind: in memory, in pieces that each look at a bounded number of jobs, or
//! among those that whoever has others looks at.
//! It must not show them: it says which they are.

use std::collections::BTreeSet;

use super::record::Status;
use super::scheduler::Scheduler;
use super::view::JobView;
use crate::job::{JobKey, Target};
use crate::time::{Instant, WallUs};

/// How a job stands, as far as it can be asked for. The first four are disjoint, and every job is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is due again.
    Active,
    /// It is paused.
    Paused,
    /// It is never due again.
    Ended,
    /// It waits because the clock stepped back.
    Held,
    /// Its last outcome is a failure, and it is not paused.
    Failing,
    /// Its own policy paused it.
    AutoPaused,
}

/// Which jobs are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those that stand like this.
    pub state: Option<JobState>,
    /// Only those that POST there.
    pub target: Option<TargetFilter>,
}

/// Where jobs POST to that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetFilter {
    /// This host, whatever the scheme and the port.
    Host(Box<str>),
    /// Exactly this one.
    Exactly(Target),
}

/// The order in which jobs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOrder {
    /// The oldest first.
    Created,
    /// Those that are due next first; those that are never due again last.
    Next,
}

/// Where a job stands in such an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it is due next, if that is the order; later than all if it never is.
    pub next: Instant,
    /// Which job.
    pub job: JobKey,
}

/// Jobs that are being looked for.
#[derive(Clone, Debug)]
pub struct Listing {
    order: JobOrder,
    filter: JobFilter,
    /// Only those behind this place.
    after: Option<Place>,
    limit: usize,
    /// One more than is wanted, to know whether there is more.
    best: BTreeSet<Place>,
    /// The last job that was looked at.
    reached: Option<JobKey>,
}

impl Listing {
    /// Looks for up to `limit` jobs.
    pub fn new(order: JobOrder, filter: JobFilter, after: Option<Place>, limit: usize) -> Listing {
        let reached = after.filter(|_| order == JobOrder::Created).map(|place| place.job);
        Listing { order, filter, after, limit, best: BTreeSet::new(), reached }
    }

    /// The order that it looks in.
    pub fn order(&self) -> JobOrder {
        self.order
    }

    /// How many are wanted.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Behind which job it goes on, in the order of creation: every one is looked at in that order.
    pub fn reached(&self) -> Option<JobKey> {
        self.reached
    }

    /// Whether only the memory of whoever has a job tells what is wanted of it.
    pub fn is_of_memory(&self) -> bool {
        self.filter.is_of_memory()
    }

    /// Whether it goes by how jobs stand. If not, it is enough to know which there are.
    pub fn goes_by_views(&self) -> bool {
        self.order == JobOrder::Next || !self.filter.is_none()
    }

    /// Looks at a job by its view. Whether all are found.
    pub fn look_at(&mut self, view: &JobView) -> bool {
        let job = view.revision.id.key();
        self.reached = Some(job);
        let place = Place::of(view, self.order);
        let is_before = self.order == JobOrder::Next && self.after.is_some_and(|after| place <= after);
        if is_before || !self.filter.lets_through(view) { self.is_full() } else { self.take(place) }
    }

    /// Looks at a job of which it need not be known how it stands. Whether all are found.
    pub fn note(&mut self, job: JobKey) -> bool {
        self.reached = Some(job);
        self.take(Place { next: Instant::FIRST, job })
    }

    fn take(&mut self, place: Place) -> bool {
        self.best.insert(place);
        if self.best.len() > self.limit + 1 {
            self.best.pop_last();
        }
        self.is_full()
    }

    fn is_full(&self) -> bool {
        self.order == JobOrder::Created && self.best.len() > self.limit
    }

    /// Looks at up to `looks` more jobs. Whether all are found.
    pub fn advance(&mut self, core: &Scheduler, looks: usize, wall: WallUs) -> bool {
        for (looked, slot) in core.jobs.after(self.reached).enumerate() {
            if looked >= looks {
                return false;
            }
            let job = &core.jobs[slot];
            self.reached = Some(job.key());
            if !job.is_visible() {
                continue;
            }
            let is_full =
                if self.goes_by_views() { self.look_at(&core.view(slot, wall)) } else { self.note(job.key()) };
            if is_full {
                return true;
            }
        }
        true
    }

    /// What was found, and the place behind which there is more.
    pub fn end(mut self) -> (Vec<JobKey>, Option<Place>) {
        let more = self.best.len() > self.limit;
        while self.best.len() > self.limit {
            self.best.pop_last();
        }
        let next = self.best.last().copied().filter(|_| more);
        (self.best.into_iter().map(|place| place.job).collect(), next)
    }

    /// The same where no more will be looked at, though there are more. None: only all of them tell which come first.
    pub fn cut_short(self) -> Option<(Vec<JobKey>, Option<Place>)> {
        let reached = self.reached.map(|job| Place { next: Instant::FIRST, job });
        match self.order {
            JobOrder::Created => {
                let (found, next) = self.end();
                Some((found, next.or(reached)))
            }
            JobOrder::Next => None,
        }
    }
}

impl Place {
    /// Where a job stands.
    pub fn of(view: &JobView, order: JobOrder) -> Place {
        let next = match order {
            JobOrder::Created => Instant::FIRST,
            JobOrder::Next => view.next.unwrap_or(Instant::from_secs(i64::MAX)),
        };
        Place { next, job: view.revision.id.key() }
    }
}

impl JobFilter {
    /// Whether everything is let through.
    pub fn is_none(&self) -> bool {
        *self == JobFilter::default()
    }

    /// Whether only the memory of whoever has a job tells what is wanted of it: what its clock has passed.
    pub fn is_of_memory(&self) -> bool {
        self.state == Some(JobState::Held)
    }

    /// Whether it lets a job through.
    pub fn lets_through(&self, view: &JobView) -> bool {
        let stands = || {
            if view.paused {
                JobState::Paused
            } else if view.held {
                JobState::Held
            } else if view.next.is_some() {
                JobState::Active
            } else {
                JobState::Ended
            }
        };
        let stands_like = |state: JobState| match state {
            JobState::Failing => view.tally.last.is_some_and(|last| last.status == Status::Failed) && !view.paused,
            JobState::AutoPaused => {
                view.paused && view.revision.pause.as_deref().is_some_and(|pause| pause.reason.is_some())
            }
            JobState::Active | JobState::Paused | JobState::Ended | JobState::Held => stands() == state,
        };
        let goes_to = |wanted: &TargetFilter| {
            let target = view.revision.spec.post.url.target();
            match wanted {
                TargetFilter::Host(host) => target.host == *host,
                TargetFilter::Exactly(exactly) => target == *exactly,
            }
        };
        self.state.is_none_or(stands_like) && self.target.as_ref().is_none_or(goes_to)
    }
}

impl Scheduler {
    /// Those of some jobs that a client can see and a filter lets through, in their order.
    pub fn visible_of(&self, keys: Vec<JobKey>, filter: &JobFilter, wall: WallUs) -> Vec<JobKey> {
        let is_shown = |key: &JobKey| {
            let slot = self.jobs.find(*key).filter(|&slot| self.jobs[slot].is_visible());
            slot.is_some_and(|slot| filter.is_none() || filter.lets_through(&self.view(slot, wall)))
        };
        keys.into_iter().filter(is_shown).collect()
    }
}
