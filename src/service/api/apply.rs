//! Owns jobs and calendars that a client declares: how a line says what there is to be, and what became of it.
//! It must not know what there is: the core does.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::batch::Wanted;
use super::errors::ApiError;
use super::import::CalendarLine;
use crate::core::{Apply, Meant};
use crate::job::{Context, Definition, JobId, JobSpec, object, one_of, whole};

/// What there is to be: a job, or a calendar.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("allOf" = [one_of(&["job", "calendar"])]))]
pub(super) struct ApplyItem {
    /// Which job it is, if it has no name, or is to have another one. Of no job here: it says nothing.
    #[serde(default)]
    #[schemars(with = "Option<JobId>")]
    job_id: Option<String>,
    /// What the job is to be, as `POST /api/jobs` takes it, but for `runAfterMs`. It is known by its name.
    #[serde(default, deserialize_with = "object")]
    job: Option<Box<Definition>>,
    /// How many of its runs it has had elsewhere. It counts where the job is new, and has `maxRuns`.
    #[serde(default, deserialize_with = "whole")]
    runs: Option<u64>,
    /// What the calendar is to be.
    #[serde(default, deserialize_with = "object")]
    calendar: Option<CalendarLine>,
}

const NAME: &str = "expected a name, or jobId beside job: without one of them it could not be found again";
const RUN_AFTER: &str = "expected runAt or schedule: a time from now on is another one each time";

impl ApplyItem {
    /// Notes which job it means.
    pub(super) fn note(&self, meant: &mut Meant) {
        if let Some(job) = &self.job {
            note(meant, self.job_id.as_deref(), job.name.as_deref());
        }
    }

    /// What it asks for.
    pub(super) fn wanted(self, context: &Context<'_>) -> Result<Wanted, ApiError> {
        let ApplyItem { job_id, job, runs, calendar } = self;
        match (job, calendar) {
            (None, Some(calendar)) => calendar.wanted().map_err(|error| error.within("calendar").within("apply")),
            (Some(job), None) => {
                if job.name.is_none() && job_id.is_none() {
                    return Err(ApiError::member("name", NAME).within("job").within("apply"));
                }
                if job.run_after_ms.is_some() {
                    return Err(ApiError::member("runAfterMs", RUN_AFTER).within("job").within("apply"));
                }
                let spec = JobSpec::compile(&job, context);
                let spec = spec.map_err(|error| ApiError::from(error).within("job").within("apply"))?;
                Ok(Wanted::Declared(Box::new(Apply {
                    // A malformed one is of no job.
                    id: job_id.and_then(|id| id.parse().ok()),
                    spec,
                    keep_active: job.active.is_none(),
                    runs: runs.unwrap_or(0),
                    entropy: [0; 10],
                    beside: Arc::default(),
                })))
            }
            (None, None) | (Some(_), Some(_)) => {
                Err(ApiError::at("#/apply".to_owned(), "apply", "expected either job or calendar"))
            }
        }
    }
}

fn note(meant: &mut Meant, id: Option<&str>, name: Option<&str>) {
    match name {
        Some(name) => drop(meant.names.insert(name.into())),
        None => meant.ids.extend(id.and_then(|id| id.parse::<JobId>().ok())),
    }
}

/// As much of a line as says which job it means.
#[derive(Deserialize)]
struct Glance {
    apply: GlanceAtItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GlanceAtItem {
    job_id: Option<String>,
    job: GlanceAtJob,
}

#[derive(Deserialize)]
struct GlanceAtJob {
    name: Option<String>,
}

/// Notes which job a line means that is wrong in some other way: nobody else takes its place.
pub(super) fn note_wrong(line: &[u8], meant: &mut Meant) {
    if let Ok(Glance { apply: GlanceAtItem { job_id, job } }) = serde_json::from_slice(line) {
        note(meant, job_id.as_deref(), job.name.as_deref());
    }
}
