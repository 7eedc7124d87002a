//! Owns the alerts of the API: how a page of them is asked for, and how it looks.
//! It must not hide a row.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::json::{Moment, ok};
use super::links::to_next;
use super::matching::Matched;
use super::parameters::PAGE_DEFAULT;
use crate::core::ExecutionId;
use crate::http::Response;
use crate::job::JobId;
use crate::store::{AlertPage, Query, StoredAlert};

/// A page of alerts, newest first.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let limit = parameters.limit(PAGE_DEFAULT)?;
    Ok(Call::Query(Query::Alerts { limit, before: parameters.number_cursor()? }))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Alert")]
pub(super) struct AlertBody {
    alert_id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[schemars(with = "JobId")]
    job_id: String,
    #[schemars(with = "ExecutionId")]
    execution_id: String,
    api: String,
    schedule: String,
    error_message: String,
    #[schemars(with = "Moment")]
    timestamp: String,
    delivery: DeliveryBody,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Delivery")]
pub(super) struct DeliveryBody {
    #[schemars(extend("enum" = ["PENDING", "DELIVERED", "FAILED", "LOGGED"]))]
    status: &'static str,
    #[schemars(with = "Option<Moment>")]
    delivered_at: Option<String>,
    attempts: u32,
    error: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Alerts")]
pub(super) struct AlertsBody {
    alerts: Vec<AlertBody>,
    next_cursor: Option<String>,
}

/// A page as a reader found it.
pub(super) fn page(page: AlertPage) -> Response {
    let next_cursor = page.next.map(|next| next.to_string());
    let body = AlertsBody { next_cursor: next_cursor.clone(), alerts: page.alerts.into_iter().map(alert).collect() };
    to_next(ok(&body), next_cursor.as_deref())
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
