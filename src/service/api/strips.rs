//! Owns strips of the API: the last executions of several jobs at once, little of each, for a row of a list.
//! It must not look anything up: the store does.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::json::{Millis, Moment, ok, time_of};
use super::matching::Matched;
use super::parameters::{JOBS, KINDS, RUNS, STATUSES};
use crate::core::{ExecutionId, Kind};
use crate::http::Response;
use crate::job::JobId;
use crate::store::{Called, Query, Strip, StripRun};
use crate::time::WallUs;

/// How many executions of each job are shown unless asked otherwise.
const RUNS_DEFAULT: u32 = 60;

/// The last executions of some jobs.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let limit = parameters.number(&RUNS)?.unwrap_or(RUNS_DEFAULT) as usize;
    let jobs = parameters.jobs(&JOBS)?.unwrap_or_default();
    Ok(Call::Query(Query::Strips { jobs, limit, now: matched.context.now }))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Strips")]
pub(super) struct StripsBody {
    /// One for each job, in the order in which they were named.
    strips: Vec<StripBody>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Strip")]
struct StripBody {
    #[schemars(with = "JobId")]
    job_id: String,
    /// What the job is called, if it has a name.
    name: Option<Box<str>>,
    /// Where it POSTs to; null: there is no such job, or no more.
    api: Option<Box<str>>,
    /// Newest first; none if there is no such job.
    runs: Vec<RunBody>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StripRun")]
struct RunBody {
    #[schemars(with = "ExecutionId")]
    execution_id: String,
    #[schemars(with = "Moment")]
    scheduled_time: String,
    #[schemars(extend("enum" = KINDS))]
    kind: &'static str,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    drift_ms: Option<Millis>,
    duration: Option<Millis>,
}

impl RunBody {
    fn of(job: JobId, run: StripRun) -> RunBody {
        let StripRun { instant, kind, number, status, executed, duration_us } = run;
        // What a client asks for has no time at which it should have begun.
        let dispatched = executed.filter(|_| kind == Kind::Scheduled);
        RunBody {
            execution_id: ExecutionId { job, instant, kind, number }.to_string(),
            scheduled_time: time_of(instant),
            kind: kind.name(),
            status: status.name(),
            drift_ms: dispatched.map(|at| Millis::from_us(at.since_us(WallUs::of(instant)))),
            duration: duration_us.map(|us| Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX))),
        }
    }
}

/// Strips as a reader found them.
pub(super) fn strips(strips: Vec<Strip>) -> Response {
    let strip = |Strip { job, called, runs }: Strip| {
        let (name, api) = called.map_or((None, None), |Called { name, api }| (name, Some(api)));
        StripBody {
            job_id: job.to_string(),
            name,
            api,
            runs: runs.into_iter().map(|run| RunBody::of(job, run)).collect(),
        }
    };
    ok(&StripsBody { strips: strips.into_iter().map(strip).collect() })
}
