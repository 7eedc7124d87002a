//! Owns the collecting of figures: where the value of each comes from.
//! It must not say what a figure is: the list in `telemetry` does.

use std::sync::Arc;

use super::calls::Calls;
use super::connections::Clients;
use super::engine::{AlertCounts, Engine};
use crate::api::ChannelFigures;
use crate::core::{Kind, Status};
use crate::dispatch::WorkerStats;
use crate::telemetry::Figures;
use crate::time::Now;

/// What became of messages over a channel.
pub(super) fn of_channel(engine: &Engine, name: &str) -> ChannelFigures {
    let (health, waiting) = (engine.channel_health(name), engine.channel_waiting(name));
    let AlertCounts { delivered, failed, retries, .. } = engine.channel_counts(name);
    ChannelFigures { health, waiting, delivered, failed, retries }
}

/// The same of all channels, in the order of their names.
pub(super) fn of_channels(engine: &Engine) -> Vec<(Arc<str>, ChannelFigures)> {
    engine.core().settings().channels().map(|(name, _)| (Arc::clone(name), of_channel(engine, name))).collect()
}

/// Every figure as it is now.
pub(super) fn collect(engine: &Engine, calls: &Calls, clients: Clients, now: Now) -> Figures {
    let (core, pool, drift, store) = (engine.core(), engine.pool(), engine.drift(), engine.store_latency());
    let (load, counts) = (core.load(now.wall), core.counts());
    let (usage, nodes) = (calls.usage.read(), engine.nodes.as_ref());
    let (events_told, events_left_out) = engine.events.counts();
    let (ended, attempts, alerts) = (&counts.ended, &counts.attempts, engine.alert_counts());
    let of_workers = |of: fn(&WorkerStats) -> u64| pool.workers.iter().map(of).sum();
    Figures {
        scheduler_is_running: core.is_running(),
        scheduler_active_jobs: load.active_jobs as u64,
        scheduler_active_executions: (load.in_flight + load.queued + load.backing_off) as u64,
        scheduler_total_executions: ended.all(Status::Success) + ended.all(Status::Failed),
        // To the microsecond, as all times are.
        scheduler_average_drift: drift.mean.map(|us| us.round() / 1000.0),
        scheduler_total_jobs: load.jobs as u64,
        scheduler_paused_jobs: load.paused_jobs as u64,
        scheduler_held_jobs: load.held_jobs as u64,
        scheduler_clock_steps: counts.clock_steps,
        scheduler_failing_targets: load.failing_targets as u64,
        // None has been due for less than nothing, whatever the clock did.
        scheduler_oldest_due_seconds: load
            .oldest_due
            .and_then(|due| u64::try_from(now.wall.floor().as_secs() - due.as_secs()).ok())
            .unwrap_or(0),

        executions_armed: counts.armed,
        executions_attempts: counts.fired,
        executions_retries: counts.retried,
        executions_success: ended.all(Status::Success),
        executions_failed: ended.all(Status::Failed),
        executions_skipped: ended.all(Status::Skipped),
        executions_missed_instants: counts.missed,
        executions_recovered: counts.recovered,
        executions_asked_for: counts.asked_for,
        executions_caught_up: counts.caught_up,
        executions_stale_messages: counts.stale,
        executions_scheduled_success: ended.of(Kind::Scheduled, Status::Success),
        executions_scheduled_failed: ended.of(Kind::Scheduled, Status::Failed),
        executions_scheduled_skipped: ended.of(Kind::Scheduled, Status::Skipped),
        executions_manual_success: ended.of(Kind::Manual, Status::Success),
        executions_manual_failed: ended.of(Kind::Manual, Status::Failed),
        executions_manual_skipped: ended.of(Kind::Manual, Status::Skipped),
        executions_replay_success: ended.of(Kind::Replay, Status::Success),
        executions_replay_failed: ended.of(Kind::Replay, Status::Failed),
        executions_replay_skipped: ended.of(Kind::Replay, Status::Skipped),
        executions_backfill_success: ended.of(Kind::Backfill, Status::Success),
        executions_backfill_failed: ended.of(Kind::Backfill, Status::Failed),
        executions_backfill_skipped: ended.of(Kind::Backfill, Status::Skipped),

        attempts_success: attempts.success,
        attempts_status3xx: attempts.answered_3xx,
        attempts_status4xx: attempts.answered_4xx,
        attempts_status5xx: attempts.answered_5xx,
        attempts_status_other: attempts.answered_other,
        attempts_timeout: attempts.timeout,
        attempts_connection: attempts.connection,
        attempts_worker: attempts.worker,
        attempts_duration: engine.durations(),

        drift,
        late: engine.late(),

        store_commit: store.commit,
        store_held_up: store.held_up,
        store_write: store.write,
        store_unwritten: load.unwritten as u64,
        store_arming_stalled: load.arming_stalled as u64,
        store_is_failing: engine.is_store_in_trouble(now.mono),
        store_disk_bytes: usage.disk,
        store_disk_free_bytes: usage.disk_free,

        process_memory_bytes: usage.memory,
        process_cpu_seconds: usage.cpu_us.map(|us| us as f64 / 1e6),
        process_open_files: usage.open_files,
        process_open_files_max: usage.open_files_max,

        workers_threads: pool.workers.len() as u64,
        workers_in_flight: load.in_flight as u64,
        workers_in_flight_max: u64::from(calls.in_flight_max),
        workers_utilization: Some(load.in_flight as f64 / f64::from(calls.in_flight_max)),
        workers_connections: of_workers(|worker| worker.connections),
        workers_connections_opened: of_workers(|worker| worker.opened),
        workers_connections_reused: of_workers(|worker| worker.reused),
        workers_repeated: of_workers(|worker| worker.repeated),
        workers_faults: of_workers(|worker| worker.faults),
        workers_lookups: pool.lookups,

        queues_armed: load.armed as u64,
        queues_targets: load.queued as u64,
        queues_retries: load.backing_off as u64,
        queues_policies: load.waiting as u64,
        queues_workers: of_workers(|worker| worker.waiting),
        queues_writer: engine.write_queue() as u64,
        queues_readers: calls.readers.waiting() as u64,
        queues_alerts: engine.alert_queue() as u64,
        queues_answer_bytes: clients.unsent as u64,

        alerts_webhook_delivered: alerts.delivered,
        alerts_webhook_failed: alerts.failed,
        alerts_webhook_retries: alerts.retries,
        alerts_logged: alerts.logged,

        incidents_open: core.open_incidents() as u64,
        incidents_opened: counts.incidents_opened,
        incidents_closed: counts.incidents_closed,
        incidents_passed_over: counts.incidents_passed_over,

        nodes_living: nodes.map_or(0, |nodes| nodes.living()) as u64,
        nodes_shards: nodes.map_or(0, |_| core.shards().len()) as u64,
        nodes_unowned_shards: nodes.map_or(0, |nodes| nodes.unowned()) as u64,
        nodes_fenced: nodes.map_or(0, |nodes| nodes.fenced()),
        nodes_withheld: counts.withheld,
        nodes_lease_seconds: nodes.map(|nodes| nodes.lease_left(now.mono).as_secs_f64()),
        nodes_clock_ahead_seconds: nodes.and_then(|nodes| nodes.sight()).map(|sight| sight.skew_us as f64 / 1e6),

        events_listeners: clients.listeners as u64,
        events_told,
        events_left_out,

        refused_changes: counts.refused + calls.changes_refused,
        refused_reads: calls.reads_refused,
        refused_strangers: calls.strangers,
        refused_tokens: calls.access.wrong_tokens(),
        refused_connections: clients.refused,
        refused_connections_evicted: clients.evicted,
        refused_connections_slow: clients.too_slow,
        refused_handshakes: clients.handshakes_failed,
        refused_large_bodies: clients.crowded,
        refused_listeners: calls.listeners_refused,
        refused_log_lines: calls.logs.dropped() as u64,

        uptime_seconds: now.mono.0 / 1_000_000,
        connections: clients.open as u64,
    }
}
