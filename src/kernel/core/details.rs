//! Owns what few executions have to tell beside their record: what they wait for, where the time went, what the target
//! said, and how earlier attempts ended.
//! It must not decide anything, nor grow without bound.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::ExecutionId;
use crate::job::OwnBody;
use crate::time::WallUs;

/// What a record has of this; most have none, and pay a word. Kept as one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// What it waits for. While this is on disk the attempt that is next was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Wait>,
    /// Where the time of the last attempt went, if not all of it into waiting for the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// The beginning of what the target answered last, where that was no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<str>>,
    /// Attempts before the last one, oldest first; of very many the latest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<PastAttempt>,
    /// When the last attempt was dispatched, if there were some before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_dispatched: Option<WallUs>,
    /// What is sent in place of the job's own body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_body: Option<OwnBody>,
    /// Which execution a replay does again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<ExecutionId>,
}

/// What an execution waits for that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Wait {
    /// Another execution of its job.
    Overlap,
    /// Its job's concurrency key.
    ConcurrencyKey,
    /// The time of its retry, where a crash must not make that doubtful.
    Retry,
    /// The next start of the server.
    Start,
}

/// Where the time of an attempt went, in microseconds. A phase that did not take place is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timings {
    /// Waiting for the target's name to be resolved.
    pub name_us: u32,
    /// Connecting.
    pub connect_us: u32,
    /// The TLS handshake.
    pub tls_us: u32,
    /// From the first byte of the request to the first of the answer.
    pub first_byte_us: u32,
}

/// An attempt that another one followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastAttempt {
    /// Its number.
    pub number: u32,
    /// Its dispatch.
    pub dispatched: WallUs,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Why it failed.
    pub error: Box<str>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Where its time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

impl Details {
    /// Notes an attempt that another one follows. Of more than `most` the first goes.
    pub(super) fn note_past(&mut self, attempt: PastAttempt, most: usize) {
        if self.attempts.len() >= most {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }
}
