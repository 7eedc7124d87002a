//! Owns the reading of what an export gave: a line each for a calendar or a job, as it was elsewhere.
//! It must not know where it came from: an id, and when a job was created, are said anew.

use schemars::JsonSchema;
use serde::Deserialize;

use super::batch::Wanted;
use super::calendars;
use super::errors::ApiError;
use crate::job::{CalendarName, Context, Day, Definition, JobSpec, Pause, Second, instant, object, one_of, whole};
use crate::limits::{CALENDAR_DATES_MAX, NOTE_LEN_MAX};

pub(super) const EXPECTED: &str = "a line of an export, such as {\"job\":{...}} or {\"calendar\":{...}}";

/// A line of an export.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("allOf" = [one_of(&["job", "calendar"])]))]
pub(super) struct Line {
    /// A calendar, to be registered or replaced.
    #[serde(default, deserialize_with = "object")]
    calendar: Option<CalendarLine>,
    /// A job, to be registered.
    #[serde(default, deserialize_with = "object")]
    job: Option<Box<Definition>>,
    /// Its id where it was exported. It has another one here.
    #[serde(default, rename = "jobId")]
    _job_id: Option<String>,
    /// When it was created there.
    #[serde(default, rename = "createdAt")]
    _created_at: Option<String>,
    /// Where `@every` counts from.
    #[serde(default)]
    #[schemars(with = "Option<Second>")]
    anchor: Option<String>,
    /// How many of its runs it had there: it has so many fewer here.
    #[serde(default, deserialize_with = "whole")]
    runs: Option<u64>,
    /// The pause that it is in.
    #[serde(default, deserialize_with = "object")]
    paused: Option<PauseLine>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CalendarLine {
    #[schemars(with = "CalendarName")]
    name: String,
    #[schemars(with = "Vec<Day>", length(max = CALENDAR_DATES_MAX))]
    dates: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PauseLine {
    #[schemars(with = "Second")]
    since: String,
    #[serde(default)]
    #[schemars(with = "Option<Second>")]
    until: Option<String>,
    #[serde(default)]
    #[schemars(length(max = NOTE_LEN_MAX))]
    note: Option<Box<str>>,
    #[serde(default)]
    #[schemars(length(max = NOTE_LEN_MAX))]
    reason: Option<Box<str>>,
}

/// What a line asks for.
pub(super) fn wanted(line: Line, context: &Context<'_>) -> Result<Wanted, ApiError> {
    match (line.calendar, line.job) {
        (Some(calendar), None) => calendar.wanted().map_err(|error| error.within("calendar")),
        (None, Some(definition)) => {
            job(&definition, line.anchor.as_deref(), line.paused, line.runs.unwrap_or(0), context)
        }
        (None, None) | (Some(_), Some(_)) => Err(ApiError::at("#".to_owned(), "line", format!("expected {EXPECTED}"))),
    }
}

impl CalendarLine {
    /// What it asks for.
    pub(super) fn wanted(self) -> Result<Wanted, ApiError> {
        let name = calendars::called(&self.name)?;
        Ok(Wanted::Calendar(name, calendars::dates_of(&self.dates)?))
    }
}

/// A job as it was. One that is never due any more is taken, too.
fn job(
    definition: &Definition,
    anchor: Option<&str>,
    paused: Option<PauseLine>,
    runs: u64,
    context: &Context<'_>,
) -> Result<Wanted, ApiError> {
    let now = context.now.floor();
    let anchor = anchor.map(|text| instant("anchor", text)).transpose()?;
    let anchor = anchor.map_or(context.anchor, |anchor| anchor.min(now));
    let mut spec = JobSpec::compile(definition, &Context { anchor, ..*context })
        .map_err(|error| ApiError::from(error).within("job"))?;
    let Some(PauseLine { since, until, note, reason }) = paused else {
        spec.spend_runs(runs);
        return Ok(Wanted::Job(Box::new(spec), None));
    };
    let since = instant("paused.since", &since)?.min(now);
    let until = until.map(|text| instant("paused.until", &text)).transpose()?;
    for (member, text) in [("paused.note", &note), ("paused.reason", &reason)] {
        if text.as_deref().is_some_and(|text| text.chars().count() > NOTE_LEN_MAX) {
            return Err(ApiError::member(member, format!("expected at most {NOTE_LEN_MAX} characters")));
        }
    }
    // One that is over has left nothing behind.
    let is_over = until.is_some_and(|until| until <= now);
    spec.active = until.is_some();
    // One that has no run left does not go on with the end of its pause.
    let goes_on = spec.spend_runs(runs);
    let pause = (!is_over && (goes_on || until.is_none())).then(|| Box::new(Pause { since, until, note, reason }));
    Ok(Wanted::Job(Box::new(spec), pause))
}
