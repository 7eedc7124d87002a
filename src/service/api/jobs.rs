//! Owns the jobs of the API: what a client sends for one, read and compiled, and how one looks.
//! It must not compute what the core knows.

use schemars::JsonSchema;
use serde::Serialize;

use super::body;
use super::calendars;
use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::{Millis, Moment, json, ok, time_of};
use super::matching::Matched;
use super::parameters::STATUSES;
use super::pauses::PauseBody;
use super::runs::Elsewhere;
use super::schedules::PreviewBody;
use super::{channels, incidents, policies, runs, silences};
use crate::core::{Action, Herd, JobView, LastOutcome, Reply, Setting, SilenceId};
use crate::http::{self, Request, Response};
use crate::job::{Context, Definition, JobId, JobSpec, Revision};
use crate::time::Instant;

/// What a body must be.
const EXPECTED: &str = "a JSON object with schedule, api and type";

/// How many instants ahead a client is shown when it creates or changes a job.
const NEXT_SHOWN: usize = 5;

/// A new job.
pub(super) fn create(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    spec(matched.request, matched.context).map(|(spec, _)| Call::Create(spec))
}

/// One job.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Job(matched.job_id()?)))
}

/// A job replaced by another one under the same id.
pub(super) fn update(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let (id, (spec, says_active)) = (matched.job_id()?, spec(matched.request, matched.context)?);
    Ok(Call::Change(Action::Update { id, spec, keep_active: !says_active, expected: matched.expected()? }))
}

/// A job's end.
pub(super) fn delete(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Change(Action::Delete { id: matched.job_id()?, expected: matched.expected()? }))
}

/// A job that a clock holds which stepped back is let go on.
pub(super) fn release(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Change(Action::Release { id: matched.job_id()? }))
}

/// Reads the body of a create or an update. With it: whether the client said if the job is to be active.
fn spec(request: &Request, context: &Context<'_>) -> Result<(JobSpec, bool), ApiError> {
    compile(&body::read(request, EXPECTED)?, context)
}

/// What a definition comes to that is due some day. With it: whether it says if the job is to be active.
pub(super) fn compile(definition: &Definition, context: &Context<'_>) -> Result<(JobSpec, bool), ApiError> {
    let spec = JobSpec::compile(definition, context)?;
    spec.check_future(context.now.floor())?;
    Ok((spec, definition.active.is_some()))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Job")]
pub(super) struct JobBody {
    #[schemars(with = "JobId")]
    job_id: String,
    #[serde(flatten)]
    definition: Definition,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    updated_at: String,
    #[schemars(with = "Option<Moment>")]
    next_execution: Option<String>,
    /// The clock stepped back behind what the job already fired; it waits for `nextExecution`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    /// The pause that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseBody>,
    stats: Stats,
    last_outcome: Option<Last>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JobStats")]
pub(super) struct Stats {
    total: u64,
    success: u64,
    failed: u64,
    skipped: u64,
    avg_duration: Option<Millis>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LastOutcome")]
pub(super) struct Last {
    #[schemars(with = "Moment")]
    scheduled_time: String,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    http_status: Option<u16>,
}

impl From<&JobView> for JobBody {
    fn from(view: &JobView) -> JobBody {
        let Revision { id, created_at, updated_at, ref spec, .. } = *view.revision;
        // An exhausted schedule is as good as paused.
        let active = Some(spec.active && view.next.is_some() && !view.paused);
        let counters = &view.tally.counters;
        JobBody {
            job_id: id.to_string(),
            definition: Definition { active, ..Definition::from(spec) },
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
            next_execution: view.next.map(time_of),
            held: view.held,
            paused: view.revision.pause.as_deref().filter(|_| view.paused).map(PauseBody::from),
            stats: Stats {
                total: counters.total(),
                success: counters.success,
                failed: counters.failed,
                skipped: counters.skipped,
                avg_duration: counters.mean_duration_ms().map(Millis::from_ms),
            },
            last_outcome: view.tally.last.as_ref().map(last),
        }
    }
}

fn last(outcome: &LastOutcome) -> Last {
    Last { scheduled_time: time_of(outcome.instant), status: outcome.status.name(), http_status: outcome.http_status }
}

/// One job.
pub fn job(view: &JobView) -> Response {
    tagged(ok(&JobBody::from(view)), view)
}

/// An answer with a job in it names its revision, which a change can be made to depend on.
fn tagged(response: Response, view: &JobView) -> Response {
    // Every answer with a job has one: put together, not formatted.
    response.with_header("ETag", ["\"", &view.revision.number.to_string(), "\""].concat())
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChangedJob")]
pub(super) struct ChangedBody {
    #[schemars(with = "JobId")]
    job_id: String,
    message: &'static str,
    job: JobBody,
    #[schemars(with = "Vec<Moment>")]
    next_executions: Vec<String>,
    preview: PreviewBody,
}

/// What the answer to a change tells beside what the core replied.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// What else is due when the job is due next.
    pub herd: Option<Herd>,
    /// The silence that covers the incident.
    pub silenced_by: Option<SilenceId>,
    /// Whether a policy was sent that is no member of a job.
    pub is_of_policy: bool,
    /// What became of executions at other nodes.
    pub elsewhere: Option<Elsewhere>,
}

/// The answer to a change.
pub fn reply(reply: &Reply, beside: Beside) -> Response {
    let Beside { herd, silenced_by, is_of_policy, elsewhere } = beside;
    match reply {
        Reply::Created(view) => {
            let body = changed(view, "Job created successfully", herd);
            let place = format!("/api/jobs/{}", view.revision.id);
            tagged(json(http::Status::CREATED, &body), view).with_header("Location", place)
        }
        Reply::Updated(view) => tagged(ok(&changed(view, "Job updated successfully", herd)), view),
        Reply::Unchanged(_) | Reply::Deleted => Response::new(http::Status::NO_CONTENT, Vec::new()),
        Reply::NotFound => ApiError::no_such_job().response(),
        Reply::Nameless => ApiError::nameless().response(),
        Reply::CalendarPut { name, dates, jobs } => calendars::changed(name, dates, *jobs),
        Reply::CalendarDeleted => Response::new(http::Status::NO_CONTENT, Vec::new()),
        Reply::Set(setting) => set(setting),
        Reply::NoSuchSetting => ApiError::no_such_setting().response(),
        Reply::Acknowledged(incident) => incidents::acknowledged(incident, silenced_by),
        Reply::NoSuchIncident => ApiError::no_such_incident().response(),
        Reply::NoSuchCalendar => ApiError::no_such_calendar().response(),
        Reply::Started(ids) => runs::started(ids),
        Reply::StartedAll(ids, passed_over) => runs::started_all(ids, *passed_over, elsewhere.as_ref()),
        Reply::Ended(id, record) => runs::ended(*id, record),
        Reply::TooMany(why) => ApiError::bad_request(why.clone()).response(),
        Reply::NameTaken(name) => ApiError::name_taken(name).response(),
        Reply::OwnedElsewhere => ApiError::owned_elsewhere().response(),
        Reply::Changed(number) => ApiError::changed(*number).response(),
        Reply::Conflict(why) => ApiError::new(http::Status::CONFLICT, *why).response(),
        Reply::Invalid(error) if is_of_policy => policies::by_itself(error).response(),
        Reply::Invalid(error) => ApiError::from(error.clone()).response(),
        Reply::Refused(refusal) => ApiError::from(*refusal).response(),
    }
}

/// A setting that is on disk, or gone.
fn set(setting: &Setting) -> Response {
    match setting {
        Setting::Channel(name, Some(channel)) => channels::changed(name, channel),
        Setting::Policy(_, Some(policy)) => policies::changed(policy),
        Setting::Silence(id, Some(silence)) => silences::begun(*id, silence),
        Setting::Channel(_, None) | Setting::Policy(_, None) | Setting::Silence(_, None) => {
            Response::new(http::Status::NO_CONTENT, Vec::new())
        }
    }
}

fn changed(view: &JobView, message: &'static str, herd: Option<Herd>) -> ChangedBody {
    let job = JobBody::from(view);
    let Revision { spec, updated_at, .. } = &*view.revision;
    let preview = PreviewBody::of(&spec.schedule, (updated_at.floor(), Instant::LAST), NEXT_SHOWN, herd);
    ChangedBody { job_id: job.job_id.clone(), message, job, next_executions: upcoming(view, &preview), preview }
}

/// The next times, which are mostly those of the preview.
fn upcoming(view: &JobView, preview: &PreviewBody) -> Vec<String> {
    let schedule = &view.revision.spec.schedule;
    match view.next.map(time_of) {
        Some(next) if preview.times().next() == Some(&*next) => preview.times().map(str::to_owned).collect(),
        Some(_) | None => {
            let instants = std::iter::successors(view.next, |&instant| schedule.next_after(instant));
            instants.take(NEXT_SHOWN).map(time_of).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn request(body: &str) -> Request {
        Request {
            method: Method::Post,
            path: "/api/jobs".to_owned(),
            query: String::new(),
            keep_alive: true,
            http_10: false,
            accepts: Default::default(),
            headers: crate::http::Headers::default(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn the_three_members_and_active_are_read() {
        let body = r#"{"schedule":"31 10-15 1 * * MON-FRI","api":"https://localhost:4444/foo","type":"ATLEAST_ONCE"}"#;
        let (found, says_active) = spec(&request(body), &Context::at(Instant::FIRST)).unwrap();
        assert_eq!((found.schedule.text(), found.active, says_active), ("31 10-15 1 * * MON-FRI", true, false));
        let body = r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","active":false}"#;
        let (found, says_active) = spec(&request(body), &Context::at(Instant::FIRST)).unwrap();
        assert_eq!((found.active, says_active), (false, true));
    }

    #[test]
    fn errors_name_the_member_and_what_was_expected() {
        let good = r#""schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE""#;
        for (body, why) in [
            (String::new(), "body: expected a JSON object with schedule, api and type, got nothing"),
            ("{".to_owned(), "body: EOF"),
            ("[]".to_owned(), "body: expected a JSON object"),
            (r#" ["@daily","http://a/","ATLEAST_ONCE"]"#.to_owned(), "got a list"),
            ("7".to_owned(), "expected a JSON object with schedule, api and type"),
            ("{}".to_owned(), "missing field `api`"),
            (format!("{{{good}}} x"), "body: expected one JSON object"),
            (format!("{{{good},\"retries\":3}}"), "unknown field `retries`: did you mean `retry`?"),
            (format!("{{{good},\"api\":\"http://b/\"}}"), "duplicate field `api`"),
            (format!("{{{good},\"active\":\"yes\"}}"), "active: invalid type: string \"yes\", expected a boolean"),
            (format!("{{{good},\"maxRuns\":-1}}"), "maxRuns: invalid value: integer `-1`, expected a whole number"),
            (format!("{{{good},\"pauseOn\":410}}"), "pauseOn: invalid type: integer `410`, expected a list"),
            (good.replace("\"@daily\"", "5"), "schedule: invalid type: integer `5`, expected a string"),
            (good.replace("@daily", "0 0 30 2 *"), "schedule: expected at least one time in the future"),
            (good.replace("@daily", "* * 25 * * *"), "schedule: hour: expected"),
            (good.replace("http://a/", "ftp://a/"), "api: expected the scheme http or https"),
            (good.replace("ATLEAST_ONCE", "ONCE"), "type: expected \"ATLEAST_ONCE\" or \"ATMOST_ONCE\", got \"ONCE\""),
        ] {
            let body = if body.starts_with('"') { format!("{{{body}}}") } else { body };
            let error = spec(&request(&body), &Context::at(Instant::FIRST)).expect_err(&body);
            assert_eq!(error.status.code(), 400);
            assert!(error.message.contains(why), "{body}: {}", error.message);
        }
    }

    #[test]
    fn another_content_type_is_415() {
        let mut request = request("{}");
        request.headers.content_type = Some("text/xml; charset=utf-8".to_owned());
        assert_eq!(spec(&request, &Context::at(Instant::FIRST)).expect_err("xml").status.code(), 415);
    }
}
