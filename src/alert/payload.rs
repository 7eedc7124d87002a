//! Owns what a webhook is told, as JSON.
//! It must not send it.

use serde::Serialize;

use crate::core::{AlertRecord, Seq};
use crate::store::StoredAlert;
use crate::time::WallUs;

/// An alert on its way to the webhook.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) seq: Seq,
    pub(super) created_at: WallUs,
    pub(super) attempts: u32,
    pub(super) payload: Payload,
}

/// The body of the POST.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    #[serde(rename = "type")]
    kind: &'static str,
    job_id: String,
    execution_id: String,
    api: String,
    schedule: String,
    error_message: String,
    timestamp: String,
}

impl From<&AlertRecord> for Alert {
    fn from(record: &AlertRecord) -> Alert {
        let payload = Payload {
            kind: "JOB_FAILURE",
            job_id: record.execution.job.to_string(),
            execution_id: record.execution.to_string(),
            api: record.api.to_string(),
            schedule: record.schedule.to_string(),
            error_message: record.error.to_string(),
            timestamp: record.at.to_string(),
        };
        Alert { seq: record.seq, created_at: record.at, attempts: 0, payload }
    }
}

impl From<&StoredAlert> for Alert {
    fn from(stored: &StoredAlert) -> Alert {
        let payload = Payload {
            kind: "JOB_FAILURE",
            job_id: stored.job.to_string(),
            execution_id: stored.execution.clone(),
            api: stored.api.clone(),
            schedule: stored.schedule.clone(),
            error_message: stored.error.clone(),
            timestamp: stored.at.to_string(),
        };
        Alert { seq: stored.seq, created_at: stored.at, attempts: stored.attempts, payload }
    }
}
