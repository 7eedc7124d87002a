//! Owns how jobs look, alone, in pages, and in the answer to a change.
//! It must not compute what the core knows.

use serde::Serialize;

use super::{Millis, json, ok, time_of};
use crate::api::errors::ApiError;
use crate::core::{JobSpec, JobView, LastOutcome, Reply};
use crate::http::{self, Response};
use crate::time::Instant;

/// How many instants ahead a client is shown when it creates or changes a job.
const NEXT_SHOWN: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobBody<'a> {
    job_id: String,
    schedule: &'a str,
    api: &'a str,
    #[serde(rename = "type")]
    delivery: &'static str,
    created_at: String,
    updated_at: String,
    active: bool,
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

impl<'a> From<&'a JobView> for JobBody<'a> {
    fn from(view: &'a JobView) -> Self {
        let spec = &view.spec;
        JobBody {
            job_id: spec.id.to_string(),
            schedule: spec.schedule.text(),
            api: spec.endpoint.as_str(),
            delivery: spec.delivery.name(),
            created_at: spec.created_at.to_string(),
            updated_at: spec.updated_at.to_string(),
            // An exhausted schedule is as good as paused.
            active: spec.active && view.next.is_some(),
            next_execution: view.next.map(time_of),
            held: view.held,
            stats: Stats {
                total: view.counters.total(),
                success: view.counters.success,
                failed: view.counters.failed,
                skipped: view.counters.skipped,
                avg_duration: view.counters.mean_duration_ms().map(Millis::from_ms),
            },
            last_outcome: view.last.as_ref().map(last),
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
struct JobsBody<'a> {
    jobs: Vec<JobBody<'a>>,
    next_cursor: Option<String>,
}

/// A page of jobs; `views` may hold one more than `limit`, which says that there is more.
pub fn jobs(views: &[JobView], limit: usize) -> Response {
    let shown = &views[..views.len().min(limit)];
    let next_cursor =
        if views.len() > limit { shown.last().map(|view| view.spec.id.key().0.to_string()) } else { None };
    ok(&JobsBody { jobs: shown.iter().map(JobBody::from).collect(), next_cursor })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedBody<'a> {
    job_id: String,
    message: &'static str,
    job: JobBody<'a>,
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

fn changed<'a>(view: &'a JobView, message: &'static str) -> ChangedBody<'a> {
    let job = JobBody::from(view);
    ChangedBody { job_id: job.job_id.clone(), message, job, next_executions: upcoming(&view.spec, view.next) }
}

fn upcoming(spec: &JobSpec, next: Option<Instant>) -> Vec<String> {
    std::iter::successors(next, |&instant| spec.schedule.next_after(instant)).take(NEXT_SHOWN).map(time_of).collect()
}
