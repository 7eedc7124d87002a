//! Owns the one list of what is measured: each figure with its path, its kind, what it means, its metric, and its value.
//! It must not collect: whoever has the values fills in [`Figures`], and the compiler sees that none is missing.
//!
//! `/api/metrics` nests the paths into JSON, and `/metrics` shows the same list as text for Prometheus, where a figure is
//! a metric or one of it. To add a figure, add it here, beside those whose path begins alike, and follow the compiler to
//! where it is collected, and the tests to where it is told of.

use super::Percentiles;
use super::metric::Shown::{Alone, Among, By};
use super::metric::Unit::{Bytes, Count, Seconds};
use super::metric::{ALERT_RETRIES, ALERTS, ATTEMPTS, EXECUTIONS, JOBS, QUEUED, REFUSED, Shown};

/// One figure, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Where it stands, with dots between the names.
    pub path: &'static str,
    /// How its value behaves.
    pub kind: Kind,
    /// What it means: one sentence.
    pub help: &'static str,
    /// How it is shown as a metric.
    pub shown: Shown,
    /// What it is now.
    pub value: Value,
}

/// How the value of a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from zero at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Many values since the start, in microseconds.
    Distribution,
    /// Yes or no.
    Flag,
}

/// The value of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a list of them is made for one answer, and no other is kept")]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A count; None where it is not known.
    Known(Option<u64>),
    /// A decimal; None while there is nothing to tell it from.
    Decimal(Option<f64>),
    /// A distribution.
    Distribution(Percentiles),
    /// Yes or no.
    Flag(bool),
}

/// Makes the list: a member for each figure, and what the figure is.
macro_rules! figures {
    ($($(#[doc = $help:literal])+ $name:ident: $type:ty = $kind:ident $path:literal, $shown:expr;)+) => {
        /// Everything that is measured, at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Figures {
            $($(#[doc = $help])+ pub $name: $type,)+
        }

        impl Figures {
            /// The list. Figures whose paths begin alike stand together.
            pub fn list(&self) -> Vec<Figure> {
                vec![$(Figure {
                    path: $path,
                    kind: Kind::$kind,
                    help: concat!($($help),+).trim_ascii(),
                    shown: $shown,
                    value: self.$name.into(),
                }),+]
            }
        }

        #[cfg(test)]
        const MEMBERS: &[&str] = &[$(stringify!($name)),+];
    };
}

figures! {
    /// Whether the scheduler fires.
    scheduler_is_running: bool = Flag "scheduler.isRunning", Alone("punctual_scheduler_running", Count);
    /// Jobs that are active.
    scheduler_active_jobs: u64 = Gauge "scheduler.activeJobs", Among(&JOBS, &["active"]);
    /// Executions that are due and not finished: in flight, or waiting for their target or a retry.
    scheduler_active_executions: u64 = Gauge "scheduler.activeExecutions", By("punctual_in_flight, punctual_queued");
    /// Executions that ended SUCCESS or FAILED.
    scheduler_total_executions: u64 = Counter "scheduler.totalExecutions", By("punctual_executions");
    /// The mean drift of on-time executions, in milliseconds.
    scheduler_average_drift: Option<f64> = Gauge "scheduler.averageDrift", By("punctual_drift");
    /// All jobs.
    scheduler_total_jobs: u64 = Gauge "scheduler.totalJobs", By("punctual_jobs");
    /// Jobs that rest until somebody resumes them.
    scheduler_paused_jobs: u64 = Gauge "scheduler.pausedJobs", Among(&JOBS, &["paused"]);
    /// Jobs held by a clock that stepped back.
    scheduler_held_jobs: u64 = Gauge "scheduler.heldJobs", Alone("punctual_jobs_held", Count);
    /// Steps of the wall clock.
    scheduler_clock_steps: u64 = Counter "scheduler.clockSteps", Alone("punctual_clock_steps", Count);
    /// Targets that count as failing.
    scheduler_failing_targets: u64 = Gauge "scheduler.failingTargets", Alone("punctual_targets_failing", Count);
    /// For how many seconds the oldest execution has been due that only the disk, its target or a worker keeps from being
    /// sent; 0: there is none.
    scheduler_oldest_due_seconds: u64 = Gauge "scheduler.oldestDueSeconds", Alone("punctual_oldest_due", Seconds);

    /// Rows armed.
    executions_armed: u64 = Counter "executions.armed", Alone("punctual_executions_armed", Count);
    /// Attempts handed to workers.
    executions_attempts: u64 = Counter "executions.attempts", Alone("punctual_attempts_sent", Count);
    /// Attempts after the first of an execution.
    executions_retries: u64 = Counter "executions.retries", Alone("punctual_retries", Count);
    /// Executions that ended SUCCESS.
    executions_success: u64 = Counter "executions.success", By("punctual_executions");
    /// Executions that ended FAILED.
    executions_failed: u64 = Counter "executions.failed", By("punctual_executions");
    /// Rows that ended SKIPPED.
    executions_skipped: u64 = Counter "executions.skipped", By("punctual_executions");
    /// Missed instants, as far as they were counted.
    executions_missed_instants: u64 = Counter "executions.missedInstants", Alone("punctual_missed_instants", Count);
    /// Executions in doubt after a crash that were sent again.
    executions_recovered: u64 = Counter "executions.recovered", Alone("punctual_executions_recovered", Count);
    /// Executions that clients asked for.
    executions_asked_for: u64 = Counter "executions.askedFor", Alone("punctual_executions_asked_for", Count);
    /// Executions sent for missed instants.
    executions_caught_up: u64 = Counter "executions.caughtUp", Alone("punctual_executions_caught_up", Count);
    /// Reports and acknowledgements nobody waited for.
    executions_stale_messages: u64 = Counter "executions.staleMessages", Alone("punctual_stale_messages", Count);
    /// Scheduled executions that ended SUCCESS.
    executions_scheduled_success: u64 = Counter "executions.scheduled.success", Among(&EXECUTIONS, &["SUCCESS", "scheduled"]);
    /// Scheduled executions that ended FAILED.
    executions_scheduled_failed: u64 = Counter "executions.scheduled.failed", Among(&EXECUTIONS, &["FAILED", "scheduled"]);
    /// Scheduled executions that ended SKIPPED.
    executions_scheduled_skipped: u64 = Counter "executions.scheduled.skipped", Among(&EXECUTIONS, &["SKIPPED", "scheduled"]);
    /// Executions that were asked for that ended SUCCESS.
    executions_manual_success: u64 = Counter "executions.manual.success", Among(&EXECUTIONS, &["SUCCESS", "manual"]);
    /// Executions that were asked for that ended FAILED.
    executions_manual_failed: u64 = Counter "executions.manual.failed", Among(&EXECUTIONS, &["FAILED", "manual"]);
    /// Executions that were asked for that ended SKIPPED.
    executions_manual_skipped: u64 = Counter "executions.manual.skipped", Among(&EXECUTIONS, &["SKIPPED", "manual"]);
    /// Replays that ended SUCCESS.
    executions_replay_success: u64 = Counter "executions.replay.success", Among(&EXECUTIONS, &["SUCCESS", "replay"]);
    /// Replays that ended FAILED.
    executions_replay_failed: u64 = Counter "executions.replay.failed", Among(&EXECUTIONS, &["FAILED", "replay"]);
    /// Replays that ended SKIPPED.
    executions_replay_skipped: u64 = Counter "executions.replay.skipped", Among(&EXECUTIONS, &["SKIPPED", "replay"]);
    /// Executions of backfills that ended SUCCESS.
    executions_backfill_success: u64 = Counter "executions.backfill.success", Among(&EXECUTIONS, &["SUCCESS", "backfill"]);
    /// Executions of backfills that ended FAILED.
    executions_backfill_failed: u64 = Counter "executions.backfill.failed", Among(&EXECUTIONS, &["FAILED", "backfill"]);
    /// Executions of backfills that ended SKIPPED.
    executions_backfill_skipped: u64 = Counter "executions.backfill.skipped", Among(&EXECUTIONS, &["SKIPPED", "backfill"]);

    /// Attempts that ended with a success, as their job has it.
    attempts_success: u64 = Counter "attempts.success", Among(&ATTEMPTS, &["success"]);
    /// Attempts that were answered 3xx, and that is no success.
    attempts_status3xx: u64 = Counter "attempts.status3xx", Among(&ATTEMPTS, &["3xx"]);
    /// Attempts that were answered 4xx, and that is no success.
    attempts_status4xx: u64 = Counter "attempts.status4xx", Among(&ATTEMPTS, &["4xx"]);
    /// Attempts that were answered 5xx, and that is no success.
    attempts_status5xx: u64 = Counter "attempts.status5xx", Among(&ATTEMPTS, &["5xx"]);
    /// Attempts that were answered with another status that is no success.
    attempts_status_other: u64 = Counter "attempts.statusOther", Among(&ATTEMPTS, &["other"]);
    /// Attempts that were not answered in time.
    attempts_timeout: u64 = Counter "attempts.timeout", Among(&ATTEMPTS, &["timeout"]);
    /// Attempts whose connection failed.
    attempts_connection: u64 = Counter "attempts.connection", Among(&ATTEMPTS, &["connection"]);
    /// Attempts that could not be carried out here.
    attempts_worker: u64 = Counter "attempts.worker", Among(&ATTEMPTS, &["worker"]);
    /// How long an attempt took, from the beginning of its connection or its request to its outcome.
    attempts_duration: Percentiles = Distribution "attempts.duration", Alone("punctual_attempt_duration", Seconds);

    /// How long after its instant the first attempt of an on-time execution left.
    drift: Percentiles = Distribution "drift", Alone("punctual_drift", Seconds);
    /// The same of recovered, catch-up and manual executions.
    late: Percentiles = Distribution "late", Alone("punctual_late", Seconds);

    /// How long a batch took from being handed over to being on disk, as the loop saw it.
    store_commit: Percentiles = Distribution "store.commit", Alone("punctual_store_commit", Seconds);
    /// The part of it spent waiting for a slice of the fold, of retention, or for a checkpoint.
    store_held_up: Percentiles = Distribution "store.heldUp", Alone("punctual_store_held_up", Seconds);
    /// The part of it that the transaction took.
    store_write: Percentiles = Distribution "store.write", Alone("punctual_store_write", Seconds);
    /// Rows and changes on the way to the disk.
    store_unwritten: u64 = Gauge "store.unwritten", Alone("punctual_store_unwritten", Count);
    /// Jobs whose arming waits for the disk.
    store_arming_stalled: u64 = Gauge "store.armingStalled", Alone("punctual_store_arming_stalled", Count);
    /// Whether the store cannot be written, or does not answer.
    store_is_failing: bool = Flag "store.isFailing", Alone("punctual_store_failing", Count);
    /// Bytes that the database and its write-ahead log take, seen within some seconds.
    store_disk_bytes: Option<u64> = Gauge "store.diskBytes", Alone("punctual_store_disk", Bytes);
    /// Bytes that are left where the database lies.
    store_disk_free_bytes: Option<u64> = Gauge "store.diskFreeBytes", Alone("punctual_store_disk_free", Bytes);

    /// Bytes of this process that are in memory, seen within some seconds.
    process_memory_bytes: Option<u64> = Gauge "process.memoryBytes", Alone("process_resident_memory", Bytes);
    /// Seconds of processor time that this process has taken, seen within some seconds.
    process_cpu_seconds: Option<f64> = Counter "process.cpuSeconds", Alone("process_cpu", Seconds);
    /// Files and sockets that this process has open, seen within some seconds.
    process_open_files: Option<u64> = Gauge "process.openFiles", Alone("process_open_fds", Count);
    /// Files and sockets that it may have open.
    process_open_files_max: Option<u64> = Gauge "process.openFilesMax", Alone("process_max_fds", Count);

    /// Threads that send.
    workers_threads: u64 = Gauge "workers.threads", Alone("punctual_workers", Count);
    /// Attempts with the workers.
    workers_in_flight: u64 = Gauge "workers.inFlight", Alone("punctual_in_flight", Count);
    /// Attempts that may be in flight.
    workers_in_flight_max: u64 = Gauge "workers.inFlightMax", Alone("punctual_in_flight_max", Count);
    /// The share of what may be in flight that is.
    workers_utilization: Option<f64> = Gauge "workers.utilization", By("punctual_in_flight, punctual_in_flight_max");
    /// Connections to targets that are open.
    workers_connections: u64 = Gauge "workers.connections", Alone("punctual_target_connections", Count);
    /// Connections to targets opened, whatever became of them.
    workers_connections_opened: u64 = Counter "workers.connectionsOpened",
        Alone("punctual_target_connections_opened", Count);
    /// Attempts that a kept-alive connection was there for.
    workers_connections_reused: u64 = Counter "workers.connectionsReused",
        Alone("punctual_target_connections_reused", Count);
    /// Attempts sent a second time because a kept-alive connection was lost.
    workers_repeated: u64 = Counter "workers.repeated", Alone("punctual_attempts_repeated", Count);
    /// Faults that made a worker drop what it held.
    workers_faults: u64 = Counter "workers.faults", Alone("punctual_worker_faults", Count);
    /// Names looked up.
    workers_lookups: u64 = Counter "workers.lookups", Alone("punctual_name_lookups", Count);

    /// Armed executions that wait for their instant.
    queues_armed: u64 = Gauge "queues.armed", Among(&QUEUED, &["armed"]);
    /// Due executions that wait for their target.
    queues_targets: u64 = Gauge "queues.targets", Among(&QUEUED, &["targets"]);
    /// Executions that wait for a retry.
    queues_retries: u64 = Gauge "queues.retries", Among(&QUEUED, &["retries"]);
    /// Due executions that wait for another one of their job, or for their concurrency key.
    queues_policies: u64 = Gauge "queues.policies", Among(&QUEUED, &["policies"]);
    /// Attempts that have no connection, not even one that is being opened.
    queues_workers: u64 = Gauge "queues.workers", Among(&QUEUED, &["workers"]);
    /// Changes and rows the writer has not been given.
    queues_writer: u64 = Gauge "queues.writer", Among(&QUEUED, &["writer"]);
    /// Reads no reader has taken up.
    queues_readers: u64 = Gauge "queues.readers", Among(&QUEUED, &["readers"]);
    /// Alerts that wait for the webhook.
    queues_alerts: u64 = Gauge "queues.alerts", Among(&QUEUED, &["alerts"]);

    /// Bytes of answers that clients have not taken.
    queues_answer_bytes: u64 = Gauge "queues.answerBytes", Alone("punctual_unsent_answers", Bytes);

    /// Alerts that the webhook took.
    alerts_webhook_delivered: u64 = Counter "alerts.webhook.delivered", Among(&ALERTS, &["webhook", "delivered"]);
    /// Alerts that the webhook did not take, and that were given up.
    alerts_webhook_failed: u64 = Counter "alerts.webhook.failed", Among(&ALERTS, &["webhook", "failed"]);
    /// Attempts to deliver an alert to the webhook that failed and are followed by another one.
    alerts_webhook_retries: u64 = Counter "alerts.webhook.retries", Among(&ALERT_RETRIES, &["webhook"]);
    /// Alerts that were only logged, as there is no webhook.
    alerts_logged: u64 = Counter "alerts.logged", Among(&ALERTS, &["none", "logged"]);

    /// Incidents that are open.
    incidents_open: u64 = Gauge "incidents.open", Alone("punctual_incidents_open", Count);
    /// Incidents that were opened.
    incidents_opened: u64 = Counter "incidents.opened", Alone("punctual_incidents_opened", Count);
    /// Incidents that were closed.
    incidents_closed: u64 = Counter "incidents.closed", Alone("punctual_incidents_closed", Count);
    /// Incidents that were not opened, as too many are open.
    incidents_passed_over: u64 = Counter "incidents.passedOver", Alone("punctual_incidents_passed_over", Count);

    /// Nodes that live and share the database; 0: it is this server's alone.
    nodes_living: u64 = Gauge "nodes.living", Alone("punctual_nodes", Count);
    /// Parts of all jobs, of 256, that this node has.
    nodes_shards: u64 = Gauge "nodes.shards", Alone("punctual_node_shards", Count);
    /// Parts that no node has that lives.
    nodes_unowned_shards: u64 = Gauge "nodes.unownedShards", Alone("punctual_unowned_shards", Count);
    /// How often this node was taken for dead, and what it wrote was refused.
    nodes_fenced: u64 = Counter "nodes.fenced", Alone("punctual_node_fenced", Count);
    /// Attempts that were not sent, as this node could not trust that the job was still its own.
    nodes_withheld: u64 = Counter "nodes.withheld", Alone("punctual_node_withheld", Count);
    /// For how long it goes on sending unless the database answers.
    nodes_lease_seconds: Option<f64> = Gauge "nodes.leaseSeconds", Alone("punctual_node_lease", Seconds);
    /// How far its clock is ahead of the database's.
    nodes_clock_ahead_seconds: Option<f64> = Gauge "nodes.clockAheadSeconds", Alone("punctual_node_clock_ahead", Seconds);

    /// Clients that listen to events.
    events_listeners: u64 = Gauge "events.listeners", Alone("punctual_event_listeners", Count);
    /// Events told.
    events_told: u64 = Counter "events.told", Alone("punctual_events", Count);
    /// Events left out, as there were too many within a second.
    events_left_out: u64 = Counter "events.leftOut", Alone("punctual_events_left_out", Count);

    /// Changes refused.
    refused_changes: u64 = Counter "refused.changes", Among(&REFUSED, &["changes"]);
    /// Reads refused because too many were waiting.
    refused_reads: u64 = Counter "refused.reads", Among(&REFUSED, &["reads"]);
    /// Requests that named another host, or came from a foreign web page.
    refused_strangers: u64 = Counter "refused.strangers", Among(&REFUSED, &["strangers"]);
    /// Tokens that were shown and do not count.
    refused_tokens: u64 = Counter "refused.tokens", Among(&REFUSED, &["tokens"]);
    /// Connections of clients whose address had too many.
    refused_connections: u64 = Counter "refused.connections", Among(&REFUSED, &["connections"]);
    /// Connections of clients that were closed to make room for others: at rest, or with half a request.
    refused_connections_evicted: u64 = Counter "refused.connectionsEvicted",
        Among(&REFUSED, &["connections_evicted"]);
    /// Connections of clients that were cut off because they read too slowly.
    refused_connections_slow: u64 = Counter "refused.connectionsSlow", Among(&REFUSED, &["connections_slow"]);
    /// Connections that were to be encrypted and ended before they were: no handshake, none in time, or plain HTTP.
    refused_handshakes: u64 = Counter "refused.handshakes", Among(&REFUSED, &["handshakes"]);
    /// Clients that sent a large body when as many did as may.
    refused_large_bodies: u64 = Counter "refused.largeBodies", Among(&REFUSED, &["large_bodies"]);
    /// Clients that wanted to listen to events when as many did as may.
    refused_listeners: u64 = Counter "refused.listeners", Among(&REFUSED, &["listeners"]);
    /// Log lines dropped.
    refused_log_lines: u64 = Counter "refused.logLines", Among(&REFUSED, &["log_lines"]);

    /// Seconds since the server started.
    uptime_seconds: u64 = Gauge "uptimeSeconds", Alone("punctual_uptime", Seconds);
    /// Connections of clients.
    connections: u64 = Gauge "connections", Alone("punctual_connections", Count);
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Whole(count)
    }
}

impl From<Option<u64>> for Value {
    fn from(count: Option<u64>) -> Value {
        Value::Known(count)
    }
}

impl From<Option<f64>> for Value {
    fn from(decimal: Option<f64>) -> Value {
        Value::Decimal(decimal)
    }
}

impl From<Percentiles> for Value {
    fn from(percentiles: Percentiles) -> Value {
        Value::Distribution(percentiles)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Flag(flag)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::super::Metric;
    use super::*;

    #[test]
    fn every_figure_is_explained_and_has_a_path_and_a_kind_of_its_own() {
        let list = Figures::default().list();
        let mut paths = HashSet::new();
        for (figure, member) in list.iter().zip(MEMBERS) {
            let Figure { path, kind, help, value, .. } = *figure;
            assert!(paths.insert(path), "{path} is there twice");
            assert!(help.len() > 5 && help.ends_with('.') && !help.contains("  "), "{path}: {help:?}");
            let fits = match value {
                Value::Whole(_) => matches!(kind, Kind::Counter | Kind::Gauge),
                Value::Known(_) => kind == Kind::Gauge,
                Value::Decimal(_) => matches!(kind, Kind::Counter | Kind::Gauge),
                Value::Distribution(_) => kind == Kind::Distribution,
                Value::Flag(_) => kind == Kind::Flag,
            };
            assert!(fits, "{path}: {kind:?} is not {value:?}");
            let words = path
                .chars()
                .map(|c| if c.is_ascii_uppercase() { format!("_{}", c.to_ascii_lowercase()) } else { c.to_string() });
            assert_eq!(words.collect::<String>().replace('.', "_"), *member, "a member is called as its path");
        }
    }

    #[test]
    fn every_figure_is_a_metric_or_one_of_it_or_follows_from_some() {
        let list = Figures::default().list();
        let name_of = |figure: &Figure| match figure.shown {
            Alone(name, _) => Some(name),
            Among(metric, _) => Some(metric.name),
            By(_) => None,
        };
        let mut seen: HashSet<String> = HashSet::new();
        let mut families: HashMap<&str, (Kind, &Metric)> = HashMap::new();
        for figure in &list {
            let kind = if figure.kind == Kind::Flag { Kind::Gauge } else { figure.kind };
            let is_new = match figure.shown {
                Alone(name, _) => seen.insert(name.to_owned()) && !families.contains_key(name),
                Among(metric, values) => {
                    let (its, known) = *families.entry(metric.name).or_insert((kind, metric));
                    assert_eq!((its, known), (kind, metric), "{}: a metric is one thing", figure.path);
                    assert_eq!(values.len(), metric.labels.len(), "{}", figure.path);
                    assert!(values.iter().all(|value| !value.is_empty()), "{}", figure.path);
                    seen.insert(format!("{} {values:?}", metric.name)) && !seen.contains(metric.name)
                }
                By(names) => names.split(", ").all(|name| list.iter().any(|other| name_of(other) == Some(name))),
            };
            assert!(is_new, "{}: {:?} is another figure, or is none", figure.path, figure.shown);
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let name = name_of(figure).unwrap_or("punctual_");
            let is_ours = name.starts_with("punctual_") || name.starts_with("process_");
            assert!(is_ours && name.chars().all(is_word) && !name.ends_with("_total"), "{name}");
        }
        for (_, metric) in families.values() {
            assert!(metric.help.ends_with('.') && !metric.help.contains("  "), "{metric:?}");
        }
    }

    #[test]
    fn paths_that_begin_alike_stand_together_and_none_is_within_another() {
        let list = Figures::default().list();
        let mut groups: Vec<&str> =
            list.iter().map(|figure| figure.path.split('.').next().unwrap_or_default()).collect();
        groups.dedup();
        let distinct: HashSet<&str> = groups.iter().copied().collect();
        assert_eq!(groups.len(), distinct.len(), "{groups:?}");
        for figure in &list {
            let within = list.iter().find(|other| other.path.starts_with(&format!("{}.", figure.path)));
            assert_eq!(within, None, "{} is a figure and a group", figure.path);
        }
    }
}
