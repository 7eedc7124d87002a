//! Owns the targets of the API: how they are asked for, and how they look.
//! It must not find them: the core does.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::json::ok;
use super::matching::Matched;
use crate::core::{Ranking, TargetView};
use crate::http::{Method, Response, Status};

/// How many are shown unless asked otherwise.
const SHOWN_DEFAULT: u32 = 20;

/// The targets that matter most.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let limit = matched.parameters()?.limit(SHOWN_DEFAULT)?;
    if matched.request.method == Method::Head {
        return Ok(Call::Ready(Response::unmade(Status::OK)));
    }
    Ok(Call::Targets(Ranking::new(limit)))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Targets")]
pub(super) struct TargetsBody {
    /// Failing ones first, then those for which most waits, then those with most in flight.
    targets: Vec<TargetBody>,
    /// How many there are in all.
    total: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Target")]
struct TargetBody {
    /// Scheme, host and port.
    target: String,
    /// Jobs that POST to it.
    jobs: usize,
    /// Attempts that were sent and have not ended.
    in_flight: u32,
    /// Executions that are due and wait for it, those that wait for a retry among them.
    waiting: usize,
    /// Executions that wait for a retry.
    retries: usize,
    /// Jobs whose times are passed over, as too much waits for it.
    stalled_jobs: usize,
    /// It counts as failing: it gets less at a time, behind the others.
    failing: bool,
    /// Timeouts and connection errors in a row.
    failures_in_a_row: u32,
}

impl From<TargetView> for TargetBody {
    fn from(view: TargetView) -> TargetBody {
        let TargetView { target, jobs, in_flight, waiting, retries, stalled_jobs, failing, failures_in_row } = view;
        let (target, failures_in_a_row) = (target.to_string(), failures_in_row);
        TargetBody { target, jobs, in_flight, waiting, retries, stalled_jobs, failing, failures_in_a_row }
    }
}

/// The targets that were found.
pub fn targets(found: Ranking) -> Response {
    let (views, total) = found.end();
    ok(&TargetsBody { targets: views.into_iter().map(TargetBody::from).collect(), total })
}
