//! Owns the export: everything the jobs and calendars are, as one JSON object a line.
//! It must not keep anything between two pieces: each piece shows what there is when it is made.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::calendars::CalendarBody;
use super::call::Call;
use super::errors::ApiError;
use super::json::{Moment, append, time_of};
use super::matching::Matched;
use super::pauses::PauseBody;
use super::stream::{Piece, Stream};
use crate::core::JobView;
use crate::http::{Method, Response, Status};
use crate::job::{Definition, JobId, JobKey};
use crate::limits::PIECE_LEN_MAX;
use crate::schedule::Calendars;

/// The media type of objects of which each has a line.
pub(super) const LINES: &str = "application/x-ndjson";

/// What is still to be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// The calendars behind this one, in the order of their names, and all jobs.
    Calendars(Option<Arc<str>>),
    /// Jobs, in order of creation, behind this one.
    Jobs(Option<JobKey>),
}

/// Everything, line by line.
pub(super) fn all(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    if matched.request.method == Method::Head {
        return Ok(Call::Ready(Response { content_type: LINES, ..Response::unmade(Status::OK) }));
    }
    Ok(Call::Stream(Stream::Export(Export::Calendars(None))))
}

/// A line of the export.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ExportLine")]
pub(super) struct Line<'a> {
    /// A calendar of dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    calendar: Option<CalendarBody<'a>>,
    /// A job, as it can be sent to `POST /api/jobs`, but for its secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Definition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    created_at: Option<String>,
    /// Where `@every` counts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    anchor: Option<String>,
    /// How many of its runs it has had, if it has `maxRuns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseBody>,
}

impl Export {
    /// Makes the next piece. `views`: the jobs behind the last one, as many as there may be in a piece.
    pub fn piece(&self, calendars: &Calendars, views: &[JobView]) -> Piece {
        match self {
            Export::Calendars(after) => {
                let (mut bytes, mut last) = (Vec::new(), None);
                for (name, dates) in calendars.behind(after.as_deref()) {
                    // Each may have thousands of dates.
                    if bytes.len() >= PIECE_LEN_MAX {
                        let rest = last.map(|last| Stream::Export(Export::Calendars(Some(last))));
                        return Piece { bytes, rest };
                    }
                    last = Some(Arc::clone(name));
                    let calendar = Some(CalendarBody::of(name, dates));
                    let (job, job_id, created_at, anchor) = (None, None, None, None);
                    line(&mut bytes, &Line { calendar, job, job_id, created_at, anchor, runs: None, paused: None });
                }
                Piece { bytes, rest: Some(Stream::Export(Export::Jobs(None))) }
            }
            Export::Jobs(_) => {
                let (mut bytes, mut last) = (Vec::new(), None);
                for view in views {
                    // Jobs may carry bodies.
                    if bytes.len() >= PIECE_LEN_MAX {
                        break;
                    }
                    line(&mut bytes, &of_job(view));
                    last = Some(view.revision.id.key());
                }
                Piece { bytes, rest: last.map(|last| Stream::Export(Export::Jobs(Some(last)))) }
            }
        }
    }
}

fn of_job(view: &JobView) -> Line<'static> {
    let revision = &view.revision;
    Line {
        calendar: None,
        job: Some(Definition::in_full(&revision.spec)),
        job_id: Some(revision.id.to_string()),
        created_at: Some(revision.created_at.to_string()),
        anchor: Some(time_of(revision.anchor)),
        runs: revision.spec.max_runs().map(|_| view.tally.counters.runs),
        paused: revision.pause.as_deref().filter(|_| view.paused).map(PauseBody::from),
    }
}

fn line(bytes: &mut Vec<u8>, line: &Line<'_>) {
    append(bytes, line);
    bytes.push(b'\n');
}
