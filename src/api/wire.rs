//! Owns the JSON clients see: one type per answer, made from what the core and the store give.
//! It must not look anything up.

use serde::{Serialize, Serializer};

use super::errors::ApiError;
use super::query::print_cursor;
use super::routes::ENDPOINTS;
use crate::core::{Class, Counts, Covers, Instant, JobSpec, JobView, LastOutcome, Load, Reply, Status, WallUs};
use crate::http::{self, Response};
use crate::store::{Answer, ExecutionRecord, ReadError, StoredAlert};
use crate::telemetry::Percentiles;

/// How many instants ahead a client is shown when it creates or changes a job.
const NEXT_SHOWN: usize = 5;

// --- Jobs ---

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobBody<'a> {
    job_id: String,
    schedule: &'a str,
    api: &'a str,
    #[serde(rename = "type")]
    delivery: &'static str,
    created_at: String,
    updated_at: String,
    active: bool,
    next_execution: Option<String>,
    /// The clock stepped back behind what the job already fired; it waits for `nextExecution`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    stats: Stats,
    last_outcome: Option<Last>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    total: u64,
    success: u64,
    failed: u64,
    skipped: u64,
    avg_duration: Option<Millis>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    scheduled_time: String,
    status: &'static str,
    http_status: Option<u16>,
}

impl<'a> From<&'a JobView> for JobBody<'a> {
    fn from(view: &'a JobView) -> Self {
        let spec = &view.spec;
        JobBody {
            job_id: spec.id.to_string(),
            schedule: spec.schedule.text(),
            api: spec.endpoint.as_str(),
            delivery: spec.delivery.name(),
            created_at: spec.created_at.to_string(),
            updated_at: spec.updated_at.to_string(),
            // An exhausted schedule is as good as paused.
            active: spec.active && view.next.is_some(),
            next_execution: view.next.map(time_of),
            held: view.held,
            stats: Stats {
                total: view.counters.total(),
                success: view.counters.success,
                failed: view.counters.failed,
                skipped: view.counters.skipped,
                avg_duration: view.counters.mean_duration_ms().map(Millis::from_ms),
            },
            last_outcome: view.last.as_ref().map(last),
        }
    }
}

fn last(outcome: &LastOutcome) -> Last {
    Last { scheduled_time: time_of(outcome.instant), status: outcome.status.name(), http_status: outcome.http_status }
}

/// One job.
pub fn job(view: &JobView) -> Response {
    ok(&JobBody::from(view))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobsBody<'a> {
    jobs: Vec<JobBody<'a>>,
    next_cursor: Option<String>,
}

/// A page of jobs; `views` may hold one more than `limit`, which says that there is more.
pub fn jobs(views: &[JobView], limit: usize) -> Response {
    let shown = &views[..views.len().min(limit)];
    let next_cursor =
        if views.len() > limit { shown.last().map(|view| view.spec.id.key().0.to_string()) } else { None };
    ok(&JobsBody { jobs: shown.iter().map(JobBody::from).collect(), next_cursor })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedBody<'a> {
    job_id: String,
    message: &'static str,
    job: JobBody<'a>,
    next_executions: Vec<String>,
}

/// The answer to a change.
pub fn reply(reply: &Reply) -> Response {
    match reply {
        Reply::Created(view) => json(http::Status::CREATED, &changed(view, "Job created successfully")),
        Reply::Updated(view) => ok(&changed(view, "Job updated successfully")),
        Reply::Deleted => deleted(),
        Reply::NotFound => ApiError::no_such_job().response(),
        Reply::Refused(refusal) => ApiError::from(*refusal).response(),
    }
}

/// The answer to a deletion.
pub fn deleted() -> Response {
    Response::new(http::Status::NO_CONTENT, Vec::new())
}

fn changed<'a>(view: &'a JobView, message: &'static str) -> ChangedBody<'a> {
    let job = JobBody::from(view);
    ChangedBody { job_id: job.job_id.clone(), message, job, next_executions: upcoming(&view.spec, view.next) }
}

fn upcoming(spec: &JobSpec, next: Option<Instant>) -> Vec<String> {
    std::iter::successors(next, |&instant| spec.schedule.next_after(instant)).take(NEXT_SHOWN).map(time_of).collect()
}

// --- Executions and alerts ---

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionBody {
    execution_id: String,
    /// Only where the page is not of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    scheduled_time: String,
    executed_time: Option<String>,
    status: &'static str,
    http_status: Option<u16>,
    duration: Option<Millis>,
    error_message: Option<String>,
    retry_count: u32,
    drift_ms: Option<Millis>,
    /// Why it was not sent at its own instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<&'static str>,
    /// Why no POST was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The missed instants this row stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    covers: Option<CoversBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoversBody {
    from: String,
    to: String,
    count: u32,
    /// There are more than `count`.
    more: bool,
}

fn execution(record: ExecutionRecord, with_job: bool) -> ExecutionBody {
    let skipped = record.status == Status::Skipped;
    let drift = record.executed.map(|at| Millis::from_us(at.since_us(WallUs::of(record.id.instant))));
    let (error_message, reason) = if skipped { (None, record.error) } else { (record.error, None) };
    ExecutionBody {
        execution_id: record.id.to_string(),
        job_id: with_job.then(|| record.id.job.to_string()),
        scheduled_time: time_of(record.id.instant),
        executed_time: record.executed.map(|at| at.to_string()),
        status: record.status.name(),
        http_status: record.http_status,
        duration: record.duration_us.map(|us| Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX))),
        error_message,
        retry_count: record.retry_count,
        drift_ms: drift,
        late: match record.class {
            Class::OnTime | Class::Manual => None,
            Class::Recovered => Some("recovered"),
            Class::CatchUp => Some("missed"),
        },
        reason,
        covers: record.covers.map(|covers| covers_body(covers, record.id.instant)),
    }
}

fn covers_body(covers: Covers, instant: Instant) -> CoversBody {
    CoversBody { from: time_of(covers.from), to: time_of(instant), count: covers.count, more: covers.more }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    executions: Vec<ExecutionBody>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertBody {
    alert_id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    job_id: String,
    execution_id: String,
    api: String,
    schedule: String,
    error_message: String,
    timestamp: String,
    delivery: DeliveryBody,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryBody {
    status: &'static str,
    delivered_at: Option<String>,
    attempts: u32,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertsBody {
    alerts: Vec<AlertBody>,
    next_cursor: Option<String>,
}

fn alert(alert: StoredAlert) -> AlertBody {
    AlertBody {
        alert_id: alert.seq.0.to_string(),
        kind: "JOB_FAILURE",
        job_id: alert.job.to_string(),
        execution_id: alert.execution,
        api: alert.api,
        schedule: alert.schedule,
        error_message: alert.error,
        timestamp: alert.at.to_string(),
        delivery: DeliveryBody {
            status: alert.state.name(),
            delivered_at: alert.delivered_at.map(|at| at.to_string()),
            attempts: alert.attempts,
            error: alert.delivery_error,
        },
    }
}

/// What a reader found.
pub fn answer(answer: Result<Answer, ReadError>) -> Response {
    match answer {
        Ok(Answer::OfJob(job, page)) => ok(&ExecutionsBody {
            job_id: Some(job.to_string()),
            next_cursor: page.next.as_ref().map(print_cursor),
            executions: page.executions.into_iter().map(|record| execution(record, false)).collect(),
        }),
        Ok(Answer::OfAll(page)) => ok(&ExecutionsBody {
            job_id: None,
            next_cursor: page.next.as_ref().map(print_cursor),
            executions: page.executions.into_iter().map(|record| execution(record, true)).collect(),
        }),
        Ok(Answer::Alerts(page)) => ok(&AlertsBody {
            next_cursor: page.next.map(|next| next.to_string()),
            alerts: page.alerts.into_iter().map(alert).collect(),
        }),
        Ok(Answer::NoSuchJob) => ApiError::no_such_job().response(),
        Err(error) => ApiError::from(error).response(),
    }
}

// --- The server itself ---

/// Whether all is well.
#[derive(Clone, Debug)]
pub struct Health {
    /// Why it is not.
    pub trouble: Option<String>,
    /// Jobs held by a clock that stepped back.
    pub held_jobs: usize,
    /// Now.
    pub now: WallUs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthBody<'a> {
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    held_jobs: usize,
}

/// 200 or 503.
pub fn health(health: &Health) -> Response {
    let reason = health.trouble.as_deref();
    let (code, status) =
        if reason.is_none() { (http::Status::OK, "healthy") } else { (http::Status::SERVICE_UNAVAILABLE, "unhealthy") };
    json(code, &HealthBody { status, timestamp: health.now.to_string(), reason, held_jobs: health.held_jobs })
}

#[derive(Serialize)]
struct InfoBody {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    endpoints: &'static [&'static str],
}

/// Who is there.
pub fn info() -> Response {
    ok(&InfoBody {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        description: env!("CARGO_PKG_DESCRIPTION"),
        endpoints: ENDPOINTS,
    })
}

/// What `/api/metrics` tells.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Whether the scheduler fires.
    pub is_running: bool,
    /// How much there is of everything.
    pub load: Load,
    /// What happened so far.
    pub counts: Counts,
    /// Drift of on-time executions.
    pub drift: Percentiles,
    /// How late recovered, catch-up and manual executions went out.
    pub late: Percentiles,
    /// Transactions.
    pub commit: Percentiles,
    /// Seconds since the server started.
    pub uptime_s: u64,
    /// Threads that send.
    pub workers: usize,
    /// Attempts that may be in flight.
    pub in_flight_max: u32,
    /// Attempts no worker has taken up.
    pub worker_queue: usize,
    /// Changes and rows the writer has not been given.
    pub write_queue: usize,
    /// Reads no reader has taken up.
    pub read_queue: usize,
    /// Alerts that wait for the webhook.
    pub alert_queue: usize,
    /// Connections of clients.
    pub connections: usize,
    /// Connections at rest that were closed to make room for others.
    pub connections_evicted: u64,
    /// Reads refused because too many were waiting.
    pub reads_refused: u64,
    /// Log lines dropped.
    pub log_lines_dropped: usize,
    /// The next jobs to fire.
    pub next: Vec<JobView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricsBody<'a> {
    scheduler: SchedulerBody,
    executions: CountsBody,
    drift: PercentilesBody,
    late: PercentilesBody,
    store: StoreBody,
    workers: WorkersBody,
    queues: QueuesBody,
    refused: RefusedBody,
    uptime_seconds: u64,
    connections: usize,
    jobs: Vec<NextBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SchedulerBody {
    is_running: bool,
    active_jobs: usize,
    active_executions: usize,
    total_executions: u64,
    average_drift: Option<Millis>,
    total_jobs: usize,
    held_jobs: usize,
    clock_steps: u64,
    failing_targets: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountsBody {
    armed: u64,
    attempts: u64,
    retries: u64,
    success: u64,
    failed: u64,
    skipped: u64,
    missed_instants: u64,
    recovered: u64,
    caught_up: u64,
    stale_messages: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PercentilesBody {
    count: u64,
    negative: u64,
    mean_ms: Option<Millis>,
    p50_ms: Millis,
    p90_ms: Millis,
    p99_ms: Millis,
    p999_ms: Millis,
    max_ms: Millis,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreBody {
    commit: PercentilesBody,
    unwritten: usize,
    arming_stalled: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkersBody {
    threads: usize,
    in_flight: usize,
    in_flight_max: u32,
    /// The share of what may be in flight that is.
    utilization: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueuesBody {
    armed: usize,
    targets: usize,
    retries: usize,
    workers: usize,
    writer: usize,
    readers: usize,
    alerts: usize,
}

/// What had to give way because something was full.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedBody {
    changes: u64,
    reads: u64,
    connections_evicted: u64,
    log_lines: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NextBody<'a> {
    job_id: String,
    schedule: &'a str,
    next_execution: Option<String>,
}

/// Metrics, with the next jobs to fire.
pub fn metrics(metrics: &Metrics) -> Response {
    let (load, counts) = (&metrics.load, &metrics.counts);
    let next = metrics.next.iter().map(|view| NextBody {
        job_id: view.spec.id.to_string(),
        schedule: view.spec.schedule.text(),
        next_execution: view.next.map(time_of),
    });
    ok(&MetricsBody {
        scheduler: SchedulerBody {
            is_running: metrics.is_running,
            active_jobs: load.active_jobs,
            active_executions: load.in_flight + load.queued + load.backing_off,
            total_executions: counts.success + counts.failed,
            average_drift: metrics.drift.mean.map(|us| Millis::from_ms(us / 1000.0)),
            total_jobs: load.jobs,
            held_jobs: load.held_jobs,
            clock_steps: counts.clock_steps,
            failing_targets: load.failing_targets,
        },
        executions: CountsBody {
            armed: counts.armed,
            attempts: counts.fired,
            retries: counts.retried,
            success: counts.success,
            failed: counts.failed,
            skipped: counts.skipped,
            missed_instants: counts.missed,
            recovered: counts.recovered,
            caught_up: counts.caught_up,
            stale_messages: counts.stale,
        },
        drift: percentiles(&metrics.drift),
        late: percentiles(&metrics.late),
        store: StoreBody {
            commit: percentiles(&metrics.commit),
            unwritten: load.unwritten,
            arming_stalled: load.arming_stalled,
        },
        workers: WorkersBody {
            threads: metrics.workers,
            in_flight: load.in_flight,
            in_flight_max: metrics.in_flight_max,
            utilization: load.in_flight as f64 / f64::from(metrics.in_flight_max),
        },
        queues: QueuesBody {
            armed: load.armed,
            targets: load.queued,
            retries: load.backing_off,
            workers: metrics.worker_queue,
            writer: metrics.write_queue,
            readers: metrics.read_queue,
            alerts: metrics.alert_queue,
        },
        refused: RefusedBody {
            changes: counts.refused,
            reads: metrics.reads_refused,
            connections_evicted: metrics.connections_evicted,
            log_lines: metrics.log_lines_dropped,
        },
        uptime_seconds: metrics.uptime_s,
        connections: metrics.connections,
        jobs: next.collect(),
    })
}

fn percentiles(found: &Percentiles) -> PercentilesBody {
    let ms = |us: u64| Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX));
    PercentilesBody {
        count: found.count,
        negative: found.negative,
        mean_ms: found.mean.map(|us| Millis::from_ms(us / 1000.0)),
        p50_ms: ms(found.p50),
        p90_ms: ms(found.p90),
        p99_ms: ms(found.p99),
        p999_ms: ms(found.p999),
        max_ms: ms(found.max),
    }
}

// --- Shared pieces ---

/// Milliseconds as a decimal with microseconds behind the point.
struct Millis(f64);

impl Millis {
    fn from_us(us: i64) -> Millis {
        Millis(us as f64 / 1000.0)
    }

    fn from_ms(ms: f64) -> Millis {
        Millis((ms * 1000.0).round() / 1000.0)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

fn time_of(instant: Instant) -> String {
    WallUs::of(instant).to_string()
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn ok(body: &impl Serialize) -> Response {
    json(http::Status::OK, body)
}

fn json(status: http::Status, body: &impl Serialize) -> Response {
    Response::new(status, serde_json::to_vec(body).expect("these types have only string keys and finite numbers"))
}
