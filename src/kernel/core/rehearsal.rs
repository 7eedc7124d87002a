//! Owns changes that are only tried, one after the other: what would become of each if those before it were done.
//! It must not change anything but itself, nor judge otherwise than the scheduler does.

use std::collections::HashSet;
use std::sync::Arc;

use super::applying::Verdict;
use super::changes::CHANGING;
use super::gathering::follow;
use super::io::{Accepted, Action, Applied, Command, Reply};
use super::scheduler::Scheduler;
use crate::job::JobKey;
use crate::schedule::{Calendars, Dates};
use crate::time::Now;

/// What was tried so far.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// Jobs that would be changing, or were found to be as they are to be.
    jobs: HashSet<JobKey>,
    /// Names that would be taken.
    names: HashSet<Box<str>>,
    /// The calendars there would be, if there would be others.
    calendars: Option<Calendars>,
}

impl Rehearsal {
    /// The calendars there would be by now.
    pub fn calendars<'a>(&'a self, core: &'a Scheduler) -> &'a Calendars {
        self.calendars.as_ref().unwrap_or_else(|| core.calendars())
    }

    /// What would become of a calendar.
    ///
    /// # Errors
    /// Says why it would not be put.
    pub fn put_calendar(&mut self, core: &Scheduler, name: &str, dates: Arc<Dates>) -> Result<(), Reply> {
        let calendars = self.calendars.get_or_insert_with(|| core.calendars().clone());
        calendars.insert_within(name, dates, core.settings.bounds.calendars_max).map_err(Reply::TooMany)
    }

    /// What would become of a change of a job that is gathered with those before it.
    ///
    /// # Errors
    /// The answer, where nothing would be written.
    pub fn gather(&mut self, core: &Scheduler, mut command: Command, now: Now) -> Result<Accepted, Reply> {
        follow(&mut command.action, self.calendars(core))?;
        core.takes_changes().map_err(Reply::Refused)?;
        if let Action::Apply(apply) = &command.action
            && apply.spec.name().is_some_and(|name| self.names.contains(name))
        {
            return Err(Reply::Conflict(CHANGING));
        }
        let job = core.job_of(&command.action)?;
        let key = job.map(|job| core.jobs[job].key());
        if job.is_some_and(|job| core.jobs[job].pending.is_some()) || key.is_some_and(|key| self.jobs.contains(&key)) {
            return Err(Reply::Conflict(CHANGING));
        }
        core.is_expected(&command.action, job)?;
        let id = job.map(|job| core.jobs[job].revision().id);
        let old = job.map(|job| core.jobs[job].revision());
        let is_taken = |name: &str| self.names.contains(name);
        let (new, applied) = match command.action {
            Action::Create { mut spec, .. } => {
                core.complete(&mut spec, None, false, is_taken)?;
                (Some(spec), None)
            }
            Action::Update { mut spec, keep_active, .. } => {
                core.complete(&mut spec, old.map(|old| &**old), keep_active, is_taken)?;
                (Some(spec), None)
            }
            Action::Apply(mut apply) => match (core.judge_declared(&mut apply, job, command.read_at, is_taken)?, old) {
                (Verdict::Nothing, _) => {
                    self.jobs.extend(key);
                    return Err(Reply::Unchanged(id.expect("there is one that is not changed")));
                }
                (Verdict::Replace { .. }, Some(old)) => {
                    let applied = Applied::Changed(Arc::clone(old), apply.spec.clone());
                    (Some(apply.spec), Some(applied))
                }
                (Verdict::Replace { .. }, None) | (Verdict::Create, _) => {
                    core.complete(&mut apply.spec, None, false, is_taken)?;
                    (Some(apply.spec), Some(Applied::Created))
                }
            },
            Action::Resume { .. } => match job.filter(|&job| core.jobs[job].revision().pause_at(now.wall).is_none()) {
                Some(awake) => return Err(Reply::Updated(core.view(awake, now.wall))),
                None => (None, None),
            },
            Action::Delete { .. } | Action::Pause { .. } => (None, None),
            Action::Release { .. } | Action::Run(_) | Action::ReplayAll(_) => (None, None),
            Action::PutCalendar { .. } | Action::DeleteCalendar { .. } => (None, None),
            Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => (None, None),
        };
        let name = new.as_ref().and_then(|spec| spec.name());
        self.names.extend(name.filter(|name| old.and_then(|old| old.spec.name()) != Some(name)).map(Into::into));
        self.jobs.extend(key);
        Ok(Accepted { job: id, applied })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::{
        Apply, Bounds, Input, Meant, Output, Persist, RequestId, Restored, Settings, Shards, StoredJob, Totals,
    };
    use crate::job::{Context, Definition, JobId, JobSpec, Misfire, RetryPolicy, Revision};
    use crate::time::{Instant, MonoUs, WallUs};

    const START: Instant = Instant::from_secs(1_767_225_600);
    const NAMES: [&str; 5] = ["a", "b", "c", "d", ""];

    fn spec(choices: &mut impl FnMut(u64) -> u64) -> JobSpec {
        let (name, path) = (NAMES[choices(5) as usize], choices(2));
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        let definition = Definition { name, ..Definition::plain("@yearly", &format!("http://a/{path}")) };
        JobSpec::compile(&definition, &Context::at(START)).expect("a job")
    }

    fn command(ids: &[JobId], choices: &mut impl FnMut(u64) -> u64) -> Command {
        let id = ids[choices(ids.len() as u64) as usize];
        let expected = (choices(8) == 0).then(|| Box::from([7]));
        let action = match choices(8) {
            0 => Action::Create { spec: spec(choices), entropy: [0; 10], pause: None },
            1 => Action::Update { id, spec: spec(choices), keep_active: choices(2) == 0, expected },
            2 => Action::Delete { id, expected },
            3 => Action::Pause { id, until: None, note: None, expected },
            4 => Action::Resume { id, missed: false, expected },
            _ => {
                let ids = (choices(4) == 0).then_some(id).into_iter().collect();
                let names = NAMES.iter().filter(|_| choices(4) == 0).map(|name| Box::from(*name)).collect();
                let beside = Arc::new(Meant { names, ids });
                let (id, keep_active) = ((choices(2) == 0).then_some(id), choices(2) == 0);
                Action::Apply(Box::new(Apply {
                    id,
                    spec: spec(choices),
                    keep_active,
                    runs: 0,
                    entropy: [0; 10],
                    beside,
                }))
            }
        };
        Command { request: RequestId(1), action, plans: false, read_at: START }
    }

    /// What became of a line, as far as it is the same for one that is only tried.
    fn told(outcome: Result<Accepted, Reply>) -> String {
        match outcome {
            Ok(Accepted { job, applied: None }) => format!("accepted {job:?}"),
            Ok(Accepted { applied: Some(Applied::Created), .. }) => "created".to_owned(),
            Ok(Accepted { job, applied: Some(Applied::Changed(old, new)) }) => {
                format!("changed {job:?} {} {:?} {:?}", old.number, old.spec.name(), Definition::from(&new))
            }
            Err(Reply::Updated(view)) => format!("updated {}", view.revision.id),
            Err(reply) => format!("{reply:?}"),
        }
    }

    #[test]
    fn what_is_tried_comes_out_as_it_does_when_it_is_done() {
        let now = Now { wall: WallUs::of(START), mono: MonoUs(1) };
        let (mut seed, mut seen) = (1, std::collections::BTreeMap::<String, u32>::new());
        for _ in 0..400 {
            let mut core = Scheduler::new(Settings {
                in_flight_max: 10,
                retry: RetryPolicy::doubling(0, Duration::from_secs(1)),
                misfire: Misfire::Once,
                lateness_max: Duration::from_secs(1),
                lead_us: crate::limits::ARM_LEAD_US,
                skew_us: None,
                noise: 0,
                bounds: Bounds::default(),
            });
            let ids: Vec<JobId> = (1..=4).map(|key| JobId::new(JobKey(key), [0; 10])).collect();
            for (place, id) in ids.iter().enumerate() {
                // One name is free, and one has none.
                let mut choice = [0, 1, 2, 4][place];
                let mut spec = spec(&mut |_| std::mem::replace(&mut choice, 0));
                spec.active = place % 2 == 0;
                let revision = Revision::first(*id, spec, WallUs::of(START));
                core.handle_input(Input::RestoreJob(Box::new(StoredJob { revision, totals: Totals::default() })), now);
            }
            core.handle_input(
                Input::Acquired(Restored {
                    shards: Shards::ALL,
                    epochs: Vec::new(),
                    next_seq: 1,
                    next_job: 9,
                    next_incident: 1,
                    newest: None,
                }),
                now,
            );
            while core.poll_output().is_some() {}
            let mut drawn = |most: u64| {
                seed = mixed(seed);
                (seed >> 33) % most
            };
            let seeds: Vec<u64> = (0..8).map(|_| drawn(1 << 30)).collect();
            let made = |from: u64| {
                let mut seed = from;
                command(&ids, &mut |most| {
                    seed = mixed(seed);
                    (seed >> 33) % most
                })
            };
            let mut rehearsal = Rehearsal::default();
            let tried: Vec<String> = seeds.iter().map(|&seed| told(rehearsal.gather(&core, made(seed), now))).collect();
            let mut done = Vec::new();
            for &seed in &seeds {
                core.handle_input(Input::Gather(Box::new(made(seed))), now);
                let mut outcome = None;
                while let Some(output) = core.poll_output() {
                    match output {
                        Output::Gathered(_, accepted) => outcome = Some(Ok(accepted)),
                        Output::Reply(_, reply) => outcome = Some(Err(reply)),
                        Output::Persist(_, Persist::Row(..)) => {}
                        other => panic!("{other:?}"),
                    }
                }
                done.push(told(outcome.expect("each is answered")));
            }
            for (tried, done) in tried.iter().zip(&done) {
                // One that is only tried has no id.
                let is_same = tried == done || (tried == "accepted None" && done.starts_with("accepted Some"));
                assert!(is_same, "{tried}\n{done}");
                *seen.entry(tried.split([' ', '(']).next().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        for kind in
            ["accepted", "created", "changed", "Unchanged", "Conflict", "NameTaken", "Nameless", "Changed", "updated"]
        {
            assert!(seen.contains_key(kind), "{kind}: {seen:?}");
        }
    }

    fn mixed(seed: u64) -> u64 {
        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
    }
}
