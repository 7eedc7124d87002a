//! Owns time series of the API: how they are asked for, and how they look.
//! It must not add anything up: the store does.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::json::{Millis, Moment, ok, time_of};
use super::matching::Matched;
use super::parameters::{FROM, STEP, TO};
use crate::http::Response;
use crate::job::JobId;
use crate::store::{Distribution, Query, Series, SeriesPoint};
use crate::time::Instant;

/// How long a step may be, by name and in seconds.
pub(super) const STEPS: [&str; 10] = ["1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d", "7d", "30d"];
const STEP_S: [u32; 10] = [3_600, 7_200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400, 7 * 86_400, 30 * 86_400];
/// How far back a series goes unless asked otherwise.
const STRETCH_S: i64 = 86_400;
/// How many steps a series has at most unless asked otherwise.
const STEPS_USUAL: i64 = 200;

/// What executions of one job came to.
pub(super) fn of_job(matched: &Matched<'_>) -> Result<Call, ApiError> {
    ask(matched, Some(matched.job_id()?))
}

/// What executions of all jobs came to.
pub(super) fn of_all(matched: &Matched<'_>) -> Result<Call, ApiError> {
    ask(matched, None)
}

fn ask(matched: &Matched<'_>, job: Option<JobId>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let to = parameters.time(&TO)?.unwrap_or(Instant::from_secs(matched.context.now.floor().as_secs() + 1));
    let from = parameters.time(&FROM)?.unwrap_or(Instant::from_secs(to.as_secs() - STRETCH_S));
    if from >= to {
        return Err(ApiError::parameter(FROM.name, "expected a time before to"));
    }
    let stretch_s = to.as_secs() - from.as_secs();
    let usual = || STEP_S.into_iter().find(|&step_s| stretch_s / i64::from(step_s) <= STEPS_USUAL);
    let asked = parameters.name(&STEP)?.map(|place| STEP_S[place]);
    let step_s = asked.or_else(usual).unwrap_or(STEP_S[STEP_S.len() - 1]);
    Ok(Call::Query(Query::Series { job, from, to, step_s }))
}

/// What executions came to, step by step.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Series")]
pub(super) struct SeriesBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    /// How long a step is, where hours are still kept.
    step_seconds: u32,
    /// Steps in which anything ended.
    points: Vec<PointBody>,
    /// What ended later may be missing, as there was too much to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    complete_through: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SeriesPoint")]
struct PointBody {
    #[schemars(with = "Moment")]
    start: String,
    seconds: u32,
    success: u64,
    failed: u64,
    skipped: u64,
    /// How late executions that were sent on time began.
    drift: Option<DistributionBody>,
    /// How long the deciding attempts took.
    duration: Option<DistributionBody>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Distribution")]
struct DistributionBody {
    count: u64,
    p50_ms: Millis,
    p99_ms: Millis,
    max_ms: Millis,
}

impl From<Distribution> for DistributionBody {
    fn from(distribution: Distribution) -> DistributionBody {
        let Distribution { count, p50_us, p99_us, max_us } = distribution;
        let [p50_ms, p99_ms, max_ms] =
            [p50_us, p99_us, max_us].map(|us| Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX)));
        DistributionBody { count, p50_ms, p99_ms, max_ms }
    }
}

/// A series as a reader found it.
pub(super) fn series(job: Option<JobId>, series: Series) -> Response {
    let Series { step_s, points, complete_through } = series;
    let point = |point: SeriesPoint| {
        let SeriesPoint { start, seconds, success, failed, skipped, drift, duration } = point;
        let (drift, duration) = (drift.map(DistributionBody::from), duration.map(DistributionBody::from));
        PointBody { start: time_of(start), seconds, success, failed, skipped, drift, duration }
    };
    ok(&SeriesBody {
        job_id: job.map(|job| job.to_string()),
        step_seconds: step_s,
        points: points.into_iter().map(point).collect(),
        complete_through: complete_through.map(time_of),
    })
}
