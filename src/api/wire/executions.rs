//! Owns how executions and alerts look in their pages.
//! It must not hide a row.

use serde::Serialize;

use super::{Millis, ok, time_of};
use crate::api::errors::ApiError;
use crate::api::query::print_cursor;
use crate::core::{Class, Covers, Record, Status};
use crate::http::Response;
use crate::store::{Answer, ExecutionRecord, ReadError, StoredAlert};
use crate::time::{Instant, WallUs};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionBody {
    execution_id: String,
    /// Only where the page is not of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    scheduled_time: String,
    executed_time: Option<String>,
    status: &'static str,
    http_status: Option<u16>,
    duration: Option<Millis>,
    error_message: Option<Box<str>>,
    retry_count: u32,
    drift_ms: Option<Millis>,
    /// Why it was not sent at its own instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<&'static str>,
    /// Why no POST was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    /// The missed instants this row stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    covers: Option<CoversBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoversBody {
    from: String,
    to: String,
    count: u32,
    /// There are more than `count`.
    more: bool,
}

fn execution(execution: ExecutionRecord, with_job: bool) -> ExecutionBody {
    let ExecutionRecord { id, record } = execution;
    let retry_count = record.retry_count();
    let Record { status, class, executed, http_status, duration_us, error, covers, .. } = record;
    let skipped = status == Status::Skipped;
    let (error_message, reason) = if skipped { (None, error) } else { (error, None) };
    ExecutionBody {
        execution_id: id.to_string(),
        job_id: with_job.then(|| id.job.to_string()),
        scheduled_time: time_of(id.instant),
        executed_time: executed.map(|at| at.to_string()),
        status: status.name(),
        http_status,
        duration: duration_us.map(|us| Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX))),
        error_message,
        retry_count,
        drift_ms: executed.map(|at| Millis::from_us(at.since_us(WallUs::of(id.instant)))),
        late: match class {
            Class::OnTime | Class::Manual => None,
            Class::Recovered => Some("recovered"),
            Class::CatchUp => Some("missed"),
        },
        reason,
        covers: covers.map(|covers| covers_body(covers, id.instant)),
    }
}

fn covers_body(covers: Covers, instant: Instant) -> CoversBody {
    CoversBody { from: time_of(covers.from), to: time_of(instant), count: covers.count, more: covers.more }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    executions: Vec<ExecutionBody>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertBody {
    alert_id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    job_id: String,
    execution_id: String,
    api: String,
    schedule: String,
    error_message: String,
    timestamp: String,
    delivery: DeliveryBody,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryBody {
    status: &'static str,
    delivered_at: Option<String>,
    attempts: u32,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertsBody {
    alerts: Vec<AlertBody>,
    next_cursor: Option<String>,
}

fn alert(alert: StoredAlert) -> AlertBody {
    AlertBody {
        alert_id: alert.seq.0.to_string(),
        kind: "JOB_FAILURE",
        job_id: alert.job.to_string(),
        execution_id: alert.execution,
        api: alert.api,
        schedule: alert.schedule,
        error_message: alert.error,
        timestamp: alert.at.to_string(),
        delivery: DeliveryBody {
            status: alert.state.name(),
            delivered_at: alert.delivered_at.map(|at| at.to_string()),
            attempts: alert.attempts,
            error: alert.delivery_error,
        },
    }
}

/// What a reader found.
pub fn answer(answer: Result<Answer, ReadError>) -> Response {
    match answer {
        Ok(Answer::OfJob(job, page)) => ok(&ExecutionsBody {
            job_id: Some(job.to_string()),
            next_cursor: page.next.as_ref().map(print_cursor),
            executions: page.executions.into_iter().map(|record| execution(record, false)).collect(),
        }),
        Ok(Answer::OfAll(page)) => ok(&ExecutionsBody {
            job_id: None,
            next_cursor: page.next.as_ref().map(print_cursor),
            executions: page.executions.into_iter().map(|record| execution(record, true)).collect(),
        }),
        Ok(Answer::Alerts(page)) => ok(&AlertsBody {
            next_cursor: page.next.map(|next| next.to_string()),
            alerts: page.alerts.into_iter().map(alert).collect(),
        }),
        Ok(Answer::NoSuchJob) => ApiError::no_such_job().response(),
        Err(error) => ApiError::from(error).response(),
    }
}
