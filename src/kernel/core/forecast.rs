//! Owns looking ahead: how many executions the schedules have in the next hour, second by second, in pieces that each
//! cost a bounded number of steps.
//! It must not arm anything, and knows of other executions only those of jobs whose runs are counted.
//!
//! Of many jobs some are looked at, evenly spread over all, and the rest is inferred. Those that share a schedule are
//! told apart by nothing, so it is walked once for all of them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

use super::executions::State;
use super::scheduler::Scheduler;
use crate::job::JobKey;
use crate::schedule::Schedule;
use crate::time::{Instant, WallUs};

const MINUTE_S: i64 = 60;
/// How far ahead is looked.
const STRETCH_S: i64 = 3_600;
/// What a look at a job costs in steps, as it is in no cache; a step is an instant that a schedule has.
const LOOK_STEPS: usize = 8;
/// How many instants that were met before cost as much as one that is looked for.
const KNOWN_PER_STEP: usize = 100;

/// The next hour, in the making.
#[derive(Debug)]
pub struct Forecast {
    now: WallUs,
    /// The second before the first one that counts.
    before: Instant,
    through: Instant,
    /// How many jobs there are.
    jobs: usize,
    cursor: Cursor,
    looked_at: usize,
    /// Steps that may still be taken in all.
    steps_left: usize,
    /// How many seconds it names.
    peaks_max: usize,
    /// How many are due in each second.
    due: Vec<u32>,
    /// The seconds that the walks met, one walk after the other.
    met: Vec<u16>,
    walks: Vec<Walk>,
    /// The walks that several jobs may share, by where their schedule lies in memory: nothing else can lie there before
    /// the walk lets go of it.
    shared: HashMap<usize, usize>,
    /// Whether the last walk is not at its end.
    is_walking: bool,
    /// Whether all that were to be looked at were.
    is_complete: bool,
}

/// Which jobs are looked at.
#[derive(Debug)]
enum Cursor {
    /// All of them, of which this was the last.
    All(Option<JobKey>),
    /// Some, of whose places this one is next.
    Some(usize),
}

/// A way through a schedule.
#[derive(Debug)]
struct Walk {
    /// Not kept alive: a schedule that nobody has any more is due no more.
    schedule: Weak<Schedule>,
    reached: Instant,
    /// How many instants may follow.
    left: u64,
    /// What it met, among all that was met.
    met: Range<usize>,
}

/// The next hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// When it was asked for.
    pub now: WallUs,
    /// The beginning of each minute, and how many executions are due in it.
    pub minutes: Vec<(Instant, u64)>,
    /// The seconds in which most are due together, the highest first.
    pub peaks: Vec<(Instant, u64)>,
    /// How many jobs there are.
    pub jobs: usize,
    /// How many of them were looked at. If not all, the rest is inferred.
    pub looked_at: usize,
}

impl Forecast {
    /// Looks at the sixty whole minutes that follow.
    pub fn new(core: &Scheduler, now: WallUs) -> Forecast {
        let first = (now.floor().as_secs().div_euclid(MINUTE_S) + 1) * MINUTE_S;
        Forecast {
            now,
            before: Instant::from_secs(first - 1),
            through: Instant::from_secs(first + STRETCH_S - 1),
            jobs: core.jobs.len(),
            cursor: if core.jobs.len() > core.settings.bounds.forecast_jobs_max {
                Cursor::Some(0)
            } else {
                Cursor::All(None)
            },
            looked_at: 0,
            peaks_max: core.settings.bounds.forecast_peaks_max,
            steps_left: core.settings.bounds.forecast_steps_max,
            due: vec![0; usize::try_from(STRETCH_S).expect("it is small")],
            met: Vec::new(),
            walks: Vec::new(),
            shared: HashMap::new(),
            is_walking: false,
            is_complete: false,
        }
    }

    /// Takes about so many steps more. Whether there are no more to take.
    pub fn advance(&mut self, core: &Scheduler, steps: usize, wall: WallUs) -> bool {
        let mut left = steps;
        while left > 0 && self.steps_left > 0 && !self.is_complete {
            let taken =
                if self.is_walking { self.walk(left.min(self.steps_left)) } else { self.look_at_next(core, wall) };
            left = left.saturating_sub(taken);
            self.steps_left = self.steps_left.saturating_sub(taken);
        }
        if !self.is_complete && self.steps_left > 0 {
            return false;
        }
        self.give_up_walk();
        // Letting go of a schedule costs a look at where it lies.
        self.walks.truncate(self.walks.len().saturating_sub(left));
        self.walks.is_empty()
    }

    /// There are no steps left for the job that was looked at last.
    fn give_up_walk(&mut self) {
        if std::mem::take(&mut self.is_walking) {
            let met = self.walks.last().expect("one was begun").met.clone();
            self.met[met].iter().for_each(|&second| self.due[usize::from(second)] -= 1);
            self.looked_at -= 1;
        }
    }

    fn look_at_next(&mut self, core: &Scheduler, wall: WallUs) -> usize {
        let next = match &mut self.cursor {
            Cursor::All(last) => {
                let next = core.jobs.after(*last).next();
                *last = next.map(|slot| core.jobs[slot].key()).or(*last);
                next.map(Some)
            }
            Cursor::Some(turn) => {
                let turn = std::mem::replace(turn, *turn + 1);
                core.jobs.spread_at(core.settings.bounds.forecast_jobs_max, turn)
            }
        };
        match next {
            None => self.is_complete = true,
            // There is no job at this place.
            Some(None) => return 1,
            Some(Some(slot)) => {
                self.looked_at += 1;
                return LOOK_STEPS + self.look(core, slot, wall);
            }
        }
        1
    }

    /// Looks at a job: it begins a walk, or goes along with an earlier one. Whether it is held shows only by the present
    /// time, as it may have fired since this began.
    /// What it costs beside the look.
    fn look(&mut self, core: &Scheduler, slot: u32, wall: WallUs) -> usize {
        let job = &core.jobs[slot];
        // One that nobody sees yet or any more, or that rests, has no next instant.
        if job.is_held(wall) || core.next_of(slot).is_none() {
            return 0;
        }
        let schedule = &job.spec().schedule;
        // A pause that ends by itself lets nothing be due before.
        let resumes = job.revision().pause_at(wall).and_then(|pause| pause.until);
        let reached = resumes.map_or(self.before, |until| until.max(self.before));
        let met = self.met.len()..self.met.len();
        let mut walk = Walk { schedule: Arc::downgrade(schedule), reached, left: u64::MAX, met };
        if let Some(left) = core.runs_left(slot) {
            // What is armed counts already, and what is due before the first second, too.
            (walk.left, walk.reached) = (left, job.armed_through());
            let armed = core.executions.of_job(slot).map(|slot| &core.executions[slot]);
            let armed = armed.filter(|armed| armed.state() == State::Armed && !armed.is_asked_for());
            armed.for_each(|armed| self.meet(&mut walk, armed.instant()));
        } else if reached == self.before {
            let place = Arc::as_ptr(schedule).addr();
            if let Some(&shared) = self.shared.get(&place) {
                let met = self.walks[shared].met.clone();
                let steps = met.len() / KNOWN_PER_STEP;
                self.met[met].iter().for_each(|&second| self.due[usize::from(second)] += 1);
                return steps;
            }
            self.shared.insert(place, self.walks.len());
        }
        self.walks.push(walk);
        self.is_walking = true;
        0
    }

    /// Goes on with the last walk for so many steps. How many it took.
    fn walk(&mut self, most: usize) -> usize {
        let mut walk = self.walks.pop().expect("one was begun");
        let schedule = walk.schedule.upgrade();
        let mut taken = 0;
        while self.is_walking && taken < most {
            taken += 1;
            let next = schedule.as_ref().filter(|_| walk.left > 0);
            match next.and_then(|schedule| schedule.next_in(walk.reached, self.through)) {
                None => self.is_walking = false,
                Some(next) => {
                    (walk.reached, walk.left) = (next, walk.left - 1);
                    self.meet(&mut walk, next);
                }
            }
        }
        self.walks.push(walk);
        taken
    }

    /// A walk met an instant, which may lie before the stretch.
    fn meet(&mut self, walk: &mut Walk, instant: Instant) {
        if self.before < instant && instant <= self.through {
            let second = instant.as_secs() - self.before.as_secs() - 1;
            let second = u16::try_from(second).expect("a stretch is an hour");
            self.due[usize::from(second)] += 1;
            self.met.push(second);
            walk.met.end = self.met.len();
        }
    }

    /// What was found.
    pub fn end(self) -> Ahead {
        let has_all = self.is_complete && matches!(self.cursor, Cursor::All(_));
        // Jobs may have come and gone meanwhile.
        let jobs = if has_all { self.looked_at } else { self.jobs.max(self.looked_at) };
        let (looked_at, all) = (self.looked_at.max(1) as u64, jobs as u64);
        let scaled = |count: u64| (count * all + looked_at / 2) / looked_at;
        let first = self.before.as_secs() + 1;
        let at = |second: usize| Instant::from_secs(first + i64::try_from(second).expect("it is small"));
        let due = &self.due;
        let minute_s = usize::try_from(MINUTE_S).expect("it is small");
        let minutes = due.chunks(minute_s).map(|due| due.iter().copied().map(u64::from).sum()).enumerate();
        let minutes = minutes.map(|(minute, due)| (at(minute * minute_s), scaled(due))).collect();
        // One that was looked at is no crowd, however many it stands for.
        let mut peaks: Vec<usize> = (0..due.len()).filter(|&second| due[second] > 1).collect();
        peaks.sort_unstable_by_key(|&second| (std::cmp::Reverse(due[second]), second));
        peaks.truncate(self.peaks_max);
        let peaks = peaks.into_iter().map(|second| (at(second), scaled(due[second].into()))).collect();
        Ahead { now: self.now, minutes, peaks, jobs, looked_at: self.looked_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bounds, Input, Restored, Settings, Shards, StoredJob, Totals};
    use crate::job::{Context, Definition, JobId, JobSpec, Misfire, Pause, RetryPolicy, Revision};
    use crate::limits::{FORECAST_JOBS_MAX, FORECAST_STEPS_MAX};
    use crate::time::{MonoUs, Now};

    /// 20 s before a full minute, at midnight.
    const SECOND: i64 = 1_767_225_600 + 86_400 - 20;
    const FIRST: i64 = SECOND + 20;

    fn now() -> Now {
        Now { wall: WallUs::of(Instant::from_secs(SECOND)).plus_us(7), mono: MonoUs(0) }
    }

    fn revision(key: u64, definition: &Definition) -> Revision {
        let spec = JobSpec::compile(definition, &Context::at(now().wall.floor())).expect("valid");
        Revision::first(JobId::new(JobKey(key), [0; 10]), spec, now().wall)
    }

    fn with(schedule: &str, members: &str) -> Definition {
        let json = format!(r#"{{"schedule":"{schedule}","api":"http://a/","type":"ATLEAST_ONCE"{members}}}"#);
        serde_json::from_str(&json).expect("a job")
    }

    fn plain(key: u64, schedule: &str) -> Revision {
        revision(key, &Definition::plain(schedule, "http://a/"))
    }

    fn core(revisions: impl Iterator<Item = Revision>) -> Scheduler {
        let second = std::time::Duration::from_secs(1);
        let mut core = Scheduler::new(Settings {
            in_flight_max: 10,
            retry: RetryPolicy::doubling(0, second),
            misfire: Misfire::Once,
            lateness_max: second,
            lead_us: crate::limits::ARM_LEAD_US,
            skew_us: None,
            noise: 0,
            bounds: Bounds::default(),
        });
        for revision in revisions {
            let job = StoredJob { revision, totals: Totals::default() };
            core.handle_input(Input::RestoreJob(Box::new(job)), now());
        }
        core.handle_input(
            Input::Acquired(Restored {
                shards: Shards::ALL,
                epochs: Vec::new(),
                next_seq: 1,
                next_job: 1_000_000,
                next_incident: 1,
                newest: None,
            }),
            now(),
        );
        while core.poll_output().is_some() {}
        core
    }

    fn ahead(core: &Scheduler, steps: usize) -> Ahead {
        let mut forecast = Forecast::new(core, now().wall);
        while !forecast.advance(core, steps, now().wall) {}
        forecast.end()
    }

    fn all_due(ahead: &Ahead) -> u64 {
        ahead.minutes.iter().map(|(_, due)| due).sum()
    }

    #[test]
    fn of_few_jobs_every_instant_is_counted() {
        let rests = |key: u64, seconds: i64| {
            let until = Instant::from_secs(FIRST + seconds);
            let pause = Some(Box::new(Pause { until: Some(until), ..Pause::since(now().wall.floor()) }));
            Revision { pause, since: until, ..plain(key, "0 * * * * *") }
        };
        let core = core(
            [
                plain(1, "0 * * * * *"),
                plain(2, "0 * * * * *"),
                plain(3, "30 */20 * * * *"),
                revision(4, &with("* * * * * *", r#","active":false"#)),
                revision(5, &with("15 * * * * *", r#","endsAt":"2026-01-02T00:09:59Z""#)),
                // Ten are left, of which the first comes before the hour that counts.
                revision(6, &with("45 * * * * *", r#","maxRuns":10"#)),
                rests(7, 1_800),
                plain(8, "0 0 12 * * *"),
                rests(9, 2_400),
                // Its only run is in the second before.
                revision(10, &with("59 * * * * *", r#","maxRuns":1"#)),
            ]
            .into_iter(),
        );
        let found = ahead(&core, 1_000_000);
        for steps in [1, 7, 100] {
            assert_eq!(ahead(&core, steps), found, "{steps} at a time");
        }
        let due: Vec<u64> = found.minutes.iter().map(|(_, due)| *due).collect();
        let expected: Vec<u64> = (0..60)
            .map(|minute| {
                2 + u64::from(minute % 20 == 0)
                    + u64::from(minute < 10)
                    + u64::from(minute < 9)
                    + u64::from(minute > 30)
                    + u64::from(minute > 40)
            })
            .collect();
        assert_eq!(due, expected);
        let begins: Vec<i64> = found.minutes.iter().map(|(at, _)| at.as_secs() - FIRST).collect();
        assert_eq!(begins, (0..60).map(|minute| minute * 60).collect::<Vec<_>>());
        assert_eq!((found.jobs, found.looked_at), (10, 10));
        // At the end four are due together, and before three.
        let peaks: Vec<(i64, u64)> = found.peaks.iter().map(|(at, due)| (at.as_secs() - FIRST, *due)).collect();
        let expected: Vec<(i64, u64)> = (41..51).map(|minute| (minute * 60, 4)).collect();
        assert_eq!(peaks, expected);
        assert_eq!(ahead(&self::core(std::iter::empty()), 5).jobs, 0);
    }

    #[test]
    fn of_many_jobs_some_stand_for_all() {
        let jobs = FORECAST_JOBS_MAX as u64 + 2_000;
        // A quarter of them meets at one second.
        let schedule = |key: u64| match key % 4 {
            0 => "0 30 * * * *".to_owned(),
            _ => format!("{} {} * * * *", 1 + key % 59, key / 60 % 60),
        };
        let core = core((1..=jobs).map(|key| plain(key, &schedule(key))));
        let found = ahead(&core, 2_000);
        let looked_at = found.looked_at;
        assert!((FORECAST_JOBS_MAX / 2..=FORECAST_JOBS_MAX + 1_000).contains(&looked_at), "{looked_at}");
        assert_eq!(found.jobs as u64, jobs);
        let due = all_due(&found);
        assert!((jobs * 98 / 100..=jobs * 102 / 100).contains(&due), "{due} of {jobs}");
        let (at, most) = found.peaks[0];
        assert_eq!(at.as_secs(), FIRST + 1_800);
        assert!((jobs * 22 / 100..=jobs * 28 / 100).contains(&most), "{most}");
    }

    #[test]
    fn what_there_are_no_steps_for_is_left_out() {
        // Each has a schedule of its own, which is due every second.
        let core = core((1..=300).map(|key| {
            let end = Instant::from_secs(FIRST + 1_000_000 + i64::try_from(key).expect("small"));
            revision(key, &with("* * * * * *", &format!(r#","endsAt":"{end}""#)))
        }));
        let found = ahead(&core, 2_000);
        let most = FORECAST_STEPS_MAX / usize::try_from(STRETCH_S).expect("small");
        assert!(found.looked_at <= most && found.looked_at > most - 5, "{}", found.looked_at);
        assert_eq!(found.jobs, 300);
        assert!(found.minutes.iter().all(|(_, due)| *due == 300 * 60), "the others are taken to be alike");
    }

    #[test]
    fn a_piece_takes_about_as_many_steps_as_it_is_given() {
        for (schedule, members, jobs, steps, least) in [
            ("* * * * * *", r#","active":false"#, 10, 2 * LOOK_STEPS, 5),
            // One is walked through, and the others go along with it.
            ("* * * * * *", "", 100, LOOK_STEPS + 36, 170),
            ("* * * * * *", "", 1, 1, 3_600),
        ] {
            let core = core((1..=jobs).map(|key| revision(key, &with(schedule, members))));
            let mut forecast = Forecast::new(&core, now().wall);
            let turns = (0..).take_while(|_| !forecast.advance(&core, steps, now().wall)).count();
            let found = forecast.end();
            assert!((least..=least + least / 10).contains(&turns), "{turns} turns of {steps} steps");
            assert_eq!((found.looked_at as u64, found.jobs as u64), (jobs, jobs));
        }
    }
}
