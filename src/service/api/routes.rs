//! Owns the table of what can be asked for: which method and path is which call, with which parameters and body.
//! It must not carry a call out, and nothing about a route is said anywhere else.
//!
//! Matching, 404, 405 and OPTIONS with their `Allow`, the largest body, the list in `/api/info` and the description in
//! `/api/openapi.json` all come from the table. To add an endpoint, add its line, and the function it names to the file
//! of its resource.

use super::headers::{CACHE_CONTROL, ETAG, IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, LINK, LOCATION, SET_COOKIE};
use super::parameters::{
    ALERTS_CURSOR, AT, AUDIT_CURSOR, AUDIT_TOKEN, CAUSE, DRY_RUN, EVENT_JOB, EVENT_STATUS, EXECUTIONS_CURSOR, FROM,
    INCIDENT_JOB, INCIDENT_STATE, INCIDENTS_CURSOR, JOB, JOBS, JOBS_CURSOR, KIND, LIMIT, METRIC_JOBS, Q, RUNS, SORT,
    STATE, STATUS, STEP, SUBJECT, TAG, TARGET, TO, TOPICS,
};
use super::route::{AnswerOf, Route};
use super::{
    alerts, audit, batch, calendars, channels, event_text, events, examples, executions, export, exposition, import,
    incidents, jobs, jobs_page, metrics, nodes, openapi, patch, pauses, policies, runs, schedules, series, sessions,
    silences, status, strips, targets, timeline, tokens, trials, why,
};
use crate::access::Scope;
use crate::channel::ChannelDefinition;
use crate::http::{Method, Status};
use crate::job::{AlertDefinition, Definition};
use crate::limits::{BATCH_BODY_LEN_MAX, BODY_LEN_MAX};

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
    Route::new(Method::Post, "/api/jobs/batch", "changeJobs", BATCH, batch::change)
        .with(&[&DRY_RUN])
        .heeds(&[&IDEMPOTENCY_KEY])
        .takes_lines::<batch::Item>("JobChange", BATCH_BODY_LEN_MAX)
        .such_as(examples::BATCH)
        .gives(&[AnswerOf::ok::<batch::ResultsBody<'static>>("All that were not refused are on disk.")])
        .or(&[Status::CONFLICT, Status::TOO_MANY_REQUESTS]),
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
        .needs(Some(Scope::Read))
        .takes::<schedules::Asked>("SchedulePreview", BODY_LEN_MAX)
        .such_as(examples::PREVIEW)
        .gives(&[AnswerOf::ok::<schedules::PreviewBody>("What it means.")]),
    Route::new(Method::Post, "/api/try", "tryJob", TRY, trials::ask)
        .takes::<trials::TrialAsked>("TrialDefinition", BODY_LEN_MAX)
        .such_as(examples::TRIAL)
        .gives(&[AnswerOf::ok::<trials::TrialBody>("What came back, or why nothing did.")])
        .or(&[Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/executions", "listExecutions", "Lists executions, newest first.", executions::list)
        .with(&[&LIMIT, &EXECUTIONS_CURSOR, &STATUS, &JOB, &KIND, &FROM, &TO])
        .gives(&[AnswerOf::ok::<executions::ExecutionsBody>("A page of executions.").with(&[&LINK])])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Post, "/api/executions/replay", "replayExecutions", REPLAY_ALL, runs::replay_all)
        .heeds(&[&IDEMPOTENCY_KEY])
        .takes::<runs::ReplayAllAsked>("ReplayOptions", BODY_LEN_MAX)
        .such_as(examples::REPLAY_ALL)
        .gives(&[
            AnswerOf::json::<runs::ReplaysBody>(Status::ACCEPTED, "Their rows are on disk."),
            AnswerOf::ok::<runs::ReplayPlanBody>("With dryRun: which they are."),
        ])
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, AN_EXECUTION, "getExecution", "Shows an execution.", executions::read)
        .gives(&[AnswerOf::ok::<executions::ExecutionBody>("The execution, with each of its attempts.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Post, "/api/executions/:id/replay", "replayExecution", REPLAY, runs::replay)
        .heeds(&[&IDEMPOTENCY_KEY])
        .may_take::<runs::RunAsked>("RunOptions", BODY_LEN_MAX)
        .such_as(examples::RUN)
        .gives(&RUN)
        .or(&[Status::CONFLICT, Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/export", "exportAll", EXPORT, export::all).gives(&[AnswerOf {
        media_type: export::LINES,
        ..AnswerOf::ok::<export::Line<'static>>("One object a line; of each line, this.")
    }]),
    Route::new(Method::Post, "/api/import", "importAll", IMPORT, batch::import)
        .with(&[&DRY_RUN])
        .heeds(&[&IDEMPOTENCY_KEY])
        .takes_lines::<import::Line>("ImportLine", BATCH_BODY_LEN_MAX)
        .such_as(examples::IMPORT)
        .gives(&[AnswerOf::ok::<batch::ResultsBody<'static>>("All that were not refused are on disk.")])
        .or(&[Status::CONFLICT, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/events", "listen", LISTEN, events::listen)
        .with(&[&TOPICS, &EVENT_JOB, &EVENT_STATUS])
        .heeds(&[&LAST_EVENT_ID])
        .gives(&[AnswerOf::events::<event_text::EventBody>(
            "Events (SSE), each with this as its data, without an end.",
        )])
        .or(&[Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/strips", "listStrips", STRIPS, strips::list)
        .with(&[&JOBS, &RUNS])
        .gives(&[AnswerOf::ok::<strips::StripsBody>("A strip for each job, also for one that there is not.")]),
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
    Route::new(Method::Get, "/metrics", "getExposition", EXPOSITION, exposition::read)
        .with(&[&METRIC_JOBS])
        .gives(&[
            AnswerOf::text(exposition::PLAIN, "As Prometheus or as OpenMetrics has it, whichever Accept likes more."),
            AnswerOf::text(exposition::OPEN_METRICS, "The same."),
        ]),
    Route::new(Method::Get, "/api/targets", "listTargets", "Lists the targets that matter most.", targets::list)
        .with(&[&LIMIT])
        .gives(&[AnswerOf::ok::<targets::TargetsBody>("The targets as they are now.")]),
    Route::new(Method::Get, "/api/timeline", "getTimeline", TIMELINE, timeline::read)
        .gives(&[AnswerOf::ok::<timeline::TimelineBody>("Two hours, minute by minute.")]),
    Route::new(Method::Get, "/api/alerts", "listAlerts", "Lists alerts, newest first.", alerts::list)
        .with(&[&LIMIT, &ALERTS_CURSOR])
        .gives(&[AnswerOf::ok::<alerts::AlertsBody>("A page of alerts.").with(&[&LINK])]),
    Route::new(Method::Get, "/api/incidents", "listIncidents", "Lists incidents, newest first.", incidents::list)
        .with(&[&LIMIT, &INCIDENTS_CURSOR, &INCIDENT_STATE, &INCIDENT_JOB, &CAUSE])
        .gives(&[AnswerOf::ok::<incidents::IncidentsBody>("A page of incidents.").with(&[&LINK])]),
    Route::new(Method::Get, AN_INCIDENT, "getIncident", "Shows an incident with what was told of it.", incidents::read)
        .gives(&[AnswerOf::ok::<incidents::WithMessagesBody>("The incident, with its messages.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Post, "/api/incidents/:id/acknowledge", "acknowledgeIncident", ACKNOWLEDGE, incidents::acknowledge)
        .heeds(&[&IDEMPOTENCY_KEY])
        .may_take::<incidents::AcknowledgeAsked>("AcknowledgeOptions", BODY_LEN_MAX)
        .such_as(examples::ACKNOWLEDGE)
        .gives(&[AnswerOf::ok::<incidents::IncidentBody>("The incident, with who knows of it.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/silences", "listSilences", "Lists the silences.", silences::list)
        .gives(&[AnswerOf::ok::<silences::SilencesBody<'static>>("All that are not over.")]),
    Route::new(Method::Post, "/api/silences", "createSilence", SILENCE, silences::create)
        .heeds(&[&IDEMPOTENCY_KEY])
        .takes::<silences::SilenceAsked>("SilenceDefinition", BODY_LEN_MAX)
        .such_as(examples::SILENCE)
        .gives(&[AnswerOf::json::<silences::SilenceBody<'static>>(Status::CREATED, "It has begun.").with(&[&LOCATION]).leading(&[(A_SILENCE, "/silenceId")])])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Delete, A_SILENCE, "endSilence", "Ends a silence before its time.", silences::delete)
        .gives(&[AnswerOf::empty("It is over.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/channels", "listChannels", "Lists channels, and how they fared last.", channels::list)
        .gives(&[AnswerOf::ok::<channels::ChannelsBody<'static>>("All of them, and nothing that is secret.")]),
    Route::new(Method::Put, A_CHANNEL, "putChannel", "Registers or replaces a channel.", channels::put)
        .needs(Some(Scope::Admin))
        .takes::<ChannelDefinition>("ChannelDefinition", BODY_LEN_MAX)
        .such_as(examples::CHANNEL)
        .gives(&[AnswerOf::ok::<channels::ChannelBody<'static>>("It is on disk.").leading(&[(A_CHANNEL, "/name")])]),
    Route::new(Method::Get, A_CHANNEL, "getChannel", "Shows a channel.", channels::read)
        .needs(Some(Scope::Admin))
        .gives(&[AnswerOf::ok::<channels::ChannelBody<'static>>("The channel; of its secrets, that they are set.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Delete, A_CHANNEL, "deleteChannel", "Deletes a channel.", channels::delete)
        .needs(Some(Scope::Admin))
        .gives(&[AnswerOf::empty("It is gone.")])
        .or(&[Status::CONFLICT, Status::NOT_FOUND]),
    Route::new(Method::Post, "/api/channels/:name/test", "testChannel", TEST_CHANNEL, channels::test)
        .needs(Some(Scope::Admin))
        .gives(&[AnswerOf::ok::<channels::TestBody>("Whether it arrived, or why not.")])
        .or(&[Status::NOT_FOUND, Status::TOO_MANY_REQUESTS]),
    Route::new(Method::Get, "/api/policies", "listPolicies", "Lists the policies of alerts.", policies::list)
        .gives(&[AnswerOf::ok::<policies::PoliciesBody<'static>>("That of the server, and those of tags.")]),
    Route::new(Method::Put, SERVER_POLICY, policies::PUT_OF_SERVER, "Sets the policy of the server.", policies::put_of_server)
        .takes::<AlertDefinition>("AlertPolicyDefinition", BODY_LEN_MAX)
        .such_as(examples::SERVER_POLICY)
        .gives(&[AnswerOf::ok::<policies::PolicyBody>("It is on disk.")]),
    Route::new(Method::Delete, SERVER_POLICY, "deleteServerPolicy", "Lets the server say nothing.", policies::delete_of_server)
        .gives(&[AnswerOf::empty("The defaults count.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Put, TAG_POLICY, policies::PUT_OF_TAG, "Sets the policy of jobs with a tag.", policies::put_of_tag)
        .takes::<policies::TagPolicyAsked>("TagPolicyDefinition", BODY_LEN_MAX)
        .such_as(examples::TAG_POLICY)
        .gives(&[AnswerOf::ok::<policies::PolicyBody>("It is on disk.")]),
    Route::new(Method::Delete, TAG_POLICY, "deleteTagPolicy", "Lets a tag say nothing.", policies::delete_of_tag)
        .gives(&[AnswerOf::empty("It is gone.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/jobs/:id/policy", "getPolicyOfJob", POLICY_OF_JOB, policies::of_job)
        .gives(&[AnswerOf::ok::<policies::OfJobBody>("Each member, and who said it.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/tokens", "listTokens", "Lists tokens, and sessions of browsers.", tokens::list)
        .needs(Some(Scope::Admin))
        .gives(&[AnswerOf::ok::<tokens::TokensBody>("All of them, and nothing that is secret.")]),
    Route::new(Method::Post, "/api/tokens", "createToken", "Makes a token.", tokens::create)
        .needs(Some(Scope::Admin))
        .takes::<tokens::TokenAsked>("TokenDefinition", BODY_LEN_MAX)
        .such_as(examples::TOKEN)
        .gives(&[AnswerOf::json::<tokens::CreatedBody<'static>>(Status::CREATED, "The token, once.").with(&[&LOCATION, &CACHE_CONTROL]).leading(&[(A_TOKEN, "/tokenId")])])
        .or(&[Status::CONFLICT, Status::INTERNAL_SERVER_ERROR]),
    Route::new(Method::Delete, A_TOKEN, "revokeToken", "Revokes a token, and the sessions that began with it.", tokens::revoke)
        .needs(Some(Scope::Admin))
        .gives(&[AnswerOf::empty("It does not count any more.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/session", "getSession", "Says who asks, and what he may do.", sessions::read)
        .needs(None)
        .gives(&[AnswerOf::ok::<sessions::SessionBody>("The scope, and the token or session.").with(&[&CACHE_CONTROL])]),
    Route::new(Method::Post, "/api/session", "signIn", "Signs a browser in: shows a token, gets a cookie.", sessions::sign_in)
        .needs(None)
        .takes::<sessions::SignInAsked>("SignIn", BODY_LEN_MAX)
        .such_as(examples::SIGN_IN)
        .gives(&[AnswerOf::ok::<sessions::SessionBody>("A cookie that counts for twelve hours.").with(&[&SET_COOKIE, &CACHE_CONTROL])])
        .or(&[Status::CONFLICT, Status::INTERNAL_SERVER_ERROR]),
    Route::new(Method::Delete, "/api/session", "signOut", "Signs a browser out.", sessions::sign_out)
        .needs(None)
        .gives(&[AnswerOf::empty("The session is over.").with(&[&SET_COOKIE])]),
    Route::new(Method::Get, "/api/audit", "listAudit", "Lists who did what, newest first.", audit::list)
        .needs(Some(Scope::Admin))
        .with(&[&LIMIT, &AUDIT_CURSOR, &AUDIT_TOKEN, &SUBJECT, &FROM, &TO])
        .gives(&[AnswerOf::ok::<audit::RowsBody>("A page of the audit log.").with(&[&LINK])]),
    Route::new(Method::Get, "/api/nodes", "listNodes", "Lists the nodes that share the database.", nodes::list)
        .gives(&[AnswerOf::ok::<nodes::NodesBody<'static>>("Every one of which something is left.")]),
    Route::new(Method::Post, "/api/nodes/:name/drain", "drainNode", DRAIN, nodes::drain)
        .needs(Some(Scope::Admin))
        .gives(&[AnswerOf::empty("It has been told.")])
        .or(&[Status::NOT_FOUND]),
    Route::new(Method::Get, "/api/health", "getHealth", "Whether all is well.", status::read_health)
        .gives(&[
            AnswerOf::ok::<status::HealthBody<'static>>("All is well."),
            AnswerOf::json::<status::HealthBody<'static>>(Status::SERVICE_UNAVAILABLE, "It is not, for this reason."),
        ]),
    Route::new(Method::Get, "/api/info", "getInfo", "Who is there.", status::read_info)
        .gives(&[AnswerOf::ok::<status::InfoBody<'static>>("Name, version, endpoints.")]),
    Route::new(Method::Get, "/api/openapi.json", "getOpenApi", "This description.", openapi::read)
        .gives(&[AnswerOf::ok::<serde_json::Map<String, serde_json::Value>>("An OpenAPI 3.1 document.")]),
    Route::new(Method::Get, "/livez", "isLive", "Whether the server answers at all.", status::read_live).needs(None),
    Route::new(Method::Get, "/readyz", "isReady", "Whether clients may come.", status::read_ready).needs(None),
    Route::new(Method::Get, "/", "getRoot", "Who is there.", status::read_info),
];

const A_JOB: &str = "/api/jobs/:id";
const AN_EXECUTION: &str = "/api/executions/:id";
const A_CALENDAR: &str = "/api/calendars/:name";
const A_TOKEN: &str = "/api/tokens/:id";
const AN_INCIDENT: &str = "/api/incidents/:id";
const A_SILENCE: &str = "/api/silences/:id";
const A_CHANNEL: &str = "/api/channels/:name";
const SERVER_POLICY: &str = "/api/policies/server";
const TAG_POLICY: &str = "/api/policies/tags/:tag";

/// What follows a request to run something.
const RUN: [AnswerOf; 2] = [
    AnswerOf::json::<runs::StartedBody>(Status::ACCEPTED, "Its row is on disk.")
        .with(&[&LOCATION])
        .leading(&[(AN_EXECUTION, "/executionId")]),
    AnswerOf::ok::<executions::ExecutionBody>("With wait: how it ended."),
];
const DRAIN: &str = "Has a node give away all its jobs and stay; it takes some again once it is started anew.";
const ACKNOWLEDGE: &str = "Says that somebody knows of an open incident.";
const SILENCE: &str = "Begins a silence: nothing is told of a job, a tag or a target until it ends.";
const TEST_CHANNEL: &str = "Sends something over a channel, and says whether it arrived.";
const POLICY_OF_JOB: &str = "Says which policy of alerts counts for a job, and who said what of it.";
const BATCH: &str = "Creates, changes, pauses, resumes or deletes jobs, or lets them be what is declared, up to 10,000, in one transaction; where several nodes share a database, in one for each node that has some of the jobs.";
const IMPORT: &str = "Registers what an export gave, calendars one by one and jobs in one transaction; where several nodes share a database, in one for each node that has some of the jobs.";
const PATCH: &str = "Changes some members of a job (RFC 7396); null removes one.";
const PAUSE: &str = "Lets a job rest, until some moment or until somebody resumes it.";
const RESUME: &str = "Lets a job go on that rests.";
const BACKFILL: &str = "Runs a job for times of its schedule that have passed, one after the other.";
const REPLAY_ALL: &str = "Does executions again that are like this, up to 1,000, in one transaction; where several nodes share a database, in one for each node or job.";
const REPLAY: &str = "Does an execution again, as a new one with the same scheduled time.";
const RELEASE: &str = "Lets a job go on that is held because the clock stepped back.";
const TRY: &str = "Sends a job once that is not saved, and says everything about the answer.";
const EXPORT: &str = "Everything that jobs and calendars are, as JSON, one object a line.";
const SERIES: &str = "What executions came to, by hour for a week and then by day.";
const LISTEN: &str = "Tells what happens, as it happens, and what was missed after Last-Event-ID.";
const WHY: &str = "Says what became of a second of a job, and why; also of one that was never due.";
const EXPOSITION: &str = "The figures as text, for Prometheus and whoever reads the same.";
const TIMELINE: &str = "Tells what ended in the last hour and what is due in the next one.";
const STRIPS: &str = "Lists the last executions of some jobs, little of each, newest first.";
const OF_JOB: &str = "Lists executions of a job, newest first.";
const PREVIEW: &str = "Says what a schedule means: when it is due, in words, and what is odd about it.";
