//! Owns what is in the store before a long test begins: jobs with long histories, and those that were deleted.
//! It must not be changed by anybody: what is there in the end is what was there, but for what retention takes.

use std::path::Path;

use punctual::core::{Class, Counters, ExecutionKey, LastOutcome, Record, Status, Tally, Totals};
use punctual::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use punctual::store;
use punctual::time::{Instant, WallUs};

use super::api::Api;
use super::history::instant_of;
use super::wall_us;

/// How many executions an old job has beyond those that are kept.
const BEYOND: u64 = 100;
/// One of so many old jobs is deleted.
const DELETED: u64 = 4;

/// Jobs that nobody runs any more.
pub struct Aged {
    jobs: Vec<JobId>,
    rows_each: u64,
    kept: u64,
    newest: i64,
}

impl Aged {
    /// Puts about so many executions into a new database, of jobs of which `kept` are to stay.
    pub fn fill(db: &Path, rows: u64, kept: u64) -> Aged {
        let rows_each = kept + BEYOND;
        let jobs: Vec<JobId> = (1..=rows.div_ceil(rows_each)).map(|key| JobId::new(JobKey(key), [7; 10])).collect();
        let newest = wall_us() / 1_000_000 - 60;
        let first = newest + 1 - rows_each.cast_signed();
        let plain = Definition::plain("* * * * * *", "http://127.0.0.1:9/aged");
        let definition = Definition { active: Some(false), ..plain };
        let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(first))).expect("it is valid");
        let counters = Counters {
            success: rows_each,
            timed: rows_each,
            duration_us: rows_each * 900,
            runs: rows_each,
            ..Counters::default()
        };
        let newest_second = Instant::from_secs(newest);
        let last = LastOutcome { instant: newest_second, status: Status::Success, http_status: Some(200) };
        let tally = Tally { counters, last: Some(last), failures_in_row: 0, last_success: Some(newest_second) };
        let totals = Totals { tally, finished_through: Some((0, newest_second)) };
        let owners =
            jobs.iter().map(|&id| (Revision::first(id, spec.clone(), WallUs::of(Instant::from_secs(first))), totals));
        let executions = jobs.iter().flat_map(|id| {
            (first..=newest).map(|second| {
                let instant = Instant::from_secs(second);
                let record = Record {
                    status: Status::Success,
                    executed: Some(WallUs::of(instant).plus_us(300)),
                    http_status: Some(200),
                    duration_us: Some(900),
                    ..Record::pending(Class::OnTime)
                };
                (ExecutionKey::scheduled(id.key(), instant), record)
            })
        });
        store::fill(db, owners, executions).expect("it can be filled");
        Aged { jobs, rows_each, kept, newest }
    }

    /// Deletes some of them: tombstones with a history.
    pub fn delete_some(&self, api: &Api) {
        for id in self.deleted() {
            assert_eq!(api.send("DELETE", &format!("/api/jobs/{id}"), None).status, 204);
        }
    }

    fn deleted(&self) -> impl Iterator<Item = &JobId> {
        self.jobs.iter().filter(|id| id.key().0.is_multiple_of(DELETED))
    }

    /// Whether this is one of them.
    pub fn is_one(&self, id: &str) -> bool {
        self.jobs.iter().any(|job| job.to_string() == id)
    }

    /// What is not as it was.
    pub fn compare(&self, api: &Api) -> Vec<String> {
        self.jobs.iter().filter_map(|id| self.compare_one(api, id).err()).collect()
    }

    fn compare_one(&self, api: &Api, id: &JobId) -> Result<(), String> {
        let seconds: Vec<i64> =
            api.pages(&format!("/api/jobs/{id}/executions?limit=1000"), "executions").iter().map(instant_of).collect();
        let count = seconds.len() as u64;
        let is_whole = seconds.iter().zip((0..).map(|back| self.newest - back)).all(|(&found, second)| found == second);
        if !(self.kept..=self.rows_each).contains(&count) || !is_whole {
            return Err(format!("{id}: {count} executions of {} to {}", self.kept, self.rows_each));
        }
        let answer = api.send("GET", &format!("/api/jobs/{id}"), None);
        let is_deleted = id.key().0.is_multiple_of(DELETED);
        match answer.status {
            200 if !is_deleted && answer.json()["stats"]["success"] == self.rows_each => Ok(()),
            404 if is_deleted => Ok(()),
            _ => Err(format!("{id}: {}", answer.text)),
        }
    }

    /// How many executions retention has taken.
    pub fn taken(&self, api: &Api) -> u64 {
        let left = |id: &JobId| api.pages(&format!("/api/jobs/{id}/executions?limit=1000"), "executions").len() as u64;
        self.jobs.iter().map(|id| self.rows_each - left(id)).sum()
    }
}
