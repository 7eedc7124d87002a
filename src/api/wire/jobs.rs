//! Owns how jobs look, alone, in pages, and in the answer to a change.
//! It must not compute what the core knows.

use serde::Serialize;

use super::{Millis, json, ok, time_of};
use crate::api::errors::ApiError;
use crate::core::{JobView, LastOutcome, Reply};
use crate::http::{self, Response};
use crate::job::{Definition, JobSpec, Revision};
use crate::time::Instant;

/// How many instants ahead a client is shown when it creates or changes a job.
const NEXT_SHOWN: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobBody {
    job_id: String,
    #[serde(flatten)]
    definition: Definition,
    created_at: String,
    updated_at: String,
    next_execution: Option<String>,
    /// The clock stepped back behind what the job already fired; it waits for `nextExecution`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    stats: Stats,
    last_outcome: Option<Last>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    total: u64,
    success: u64,
    failed: u64,
    skipped: u64,
    avg_duration: Option<Millis>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    scheduled_time: String,
    status: &'static str,
    http_status: Option<u16>,
}

impl From<&JobView> for JobBody {
    fn from(view: &JobView) -> JobBody {
        let Revision { id, created_at, updated_at, ref spec, .. } = *view.revision;
        // An exhausted schedule is as good as paused.
        let active = Some(spec.active && view.next.is_some());
        let counters = &view.tally.counters;
        JobBody {
            job_id: id.to_string(),
            definition: Definition { active, ..Definition::from(spec) },
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
            next_execution: view.next.map(time_of),
            held: view.held,
            stats: Stats {
                total: counters.total(),
                success: counters.success,
                failed: counters.failed,
                skipped: counters.skipped,
                avg_duration: counters.mean_duration_ms().map(Millis::from_ms),
            },
            last_outcome: view.tally.last.as_ref().map(last),
        }
    }
}

fn last(outcome: &LastOutcome) -> Last {
    Last { scheduled_time: time_of(outcome.instant), status: outcome.status.name(), http_status: outcome.http_status }
}

/// One job.
pub fn job(view: &JobView) -> Response {
    ok(&JobBody::from(view))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobsBody {
    jobs: Vec<JobBody>,
    next_cursor: Option<String>,
}

/// A page of jobs; `views` may hold one more than `limit`, which says that there is more.
pub fn jobs(views: &[JobView], limit: usize) -> Response {
    let shown = &views[..views.len().min(limit)];
    let next_cursor =
        if views.len() > limit { shown.last().map(|view| view.revision.id.key().0.to_string()) } else { None };
    ok(&JobsBody { jobs: shown.iter().map(JobBody::from).collect(), next_cursor })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedBody {
    job_id: String,
    message: &'static str,
    job: JobBody,
    next_executions: Vec<String>,
}

/// The answer to a change.
pub fn reply(reply: &Reply) -> Response {
    match reply {
        Reply::Created(view) => json(http::Status::CREATED, &changed(view, "Job created successfully")),
        Reply::Updated(view) => ok(&changed(view, "Job updated successfully")),
        Reply::Deleted => deleted(),
        Reply::NotFound => ApiError::no_such_job().response(),
        Reply::Refused(refusal) => ApiError::from(*refusal).response(),
    }
}

/// The answer to a deletion.
pub fn deleted() -> Response {
    Response::new(http::Status::NO_CONTENT, Vec::new())
}

fn changed(view: &JobView, message: &'static str) -> ChangedBody {
    let job = JobBody::from(view);
    ChangedBody { job_id: job.job_id.clone(), message, job, next_executions: upcoming(&view.revision.spec, view.next) }
}

fn upcoming(spec: &JobSpec, next: Option<Instant>) -> Vec<String> {
    std::iter::successors(next, |&instant| spec.schedule.next_after(instant)).take(NEXT_SHOWN).map(time_of).collect()
}
