//! Owns what can be read from the scheduler's memory, without changing it and without a scan of what does not matter.
//! It must not format anything.

use std::collections::HashSet;
use std::sync::Arc;

use super::counts::Counts;
use super::executions::{Execution, State};
use super::io::StoredJob;
use super::scheduler::{Phase, Scheduler};
use super::tally::Tally;
use crate::job::{JobId, JobKey, Revision};
use crate::schedule::Schedule;
use crate::time::{Instant, WallUs};

/// A job as clients see it.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The revision in force.
    pub revision: Arc<Revision>,
    /// What became of its executions.
    pub tally: Tally,
    /// When it fires next; None if paused or exhausted.
    pub next: Option<Instant>,
    /// Whether it is paused now.
    pub paused: bool,
    /// Whether the clock stepped back behind what the job already fired, so that it waits.
    pub held: bool,
}

impl JobView {
    /// A job that is not this node's, as far as can be told: what of it is under way, and whether a clock holds it, knows
    /// only who has it. `reached`: every instant up to here has been due.
    pub(super) fn of_elsewhere(revision: Arc<Revision>, tally: Tally, reached: Instant, wall: WallUs) -> JobView {
        let spec = &revision.spec;
        let goes_on = spec.active && spec.max_runs().is_none_or(|most| tally.counters.runs < most);
        let reached = reached.max(wall.floor()).max(revision.since);
        let next = goes_on.then(|| spec.schedule.next_after(reached)).flatten();
        let paused = revision.pause_at(wall).is_some();
        JobView { revision, tally, next, paused, held: false }
    }
}

impl StoredJob {
    /// The job as clients see it, where it is nobody's in memory.
    pub fn view(self, wall: WallUs) -> JobView {
        let StoredJob { revision, totals } = self;
        let finished = totals.finished_through.filter(|(era, _)| *era == revision.era);
        let reached = finished.map_or(Instant::FIRST, |(_, through)| through);
        JobView::of_elsewhere(Arc::new(revision), totals.tally, reached, wall)
    }
}

/// How much there is of everything, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that are active.
    pub active_jobs: usize,
    /// Jobs that are not, until somebody resumes them.
    pub paused_jobs: usize,
    /// All jobs.
    pub jobs: usize,
    /// Executions that are not finished, armed ones included.
    pub executions: usize,
    /// Armed ones that wait for their instant.
    pub armed: usize,
    /// Due ones that wait for their target.
    pub queued: usize,
    /// Since when the oldest has been due that only the disk, its target or a worker keeps from being sent.
    pub oldest_due: Option<Instant>,
    /// Attempts with the workers.
    pub in_flight: usize,
    /// Executions that wait for a retry.
    pub backing_off: usize,
    /// Due executions that wait for others: of their job, or of their concurrency key.
    pub waiting: usize,
    /// Rows and changes on the way to the disk.
    pub unwritten: usize,
    /// Jobs whose arming waits for the disk.
    pub arming_stalled: usize,
    /// Targets that count as failing.
    pub failing_targets: usize,
    /// Jobs held by a clock that stepped back.
    pub held_jobs: usize,
}

/// How many other jobs are due at the same second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Herd {
    /// So many.
    pub jobs: usize,
    /// Whether they were all looked at.
    pub exact: bool,
}

impl Scheduler {
    /// How many active jobs but `except` are due at this instant. Looks at no more than `looks_max` jobs, evenly spread
    /// over all of them, and infers the rest.
    pub fn herd(&self, instant: Instant, except: Option<JobId>, looks_max: usize) -> Herd {
        let before = Instant::from_secs(instant.as_secs() - 1);
        let (mut looked_at, mut due) = (0, 0);
        // Jobs that were created together often share a schedule.
        let mut last: Option<(&Arc<Schedule>, bool)> = None;
        for slot in self.jobs.spread(looks_max) {
            let job = &self.jobs[slot];
            looked_at += 1;
            let (id, spec) = (job.revision().id, job.spec());
            if !(spec.active && job.is_visible()) || Some(id) == except {
                continue;
            }
            let is_due = match last {
                Some((schedule, is_due)) if Arc::ptr_eq(schedule, &spec.schedule) => is_due,
                Some(_) | None => spec.schedule.next_in(before, instant).is_some(),
            };
            last = Some((&spec.schedule, is_due));
            due += usize::from(is_due);
        }
        let jobs = self.jobs.len();
        Herd { jobs: (due * jobs).checked_div(looked_at).unwrap_or(0), exact: jobs <= looks_max }
    }

    /// The revision in force of a job, even of one that clients do not see yet or no more.
    pub fn revision_of(&self, key: JobKey) -> Option<&Arc<Revision>> {
        self.jobs.find(key).map(|slot| self.jobs[slot].revision())
    }

    /// Whether there is a job with this id.
    pub fn has_job(&self, id: JobId) -> bool {
        self.find(id).is_some()
    }

    /// The job with this id.
    pub fn job(&self, id: JobId, wall: WallUs) -> Option<JobView> {
        self.find(id).map(|slot| self.view(slot, wall))
    }

    /// Up to `limit` jobs in order of creation, from the first after `after`.
    pub fn jobs_after(&self, after: Option<JobKey>, limit: usize, wall: WallUs) -> Vec<JobView> {
        let visible = self.jobs.after(after).filter(|&slot| self.jobs[slot].is_visible());
        visible.take(limit).map(|slot| self.view(slot, wall)).collect()
    }

    /// Up to `limit` jobs in the order in which they fire next.
    pub fn next_to_fire(&self, limit: usize, wall: WallUs) -> Vec<JobView> {
        let mut armed = self.executions.by_instant().map(|(at, slot)| (at, self.executions[slot].job)).peekable();
        let mut unarmed = self.jobs.by_arming().peekable();
        let mut seen = HashSet::new();
        let mut views = Vec::new();
        while views.len() < limit {
            let armed_first = match (armed.peek(), unarmed.peek()) {
                (Some(left), Some(right)) => left <= right,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let following = if armed_first { armed.next() } else { unarmed.next() };
            let Some((_, slot)) = following else { break };
            if self.jobs[slot].is_visible() && seen.insert(slot) {
                views.push(self.view(slot, wall));
            }
        }
        views
    }

    /// How much there is of everything.
    pub fn load(&self, wall: WallUs) -> Load {
        Load {
            active_jobs: self.jobs.active(),
            paused_jobs: self.jobs.paused(),
            jobs: self.jobs.len(),
            executions: self.executions.len(),
            armed: self.executions.armed(),
            queued: self.targets.queued(),
            oldest_due: self.executions.oldest_due(),
            in_flight: self.targets.in_flight() as usize,
            backing_off: self.executions.backing_off(),
            waiting: self.executions.waiting(),
            unwritten: self.receipts.unwritten(),
            arming_stalled: self.jobs.queued(),
            failing_targets: self.targets.failing(),
            held_jobs: self.jobs.held(wall),
        }
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the scheduler fires: it is restored, and not draining.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// When a job fires next.
    pub(super) fn next_of(&self, slot: u32) -> Option<Instant> {
        let executions = self.executions.of_job(slot).map(|slot| &self.executions[slot]);
        let armed = executions.filter(|execution| execution.state() == State::Armed && !execution.is_asked_for());
        armed.map(Execution::instant).chain(self.jobs[slot].next()).min()
    }

    /// The jobs with these keys, in their order; None for one that is gone.
    pub fn views_of(&self, keys: impl Iterator<Item = JobKey>, wall: WallUs) -> Vec<Option<JobView>> {
        let slot = |key: JobKey| self.jobs.find(key).filter(|&slot| self.jobs[slot].is_visible());
        keys.map(|key| slot(key).map(|slot| self.view(slot, wall))).collect()
    }

    pub(super) fn view(&self, slot: u32, wall: WallUs) -> JobView {
        let (job, next) = (&self.jobs[slot], self.next_of(slot));
        let paused = job.revision().pause_at(wall).is_some();
        JobView { revision: Arc::clone(job.revision()), tally: *job.tally(), next, paused, held: job.is_held(wall) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bounds, Input, Restored, Settings, Shards, StoredJob, Totals};
    use crate::job::{Context, Definition, JobSpec, Misfire, RetryPolicy};
    use crate::time::{MonoUs, Now};

    #[test]
    fn a_herd_is_counted_or_inferred_from_some() {
        let now = Now { wall: WallUs(1_767_225_600_000_000), mono: MonoUs(0) };
        let mut core = Scheduler::new(Settings {
            in_flight_max: 10,
            retry: RetryPolicy::doubling(0, std::time::Duration::from_secs(1)),
            misfire: Misfire::Once,
            lateness_max: std::time::Duration::from_secs(1),
            lead_us: crate::limits::ARM_LEAD_US,
            skew_us: None,
            noise: 0,
            bounds: Bounds::default(),
        });
        let spec = |schedule: &str| {
            JobSpec::compile(&Definition::plain(schedule, "http://a/"), &Context::at(now.wall.floor())).expect("valid")
        };
        // Every second of them is due at midnight; a quarter would be, and is paused.
        for number in 0..1_000 {
            let mut spec = match number % 4 {
                3 => spec(&format!("0 {} 9 * * *", number % 60)),
                _ => spec("@daily"),
            };
            spec.active = number % 4 != 1;
            let revision = Revision::first(JobId::new(JobKey(number + 1), [0; 10]), spec, now.wall);
            core.handle_input(Input::RestoreJob(Box::new(StoredJob { revision, totals: Totals::default() })), now);
        }
        core.handle_input(
            Input::Acquired(Restored {
                shards: Shards::ALL,
                epochs: Vec::new(),
                next_seq: 1,
                next_job: 1_001,
                next_incident: 1,
                newest: None,
            }),
            now,
        );
        while core.poll_output().is_some() {}
        let midnight = Instant::from_secs(1_767_225_600 + 86_400);
        let first = core.jobs_after(None, 1, now.wall).first().map(|view| view.revision.id);
        assert_eq!(core.herd(midnight, None, 1_000), Herd { jobs: 500, exact: true });
        assert_eq!(core.herd(midnight, first, 1_000), Herd { jobs: 499, exact: true });
        let some = core.herd(midnight, None, 333);
        assert!(!some.exact && (400..=600).contains(&some.jobs), "{some:?}");
        assert_eq!(core.herd(Instant::from_secs(midnight.as_secs() + 1), None, 1_000).jobs, 0);
    }
}
