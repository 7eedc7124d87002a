//! Owns executions that clients ask for: how a run, a replay and a backfill are asked for, and what is answered.
//! It must not look up what is to be done again: it is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::{Call, Read};
use super::errors::ApiError;
use super::executions::execution;
use super::json::{Moment, json, ok, time_of};
use super::matching::Matched;
use crate::core::{Action, ExecutionId, Kind, Record, Run, RunOf, Status};
use crate::http::{self, Accepts, Headers, Method, Request, Response};
use crate::job::{FieldError, JobId, Json, OwnBody, Second, any_of, body_or_json, instant, whole};
use crate::limits::{BACKFILL_MAX, RUN_WAIT_MAX, TARGET_BODY_LEN_MAX};
use crate::store::{ExecutionRecord, Filter, Query, StoredAnswer, Unplaced};
use crate::time::Instant;

/// How an execution is to be run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default, expecting = "a JSON object such as {\"wait\":true}")]
#[schemars(extend("allOf" = [body_or_json()]))]
pub(super) struct RunAsked {
    /// What is sent in place of the job's body, as text with placeholders.
    #[schemars(length(max = TARGET_BODY_LEN_MAX))]
    body: Option<String>,
    /// The same, as any JSON value.
    #[serde(deserialize_with = "Json::some")]
    json: Option<Json>,
    /// Run it even if another execution of the job is running and its overlap policy would not allow that.
    force: bool,
    /// Answer with how it ended, if it ends within a minute.
    wait: bool,
}

/// What a body must be.
const EXPECTED: &str = "a JSON object such as {\"wait\":true}, or nothing";

impl RunAsked {
    fn run(&self, id: JobId, of: RunOf) -> Result<Run, ApiError> {
        let own_body = OwnBody::compile(self.body.as_deref(), self.json.as_ref())?;
        Ok(Run { id, of, own_body, force: self.force, wait: self.wait.then_some(RUN_WAIT_MAX) })
    }
}

/// A job is run now.
pub(super) fn run(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let asked: RunAsked = body::read_if_any(matched.request, EXPECTED)?;
    Ok(Call::Change(Action::Run(Box::new(asked.run(matched.job_id()?, RunOf::Now)?))))
}

/// An execution is done again.
pub(super) fn replay(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let asked: RunAsked = body::read_if_any(matched.request, EXPECTED)?;
    let id = matched.execution_id()?;
    Ok(Call::Replay(id, Box::new(asked.run(id.job, RunOf::Again(id))?)))
}

/// What is to be done for a replay, now that its origin is found.
///
/// # Errors
/// When there is nothing to be done again.
pub fn replay_of(found: &ExecutionRecord, mut run: Box<Run>) -> Result<Action, ApiError> {
    if found.record.status == Status::Pending {
        return Err(ApiError::new(http::Status::CONFLICT, "the execution has not ended yet"));
    }
    if run.own_body.is_none() {
        run.own_body = found.record.details.as_ref().and_then(|details| details.own_body.clone());
    }
    Ok(Action::Run(run))
}

/// Times of the past for which a job is to be run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object with from and to")]
#[schemars(extend("allOf" = [body_or_json()]))]
pub(super) struct BackfillAsked {
    /// The first second that counts.
    #[schemars(with = "Second")]
    from: String,
    /// The last second that counts; not ahead of now.
    #[schemars(with = "Second")]
    to: String,
    /// Only say which times these are.
    #[serde(default)]
    dry_run: bool,
    /// What is sent in place of the job's body, as text with placeholders.
    #[serde(default)]
    #[schemars(length(max = TARGET_BODY_LEN_MAX))]
    body: Option<String>,
    /// The same, as any JSON value.
    #[serde(default, deserialize_with = "Json::some")]
    json: Option<Json>,
}

/// A job is run for times of the past.
pub(super) fn backfill(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let asked: BackfillAsked = body::read(matched.request, "a JSON object with from and to")?;
    let (id, from, to) = (matched.job_id()?, instant("from", &asked.from)?, instant("to", &asked.to)?);
    let own_body = OwnBody::compile(asked.body.as_deref(), asked.json.as_ref())?;
    if asked.dry_run {
        return Ok(Call::Read(Read::Past { id, from, to }));
    }
    let run = Run { id, of: RunOf::Past { from, to }, own_body, force: false, wait: None };
    Ok(Call::Change(Action::Run(Box::new(run))))
}

/// Which executions are to be done again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object with status, jobId, from or to")]
#[schemars(extend("allOf" = [any_of(&["status", "jobId", "from", "to"])]))]
pub(super) struct ReplayAllAsked {
    /// Only with this status: SUCCESS, FAILED or SKIPPED.
    #[serde(default)]
    #[schemars(extend("enum" = ["SUCCESS", "FAILED", "SKIPPED", null]))]
    status: Option<String>,
    /// Only of this job.
    #[serde(default)]
    #[schemars(with = "Option<JobId>")]
    job_id: Option<String>,
    /// Only what belongs to this second or a later one.
    #[serde(default)]
    #[schemars(with = "Option<Second>")]
    from: Option<String>,
    /// Only what belongs to this second or an earlier one.
    #[serde(default)]
    #[schemars(with = "Option<Second>")]
    to: Option<String>,
    /// How many at most, the newest of them; none that was done again already. Left out: 100.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = BACKFILL_MAX))]
    limit: Option<u64>,
    /// Only say which these are.
    #[serde(default)]
    dry_run: bool,
}

/// Executions are done again.
pub(super) fn replay_all(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let asked: ReplayAllAsked = body::read(matched.request, "a JSON object with status, jobId, from or to")?;
    let ReplayAllAsked { status, job_id, from, to, limit, dry_run } = asked;
    let ended = [Status::Success, Status::Failed, Status::Skipped];
    let status = status.map(|text| {
        let found = ended.into_iter().find(|status| status.name() == text);
        found.ok_or_else(|| ApiError::member("status", format!("expected SUCCESS, FAILED or SKIPPED, got {text:?}")))
    });
    let job = job_id.map(|text| {
        text.parse().map_err(|_| ApiError::member("jobId", format!("expected the id of a job, got {text:?}")))
    });
    let filter = Filter {
        status: status.transpose()?,
        job: job.transpose()?,
        kind: None,
        from: from.as_deref().map(|text| instant("from", text)).transpose()?,
        to: to.as_deref().map(|text| instant("to", text)).transpose()?,
    };
    if filter.is_none() {
        let message = "expected at least one of status, jobId, from and to, or all there ever was would be done again";
        return Err(ApiError::bad_request(message));
    }
    let most = BACKFILL_MAX as u64;
    let limit = limit.unwrap_or(REPLAYS_USUAL);
    if !(1..=most).contains(&limit) {
        return Err(ApiError::member("limit", format!("expected a number from 1 to {most}, got {limit}")));
    }
    let limit = usize::try_from(limit).expect("it is bounded");
    Ok(Call::ReplayAll { query: Query::ToReplay { limit, filter, now: matched.context.now }, filter, dry_run })
}

/// How many executions are done again unless a client says.
const REPLAYS_USUAL: u64 = 100;

/// What is to be done again, oldest first.
pub fn replays_of(found: Vec<ExecutionRecord>) -> Vec<(ExecutionId, Option<OwnBody>)> {
    let own_body = |record: Record| record.details.and_then(|details| details.own_body);
    found.into_iter().rev().map(|ExecutionRecord { id, record }| (id, own_body(record))).collect()
}

/// Which executions would be done again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReplayPlan")]
pub(super) struct ReplayPlanBody {
    count: usize,
    #[schemars(with = "Vec<ExecutionId>")]
    execution_ids: Vec<String>,
    dry_run: bool,
}

/// Which executions would be done again, oldest first.
pub fn replays(found: &[ExecutionRecord]) -> Response {
    let execution_ids: Vec<String> = found.iter().rev().map(|found| found.id.to_string()).collect();
    ok(&ReplayPlanBody { count: execution_ids.len(), execution_ids, dry_run: true })
}

/// What was done again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StartedReplays")]
pub(super) struct ReplaysBody {
    count: usize,
    #[schemars(with = "Vec<ExecutionId>")]
    execution_ids: Vec<String>,
    /// How many were not done again, as their job is deleted, or as its node would not.
    skipped: usize,
    /// Of how many it is not known whether they were done again: the node that has their job has not answered.
    #[serde(skip_serializing_if = "is_none")]
    unknown: usize,
    message: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// What was done again here, and at other nodes.
pub(super) fn started_all(ids: &[ExecutionId], skipped: usize, elsewhere: Option<&Elsewhere>) -> Response {
    let mut execution_ids: Vec<String> = ids.iter().map(ExecutionId::to_string).collect();
    let (mut skipped, mut unknown) = (skipped, 0);
    if let Some(elsewhere) = elsewhere {
        execution_ids.extend(elsewhere.started.iter().cloned());
        (skipped, unknown) = (skipped + elsewhere.skipped, elsewhere.unknown);
    }
    let (count, message) = (execution_ids.len(), "Executions started again");
    json(http::Status::ACCEPTED, &ReplaysBody { count, execution_ids, skipped, unknown, message })
}

/// What became of executions that other nodes were asked to do again.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    started: Vec<String>,
    skipped: usize,
    unknown: usize,
}

impl Elsewhere {
    /// Takes in what a node answered that was asked for so many.
    pub fn note(&mut self, asked: usize, answer: Result<StoredAnswer, Unplaced>) {
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        match answer {
            Ok(answer) if status == http::Status::ACCEPTED.code() => {
                match serde_json::from_slice::<Replayed>(&answer.body) {
                    Ok(Replayed { execution_ids }) => {
                        self.skipped += asked.saturating_sub(execution_ids.len());
                        self.started.extend(execution_ids);
                    }
                    Err(_) => self.unknown += asked,
                }
            }
            Ok(_) if status < 500 => self.skipped += asked,
            Ok(_) | Err(Unplaced::Failed) => self.unknown += asked,
            Err(Unplaced::NoJob | Unplaced::NoIncident | Unplaced::NoNode | Unplaced::Late) => self.skipped += asked,
        }
    }

    /// Whether something was done again.
    pub fn has_started(&self) -> bool {
        !self.started.is_empty()
    }
}

/// As much as is told again of what another node answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    execution_ids: Vec<String>,
}

/// How another node is asked to do so many executions of a job again, the newest that this lets through.
pub fn replay_all_of(job: JobId, filter: &Filter, count: usize) -> Request {
    let second = |instant: Option<Instant>| instant.map(|instant| instant.to_string());
    let asked = serde_json::json!({
        "jobId": job.to_string(),
        "status": filter.status.map(Status::name),
        "from": second(filter.from),
        "to": second(filter.to),
        "limit": count,
    });
    let headers = Headers { content_type: Some("application/json".to_owned()), ..Headers::default() };
    Request {
        method: Method::Post,
        path: "/api/executions/replay".to_owned(),
        query: String::new(),
        keep_alive: true,
        http_10: false,
        accepts: Accepts::default(),
        headers,
        body: asked.to_string().into_bytes(),
    }
}

/// What was begun.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StartedExecution")]
pub(super) struct StartedBody {
    #[schemars(with = "JobId")]
    job_id: String,
    #[schemars(with = "ExecutionId")]
    execution_id: String,
    message: &'static str,
}

/// What was begun for times of the past.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StartedBackfill")]
pub(super) struct BackfillBody {
    #[schemars(with = "JobId")]
    job_id: String,
    count: usize,
    #[schemars(with = "Vec<ExecutionId>")]
    execution_ids: Vec<String>,
    message: &'static str,
}

/// Which times a backfill would be for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BackfillPlan")]
pub(super) struct PlanBody {
    #[schemars(with = "JobId")]
    job_id: String,
    count: usize,
    #[schemars(with = "Vec<Moment>")]
    scheduled_times: Vec<String>,
    dry_run: bool,
}

/// What was begun.
pub(super) fn started(ids: &[ExecutionId]) -> Response {
    // Also one of a backfill is answered as a backfill.
    let [id] = ids.iter().filter(|id| id.kind != Kind::Backfill).collect::<Vec<_>>()[..] else {
        let job_id = ids.first().map(|id| id.job.to_string()).unwrap_or_default();
        let execution_ids: Vec<String> = ids.iter().map(ExecutionId::to_string).collect();
        let message = "Executions started, one after the other";
        let body = BackfillBody { job_id, count: ids.len(), execution_ids, message };
        return json(http::Status::ACCEPTED, &body);
    };
    let (job_id, execution_id) = (id.job.to_string(), id.to_string());
    let place = format!("/api/executions/{execution_id}");
    json(http::Status::ACCEPTED, &StartedBody { job_id, execution_id, message: "Execution started" })
        .with_header("Location", place)
}

/// How something ended that was waited for.
pub(super) fn ended(id: ExecutionId, record: &Record) -> Response {
    ok(&execution(ExecutionRecord { id, record: record.clone() }, true))
}

/// Which times a backfill would be for.
pub fn past(id: JobId, found: Option<Result<Vec<Instant>, FieldError>>) -> Response {
    match found {
        None => ApiError::no_such_job().response(),
        Some(Err(error)) => ApiError::from(error).response(),
        Some(Ok(instants)) => ok(&PlanBody {
            job_id: id.to_string(),
            count: instants.len(),
            scheduled_times: instants.into_iter().map(time_of).collect(),
            dry_run: true,
        }),
    }
}
