//! Owns what a webhook is told, as JSON.
//! It must not send it.

use serde::Serialize;

use crate::core::AlertRecord;
use crate::store::StoredAlert;

/// The body of the POST.
#[derive(Debug, Serialize)]
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

impl Payload {
    /// As the webhook gets it.
    pub(super) fn json(&self) -> Box<str> {
        serde_json::to_string(self).expect("texts can be written as JSON").into()
    }
}

impl From<&AlertRecord> for Payload {
    fn from(record: &AlertRecord) -> Payload {
        Payload {
            kind: "JOB_FAILURE",
            job_id: record.execution.job.to_string(),
            execution_id: record.execution.to_string(),
            api: record.api.to_string(),
            schedule: record.schedule.to_string(),
            error_message: record.error.to_string(),
            timestamp: record.at.to_string(),
        }
    }
}

impl From<&StoredAlert> for Payload {
    fn from(stored: &StoredAlert) -> Payload {
        Payload {
            kind: "JOB_FAILURE",
            job_id: stored.job.to_string(),
            execution_id: stored.execution.clone(),
            api: stored.api.clone(),
            schedule: stored.schedule.clone(),
            error_message: stored.error.clone(),
            timestamp: stored.at.to_string(),
        }
    }
}
