//! Owns the executions of the API: how a page of them is asked for, and how it looks.
//! It must not hide a row.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::json::{Millis, Moment, ok, time_of};
use super::links::to_next;
use super::matching::Matched;
use super::parameters::{FROM, JOB, KINDS, PAGE_DEFAULT, STATUS, STATUSES, TO, print_cursor};
use crate::core::{Class, Covers, Details, ExecutionId, Kind, PastAttempt, Record, Status, Timings, Wait};
use crate::http::Response;
use crate::job::JobId;
use crate::store::{ExecutionPage, ExecutionRecord, Filter, Query};
use crate::time::{Instant, WallUs};

/// How many executions of one job a page holds unless asked otherwise.
const OF_JOB_DEFAULT: u32 = 5;

/// A page of executions of one job, newest first.
pub(super) fn list_of_job(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let job = matched.job_id()?;
    let parameters = matched.parameters()?;
    let limit = parameters.limit(OF_JOB_DEFAULT)?;
    Ok(Call::Query(Query::OfJob { job, limit, before: parameters.execution_cursor()?, now: matched.context.now }))
}

/// A page of executions of all jobs, newest first.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let limit = parameters.limit(PAGE_DEFAULT)?;
    let filter = Filter {
        status: parameters.status(&STATUS)?,
        job: parameters.job(&JOB)?,
        kind: parameters.kind()?,
        from: parameters.time(&FROM)?,
        to: parameters.time(&TO)?,
    };
    let before = parameters.execution_cursor()?;
    Ok(Call::Query(Query::OfAll { limit, before, filter, now: matched.context.now }))
}

/// One execution.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Query(Query::One { id: matched.execution_id()?, now: matched.context.now }))
}

/// One execution, as a reader found it.
pub fn one(found: Option<ExecutionRecord>) -> Response {
    match found {
        Some(found) => ok(&execution(found, true)),
        None => ApiError::no_such_execution().response(),
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Execution")]
pub(super) struct ExecutionBody {
    #[schemars(with = "ExecutionId")]
    execution_id: String,
    /// Only where the page is not of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    /// Why there is this execution: its schedule was due, or somebody asked for it.
    #[schemars(extend("enum" = KINDS))]
    kind: &'static str,
    /// The execution that this one does again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExecutionId")]
    replay_of: Option<String>,
    #[schemars(with = "Moment")]
    scheduled_time: String,
    #[schemars(with = "Option<Moment>")]
    executed_time: Option<String>,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    http_status: Option<u16>,
    duration: Option<Millis>,
    error_message: Option<Box<str>>,
    retry_count: u32,
    drift_ms: Option<Millis>,
    /// Why it was not sent at its own instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = ["recovered", "missed", "waited"]))]
    late: Option<&'static str>,
    /// Why no POST was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    /// The missed instants this row stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    covers: Option<CoversBody>,
    /// What it waits for, although it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<Wait>,
    /// Where the time of the last attempt went.
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<TimingsBody>,
    /// The beginning of what the target answered last, where that was no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Box<str>>,
    /// Attempts before the last one, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptBody>,
    /// When the last one was sent, if there are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Moment>")]
    last_executed_time: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Timings")]
pub(super) struct TimingsBody {
    name_ms: Millis,
    connect_ms: Millis,
    tls_ms: Millis,
    first_byte_ms: Millis,
}

impl From<Timings> for TimingsBody {
    fn from(timings: Timings) -> TimingsBody {
        let Timings { name_us, connect_us, tls_us, first_byte_us } = timings;
        let [name_ms, connect_ms, tls_ms, first_byte_ms] =
            [name_us, connect_us, tls_us, first_byte_us].map(|us| Millis::from_us(us.into()));
        TimingsBody { name_ms, connect_ms, tls_ms, first_byte_ms }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Attempt")]
pub(super) struct AttemptBody {
    number: u32,
    #[schemars(with = "Moment")]
    executed_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    error_message: Box<str>,
    duration: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<TimingsBody>,
}

impl From<PastAttempt> for AttemptBody {
    fn from(attempt: PastAttempt) -> AttemptBody {
        let PastAttempt { number, dispatched, http_status, error, duration_us, timings } = attempt;
        AttemptBody {
            number,
            executed_time: dispatched.to_string(),
            http_status,
            error_message: error,
            duration: millis(duration_us),
            timings: timings.map(TimingsBody::from),
        }
    }
}

fn millis(us: u64) -> Millis {
    Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Covers")]
pub(super) struct CoversBody {
    #[schemars(with = "Moment")]
    from: String,
    #[schemars(with = "Moment")]
    to: String,
    count: u32,
    /// There are more than `count`.
    more: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Executions")]
pub(super) struct ExecutionsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    executions: Vec<ExecutionBody>,
    next_cursor: Option<String>,
}

/// A page as a reader found it; with `job`, all are of that one.
pub(super) fn page(job: Option<JobId>, page: ExecutionPage) -> Response {
    let next_cursor = page.next.as_ref().map(print_cursor);
    let body = ExecutionsBody {
        job_id: job.map(|job| job.to_string()),
        next_cursor: next_cursor.clone(),
        executions: page.executions.into_iter().map(|found| execution(found, job.is_none())).collect(),
    };
    to_next(ok(&body), next_cursor.as_deref())
}

pub(super) fn execution(execution: ExecutionRecord, with_job: bool) -> ExecutionBody {
    let ExecutionRecord { id, record } = execution;
    let retry_count = record.retry_count();
    let Record { status, class, executed, http_status, duration_us, error, covers, details, .. } = record;
    let Details { waits_for, timings, response, attempts, last_dispatched, own_body: _, origin } =
        details.map(|details| *details).unwrap_or_default();
    // What a client asks for has no time at which it should have begun.
    let has_drift = id.kind == Kind::Scheduled;
    let skipped = status == Status::Skipped;
    let (error_message, reason) = if skipped { (None, error) } else { (error, None) };
    ExecutionBody {
        execution_id: id.to_string(),
        job_id: with_job.then(|| id.job.to_string()),
        kind: id.kind.name(),
        replay_of: origin.map(|origin| origin.to_string()),
        scheduled_time: time_of(id.instant),
        executed_time: executed.map(|at| at.to_string()),
        status: status.name(),
        http_status,
        duration: duration_us.map(millis),
        error_message,
        retry_count,
        drift_ms: executed.filter(|_| has_drift).map(|at| Millis::from_us(at.since_us(WallUs::of(id.instant)))),
        late: match class {
            Class::OnTime | Class::Manual => None,
            Class::Recovered => Some("recovered"),
            Class::CatchUp => Some("missed"),
            Class::Waited => Some("waited"),
        },
        reason,
        covers: covers.map(|covers| covers_body(covers, id.instant)),
        waits_for,
        timings: timings.map(TimingsBody::from),
        response,
        attempts: attempts.into_iter().map(AttemptBody::from).collect(),
        last_executed_time: last_dispatched.map(|at| at.to_string()),
    }
}

fn covers_body(covers: Covers, instant: Instant) -> CoversBody {
    CoversBody { from: time_of(covers.from), to: time_of(instant), count: covers.count, more: covers.more }
}
