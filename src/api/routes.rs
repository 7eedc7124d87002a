//! Owns the table of what can be asked for: which method and path is which call, with which parameters and body.
//! It must not carry a call out, and nothing about a route is said anywhere else.
//!
//! Matching, 404, 405 and OPTIONS with their `Allow`, the largest body, the list in `/api/info` and the description in
//! `/api/openapi.json` all come from the table. To add an endpoint, add its line, and the function it names to the file
//! of its resource.

use super::call::Call;
use super::errors::ApiError;
use super::headers::{self, ETAG, IDEMPOTENCY_KEY, IF_MATCH, LINK, LOCATION};
use super::parameters::{
    ALERTS_CURSOR, AT, EXECUTIONS_CURSOR, FROM, JOB, JOBS_CURSOR, KIND, LIMIT, Parameters, Q, SORT, STATE, STATUS,
    STEP, TAG, TARGET, TO,
};
use super::route::{AnswerOf, Route};
use super::{
    alerts, calendars, examples, executions, jobs, jobs_page, metrics, openapi, patch, pauses, runs, schedules, series,
    status, why,
};
use crate::core::ExecutionId;
use crate::http::{Method, Request, Response, Status};
use crate::job::{Context, Definition, JobId};
use crate::limits::BODY_LEN_MAX;

/// Every endpoint, in the order in which `/api/info` lists them.
#[rustfmt::skip] // One line for each thing that is said of a route, so that it reads as the table it is.
pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Post, "/api/jobs", "createJob", "Registers a job.", jobs::create)
        .heeds(&[&IDEMPOTENCY_KEY])
        .takes::<Definition>("JobDefinition", BODY_LEN_MAX)
        .such_as(examples::JOB)
        .gives(&[AnswerOf::json::<jobs::ChangedBody>(Status::CREATED, "The job is on disk.").with(&[&ETAG, &LOCATION]).leading(&[(A_JOB, "/jobId")])])
        .or(&[Status::CONFLICT, Status::INTERNAL_SERVER_ERROR]),
    Route::new(Method::Get, "/api/jobs", "listJobs", "Lists jobs.", jobs_page::list)
        .with(&[&LIMIT, &JOBS_CURSOR, &SORT, &STATE, &TARGET, &TAG, &Q])
        .gives(&[AnswerOf::ok::<jobs_page::JobsBody>("A page of jobs.").with(&[&LINK])]),
    Route::new(Method::Get, A_JOB, "getJob", "Shows a job.", jobs::read)
        .gives(&[AnswerOf::ok::<jobs::JobBody>("The job, with its revision as ETag.").with(&[&ETAG])])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Put, A_JOB, "replaceJob", "Replaces what a job is.", jobs::update)
        .heeds(&[&IF_MATCH])
        .takes::<Definition>("JobDefinition", BODY_LEN_MAX)
        .such_as(examples::JOB)
        .gives(&[AnswerOf::ok::<jobs::ChangedBody>("The change is on disk.").with(&[&ETAG])])
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Patch, A_JOB, "changeJob", PATCH, patch::change)
        .heeds(&[&IF_MATCH])
        .takes::<patch::JobPatch>("JobPatch", BODY_LEN_MAX)
        .such_as(examples::PATCH)
        .gives(&[AnswerOf::ok::<jobs::ChangedBody>("The change is on disk.").with(&[&ETAG])])
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Post, "/api/jobs/:id/pause", "pauseJob", PAUSE, pauses::pause)
        .heeds(&[&IF_MATCH, &IDEMPOTENCY_KEY])
        .may_take::<pauses::PauseAsked>("PauseOptions", BODY_LEN_MAX)
        .such_as(examples::PAUSE)
        .gives(&[AnswerOf::ok::<jobs::ChangedBody>("It rests.").with(&[&ETAG])])
        .or(&[Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Post, "/api/jobs/:id/resume", "resumeJob", RESUME, pauses::resume)
        .heeds(&[&IF_MATCH, &IDEMPOTENCY_KEY])
        .may_take::<pauses::ResumeAsked>("ResumeOptions", BODY_LEN_MAX)
        .such_as(examples::RESUME)
        .gives(&[AnswerOf::ok::<jobs::ChangedBody>("It goes on.").with(&[&ETAG])])
        .or(&[Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Post, "/api/jobs/:id/release", "releaseJob", RELEASE, jobs::release)
        .heeds(&[&IDEMPOTENCY_KEY])
        .gives(&[AnswerOf::ok::<jobs::ChangedBody>("It goes on.").with(&[&ETAG])])
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Post, "/api/jobs/:id/run", "runJob", "Runs a job now, whatever its schedule says.", runs::run)
        .heeds(&[&IDEMPOTENCY_KEY])
        .may_take::<runs::RunAsked>("RunOptions", BODY_LEN_MAX)
        .such_as(examples::RUN)
        .gives(&RUN)
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Post, "/api/jobs/:id/backfill", "backfillJob", BACKFILL, runs::backfill)
        .heeds(&[&IDEMPOTENCY_KEY])
        .takes::<runs::BackfillAsked>("BackfillOptions", BODY_LEN_MAX)
        .such_as(examples::BACKFILL)
        .gives(&[
            AnswerOf::json::<runs::BackfillBody>(Status::ACCEPTED, "Their rows are on disk.").leading(&[(AN_EXECUTION, "/executionIds/0")]),
            AnswerOf::ok::<runs::PlanBody>("With dryRun: which times they would be for."),
        ])
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Delete, A_JOB, "deleteJob", "Deletes a job. Its history stays.", jobs::delete)
        .heeds(&[&IF_MATCH])
        .gives(&[AnswerOf::empty("It is gone.")])
        .or(&[Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/jobs/:id/executions", "listExecutionsOfJob", OF_JOB, executions::list_of_job)
        .with(&[&LIMIT, &EXECUTIONS_CURSOR])
        .gives(&[AnswerOf::ok::<executions::ExecutionsBody>("A page of executions.").with(&[&LINK])])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/jobs/:id/series", "getSeriesOfJob", SERIES, series::of_job)
        .with(&[&FROM, &TO, &STEP])
        .gives(&[AnswerOf::ok::<series::SeriesBody>("Counts, drift and duration, step by step.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/jobs/:id/why", "explainJob", WHY, why::ask)
        .with(&[&AT])
        .gives(&[AnswerOf::ok::<why::WhyBody>("In one word and one sentence.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Post, "/api/schedules/preview", "previewSchedule", PREVIEW, schedules::preview_call)
        .takes::<schedules::Asked>("SchedulePreview", BODY_LEN_MAX)
        .such_as(examples::PREVIEW)
        .gives(&[AnswerOf::ok::<schedules::PreviewBody>("What it means.")]),
    Route::new(Method::Get, "/api/executions", "listExecutions", "Lists executions, newest first.", executions::list)
        .with(&[&LIMIT, &EXECUTIONS_CURSOR, &STATUS, &JOB, &KIND, &FROM, &TO])
        .gives(&[AnswerOf::ok::<executions::ExecutionsBody>("A page of executions.").with(&[&LINK])])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, AN_EXECUTION, "getExecution", "Shows an execution.", executions::read)
        .gives(&[AnswerOf::ok::<executions::ExecutionBody>("The execution, with each of its attempts.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Post, "/api/executions/:id/replay", "replayExecution", REPLAY, runs::replay)
        .heeds(&[&IDEMPOTENCY_KEY])
        .may_take::<runs::RunAsked>("RunOptions", BODY_LEN_MAX)
        .such_as(examples::RUN)
        .gives(&RUN)
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/calendars", "listCalendars", "Lists the calendars.", calendars::list)
        .gives(&[AnswerOf::ok::<calendars::CalendarsBody<'static>>("All of them, without their dates.")]),
    Route::new(Method::Put, A_CALENDAR, "putCalendar", "Registers or replaces a calendar.", calendars::put)
        .takes::<calendars::Body>("CalendarDates", BODY_LEN_MAX)
        .such_as(examples::CALENDAR)
        .gives(&[AnswerOf::ok::<calendars::CalendarBody<'static>>("It is on disk.").leading(&[(A_CALENDAR, "/name")])]),
    Route::new(Method::Get, A_CALENDAR, "getCalendar", "Shows a calendar.", calendars::read)
        .gives(&[AnswerOf::ok::<calendars::CalendarBody<'static>>("The calendar.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Delete, A_CALENDAR, "deleteCalendar", "Deletes a calendar.", calendars::delete)
        .gives(&[AnswerOf::empty("It is gone.")])
        .or(&[Status::CONFLICT, Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/series", "getSeries", SERIES, series::of_all)
        .with(&[&FROM, &TO, &STEP])
        .gives(&[AnswerOf::ok::<series::SeriesBody>("Counts, drift and duration, step by step.")]),
    Route::new(Method::Get, "/api/metrics", "getMetrics", "Figures, and which jobs fire next.", metrics::read)
        .with(&[&LIMIT])
        .gives(&[AnswerOf::ok::<metrics::MetricsShape>("The figures as they are now.")]),
    Route::new(Method::Get, "/api/alerts", "listAlerts", "Lists alerts, newest first.", alerts::list)
        .with(&[&LIMIT, &ALERTS_CURSOR])
        .gives(&[AnswerOf::ok::<alerts::AlertsBody>("A page of alerts.").with(&[&LINK])]),
    Route::new(Method::Get, "/api/health", "getHealth", "Whether all is well.", status::read_health)
        .gives(&[
            AnswerOf::ok::<status::HealthBody<'static>>("All is well."),
            AnswerOf::json::<status::HealthBody<'static>>(Status::SERVICE_UNAVAILABLE, "It is not, for this reason."),
        ]),
    Route::new(Method::Get, "/api/info", "getInfo", "Who is there.", status::read_info)
        .gives(&[AnswerOf::ok::<status::InfoBody<'static>>("Name, version, endpoints.")]),
    Route::new(Method::Get, "/api/openapi.json", "getOpenApi", "This description.", openapi::read)
        .gives(&[AnswerOf::ok::<serde_json::Map<String, serde_json::Value>>("An OpenAPI 3.1 document.")]),
    Route::new(Method::Get, "/", "getRoot", "Who is there.", status::read_info)
        .gives(&[AnswerOf::ok::<status::InfoBody<'static>>("Name, version, endpoints.")]),
];

const A_JOB: &str = "/api/jobs/:id";
const AN_EXECUTION: &str = "/api/executions/:id";
const A_CALENDAR: &str = "/api/calendars/:name";

/// What follows a request to run something.
const RUN: [AnswerOf; 2] = [
    AnswerOf::json::<runs::StartedBody>(Status::ACCEPTED, "Its row is on disk.")
        .with(&[&LOCATION])
        .leading(&[(AN_EXECUTION, "/executionId")]),
    AnswerOf::ok::<executions::ExecutionBody>("With wait: how it ended."),
];
const PATCH: &str = "Changes some members of a job (RFC 7396); null removes one.";
const PAUSE: &str = "Lets a job rest, until some moment or until somebody resumes it.";
const RESUME: &str = "Lets a job go on that rests.";
const BACKFILL: &str = "Runs a job for times of its schedule that have passed, one after the other.";
const REPLAY: &str = "Does an execution again, as a new one with the same scheduled time.";
const RELEASE: &str = "Lets a job go on that is held because the clock stepped back.";
const SERIES: &str = "What executions came to, by hour for a week and then by day.";
const WHY: &str = "Says what became of a second of a job, and why; also of one that was never due.";
const OF_JOB: &str = "Lists executions of a job, newest first.";
const PREVIEW: &str = "Says what a schedule means: when it is due, in words, and what is odd about it.";

/// The methods that a route can have, in the order in which `Allow` names them.
const METHODS: [Method; 6] = [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete];

/// A request whose route is found.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) request: &'a Request,
    pub(super) context: &'a Context<'a>,
    route: &'static Route,
    text: &'a str,
}

impl Matched<'_> {
    /// The query parameters. Read on every route, as one on a write is a mistake that must not go unnoticed.
    pub(super) fn parameters(&self) -> Result<Parameters, ApiError> {
        Parameters::read(&self.request.query, self.route.parameters)
    }

    /// The text in the path.
    pub(super) fn text(&self) -> &str {
        self.text
    }

    /// The revisions of which a job must be one, as `If-Match` says; None: any.
    pub(super) fn expected(&self) -> Result<Option<Box<[u32]>>, ApiError> {
        debug_assert!(self.route.heeds_header(&IF_MATCH), "a route reads If-Match, which it does not declare");
        headers::if_match(self.request)
    }

    /// The execution that the path names. A malformed id names none.
    pub(super) fn execution_id(&self) -> Result<ExecutionId, ApiError> {
        self.text.parse().map_err(|_| ApiError::no_such_execution())
    }

    /// The job that the path names. A malformed id names no job.
    pub(super) fn job_id(&self) -> Result<JobId, ApiError> {
        self.text.parse().map_err(|_| ApiError::no_such_job())
    }
}

/// Finds the call of a request. A job or a schedule in it is read with `context`. With it: the key under which its
/// answer is to be kept, if it changes something and has one.
///
/// # Errors
/// The answer to a request that asks for nothing this API has.
pub fn route<'a>(request: &'a Request, context: &Context<'_>) -> Result<(Call, Option<&'a str>), ApiError> {
    if let Some((route, text)) = find(request.method, &request.path) {
        let call = (route.call)(&Matched { request, context, route, text })?;
        let key = if route.heeds_header(&IDEMPOTENCY_KEY) { headers::idempotency_key(request)? } else { None };
        let key = key.filter(|_| call.changes());
        return Ok((call, key));
    }
    let asks_for_methods = request.method == Method::Options;
    let allow = match find_path(&request.path) {
        Some((path, _)) => allow(|route| route.path == path),
        // `OPTIONS *` asks about the server as a whole.
        None if asks_for_methods && request.path == "*" => allow_all(),
        None => return Err(ApiError::new(Status::NOT_FOUND, "Not found; GET /api/info lists the endpoints")),
    };
    if asks_for_methods {
        let response = Response::new(Status::NO_CONTENT, Vec::new()).with_header("Allow", allow);
        return Ok((Call::Ready(response), None));
    }
    Err(ApiError::method_not_allowed(allow))
}

/// How many bytes the body of such a request may have. One that no route takes is read all the same, and not looked at.
pub fn body_limit(method: Method, path: &str) -> usize {
    find(method, path).and_then(|(route, _)| route.body.map(|body| body.len_max)).unwrap_or(BODY_LEN_MAX)
}

/// The methods of all routes, as `Allow` names them.
pub(super) fn allow_all() -> String {
    allow(|_| true)
}

/// The endpoints as `/api/info` lists them. The root is there for people who open it, and no endpoint to build on.
pub(super) fn endpoints() -> impl Iterator<Item = String> {
    let listed = ROUTES.iter().filter(|route| route.path.starts_with("/api/"));
    listed.map(|route| format!("{} {}", route.method.name(), route.path))
}

/// The route of a request, and the text in its path.
fn find(method: Method, path: &str) -> Option<(&'static Route, &str)> {
    let method = as_routed(method);
    let (path, text) = find_path(path)?;
    ROUTES.iter().find(|route| route.method == method && route.path == path).map(|route| (route, text))
}

/// What a request's path is in the table, and the text in it. The first counts, so that a name may stand before `:id`.
fn find_path(path: &str) -> Option<(&'static str, &str)> {
    ROUTES.iter().find_map(|route| Some((route.path, route.matches(path)?)))
}

/// HEAD is GET without the body, on every route.
fn as_routed(method: Method) -> Method {
    if method == Method::Head { Method::Get } else { method }
}

/// The methods of some routes. OPTIONS is answered everywhere.
fn allow(is_meant: impl Fn(&Route) -> bool) -> String {
    let has = |method| ROUTES.iter().any(|route| route.method == as_routed(method) && is_meant(route));
    let methods = METHODS.into_iter().filter(|&method| has(method)).chain([Method::Options]);
    methods.map(Method::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::route::BodyOf;
    use super::*;
    use crate::http::Headers;
    use crate::job::JobKey;
    use crate::time::Instant;

    const ALL: [Method; 8] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Other,
    ];

    fn ask(method: Method, path: &str) -> Result<Call, ApiError> {
        let path = path.to_owned();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let request = Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            keep_alive: true,
            http_10: false,
            headers: Headers::default(),
            body: Vec::new(),
        };
        route(&request, &Context::at(Instant::FIRST)).map(|(call, _)| call)
    }

    /// The status, and `Allow`.
    fn answer(method: Method, path: &str) -> (u16, String) {
        let response = match ask(method, path) {
            Err(error) => error.response(),
            Ok(Call::Ready(response)) => response,
            Ok(
                Call::Create(_)
                | Call::Change(_)
                | Call::Jobs(_)
                | Call::Search(..)
                | Call::Read(_)
                | Call::Replay(..)
                | Call::Patch(_)
                | Call::Query(_)
                | Call::Preview(_)
                | Call::Stream(_),
            ) => {
                return (200, String::new());
            }
        };
        let allow = response.headers.iter().find(|(name, _)| *name == "Allow");
        (response.status.code(), allow.map(|(_, value)| value.to_string()).unwrap_or_default())
    }

    fn with_id(path: &str) -> String {
        let execution = if path.starts_with("/api/executions") { "-0" } else { "" };
        let id = format!("{}{execution}", JobId::new(JobKey(1), [0; 10]));
        let query = if path.ends_with("/why") { "?at=2026-01-01T00:00:00Z" } else { "" };
        format!("{}{query}", path.replace(":id", &id).replace(":name", "holidays"))
    }

    #[test]
    fn every_route_answers_its_methods_and_names_them_to_others() {
        for route in ROUTES {
            let path = with_id(route.path);
            let same_path = || ROUTES.iter().filter(|other| other.path == route.path);
            let (status, allow) = answer(Method::Options, &path);
            assert_eq!(status, 204, "{path}");
            let mut named: Vec<&str> = allow.split(", ").collect();
            assert_eq!(named.pop(), Some("OPTIONS"), "{path}");
            for method in ALL.into_iter().filter(|&method| method != Method::Options) {
                let found = same_path().find(|other| other.method == as_routed(method));
                assert_eq!(named.contains(&method.name()), found.is_some(), "{path}: {allow}");
                // A body that is taken is missing here.
                let expected = match found {
                    Some(Route { body: None | Some(BodyOf { is_optional: true, .. }), .. }) => (200, String::new()),
                    Some(_) => (400, String::new()),
                    None => (405, allow.clone()),
                };
                assert_eq!(answer(method, &path), expected, "{} {path}", method.name());
            }
            assert_eq!(named.len(), same_path().count() + usize::from(named.contains(&"HEAD")), "{path}: {allow}");
        }
        assert_eq!(answer(Method::Options, "*"), (204, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned()));
        assert_eq!(answer(Method::Options, "/api/jobs").1, "GET, HEAD, POST, OPTIONS");
        assert_eq!(answer(Method::Options, &with_id("/api/jobs/:id")).1, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    }

    #[test]
    fn every_route_refuses_a_parameter_it_does_not_know() {
        for route in ROUTES {
            let path = with_id(route.path);
            let path = path.split('?').next().expect("a path");
            let error = ask(route.method, &format!("{path}?x=1")).expect_err(route.path);
            let names: Vec<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
            let expected = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!("x: unknown parameter; expected: {expected}");
            assert_eq!((error.status.code(), error.message), (400, message), "{} {}", route.method.name(), route.path);
        }
    }

    #[test]
    fn every_change_by_post_may_have_a_key() {
        for route in ROUTES.iter().filter(|route| route.heeds_header(&IDEMPOTENCY_KEY)) {
            assert_eq!(route.method, Method::Post, "{}", route.path);
        }
        let posts = ROUTES.iter().filter(|route| route.method == Method::Post);
        let without: Vec<&str> =
            posts.filter(|route| !route.heeds_header(&IDEMPOTENCY_KEY)).map(|route| route.path).collect();
        assert_eq!(without, ["/api/schedules/preview"]);
    }

    #[test]
    fn the_routes_are_listed_once_each_and_without_the_root() {
        let mut listed: Vec<String> = endpoints().collect();
        assert_eq!(listed.len(), ROUTES.len() - 1);
        assert_eq!(listed.first().map(String::as_str), Some("POST /api/jobs"));
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), ROUTES.len() - 1);
    }

    #[test]
    fn other_paths_and_malformed_ids_are_404() {
        for path in
            ["/x", "/api", "/api/", "/api/jobs/", "/api/jobs/abc", "/api/jobs/1/executions", "/api/info/", "//", "*"]
        {
            assert_eq!(answer(Method::Get, path).0, 404, "{path}");
        }
        assert_eq!(ask(Method::Get, "/api/jobs/abc").expect_err("malformed").message, "Job not found");
    }

    #[test]
    fn a_body_may_be_as_long_as_its_route_says() {
        for route in ROUTES {
            let expected = route.body.map_or(BODY_LEN_MAX, |body| body.len_max);
            assert_eq!(
                body_limit(route.method, with_id(route.path).split('?').next().expect("a path")),
                expected,
                "{}",
                route.path
            );
        }
        assert_eq!(body_limit(Method::Post, "/nowhere"), BODY_LEN_MAX);
        assert_eq!(body_limit(Method::Patch, "/api/jobs"), BODY_LEN_MAX);
    }
}
