//! Owns finding jobs in memory, in some order and of some kind, in pieces that each look at a bounded number of jobs.
//! It must not show them: it says which they are.

use std::collections::BTreeSet;

use super::record::Status;
use super::scheduler::Scheduler;
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

    /// Looks at up to `looks` more jobs. Whether all are found.
    pub fn advance(&mut self, core: &Scheduler, looks: usize, wall: WallUs) -> bool {
        for (looked, slot) in core.jobs.after(self.reached).enumerate() {
            if looked >= looks {
                return false;
            }
            let job = &core.jobs[slot];
            self.reached = Some(job.key());
            if !job.is_visible() || !self.filter.lets_through(core, slot, wall) {
                continue;
            }
            let next = match self.order {
                JobOrder::Created => Instant::FIRST,
                JobOrder::Next => core.next_of(slot).unwrap_or(Instant::from_secs(i64::MAX)),
            };
            let place = Place { next, job: job.key() };
            if self.order == JobOrder::Next && self.after.is_some_and(|after| place <= after) {
                continue;
            }
            self.best.insert(place);
            if self.best.len() > self.limit + 1 {
                self.best.pop_last();
            }
            if self.order == JobOrder::Created && self.best.len() > self.limit {
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
}

impl JobFilter {
    /// Whether everything is let through.
    pub fn is_none(&self) -> bool {
        *self == JobFilter::default()
    }

    fn lets_through(&self, core: &Scheduler, slot: u32, wall: WallUs) -> bool {
        let job = &core.jobs[slot];
        let pause = || job.revision().pause_at(wall);
        let stands = || {
            if pause().is_some() {
                JobState::Paused
            } else if job.is_held(wall) {
                JobState::Held
            } else if core.next_of(slot).is_some() {
                JobState::Active
            } else {
                JobState::Ended
            }
        };
        let stands_like = |state: JobState| match state {
            JobState::Failing => job.tally.last.is_some_and(|last| last.status == Status::Failed) && pause().is_none(),
            JobState::AutoPaused => pause().is_some_and(|pause| pause.reason.is_some()),
            JobState::Active | JobState::Paused | JobState::Ended | JobState::Held => stands() == state,
        };
        let goes_to = |wanted: &TargetFilter| {
            let target = job.spec().post.url.target();
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
            slot.is_some_and(|slot| filter.lets_through(self, slot, wall))
        };
        keys.into_iter().filter(is_shown).collect()
    }
}
