//! Owns how metrics look: counters, percentiles, queues, and what fires next.
//! It must not measure.

use serde::Serialize;

use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::{Millis, ok, time_of};
use super::parameters::PAGE_DEFAULT;
use super::routes::Matched;
use crate::core::{Counts, JobView, Load};
use crate::http::Response;
use crate::telemetry::Percentiles;

/// Metrics, with the next jobs to fire.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    Ok(Call::Read(Read::Metrics { limit: matched.parameters()?.limit(PAGE_DEFAULT)? }))
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
    pub store: StoreLatency,
    /// Seconds since the server started.
    pub uptime_s: u64,
    /// The workers.
    pub sending: Sending,
    /// Attempts that may be in flight.
    pub in_flight_max: u32,
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

/// How long batches of rows and changes took to be on disk.
#[derive(Clone, Copy, Debug)]
pub struct StoreLatency {
    /// From being handed over to being on disk, as the loop saw it.
    pub commit: Percentiles,
    /// The part of it spent waiting for a slice of the fold, of retention, or for a checkpoint.
    pub held_up: Percentiles,
    /// The part of it that the transaction took.
    pub write: Percentiles,
}

/// What the workers are doing and have done since the start.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Threads that send.
    pub threads: usize,
    /// Attempts that have no connection, not even one that is being opened.
    pub waiting: u64,
    /// Connections to targets that are open.
    pub connections: u64,
    /// Connections opened, whatever became of them.
    pub opened: u64,
    /// Attempts that a kept-alive connection was there for.
    pub reused: u64,
    /// Attempts sent a second time because a kept-alive connection was lost.
    pub repeated: u64,
    /// Faults that made a worker drop what it held.
    pub faults: u64,
    /// Names looked up.
    pub lookups: u64,
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
    held_up: PercentilesBody,
    write: PercentilesBody,
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
    connections: u64,
    connections_opened: u64,
    connections_reused: u64,
    repeated: u64,
    faults: u64,
    lookups: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueuesBody {
    armed: usize,
    targets: usize,
    retries: usize,
    workers: u64,
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
        job_id: view.revision.id.to_string(),
        schedule: view.revision.spec.schedule.text(),
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
            commit: percentiles(&metrics.store.commit),
            held_up: percentiles(&metrics.store.held_up),
            write: percentiles(&metrics.store.write),
            unwritten: load.unwritten,
            arming_stalled: load.arming_stalled,
        },
        workers: WorkersBody {
            threads: metrics.sending.threads,
            in_flight: load.in_flight,
            in_flight_max: metrics.in_flight_max,
            utilization: load.in_flight as f64 / f64::from(metrics.in_flight_max),
            connections: metrics.sending.connections,
            connections_opened: metrics.sending.opened,
            connections_reused: metrics.sending.reused,
            repeated: metrics.sending.repeated,
            faults: metrics.sending.faults,
            lookups: metrics.sending.lookups,
        },
        queues: QueuesBody {
            armed: load.armed,
            targets: load.queued,
            retries: load.backing_off,
            workers: metrics.sending.waiting,
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
