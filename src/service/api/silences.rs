//! Owns the silences of the API: how one is asked for, and how it looks.
//! It must not decide what one covers.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::{Moment, json, ok, time_of};
use super::matching::Matched;
use crate::core::{Action, AlertSettings, Setting, Silence, SilenceId, Silenced};
use crate::http::{Response, Status};
use crate::job::{JobId, Label, Second, TargetUrl, instant, label, one_of};
use crate::limits::{NOTE_LEN_MAX, SILENCE_MAX, URL_LEN_MAX};

const EXPECTED: &str = "a JSON object with jobId, tag or target, note and endsAt";

/// A silence as a client wants it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[serde(expecting = "a JSON object with jobId, tag or target, note and endsAt")]
#[schemars(extend("allOf" = [one_of(&["jobId", "tag", "target"])]))]
pub(super) struct SilenceAsked {
    /// The job of which nothing is told.
    #[serde(default)]
    #[schemars(with = "Option<JobId>")]
    job_id: Option<String>,
    /// The same of jobs with this tag.
    #[serde(default)]
    #[schemars(with = "Option<Label>")]
    tag: Option<String>,
    /// The same of a target and the jobs that have it: a URL, of which scheme, host and port count.
    #[serde(default)]
    #[schemars(with = "Option<TargetText>")]
    target: Option<String>,
    /// Why.
    #[schemars(length(min = 1, max = NOTE_LEN_MAX), regex(pattern = "\\S"))]
    note: String,
    /// The second in which it ends; within 366 days.
    #[schemars(with = "Second")]
    ends_at: String,
}

/// A URL of a target.
enum TargetText {}

impl JsonSchema for TargetText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TargetUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^#@\\s]+$";
        schemars::json_schema!({ "type": "string", "format": "uri", "maxLength": URL_LEN_MAX, "pattern": pattern })
    }
}

/// A new silence. By whom it is is not known here.
pub(super) fn create(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let SilenceAsked { job_id, tag, target, note, ends_at } = body::read(matched.request, EXPECTED)?;
    let of = match (job_id, tag, target) {
        (Some(id), None, None) => {
            let expected = |_| ApiError::member("jobId", "expected the id of a job");
            Silenced::Job(id.parse().map_err(expected)?)
        }
        (None, Some(tag), None) => Silenced::Tag(label("tag", &tag)?),
        (None, None, Some(url)) => {
            let url = TargetUrl::parse(&url).map_err(|why| ApiError::member("target", why.to_string()))?;
            Silenced::Target(url.target().to_string().into())
        }
        (None, None, None) => {
            return Err(ApiError::bad_request("expected one of jobId, tag and target: what is silenced"));
        }
        _ => return Err(ApiError::bad_request("expected one of jobId, tag and target, and no more of them")),
    };
    if note.trim().is_empty() || note.chars().count() > NOTE_LEN_MAX {
        return Err(ApiError::member("note", format!("expected 1 to {NOTE_LEN_MAX} characters that say why")));
    }
    let now = matched.context.now;
    let ends_at = instant("endsAt", &ends_at)?;
    let length_s = ends_at.as_secs() - now.floor().as_secs();
    if !u64::try_from(length_s).is_ok_and(|length_s| (1..=SILENCE_MAX.as_secs()).contains(&length_s)) {
        let days = SILENCE_MAX.as_secs() / 86_400;
        return Err(ApiError::member("endsAt", format!("expected a time in the future, at most {days} days ahead")));
    }
    let note = note.into_boxed_str();
    Ok(Call::Change(Action::Silence(Silence { of, note, ends_at, created_at: now, by: None })))
}

/// All silences.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Silences))
}

/// A silence's end. A malformed id names none.
pub(super) fn delete(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let id = matched.text().parse().map_err(|_| ApiError::no_such_silence())?;
    Ok(Call::Change(Action::Set(Setting::Silence(id, None))))
}

/// A silence as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Silence")]
pub struct SilenceBody<'a> {
    silence_id: String,
    /// Of which job, if of one; it may be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    /// Scheme, host and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    note: &'a str,
    #[schemars(with = "Moment")]
    ends_at: String,
    #[schemars(with = "Moment")]
    created_at: String,
    /// The name of the token, if one was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

/// A silence as clients see it.
pub fn silence(id: SilenceId, silence: &Silence) -> SilenceBody<'_> {
    let (job_id, tag, target) = match &silence.of {
        Silenced::Job(id) => (Some(id.to_string()), None, None),
        Silenced::Tag(tag) => (None, Some(tag.as_ref()), None),
        Silenced::Target(target) => (None, None, Some(target.as_ref())),
    };
    SilenceBody {
        silence_id: id.to_string(),
        job_id,
        tag,
        target,
        note: &silence.note,
        ends_at: time_of(silence.ends_at),
        created_at: silence.created_at.to_string(),
        by: silence.by.as_deref(),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Silences")]
pub(super) struct SilencesBody<'a> {
    silences: Vec<SilenceBody<'a>>,
}

/// All silences, in the order in which they began.
pub fn silences(settings: &AlertSettings) -> Response {
    ok(&SilencesBody { silences: settings.silences().map(|(id, one)| silence(id, one)).collect() })
}

/// A silence that began.
pub(super) fn begun(id: SilenceId, begun: &Silence) -> Response {
    let place = format!("/api/silences/{id}");
    json(Status::CREATED, &silence(id, begun)).with_header("Location", place)
}
