//! Owns pauses of jobs: how one is asked for, and how it looks.
//! It must not decide what a job owes after one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::Call;
use super::errors::ApiError;
use super::json::{Moment, time_of};
use super::matching::Matched;
use crate::core::Action;
use crate::job::{Context, JobId, Pause, Second, instant};
use crate::limits::NOTE_LEN_MAX;

/// How a job is to be paused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default, expecting = "a JSON object such as {\"note\":\"...\"}")]
pub(super) struct PauseAsked {
    /// The last second of the pause. Left out: it lasts until somebody resumes the job.
    #[schemars(with = "Option<Second>")]
    until: Option<String>,
    /// Why.
    #[schemars(length(max = NOTE_LEN_MAX))]
    note: Option<String>,
}

/// A job rests.
pub(super) fn pause(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let PauseAsked { until, note } =
        body::read_if_any(matched.request, "a JSON object such as {\"note\":\"...\"}, or nothing")?;
    begin(matched.job_id()?, until.as_deref(), note, matched.expected()?, matched.context).map(Call::Change)
}

/// The beginning of a pause.
pub(super) fn begin(
    id: JobId,
    until: Option<&str>,
    note: Option<String>,
    expected: Option<Box<[u32]>>,
    context: &Context<'_>,
) -> Result<Action, ApiError> {
    let until = until.map(|text| instant("until", text)).transpose()?;
    if until.is_some_and(|until| until <= context.now.floor()) {
        return Err(ApiError::member("until", "expected a time in the future"));
    }
    if note.as_deref().is_some_and(|note| note.chars().count() > NOTE_LEN_MAX) {
        return Err(ApiError::member("note", format!("expected at most {NOTE_LEN_MAX} characters")));
    }
    Ok(Action::Pause { id, until, note: note.map(String::into_boxed_str), expected })
}

/// How a job is to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default, expecting = "a JSON object such as {\"missed\":true}")]
pub(super) struct ResumeAsked {
    /// Whether what it was due for meanwhile counts as missed, so that its misfire policy decides. Left out: it is
    /// dropped.
    missed: bool,
}

/// A job goes on that rested.
pub(super) fn resume(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let ResumeAsked { missed } =
        body::read_if_any(matched.request, "a JSON object such as {\"missed\":true}, or nothing")?;
    Ok(Call::Change(Action::Resume { id: matched.job_id()?, missed, expected: matched.expected()? }))
}

/// A pause that a job is in.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Pause")]
pub(super) struct PauseBody {
    /// What was due after this was not sent.
    #[schemars(with = "Moment")]
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Box<str>>,
    /// Why its own policy paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
}

impl From<&Pause> for PauseBody {
    fn from(pause: &Pause) -> PauseBody {
        let Pause { since, until, note, reason } = pause.clone();
        PauseBody { since: time_of(since), until: until.map(time_of), note, reason }
    }
}
