//! Owns the timeline of the API: the last hour and the next one, minute by minute, as one answer.
//! It must not count or look ahead: telemetry and the core do.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::json::{Millis, Moment, ok, time_of};
use super::matching::Matched;
use crate::core::Ahead;
use crate::http::{Method, Response, Status};
use crate::telemetry::{Ended, Minute, Minutes};
use crate::time::Instant;

/// The hours before and behind now.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    if matched.request.method == Method::Head {
        return Ok(Call::Ready(Response::unmade(Status::OK)));
    }
    Ok(Call::Timeline)
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Timeline")]
pub(super) struct TimelineBody {
    #[schemars(with = "Moment")]
    now: String,
    /// How long a step is.
    step_seconds: u32,
    /// Sixty minutes, oldest first; the last one is the present one.
    past: Vec<PastBody>,
    /// What happened before is in no count: the server began then, or it is an hour ago.
    #[schemars(with = "Moment")]
    counted_since: String,
    /// The sixty minutes that follow.
    next: Vec<NextBody>,
    /// The seconds of these in which most jobs are due together, the highest first.
    peaks: Vec<PeakBody>,
    /// How many jobs there are.
    jobs: usize,
    /// How many of them were looked at; where that is fewer, what lies ahead is an estimate.
    looked_at: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PastMinute")]
struct PastBody {
    #[schemars(with = "Moment")]
    start: String,
    success: u64,
    failed: u64,
    skipped: u64,
    /// The highest drift of executions that were on time; null: there was none.
    drift_max_ms: Option<Millis>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NextMinute")]
struct NextBody {
    #[schemars(with = "Moment")]
    start: String,
    /// How many executions the schedules have in it.
    due: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Peak")]
struct PeakBody {
    #[schemars(with = "Moment")]
    time: String,
    due: u64,
}

impl From<Minute> for PastBody {
    fn from(minute: Minute) -> PastBody {
        let Minute { start, ended: Ended { success, failed, skipped }, drift_max_us } = minute;
        let drift_max_ms = drift_max_us.map(Millis::from_us);
        PastBody { start: start.to_string(), success, failed, skipped, drift_max_ms }
    }
}

/// What was counted and what lies ahead, both as of when it was asked for.
pub fn timeline(minutes: &Minutes, ahead: Ahead) -> Response {
    let Ahead { now, minutes: next, peaks, jobs, looked_at } = ahead;
    let next = next.into_iter().map(|(start, due): (Instant, u64)| NextBody { start: time_of(start), due });
    ok(&TimelineBody {
        now: now.to_string(),
        step_seconds: 60,
        past: minutes.last_hour(now).map(PastBody::from).collect(),
        counted_since: minutes.counted_since(now).to_string(),
        next: next.collect(),
        peaks: peaks.into_iter().map(|(time, due)| PeakBody { time: time_of(time), due }).collect(),
        jobs,
        looked_at,
    })
}
